//! Two stacks on a wire, each driven through `Platform` by a small loop of its own that keeps the
//! contract: it acts on reports and on nothing else.

pub mod card;
pub mod codecs;
#[cfg(target_os = "linux")]
pub mod cores;
pub mod dhcp;
pub mod forge;
pub mod fuzz;
#[cfg(target_os = "linux")]
pub mod kernel;
#[cfg(target_os = "linux")]
mod namespace;
pub mod path;
pub mod peers;
pub mod stock;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use usockets::{Duration, Endpoint, Error, Platform, Progress, Readiness, Recv, SocketId};
use usockets_smoltcp::{
    Address, Block, Capabilities, Config, DatagramMemory, DatagramSlot, End, Faults, Flight,
    InFlight, Limits, Listener, Medium, Memory, Neighbour, Outstanding, PollDevice, Random,
    Resting, Secret, SizeClass, Slot, Socket, Stack, TimeWaitSlot, Wire, Working,
};

pub type Device = End<'static, 'static>;
pub type Net = Stack<'static, Device>;

pub const MTU: usize = 1_500;
pub const A4: [u8; 4] = [10, 0, 0, 1];
pub const B4: [u8; 4] = [10, 0, 0, 2];

/// Prints the seed of a test, and takes another from the variable SEED.
pub fn seed(default: u64) -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(default);
    println!("SEED={seed}");
    seed
}

thread_local! {
    /// What [`leak`] has handed out on this thread, each with how to take it back.
    static LEAKS: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Returns memory for as long as the program runs, or until [`reclaim`].
pub fn leak<T: 'static>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::with_capacity(count);
    all.resize_with(count, make);
    keep(all)
}

/// Returns zeroes likewise. What nobody touches of them does not become resident, which is most in
/// a process of a thousand tests.
pub fn zeroes<T: Clone + Default + 'static>(count: usize) -> &'static mut [T] {
    keep(vec![T::default(); count])
}

fn keep<T: 'static>(all: Vec<T>) -> &'static mut [T] {
    let all: *mut [T] = Box::into_raw(all.into_boxed_slice());
    // SAFETY: the box came from just here and is taken back only by `reclaim`, whose caller says
    // that nothing refers to it any more.
    let back = move || drop(unsafe { Box::from_raw(all) });
    LEAKS.with_borrow_mut(|leaks| leaks.push(Box::new(back)));
    // SAFETY: freshly allocated, and nobody else has the pointer.
    unsafe { &mut *all }
}

/// Takes back what [`leak`] has handed out on this thread.
///
/// # Safety
/// Every stack, wire and host made on this thread is gone.
pub unsafe fn reclaim() {
    LEAKS.take().into_iter().rev().for_each(|back| back());
}

pub fn a4(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(A4), port)
}

pub fn b4(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(B4), port)
}

pub fn v6(host: u16, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host]), port)
}

pub fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

/// What a stack in a test is made of.
#[derive(Clone)]
pub struct Recipe {
    pub host: u8,
    pub medium: Medium,
    /// That of a wire is always [`MTU`].
    pub mtu: usize,
    pub classes: Vec<SizeClass>,
    pub limits: Limits,
    pub cookies: bool,
    /// Frames that nobody asked for would be in most tests' way.
    pub announce: bool,
    /// Addresses are probed before they are used.
    pub probe: bool,
    /// The host whose addresses it takes, if they are not its own.
    pub twin: Option<u8>,
    pub busy_poll: Duration,
    pub pacing: bool,
    pub neighbours: usize,
    pub prefix: u8,
    /// As many as slots, if not said otherwise.
    pub buckets: Option<usize>,
    /// Places for connections in TIME-WAIT without a slot; they keep their slots if there are none.
    pub time_waits: usize,
    /// Datagram sockets, and the bytes that each has for what comes and for what it holds.
    pub datagrams: (usize, usize, usize),
}

impl Recipe {
    pub fn new(host: u8) -> Self {
        Self {
            host,
            medium: Medium::Ethernet,
            mtu: MTU,
            classes: vec![SizeClass::new(64, 4_096, 4_096)],
            limits: Limits::DEFAULT,
            cookies: true,
            announce: false,
            probe: false,
            twin: None,
            busy_poll: Duration::ZERO,
            pacing: false,
            neighbours: 64,
            prefix: 24,
            buckets: None,
            time_waits: 0,
            datagrams: (0, 0, 0),
        }
    }

    pub fn classes(mut self, classes: &[SizeClass]) -> Self {
        self.classes = classes.to_vec();
        self
    }

    pub fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.medium, self.mtu)
    }

    pub fn build(&self, device: Device) -> Net {
        self.build_on(device)
    }

    pub fn build_on<D: PollDevice>(&self, device: D) -> Stack<'static, D> {
        let mut stack = Stack::idle(device);
        self.start(&mut stack).unwrap();
        stack
    }

    /// Gives a stack that was made idle its memory.
    pub fn start<D: PollDevice>(&self, stack: &mut Stack<'static, D>) -> Result<(), Error> {
        let host = self.twin.unwrap_or(self.host);
        let v4 = Address::new([10, 0, 0, host].into(), self.prefix);
        let v6 = Address::new(v6(host.into(), 0).ip(), 64);
        let addresses = [v4, v6];
        let mut config = Config::new(mac(self.host), &addresses, Secret::new([self.host; 16]))
            .limits(self.limits)
            .cookies(self.cookies)
            .announce(self.announce)
            .probe_addresses(self.probe)
            .busy_poll(self.busy_poll);
        config.gateway_v4 = Some([10, 0, 0, 254].into());
        config.pacing = self.pacing;
        let slots = self.classes.iter().map(|class| class.connections).sum();
        let bytes = self.classes.iter().map(SizeClass::bytes).sum();
        let memory = Memory {
            slots: leak(slots, || Slot::EMPTY),
            working: leak(
                self.classes.iter().map(SizeClass::working_len).sum(),
                || Working::EMPTY,
            ),
            resting: leak(
                self.classes.iter().map(SizeClass::resting_len).sum(),
                || Resting::EMPTY,
            ),
            in_flight: leak(
                self.classes.iter().map(SizeClass::in_flight_len).sum(),
                || InFlight::EMPTY,
            ),
            outstanding: leak(
                self.classes.iter().map(SizeClass::outstanding_len).sum(),
                || Outstanding::EMPTY,
            ),
            ranges: leak(self.classes.iter().map(SizeClass::ranges_len).sum(), || {
                Block::EMPTY
            }),
            bytes: zeroes(bytes),
            buckets: zeroes(self.buckets.unwrap_or(slots.next_power_of_two())),
            listeners: leak(8, || Listener::EMPTY),
            neighbours: leak(self.neighbours, || Neighbour::EMPTY),
            // Enough to put a frame together in that comes in pieces.
            scratch: zeroes(2 * self.capabilities().frame_max()),
        };
        stack.start(&config, memory, &self.classes)?;
        if self.time_waits > 0 {
            stack.start_time_wait(leak(self.time_waits, || TimeWaitSlot::EMPTY))?;
        }
        let (sockets, received, held) = self.datagrams;
        if sockets == 0 {
            return Ok(());
        }
        stack.start_datagrams(DatagramMemory {
            sockets: leak(sockets, || DatagramSlot::EMPTY),
            buckets: zeroes(sockets.next_power_of_two()),
            received: zeroes(sockets * received),
            held: zeroes(sockets * held),
        })
    }
}

/// Draws a wire that may lose, swap and repeat frames, or none of that.
pub fn drawn_faults(random: &mut Random) -> Faults {
    Faults::NONE
        .loss([0, 20_000][random.below(2) as usize])
        .reorder([0, 50_000][random.below(2) as usize])
        .duplicate([0, 20_000][random.below(2) as usize])
        .delay(Duration::from_micros(1 + random.below(5_000)))
}

/// Makes a wire and its two ends.
pub fn wire(faults: Faults, seed: u64, medium: Medium) -> (&'static Wire<'static>, [Device; 2]) {
    wire_for(1_024, faults, seed, medium)
}

/// The same with a wire that loses what is more than `frames` at once.
fn wire_for(
    frames: usize,
    faults: Faults,
    seed: u64,
    medium: Medium,
) -> (&'static Wire<'static>, [Device; 2]) {
    let flights = leak(frames, || Flight::EMPTY);
    let bytes = zeroes(frames * (MTU + 14));
    let mut new = Some(Wire::new(faults, seed, flights, bytes));
    let wire: &'static Wire<'static> = &leak(1, || new.take().unwrap())[0];
    let memory = || zeroes(65 * (MTU + 14));
    let capabilities = Capabilities::new(medium, MTU);
    (wire, wire.ends(capabilities, [memory(), memory()]))
}

/// What a connection does by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// Keeps what it receives; finishes when told to.
    Keep,
    /// Sends back what it receives and finishes after the peer.
    Echo,
    /// Receives nothing.
    Deaf,
}

pub struct Conn<S = Socket> {
    pub socket: S,
    pub habit: Habit,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    pub open: bool,
    pub received: Vec<u8>,
    pub outgoing: Vec<u8>,
    pub sent: usize,
    pub finish: bool,
    pub finished: bool,
    pub ended: bool,
    pub error: Option<Error>,
    /// Latched, as the contract says.
    readable: bool,
}

impl<S> Conn<S> {
    const fn new(socket: S, habit: Habit) -> Self {
        Self {
            socket,
            habit,
            peer: None,
            local: None,
            open: false,
            received: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            finish: false,
            finished: false,
            ended: false,
            error: None,
            readable: false,
        }
    }

    pub fn is_done(&self) -> bool {
        (self.ended && self.finished) || self.error.is_some()
    }
}

/// A stack and what it is used for.
pub struct Host<N: Platform = Net> {
    pub net: N,
    pub conns: BTreeMap<u64, Conn<N::Socket>>,
    pub listeners: BTreeMap<u64, (N::Socket, Habit)>,
    /// How many to accept at most; the rest stays in the queue.
    pub accepts_max: usize,
    /// Close what both have ended.
    pub tidy: bool,
    pub reports: u64,
    next: u64,
}

impl<N: Platform> Host<N> {
    pub const fn new(net: N) -> Self {
        Self {
            net,
            conns: BTreeMap::new(),
            listeners: BTreeMap::new(),
            accepts_max: usize::MAX,
            tidy: true,
            reports: 0,
            next: 0,
        }
    }

    pub fn id(&mut self) -> SocketId {
        self.next += 1;
        SocketId::from_bits((1 << 32) | self.next).unwrap()
    }

    pub fn listen(&mut self, at: &Endpoint<'_>, habit: Habit) -> u64 {
        let id = self.id();
        let mut socket = N::CLOSED;
        self.net.listen(&mut socket, id, at).unwrap();
        self.listeners.insert(id.to_bits(), (socket, habit));
        id.to_bits()
    }

    pub fn unlisten(&mut self, id: u64) {
        let (mut socket, _) = self.listeners.remove(&id).unwrap();
        self.net.close(&mut socket);
    }

    pub fn connect(&mut self, to: &Endpoint<'_>, outgoing: &[u8]) -> u64 {
        self.try_connect(to, outgoing).unwrap()
    }

    pub fn try_connect(&mut self, to: &Endpoint<'_>, outgoing: &[u8]) -> Result<u64, Error> {
        let id = self.id();
        let mut socket = N::CLOSED;
        self.net.connect(&mut socket, id, to)?;
        let local = self.net.local_addr(&socket).ok();
        let mut conn = Conn::new(socket, Habit::Keep);
        conn.local = local.and_then(|local| local.ip());
        conn.outgoing = outgoing.to_vec();
        self.conns.insert(id.to_bits(), conn);
        Ok(id.to_bits())
    }

    /// Where a connection was made from, even after it is gone.
    pub fn net_addr(&self, id: u64) -> Option<SocketAddr> {
        self.conns[&id].local
    }

    pub fn conn(&mut self, id: u64) -> &mut Conn<N::Socket> {
        self.conns.get_mut(&id).unwrap()
    }

    pub fn only(&mut self) -> &mut Conn<N::Socket> {
        assert_eq!(self.conns.len(), 1);
        self.conns.values_mut().next().unwrap()
    }

    pub fn close(&mut self, id: u64) {
        let mut conn = self.conns.remove(&id).unwrap();
        self.net.close(&mut conn.socket);
    }

    /// Closes all connections and listeners.
    pub fn close_all(&mut self) {
        let conns: Vec<u64> = self.conns.keys().copied().collect();
        conns.into_iter().for_each(|id| self.close(id));
        let listeners: Vec<u64> = self.listeners.keys().copied().collect();
        listeners.into_iter().for_each(|id| self.unlisten(id));
    }

    pub fn abort(&mut self, id: u64) {
        let mut conn = self.conns.remove(&id).unwrap();
        self.net.abort(&mut conn.socket);
    }

    /// Sends more, finishing afterwards if told to.
    pub fn push(&mut self, id: u64, bytes: &[u8], finish: bool) {
        let conn = self.conn(id);
        conn.outgoing.extend_from_slice(bytes);
        conn.finish |= finish;
        if conn.open {
            self.pump(id);
        }
    }

    /// One poll and everything its reports ask for. Whether there were any.
    pub fn step(&mut self) -> bool {
        self.net.poll(None).unwrap();
        let mut any = false;
        while let Some(ready) = self.net.next_ready() {
            any = true;
            self.reports += 1;
            let id = ready.id.to_bits();
            if self.listeners.contains_key(&id) {
                self.accept(id);
            } else if self.conns.contains_key(&id) {
                self.react(id, ready.readiness);
            }
        }
        any
    }

    pub fn accept(&mut self, listener: u64) {
        while self.accepts_max > 0 {
            let id = self.id();
            let (from, habit) = self.listeners.get_mut(&listener).unwrap();
            let mut socket = N::CLOSED;
            let Some(accepted) = self.net.accept(from, &mut socket, id).unwrap() else {
                return;
            };
            self.accepts_max = self.accepts_max.saturating_sub(1);
            let mut conn = Conn::new(socket, *habit);
            conn.open = true;
            conn.peer = accepted.peer.ip();
            self.conns.insert(id.to_bits(), conn);
        }
    }

    fn react(&mut self, id: u64, readiness: Readiness) {
        let conn = self.conns.get_mut(&id).unwrap();
        if !conn.open {
            match self.net.open(&mut conn.socket, readiness) {
                Ok(Progress::Done) => conn.open = true,
                Ok(_) => return,
                Err(error) => {
                    conn.error = Some(error);
                    return;
                }
            }
        }
        conn.readable |= readiness.intersects(
            Readiness::READABLE
                .union(Readiness::ENDED)
                .union(Readiness::ERROR),
        );
        if conn.readable && conn.habit != Habit::Deaf {
            self.drain(id);
        }
        self.pump(id);
        let habit = self.conn(id).habit;
        if self.tidy && habit != Habit::Keep && self.conn(id).is_done() {
            self.close(id);
        }
    }

    /// Receives until told there is no more.
    pub fn drain(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        let mut buffer = [0; 1_000];
        loop {
            match self.net.recv(&mut conn.socket, &mut buffer) {
                Ok(Recv::Data { len, .. }) => {
                    conn.received.extend_from_slice(&buffer[..len]);
                    if conn.habit == Habit::Echo {
                        conn.outgoing.extend_from_slice(&buffer[..len]);
                    }
                }
                Ok(Recv::WouldBlock | Recv::Pending) => {
                    conn.readable = false;
                    return;
                }
                Ok(Recv::Finished) => {
                    conn.ended = true;
                    conn.finish |= conn.habit == Habit::Echo;
                    return;
                }
                Err(error) => {
                    conn.error = Some(error);
                    return;
                }
            }
        }
    }

    /// Sends what is to be sent.
    pub fn pump(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        while conn.sent < conn.outgoing.len() && conn.error.is_none() {
            match self.net.send(&mut conn.socket, &conn.outgoing[conn.sent..]) {
                Ok(0) => return,
                Ok(count) => conn.sent += count,
                Err(error) => conn.error = Some(error),
            }
        }
        if conn.finish && !conn.finished && conn.error.is_none() {
            conn.finished = true;
            if let Err(error) = self.net.finish(&mut conn.socket) {
                conn.error = Some(error);
            }
        }
    }
}

/// Two hosts and the wire between them.
pub struct World<A: Platform = Net, B: Platform = Net> {
    pub wire: &'static Wire<'static>,
    pub a: Host<A>,
    pub b: Host<B>,
}

impl World {
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self::of(faults, seed, &Recipe::new(1), &Recipe::new(2))
    }

    pub fn of(faults: Faults, seed: u64, a: &Recipe, b: &Recipe) -> Self {
        Self::behind(1_024, faults, seed, a, b)
    }

    /// With a wire that loses what is more than `frames` at once, queued or on its way.
    pub fn behind(frames: usize, faults: Faults, seed: u64, a: &Recipe, b: &Recipe) -> Self {
        let (wire, [left, right]) = wire_for(frames, faults, seed, a.medium);
        Self {
            wire,
            a: Host::new(a.build(left)),
            b: Host::new(b.build(right)),
        }
    }
}

impl<A: Platform + fmt::Debug, B: Platform + fmt::Debug> World<A, B> {
    /// Makes the stacks by `make`, host 1 and host 2, on an Ethernet.
    pub fn mixed(
        faults: Faults,
        seed: u64,
        make: (impl FnOnce(Device) -> A, impl FnOnce(Device) -> B),
    ) -> Self {
        let (wire, [left, right]) = wire(faults, seed, Medium::Ethernet);
        Self {
            wire,
            a: Host::new(make.0(left)),
            b: Host::new(make.1(right)),
        }
    }

    /// Lets things happen until `until` holds; panics when `time` has passed first.
    pub fn run(&mut self, time: Duration, mut until: impl FnMut(&mut Self) -> bool) {
        let end = self.wire.now().saturating_add(time);
        let mut idle = 0;
        loop {
            let busy = self.a.step() | self.b.step();
            if until(self) {
                return;
            }
            idle = if busy { 0 } else { idle + 1 };
            if idle > 1 && !self.wire.advance() {
                panic!(
                    "nothing will ever happen: {:?} {:?}",
                    self.a.net, self.b.net
                );
            }
            assert!(
                self.wire.now() <= end,
                "too slow: {:?} {:?}",
                self.a.net,
                self.b.net
            );
        }
    }

    /// Lets things happen for `time`.
    pub fn pass(&mut self, time: Duration) {
        let end = self.wire.now().saturating_add(time);
        let mut idle = 0;
        while self.wire.now() < end {
            let busy = self.a.step() | self.b.step();
            idle = if busy { 0 } else { idle + 1 };
            if idle > 1 && !self.wire.advance() {
                self.wire.pass(end.saturating_since(self.wire.now()));
            }
        }
        self.a.step();
        self.b.step();
    }
}

/// Bytes that tell their place, so that a wrong one is seen.
pub fn pattern(len: usize, salt: u64) -> Vec<u8> {
    let mut random = Random::new(salt);
    (0..len).map(|_| random.next() as u8).collect()
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
