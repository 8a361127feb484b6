#!/usr/bin/env bash
# How many requests a second a server answers over TLS, of what it answers in the clear: ours, with
# aws-lc-rs, and nginx, by turns, with 100 connections that are kept open. `tests/https_rate.sh
# [ROUNDS]`. Fails if ours keeps less than 75 %, by the median of the rounds' ratios. Server and clients
# have a processor each; wants two, a C compiler and Python. Installs Debian's nginx-light and openssl
# if they are missing.
set -euo pipefail
cd "$(dirname "$0")/rivals"
target=${CARGO_TARGET_DIR:-$PWD/../../target/rivals}
rounds=${1:-5}
# Of a turn.
seconds=3
folder=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null && return
    apt-get install -y -qq --no-install-recommends "$2" >"$folder/apt" 2>&1 \
        || fail "$1 is not here and cannot be installed: $(tail -1 "$folder/apt")"
}

# The number that a program prints when it listens.
port_of() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        [ ! -s "$1" ] || { cat "$1"; return; }
        sleep 0.1
    done
    fail "a server does not listen"
}

# Processor time of a process, in ticks of 10 ms.
ticks() {
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}

need nginx nginx-light && need openssl openssl
[ "$(nproc)" -ge 2 ] || fail "one processor only: client and server would share it"
cargo build --quiet --release --locked --target-dir "$target" --features rivals --bin kept_alive \
    --bin keep_asking
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem 2>openssl

declare -A port pid
taskset -c 0 "$target/release/kept_alive" 127.0.0.1:0 >clear &
pid[ours]=$! started+=($!)
taskset -c 0 "$target/release/kept_alive" 127.0.0.1:0 certificate.pem key.pem >secured &
pid[ours_tls]=$! started+=($!)
port[ours]=$(port_of clear)
port[ours_tls]=$(port_of secured)
# It takes no port of the kernel's choice; these two are free, unless somebody takes them meanwhile.
read -r port[nginx] port[nginx_tls] < <(python3 -c '
import socket
both = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in both))')
for kind in nginx nginx_tls; do
    cat >"$kind.conf" <<END
daemon off; master_process off; pid $folder/$kind.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000; server_tokens off;
    client_body_temp_path $folder; proxy_temp_path $folder; fastcgi_temp_path $folder;
    uwsgi_temp_path $folder; scgi_temp_path $folder;
    ssl_certificate $folder/certificate.pem; ssl_certificate_key $folder/key.pem;
    ssl_protocols TLSv1.3;
    server {
        listen 127.0.0.1:${port[$kind]} $([ $kind = nginx ] || echo ssl);
        location / { default_type text/plain; return 200 "Hello, world\n"; }
    }
}
END
    taskset -c 0 nginx -p "$folder" -c "$folder/$kind.conf" &
    pid[$kind]=$! started+=($!)
done
sleep 1

# One turn: requests a second, and the server's processor time of each in µs, that of opening the
# connections included.
turn() {
    local kind=$1 root=() before rate
    [[ $kind != *_tls ]] || root=(certificate.pem)
    before=$(ticks "${pid[$kind]}")
    rate=$(taskset -c 1 "$target/release/keep_asking" "127.0.0.1:${port[$kind]}" 100 "$seconds" \
        "${root[@]}") || fail "$kind failed"
    awk -v rate="$rate" -v seconds="$seconds" -v ticks=$(($(ticks "${pid[$kind]}") - before)) \
        'BEGIN { print rate, ticks * 10000 / (rate * seconds) }' >>"$kind.turns"
}

for ((round = 0; round < rounds; round++)); do
    for kind in ours ours_tls nginx nginx_tls; do
        turn "$kind"
    done
done

python3 - "$(uname -r), load $(cut -d' ' -f1 /proc/loadavg)" <<'END'
import statistics
import sys

kinds = ("ours", "ours_tls", "nginx", "nginx_tls")
turns = {kind: [list(map(float, line.split())) for line in open(kind + ".turns")] for kind in kinds}
print(f"{sys.argv[1]}, {len(turns['ours'])} rounds\n")
print("| requests/s, server's µs for each | in the clear | over TLS | TLS keeps (least to most) |")
print("|---|---|---|---|")
kept = {}
for who in ("ours", "nginx"):
    both = [turns[who], turns[who + "_tls"]]
    cells = [" and ".join(f"{statistics.median(column):,.{digits}f}"
                          for column, digits in zip(zip(*side), (0, 1))) for side in both]
    ratios = [secured[0] / clear[0] for clear, secured in zip(*both)]
    kept[who] = statistics.median(ratios)
    print(f"| {who} | {cells[0]} | {cells[1]} | {kept[who]:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")
if kept["ours"] < 0.75:
    sys.exit("ours keeps less than 0.75")
END
