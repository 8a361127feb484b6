#!/usr/bin/env bash
# Whether tests notice changes in one place of the code: a random sample of all mutants, since all of
# them take many hours.
#
#     tests/mutants.sh core 40        # 40 of the core's, by a seed that is printed
#     tests/mutants.sh tcp 40 7       # 40 of the TCP's in user space, by the seed 7
#     MINUTES=20 tests/mutants.sh tls # as many of TLS as there is time for
#
# Fails if it is improbable that as many are noticed as are wanted: the end of the interval of 95 %
# (Wilson) is below. What was missed is in `target/mutants/WHAT/mutants.out/missed.txt`.
# Needs `cargo install cargo-mutants cargo-nextest --locked`.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-core} count=${2:-40} seed=${3:-$RANDOM}
case $what in
    core) config=.cargo/mutants.toml wanted=95 ;;
    tcp) config=tests/mutants/tcp.toml wanted=90 ;;
    tls) config=tests/mutants/tls.toml wanted=90 ;;
    *) echo "core, tcp or tls" >&2 && exit 1 ;;
esac
out=${CARGO_TARGET_DIR:-target}/mutants/$what
mkdir -p "$out"

# In an order that the seed decides, each as an expression for itself.
cargo mutants --config "$config" --list >"$out/all.txt"
awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' "$out/all.txt" \
    | LC_ALL=C sort | sed -n "1,${count}p" | cut -f 2- \
    | sed -e 's/[][\.*^$+?(){}|]/\\&/g' -e 's/.*/^&$/' >"$out/drawn.txt"
echo "seed $seed: $count of the $(wc -l <"$out/all.txt") mutants of $what"
mapfile -t drawn <"$out/drawn.txt"

# What is cut off by the time is a random sample too, since they are shuffled again. That mutants are
# missed is told below.
timeout --signal=INT "${MINUTES:-600}m" cargo mutants --config "$config" --shuffle --output "$out" \
    --baseline skip --timeout "${TIMEOUT:-60}" --no-times "${drawn[@]/#/--re=}" || [ $? -lt 4 ] || [ $? -ge 124 ]

of() { wc -l <"$out/mutants.out/$1.txt"; }
awk -v what="$what" -v wanted="$wanted" -v missed="$(of missed)" -v caught="$(of caught)" \
    -v late="$(of timeout)" -v unviable="$(of unviable)" 'BEGIN {
        n = missed + caught + late
        if (n == 0) { print "no mutant was tried"; exit 1 }
        p = (caught + late) / n; z = 1.96
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        printf "%s: %d tried, %d do not compile, %d noticed, %d by no end, %d missed: ", \
            what, n + unviable, unviable, caught + late, late, missed
        printf "%.1f %% (%.1f to %.1f)\n", 100 * p, 100 * (middle - half), 100 * (middle + half)
        exit 100 * (middle + half) < wanted
    }'
