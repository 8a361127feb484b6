#!/usr/bin/env bash
# Runs the Windows platform under Wine: its lints, documentation and own tests, and the conformance
# suite. Arguments go to the suite, such as the name of a test.
#
# It installs nothing: what is missing it names, and passes over with a word, unless `CI` is true.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
target=${CARGO_TARGET_DIR:-$PWD/target}/wine
triple=x86_64-pc-windows-gnu

missing=()
wine=$(command -v wine64 || true)
[ -n "$wine" ] || for path in /usr/lib/wine/wine64 /usr/lib/x86_64-linux-gnu/wine/wine64; do
    [ ! -x "$path" ] || wine=$path
done
[ -n "$wine" ] || missing+=("wine and wine64 (Debian packages)")
command -v x86_64-w64-mingw32-gcc >/dev/null \
    || missing+=("x86_64-w64-mingw32-gcc (Debian package gcc-mingw-w64-x86-64)")
rustup target list --installed 2>/dev/null | grep -qx $triple \
    || missing+=("rustup target add $triple")
if [ ${#missing[@]} -gt 0 ]; then
    printf 'skipped, as this is missing: %s\n' "${missing[@]}"
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi

# Rust's std wants a function that Wine before 8.1 lacks.
mkdir -p "$target/lib"
x86_64-w64-mingw32-gcc -shared -O1 -o "$target/lib/bcryptprimitives.dll" \
    tests/wine/bcryptprimitives.c -ladvapi32
export WINEPREFIX=$target/prefix WINEDEBUG=-all WINEPATH=$target/lib
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
cargo=(--quiet --locked --target "$triple" --target-dir "$target")

cargo clippy "${cargo[@]}" --package usockets-windows --all-targets -- -D warnings
RUSTDOCFLAGS=-Dwarnings cargo doc "${cargo[@]}" --package usockets-windows --no-deps
cargo test "${cargo[@]}" --package usockets-windows

# What needs no platform of Windows runs on every other one already. The tests mostly wait.
cargo test "${cargo[@]}" --manifest-path tests/wine/Cargo.toml --test conformance -- \
    --skip on_sim --skip on_lent_sim --skip on_user_space --skip on_stock --test-threads 4 "$@"
