"""Reads LCOV and tells which lines of the core were reached: the figure of each file, the lines that
were not, and all together. Fails if they are fewer than asked for.

Counted apart are lines that nothing can reach, and that say so: what follows an `impossible!` in its
block, and what is done if `find_known`, which has such a line, finds nothing. A file of which no line
is in the report is named: no target links it.

    python3 tests/coverage.py 97 <lcov
"""

import pathlib
import sys

CORE = pathlib.Path("core/src").resolve()
# Tested by corpora of its own, the search's, and what is not in a release.
ELSEWHERE = ("tls", "tls.rs", "injected_bug.rs", "invariant.rs", "book.rs", "logging.rs", "lib.rs")


def counted(path):
    inside = path.relative_to(CORE)
    is_test = path.name in ("search.rs", "tests.rs")
    return inside.parts[0] not in ELSEWHERE and not is_test


def read(lines):
    """Returns how often each line of each file was reached."""
    files, reached = {}, None
    for line in lines:
        kind, _, rest = line.strip().partition(":")
        if kind == "SF":
            reached = files.setdefault(pathlib.Path(rest).resolve(), {})
        elif kind == "DA":
            number, count = rest.split(",")[:2]
            reached[int(number)] = reached.get(int(number), 0) + int(count)
    return files


def impossible(path):
    """Returns the numbers of the lines that nothing can reach."""
    numbers, is_within = set(), False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if is_within or "impossible!(" in line:
            numbers.add(number)
            # To the end of the block, or of an arm of its own.
            is_within = not line.strip().startswith("}") and "=> impossible!" not in line
        elif "find_known(" in line and line.endswith("else {"):
            is_within = True
    return numbers


def ranges(numbers):
    """Writes numbers down as ranges."""
    parts, start, last = [], None, None
    for number in sorted(numbers) + [None]:
        if start is not None and number != last + 1 if number else start is not None:
            parts.append(f"{start}-{last}" if last > start else str(start))
            start = None
        start, last = (number if start is None else start), number
    return ", ".join(parts)


def main():
    least = float(sys.argv[1])
    files = read(sys.stdin)
    sums = [0, 0, 0]
    for path in sorted(CORE.rglob("*.rs")):
        if not counted(path):
            continue
        inside, reached = path.relative_to(CORE), files.get(path)
        if reached is None:
            print(f"{inside}: no target links it")
            continue
        apart = impossible(path) & {number for number, count in reached.items() if count == 0}
        missed = {number for number, count in reached.items() if count == 0} - apart
        lines = len(reached) - len(apart)
        sums = [a + b for a, b in zip(sums, (lines, len(missed), len(apart)))]
        share = 100 * (lines - len(missed)) / max(lines, 1)
        print(f"{inside}: {share:.1f} %" + (f", not {ranges(missed)}" if missed else ""))
    lines, missed, apart = sums
    share = 100 * (lines - missed) / max(lines, 1)
    print(f"the core: {share:.2f} % of {lines} lines, and {apart} that are impossible")
    if share < least:
        sys.exit(f"fewer than {least} %")


main()
