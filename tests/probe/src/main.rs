//! Links only when no panic is reachable from any public call of the core, whatever a platform, a
//! peer and a program do, and when nothing allocates: the panic handler calls a function that
//! nobody defines, and there is no allocator. It is never run.
//!
//! With the feature `tls` it makes the calls of TLS as well, with cryptography and certificates
//! that are anything: what it proves is about the engine and the layer.
//!
//! `cargo build --release --target thumbv7em-none-eabihf`, or for any other target without an
//! operating system. On Linux the memory functions come from libc, so there it takes
//! `RUSTFLAGS="-C link-args=-nostartfiles -C link-arg=-lc"`, and a `--target` too.
#![no_std]
#![no_main]

mod anything;
mod capable;
mod composed;
#[cfg(feature = "tls")]
mod cryptography;
mod guards;
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "some of it is for TLS only")
)]
mod hidden;
mod outside;
#[cfg(feature = "tls")]
mod secured;
#[cfg(feature = "small-stack")]
mod stack;

use core::panic::PanicInfo;

use usockets::{Loop, Place, Slot, Sockets};

use crate::anything::Anything;
use crate::outside::Outside;

unsafe extern "C" {
    /// Defined nowhere.
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

static mut PLAIN: Sockets<Outside<false>, Anything, 64> = Sockets::new();
static mut HOLDING: Sockets<&'static mut Outside<true>, Anything, 64> = Sockets::new();
static mut LENT: Outside<true> = Outside;
static mut RECEIVE: [u8; 2_048] = [0; 2_048];
static mut CORK: [u8; 1_024] = [0; 1_024];

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let more = anything::values();
    // SAFETY: the only place that names the statics, and it is entered once.
    let (plain, holding, lent, receive, cork) = unsafe {
        (
            &mut *&raw mut PLAIN,
            &mut *&raw mut HOLDING,
            &mut *&raw mut LENT,
            &mut *&raw mut RECEIVE,
            &mut *&raw mut CORK,
        )
    };
    let _ = match more & 7 {
        4 => composed::run(receive),
        5 => guards::run(receive, cork),
        0 => anything::run(Outside, plain, receive, cork),
        2 => {
            let mut slots = [const { Slot::free(0) }; 4];
            let mut data = [const { Place::Vacant }; 3];
            let server: Result<Loop<'_, Outside<false>, Anything>, _> =
                Loop::with_slices(Outside, &mut slots, &mut data, receive);
            server.map(|mut server| anything::descriptors(&mut server.net()))
        }
        #[cfg(feature = "tls")]
        1 => secured::run(receive, cork),
        #[cfg(feature = "small-stack")]
        6 => stack::run(receive, cork),
        _ => anything::run(lent, holding, receive, cork),
    };
    #[cfg(all(feature = "injected-panic", not(feature = "tls")))]
    let _ = hidden::word() / hidden::word();
    loop {
        hidden::word();
    }
}
