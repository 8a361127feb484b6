#!/usr/bin/env bash
# build.sh PREFIX [plain|tls|aws-lc|smoltcp|libuv ...]: builds the library and installs it into
# PREFIX/include, PREFIX/lib and PREFIX/lib/pkgconfig. Without a choice: plain and tls.
#
#   plain    libusockets_c          usockets.pc          TCP of the kernel, in the clear
#   tls      libusockets_c_tls      usockets-tls.pc      the same with TLS 1.3
#   aws-lc   libusockets_c_aws_lc   usockets-aws-lc.pc   the same by aws-lc, RSA and P-384 keys too
#   smoltcp  libusockets_c_smoltcp  usockets-smoltcp.pc  TCP in user space on a TAP of Linux
#   libuv    libusockets_c_libuv    usockets-libuv.pc    loops inside of libuv's
#
# USOCKETS_C_SOCKETS=N makes room for N sockets and listeners a loop, at most 2^20, the default.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -1)
mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
cp "$here/include/libusockets.h" "$here/include/module.modulemap" "$prefix/include/"

# The archive as one object in which only the header's names are global, so that a program can
# link it beside other Rust libraries.
make_archive() {
    local archive=$1 out=$2 work
    work=$(mktemp -d)
    # shellcheck disable=SC2046 # One word for each name.
    ld -r --gc-sections -o "$work/all.o" $(exported | sed 's/^/-u /') "$archive"
    # The compiler's own form of the standard library, which some linkers stumble over, goes too.
    objcopy --wildcard --keep-global-symbol='us_*' --strip-debug \
        --remove-section=.llvmbc --remove-section=.llvmcmd "$work/all.o"
    rm -f "$out"
    ar rcs "$out" "$work/all.o"
    rm -r "$work"
}

# The functions that the header declares.
exported() {
    grep -o '\bus_[a-z0-9_]*(' "$here/include/libusockets.h" | tr -d '(' | sort -u
}

# The libraries that a static link needs besides.
rest="-lpthread -ldl -lm"

for flavour in "${@:-plain}" $([ $# -gt 0 ] || echo tls); do
    requires=
    case $flavour in
        plain) name=usockets_c module=usockets features= ;;
        tls) name=usockets_c_tls module=usockets-tls features=tls ;;
        aws-lc) name=usockets_c_aws_lc module=usockets-aws-lc features=aws-lc-rs ;;
        smoltcp) name=usockets_c_smoltcp module=usockets-smoltcp features=smoltcp ;;
        libuv) name=usockets_c_libuv module=usockets-libuv features=libuv requires=libuv ;;
        *) echo "no such build: $flavour" >&2; exit 2 ;;
    esac
    (cd "$here" && USOCKETS_C_NAME=$name cargo build --quiet --release --locked \
        --features "$features" --target-dir "$target/$flavour")
    built=$target/$flavour/release
    install -m 755 "$built/libusockets_c.so" "$prefix/lib/lib$name.so.0"
    ln -sf "lib$name.so.0" "$prefix/lib/lib$name.so"
    make_archive "$built/libusockets_c.a" "$prefix/lib/lib$name.a"
    cat >"$prefix/lib/pkgconfig/$module.pc" <<END
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: $module
Description: The C interface of µSockets on usockets ($flavour)
Version: $version
${requires:+Requires.private: $requires
}Cflags: -I\${includedir}
Libs: -L\${libdir} -l$name
Libs.private: $rest
END
    echo "installed lib$name into $prefix/lib"
done
