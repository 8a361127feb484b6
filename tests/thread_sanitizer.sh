#!/usr/bin/env bash
# Runs under ThreadSanitizer what several threads do: wake-ups, hand-over between loops, and a server
# with a loop per thread. The standard library is built with it, too, which wants nightly with the
# component rust-src.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
target=${CARGO_TARGET_DIR:-$PWD/target}/threads
triple=x86_64-unknown-linux-gnu
export RUSTFLAGS=-Zsanitizer=thread
cargo=(--quiet --locked --manifest-path tests/threads/Cargo.toml -Zbuild-std --target "$triple"
    --target-dir "$target")

cargo +nightly build "${cargo[@]}" --bins
export PROGRAMS=$target/$triple/debug

# A race is found, or the rest proves nothing.
if "$PROGRAMS/race" >"$target/race.log" 2>&1 || ! grep -q 'data race' "$target/race.log"; then
    cat "$target/race.log"
    echo "ThreadSanitizer does not find a race" >&2
    exit 1
fi

cargo +nightly test "${cargo[@]}" --tests
