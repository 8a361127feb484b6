//! What all images are made of: the memory, the loop and the status page. A program that includes
//! this has the sizes, the platform and the endpoint in its root, and a module `station`.

use core::sync::atomic::{AtomicU32, Ordering};

use board::ethernet::{self, Ethernet, FRAME_MAX};
use board::network::Network;
use board::{clock, host, memory, print};
use cortex_m_rt::entry;
use static_cell::{ConstStaticCell, StaticCell};
use usockets::{Budget, Error, Loop, Sockets};
use usockets_smoltcp::{Block, Listener, Memory, Neighbour, Outstanding, SizeClass, Slot, Working};

use crate::http::date::WallClock;
use crate::http::memory::{Memory as HttpMemory, Store};
use crate::http::routes::route;
use crate::http::service::{Fact, Service};
use crate::station::{SOCKETS as SOCKETS_MAX, Station, begin, seed, start, station};
use crate::{CONNECTIONS, IN, LAYER, OUT, Platform, STATICS_MAX, WINDOW, layer, network};

/// Lent to the loop, so that it need not be moved through the stack.
static NETWORK: StaticCell<Network> = StaticCell::new();
static SERVER: StaticCell<Loop<'static, Platform, Station>> = StaticCell::new();
static STATION: StaticCell<Station> = StaticCell::new();
static ETHERNET: ConstStaticCell<Ethernet> = ConstStaticCell::new(Ethernet::NEW);
/// What the stack has for each connection. As many as there are may come at once: without cookies,
/// one beyond those that may be half-open would take the place of the one that came first.
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, WINDOW, WINDOW)
    .half_open(CONNECTIONS)
    .outstanding(4)
    .ranges(2);

/// Made when the program starts: they are not all zero bytes, and would lie in the flash too.
static SLOTS: StaticCell<[Slot; CONNECTIONS]> = StaticCell::new();
static WORKING: StaticCell<[Working; CONNECTIONS]> = StaticCell::new();
static NEIGHBOURS: StaticCell<[Neighbour; 4]> = StaticCell::new();
static LISTENERS: ConstStaticCell<[Listener; 1]> = ConstStaticCell::new([Listener::EMPTY; 1]);
static ZEROS: ConstStaticCell<Zeros> = ConstStaticCell::new(Zeros {
    outstanding: [Outstanding::EMPTY; CLASS.outstanding_len()],
    ranges: [Block::EMPTY; CLASS.ranges_len()],
    bytes: [0; CONNECTIONS * 2 * WINDOW],
    buckets: [0; CONNECTIONS],
    scratch: [0; FRAME_MAX],
});
static SOCKETS: ConstStaticCell<Sockets<Platform, Station, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, SOCKETS_MAX>> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; HttpMemory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; HttpMemory::<IN, OUT>::RECEIVE_MAX]);

/// The memory of the stack that is all zero bytes at first, together: taking each for itself would
/// be code for each.
struct Zeros {
    outstanding: [Outstanding; CLASS.outstanding_len()],
    ranges: [Block; CLASS.ranges_len()],
    bytes: [u8; CONNECTIONS * 2 * WINDOW],
    buckets: [u32; CONNECTIONS],
    scratch: [u8; FRAME_MAX],
}

/// What a connection costs, wherever it is.
const CONNECTION: usize = Sockets::<Platform, Station, 1>::SLOT_BYTES
    + Store::<IN, OUT, SOCKETS_MAX>::SLOT_BYTES
    + CLASS.budget().bytes() / CONNECTIONS;

/// All memory of the program but its call stack.
const MEMORY: Budget = CLASS
    .budget()
    .and(Budget::of::<[Listener; 1]>())
    .and(Budget::of::<[Neighbour; 4]>())
    .and(Budget::of::<[u8; FRAME_MAX]>())
    .and(Budget::of::<Network>())
    .and(Budget::of::<Ethernet>())
    .and(LAYER)
    .and(Budget::of::<Sockets<Platform, Station, SOCKETS_MAX>>())
    .and(Budget::of::<Store<IN, OUT, SOCKETS_MAX>>())
    .and(Budget::of::<[u8; HttpMemory::<IN, OUT>::RECEIVE_MAX]>())
    .and(Budget::of::<Station>())
    .and(Budget::of::<Loop<'static, Platform, Station>>());

const _: () = assert!(MEMORY.bytes() <= STATICS_MAX, "the statics fit the RAM");

/// Free slots of the stack, noted before each iteration.
static SLOTS_FREE: AtomicU32 = AtomicU32::new(0);

/// What `/status` tells beside the loop's counters: milliseconds, three counts, and bytes.
const FACTS: &[Fact] = &[
    ("uptime_ms", || clock::now().as_micros() / 1000),
    ("slots", || u64::try_from(CONNECTIONS).unwrap_or(u64::MAX)),
    ("slots_free", || SLOTS_FREE.load(Ordering::Relaxed).into()),
    ("frames_lost", || ethernet::lost().into()),
    ("connection", || {
        u64::try_from(CONNECTION).unwrap_or(u64::MAX)
    }),
    ("memory", || {
        u64::try_from(MEMORY.bytes()).unwrap_or(u64::MAX)
    }),
    ("statics", memory::statics),
    ("stack", memory::stack),
    ("stack_peak", memory::stack_peak),
];

#[entry]
fn main() -> ! {
    board::start();
    // On the stack first, of which `serve` takes a part.
    let stack = idle();
    match serve(stack) {
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
#[inline(never)]
fn serve(stack: &'static mut Network) -> Result<(), Error> {
    let (slots, working) = (slots(), working());
    let platform = platform(stack, slots, working)?;
    let server = server(platform);
    begin(server)?;
    let handler = handler()?;
    while server.stats().in_use > 0 {
        let free = network(server.platform()).free_count();
        SLOTS_FREE.store(u32::try_from(free).unwrap_or(u32::MAX), Ordering::Relaxed);
        server.poll(handler, None)?;
    }
    Ok(())
}

/// Makes the loop: not a part of `serve`, whose stack lasts.
#[inline(never)]
fn server(platform: Platform) -> &'static mut Loop<'static, Platform, Station> {
    SERVER.init_with(|| Loop::new(platform, SOCKETS.take(), BUFFER.take()))
}

/// Makes the handler: not a part of `serve` either.
#[inline(never)]
fn handler() -> Result<&'static mut Station, Error> {
    let service = Service::new(route, WallClock(|| None)).with_facts(FACTS);
    let seed = seed()?;
    Ok(STATION.init_with(|| station(service, STORE.take(), seed)))
}

/// Makes the stack that is to be.
#[inline(never)]
fn idle() -> &'static mut Network {
    NETWORK.init_with(|| Network::idle(ETHERNET.take()))
}

/// Starts the stack on the statics.
#[inline(never)]
fn platform(
    network: &'static mut Network,
    slots: &'static mut [Slot],
    working: &'static mut [Working],
) -> Result<Platform, Error> {
    let zeros = ZEROS.take();
    let memory = Memory {
        slots,
        working,
        resting: &mut [],
        in_flight: &mut [],
        outstanding: &mut zeros.outstanding,
        ranges: &mut zeros.ranges,
        bytes: &mut zeros.bytes,
        buckets: &mut zeros.buckets,
        listeners: LISTENERS.take(),
        neighbours: NEIGHBOURS.init_with(|| [const { Neighbour::EMPTY }; 4]),
        scratch: &mut zeros.scratch,
    };
    start(network, memory, &[CLASS])?;
    layer(network)
}

/// Makes the slots of all connections.
#[inline(never)]
fn slots() -> &'static mut [Slot] {
    SLOTS.init_with(|| [const { Slot::EMPTY }; CONNECTIONS])
}

/// Makes the control blocks of all connections.
#[inline(never)]
fn working() -> &'static mut [Working] {
    WORKING.init_with(|| [const { Working::EMPTY }; CONNECTIONS])
}
