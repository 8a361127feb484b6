#!/usr/bin/env bash
# Packs each crate, unpacks it elsewhere, and checks there that it stands alone: what a package has,
# its examples, and its documentation as docs.rs builds it.
#
#     tests/packages.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
readme=$PWD/README.md
crates=(usockets usockets-async usockets-linux usockets-posix usockets-smoltcp usockets-windows
    usockets-sim usockets-conformance)
# What every package has.
contents=(README.md LICENSE-MIT LICENSE-APACHE CHANGELOG.md Cargo.toml)

fail() {
    echo "$*" >&2
    exit 1
}

# Every feature of a package in this folder, but the one that builds aws-lc.
features_but_aws_lc() {
    sed -n '/^\[features\]/,/^\[/s/^\([a-z0-9-]*\) = .*/\1/p' "$1/Cargo.toml" \
        | grep -vx aws-lc-rs | paste -sd,
}

cargo metadata --format-version 1 --locked | python3 tests/licences.py

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT

selected=()
for crate in "${crates[@]}"; do
    selected+=(--package "$crate")
done
cargo package --quiet --no-verify --allow-dirty --exclude-lockfile --target-dir "$target/packages" \
    "${selected[@]}"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
{
    echo '[workspace]'
    echo 'resolver = "3"'
    printf 'members = ['
    printf '"%s", ' "${crates[@]}"
    printf ']\n[patch.crates-io]\n'
    for crate in "${crates[@]}"; do
        echo "$crate = { path = \"$crate\" }"
    done
} >"$elsewhere/Cargo.toml"
# The versions that the project is tested with.
cp Cargo.lock "$elsewhere"

for crate in "${crates[@]}"; do
    tar -xzf "$target/packages/package/$crate-$version.crate" -C "$elsewhere"
    mv "$elsewhere/$crate-$version" "$elsewhere/$crate"
    for file in "${contents[@]}"; do
        [ -s "$elsewhere/$crate/$file" ] || fail "$crate has no $file"
    done
    links=$(grep -oE '\]\([^)#]+' "$elsewhere/$crate/README.md" | cut -c3- | grep -v '^https\?:' || true)
    for link in $links; do
        [ -e "$elsewhere/$crate/$link" ] || fail "$crate: its README links to $link, which is elsewhere"
    done
    # No `repository`: the project has no public address yet, and none is made up.
    for field in description license documentation readme keywords categories rust-version; do
        grep -q "^$field = " "$elsewhere/$crate/Cargo.toml" || fail "$crate has no $field"
    done
    grep -q 'all-features = true' "$elsewhere/$crate/Cargo.toml" \
        || fail "$crate: docs.rs would leave out what features bring"
done

cd "$elsewhere"
export CARGO_TARGET_DIR=$target/packages/elsewhere
for crate in "${crates[@]}"; do
    features=(--all-features)
    # aws-lc is C and takes a while to build; nothing of an example is about it.
    case $crate in
        usockets-linux) features=(--features tls) ;;
        usockets-smoltcp) features=(--features "$(features_but_aws_lc "$crate")") ;;
    esac
    cargo check --quiet --package "$crate" --examples "${features[@]}"
    # Links to what a feature brings are broken without it, and docs.rs builds with all.
    RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --no-deps --package "$crate" "${features[@]}"
    echo "$crate stands alone"
done

# The first page of the README, pasted: its dependencies and its forty lines. The packages are not
# published yet, so they are taken from here.
block() {
    awk -v kind="$1" '$0 == "```" kind { inside = 1; next } /^```/ { if (inside) exit } inside' "$readme"
}
mkdir -p pasted/src
{
    printf '[package]\nname = "pasted"\nversion = "0.0.0"\nedition = "2024"\n\n'
    block toml
} >pasted/Cargo.toml
block rust >pasted/src/main.rs
[ "$(wc -l <pasted/src/main.rs)" -gt 30 ] || fail "the README has no forty lines"
sed -i 's/^members = \[/members = ["pasted", /' Cargo.toml
cargo check --quiet --package pasted
echo "the README's forty lines compile as pasted"
