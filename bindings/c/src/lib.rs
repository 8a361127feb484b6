//! The C interface of µSockets (`libusockets.h`) on usockets' core.
//!
//! Read in this order:
//!
//! - [`handles`]: the blocks that C programs hold pointers to;
//! - [`reach`]: how a call of the program finds the core, and why that is sound;
//! - [`calls`]: the core's calls, passed on to the program's callbacks;
//! - [`margins`] over [`kernel`]: the platform, and what a C program asks of it beyond; with
//!   feature `smoltcp` the file `tap.rs` has its place, on systems that are not Linux `posix.rs`,
//!   on Windows `windows.rs`;
//! - what the header declares, a file for each of its parts: [`event_loop`], [`timer`],
//!   [`context`], [`listen`], [`connect`], [`socket`], [`poll`], [`udp`]; with feature `tls` also
//!   `secure`, with `libuv` and `gcd` the files of these names.
//!
//! Everything that the header declares is declared `extern "C-unwind"`: a C++ exception may leave
//! any callback, passes through the core's frames, and leaves `us_loop_run`. What the core had
//! begun then goes on in the next iteration; see [`event_loop::run`].
//!
//! # Safety
//!
//! Every exported function is `unsafe`: its pointers must be what the library gave out, not freed
//! since. What else each demands is said in the header, which is the documentation of them all.
#![allow(
    clippy::missing_safety_doc,
    reason = "the crate's documentation says it once, and the header for each function"
)]
#![allow(
    missing_docs,
    non_camel_case_types,
    reason = "the header documents what C programs see, under the names they know"
)]

#[cfg(not(any(feature = "smoltcp", feature = "poll", not(target_os = "linux"))))]
mod alarm;
mod block;
mod calls;
mod connect;
mod context;
mod datagrams;
mod event_loop;
#[cfg(feature = "gcd")]
mod gcd;
mod handles;
#[cfg(not(any(feature = "smoltcp", feature = "poll", not(target_os = "linux"))))]
mod kernel;
#[cfg(all(
    not(any(feature = "smoltcp", windows)),
    any(feature = "poll", not(target_os = "linux"))
))]
#[path = "posix.rs"]
mod kernel;
#[cfg(feature = "smoltcp")]
#[path = "tap.rs"]
mod kernel;
#[cfg(all(windows, not(feature = "smoltcp")))]
#[path = "windows.rs"]
mod kernel;
#[cfg(feature = "libuv")]
mod libuv;
mod listen;
mod margins;
#[cfg(unix)]
mod paths;
mod poll;
#[cfg(all(unix, not(feature = "smoltcp")))]
mod pre_open;
mod reach;
#[cfg(feature = "tls")]
mod secure;
mod sockaddr;
mod socket;
mod timer;
mod udp;

#[cfg(all(windows, feature = "tls"))]
compile_error!("there is no TLS on Windows yet");

use kernel::Kernel;
use margins::Margins;

/// What the loops run on.
#[cfg(not(feature = "tls"))]
type Stack = Margins<Kernel>;
/// What the loops run on.
#[cfg(feature = "tls")]
type Stack = Margins<secure::Layer>;

/// Every socket of a loop, for the time of a call.
type Net<'a> = usockets::Net<'a, Stack, ()>;
/// Returns what a C program asks of the platform beyond.
#[cfg(not(feature = "tls"))]
fn kernel<'a>(net: &'a mut Net<'_>) -> &'a mut Kernel {
    net.platform_mut().inner_mut()
}

/// Returns what a C program asks of the platform beyond.
#[cfg(feature = "tls")]
fn kernel<'a>(net: &'a mut Net<'_>) -> &'a mut Kernel {
    net.platform_mut().inner_mut().inner_mut()
}

/// Returns the descriptor of a socket, or -1.
#[cfg(not(feature = "tls"))]
fn raw(socket: &<Stack as usockets::Platform>::Socket) -> handles::Descriptor {
    kernel::raw(socket)
}

/// Returns the descriptor of a socket, or -1.
#[cfg(feature = "tls")]
fn raw(socket: &<Stack as usockets::Platform>::Socket) -> handles::Descriptor {
    kernel::raw(socket.inner())
}

/// What the core keeps of a socket.
type Slot = usockets::Slot<<Stack as usockets::Platform>::Socket, ()>;

/// Sockets and listeners of one loop. Only those in use take memory.
///
/// 2^20, or what `USOCKETS_C_SOCKETS` says when the library is built.
const CAPACITY: usize = match option_env!("USOCKETS_C_SOCKETS") {
    Some(text) => number(text),
    // Windows counts memory when it is reserved.
    None if cfg!(windows) => 1 << 15,
    None => handles::INDEX_MAX,
};

const _: () = assert!(CAPACITY > 0 && CAPACITY <= handles::INDEX_MAX);

/// Reads a decimal number. Anything else fails to build, as [`CAPACITY`] would be 0.
const fn number(text: &str) -> usize {
    let mut rest = text.as_bytes();
    let mut number = 0_usize;
    while let [digit, others @ ..] = rest {
        if !digit.is_ascii_digit() {
            return 0;
        }
        number = number * 10 + (*digit - b'0') as usize;
        rest = others;
    }
    number
}
