#!/usr/bin/env bash
# Compares the public interface of each crate with that of an earlier commit: what is gone, or has
# another signature, must be named in CHANGELOG.md. Wants `cargo install cargo-public-api` and nightly.
#
#     tests/api.sh            # since the first edition
#     tests/api.sh v0.1.0     # since a release
set -euo pipefail
cd "$(dirname "$0")/.."
since=${1:-ec8a9f8}
target=${CARGO_TARGET_DIR:-$PWD/target}/api

before=$(mktemp -d)
trap 'git worktree remove --force "$before"' EXIT
git worktree add --quiet --detach --force "$before" "$since"

# Lists what a crate offers in a folder: one item a line, without what the compiler derives.
list() {
    (cd "$1" && CARGO_TARGET_DIR=$target cargo +nightly public-api --package "$2" --all-features \
        --omit blanket-impls,auto-trait-impls,auto-derived-impls)
}

mkdir -p "$target"
unnamed=0
for crate in usockets usockets-linux usockets-smoltcp usockets-posix usockets-windows \
    usockets-async usockets-sim usockets-conformance; do
    grep -rqs --include=Cargo.toml "^name = \"$crate\"" "$before" || continue
    list "$before" "$crate" >"$target/$crate.before"
    list . "$crate" >"$target/$crate.after"
    python3 tests/api.py "$crate" "$target/$crate.before" "$target/$crate.after" CHANGELOG.md \
        || unnamed=1
done
exit $unnamed
