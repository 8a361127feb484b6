#!/usr/bin/env bash
# test.sh: builds the library in its forms and runs the programs of tests/ and examples/ against it:
# with gcc and clang, as C11 and C++20, under memcheck and with AddressSanitizer. `test.sh aws-lc`
# runs `tls.c` against the library with aws-lc, with keys of every kind that it has.
#
# Each program says at its end, after "Prints:", what it is to print.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
mkdir -p "$target"
work=$(mktemp -d "$target/c-tests.XXXXXX")
slow=
# shellcheck disable=SC2086 # Some numbers of processes.
trap '[ -z "$slow" ] || kill $slow 2>/dev/null || true; rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Wpedantic -Werror"
behaviours="closing.c streams.c adopting.c times.c clock.c connecting.c loops.c exceptions.cpp"
datagrams="datagrams.c datagram_exceptions.cpp"
prefix=$work/prefix

fail() {
    echo "$*" >&2
    exit 1
}

for tool in gcc g++ clang clang++ valgrind strace pkg-config nm objcopy openssl python3 ip unshare; do
    command -v "$tool" >/dev/null || fail "$tool is not here"
done
cd "$work"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig

# What a program is to print, but for what is otherwise on the system at hand.
otherwise=
expected() {
    sed -n '/^\/\* Prints:$/,/^\*\/$/p' "$1" | sed '1d;$d' | sed "$otherwise"
}

# Compiles a program: compile COMPILER SOURCE OUT ARGUMENTS...
compile() {
    local compiler=$1 source=$2 out=$3
    shift 3
    case $compiler:$source in
        *++:*.c) set -- -std=c++20 -D_GNU_SOURCE -x c++ "$source" -x none "$@" ;;
        *++:*.cpp) set -- -std=c++20 "$source" "$@" ;;
        *) set -- -std=c11 -D_GNU_SOURCE "$source" "$@" ;;
    esac
    # shellcheck disable=SC2086 # The warnings are many words.
    "$compiler" -g -O1 $warnings -I"$prefix/include" -o "$out" "$@" -lpthread -ldl -lm
}

# Runs a program and compares what it prints: check SOURCE COMMAND...
check() {
    local source=$1
    shift
    timeout 120 "$@" >got 2>err || fail "$(cat got err)
$source: $*: failed"
    # The hammer says its seed there, and valgrind what it does not know.
    case "${source##*/} $*" in
        hammer.c*|*valgrind*) ;;
        *) [ ! -s err ] || fail "$(cat err)
$source: $*: prints errors" ;;
    esac
    expected "$source" | diff - got || fail "$source: $*: prints something else"
    grep -q . got || fail "$source: says not what it is to print"
}

build() {
    "$here/build.sh" "$prefix" plain tls smoltcp libuv >/dev/null
    (cd "$here" && USOCKETS_C_SOCKETS=8 cargo build --quiet --release --locked \
        --target-dir "$target/eight")
    (cd "$here" && cargo build --quiet --locked --target-dir "$target/debug-build")
    (cd "$here" && RUSTFLAGS=-Zsanitizer=address cargo +nightly build --quiet --release --locked \
        --target x86_64-unknown-linux-gnu --target-dir "$target/address")
    (cd "$here" && cargo build --quiet --release --locked --features poll \
        --target-dir "$target/poll")
    posix=$target/poll/release/libusockets_c.a
    plain=$prefix/lib/libusockets_c.a
    tls=$prefix/lib/libusockets_c_tls.a
    stack=$prefix/lib/libusockets_c_smoltcp.a
    eight=$target/eight/release/libusockets_c.a
    debug=$target/debug-build/debug/libusockets_c.a
    address=$target/address/x86_64-unknown-linux-gnu/release/libusockets_c.a
}

# The header declares what the libraries export, and nothing else is exported: check_symbols MODULE...
check_symbols() {
    local library option
    grep -o '\bus_[a-z0-9_]*(' "$here/include/libusockets.h" | tr -d '(' | sort -u >declared
    [ "$(wc -l <declared)" -gt 60 ] || fail "the header declares $(wc -l <declared) functions"
    for option in "$@"; do
        library=${option/usockets/usockets_c}
        library=${library//-/_}
        nm -D --defined-only "$prefix/lib/lib$library.so" | awk '{print $3}' | sort >exported
        diff declared exported || fail "lib$library.so does not export what is declared"
        nm -g --defined-only "$prefix/lib/lib$library.a" | awk 'NF == 3 {print $3}' | sort >exported
        diff declared exported || fail "lib$library.a does not export what is declared"
        readelf -d "$prefix/lib/lib$library.so" | grep -q "soname: \[lib$library.so.0\]" \
            || fail "lib$library.so has another soname"
        pkg-config --exists "$option" || fail "$option.pc is not found"
    done
}

# Swift reads the header as a module, by clang.
check_module() {
    printf '@import libusockets;\nint main(void) { return us_loop_poll(0); }\n' >module.m
    clang -x objective-c -fmodules -fmodules-cache-path=modules -fsyntax-only $warnings \
        -I"$prefix/include" module.m || fail "the header is no module"
}

# Every program with both compilers in both languages; dynamically linked by what pkg-config says.
check_compilers() {
    local compiler source
    for compiler in gcc clang g++ clang++; do
        for source in sizes.c closing.c adopting.c; do
            # shellcheck disable=SC2046 # pkg-config prints many words.
            compile "$compiler" "$here/tests/$source" program $(pkg-config --libs usockets)
            check "$here/tests/$source" env LD_LIBRARY_PATH="$prefix/lib" ./program
        done
    done
}

check_behaviours() {
    local source compiler
    for source in $behaviours $datagrams; do
        compiler=gcc
        [ "${source##*.}" = c ] || compiler=g++
        compile $compiler "$here/tests/$source" program "$plain"
        check "$here/tests/$source" ./program
        check "$here/tests/$source" valgrind --quiet --leak-check=full --show-leak-kinds=all \
            --error-exitcode=9 ./program
        compile $compiler "$here/tests/$source" program "$address" -fsanitize=address
        check "$here/tests/$source" ./program
        # The same in the clear over the library with TLS.
        compile $compiler "$here/tests/$source" program "$tls"
        check "$here/tests/$source" ./program
    done
    compile gcc "$here/tests/limits.c" program "$eight"
    check "$here/tests/limits.c" ./program
    compile g++ "$here/tests/full_pool_exceptions.cpp" program "$eight"
    check "$here/tests/full_pool_exceptions.cpp" ./program
    compile gcc "$here/tests/wrong_thread.c" program "$debug"
    ./program >got 2>err && fail "wrong_thread.c: the program went on"
    expected "$here/tests/wrong_thread.c" | diff - got || fail "wrong_thread.c: prints something else"
    grep -q "thread that is not the loop's" err || fail "wrong_thread.c: $(cat err)"
}

# What takes a minute runs beside the others: the long timeout, and ten thousand sockets under
# memcheck.
begin_slow() {
    compile g++ "$here/tests/long_timeouts.cpp" long_timeouts "$plain"
    timeout 120 ./long_timeouts >long_timeouts.got 2>&1 &
    slow=$!
    compile gcc "$here/tests/hammer.c" hammer_slow "$plain"
    timeout 400 valgrind --quiet --leak-check=full --show-leak-kinds=all --error-exitcode=9 \
        ./hammer_slow 10000 "$seed" >hammer.got 2>hammer.err &
    slow="$slow $!"
}

end_slow() {
    local process
    for process in $slow; do
        wait "$process" || fail "$(cat long_timeouts.got hammer.got hammer.err)"
    done
    slow=
    expected "$here/tests/long_timeouts.cpp" | diff - long_timeouts.got || fail "long_timeouts.cpp"
    expected "$here/tests/hammer.c" | diff - hammer.got || fail "$(cat hammer.err)"
}

# What other systems than Linux run on, over poll(2).
check_posix() {
    local source compiler
    # Where a datagram was sent to is not known there.
    otherwise='s/sent to [0-9]* bytes ending in 1/sent to 0 bytes ending in 0/'
    for source in $behaviours $datagrams; do
        compiler=clang
        [ "${source##*.}" = c ] || compiler=clang++
        compile $compiler "$here/tests/$source" program "$posix"
        check "$here/tests/$source" ./program
    done
    compile gcc "$here/tests/hammer.c" hammer "$posix"
    check "$here/tests/hammer.c" ./hammer 1000 "$seed"
    check "$here/tests/hammer.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./hammer 300 "$seed"
    otherwise=
}

# Ten thousand sockets at random, with a seed of its own each time.
check_hammer() {
    compile gcc "$here/tests/hammer.c" hammer "$plain"
    check "$here/tests/hammer.c" ./hammer 10000 "$seed"
    compile gcc "$here/tests/hammer.c" hammer "$address" -fsanitize=address
    check "$here/tests/hammer.c" ./hammer 10000 "$seed"
    compile gcc "$here/tests/hammer.c" hammer "$debug"
    check "$here/tests/hammer.c" ./hammer 10000 "$seed"
    compile gcc "$here/tests/hammer.c" hammer "$tls"
    check "$here/tests/hammer.c" ./hammer 10000 "$seed"
}

# Two authorities, and three certificates of the first; their keys are made as the arguments say.
make_certificates() {
    local name
    [ $# -gt 0 ] || set -- ec -pkeyopt ec_paramgen_curve:P-256
    certificates=$work/certificates
    rm -rf "$certificates"
    mkdir "$certificates"
    (
        cd "$certificates"
        for name in ca other-ca; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
                -subj "/CN=$name" -keyout $name.key -out $name.pem \
                -addext basicConstraints=critical,CA:TRUE
        done
        for name in localhost elsewhere client; do
            openssl req -newkey "$@" -nodes -subj "/CN=$name" -keyout $name.key -out request
            printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\n' "$name" >extensions
            openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
                -extfile extensions -out $name.pem
        done
    ) 2>openssl.log || fail "$(cat openssl.log)"
}

# Writes the keys anew as documents of their own kind: old_keys KIND LABEL ARGUMENTS...
old_keys() {
    local kind=$1 label=$2 name
    shift 2
    for name in localhost elsewhere client; do
        openssl "$kind" "$@" -in "$certificates/$name.key" -out key 2>openssl.log
        grep -q "BEGIN $label" key || fail "openssl writes another kind of document"
        mv key "$certificates/$name.key"
    done
}

check_tls() {
    make_certificates
    compile gcc "$here/tests/tls.c" program "$tls"
    check "$here/tests/tls.c" ./program "$certificates"
    old_keys ec 'EC PRIVATE KEY'
    check "$here/tests/tls.c" ./program "$certificates"
    check "$here/tests/tls.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./program "$certificates"
    compile gcc "$here/tests/hammer.c" hammer "$tls"
    check "$here/tests/hammer.c" ./hammer 2000 "$seed" "$certificates"
    check "$here/tests/hammer.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./hammer 150 "$seed" "$certificates"
}

# TLS by aws-lc: keys of each kind, those of RSA and of curves in either kind of document.
check_aws_lc() {
    "$here/build.sh" "$prefix" aws-lc >/dev/null
    check_symbols usockets-aws-lc
    compile gcc "$here/tests/tls.c" program "$prefix/lib/libusockets_c_aws_lc.a"
    make_certificates rsa:2048
    check "$here/tests/tls.c" ./program "$certificates"
    old_keys rsa 'RSA PRIVATE KEY' -traditional
    check "$here/tests/tls.c" ./program "$certificates"
    make_certificates ec -pkeyopt ec_paramgen_curve:P-384
    check "$here/tests/tls.c" ./program "$certificates"
    old_keys ec 'EC PRIVATE KEY'
    check "$here/tests/tls.c" ./program "$certificates"
    make_certificates ed25519
    check "$here/tests/tls.c" ./program "$certificates"
    make_certificates
    check "$here/tests/tls.c" ./program "$certificates"
    check "$here/tests/tls.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./program "$certificates"
    old_keys ec 'EC PRIVATE KEY'
    check "$here/tests/tls.c" ./program "$certificates"
    # shellcheck disable=SC2046 # pkg-config prints many words.
    compile clang "$here/tests/tls.c" program $(pkg-config --libs usockets-aws-lc)
    check "$here/tests/tls.c" env LD_LIBRARY_PATH="$prefix/lib" ./program "$certificates"
}

# What the examples are for, in the clear and over TLS.
check_examples() {
    local name
    mkdir -p examples
    for name in echo http_server client; do
        compile gcc "$here/examples/$name.c" "examples/$name" "$plain"
        compile clang "$here/examples/$name.c" "examples/${name}_tls" "$tls"
    done
    compile g++ "$here/examples/websocket_chat.cpp" examples/websocket_chat "$plain"
    CERTIFICATES=$certificates timeout 120 python3 "$here/tests/examples.py" examples
}

# The stack in user space against the kernel, in a network namespace of its own.
check_tap() {
    if [ ! -c /dev/net/tun ] || ! unshare --net true 2>/dev/null; then
        [ -z "${CI:-}" ] || fail "no right to make a network namespace with a TAP"
        echo "SKIPPED: tap.c: no right to make a network namespace with a TAP"
        return
    fi
    local run
    compile clang "$here/tests/tap.c" program "$stack"
    for run in "" "valgrind --quiet --leak-check=full --show-leak-kinds=all --error-exitcode=9"; do
        # shellcheck disable=SC2016,SC2086 # The inner shell's; a command of many words.
        check "$here/tests/tap.c" unshare --net bash -c '
            ip link set lo up
            ip tuntap add us0 mode tap vnet_hdr
            ip addr add 10.77.0.1/24 dev us0
            ip link set us0 up
            USOCKETS_TAP=us0 USOCKETS_IP=10.77.0.2/24 exec "$@" 10.77.0.1 10.77.0.2
        ' tap $run ./program
    done
}

# Names with several addresses, in a list of hosts of the test's own, where no ::1 is.
check_names() {
    if ! unshare --net --mount true 2>/dev/null; then
        [ -z "${CI:-}" ] || fail "no right to make a network namespace"
        echo "SKIPPED: names.c: no right to make a network namespace"
        return
    fi
    local run
    printf '%s\n' '127.0.0.1 localhost both.test' '::1 both.test' '127.0.0.2 many.test none.test' \
        '127.0.0.3 many.test none.test' '127.0.0.4 many.test' >hosts
    compile clang "$here/tests/names.c" program "$plain"
    for run in "" "valgrind --quiet --leak-check=full --show-leak-kinds=all --error-exitcode=9"; do
        # shellcheck disable=SC2016,SC2086 # The inner shell's; a command of many words.
        check "$here/tests/names.c" unshare --net --mount bash -c '
            mount --bind hosts /etc/hosts
            ip link set lo up
            ip addr del ::1/128 dev lo
            echo 1 >/proc/sys/net/ipv4/tcp_syn_retries
            exec "$@"
        ' names $run ./program
    done
}

# Loops inside of libuv's, and everything else with the library that can have them.
check_libuv() {
    # shellcheck disable=SC2046 # pkg-config prints many words.
    compile gcc "$here/tests/libuv.c" program $(pkg-config --libs --static usockets-libuv)
    check "$here/tests/libuv.c" env LD_LIBRARY_PATH="$prefix/lib" ./program
    compile clang "$here/tests/libuv.c" program "$prefix/lib/libusockets_c_libuv.a" -luv
    check "$here/tests/libuv.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./program
    compile gcc "$here/tests/loops.c" program "$prefix/lib/libusockets_c_libuv.a" -luv
    check "$here/tests/loops.c" ./program
}

# Loops on a dispatch queue, which the test has where the system has none. The library is made again
# from what the build in the clear left.
check_gcd() {
    (cd "$here" && cargo build --quiet --release --locked --features gcd \
        --target-dir "$target/plain")
    compile gcc "$here/tests/gcd.c" program "$target/plain/release/libusockets_c.a"
    check "$here/tests/gcd.c" ./program
    check "$here/tests/gcd.c" valgrind --quiet --leak-check=full --show-leak-kinds=all \
        --error-exitcode=9 ./program
}

# Instructions, system calls and bytes, of which there may be no more.
check_figures() {
    mkdir -p optimised
    compile gcc "$here/tests/idle.c" optimised/idle -O2 "$plain"
    compile gcc "$here/examples/http_server.c" optimised/http_server -O2 "$plain"
    python3 "$here/tests/figures.py" optimised
}

if [ "${1:-}" = aws-lc ]; then
    check_aws_lc
    echo "TLS by aws-lc behaves"
    exit
fi
# Of the hammer.
seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
echo "hammer: seed $seed"
build
begin_slow
check_symbols usockets usockets-tls usockets-smoltcp usockets-libuv
check_module
check_compilers
check_behaviours
check_hammer
check_posix
check_tls
check_examples
check_tap
check_names
check_libuv
check_gcd
end_slow
check_figures
echo "the C interface behaves"
