#!/usr/bin/env bash
# Which lines of the core the fuzzers' corpora reach: prints the figure of each file and the lines
# that are not reached, and fails if they are more than three in a hundred. Lines that say themselves
# that nothing can reach them (`impossible!`) are counted apart; see `coverage.py`. Files that no
# target links are named and not counted: what only a platform with descriptors or Unix sockets has,
# and `happy_eyeballs.rs`.
#
# What a simulated network is not, the target `platform` is: a platform with descriptors, one that
# breaks its contract, peers that send a header of the PROXY protocol in parts, pools of which more
# than 16 sockets could be evicted, and that other loops have used. What is left is mostly what
# injected bugs do, what the compiler works out, defaults that nobody leaves out, and bounds that
# lie beyond small pools.
# Needs `cargo install cargo-llvm-cov --locked`.
set -euo pipefail
cd "$(dirname "$0")/.."
least=97

command -v cargo-llvm-cov >/dev/null || {
    echo "cargo-llvm-cov is not installed: cargo install cargo-llvm-cov --locked" >&2
    exit 1
}
# Those of the simulator and of the stack in user space; TLS has its own, over a server and a client
# of its own.
cargo llvm-cov clean --profraw-only
cargo llvm-cov test --quiet --locked --package usockets-tests --no-default-features \
    --test fuzzing --test smoltcp_fuzzing --no-report -- corpus
cargo llvm-cov report --lcov \
    --ignore-filename-regex '(tests|platform-|examples|registry|rustc|core/src/tls)' \
    | python3 tests/coverage.py "$least"
