"""Holds every dependency to the licences and the registry that deny.toml allows, without installing
cargo-deny.

    cargo metadata --format-version 1 --locked | python3 tests/licences.py
"""

import json
import re
import sys
import tomllib

ALLOWED = set(tomllib.load(open("deny.toml", "rb"))["licenses"]["allow"])
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
WORD = re.compile(r"[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.+-]+)?")


def is_allowed(expression):
    """Evaluates an SPDX expression; crates of before it have a slash for `OR`."""
    words = {"OR": " or ", "AND": " and "}
    named = lambda word: words.get(word[0], str(word[0] in ALLOWED))
    return eval(WORD.sub(named, expression.replace("/", " OR ")), {})


faults = []
packages = [package for package in json.load(sys.stdin)["packages"] if package["source"]]
for package in packages:
    name, licence = package["name"], package["license"]
    if package["source"] != REGISTRY:
        faults.append(f"{name} comes from {package['source']}")
    if not licence or not is_allowed(licence):
        faults.append(f"{name} has the licence {licence}")
if faults or not packages:
    sys.exit("\n".join(faults) or "no dependency was found")
print(f"{len(packages)} dependencies are licensed as deny.toml allows")
