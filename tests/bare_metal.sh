#!/usr/bin/env bash
# Builds the images for machines without an operating system, boots each in QEMU, and tries it from
# outside with `bare_metal_client`. Prints what memory they take, and fails if that is over its
# bound; `--write` writes it to platform-smoltcp/examples/MEMORY.md.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
examples=$root/platform-smoltcp/examples
target=${CARGO_TARGET_DIR:-$root/target}
report=$examples/MEMORY.md
write=${1:-}
qemu=
folder=$(mktemp -d)

# Ends what was started here, whatever happens.
finish() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

# Where this cannot run it says so; in CI that is a failure.
cannot() {
    echo "bare metal images are not tested: $*" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
}

fail() {
    echo "bare metal: $*" >&2
    exit 1
}

# Installs an emulator from Debian's packages if it is not there.
need() {
    local program=$1 package=$2
    command -v "$program" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || cannot "$program is not installed"
    echo "installing $package"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
        >"$folder/apt" 2>&1 || { cat "$folder/apt" >&2; cannot "$package cannot be installed"; }
}

need_target() {
    rustup target list --installed | grep -qx "$1" || rustup target add "$1" \
        || cannot "rustup cannot add $1"
}

# Starts QEMU with a port of the kernel's choice in front of the image's; sets `port`.
boot() {
    local forwarded=$1 line
    shift
    rm -f "$folder"/{terminal,monitor.in,monitor.out}
    mkfifo "$folder"/{terminal,monitor.in,monitor.out}
    # Opened for both, so that nobody waits for the other end.
    exec 3<>"$folder/terminal" 4<>"$folder/monitor.in" 5<>"$folder/monitor.out"
    "$@" -display none -serial stdio -no-reboot \
        -chardev "pipe,id=monitor,path=$folder/monitor" -mon chardev=monitor,mode=readline \
        <"$folder/terminal" >"$folder/log" 2>&1 3>&- 4>&- 5>&- &
    qemu=$!
    echo "info usernet" >&4
    port=
    while read -r -t 20 -u 5 line; do
        # The columns: protocol and state, descriptor, address and port here, and there.
        read -r _ _ _ here _ there _ <<<"$line"
        if [[ $line == *HOST_FORWARD* && ${there:-} == "$forwarded" ]]; then
            port=$here
            break
        fi
    done
    [ -n "$port" ] || { cat "$folder/log" >&2; fail "QEMU did not start"; }
}

# Lets the image stop by itself, and sees that it does.
stop() {
    printf q >&3
    local code=0 tries
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$qemu" 2>/dev/null || break
        sleep 0.1
    done
    kill -0 "$qemu" 2>/dev/null && fail "$1 does not stop"
    wait "$qemu" || code=$?
    qemu=
    exec 3>&- 4>&- 5>&-
    if [ "$code" != "$2" ] || ! grep -q '^stopped' "$folder/log"; then
        cat "$folder/log" >&2
        fail "$1 did not stop in order: $code"
    fi
}

# Tries the image that runs with so many connections; its last status page is `$folder/status`.
try() {
    local name=$1 connections=$2
    if ! timeout 240 "$target/release/bare_metal_client" "127.0.0.1:$port" "$connections" \
        >"$folder/status"; then
        cat "$folder/log" >&2
        fail "$name failed"
    fi
}

# A number of the status page.
status() {
    awk -v name="$1" '$1 == name { print $2 }' "$folder/status"
}

# The bytes of the given sections of an image.
sections() {
    local image=$1
    shift
    size -A "$image" | awk -v names=" $* " 'index(names, " " $1 " ") { sum += $2 } END { print sum + 0 }'
}

# Holds a figure to its bound.
bound() {
    [ "$2" -le "$3" ] || fail "$1 is $2, over the bound of $3"
}

# One row of the report.
row() {
    printf '| %s | %s | %s |\n' "$1" "$2" "${3:-}" >>"$folder/report"
}

# What a Cortex-M3 image takes, and its bounds in bytes.
report_lm3s6965() {
    local title=$1 image=$2 flash_max=$3 ram_max=$4 connections=$5
    local code constants data zeros flash ram
    code=$(sections "$image" .vector_table .text)
    constants=$(sections "$image" .rodata)
    data=$(sections "$image" .data)
    zeros=$(sections "$image" .bss .uninit)
    flash=$((code + constants + data))
    ram=$((data + zeros + $(status stack)))
    bound "flash of $title" "$flash" "$flash_max"
    bound "RAM of $title" "$ram" "$ram_max"
    [ "$(status stack_peak)" -lt "$(status stack)" ] || fail "the stack of $title is used up"
    printf '\n## %s, %s connections\n\n| bytes | | bound |\n|---|---|---|\n' \
        "$title" "$connections" >>"$folder/report"
    row 'code and vectors (`.text`)' "$code"
    row 'constants (`.rodata`)' "$constants"
    row 'start values (`.data`)' "$data"
    row '**flash**' "**$flash**" "$flash_max"
    row 'statics (`.data` and `.bss`)' $((data + zeros))
    row 'stack, reserved' "$(status stack)"
    row 'stack, most that was used' "$(status stack_peak)"
    row '**RAM**, with the reserved stack' "**$ram**" "$ram_max"
    row 'for each connection, its buffers included' "$(status connection)"
}

test_lm3s6965() {
    need qemu-system-arm qemu-system-arm
    need_target thumbv7m-none-eabi
    (cd "$examples/lm3s6965" && cargo build --quiet --release --locked --target-dir "$target/lm3s6965")
    local images=$target/lm3s6965/thumbv7m-none-eabi/release
    local machine=(qemu-system-arm -M lm3s6965evb -semihosting-config "enable=on,target=native")
    boot 80 "${machine[@]}" -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:0-:80" \
        -kernel "$images/http"
    try "HTTP on the LM3S6965" 8
    stop "HTTP on the LM3S6965" 0
    report_lm3s6965 "HTTP on the LM3S6965 (Cortex-M3)" "$images/http" $((96 * 1024)) $((48 * 1024)) 8
}

main() {
    command -v rustup >/dev/null || cannot "rustup is not installed"
    cargo build --quiet --release --locked --package usockets-tests --bin bare_metal_client
    cat >"$folder/report" <<'END'
# What the images take

Written by `tests/bare_metal.sh --write`, which boots each image in QEMU, tries it from outside, and
holds it to its bounds. The stack is painted when the image starts; what was used is what the paint
has gone from after all of the tests.
END
    test_lm3s6965
    cat "$folder/report"
    if [ "$write" = --write ]; then
        cp "$folder/report" "$report"
    fi
}

main
