"""Names what a crate's public interface lost, and fails if the changelog does not.

    python3 tests/api.py CRATE BEFORE AFTER CHANGELOG

The lists are those of cargo-public-api. An item whose line is not in the second list is gone if
nothing there has its path, and changed if something has. An entry of the changelog is a row of the
table below the heading "Since", and names what stands in code spans in its first column: a type or
a free item by its name, what belongs to a type or a trait as `Type::member`, or as `member` behind
such a span. A type that is gone is named for all that it had, and a trait's item for all types that
have it from the trait.
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
    """Returns a line without what no user names, and without its owner's parameters."""
    line = re.sub(r" = \d+$", "", re.sub(r"^(#\[[^\]]*\] )+", "", line))
    line = re.sub(r"'\w+", "'_", line)
    # The parameters of the type that an item is of: the type's own line has them.
    head, bracket, rest = line.partition("(")
    line = re.sub(r"<[^<>]*>::", "::", head) + bracket + rest
    return re.sub(r"\busockets\w*::(?:[a-z_0-9]+::)*(?=[A-Z])", "usockets::", line)


TYPE = re.compile(r"(?:#\[[^\]]*\] )*pub (mod|struct|enum|trait|union) ")


def entries(changelog):
    """Returns what the changelog names: pairs of owner and member, or of None and a free item."""
    section = changelog[changelog.index("\n## Since") :]
    section = section[: section.find("\n## ", 1)] if "\n## " in section[1:] else section
    named = set()
    for row in re.findall(r"^\|([^|]*)\|", section, re.MULTILINE)[2:]:
        owner = None
        for span in re.findall(r"`([^`]*)`", row):
            parts = re.sub(r"<[^<>]*>", "", span).split("::")
            if len(parts) > 1 and parts[-2][0].isupper():
                owner = parts[-2]
                named.add((owner, parts[-1]))
            else:
                named.add((None, parts[-1]))
                if owner:
                    named.add((owner, parts[-1]))
    return named


def items(lines):
    """Returns the path of each item with its line and the trait that its type has it from."""
    trait = None
    for line in lines:
        item = path(line)
        if item is None:
            head = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", line.replace("->", "")))
            has = re.search(r"(\w+) for ", head)
            trait = has and has[1]
        else:
            # What is no function, constant or type of an `impl` stands before all of them.
            trait = None if TYPE.match(line) else trait
            # One that is derived is not in a list.
            if trait != "Debug":
                yield item, line, trait


def is_named(item, trait, named, gone):
    """Whether the changelog names an item."""
    *_, owner, name = [None, None, *item.split("::")]
    if (owner, name) in named or (trait and (trait, name) in named):
        return True
    if owner == "Reference":
        return any(name == member and of for of, member in named)
    if owner and owner[0].isupper():
        return item.rpartition("::")[0] in gone and (None, owner) in named
    return (None, name) in named


def main():
    crate, before, after, changelog = sys.argv[1:]
    old, new = ([line.rstrip() for line in open(name)] for name in (before, after))
    there = {path(line) for line in new}
    lines = {comparable(line) for line in new}
    types = [{path(line) for line in all_of if TYPE.match(line)} for all_of in (old, new)]
    gone, changed = {}, {}
    for item, line, trait in items(old):
        if comparable(line) not in lines:
            (changed if item in there else gone).setdefault(item, (line, trait))
    named = entries(open(changelog).read())
    missing = []
    for kind, found in (("gone", gone), ("changed", changed)):
        for item, (line, trait) in sorted(found.items()):
            known = is_named(item, trait, named, types[0] - types[1])
            print(f"{crate}: {kind}: {item}{'' if known else '   NOT IN THE CHANGELOG'}")
            if not known:
                missing.append(line)
    print(f"{crate}: {len(gone)} gone, {len(changed)} changed, {len(missing)} unnamed")
    for line in missing:
        print(f"  {line}", file=sys.stderr)
    sys.exit(bool(missing))


main()
