#!/usr/bin/env bash
# Builds the images for machines without an operating system, boots each in QEMU, and tries it from
# outside with `bare_metal_client`, and with curl and openssl where it speaks TLS. Prints what memory
# they take, and fails if that is over its bound; `--write` writes it to
# platform-smoltcp/examples/MEMORY.md.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
examples=$root/platform-smoltcp/examples
target=${CARGO_TARGET_DIR:-$root/target}
report=$examples/MEMORY.md
write=${1:-}
qemu=
beside=
namespace=
since=0
folder=$(mktemp -d)

# Ends what was started here, whatever happens.
finish() {
    local started
    for started in $qemu $beside; do
        # `unshare` does not end by other signals.
        kill -KILL "$started" 2>/dev/null || true
    done
    [ -z "$namespace" ] || ip netns delete "$namespace" || true
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

# Tells how long it took since the last call.
took() {
    echo "$1: $((SECONDS - since)) s" >&2
    since=$SECONDS
}

# Installs a program from Debian's packages if it is not there.
need() {
    local program=$1 package=$2
    command -v "$program" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || cannot "$program is not installed"
    echo "installing $package"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >"$folder/apt" 2>&1 || true
    apt-get install -y -qq --no-install-recommends "$package" >>"$folder/apt" 2>&1 \
        || { cat "$folder/apt" >&2; cannot "$package cannot be installed"; }
}

need_target() {
    rustup target list --installed | grep -qx "$1" || rustup target add "$1" \
        || cannot "rustup cannot add $1"
}

# Starts QEMU with a port of the kernel's choice in front of the image's, and waits until the image
# listens; sets `port`.
boot() {
    local forwarded=$1
    shift
    start "$@"
    find_port "$forwarded"
    await_image
}

# Starts QEMU.
start() {
    rm -f "$folder"/{terminal,monitor.in,monitor.out}
    mkfifo "$folder"/{terminal,monitor.in,monitor.out}
    # Opened for both, so that nobody waits for the other end.
    exec 3<>"$folder/terminal" 4<>"$folder/monitor.in" 5<>"$folder/monitor.out"
    "$@" -display none -serial stdio -no-reboot \
        -chardev "pipe,id=monitor,path=$folder/monitor" -mon chardev=monitor,mode=readline \
        <"$folder/terminal" >"$folder/log" 2>&1 3>&- 4>&- 5>&- &
    qemu=$!
}

# Asks QEMU which port is in front of the image's.
find_port() {
    local forwarded=$1 line
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

# Waits until the image listens.
await_image() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        ! grep -q '^listening' "$folder/log" || return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    fail "the image does not listen"
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

# What a Cortex-M3 image takes, and its bounds in bytes; sets `flash`.
report_lm3s6965() {
    local title=$1 image=$2 flash_max=$3 ram_max=$4 connections=$5
    local code constants data zeros ram
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

# Asks the image that speaks TLS for a page, with the certificate it should have.
ask() {
    local path=$1
    shift
    curl --silent --show-error --fail --max-time 20 --cacert "$IDENTITY/certificate.pem" \
        --resolve "localhost:$port:127.0.0.1" "$@" "https://localhost:$port$path"
}

# Opens a connection to the image that speaks TLS, and keeps it: what is written to the descriptor that
# is put into `clients` goes there, and what comes is in `$folder/client.N`.
open_client() {
    local at=$1 fd
    mkfifo "$folder/client.$at.in"
    # It is looked at before the client has opened it.
    : >"$folder/client.$at"
    openssl s_client -connect "127.0.0.1:$port" -servername localhost -verify_return_error \
        -CAfile "$IDENTITY/certificate.pem" -quiet <"$folder/client.$at.in" \
        >"$folder/client.$at" 2>"$folder/client.$at.log" &
    beside="$beside $!"
    processes+=($!)
    exec {fd}>"$folder/client.$at.in"
    clients[at]=$fd
}

# Asks for a page on a connection that is kept.
ask_on() {
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$2" >&"${clients[$1]}"
}

# Waits until there are so many bytes in `$folder/client.N`.
await_bytes() {
    local at=$1 least=$2 tries
    for ((tries = 0; tries < 1200; tries++)); do
        [ "$(wc -c <"$folder/client.$at")" -lt "$least" ] || return 0
        sleep 0.1
    done
    cat "$folder/client.$at.log" >&2
    fail "$name: connection $at of those kept has $(wc -c <"$folder/client.$at") bytes, not $least"
}

# Opens a connection as the first that is kept, asks for more than the kernel keeps for who reads
# nothing, and takes none of it before there is `$folder/go`.
open_slow_reader() {
    : >"$folder/client.1"
    python3 - "$port" "$folder" "$IDENTITY/certificate.pem" >"$folder/client.1.log" 2>&1 <<'END' &
import os, socket, ssl, sys, time
port, folder, certificate = sys.argv[1:]
plain = socket.socket()
plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
plain.settimeout(60)
plain.connect(("127.0.0.1", int(port)))
context = ssl.create_default_context(cafile=certificate)
secured = context.wrap_socket(plain, server_hostname="localhost")
secured.sendall(b"GET /bytes/50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
with open(folder + "/client.1", "ab", buffering=0) as taken:
    taken.write(b"asked")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.1)
    while some := secured.recv(65536):
        taken.write(some)
END
    beside="$beside $!"
    processes+=($!)
    await_bytes 1 5
}

# Holds as many connections open as the image has, all of which are served: one after the other and all
# at once, while one of them takes nothing of what it has asked for.
hold() {
    local name=$1 count=$2 at status process
    local -a clients=() processes=()
    open_slow_reader
    for ((at = 2; at <= count; at++)); do
        open_client "$at"
        ask_on "$at" /
        await_bytes "$at" 100
        grep -q '^Hello' "$folder/client.$at" || fail "$name does not serve connection $at"
    done
    # Until the kernel keeps no more for the slow reader.
    sleep 8
    for at in "${!clients[@]}"; do
        ask_on "$at" /bytes/100000
    done
    for at in "${!clients[@]}"; do
        await_bytes "$at" 100200
    done
    ask_on "$count" /status
    await_bytes "$count" 100400
    status=$(grep -a '^open ' "$folder/client.$count") || fail "$name shows no status"
    [ "$status" = "open $count" ] || fail "$name has $status, not $count"
    : >"$folder/go"
    await_bytes 1 8000000
    for at in "${!clients[@]}"; do
        eval "exec ${clients[$at]}>&-"
    done
    for process in "${processes[@]}"; do
        kill "$process"
        wait "$process" || true
    done
    beside=
    took "$count connections over TLS at once"
}

# Tries the image that speaks TLS.
try_tls() {
    local name=$1 connections=$2 tries
    ask / --retry 20 --retry-all-errors --retry-delay 1 2>"$folder/curl" | grep -q '^Hello' \
        || { cat "$folder/curl" >&2; fail "$name does not answer"; }
    ask /bytes/100000 >"$folder/bytes" || fail "$name gives no long answer"
    [ "$(wc -c <"$folder/bytes")" = 100000 ] || fail "a long answer of $name is not complete"
    ask / --curves P-256 >"$folder/page" || fail "$name does not know P-256"
    for suite in AES_128_GCM_SHA256 AES_256_GCM_SHA384 CHACHA20_POLY1305_SHA256; do
        ask / --tls13-ciphers "TLS_$suite" >"$folder/page" || fail "$name does not know $suite"
    done
    if ask / --tls-max 1.2 >"$folder/page" 2>&1; then
        fail "$name speaks an old version"
    fi
    hold "$name" "$connections"
    took "pages over TLS"
    timeout 240 "$target/release/bare_metal_client" "127.0.0.1:$port" tls || fail "$name failed"
    for ((tries = 0; tries < 7; tries++)); do
        ask /status >"$folder/status" || fail "$name does not answer any more"
        [ "$(status open) $(status in_use) $(status slots_free)" = "1 2 $((connections - 1))" ] && return
        # Those that ask leave slots in TIME-WAIT, 10 s each.
        sleep 11
    done
    fail "$name keeps a slot"
}

test_lm3s6965() {
    need qemu-system-arm qemu-system-arm
    need curl curl
    need openssl openssl
    need python3 python3
    need_target thumbv7m-none-eabi
    local images=$target/lm3s6965/thumbv7m-none-eabi/release
    local machine=(qemu-system-arm -M lm3s6965evb -semihosting-config "enable=on,target=native")
    build_lm3s6965 http
    took "building HTTP for the LM3S6965"
    boot 80 "${machine[@]}" -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:0-:80" \
        -kernel "$images/http"
    try "HTTP on the LM3S6965" 8
    stop "HTTP on the LM3S6965" 0
    took "trying HTTP on the LM3S6965"
    report_lm3s6965 "HTTP on the LM3S6965 (Cortex-M3)" "$images/http" $((72 * 1024)) $((40 * 1024)) 8
    local without=$flash
    test_dhcp
    export IDENTITY=$target/lm3s6965/identity
    mkdir -p "$IDENTITY"
    build_lm3s6965 https --features tls
    took "building HTTPS for the LM3S6965"
    boot 443 "${machine[@]}" -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:0-:443" \
        -kernel "$images/https"
    try_tls "HTTPS on the LM3S6965" 4
    stop "HTTPS on the LM3S6965" 0
    took "trying HTTPS on the LM3S6965"
    report_lm3s6965 "HTTPS on the LM3S6965 (Cortex-M3)" "$images/https" $((160 * 1024)) \
        $((64 * 1024)) 4
    bound "flash that TLS adds" $((flash - without)) 80000
    row 'flash that TLS adds to HTTP' $((flash - without)) 80000
}

# The image that gets its address by DHCP, of QEMU's server, on a network that the image knows nothing
# of. Only who it is differs, so pages are enough. Called where `machine` and `images` are known.
test_dhcp() {
    local name="HTTP with DHCP on the LM3S6965" tries
    build_lm3s6965 http_dhcp --features dhcp
    took "building $name"
    boot 80 "${machine[@]}" -kernel "$images/http_dhcp" \
        -nic "user,restrict=on,net=192.0.2.0/24,dhcpstart=192.0.2.77,hostfwd=tcp:127.0.0.1:0-:80"
    if ! grep -q '^address: 192\.0\.2\.77' "$folder/log"; then
        cat "$folder/log" >&2
        fail "$name has another address"
    fi
    for ((tries = 0; tries < 20; tries++)); do
        curl --silent --show-error --fail --max-time 20 -o "$folder/bytes" \
            "http://127.0.0.1:$port/bytes/100000" || fail "$name"
        [ "$(wc -c <"$folder/bytes")" = 100000 ] || fail "a long answer of $name is not complete"
    done
    curl --silent --show-error --fail --max-time 20 -o "$folder/status" \
        "http://127.0.0.1:$port/status" || fail "$name"
    stop "$name" 0
    took "trying $name"
    report_lm3s6965 "$name (Cortex-M3)" "$images/http_dhcp" $((96 * 1024)) $((44 * 1024)) 8
    row 'flash that DHCP and UDP add to HTTP' $((flash - without))
    renew "$name"
}

# Has the image renew its lease: QEMU's holds for a day, so it is one of dnsmasq, on a TAP in a network
# namespace, which is to be asked for more time after five seconds.
renew() {
    local name=$1 tries
    if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then
        [ "${CI:-}" != true ] || fail "there can be no TAP to renew a lease on"
        echo "that $name renews its lease is not tested: it takes root and a TAP" >&2
        return
    fi
    need dnsmasq dnsmasq-base
    need ip iproute2
    rm -f "$folder/log"
    unshare --net --pid --fork --kill-child bash -euc '
        ip tuntap add us0 mode tap
        ip addr add 192.0.2.1/24 dev us0
        ip link set us0 up
        dnsmasq --conf-file=/dev/null --no-daemon --user=root --pid-file --port=0 --interface=us0 \
            --bind-interfaces --leasefile-ro --dhcp-authoritative --dhcp-option=option:T1,5 \
            --dhcp-range=192.0.2.77,192.0.2.77,255.255.255.0,120 >"$1/dnsmasq" 2>&1 &
        log=$1
        shift
        exec "$@" -nic tap,ifname=us0,script=no,downscript=no -display none -serial stdio \
            -monitor none -no-reboot </dev/null >"$log/log" 2>&1
    ' - "$folder" "${machine[@]}" -kernel "$images/http_dhcp" &
    beside=$!
    for ((tries = 0; tries < 300; tries++)); do
        ! grep -q '^lease renewed: 192\.0\.2\.77' "$folder/log" 2>/dev/null || break
        sleep 0.1
    done
    if [ "$tries" = 300 ]; then
        cat "$folder"/{log,dnsmasq} >&2
        fail "$name does not renew its lease"
    fi
    # What it has started ends with it. Bash would tell that it was killed.
    { kill -KILL "$beside" && wait "$beside" || true; } 2>/dev/null
    beside=
    took "$name renewing its lease"
}

# In its folder, where its configuration is.
build_lm3s6965() {
    local image=$1
    shift
    (cd "$examples/lm3s6965" && cargo build --quiet --release --locked --bin "$image" "$@" \
        --target-dir "$target/lm3s6965")
}

test_microvm() {
    need qemu-system-x86_64 qemu-system-x86
    need_target x86_64-unknown-none
    (cd "$examples/microvm" && cargo build --quiet --release --locked \
        --target-dir "$target/microvm")
    took "building HTTP for microvm"
    # QEMU has a descriptor for each connection, and so has the client.
    ulimit -n 12000 || cannot "12,000 open files are not allowed"
    local image=$target/microvm/x86_64-unknown-none/release/http
    local machine=(qemu-system-x86_64 -M "microvm,acpi=off,ioapic2=off" -cpu max -m 12M -nodefaults
        -no-user-config -device "isa-debug-exit,iobase=0xf4,iosize=4"
        -global virtio-mmio.force-legacy=false -device "virtio-net-device,netdev=net"
        -kernel "$image")
    boot 80 "${machine[@]}" -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:80"
    try "HTTP on microvm" 1000
    # What the image writes to end the emulation makes this code.
    stop "HTTP on microvm" 33
    took "trying HTTP on microvm"
    try_crowd "${CROWD:-10000}"
    # The first MiB of the machine's 12 is the firmware's.
    local loaded statics stack most=$((11 * 1024 * 1024))
    loaded=$(sections "$image" .text .rodata .data)
    statics=$(status statics)
    stack=$(status stack)
    bound "memory of HTTP on microvm" $((loaded + statics + stack)) "$most"
    [ "$(status stack_peak)" -lt "$stack" ] || fail "the stack of HTTP on microvm is used up"
    printf '\n## %s, %s connections\n\n| bytes | | bound |\n|---|---|---|\n' \
        "HTTP on microvm (x86-64)" 10,000 >>"$folder/report"
    row 'code (`.text`)' "$(sections "$image" .text)"
    row 'constants (`.rodata`)' "$(sections "$image" .rodata)"
    row 'start values (`.data`)' "$(sections "$image" .data)"
    row 'statics (`.bss`)' "$statics"
    row 'stack, reserved' "$stack"
    row 'stack, most that was used' "$(status stack_peak)"
    row '**memory**, everything included' "**$((loaded + statics + stack))**" "$most"
    row 'for each connection' "$(status connection)" 400
    bound "a connection on microvm" "$(status connection)" 400
    row "for each of $(status sets) that have something on their way" "$(status set)"
    row "for each of $(status http_sets) of which a part of a request or a response is kept" \
        "$(status http_set)"
    test_microvm_pci
}

# Tries the machine with far more connections than it has buffers for, `CROWD` of them or 10,000: over
# a TAP, since QEMU's own network would have to look at each of them for every frame.
try_crowd() {
    if [ "$(id -u)" != 0 ] || [ ! -w /dev/net/tun ]; then
        [ "${CI:-}" != true ] || fail "many connections want root and /dev/net/tun"
        echo "bare metal: without root and /dev/net/tun, many connections are not tried" >&2
        return
    fi
    need ip iproute2
    namespace=usockets-$$
    ip netns add "$namespace"
    ip -n "$namespace" tuntap add dev us0 mode tap
    ip -n "$namespace" addr add 10.0.2.2/24 dev us0
    ip -n "$namespace" link set us0 up
    start ip netns exec "$namespace" "${machine[@]}" \
        -netdev tap,id=net,ifname=us0,script=no,downscript=no
    await_image
    timeout 400 ip netns exec "$namespace" \
        "$target/release/bare_metal_client" 10.0.2.15:80 "crowd:$1" >"$folder/status" \
        || { cat "$folder/log" >&2; fail "$1 connections on microvm"; }
    stop "HTTP on microvm with $1 connections" 33
    ip netns delete "$namespace"
    namespace=
    took "$1 connections on microvm"
}

# The same image for a card on the PCI bus. Only where its registers are differs, so pages are enough:
# many frames both ways, and interrupts for them.
test_microvm_pci() {
    need curl curl
    local image=$target/microvm/pci/x86_64-unknown-none/release/http tries
    (cd "$examples/microvm" && cargo build --quiet --release --locked --features pci \
        --target-dir "$target/microvm/pci")
    took "building HTTP for microvm with PCI"
    boot 80 qemu-system-x86_64 -M microvm,acpi=on,ioapic2=off,pcie=on -cpu max -m 12M -nodefaults \
        -no-user-config -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:80" \
        -device virtio-net-pci,netdev=net,romfile= \
        -kernel "$image"
    for ((tries = 0; tries < 20; tries++)); do
        curl --silent --show-error --fail --max-time 20 -o "$folder/bytes" \
            "http://127.0.0.1:$port/bytes/1000000" || fail "HTTP on microvm with PCI"
        [ "$(wc -c <"$folder/bytes")" = 1000000 ] || fail "an answer over PCI is not complete"
    done
    stop "HTTP on microvm with PCI" 33
    took "trying HTTP on microvm with PCI"
}

main() {
    command -v rustup >/dev/null || cannot "rustup is not installed"
    cargo build --quiet --release --locked --package usockets-tests --bin bare_metal_client
    took "building the client"
    cat >"$folder/report" <<'END'
# What the images take

Written by `tests/bare_metal.sh --write`, which boots each image in QEMU, tries it from outside, and
holds it to its bounds. The stack is painted when the image starts; what was used is what the paint
has gone from after all of the tests.
END
    test_lm3s6965
    test_microvm
    cat "$folder/report"
    if [ "$write" = --write ]; then
        cp "$folder/report" "$report"
    fi
}

main
