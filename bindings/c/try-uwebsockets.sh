#!/usr/bin/env bash
# try-uwebsockets.sh CHECKOUT [PREFIX]: builds µWebSockets, as it is in that checkout, against this
# library, and runs what of it needs no other library: its HTTP and WebSocket servers, with bodies
# of every size and messages over many connections.
#
# PREFIX is where build.sh installed; without one, the library is built first. Needs g++, curl and
# python3. No other checkout is touched, and nothing is downloaded.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
checkout=$(cd "$1" && pwd)
[ -f "$checkout/src/App.h" ] || { echo "$checkout is no checkout of µWebSockets" >&2; exit 2; }
work=$(mktemp -d)
servers=()
# shellcheck disable=SC2317 # Called by the trap.
cleanup() {
    local server
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    rm -r "$work"
}
trap cleanup EXIT
prefix=${2:-$work/prefix}
[ $# -ge 2 ] || "$here/build.sh" "$prefix" plain

compile() {
    g++ -std=c++20 -O2 -DUWS_NO_ZLIB -I"$checkout/src" -I"$prefix/include" \
        "$checkout/examples/$1.cpp" -o "$work/$1" "$prefix/lib/libusockets_c.a" -lpthread
}

# Starts a server and waits until it listens.
start() {
    local port=$2
    "$work/$1" >"$work/$1.log" 2>&1 &
    servers+=($!)
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.1
    done
    echo "$1 does not listen at $port" >&2
    exit 1
}

stop() {
    kill "${servers[-1]}"
    wait "${servers[-1]}" 2>/dev/null || true
    unset 'servers[-1]'
}

for name in HelloWorld HelloWorldThreaded EchoBody Crc32 EchoServer; do
    echo "building $name"
    compile $name
done

for name in HelloWorld HelloWorldThreaded; do
    start $name 3000
    for _ in $(seq 50); do
        curl -sf http://127.0.0.1:3000/ | grep -q 'Hello' || { echo "$name: no page"; exit 1; }
    done
    stop
    echo "$name: 50 pages"
done

start EchoBody 3000
for bytes in 0 1 1000 65536 524288 1000000 33554432; do
    head -c "$bytes" /dev/urandom >"$work/body"
    curl -sf --data-binary "@$work/body" http://127.0.0.1:3000/ | cmp - "$work/body"
    curl -sf -H 'Transfer-Encoding: chunked' --data-binary "@$work/body" http://127.0.0.1:3000/ \
        | cmp - "$work/body"
done
stop
echo "EchoBody: bodies of 0 to 32 MiB, with their length and in chunks"

start Crc32 3000
head -c 134217728 /dev/zero >"$work/body"
expected=$(python3 -c 'import sys, zlib; print("%x" % zlib.crc32(open(sys.argv[1], "rb").read()))' \
    "$work/body")
got=$(curl -sf --data-binary "@$work/body" http://127.0.0.1:3000/)
[ "$got" = "$expected" ] || { echo "Crc32: $got instead of $expected" >&2; exit 1; }
stop
echo "Crc32: a body of 128 MiB"

start EchoServer 9001
python3 "$here/tests/websocket_load.py" 9001
stop
echo "all of it works"
