//! The HTTP server of `usockets-linux`, over a TCP stack of our own on a TAP of Linux: `/`,
//! `/echo` (POST), `/bytes/N` and `/stats`, on port 80. See `tap_echo` for how to start it.
//!
//! With `--features tls`, over TLS on port 443: `--tls [--cert PEM --key PEM]…`. Without a
//! certificate it makes one for its addresses and writes it to `localhost.pem`. Keys are P-256 and
//! Ed25519, with `--features aws-lc-rs` also P-384 and RSA, in PKCS #8, SEC 1 or PKCS #1.

use std::time::SystemTime;

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[cfg(feature = "tls")]
#[path = "support/identity.rs"]
mod identity;
mod support;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use static_cell::ConstStaticCell;
use support::CONNECTIONS;
use usockets::{Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;

#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
static SOCKETS: ConstStaticCell<
    Sockets<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Server<'_, IN, OUT>, CONNECTIONS>,
> = ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, CONNECTIONS>> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; Memory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; Memory::<IN, OUT>::RECEIVE_MAX]);

fn main() -> Result<(), Error> {
    #[cfg(feature = "tls")]
    match identity::Options::take(std::env::args().skip(1)) {
        Ok(options) if options.tls => return secured::serve(options),
        Ok(_) => {}
        Err(error) => {
            eprintln!("{error}");
            return Err(Error::Invalid);
        }
    }
    let mut server = Loop::new(
        support::stack(std::env::args().skip(1))?,
        SOCKETS.take(),
        BUFFER.take(),
    );
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    server.net().listen(at, Group::Listener)?;
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut http = Server::new(Service::new(route, clock), STORE.take());
    server.run(&mut http)
}

/// The same over TLS.
#[cfg(feature = "tls")]
mod secured {
    use std::time::SystemTime;

    use static_cell::ConstStaticCell;
    #[cfg(not(feature = "aws-lc-rs"))]
    use usockets::tls::RustCrypto as Provider;
    use usockets::tls::{ParkingPlace, Tls, TlsMemory};
    use usockets::{Endpoint, Error, Loop, Sockets};
    #[cfg(feature = "aws-lc-rs")]
    use usockets_linux::AwsLc as Provider;
    use usockets_linux::LinuxMachine;
    use usockets_smoltcp::{Pcap, Stack, Tap};

    use crate::http::date::WallClock;
    use crate::http::routes::route;
    use crate::http::server::{Group, Server};
    use crate::http::service::Service;
    use crate::identity::Options;
    use crate::{BUFFER, CONNECTIONS, IN, OUT, STORE, support};

    type Crypto = Provider<LinuxMachine>;
    type Layer = Tls<'static, Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Crypto>;

    static SOCKETS: ConstStaticCell<Sockets<Layer, Server<'_, IN, OUT>, CONNECTIONS>> =
        ConstStaticCell::new(Sockets::new());
    static PARKING: ConstStaticCell<[ParkingPlace; 128]> =
        ConstStaticCell::new([const { ParkingPlace::EMPTY }; 128]);
    static MEMORY: ConstStaticCell<TlsMemory<Crypto, CONNECTIONS, 16, 16, 64>> =
        ConstStaticCell::new(TlsMemory::NEW);

    pub(crate) fn serve(mut options: Options) -> Result<(), Error> {
        let arguments = options.rest.iter();
        let addresses: Vec<String> = arguments
            .filter_map(|argument| Some(argument.split_once('/')?.0.to_string()))
            .collect();
        let mut crypto = Provider::new(LinuxMachine::new());
        let config = match options.config(&addresses, &[b"http/1.1"], &mut crypto) {
            Ok(config) => config,
            Err(error) => {
                eprintln!("{error}");
                return Err(Error::Invalid);
            }
        };
        let stack = support::stack(options.rest.into_iter())?;
        let layer = Tls::new(stack, crypto, config, MEMORY.take()).with_parking(PARKING.take());
        let mut server = Loop::new(layer, SOCKETS.take(), BUFFER.take());
        let at = Endpoint::tls(([0_u16; 8], 443).into(), None);
        server.net().listen(at, Group::Listener)?;
        let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
        let mut http = Server::new(Service::new(route, clock), STORE.take());
        server.run(&mut http)
    }
}
