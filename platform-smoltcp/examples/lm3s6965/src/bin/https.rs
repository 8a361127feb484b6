//! The same server over TLS 1.3, at port 443.
#![no_std]
#![no_main]

use board::crypto::{ServerCrypto, server_crypto};
use board::network::Network;
use static_cell::{ConstStaticCell, StaticCell};
use usockets::tls::{Config, EcdsaP256Key, Identity, ParkingPlace, ServerConfig, Tls, TlsMemory};
use usockets::{Budget, Endpoint, Error};

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod server;
#[path = "server/fixed.rs"]
mod station;

/// Connections at once.
const CONNECTIONS: usize = 4;
/// Bytes of the stack's two buffers for each.
const WINDOW: usize = 512;
/// Bytes that the handler keeps for each of what it received.
const IN: usize = 640;
/// Bytes that the handler keeps for each of what the client has not taken.
const OUT: usize = 512;
/// Bytes that the image has for its statics (`layout/https/memory.x`).
const STATICS_MAX: usize = 64 * 1024 - 7168;
/// What is between the stack and the loop: TLS and who it is.
const LAYER: Budget = Budget::of::<Memory>()
    .and(Budget::of::<Parking>())
    .and(Budget::of::<EcdsaP256Key>())
    .and(Budget::of::<[Identity<'static>; 1]>())
    .and(Budget::of::<Config<'static>>());
/// What is printed when clients can come.
const LISTENING: &str = "listening on port 443";

/// Bytes of what TLS sends at once: the answer to a hello, with the certificate.
const OUTPUT: usize = 2_560;
/// What TLS leases to its connections, of which the listener is one. Two are answered at once; the
/// others' hellos wait. One record is read at a time: who sends a part of one holds up the others'
/// until its lease is over.
type Memory = TlsMemory<ServerCrypto, { CONNECTIONS + 1 }, 2, 1, 3, OUTPUT>;
/// Where handshakes wait for their clients, and the ends of records for who reads slowly.
type Parking = [ParkingPlace; 2 * CONNECTIONS];
type Platform = Tls<'static, &'static mut Network, ServerCrypto>;

/// The certificate and its key, which the build has made.
static CERTIFICATE: &[u8] = include_bytes!(concat!(env!("IDENTITY"), "/certificate.der"));
static KEY: &[u8] = include_bytes!(concat!(env!("IDENTITY"), "/key.der"));
static SIGNER: StaticCell<EcdsaP256Key> = StaticCell::new();
static CHAIN: [&[u8]; 1] = [CERTIFICATE];
static IDENTITIES: StaticCell<[Identity<'static>; 1]> = StaticCell::new();
static CONFIG: StaticCell<Config<'static>> = StaticCell::new();
static PARKING: ConstStaticCell<Parking> =
    ConstStaticCell::new([const { ParkingPlace::EMPTY }; 2 * CONNECTIONS]);
static TLS: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::NEW);

/// Where clients are served.
fn endpoint() -> Endpoint<'static> {
    Endpoint::tls(([0, 0, 0, 0], 443).into(), None)
}

/// Makes the loop's platform of the stack: TLS over it.
fn layer(network: &'static mut Network) -> Result<Platform, Error> {
    let signer = SIGNER.init(EcdsaP256Key::from_der(KEY).map_err(|_| Error::Invalid)?);
    let identities = IDENTITIES.init([Identity::new(&CHAIN, signer)]);
    let config = CONFIG.init(Config::server(
        ServerConfig::new(identities).protocols(&[b"http/1.1"]),
    ));
    Ok(Tls::new(network, server_crypto(), config, TLS.take()).with_parking(PARKING.take()))
}

/// Returns the stack of the loop's platform.
fn network(platform: &Platform) -> &Network {
    platform.inner()
}
