#!/usr/bin/env bash
# Runs the Windows platform under Wine: its lints, documentation and own tests, and the conformance
# suite. Arguments go to the suite, such as the name of a test.
#
# It installs nothing: what is missing it names, and passes over with a word, unless `CI` is true.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
target=${CARGO_TARGET_DIR:-$PWD/target}/wine
. tests/wine/common.sh

need_wine x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64
add_process_prng x86_64-w64-mingw32-gcc "$target/lib"
export WINEPREFIX=$target/prefix WINEDEBUG=-all WINEPATH=$target/lib
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
cargo=(--quiet --locked --target "$triple" --target-dir "$target")

cargo clippy "${cargo[@]}" --package usockets-windows --all-targets -- -D warnings
RUSTDOCFLAGS=-Dwarnings cargo doc "${cargo[@]}" --package usockets-windows --no-deps
cargo test "${cargo[@]}" --package usockets-windows

# What needs no platform of Windows runs on every other one already. The tests mostly wait.
cargo test "${cargo[@]}" --manifest-path tests/wine/Cargo.toml --test conformance -- \
    --skip on_sim --skip on_lent_sim --skip on_user_space --skip on_stock --test-threads 4 "$@"
