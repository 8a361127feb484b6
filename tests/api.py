"""Names what a crate's public interface lost, and fails if the changelog does not.

    python3 tests/api.py CRATE BEFORE AFTER CHANGELOG

The lists are those of cargo-public-api. An item whose line is not in the second list is gone if
nothing there has its path, and changed if something has. The changelog names it, or the type that
it is of, as the last word of a code span below the heading "Since".
"""

import re
import sys


def path(line):
    """Returns the path of an item, without generics, arguments and types."""
    text = re.sub(r"^(pub |unsafe |const |async |extern \"C\" |#\[[^\]]*\] )*", "", line)
    if text.startswith("impl"):
        return None
    # A method of a reference to a platform or device is that of the trait.
    text = re.sub(r"^(fn|type|const) &mut [PD]::", r"\1 usockets::Reference::", text)
    text = re.sub(r"^(fn|struct|enum|trait|type|mod|use|static|const|macro|union) ", "", text)
    while True:
        shorter = re.sub(r"<[^<>]*>", "", text.replace("->", ""))
        if shorter == text:
            break
        text = shorter
    return re.split(r"[(:\s=](?!:)(?<!::)", text.replace("::", "\0"))[0].replace("\0", "::")


def comparable(line):
    """Returns a line without what no user names: representations, lifetimes, private modules."""
    line = re.sub(r" = \d+$", "", re.sub(r"^(#\[[^\]]*\] )+", "", line))
    line = re.sub(r"'\w+", "'_", line)
    return re.sub(r"\busockets\w*::(?:[a-z_0-9]+::)*(?=[A-Z])", "usockets::", line)


def main():
    crate, before, after, changelog = sys.argv[1:]
    old, new = ([line.rstrip() for line in open(name)] for name in (before, after))
    there = {path(line) for line in new}
    lines = {comparable(line) for line in new}
    gone, changed = {}, {}
    for line in old:
        item = path(line)
        if item and comparable(line) not in lines:
            (changed if item in there else gone).setdefault(item, line)
    text = open(changelog).read()
    section = text[text.index("\n## Since") :]
    named = set()
    for span in re.findall(r"`([^`]*)`", section):
        for name in re.sub(r"<[^<>]*>", "", span).split(","):
            named.update(re.findall(r"(\w+)\W*$", name))
    missing = []
    for kind, items in (("gone", gone), ("changed", changed)):
        for item, line in sorted(items.items()):
            known = named.intersection(item.split("::")[-2:])
            print(f"{crate}: {kind}: {item}{'' if known else '   NOT IN THE CHANGELOG'}")
            if not known:
                missing.append(line)
    print(f"{crate}: {len(gone)} gone, {len(changed)} changed, {len(missing)} unnamed")
    for line in missing:
        print(f"  {line}", file=sys.stderr)
    sys.exit(bool(missing))


main()
