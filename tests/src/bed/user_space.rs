//! Conformance on stacks in user space, ours or smoltcp's, on one link in memory and in virtual
//! time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use usockets::{
    Accepted, Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure,
    Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv, SocketId, SocketOption,
};
use usockets_smoltcp::{
    Capabilities, Medium, PollDevice, Random, SizeClass, Smoltcp, Stack, ToPhy, TxMeta,
};

use super::Bed;
use crate::smoltcp::{MTU, Recipe, stock, v6};

/// TCP sockets of a host of smoltcp's. A test opens 200 and more at once.
const STOCK: usize = 300;
/// Bytes of each buffer of a connection.
const BUFFER: usize = 8_192;
/// Datagram sockets of a host of ours, and the bytes of each for what comes and for what it holds.
const DATAGRAMS: (usize, usize, usize) = (8, 65_536, 16_384);

/// A link to which all hosts are joined, and its clock.
#[derive(Debug)]
struct Link {
    micros: u64,
    delay: u64,
    /// Chance in a million that a frame is lost.
    loss: u32,
    random: Random,
    /// Frames on their way to each host, by when they arrive.
    lines: Vec<VecDeque<(u64, Vec<u8>)>>,
    /// Frames that each host has taken.
    taken: Vec<usize>,
}

/// What the bed knows of a host.
#[derive(Debug, Default)]
struct Watch {
    /// The program has called the platform since its last poll.
    called: Cell<bool>,
    /// The last poll waited, and nothing came of it.
    rested: Cell<bool>,
    /// Until when it waited.
    wake: Cell<Option<u64>>,
}

/// A host's end of the link.
pub struct Port {
    link: Rc<RefCell<Link>>,
    watch: Rc<Watch>,
    host: usize,
    burst: Vec<Vec<u8>>,
    slot: Vec<u8>,
}

impl PollDevice for Port {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ethernet, MTU)
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let link = &mut *self.link.borrow_mut();
        let now = link.micros;
        let line = &mut link.lines[self.host];
        self.burst.clear();
        while self.burst.len() < frames_max && line.front().is_some_and(|(due, _)| *due <= now) {
            self.burst.extend(line.pop_front().map(|(_, frame)| frame));
            link.taken[self.host] += 1;
        }
        if !self.burst.is_empty() {
            self.watch.rested.set(false);
        }
        self.burst.len()
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.burst[index]
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        let link = &mut *self.link.borrow_mut();
        for (host, line) in link.lines.iter_mut().enumerate() {
            if host != self.host && !link.random.chance(link.loss) {
                line.push_back((link.micros + link.delay, self.slot[..len].to_vec()));
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.watch.rested.set(true);
        self.watch.wake.set(until.map(Instant::as_micros));
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.link.borrow().micros)
    }
}

/// A stack that tells its bed when the program has called it.
pub struct Watched<P> {
    stack: P,
    watch: Rc<Watch>,
}

impl<P: Platform> Watched<P> {
    fn called(&mut self) -> &mut P {
        self.watch.called.set(true);
        &mut self.stack
    }
}

impl<P: Platform> Platform for Watched<P> {
    type Socket = P::Socket;

    const CLOSED: P::Socket = P::CLOSED;

    fn listen(&mut self, s: &mut P::Socket, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        self.called().listen(s, id, at)
    }

    fn connect(&mut self, s: &mut P::Socket, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        self.called().connect(s, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut P::Socket,
        socket: &mut P::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        self.called().accept(listener, socket, id)
    }

    fn refuse(&mut self, listener: &mut P::Socket) -> Result<bool, Error> {
        self.called().refuse(listener)
    }

    fn set_accepting(&mut self, l: &mut P::Socket, id: SocketId, on: bool) -> Result<(), Error> {
        self.called().set_accepting(l, id, on)
    }

    fn open(&mut self, socket: &mut P::Socket, ready: Readiness) -> Result<Progress, Error> {
        self.called().open(socket, ready)
    }

    fn take_error(&mut self, socket: &mut P::Socket) -> Option<Error> {
        self.called().take_error(socket)
    }

    fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.called().recv(socket, buffer)
    }

    fn peek(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.called().peek(socket, buffer)
    }

    fn set_low_water(&mut self, socket: &mut P::Socket, bytes: usize) -> Result<(), Error> {
        self.called().set_low_water(socket, bytes)
    }

    fn set_option(&mut self, socket: &mut P::Socket, option: SocketOption) -> Result<(), Error> {
        self.called().set_option(socket, option)
    }

    fn send(&mut self, socket: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
        self.called().send(socket, data)
    }

    fn finish(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        self.called().finish(socket)
    }

    fn close(&mut self, socket: &mut P::Socket) {
        self.called().close(socket);
    }

    fn abort(&mut self, socket: &mut P::Socket) {
        self.called().abort(socket);
    }

    fn local_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        self.stack.local_addr(socket)
    }

    fn peer_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        self.stack.peer_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.watch.called.set(false);
        self.watch.rested.set(false);
        self.stack.poll(until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.stack.next_ready()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.stack.next_deadline()
    }

    fn now(&self) -> Instant {
        self.stack.now()
    }
}

impl<P: Datagrams> Datagrams for Watched<P> {
    fn bind(&mut self, s: &mut P::Socket, id: SocketId, at: Address) -> Result<(), Error> {
        self.called().bind(s, id, at)
    }

    fn set_peer(&mut self, socket: &mut P::Socket, peer: Address) -> Result<(), Error> {
        self.called().set_peer(socket, peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut P::Socket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        self.called().recv_batch(socket, memory, arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut P::Socket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        self.called().send_batch(socket, memory, departures)
    }

    fn next_error(&mut self, socket: &mut P::Socket) -> Option<DatagramError> {
        self.called().next_error(socket)
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut P::Socket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        self.called().set_datagram_option(socket, option)
    }
}

/// Hosts with stacks of our own on one link.
pub type UserSpaceBed = LinkBed<Stack<'static, Port>>;

/// Hosts with smoltcp's stack on one link.
pub type StockBed = LinkBed<Smoltcp<'static, ToPhy<'static, Port>>>;

/// Hosts on one link.
pub struct LinkBed<P> {
    /// Makes the platform of a host.
    make: fn(usize, Port) -> P,
    /// They are smoltcp's: no two listeners share a port, a SYN too many is refused, and what is
    /// sent to an own address is lost.
    is_stock: bool,
    link: Rc<RefCell<Link>>,
    watches: Vec<Rc<Watch>>,
    /// The deadline of each host's loop, as last told.
    deadlines: RefCell<Vec<Option<u64>>>,
    /// Frames that had arrived at each host when [`Bed::edge`] was last asked.
    arrived: Vec<usize>,
}

impl UserSpaceBed {
    /// Makes a link with hosts of ours on which frames travel for a time and are lost by chance, in
    /// parts per million.
    #[must_use]
    pub fn new(delay: Duration, loss: u32, seed: u64) -> Self {
        let make = |host, port| {
            let class = SizeClass::new(300, BUFFER, BUFFER);
            let mut recipe = Recipe::new(host as u8 + 1).classes(&[class]);
            recipe.datagrams = DATAGRAMS;
            recipe.build_on(port)
        };
        Self::of(make, false, (delay, loss, seed))
    }
}

impl StockBed {
    /// Makes a link with hosts of smoltcp's on which frames travel for a time.
    #[must_use]
    pub fn new(delay: Duration) -> Self {
        let make = |host, port| stock::build_on(host as u8 + 1, STOCK, BUFFER, port);
        Self::of(make, true, (delay, 0, 1))
    }
}

impl<P> LinkBed<P> {
    fn of(
        make: fn(usize, Port) -> P,
        is_stock: bool,
        (delay, loss, seed): (Duration, u32, u64),
    ) -> Self {
        let link = Link {
            micros: 1_000_000,
            delay: delay.as_micros() as u64,
            loss,
            random: Random::new(seed),
            lines: Vec::new(),
            taken: Vec::new(),
        };
        Self {
            make,
            is_stock,
            link: Rc::new(RefCell::new(link)),
            watches: Vec::new(),
            deadlines: RefCell::default(),
            arrived: Vec::new(),
        }
    }
}

/// Runs a test on stacks of our own, on links without and with delay.
pub fn on_user_space(mut test: impl FnMut(&mut UserSpaceBed)) {
    for delay in [0, 30] {
        test(&mut UserSpaceBed::new(Duration::from_micros(delay), 0, 1));
    }
}

/// Runs a test on smoltcp's stacks, on links without and with delay.
pub fn on_stock(mut test: impl FnMut(&mut StockBed)) {
    for delay in [0, 30] {
        test(&mut StockBed::new(Duration::from_micros(delay)));
    }
}

impl<P: Platform + 'static> Bed for LinkBed<P> {
    type P = Watched<P>;

    fn platform(&mut self) -> Watched<P> {
        let host = self.watches.len();
        let watch = Rc::new(Watch::default());
        self.watches.push(watch.clone());
        self.deadlines.borrow_mut().push(None);
        self.link.borrow_mut().lines.push(VecDeque::new());
        self.link.borrow_mut().taken.push(0);
        self.arrived.push(0);
        let port = Port {
            link: self.link.clone(),
            watch: watch.clone(),
            host,
            burst: Vec::new(),
            slot: vec![0; MTU + 14],
        };
        Watched {
            stack: (self.make)(host, port),
            watch,
        }
    }

    fn addr(&self, host: usize) -> SocketAddr {
        ([10, 0, 0, host as u8 + 1], 0).into()
    }

    fn addr_v6(&self, host: usize) -> Option<SocketAddr> {
        Some(v6(host as u16 + 1, 0))
    }

    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        let deadline = deadline.map(Instant::as_micros);
        self.deadlines.borrow_mut()[host] = deadline;
        let watch = &self.watches[host];
        let link = self.link.borrow();
        let arrival = link.lines[host].front().map(|(due, _)| *due);
        let times = [deadline, watch.wake.get(), arrival];
        watch.called.get()
            || !watch.rested.get()
            || times.into_iter().flatten().any(|at| at <= link.micros)
    }

    fn edge(&mut self, host: usize) -> bool {
        let link = self.link.borrow();
        let waiting = link.lines[host]
            .iter()
            .take_while(|(due, _)| *due <= link.micros);
        let arrived = link.taken[host] + waiting.count();
        std::mem::replace(&mut self.arrived[host], arrived) < arrived
    }

    fn patience(&self, _: &Watched<P>) -> Option<Instant> {
        None
    }

    fn pass(&mut self, most: Duration) {
        let mut link = self.link.borrow_mut();
        let end = link.micros + most.as_micros() as u64;
        let arrivals = link
            .lines
            .iter()
            .map(|line| line.front().map(|(due, _)| *due));
        let wakes = self.watches.iter().map(|watch| watch.wake.get());
        let deadlines = self.deadlines.borrow();
        let next = arrivals.chain(wakes).chain(deadlines.iter().copied());
        let next = next.flatten().min().unwrap_or(end);
        link.micros = next.clamp(link.micros + 1, end.max(link.micros + 1));
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.link.borrow().micros)
    }

    fn plenty(&self) -> usize {
        4 * BUFFER + 50
    }

    fn reports_max(&self) -> usize {
        // Each of its sockets once, and a listener or two.
        STOCK + 8
    }

    fn learns_unasked(&self) -> bool {
        false
    }

    fn shares_ports(&self) -> bool {
        !self.is_stock
    }

    fn drops_surplus(&self) -> bool {
        !self.is_stock
    }

    fn nowhere(&self) -> Option<SocketAddr> {
        self.is_stock.then(|| ([192, 0, 2, 1], 9).into())
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
