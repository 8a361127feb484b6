//! The HTTP server of the Linux examples as a virtual machine of its own, without an operating
//! system: 10,000 connections in 12 MiB, at 10.0.2.15 port 80, where QEMU's user networking expects
//! it.
//!
//! A silent connection holds no buffers. Those of the stack are leased while something is on its
//! way, and those of the handler while a request is not complete or a response is not taken.
#![no_std]
#![no_main]

mod boot;
mod bus;
mod clock;
mod interrupts;
mod memory;
mod net;
mod port;
mod serial;

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
#[path = "../../../../platform-linux/examples/handlers/leases.rs"]
mod leases;

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use heapless::Vec;
use http::date::WallClock;
use http::memory::Memory as HttpMemory;
use http::routes::route;
use http::server::{Group, ServerOf};
use http::service::{Fact, Service};
use leases::{LeasedStore, Leases};
use static_cell::{ConstStaticCell, StaticCell};
use usockets::{Duration, Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{
    Address, Block, Config, InFlight, Limits, Listener, Memory, Neighbour, Outstanding, Resting,
    Secret, SizeClass, Slot, Stack,
};

use crate::net::{Card, FRAME_MAX};
use crate::port::Port;

/// Connections at once.
const CONNECTIONS: usize = 10_000;
/// Connections that may have something on its way at once.
const SETS: usize = 512;
/// Bytes of the stack's two buffers for each of those.
const WINDOW: usize = 4_096;
/// Connections of which the handler may keep something at once.
const HTTP_SETS: usize = 256;
/// Bytes that the handler keeps for each of those of what it received.
const IN: usize = 4_096;
/// Bytes that the handler keeps for each of those of what the client has not taken.
const OUT: usize = 1_024;
/// How long a client may send nothing.
const IDLE: Duration = Duration::from_secs(300);
/// How long a handshake may take: an emulator on a busy machine may stand still for seconds.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// What the stack has for all connections.
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, WINDOW, WINDOW).leased(SETS);
/// Buckets of the stack's table: a power of two.
const BUCKETS_LEN: usize = CONNECTIONS.next_power_of_two();

type Network = Stack<'static, Card>;
type Handler = ServerOf<Leases<'static, IN, OUT>>;
/// The listener has a place as well.
type Store = LeasedStore<IN, OUT, HTTP_SETS, { CONNECTIONS + 1 }>;

static NETWORK: StaticCell<Network> = StaticCell::new();
/// Filled when the program starts: they are not all zero bytes, and would lie in the image.
static SLOTS: ConstStaticCell<Vec<Slot, CONNECTIONS>> = ConstStaticCell::new(Vec::new());
static RESTING: ConstStaticCell<Vec<Resting, CONNECTIONS>> = ConstStaticCell::new(Vec::new());
static IN_FLIGHT: ConstStaticCell<Vec<InFlight, SETS>> = ConstStaticCell::new(Vec::new());
static OUTSTANDING: ConstStaticCell<[Outstanding; CLASS.outstanding_len()]> =
    ConstStaticCell::new([Outstanding::EMPTY; CLASS.outstanding_len()]);
static RANGES: ConstStaticCell<[Block; CLASS.ranges_len()]> =
    ConstStaticCell::new([Block::EMPTY; CLASS.ranges_len()]);
static BYTES: ConstStaticCell<[u8; CLASS.bytes()]> = ConstStaticCell::new([0; CLASS.bytes()]);
static BUCKETS: ConstStaticCell<[u32; BUCKETS_LEN]> = ConstStaticCell::new([0; BUCKETS_LEN]);
static LISTENERS: ConstStaticCell<[Listener; 1]> = ConstStaticCell::new([Listener::EMPTY; 1]);
static NEIGHBOURS: ConstStaticCell<[Neighbour; 16]> = ConstStaticCell::new([Neighbour::EMPTY; 16]);
static SCRATCH: ConstStaticCell<[u8; FRAME_MAX]> = ConstStaticCell::new([0; FRAME_MAX]);
static SOCKETS: ConstStaticCell<Sockets<&'static mut Network, Handler, { CONNECTIONS + 1 }>> =
    ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; HttpMemory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; HttpMemory::<IN, OUT>::RECEIVE_MAX]);

/// What a silent connection costs, wherever it is.
const CONNECTION: usize = Sockets::<&'static mut Network, Handler, 1>::SLOT_BYTES
    + Store::SLOT_BYTES
    + size_of::<Slot>()
    + size_of::<Resting>()
    + BUCKETS_LEN.div_ceil(CONNECTIONS) * size_of::<u32>();
/// What a set of the stack takes, and one of the handler.
const SET: usize = size_of::<InFlight>()
    + CLASS.outstanding * size_of::<Outstanding>()
    + CLASS.ranges * size_of::<Block>()
    + 2 * WINDOW;
const HTTP_SET: usize = Store::SET_BYTES;

/// Free slots and sets of the stack, and how often there were too few, noted before each iteration.
static SLOTS_FREE: AtomicUsize = AtomicUsize::new(0);
static SETS_FREE: AtomicUsize = AtomicUsize::new(0);
static STARVED: AtomicU64 = AtomicU64::new(0);
static STALLED: AtomicU64 = AtomicU64::new(0);
/// Sets of the handler that were taken from who had them.
static EVICTED: AtomicU64 = AtomicU64::new(0);

/// What `/status` tells beside the loop's counters: milliseconds, counts, and bytes.
const FACTS: &[Fact] = &[
    ("uptime_ms", || clock::now().as_micros() / 1000),
    ("slots", || widen(CONNECTIONS)),
    ("slots_free", || widen(SLOTS_FREE.load(Ordering::Relaxed))),
    ("sets", || widen(SETS)),
    ("sets_free", || widen(SETS_FREE.load(Ordering::Relaxed))),
    ("http_sets", || widen(HTTP_SETS)),
    ("starved", || STARVED.load(Ordering::Relaxed)),
    ("stalled", || STALLED.load(Ordering::Relaxed)),
    ("evicted", || EVICTED.load(Ordering::Relaxed)),
    ("connection", || widen(CONNECTION)),
    ("set", || widen(SET)),
    ("http_set", || widen(HTTP_SET)),
    ("statics", memory::statics),
    ("stack", memory::stack),
    ("stack_peak", memory::stack_peak),
];

/// Where the boot code leads.
pub(crate) extern "C" fn start() -> ! {
    interrupts::start();
    serial::start();
    clock::start();
    port::allow_interrupts();
    match serve() {
        Ok(()) => {
            print("stopped");
            exit(true)
        }
        Err(_) => {
            print("no network card, no random numbers, or not enough memory");
            exit(false)
        }
    }
}

/// Serves until it is asked to stop and the last connection has ended.
fn serve() -> Result<(), Error> {
    let mut server = Loop::new(network()?, SOCKETS.take(), BUFFER.take());
    let at = Endpoint::tcp(([0, 0, 0, 0], 80).into()).backlog(256);
    server.net().listen(at, Group::Listener)?;
    print("listening on port 80");
    let mut service = Service::new(route, WallClock(|| None)).with_facts(FACTS);
    service.limits.idle = IDLE;
    let mut handler = Handler::with_pool(service, STORE.take().pool());
    while server.stats().in_use > 0 {
        let stack = server.platform();
        SLOTS_FREE.store(stack.free_count(), Ordering::Relaxed);
        SETS_FREE.store(stack.free_sets(), Ordering::Relaxed);
        let counters = stack.counters();
        STARVED.store(counters.starved, Ordering::Relaxed);
        STALLED.store(counters.stalled_evicted, Ordering::Relaxed);
        EVICTED.store(handler.pool().evicted, Ordering::Relaxed);
        server.poll(&mut handler, None)?;
    }
    Ok(())
}

/// Makes the stack of the statics.
fn network() -> Result<&'static mut Network, Error> {
    let mut secret = [0; 16];
    for eight in secret.as_chunks_mut::<8>().0 {
        *eight = port::random().ok_or(Error::Denied)?.to_le_bytes();
    }
    let card = net::start().ok_or(Error::Denied)?;
    let mac = card.mac().ok_or(Error::Denied)?;
    let addresses = [Address::new([10, 0, 2, 15].into(), 24)];
    let config = Config::new(mac, &addresses, Secret::new(secret))
        .gateway_v4([10, 0, 2, 2].into())
        .limits(Limits::DEFAULT.handshake(HANDSHAKE));
    let memory = Memory {
        slots: fill(SLOTS.take(), || Slot::EMPTY),
        working: &mut [],
        resting: fill(RESTING.take(), || Resting::EMPTY),
        in_flight: fill(IN_FLIGHT.take(), || InFlight::EMPTY),
        outstanding: OUTSTANDING.take(),
        ranges: RANGES.take(),
        bytes: BYTES.take(),
        buckets: BUCKETS.take(),
        listeners: LISTENERS.take(),
        neighbours: NEIGHBOURS.take(),
        scratch: SCRATCH.take(),
    };
    let network = NETWORK.init_with(|| Stack::idle(card));
    network.start(&config, memory, &[CLASS])?;
    Ok(network)
}

/// Fills an array to its end.
fn fill<T, const N: usize>(array: &mut Vec<T, N>, make: impl Fn() -> T) -> &mut [T] {
    while array.push(make()).is_ok() {}
    array
}

/// Writes a line to the terminal.
fn print(line: &str) {
    serial::write(line.as_bytes());
    serial::write(b"\r\n");
}

/// Ends the emulation, with code 33 for success and 35 for failure.
fn exit(success: bool) -> ! {
    loop {
        port::write(Port::EXIT, if success { 16 } else { 17 });
    }
}

#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    print("panic");
    exit(false)
}

fn widen(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
