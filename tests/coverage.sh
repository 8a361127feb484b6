#!/usr/bin/env bash
# Which lines of the core the fuzzers' corpora reach: prints the figure of each file and the lines
# that are not reached, and fails if they are more than six in a hundred. Lines that say themselves
# that nothing can reach them (`impossible!`) are counted apart; see `coverage.py`. Files that no
# target links are named and not counted: what only a platform with descriptors or Unix sockets has,
# and `happy_eyeballs.rs`.
#
# Of those that are not reached, most want what the simulated network is not: a platform with
# descriptors (`on_descriptor` and its way through `compose`, `report_foreign`), or one that breaks
# its contract (`breach!`). No corpus brings these about yet: a handshake that ends while the others
# have been told of a drain, peers that send a header of the PROXY protocol in parts, more than 16
# who could be evicted, a pool that another loop has used.
# Needs `cargo install cargo-llvm-cov --locked`.
set -euo pipefail
cd "$(dirname "$0")/.."
least=94

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
