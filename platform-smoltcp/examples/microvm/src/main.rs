//! The HTTP server of the Linux examples as a virtual machine of its own, without an operating
//! system: 1,000 connections, at 10.0.2.15 port 80, where QEMU's user networking expects it.
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

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use heapless::Vec;
use http::date::WallClock;
use http::memory::{Memory as HttpMemory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::{Fact, Service};
use static_cell::{ConstStaticCell, StaticCell};
use usockets::{Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Secret, SizeClass, Slot,
    Stack, Working,
};

use crate::net::{Card, FRAME_MAX};
use crate::port::Port;

/// Connections at once.
const CONNECTIONS: usize = 1_000;
/// Bytes of the stack's two buffers for each.
const WINDOW: usize = 4_096;
/// Bytes that the handler keeps for each of what it received.
const IN: usize = 4_096;
/// Bytes that the handler keeps for each of what the client has not taken.
const OUT: usize = 1_024;

/// What the stack has for each connection.
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, WINDOW, WINDOW);

type Network = Stack<'static, Card>;
type Handler = Server<'static, IN, OUT>;

static NETWORK: StaticCell<Network> = StaticCell::new();
/// Filled when the program starts: they are not all zero bytes, and would lie in the image.
static SLOTS: ConstStaticCell<Vec<Slot, CONNECTIONS>> = ConstStaticCell::new(Vec::new());
static WORKING: ConstStaticCell<Vec<Working, CONNECTIONS>> = ConstStaticCell::new(Vec::new());
static OUTSTANDING: ConstStaticCell<[Outstanding; CLASS.outstanding_len()]> =
    ConstStaticCell::new([Outstanding::EMPTY; CLASS.outstanding_len()]);
static RANGES: ConstStaticCell<[Block; CLASS.ranges_len()]> =
    ConstStaticCell::new([Block::EMPTY; CLASS.ranges_len()]);
static BYTES: ConstStaticCell<[u8; CONNECTIONS * 2 * WINDOW]> =
    ConstStaticCell::new([0; CONNECTIONS * 2 * WINDOW]);
static BUCKETS: ConstStaticCell<[u32; 1_024]> = ConstStaticCell::new([0; 1_024]);
static LISTENERS: ConstStaticCell<[Listener; 1]> = ConstStaticCell::new([Listener::EMPTY; 1]);
static NEIGHBOURS: ConstStaticCell<[Neighbour; 16]> = ConstStaticCell::new([Neighbour::EMPTY; 16]);
static SCRATCH: ConstStaticCell<[u8; FRAME_MAX]> = ConstStaticCell::new([0; FRAME_MAX]);
/// The listener has a place as well.
static SOCKETS: ConstStaticCell<Sockets<&'static mut Network, Handler, { CONNECTIONS + 1 }>> =
    ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, { CONNECTIONS + 1 }>> =
    ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; HttpMemory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; HttpMemory::<IN, OUT>::RECEIVE_MAX]);

/// What a connection costs, wherever it is.
const CONNECTION: usize = Sockets::<&'static mut Network, Handler, 1>::SLOT_BYTES
    + size_of::<HttpMemory<IN, OUT>>()
    + size_of::<Slot>()
    + size_of::<Working>()
    + CLASS.outstanding * size_of::<Outstanding>()
    + CLASS.ranges * size_of::<Block>()
    + size_of::<u32>()
    + 2 * WINDOW;

/// Free slots of the stack, noted before each iteration.
static SLOTS_FREE: AtomicUsize = AtomicUsize::new(0);

/// What `/status` tells beside the loop's counters: milliseconds, two counts, and bytes.
const FACTS: &[Fact] = &[
    ("uptime_ms", || clock::now().as_micros() / 1000),
    ("slots", || widen(CONNECTIONS)),
    ("slots_free", || widen(SLOTS_FREE.load(Ordering::Relaxed))),
    ("connection", || widen(CONNECTION)),
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
    let service = Service::new(route, WallClock(|| None)).with_facts(FACTS);
    let mut handler = Server::new(service, STORE.take());
    while server.stats().in_use > 0 {
        SLOTS_FREE.store(server.platform().free_count(), Ordering::Relaxed);
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
    let config = Config::new(mac, &addresses, Secret::new(secret)).gateway_v4([10, 0, 2, 2].into());
    let memory = Memory {
        slots: fill(SLOTS.take(), || Slot::EMPTY),
        working: fill(WORKING.take(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
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
