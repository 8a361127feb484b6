//! The same server over TLS 1.3, at port 443.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use board::crypto::ServerCrypto;
use board::ethernet::{self, Ethernet, FRAME_MAX};
use board::network::{self, Network};
use board::{clock, host, memory, print};
use cortex_m_rt::entry;
use http::date::WallClock;
use http::memory::{self as http_memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::{Fact, Service};
use static_cell::{ConstStaticCell, StaticCell};
use usockets::tls::{Config, EcdsaP256Key, Identity, ServerConfig, Tls, TlsMemory};
use usockets::{Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{Listener, Memory, Neighbour, SizeClass, Slot, SocketStorage};

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;

/// Connections at once.
const CONNECTIONS: usize = 2;
/// Bytes of the stack's two buffers for each.
const WINDOW: usize = 512;
/// Bytes that the handler keeps for each of what it received.
const IN: usize = 640;
/// Bytes that the handler keeps for each of what the client has not taken.
const OUT: usize = 512;

type Platform = Tls<'static, &'static mut Network, ServerCrypto>;

/// The certificate and its key, which the build has made.
static CERTIFICATE: &[u8] = include_bytes!(concat!(env!("IDENTITY"), "/certificate.der"));
static KEY: &[u8] = include_bytes!(concat!(env!("IDENTITY"), "/key.der"));
static SIGNER: StaticCell<EcdsaP256Key> = StaticCell::new();
static CHAIN: [&[u8]; 1] = [CERTIFICATE];
static IDENTITIES: StaticCell<[Identity<'static>; 1]> = StaticCell::new();
static CONFIG: StaticCell<Config<'static>> = StaticCell::new();
static TLS: ConstStaticCell<TlsMemory<ServerCrypto, { CONNECTIONS + 1 }, 1, 1, 1>> =
    ConstStaticCell::new(TlsMemory::NEW);

/// Lent to the loop, so that it need not be moved through the stack.
static NETWORK: StaticCell<Network> = StaticCell::new();
static SERVER: StaticCell<Loop<'static, Platform, Server<'static, IN, OUT>>> = StaticCell::new();
static ETHERNET: ConstStaticCell<Ethernet> = ConstStaticCell::new(Ethernet::NEW);
static SLOTS: ConstStaticCell<[Slot<'static>; CONNECTIONS]> =
    ConstStaticCell::new([const { Slot::EMPTY }; CONNECTIONS]);
/// Made when the program starts: it is not all zero bytes, and would lie in the flash too.
static STORAGE: StaticCell<[SocketStorage<'static>; CONNECTIONS]> = StaticCell::new();
static BYTES: ConstStaticCell<[u8; CONNECTIONS * 2 * WINDOW]> =
    ConstStaticCell::new([0; CONNECTIONS * 2 * WINDOW]);
static BUCKETS: ConstStaticCell<[u32; CONNECTIONS]> = ConstStaticCell::new([0; CONNECTIONS]);
static LISTENERS: ConstStaticCell<[Listener; 1]> = ConstStaticCell::new([Listener::EMPTY; 1]);
static NEIGHBOURS: ConstStaticCell<[Neighbour; 4]> = ConstStaticCell::new([Neighbour::EMPTY; 4]);
static SCRATCH: ConstStaticCell<[u8; FRAME_MAX]> = ConstStaticCell::new([0; FRAME_MAX]);
/// The listener has a place as well.
static SOCKETS: ConstStaticCell<Sockets<Platform, Server<'static, IN, OUT>, { CONNECTIONS + 1 }>> =
    ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, { CONNECTIONS + 1 }>> =
    ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; http_memory::Memory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; http_memory::Memory::<IN, OUT>::RECEIVE_MAX]);

/// What a connection costs, wherever it is.
const CONNECTION: usize = Sockets::<Platform, Server<'static, IN, OUT>, 1>::SLOT_BYTES
    + size_of::<http_memory::Memory<IN, OUT>>()
    + size_of::<Slot<'_>>()
    + size_of::<SocketStorage<'_>>()
    + size_of::<u32>()
    + 2 * WINDOW;

/// Free slots of the stack, noted after each iteration.
static SLOTS_FREE: AtomicU32 = AtomicU32::new(0);

/// What `/status` tells beside the loop's counters: milliseconds, two counts, and bytes.
const FACTS: &[Fact] = &[
    ("uptime_ms", || clock::now().as_micros() / 1000),
    ("slots_free", || SLOTS_FREE.load(Ordering::Relaxed).into()),
    ("frames_lost", || ethernet::lost().into()),
    ("connection", || {
        u64::try_from(CONNECTION).unwrap_or(u64::MAX)
    }),
    ("statics", memory::statics),
    ("stack", memory::stack),
    ("stack_peak", memory::stack_peak),
];

#[entry]
fn main() -> ! {
    board::start();
    match serve() {
        Ok(()) => {
            print("stopped", None);
            host::exit(true)
        }
        Err(_) => {
            print(
                "the memory does not suit, or there are no random bytes",
                None,
            );
            host::exit(false)
        }
    }
}

/// Serves until it is asked to stop and the last connection has ended.
fn serve() -> Result<(), Error> {
    let server = server(platform(storage())?);
    let at = Endpoint::tls(([0, 0, 0, 0], 443).into(), None);
    server.net().listen(at, Group::Idle)?;
    print("listening on port 443", None);
    let service = Service::new(route, WallClock(|| None)).with_facts(FACTS);
    let mut handler = Server::new(service, STORE.take());
    while server.stats().in_use > 0 {
        let free = server.platform().inner().free_count();
        SLOTS_FREE.store(u32::try_from(free).unwrap_or(u32::MAX), Ordering::Relaxed);
        server.poll(&mut handler, None)?;
    }
    Ok(())
}

/// Makes the loop. Not a part of `serve`, whose stack lasts.
#[inline(never)]
fn server(platform: Platform) -> &'static mut Loop<'static, Platform, Server<'static, IN, OUT>> {
    SERVER.init_with(|| Loop::new(platform, SOCKETS.take(), BUFFER.take()))
}

/// Makes the stack that is to be.
#[inline(never)]
fn idle() -> &'static mut Network {
    NETWORK.init_with(|| Network::idle(ETHERNET.take()))
}

/// Starts the stack on the statics.
#[inline(never)]
fn platform(storage: &'static mut [SocketStorage<'static>]) -> Result<Platform, Error> {
    let memory = Memory {
        slots: SLOTS.take(),
        storage,
        bytes: BYTES.take(),
        buckets: BUCKETS.take(),
        listeners: LISTENERS.take(),
        neighbours: NEIGHBOURS.take(),
        scratch: SCRATCH.take(),
    };
    let network = idle();
    network::start(
        network,
        memory,
        &[SizeClass::new(CONNECTIONS, WINDOW, WINDOW)],
    )?;
    let signer = SIGNER.init(EcdsaP256Key::from_der(KEY).ok_or(Error::Invalid)?);
    let identities = IDENTITIES.init([Identity::new(&CHAIN, signer)]);
    let config = CONFIG.init(Config::server(
        ServerConfig::new(identities).protocols(&[b"http/1.1"]),
    ));
    Ok(Tls::new(network, ServerCrypto::new(), config, TLS.take()))
}

/// Makes the places of smoltcp's sockets.
#[inline(never)]
fn storage() -> &'static mut [SocketStorage<'static>] {
    STORAGE.init_with(|| [const { SocketStorage::EMPTY }; CONNECTIONS])
}
