#!/usr/bin/env bash
# test.sh: checks the device of DPDK with the DPDK that the system has, Debian's if it has none, on
# ports in software: rings, TAPs and packet sockets. No huge pages and no card are needed; root is,
# for TAPs and network namespaces.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/target}

fail() {
    echo "$*" >&2
    exit 1
}

# DPDK itself, and its drivers, which are packages of their own.
install_dpdk() {
    if pkg-config --exists 'libdpdk >= 22.11'; then
        return
    fi
    command -v apt-get >/dev/null || fail "neither DPDK 22.11 nor apt-get is here"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || fail "apt-get update"
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 pkg-config libdpdk-dev >/dev/null \
        || fail "installing libdpdk-dev"
}

# Serves over a TAP what curl asks for, by two threads.
check_example() {
    if [ ! -c /dev/net/tun ] || ! unshare --net true 2>/dev/null; then
        [ -z "${CI:-}" ] || fail "no right to make a network namespace with a TAP"
        echo "SKIPPED: dpdk_http: no right to make a network namespace with a TAP"
        return
    fi
    # shellcheck disable=SC2016 # The inner shell's.
    unshare --net bash -euo pipefail -c '
        ip link set lo up
        "$1" --port net_tap0 --mac 02:00:0a:4d:00:02 --ip 10.77.0.2/24 --ip fd77::2/64 --queues 2 -- \
            -l 0 --no-huge -m 256 --no-pci --no-shconf --no-telemetry --log-level=warning \
            --file-prefix=usockets-tests --vdev=net_tap0,iface=us0 >"$2" 2>&1 &
        server=$!
        trap "kill $server" EXIT
        for _ in $(seq 200); do
            grep -q listening "$2" && break
            sleep 0.05
        done
        ip addr add 10.77.0.1/24 dev us0
        ip addr add fd77::1/64 dev us0 nodad
        for _ in $(seq 20); do # Connections of both stacks.
            for host in 10.77.0.2 "[fd77::2]"; do
                count=$(curl -sS --max-time 20 "http://$host/bytes/200000" | wc -c)
                [ "$count" = 200000 ] || { echo "$count bytes came from $host"; exit 1; }
            done
        done
        kill -0 "$server"
    ' dpdk_http "$target/debug/examples/dpdk_http" "$target/dpdk_http.log" \
        || fail "dpdk_http: $(cat "$target/dpdk_http.log")"
}

for tool in pkg-config gcc ip unshare curl; do
    command -v "$tool" >/dev/null || fail "$tool is not here"
done
install_dpdk
cargo fmt -- --check
cargo clippy --quiet --locked --all-targets --all-features --target-dir "$target" -- -D warnings
cargo clippy --quiet --locked --target-dir "$target" -- -D warnings
RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --locked --no-deps --all-features --target-dir "$target"
cargo test --quiet --locked --all-features --target-dir "$target"
check_example
echo "DPDK's ports carry the stack"
