//! What a server of many connections that are silent takes, all of it: the core's slots, the data
//! of an echo, the stack, and the memory that those lease that say something. Prints the bytes of
//! each part and what the kernel says of the process. Usage:
//! `smoltcp_million [CONNECTIONS [ECHOES]]`, a million and as many by default. Fails if a million
//! take more than 300 MB. Its peers are in the process, and are not counted.

use std::time::Duration;

use static_cell::ConstStaticCell;
use usockets::{Closed, Endpoint, Handler, Instant, Loop, Opened, Platform, Socket, Sockets, Span};
use usockets_smoltcp::{
    Address, Block, Config, InFlight, Limits, Listener, Memory, Outstanding, Resting, Secret,
    SizeClass, Slot, Stack, Working,
};
use usockets_tests::smoltcp::leak;
use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER};

/// The most connections.
const MOST: usize = 1_000_000;
/// Bytes of each of a connection's two buffers, while it leases them.
const BUFFER: usize = 16_384;
/// Sets of such memory.
const SETS: usize = 1_024;
/// What the process may take for a million.
const BOUND: usize = 300_000_000;

type Net = Stack<'static, Peers>;

/// The listener has a place as well. All zero bytes: untouched, it takes no memory.
static SOCKETS: ConstStaticCell<Sockets<Net, Echo, { MOST + 1 }>> =
    ConstStaticCell::new(Sockets::new());

/// Sends back what comes. What is not taken at once waits in the one place there is for such.
#[derive(Default)]
struct Echo {
    open: usize,
    closed: usize,
    short: usize,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    /// Which part of a memory it would hold.
    type Ext = Span;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Span {
        self.open += 1;
        Span::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Span, data: &mut [u8]) {
        if socket.write(data) < data.len() {
            self.short += 1;
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Span, _: Closed) {
        self.closed += 1;
    }
}

/// Bytes that the process has in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .flat_map(|word| word.parse())
        .collect();
    let count = numbers.first().copied().unwrap_or(MOST).clamp(1, MOST);
    let echoes = numbers.get(1).copied().unwrap_or(count) as u64;
    let mut peers = Peers::new(count);
    peers.state.polite = true;
    let before = resident();
    let class = SizeClass::new(count, BUFFER, BUFFER).leased(SETS);
    let addresses = [Address::new(SERVER.into(), 8)];
    let config = Config::new([0; 6], &addresses, Secret::new([7; 16])).limits(Limits::DEFAULT);
    let memory = Memory {
        slots: leak(count, || Slot::EMPTY),
        working: leak(class.working_len(), || Working::EMPTY),
        resting: leak(class.resting_len(), || Resting::EMPTY),
        in_flight: leak(class.in_flight_len(), || InFlight::EMPTY),
        outstanding: leak(class.outstanding_len(), || Outstanding::EMPTY),
        ranges: leak(class.ranges_len(), || Block::EMPTY),
        bytes: leak(class.bytes(), || 0),
        buckets: leak(count, || 0),
        listeners: leak(1, || Listener::EMPTY),
        neighbours: &mut [],
        scratch: leak(2_048, || 0),
    };
    let stack = Stack::new(peers, &config, memory, &[class]).unwrap();
    let mut server = Loop::new(
        stack,
        SOCKETS.take(),
        leak(BUFFER, || 0).first_chunk_mut::<BUFFER>().unwrap(),
    );
    let mut echo = Echo::default();
    let at = Endpoint::tcp((SERVER, PORT).into()).backlog(1_024);
    server.net().listen(at, ()).unwrap();
    until(&mut server, &mut echo, |server, echo| {
        echo.open == count && server.platform().free_sets() == SETS
    });
    report(&server, count, before, "open and silent");
    let start = std::time::Instant::now();
    server.platform_mut().device_mut().state.budget = echoes;
    until(&mut server, &mut echo, |server, _| {
        server.platform().device().state.echoes == echoes && server.platform().free_sets() == SETS
    });
    println!(
        "{echoes} echoes of 64 bytes in {:?}, {} cut short",
        start.elapsed(),
        echo.short
    );
    assert_eq!((echo.short, echo.closed), (0, 0));
    let took = report(&server, count, before, "after them");
    println!("{:?}", server.platform().counters());
    if count == MOST {
        assert!(took <= BOUND, "{took} bytes are more than {BOUND}");
    }
}

fn until(
    server: &mut Loop<'_, Net, Echo>,
    echo: &mut Echo,
    done: impl Fn(&Loop<'_, Net, Echo>, &Echo) -> bool,
) {
    let start = std::time::Instant::now();
    while !done(server, echo) {
        server.poll(echo, Some(Instant::ZERO)).unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "{:?}",
            server.platform()
        );
    }
}

/// Prints what each part takes, and returns what the process does.
fn report(server: &Loop<'_, Net, Echo>, count: usize, before: usize, when: &str) -> usize {
    let took = resident() - before;
    let set = size_of::<InFlight>() + 2 * BUFFER;
    println!("{count} connections, {when}:");
    println!(
        "  core: slot and data {:>4} bytes each",
        Sockets::<Net, Echo, 1>::SLOT_BYTES
    );
    println!("  stack: slot         {:>4}", size_of::<Slot>());
    println!("  stack: remembered   {:>4}", size_of::<Resting>());
    println!("  stack: bucket       {:>4}", size_of::<u32>());
    println!(
        "  {} of {SETS} sets of {set} bytes and tables are free",
        server.platform().free_sets()
    );
    println!("  the process: {took} bytes, {} each", took / count);
    took
}
