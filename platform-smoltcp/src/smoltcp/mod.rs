//! A thin platform over smoltcp's own TCP sockets: at most 700 lines, which `tidy` counts. Nothing
//! here uses the stack of this crate, nor the other way round.

use core::net::{IpAddr, SocketAddr};

use smoltcp::iface::{self, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{self, State};
use smoltcp::socket::{AnySocket, Socket as AnyOf};
use smoltcp::time::Duration as Span;
use smoltcp::wire::{IpAddress, IpListenEndpoint};
use usockets::{
    Accepted, Address, Duration, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready,
    Recv, Security, SocketId, SocketOption,
};

use crate::config::{KEEPALIVE_MIN, Limits};
use crate::device::phy::{instant, stamp};
use crate::device::timed::TimedDevice;
use crate::listener::Listener;
use crate::number::{count, low16, place};
use crate::ports;
use crate::socket::{Kind, Socket};

/// Most frames taken in one turn, and most passes over the sockets to send.
const STEPS_MAX: usize = 64;
/// How long to wait for a device that is full.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// A [`Platform`] over smoltcp's own [`Interface`] and TCP sockets: simple, small, and O(n).
///
/// Every frame, turn, deadline and report costs a walk over all sockets. It is for a few
/// connections, for programs that use smoltcp's other sockets beside them, as a baseline, and as a
/// peer to test [`Stack`](crate::Stack) with, whose TCP it shares no code with.
///
/// # What smoltcp cannot do
///
/// - A SYN that finds no free socket or a full backlog is answered by a reset, not dropped, so that
///   its peer does not try again. What waits for a listener is accepted in any order.
/// - ICMP's errors are not seen: a connect to a neighbour that does not answer times out, and so
///   does one to an own address unless the device loops it back.
/// - TIME-WAIT lasts 10 s, or until its socket is needed for another connection. What its owner
///   has not received by its end is thrown away, and reported as [`Error::Reset`].
/// - No port is shared between listeners. `0.0.0.0` is the interface's first IPv4 address, and
///   `[::]` with [`Endpoint::v6_only`] its first of IPv6.
/// - Receive buffers have 65,535 bytes at most, and all sockets' buffers have one size.
/// - Initial sequence numbers come from a generator that an observer can foresee, and a bare SYN
///   to a connect whose own SYN is not sent yet, because the neighbour has not answered, makes
///   smoltcp 0.14 panic. Use it on links that you trust.
///
/// # Example
#[doc = concat!("```\n", include_str!("../../examples/smoltcp_echo.rs"), "```")]
pub struct Smoltcp<'a, D> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'a>,
    entries: &'a mut [SmoltcpEntry],
    listeners: &'a mut [Listener],
    limits: Limits,
    now: Instant,
    /// When the next turn has something to do by itself.
    due: Option<Instant>,
    places: usize,
    last_port: u16,
}

/// All memory of a [`Smoltcp`], lent for as long as it lives.
#[expect(clippy::exhaustive_structs, reason = "the caller makes it")]
#[derive(Debug)]
pub struct SmoltcpMemory<'a> {
    /// One for each TCP socket, those of listeners and of what owners have closed included.
    pub entries: &'a mut [SmoltcpEntry],
    /// As many as `entries`, all empty, and one more for each socket that the program adds itself
    /// ([`Smoltcp::add`]).
    pub storage: &'a mut [SocketStorage<'a>],
    /// The sockets' buffers: an equal share for each.
    pub bytes: &'a mut [u8],
    /// One for each listener.
    pub listeners: &'a mut [Listener],
}

impl<'a, D: TimedDevice> Smoltcp<'a, D> {
    /// Makes a platform of `interface`, which was made for `device`, and `memory`. Of `limits`,
    /// all count but TIME-WAIT's.
    ///
    /// # Errors
    /// [`Error::Invalid`] without entries, places for them, and 1 to 65,535 bytes for each buffer.
    pub fn new(
        device: D,
        interface: Interface,
        limits: Limits,
        memory: SmoltcpMemory<'a>,
    ) -> Result<Self, Error> {
        let (entries, places) = (memory.entries, memory.storage.len());
        let share = memory.bytes.len().checked_div(entries.len()).unwrap_or(0) >> 1;
        let mut sockets = SocketSet::new(memory.storage);
        let used = places < entries.len() || sockets.iter().next().is_some();
        // After the handshake smoltcp 0.14 takes a scaled window for more than it has promised.
        if used || !(1..=65_535).contains(&share) {
            return Err(Error::Invalid);
        }
        let mut buffers = memory.bytes.chunks_exact_mut(share);
        let mut buffer = || tcp::SocketBuffer::new(buffers.next().unwrap_or_default());
        for entry in entries.iter_mut() {
            *entry = SmoltcpEntry::EMPTY;
            entry.handle = Some(sockets.add(tcp::Socket::new(buffer(), buffer())));
        }
        Ok(Self {
            last_port: low16(device.now().as_micros()),
            device,
            interface,
            sockets,
            entries,
            listeners: memory.listeners,
            limits,
            now: Instant::ZERO,
            due: Some(Instant::ZERO),
            places,
        })
    }

    /// Takes frames in, sends what is due, and finds out what became of each socket, in bounds.
    fn turn(&mut self) {
        self.now = self.device.now();
        let now = stamp(self.now);
        self.interface.poll_maintenance(now);
        let more = (0..STEPS_MAX).all(|_| {
            for number in 0..self.listeners.len() {
                self.fill(number);
            }
            let (device, sockets) = (&mut self.device, &mut self.sockets);
            let result = self.interface.poll_ingress_single(now, device, sockets);
            self.observe(true);
            !matches!(result, iface::PollIngressSingleResult::None)
        });
        let (device, sockets) = (&mut self.device, &mut self.sockets);
        let mut egress = || self.interface.poll_egress(now, device, sockets);
        let more = (0..STEPS_MAX).all(|_| !matches!(egress(), iface::PollResult::None)) || more;
        self.observe(false);
        self.device.flush();
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            let waits = self.entries.iter().any(|entry| entry.waits_for(number));
            listener.ready = listener.asked && waits;
        }
        // What is due and was not done waits for the device.
        let full = self.now.saturating_add(FULL_WAIT);
        let due = self.interface.poll_at(now, &self.sockets).map(instant);
        let due = due.map(|due| if due > self.now { due } else { full });
        let deadlines = self.entries.iter().filter_map(|entry| entry.deadline);
        let more = more.then_some(Instant::ZERO);
        self.due = deadlines.chain(due).chain(more).min();
    }

    /// Looks at every socket for what a `segment` has changed, or its own timers.
    fn observe(&mut self, segment: bool) {
        let used = |entry: &&mut SmoltcpEntry| entry.phase != Phase::Free;
        for entry in self.entries.iter_mut().filter(used) {
            let Some(handle) = entry.handle else { continue };
            let own = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            let (orphan, unsent) = (entry.phase == Phase::Orphan, own.send_queue());
            let late = entry.deadline.is_some_and(|deadline| deadline <= self.now);
            if (late && !segment) || (orphan && unsent == 0 && own.can_recv()) {
                own.abort();
            } else if orphan {
                // What was not received is no reason to lose what was sent.
                let _ = own.recv(|bytes| (bytes.len(), ()));
            }
            let before = core::mem::replace(&mut entry.state, own.state());
            // A reset that is due is tried once.
            let tried = !segment && before == State::Closed || own.remote_endpoint().is_none();
            match entry.phase {
                Phase::Owned(_) => entry.report(own, segment, before),
                _ if entry.state == State::Closed && tried => entry.reset(Phase::Free),
                _ => {}
            }
            let closing = match entry.state {
                State::FinWait1 | State::Closing | State::LastAck => true,
                state => entry.phase == Phase::Orphan && state != State::TimeWait,
            };
            let answer = entry.answer.unwrap_or(self.limits.answer);
            let limit = if orphan { self.limits.closing } else { answer };
            let taken = core::mem::replace(&mut entry.unsent, unsent) > unsent;
            if !closing || taken || entry.deadline.is_none() {
                entry.deadline = closing.then(|| self.now.saturating_add(limit));
            }
            own.set_timeout(match (entry.state, own.keep_alive()) {
                (State::SynSent, _) => Some(span(self.limits.connect)),
                (State::Listen | State::SynReceived, _) => Some(span(self.limits.handshake)),
                // Three probes may go unanswered.
                (_, Some(idle)) => Some(span(Duration::from(idle).saturating_mul(4))),
                // smoltcp counts from the last segment of the peer, however long ago nothing was
                // to be said: it may only count while something is.
                (_, None) => (unsent > 0).then(|| span(limit)),
            });
        }
    }

    /// Gives a listener without one a socket that listens, unless its backlog is full.
    fn fill(&mut self, number: usize) -> Option<()> {
        let listener = self.listeners.get(number)?;
        let (at, phase) = (listener.at?, Phase::Listener(number));
        let mut all = self.entries.iter().filter(|entry| entry.phase == phase);
        let full = all.clone().count() >= place(listener.backlog);
        if full || all.any(|entry| entry.state == State::Listen) {
            return None;
        }
        let settings = (listener.nodelay, listener.keepalive);
        let (_, entry, own) = renew(self.entries, &mut self.sockets, settings)?;
        let addr = (!at.ip().is_unspecified()).then(|| at.ip().into());
        let port = at.port();
        own.listen(IpListenEndpoint { addr, port }).ok()?;
        (entry.phase, entry.state) = (phase, State::Listen);
        Some(())
    }

    /// Returns the port that is wanted, or, for 0, one that no listener and no connection has.
    fn choose(&mut self, wanted: u16) -> Option<u16> {
        if wanted > 0 {
            return Some(wanted);
        }
        let mut all = ports::all_from(self.last_port.wrapping_add(1).into());
        self.last_port = all.find(|port| self.is_free(*port))?;
        Some(self.last_port)
    }

    fn is_free(&self, port: u16) -> bool {
        let listens = |one: &Listener| one.at.is_some_and(|at| at.port() == port);
        let mut all = (0..self.entries.len()).filter_map(|index| self.tcp(index)?.local_endpoint());
        !self.listeners.iter().any(listens) && !all.any(|own| own.port == port)
    }

    /// Returns the address to reach `remote` from.
    fn source_for(&mut self, remote: IpAddr) -> Option<IpAddr> {
        let to = IpAddress::from(remote);
        let own = self.interface.ip_addrs();
        let mut reachable = own.iter().any(|own| own.contains_addr(&to));
        self.interface.routes_mut().update(|routes| {
            reachable |= routes.iter().any(|one| one.cidr.contains_addr(&to));
        });
        let from = self.interface.get_source_address(&to)?;
        (reachable && to.is_unicast()).then(|| from.into())
    }

    /// Returns an endpoint's address, or an error if it asks for what there is not.
    fn check(&self, endpoint: &Endpoint<'_>) -> Result<(IpAddr, u16), Error> {
        let bytes = endpoint.recv_buffer.max(endpoint.send_buffer);
        if endpoint.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let fits = self.tcp(0).map(tcp::Socket::recv_capacity) >= bytes;
        let addr = (endpoint.addr.ip().to_canonical(), endpoint.addr.port());
        fits.then_some(addr).ok_or(Error::Invalid)
    }

    /// Lends the interface: its addresses, routes and groups.
    pub const fn interface_mut(&mut self) -> &mut Interface {
        &mut self.interface
    }

    /// Lends the device for changing.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Returns the number of TCP sockets that are not in use.
    #[must_use]
    pub fn free_count(&self) -> usize {
        let free = |entry: &&SmoltcpEntry| entry.phase == Phase::Free;
        self.entries.iter().filter(free).count()
    }

    /// Adds a socket of the program's own: UDP, ICMP, DNS, DHCP, raw, with the feature of smoltcp
    /// that it needs. Every turn serves it; the program looks for what comes of it after polls.
    ///
    /// # Errors
    /// The socket comes back when [`SmoltcpMemory::storage`] has no place for it.
    pub fn add<T: AnySocket<'a>>(&mut self, socket: T) -> Result<SocketHandle, T> {
        if self.sockets.iter().count() >= self.places {
            return Err(socket);
        }
        Ok(self.sockets.add(socket))
    }

    /// Lends a socket that the program added, and the interface whose context some of its calls
    /// need. `None` if there is none with the handle of the type `T`.
    ///
    /// What such a call makes due is done by the next turn, so call [`Platform::poll`] after it.
    pub fn socket<T: AnySocket<'a>>(
        &mut self,
        handle: SocketHandle,
    ) -> Option<(&mut T, &mut Interface)> {
        self.due = Some(Instant::ZERO);
        let mut all = self.sockets.iter_mut().skip(self.entries.len());
        let (_, socket) = all.find(|(other, _)| *other == handle)?;
        Some((T::downcast_mut(socket)?, &mut self.interface))
    }

    /// Takes a socket out that the program added. `None` if there is none with the handle.
    pub fn remove(&mut self, handle: SocketHandle) -> Option<AnyOf<'a>> {
        let all = self.sockets.iter().skip(self.entries.len());
        all.map(|(other, _)| other).find(|other| *other == handle)?;
        Some(self.sockets.remove(handle))
    }

    fn tcp(&self, index: usize) -> Option<&tcp::Socket<'a>> {
        let handle = self.entries.get(index)?.handle?;
        Some(self.sockets.get(handle))
    }

    fn stream(&mut self, slot: &Socket) -> Result<Both<'_, 'a>, Error> {
        self.due = Some(Instant::ZERO);
        let entry = self.entries.get_mut(place(slot.stream()?));
        let entry = entry.ok_or(Error::Invalid)?;
        let own = self.sockets.get_mut(entry.handle.ok_or(Error::Invalid)?);
        Ok((entry, own))
    }

    /// Returns an owner's connection unless it broke.
    fn live(&mut self, slot: &Socket) -> Result<Both<'_, 'a>, Error> {
        let (entry, own) = self.stream(slot)?;
        entry.error.map_or(Ok((entry, own)), Err)
    }

    /// Returns an entry that waits to be accepted; if there is none, the next that does is told of.
    fn waiting(&mut self, listener: &Socket) -> Result<Option<usize>, Error> {
        let number = place(listener.listener()?);
        let waiting = self.entries.iter().position(|one| one.waits_for(number));
        let listener = self.listeners.get_mut(number).ok_or(Error::Invalid)?;
        listener.asked |= waiting.is_none();
        Ok(waiting)
    }

    /// Takes from their owners the connections that `which` chooses, and ends them.
    fn orphan(&mut self, which: impl Fn(usize, Phase) -> bool, end: fn(&mut tcp::Socket<'a>)) {
        self.due = Some(Instant::ZERO);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if let Some(handle) = entry.handle.filter(|_| which(index, entry.phase)) {
                let own = self.sockets.get_mut(handle);
                end(own);
                entry.reset(Phase::Orphan);
                entry.state = own.state();
            }
        }
    }

    /// Releases a socket, or a listener with what waits for it.
    fn release(&mut self, slot: &mut Socket, end: fn(&mut tcp::Socket<'a>)) {
        let Socket { kind, index } = core::mem::replace(slot, Socket::CLOSED);
        let index = place(index);
        if kind == Kind::Stream {
            self.orphan(|other, _| other == index, end);
        } else if kind == Kind::Listener {
            Listener::remove(self.listeners, index);
            let waits = |_, phase| phase == Phase::Listener(index);
            self.orphan(waits, tcp::Socket::abort);
        }
    }
}

impl<D: TimedDevice> Platform for Smoltcp<'_, D> {
    type Socket = Socket;
    const CLOSED: Socket = Socket::CLOSED;

    fn listen(&mut self, slot: &mut Socket, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        let (ip, port) = self.check(at)?;
        let any = ip.is_unspecified();
        let ip = match ip {
            IpAddr::V4(_) if any => self.interface.ipv4_addr().map(IpAddr::V4),
            IpAddr::V6(_) if any && at.v6_only => self.interface.ipv6_addr().map(IpAddr::V6),
            ip => Some(ip).filter(|ip| any || self.interface.has_ip_addr(*ip)),
        };
        if at.reuse_port {
            return Err(Error::Unsupported);
        }
        let port = self.choose(port).ok_or(Error::AddressInUse)?;
        let addr = SocketAddr::new(ip.ok_or(Error::AddressUnavailable)?, port);
        let mut listener = Listener::new(id, at, addr, 0);
        listener.asked = true;
        let index = listener.insert(self.listeners, core::iter::once(port))?;
        *slot = Socket::new(Kind::Listener, count(index));
        Ok(())
    }

    fn connect(&mut self, slot: &mut Socket, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        let remote = SocketAddr::from(self.check(to)?);
        let found = self.source_for(remote.ip()).ok_or(Error::Unreachable)?;
        let wanted = to.source.map(|source| source.ip().to_canonical());
        let ip = wanted.filter(|ip| !ip.is_unspecified()).unwrap_or(found);
        if !self.interface.has_ip_addr(ip) || ip.is_ipv4() != remote.is_ipv4() {
            return Err(Error::AddressUnavailable);
        }
        let port = self.choose(to.source.map_or(0, |source| source.port()));
        let port = port
            .filter(|port| self.is_free(*port))
            .ok_or(Error::AddressInUse)?;
        let renewed = renew(self.entries, &mut self.sockets, (to.nodelay, to.keepalive));
        let (index, entry, own) = renewed.ok_or(Error::Exhausted)?;
        let started = own.connect(self.interface.context(), remote, (ip, port));
        started.map_err(|_| Error::Invalid)?;
        (entry.phase, entry.state) = (Phase::Owned(id), State::SynSent);
        entry.want(Readiness::WRITABLE);
        self.due = Some(Instant::ZERO);
        *slot = Socket::new(Kind::Stream, count(index));
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        slot: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let Some(index) = self.waiting(listener)? else {
            return Ok(None);
        };
        *slot = Socket::new(Kind::Stream, count(index));
        self.stream(slot)?.0.phase = Phase::Owned(id);
        let (peer, drained) = (self.peer_addr(slot)?, false);
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        let waiting = self.waiting(listener)?;
        self.orphan(|index, _| Some(index) == waiting, tcp::Socket::abort);
        Ok(waiting.is_some())
    }

    fn set_accepting(&mut self, own: &mut Socket, _: SocketId, on: bool) -> Result<(), Error> {
        let listener = self.listeners.get_mut(place(own.listener()?));
        listener.ok_or(Error::Invalid)?.asked |= on;
        self.due = Some(Instant::ZERO);
        Ok(())
    }

    fn open(&mut self, slot: &mut Socket, _: Readiness) -> Result<Progress, Error> {
        if self.live(slot)?.0.is_opening() {
            return Ok(Progress::Pending);
        }
        Ok(Progress::Done)
    }

    fn take_error(&mut self, slot: &mut Socket) -> Option<Error> {
        self.stream(slot).ok()?.0.error
    }

    fn recv(&mut self, slot: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let (entry, own) = self.stream(slot)?;
        let len = own.recv_slice(buffer).unwrap_or(0);
        entry.received(len, own.recv_queue() == 0)
    }

    fn peek(&mut self, slot: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let (entry, own) = self.stream(slot)?;
        entry.received(own.peek_slice(buffer).unwrap_or(0), false)
    }

    fn set_option(&mut self, slot: &mut Socket, option: SocketOption) -> Result<(), Error> {
        let (entry, own) = self.stream(slot)?;
        match option {
            SocketOption::NoDelay(on) => own.set_nagle_enabled(!on),
            SocketOption::UserTimeout(limit) => entry.answer = (!limit.is_zero()).then_some(limit),
            SocketOption::Keepalive(None) => own.set_keep_alive(None),
            _ => return Err(Error::Unsupported),
        }
        Ok(())
    }

    fn send(&mut self, slot: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        let (entry, own) = self.live(slot)?;
        let taken = match own.send_slice(data) {
            Err(_) if entry.is_opening() => 0,
            taken => taken.map_err(|_| Error::Invalid)?,
        };
        entry.want(Readiness::WRITABLE.when(taken < data.len()));
        Ok(taken)
    }

    fn finish(&mut self, slot: &mut Socket) -> Result<Progress, Error> {
        self.live(slot)?.1.close();
        Ok(Progress::Done)
    }

    fn close(&mut self, slot: &mut Socket) {
        self.release(slot, tcp::Socket::close);
    }

    fn abort(&mut self, slot: &mut Socket) {
        self.release(slot, tcp::Socket::abort);
    }

    fn local_addr(&self, slot: &Socket) -> Result<Address, Error> {
        let index = place(slot.index);
        let at = match slot.kind {
            Kind::Listener => self.listeners.get(index).and_then(|listener| listener.at),
            Kind::Stream => self
                .tcp(index)
                .and_then(tcp::Socket::local_endpoint)
                .map(Into::into),
            _ => None,
        };
        at.map(Address::Ip).ok_or(Error::Invalid)
    }

    fn peer_addr(&self, slot: &Socket) -> Result<Address, Error> {
        let own = self.tcp(place(slot.stream()?));
        let peer = own.and_then(tcp::Socket::remote_endpoint);
        Ok(SocketAddr::from(peer.ok_or(Error::Invalid)?).into())
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.turn();
        let first = [until, self.next_deadline()].into_iter().flatten().min();
        if first.is_none_or(|first| first > self.now) {
            self.device.wait(first);
            self.turn();
        }
        self.device.fault().map_or(Ok(()), Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let reports = self
            .entries
            .iter()
            .any(|entry| entry.readiness != Readiness::NONE)
            || self.listeners.iter().any(|listener| listener.ready);
        reports.then_some(Instant::ZERO).or(self.due)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        for entry in self.entries.iter_mut() {
            let readiness = core::mem::take(&mut entry.readiness);
            if let (Phase::Owned(id), true) = (entry.phase, readiness != Readiness::NONE) {
                return Some(Ready { id, readiness });
            }
        }
        let listener = self.listeners.iter_mut().find(|one| one.ready)?;
        (listener.ready, listener.asked) = (false, false);
        let (id, readiness) = (SocketId::from_bits(listener.owner)?, Readiness::READABLE);
        Some(Ready { id, readiness })
    }

    fn woken(&mut self) -> bool {
        self.device.woken()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }
}

impl<D> core::fmt::Debug for Smoltcp<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Smoltcp").finish_non_exhaustive()
    }
}

/// Who a TCP socket of smoltcp's is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Free,
    /// A listener, by its place: it listens, is half-open, or waits to be accepted.
    Listener(usize),
    Owned(SocketId),
    /// Nobody any more: its owner has closed, and it delivers what is left.
    Orphan,
}

/// What a [`Smoltcp`] keeps of one TCP socket, lent by the caller as [`Self::EMPTY`].
#[derive(Debug)]
pub struct SmoltcpEntry {
    handle: Option<SocketHandle>,
    phase: Phase,
    /// As of when the socket was last looked at, like `unsent`.
    state: State,
    readiness: Readiness,
    /// What is not to be reported: what has been, and room unless the owner had more to send.
    known: Readiness,
    error: Option<Error>,
    /// How long octets may stay unacknowledged, if the owner has said it.
    answer: Option<Duration>,
    unsent: usize,
    /// When a connection that closes is given up unless the peer takes something.
    deadline: Option<Instant>,
}

impl SmoltcpEntry {
    /// A place that no socket has taken.
    pub const EMPTY: Self = Self {
        handle: None,
        phase: Phase::Free,
        state: State::Closed,
        readiness: Readiness::NONE,
        known: Readiness::WRITABLE,
        error: None,
        answer: None,
        unsent: 0,
        deadline: None,
    };

    /// Forgets everything but the socket's handle.
    const fn reset(&mut self, phase: Phase) {
        let handle = self.handle;
        *self = Self::EMPTY;
        (self.handle, self.phase) = (handle, phase);
    }

    const fn is_opening(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Returns true if it is an established connection that a listener has not handed out yet.
    fn waits_for(&self, listener: usize) -> bool {
        let none = matches!(self.state, State::Listen | State::Closed) || self.is_opening();
        self.phase == Phase::Listener(listener) && !none
    }

    const fn want(&mut self, facts: Readiness) {
        self.known = Readiness::from_bits(self.known.bits() & !facts.bits());
    }

    fn received(&mut self, len: usize, drained: bool) -> Result<Recv, Error> {
        self.want(Readiness::READABLE.when(drained || len == 0));
        let ended = self.known.contains(Readiness::ENDED);
        match self.error {
            _ if len > 0 => Ok(Recv::Data { len, drained }),
            // Whatever else broke afterwards, a stream that has ended is whole.
            error if ended && error != Some(Error::Reset) => Ok(Recv::Finished),
            Some(error) => Err(error),
            None => Ok(Recv::WouldBlock),
        }
    }

    /// Reports what a `segment`, or else a timer, has made of the socket, which does not say so.
    fn report(&mut self, own: &tcp::Socket<'_>, segment: bool, before: State) {
        use State::{CloseWait, Closed, Closing, LastAck, SynSent, TimeWait};
        let ended = matches!(self.state, CloseWait | Closing | LastAck | TimeWait);
        if self.state == Closed && before != Closed {
            self.error = match before {
                LastAck if segment && own.send_queue() == 0 => None,
                TimeWait if segment || !self.known.contains(Readiness::READABLE) => None,
                _ if !segment && before != TimeWait => Some(Error::TimedOut),
                SynSent => Some(Error::Refused),
                CloseWait | Closing | LastAck => Some(Error::BrokenPipe),
                // At the end of TIME-WAIT, smoltcp throws away what was not received.
                _ => Some(Error::Reset),
            };
        }
        let broke = self.error.is_some();
        let facts = Readiness::READABLE.when(own.can_recv()).bits()
            | Readiness::WRITABLE.when(own.can_send() || broke).bits()
            | Readiness::ENDED.when(ended).bits()
            | Readiness::ERROR.when(broke).bits();
        let new = Readiness::from_bits(facts & !self.known.bits());
        let last = new.intersects(Readiness::ENDED.union(Readiness::ERROR));
        self.known = self.known.union(Readiness::from_bits(facts));
        self.readiness = self
            .readiness
            .union(new)
            .union(Readiness::READABLE.when(last));
    }
}

type Both<'e, 'a> = (&'e mut SmoltcpEntry, &'e mut tcp::Socket<'a>);

/// Takes an entry for another connection, a free one or one in TIME-WAIT. Its socket leaves the set
/// and comes back, so that it does not wait for the neighbour of the connection before.
fn renew<'e, 'a>(
    entries: &'e mut [SmoltcpEntry],
    sockets: &'e mut SocketSet<'a>,
    (nodelay, keepalive): (bool, Option<Duration>),
) -> Option<(usize, &'e mut SmoltcpEntry, &'e mut tcp::Socket<'a>)> {
    let free = entries.iter().position(|one| one.phase == Phase::Free);
    let old = |one: &SmoltcpEntry| one.phase == Phase::Orphan && one.state == State::TimeWait;
    let index = free.or_else(|| entries.iter().position(old))?;
    let handle = entries.get(index)?.handle?;
    let socket = sockets.remove(handle);
    // smoltcp gives a segment to the first socket that takes it, and one that listens takes the
    // SYN that a peer repeats: this one goes behind the last connection, which takes its place,
    // the first that is free.
    let open = |one: &&mut SmoltcpEntry| one.phase != Phase::Free && one.state != State::Listen;
    if let Some(last) = entries.iter_mut().filter(open).max_by_key(|one| one.handle)
        && let Some(behind) = last.handle.filter(|behind| *behind > handle)
    {
        let moved = sockets.remove(behind);
        last.handle = Some(sockets.add(moved));
    }
    let handle = sockets.add(socket);
    let own = sockets.get_mut::<tcp::Socket<'_>>(handle);
    own.abort();
    own.set_nagle_enabled(!nodelay);
    own.set_keep_alive(keepalive.map(|idle| span(idle.max(KEEPALIVE_MIN))));
    let entry = entries.get_mut(index)?;
    entry.reset(Phase::Free);
    entry.handle = Some(handle);
    Some((index, entry, own))
}

/// Returns a duration as smoltcp has it, short enough to be multiplied and added to its time.
fn span(time: Duration) -> Span {
    time.min(Duration::from_secs(1 << 40)).into()
}
