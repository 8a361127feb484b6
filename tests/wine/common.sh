# What the scripts that run programs under Wine share; they source it.

triple=x86_64-pc-windows-gnu

# Sets `wine`, or says what is missing, of it and of the given tools and their Debian packages
# (`tool:package`), and ends: with success, unless `CI` is true.
need_wine() {
    local path tool missing=()
    wine=$(command -v wine64 || true)
    [ -n "$wine" ] || for path in /usr/lib/wine/wine64 /usr/lib/x86_64-linux-gnu/wine/wine64; do
        [ ! -x "$path" ] || wine=$path
    done
    [ -n "$wine" ] || missing+=("wine and wine64 (Debian packages)")
    for tool in "$@"; do
        command -v "${tool%:*}" >/dev/null || missing+=("${tool%:*} (Debian package ${tool#*:})")
    done
    rustup target list --installed 2>/dev/null | grep -qx $triple \
        || missing+=("rustup target add $triple")
    [ ${#missing[@]} -gt 0 ] || return 0
    printf 'skipped, as this is missing: %s\n' "${missing[@]}"
    [ "${CI:-}" != true ] || exit 1
    exit 0
}

# Makes in a folder what Rust's std wants and Wine before 8.1 lacks, with the given compiler.
add_process_prng() {
    mkdir -p "$2"
    "$1" -shared -O1 -o "$2/bcryptprimitives.dll" \
        "$(dirname "${BASH_SOURCE[0]}")/bcryptprimitives.c" -ladvapi32
}
