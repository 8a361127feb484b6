#!/usr/bin/env bash
# Whether tests notice changes in one place of the code.
#
#     tests/mutants.sh core           # all of the core's
#     tests/mutants.sh tcp 40         # 40 of the TCP's in user space, by a seed that is printed
#     tests/mutants.sh tls 40 7       # 40 of TLS's, by the seed 7
#
# Fails if fewer are noticed than are wanted. A sample is held to what `tests/MUTANTS.md` knows of the
# whole, by the interval of 99.9 % (Wilson).
# What was missed is in `target/mutants/WHAT/missed.txt`. Needs nightly.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# Tests that unwind thousands of times would take minutes if each named its frames.
CARGO_TARGET_DIR=$target RUST_BACKTRACE=0 exec cargo run --quiet --locked \
    --manifest-path tests/mutants/at_once/Cargo.toml --target-dir "$target/mutants/at_once" -- "$@"
