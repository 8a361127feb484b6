#!/usr/bin/env bash
# Builds the library for Windows and runs the programs of tests/ that need nothing of POSIX under
# Wine, compiled by MinGW.
#
# It installs nothing: what is missing it names, and passes over with a word, unless `CI` is true.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/target}/windows
. "$here/../../tests/wine/common.sh"

need_wine x86_64-w64-mingw32-gcc-posix:gcc-mingw-w64-x86-64-posix \
    x86_64-w64-mingw32-g++-posix:g++-mingw-w64-x86-64-posix
add_process_prng x86_64-w64-mingw32-gcc-posix "$target/run"
export WINEPREFIX=${WINEPREFIX:-$target/prefix} WINEDEBUG=-all

fail() {
    echo "$*" >&2
    exit 1
}

(cd "$here" && cargo build --quiet --locked --target $triple --target-dir "$target")
built=$target/$triple/debug

# The library exports what the header declares, and nothing else.
grep -o '\bus_[a-z0-9_]*(' "$here/include/libusockets.h" | tr -d '(' | sort -u >"$target/declared"
x86_64-w64-mingw32-objdump -p "$built/usockets_c.dll" | tr -d '\r' \
    | sed -n '/^\[Ordinal\/Name Pointer\]/,/^$/s/^.*\] \([A-Za-z_]\)/\1/p' | grep -v '^Table' \
    | sort >"$target/exported"
diff "$target/declared" "$target/exported" || fail "usockets_c.dll does not export what is declared"

# What a program is to print: all but what Windows has not.
expected() {
    sed -n '/^\/\* Prints:$/,/^\*\/$/p' "$1" | sed '1d;$d' \
        | sed '/^-- ending the other/,/^opened/d; s/^on_pre_open: caught 1/on_pre_open: caught 0/'
}

cd "$target/run"
for source in sizes.c closing.c streams.c times.c hammer.c exceptions.cpp; do
    compiler=gcc standard=c11 arguments=()
    [ "${source##*.}" = c ] || compiler=g++ standard=c++20
    [ $source != hammer.c ] || arguments=(200 "${SEED:=$RANDOM}")
    # `ms_printf`'s formats are not C's.
    x86_64-w64-mingw32-$compiler-posix -std=$standard -D_GNU_SOURCE -D__USE_MINGW_ANSI_STDIO=1 \
        -g -O1 -Wall -Wextra -Werror -I"$here/include" -o program.exe "$here/tests/$source" \
        "$built/libusockets_c.a" -static -lpthread -lws2_32 -lntdll -luserenv -ldbghelp
    timeout 300 "$wine" program.exe "${arguments[@]}" >got 2>err || fail "$(cat got err)
$source: failed${arguments:+, SEED=$SEED}"
    tr -d '\r' <got >printed
    expected "$here/tests/$source" | diff - printed || fail "$source: prints something else"
    echo "$source under Wine"
done
echo "the C interface behaves under Wine"
