#!/usr/bin/env bash
# Times our TLS beside rustls, s2n-tls, BoringSSL and OpenSSL, all in one run, and fails if a ratio
# misses its bound: `tests/rivals.sh speeds`, or without the argument also what stack and other connections feel
# of handshakes. It wants CMake, libclang, git and a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/rivals"
target=${CARGO_TARGET_DIR:-$PWD/../../target/rivals}

# Without tables first: what it is built of is the other's as well.
cargo build --quiet --release --locked --target-dir "$target"
cp "$target/release/tls_bench" "$target/tls_bench_small"
cargo build --quiet --release --locked --target-dir "$target" --features boring
processor=$(awk -F': ' '/^(cpu family|model name|model)/ { print $2 }' /proc/cpuinfo | head -3)
echo "$(uname -sr), family, model and name:" $processor", load $(cut -d' ' -f1 /proc/loadavg)"
SMALL=$target/tls_bench_small exec "$target/release/tls_bench" "$@"
