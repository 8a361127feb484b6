//! Echoes what each connection sends; a peer that does not read costs its memory and no more.
//! `cargo run --release --example echo_server [ADDR]`
//!
//! With `--features tls`, over TLS: `echo_server [ADDR] --tls [--cert PEM --key PEM]`. Without a
//! certificate it makes one for `localhost` and writes it to `localhost.pem`.

use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Loop, Sockets};
use usockets_linux::Linux;

#[path = "handlers/echo.rs"]
mod echo;
#[cfg(feature = "tls-small")]
#[path = "support/identity.rs"]
mod identity;
mod support;

use echo::EchoServer;

#[cfg(feature = "tls-small")]
const USAGE: &str = "usage: echo_server [ADDR] [--tls [--cert PEM --key PEM]...]

Echoes what each connection sends, at ADDR, 127.0.0.1:3000 if none is given.

  --tls        over TLS 1.3; without a certificate one is made for localhost, and written to
               localhost.pem
  --cert PEM   the certificate chain, the own certificate first; several times for several names
  --key PEM    its private key
  --help       says this";

/// Bytes read at once, and so the most that is ever held for one peer. A block of 64 KiB is one
/// read and one write then, not four of each.
const RECEIVE: usize = 65_536;
/// Bytes that the kernel holds for a peer besides. Its own choice goes up to megabytes, which a
/// slow peer takes minutes for, and looks as if it took nothing meanwhile.
const SEND_BUFFER: usize = 262_144;

/// Sockets of the pool.
const SOCKETS_MAX: usize = 4096;

static SOCKETS: ConstStaticCell<Sockets<Linux, EchoServer<'_, RECEIVE>, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
/// What is never needed is never touched, and takes no memory.
static HELD: ConstStaticCell<[[u8; RECEIVE]; SOCKETS_MAX]> =
    ConstStaticCell::new([[0; RECEIVE]; SOCKETS_MAX]);
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    #[cfg(feature = "tls-small")]
    {
        let options = identity::Options::parse(std::env::args().skip(1))?;
        if options.help {
            println!("{USAGE}");
            return Ok(());
        }
        if options.tls {
            return secured::serve(options);
        }
    }
    let at = support::address()?;
    support::raise_descriptors(SOCKETS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let endpoint = Endpoint::tcp(at).send_buffer(SEND_BUFFER);
    let listener = server.net().listen(endpoint, ())?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut EchoServer::new(HELD.take()))?;
    Ok(())
}

/// The same over TLS.
#[cfg(feature = "tls-small")]
mod secured {
    use static_cell::ConstStaticCell;
    use usockets::tls::{ParkingPlace, RustCrypto, Tls, TlsMemory};
    use usockets::{Endpoint, Loop, Sockets};
    use usockets_linux::{Linux, LinuxMachine};

    use crate::echo::EchoServer;
    use crate::identity::Options;
    use crate::{BUFFER, HELD, RECEIVE, SEND_BUFFER, SOCKETS_MAX, support};

    type Crypto = RustCrypto<LinuxMachine>;
    type Layer = Tls<'static, Linux, Crypto>;

    static SOCKETS: ConstStaticCell<Sockets<Layer, EchoServer<'_, RECEIVE>, SOCKETS_MAX>> =
        ConstStaticCell::new(Sockets::new());
    static PARKING: ConstStaticCell<[ParkingPlace; 512]> =
        ConstStaticCell::new([const { ParkingPlace::EMPTY }; 512]);
    static MEMORY: ConstStaticCell<TlsMemory<Crypto, SOCKETS_MAX, 64, 64, 256>> =
        ConstStaticCell::new(TlsMemory::NEW);

    pub(crate) fn serve(mut options: Options) -> Result<(), support::Failure> {
        let at = support::parse_address(options.rest.first().cloned())?;
        support::raise_descriptors(SOCKETS_MAX);
        let mut crypto = RustCrypto::new(LinuxMachine::new());
        let config = options.config(&[], &[], &mut crypto);
        let config = config.map_err(|error| error.to_string())?;
        let platform = support::with_stop_signals(Linux::new()?)?;
        let layer = Tls::new(platform, crypto, config, MEMORY.take()).with_parking(PARKING.take());
        let mut server = Loop::new(layer, SOCKETS.take(), BUFFER.take());
        let endpoint = Endpoint::tls(at, None).send_buffer(SEND_BUFFER);
        let listener = server.net().listen(endpoint, ())?;
        support::announce(server.net().listening_addr(listener));
        server.run(&mut EchoServer::new(HELD.take()))?;
        Ok(())
    }
}
