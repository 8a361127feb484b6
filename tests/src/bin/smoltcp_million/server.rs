//! An echo server of many connections, and what it takes.

use std::time::{Duration, Instant as Clock};

use usockets::{Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets, Span};
use usockets_smoltcp::{
    Block, Config, InFlight, Listener, Memory, Neighbour, Outstanding, PollDevice, Resting,
    SizeClass, Slot, Stack, Working,
};
use usockets_tests::smoltcp::{leak, zeroes};

/// The most connections.
pub(crate) const MOST: usize = 1_000_000;
/// Sets of memory that those have which say something.
pub(crate) const SETS: usize = 1_024;
/// Bytes of each of a connection's two buffers, while it leases them.
pub(crate) const BUFFER: usize = 16_384;
/// What the process may take for a million.
const BOUND: usize = 300_000_000;
/// How long anything may take.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(1_200);

pub(crate) type Net<D> = Stack<'static, D>;

/// Sends back what comes.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) open: usize,
    pub(crate) closed: usize,
    /// What was not taken at once.
    pub(crate) short: usize,
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

pub(crate) struct Server<D: PollDevice + 'static> {
    pub(crate) net: Loop<'static, Net<D>, Echo>,
    pub(crate) echo: Echo,
    /// How long an iteration may wait for frames.
    pub(crate) wait_max: usockets::Duration,
    count: usize,
    /// What the process had before.
    before: usize,
}

/// Makes a stack for so many connections, which lease their memory.
pub(crate) fn stack<D: PollDevice>(device: D, config: &Config<'_>, count: usize) -> Net<D> {
    let class = SizeClass::new(count, BUFFER, BUFFER).leased(SETS);
    let scratch = device.capabilities().frame_max().max(2_048);
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
        neighbours: leak(64, || Neighbour::EMPTY),
        scratch: zeroes(scratch),
    };
    Stack::new(device, config, memory, &[class]).unwrap()
}

impl<D: PollDevice + 'static> Server<D> {
    /// Makes a server of so many connections that listens there.
    pub(crate) fn new<const N: usize>(
        device: D,
        config: &Config<'_>,
        count: usize,
        (address, port): ([u8; 4], u16),
        sockets: &'static mut Sockets<Net<D>, Echo, N>,
    ) -> Self {
        let before = resident();
        let stack = stack(device, config, count);
        let buffer = leak(BUFFER, || 0).first_chunk_mut::<BUFFER>().unwrap();
        let mut net = Loop::new(stack, sockets, buffer);
        let at = Endpoint::tcp((address, port).into()).backlog(1_024);
        net.net().listen(at, ()).unwrap();
        Self {
            net,
            echo: Echo::default(),
            wait_max: usockets::Duration::ZERO,
            count,
            before,
        }
    }

    /// Runs until then.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&Net<D>, &Echo) -> bool) {
        let start = Clock::now();
        while !done(self.net.platform(), &self.echo) {
            let until = self.net.platform().now().saturating_add(self.wait_max);
            self.net.poll(&mut self.echo, Some(until)).unwrap();
            assert!(start.elapsed() < TIME_MAX, "{:?}", self.net.platform());
        }
    }

    /// Prints what each part takes, and what the process does, which has a bound for a million.
    pub(crate) fn report(&self, when: &str) {
        let (count, took) = (self.count, resident() - self.before);
        let set = size_of::<InFlight>() + 2 * BUFFER;
        println!("{count} connections, {when}:");
        println!(
            "  core: slot and data {:>4} bytes each",
            Sockets::<Net<D>, Echo, 1>::SLOT_BYTES
        );
        println!("  stack: slot         {:>4}", size_of::<Slot>());
        println!("  stack: remembered   {:>4}", size_of::<Resting>());
        println!("  stack: bucket       {:>4}", size_of::<u32>());
        println!(
            "  {} of {SETS} sets of {set} bytes and tables are free",
            self.net.platform().free_sets()
        );
        println!("  the process: {took} bytes, {} each", took / count);
        let is_bounded = count < MOST || took <= BOUND;
        assert!(is_bounded, "{took} bytes are more than {BOUND}");
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
