//! The same echo server without `std`, without libc and without a start-up file: a static program
//! of 32 KiB at most. `tiny [ADDR]` serves 127.0.0.1:3000 unless told otherwise. On x86-64, one
//! command builds it:
//!
//! ```sh
//! cargo rustc --profile tiny -p usockets-linux --example tiny --no-default-features -- \
//!     --cfg freestanding -C relocation-model=static \
//!     -C link-args="-nostartfiles -nostdlib -static -no-pie \
//!     -Wl,--no-eh-frame-hdr,--build-id=none,-z,norelro,-T,platform-linux/examples/support/tiny.ld"
//! ```
//!
//! SIGTERM and SIGINT stop it in order. Without these flags it is an ordinary program that does the
//! same.
#![cfg_attr(freestanding, no_std)]
#![cfg_attr(freestanding, no_main)]

use core::net::SocketAddrV4;

use static_cell::ConstStaticCell;
use usockets::{AllSockets, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{Linux, Signal};

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
        // A peer that does not read what it asked for is let go.
        if socket.write(data) < data.len() {
            socket.close();
        }
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all((), 0);
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Echo, 1024>> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

#[cfg(freestanding)]
usockets_freestanding::main!(serve);

/// Serves until it is asked to stop.
fn serve(addr: Option<&str>) -> Result<(), Error> {
    // IPv4 only: to read IPv6 would take more than a kilobyte.
    let addr = addr.unwrap_or("127.0.0.1:3000").parse::<SocketAddrV4>();
    let at = Endpoint::tcp(addr.map_err(|_| Error::Invalid)?.into());
    let (Some(sockets), Some(buffer)) = (SOCKETS.try_take(), BUFFER.try_take()) else {
        return Err(Error::Invalid);
    };
    let platform = Linux::new()?.with_signals(&[Signal::INTERRUPT, Signal::TERMINATE])?;
    let mut server = Loop::new(platform, sockets, buffer);
    server.net().listen(at, ())?;
    server.run(&mut Echo)
}

#[cfg(not(freestanding))]
fn main() -> Result<(), Error> {
    serve(std::env::args().nth(1).as_deref())
}
