#!/usr/bin/env bash
# Which lines of the core the fuzzers' corpora reach: prints the figure of each file and the lines
# that are not reached, and fails if they are more than one in twenty.
# Needs `cargo install cargo-llvm-cov --locked`.
set -euo pipefail
cd "$(dirname "$0")/.."
least=95

command -v cargo-llvm-cov >/dev/null || {
    echo "cargo-llvm-cov is not installed: cargo install cargo-llvm-cov --locked" >&2
    exit 1
}
# The simulator's corpora; TLS has its own, over a server and a client of its own.
cargo llvm-cov clean --workspace --profraw-only
cargo llvm-cov test --quiet --locked --package usockets-tests --no-default-features \
    --test fuzzing --no-report -- the_corpus
cargo llvm-cov report --show-missing-lines --fail-under-lines "$least" \
    --ignore-filename-regex '(tests|platform-|examples|registry|rustc|core/src/tls)' \
    | sed 's/  */ /g' | cut -d ' ' -f 1,8-
