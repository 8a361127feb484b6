//! The platform: a loop's calls on smoltcp's sockets.

use core::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::socket::{AnySocket, Socket};
use smoltcp::time::{Duration as Span, Instant as Stamp};
use smoltcp::wire::IpAddress;
use usockets::{
    Accepted, Address, Duration, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready,
    Recv, Security, SocketId, SocketOption,
};

use super::entry::{Kind, Phase, SmoltcpEntry, SmoltcpListener, SmoltcpMemory, SmoltcpSocket};
use super::turn::{discard, is_opening, set_keepalive};
use crate::config::Limits;
use crate::device::timed::TimedDevice;
use crate::number::{count, low16, place};

/// First and number of ephemeral ports (RFC 6335, section 6).
const PORTS_FROM: u16 = 49_152;
const PORTS: u16 = 16_384;
/// Largest receive buffer. After the handshake smoltcp 0.14 takes a window for more than it has
/// promised if it is scaled.
const RECV_MAX: usize = 65_535;
/// Shortest silence after which a peer is asked whether it lives.
const KEEPALIVE_MIN: Duration = Duration::from_secs(1);

/// A [`Platform`] over smoltcp's own [`Interface`] and TCP sockets: simple, small, and O(n).
///
/// Every frame, every turn and every deadline looks at every socket, and a report costs a walk
/// over them, too. It is for a few connections, for programs that use smoltcp's other sockets
/// beside them, as a baseline, and as a peer to test [`Stack`](crate::Stack) with, whose TCP it
/// shares no code with. It drives smoltcp's sockets by their public calls and lets frames pass as
/// they are, so it is what smoltcp is, for better or worse.
///
/// # What smoltcp cannot do
///
/// - A SYN that finds no free socket or a full backlog is answered by a reset, so its peer is
///   refused at once, and does not try again as after a SYN that is dropped.
/// - Nothing is known of why a connection closed, but whether a segment of the peer's or a timeout
///   did it. ICMP's errors are not seen, and a neighbour that does not answer is no error: a
///   connect to it times out, and so does one to an own address unless the device loops it back.
/// - TIME-WAIT lasts 10 s, or until its socket is needed for another connection. What its owner
///   has not received by its end is thrown away, and reported as [`Error::Reset`].
/// - No port is shared between listeners ([`Endpoint::reuse_port`] is [`Error::Unsupported`]).
///   There is no address "any of IPv4" or "any of IPv6 alone": `0.0.0.0` is the interface's first
///   IPv4 address, and `[::]` with [`Endpoint::v6_only`] its first of IPv6.
/// - Receive buffers have 65,535 bytes at most, and all sockets' buffers have one size.
/// - Initial sequence numbers come from a generator that an observer can foresee, and a bare SYN
///   to a connect whose own SYN is not sent yet, because the neighbour has not answered, makes
///   smoltcp 0.14 panic. Use it on links that you trust.
///
/// # Example
///
/// ```
/// use smoltcp::iface::{Config, Interface, SocketStorage};
/// use smoltcp::phy::{Loopback, Medium};
/// use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
/// use usockets::{Endpoint, Instant, Platform, Recv, SocketId};
/// use usockets_smoltcp::{
///     Limits, Smoltcp, SmoltcpEntry, SmoltcpListener, SmoltcpMemory, Timed,
/// };
///
/// let clock = core::cell::Cell::new(1_000_000);
/// let tick = || {
///     clock.set(clock.get() + 1_000);
///     Instant::from_micros(clock.get())
/// };
/// let mut device = Timed::new(Loopback::new(Medium::Ethernet), tick, |_| {});
/// let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
/// let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
/// interface.update_ip_addrs(|all| {
///     let _ = all.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8));
/// });
/// let memory = SmoltcpMemory {
///     entries: &mut [const { SmoltcpEntry::EMPTY }; 4],
///     storage: &mut [const { SocketStorage::EMPTY }; 4],
///     bytes: &mut [0; 4 * 2_048],
///     listeners: &mut [const { SmoltcpListener::EMPTY }; 1],
/// };
/// let mut net = Smoltcp::new(device, interface, Limits::DEFAULT, memory)?;
/// let [server, mut client] = [1, 2].map(|number| SocketId::from_bits(1 << 32 | number).unwrap());
/// let at = Endpoint::tcp(([127, 0, 0, 1], 80).into());
/// let [mut listener, mut socket, mut accepted] = [const { Smoltcp::<Never>::CLOSED }; 3];
/// # type Never = Timed<Loopback, fn() -> Instant, fn(Option<Instant>)>;
/// net.listen(&mut listener, server, &at)?;
/// net.connect(&mut socket, client, &at)?;
/// while net.accept(&mut listener, &mut accepted, server)?.is_none() {
///     net.poll(None)?;
/// }
/// net.send(&mut accepted, b"hello")?;
/// let mut buffer = [0; 16];
/// while net.recv(&mut socket, &mut buffer)? == Recv::WouldBlock {
///     net.poll(None)?;
/// }
/// assert!(buffer.starts_with(b"hello"));
/// # Ok::<(), usockets::Error>(())
/// ```
pub struct Smoltcp<'a, D> {
    pub(super) device: D,
    pub(super) interface: Interface,
    pub(super) sockets: SocketSet<'a>,
    pub(super) entries: &'a mut [SmoltcpEntry],
    pub(super) listeners: &'a mut [SmoltcpListener],
    pub(super) limits: Limits,
    pub(super) now: Instant,
    /// When the next turn has something to do by itself.
    pub(super) due: Option<Instant>,
    /// A call has made something due since the last turn.
    pub(super) called: bool,
    /// More was to be done than one turn does.
    pub(super) more: bool,
    pub(super) order: u64,
    /// Sockets and places in the set that are not in use.
    room: usize,
    ports_used: u16,
    /// Where the search for the next report goes on.
    cursor: usize,
}

impl<'a, D: TimedDevice> Smoltcp<'a, D> {
    /// Makes a platform of `interface`, which was made for `device`, and `memory`. Of `limits`,
    /// all count but TIME-WAIT's.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are no entries, fewer places for sockets than entries, not a
    /// byte for each buffer, or more than 65,535 bytes for each.
    pub fn new(
        device: D,
        interface: Interface,
        limits: Limits,
        memory: SmoltcpMemory<'a>,
    ) -> Result<Self, Error> {
        let SmoltcpMemory {
            entries,
            storage,
            bytes,
            listeners,
        } = memory;
        let share = bytes.len().checked_div(entries.len()).unwrap_or(0) >> 1;
        let places = storage.len().checked_sub(entries.len());
        let room = places.ok_or(Error::Invalid)?;
        if share == 0 || share > RECV_MAX {
            return Err(Error::Invalid);
        }
        let mut sockets = SocketSet::new(storage);
        if sockets.iter().next().is_some() {
            return Err(Error::Invalid);
        }
        let mut buffers = bytes.chunks_exact_mut(share);
        let mut buffer = || tcp::SocketBuffer::new(buffers.next().unwrap_or_default());
        for entry in entries.iter_mut() {
            let socket = tcp::Socket::new(buffer(), buffer());
            *entry = SmoltcpEntry::EMPTY;
            entry.handle = Some(sockets.add(socket));
        }
        let now = device.now();
        Ok(Self {
            device,
            interface,
            sockets,
            entries,
            listeners,
            limits,
            now,
            due: None,
            called: true,
            more: false,
            order: 0,
            room,
            ports_used: low16(now.as_micros()),
            cursor: 0,
        })
    }

    /// Returns the socket of an entry, and the entry.
    pub(super) fn both(
        &mut self,
        index: usize,
    ) -> Option<(&mut SmoltcpEntry, &mut tcp::Socket<'a>)> {
        let entry = self.entries.get_mut(index)?;
        let handle = entry.handle?;
        Some((entry, self.sockets.get_mut(handle)))
    }

    /// Returns an owner's connection. The next turn looks at what the call made due.
    fn stream(
        &mut self,
        socket: &SmoltcpSocket,
    ) -> Result<(&mut SmoltcpEntry, &mut tcp::Socket<'a>), Error> {
        if socket.kind != Kind::Stream {
            return Err(Error::Invalid);
        }
        self.called = true;
        self.both(place(socket.index)).ok_or(Error::Invalid)
    }

    fn listener(&mut self, socket: &SmoltcpSocket) -> Result<(usize, &mut SmoltcpListener), Error> {
        let number = place(socket.index);
        let listener = self.listeners.get_mut(number);
        let listener = listener.filter(|_| socket.kind == Kind::Listener);
        Ok((number, listener.ok_or(Error::Invalid)?))
    }

    /// Returns an entry that may be used anew: a free one, or the one that is in TIME-WAIT for
    /// longest, or, for a connect, one that only listens.
    pub(super) fn vacate(&mut self, connects: bool) -> Option<usize> {
        let all = || self.entries.iter();
        let free = all().position(|entry| entry.phase == Phase::Free);
        let old = || {
            let old = all().enumerate().filter(|(_, entry)| {
                entry.phase == Phase::Orphan && entry.state == State::TimeWait
            });
            old.min_by_key(|(_, entry)| entry.order)
                .map(|(index, _)| index)
        };
        let listening = || {
            let listens = |entry: &SmoltcpEntry| {
                matches!(entry.phase, Phase::Listener(_)) && entry.state == State::Listen
            };
            all().position(listens).filter(|_| connects)
        };
        free.or_else(old).or_else(listening)
    }

    /// Makes an entry ready for another connection. The socket leaves the set and comes back, so
    /// that it does not wait for the neighbour of the connection before.
    pub(super) fn renew(
        &mut self,
        index: usize,
        phase: Phase,
        nodelay: bool,
    ) -> Option<(&mut SmoltcpEntry, &mut tcp::Socket<'a>)> {
        let entry = self.entries.get_mut(index)?;
        let mut socket = self.sockets.remove(entry.handle?);
        let own = tcp::Socket::downcast_mut(&mut socket)?;
        own.abort();
        own.set_keep_alive(None);
        own.set_nagle_enabled(!nodelay);
        entry.handle = Some(self.sockets.add(socket));
        entry.reset(phase);
        entry.answer = self.limits.answer;
        self.both(index)
    }

    /// Takes the connection that waits longest out of a listener's queue; also returns whether
    /// more wait.
    fn dequeue(&mut self, number: usize) -> Option<(usize, bool)> {
        let waits = |(_, entry): &(usize, &SmoltcpEntry)| entry.waits_for(number);
        let waiting = || self.entries.iter().enumerate().filter(waits);
        let (index, _) = waiting().min_by_key(|(_, entry)| entry.order)?;
        Some((index, waiting().nth(1).is_some()))
    }

    /// Gives up an entry with its connection, which is reset.
    fn drop_entry(&mut self, index: usize) {
        self.called = true;
        if let Some((entry, socket)) = self.both(index) {
            socket.abort();
            entry.reset(Phase::Orphan);
        }
    }

    fn unlisten(&mut self, number: usize) {
        if let Some(listener) = self.listeners.get_mut(number) {
            *listener = SmoltcpListener::EMPTY;
        }
        for index in 0..self.entries.len() {
            let entry = self.entries.get(index);
            if entry.is_some_and(|entry| entry.phase == Phase::Listener(number)) {
                self.drop_entry(index);
            }
        }
    }

    /// Chooses a port that no listener and no connection has.
    fn ephemeral(&mut self) -> Option<u16> {
        (0..PORTS).find_map(|_| {
            let offset = self.ports_used & PORTS.wrapping_sub(1);
            self.ports_used = self.ports_used.wrapping_add(1);
            let port = PORTS_FROM.wrapping_add(offset);
            self.is_free(port, None).then_some(port)
        })
    }

    /// Returns true if no socket has the local port, or none with this peer.
    fn is_free(&self, port: u16, peer: Option<SocketAddr>) -> bool {
        let listens = |listener: &SmoltcpListener| listener.at.is_some_and(|at| at.port() == port);
        let has = |entry: &SmoltcpEntry| {
            let handle = entry.handle.filter(|_| entry.phase != Phase::Free);
            let socket = handle.map(|handle| self.sockets.get::<tcp::Socket<'_>>(handle));
            socket.is_some_and(|socket| {
                let local = socket.local_endpoint().is_some_and(|own| own.port == port);
                let remote = socket.remote_endpoint();
                local && peer.is_none_or(|peer| remote == Some(peer.into()))
            })
        };
        !self.listeners.iter().any(listens) && !self.entries.iter().any(has)
    }

    /// Returns the address to reach `remote` from.
    fn source_for(&mut self, remote: IpAddr) -> Option<IpAddr> {
        let to = IpAddress::from(remote);
        let on_link = |all: &[smoltcp::wire::IpCidr]| all.iter().any(|own| own.contains_addr(&to));
        let mut reachable = to.is_unicast() && on_link(self.interface.ip_addrs());
        self.interface.routes_mut().update(|routes| {
            reachable |= to.is_unicast() && routes.iter().any(|one| one.cidr.contains_addr(&to));
        });
        let from = self.interface.get_source_address(&to)?;
        (reachable && self.interface.has_ip_addr(from)).then(|| from.into())
    }

    fn fits(&self, endpoint: &Endpoint<'_>) -> bool {
        let socket = self.entries.first().and_then(|entry| entry.handle);
        let socket = socket.map(|handle| self.sockets.get::<tcp::Socket<'_>>(handle));
        let has = socket.map_or(0, tcp::Socket::recv_capacity);
        let wanted = [endpoint.recv_buffer, endpoint.send_buffer];
        wanted.into_iter().flatten().all(|bytes| bytes <= has)
    }
}

impl<'a, D> Smoltcp<'a, D> {
    /// Lends the interface: its addresses, routes and groups.
    #[must_use]
    pub const fn interface_mut(&mut self) -> &mut Interface {
        &mut self.interface
    }

    /// Lends the device for changing.
    #[must_use]
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
    /// that it needs. Every turn of the platform serves it; what comes of it, the program looks
    /// for itself ([`Self::socket`]) after polls.
    ///
    /// # Errors
    /// The socket comes back when [`SmoltcpMemory::storage`] has no place for it.
    pub fn add<T: AnySocket<'a>>(&mut self, socket: T) -> Result<SocketHandle, T> {
        let Some(room) = self.room.checked_sub(1) else {
            return Err(socket);
        };
        self.room = room;
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
        self.called = true;
        let mut all = self.sockets.iter_mut().skip(self.entries.len());
        let (_, socket) = all.find(|(other, _)| *other == handle)?;
        Some((T::downcast_mut(socket)?, &mut self.interface))
    }

    /// Takes a socket out that the program added. `None` if there is none with the handle.
    pub fn remove(&mut self, handle: SocketHandle) -> Option<Socket<'a>> {
        let all = self.sockets.iter().skip(self.entries.len());
        all.map(|(other, _)| other).find(|other| *other == handle)?;
        self.room = self.room.saturating_add(1);
        Some(self.sockets.remove(handle))
    }
}

impl<D: TimedDevice> Platform for Smoltcp<'_, D> {
    type Socket = SmoltcpSocket;

    const CLOSED: SmoltcpSocket = SmoltcpSocket {
        kind: Kind::Closed,
        index: 0,
    };

    fn listen(
        &mut self,
        socket: &mut SmoltcpSocket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if at.security != Security::Plain || at.reuse_port {
            return Err(Error::Unsupported);
        }
        let ip = match at.addr.ip().to_canonical() {
            IpAddr::V4(any) if any.is_unspecified() => self.interface.ipv4_addr().map(Into::into),
            IpAddr::V6(any) if any.is_unspecified() && at.v6_only => {
                self.interface.ipv6_addr().map(Into::into)
            }
            ip => Some(ip),
        };
        let ip = ip.ok_or(Error::AddressUnavailable)?;
        if !ip.is_unspecified() && !self.interface.has_ip_addr(ip) {
            return Err(Error::AddressUnavailable);
        }
        if !self.fits(at) {
            return Err(Error::Invalid);
        }
        let free = self.listeners.iter().position(|other| other.owner == 0);
        let number = free.ok_or(Error::Exhausted)?;
        let port = match at.addr.port() {
            0 => self.ephemeral().ok_or(Error::AddressInUse)?,
            port => port,
        };
        let addr = SocketAddr::new(ip, port);
        if self.listeners.iter().any(|other| other.conflicts(addr)) {
            return Err(Error::AddressInUse);
        }
        if let Some(listener) = self.listeners.get_mut(number) {
            *listener = SmoltcpListener::new(id, addr, at);
        }
        self.fill_listeners();
        *socket = SmoltcpSocket {
            kind: Kind::Listener,
            index: count(number),
        };
        Ok(())
    }

    fn connect(
        &mut self,
        socket: &mut SmoltcpSocket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let remote = SocketAddr::new(to.addr.ip().to_canonical(), to.addr.port());
        if to.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        if remote.port() == 0 || !self.fits(to) {
            return Err(Error::Invalid);
        }
        let found = self.source_for(remote.ip());
        let wanted = to.source.map(|source| source.ip().to_canonical());
        let wanted = wanted.filter(|ip| !ip.is_unspecified());
        if wanted.is_some_and(|ip| !self.interface.has_ip_addr(ip)) {
            return Err(Error::AddressUnavailable);
        }
        let ip = wanted.unwrap_or(found.ok_or(Error::Unreachable)?);
        if ip.is_ipv4() != remote.is_ipv4() {
            return Err(Error::AddressUnavailable);
        }
        let port = match to.source.map_or(0, |source| source.port()) {
            0 => self.ephemeral().ok_or(Error::Exhausted)?,
            port if self.is_free(port, Some(remote)) => port,
            _ => return Err(Error::AddressInUse),
        };
        let index = self.vacate(true).ok_or(Error::Exhausted)?;
        let limit = span(self.limits.connect);
        let entry = self.renew(index, Phase::Owned, to.nodelay);
        let (entry, _) = entry.ok_or(Error::Exhausted)?;
        entry.owner = id.to_bits();
        entry.wants_read = true;
        entry.keepalive = to.keepalive.map(|idle| idle.max(KEEPALIVE_MIN));
        entry.state = State::SynSent;
        let handle = entry.handle.ok_or(Error::Exhausted)?;
        let own = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        own.set_timeout(Some(limit));
        let context = self.interface.context();
        if own.connect(context, remote, (ip, port)).is_err() {
            self.drop_entry(index);
            return Err(Error::Invalid);
        }
        self.called = true;
        *socket = SmoltcpSocket {
            kind: Kind::Stream,
            index: count(index),
        };
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut SmoltcpSocket,
        socket: &mut SmoltcpSocket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let (number, _) = self.listener(listener)?;
        let Some((index, more)) = self.dequeue(number) else {
            return Ok(None);
        };
        self.called = true;
        let Some((entry, own)) = self.both(index) else {
            return Ok(None);
        };
        entry.phase = Phase::Owned;
        entry.owner = id.to_bits();
        entry.wants_read = true;
        let remote = own.remote_endpoint().ok_or(Error::Reset);
        let Ok(remote) = remote else {
            self.drop_entry(index);
            return Err(Error::Reset);
        };
        *socket = SmoltcpSocket {
            kind: Kind::Stream,
            index: count(index),
        };
        Ok(Some(Accepted {
            peer: SocketAddr::new(remote.addr.into(), remote.port).into(),
            drained: !more,
        }))
    }

    fn refuse(&mut self, listener: &mut SmoltcpSocket) -> Result<bool, Error> {
        let (number, _) = self.listener(listener)?;
        let waiting = self.dequeue(number);
        if let Some((index, _)) = waiting {
            self.drop_entry(index);
        }
        Ok(waiting.is_some())
    }

    fn set_accepting(
        &mut self,
        listener: &mut SmoltcpSocket,
        _: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let (_, listener) = self.listener(listener)?;
        listener.asked |= accepting;
        self.called |= accepting;
        Ok(())
    }

    fn open(&mut self, socket: &mut SmoltcpSocket, _: Readiness) -> Result<Progress, Error> {
        let (entry, _) = self.stream(socket)?;
        match entry.error {
            Some(error) => Err(error),
            None if is_opening(entry.state) => Ok(Progress::Pending),
            None => Ok(Progress::Done),
        }
    }

    fn take_error(&mut self, socket: &mut SmoltcpSocket) -> Option<Error> {
        self.stream(socket).ok()?.0.error
    }

    fn recv(&mut self, socket: &mut SmoltcpSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let (entry, own) = self.stream(socket)?;
        let len = match own.recv_slice(buffer) {
            Ok(len) if !is_opening(entry.state) => len,
            _ => 0,
        };
        entry.unread = own.recv_queue();
        if len > 0 {
            let drained = entry.unread == 0;
            entry.wants_read |= drained;
            return Ok(Recv::Data { len, drained });
        }
        nothing(entry)
    }

    fn peek(&mut self, socket: &mut SmoltcpSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let (entry, own) = self.stream(socket)?;
        match own.peek_slice(buffer) {
            Ok(len) if len > 0 => {
                let drained = own.recv_queue() == len;
                Ok(Recv::Data { len, drained })
            }
            _ => nothing(entry),
        }
    }

    fn set_option(
        &mut self,
        socket: &mut SmoltcpSocket,
        option: SocketOption,
    ) -> Result<(), Error> {
        let answer = self.limits.answer;
        let (entry, own) = self.stream(socket)?;
        match option {
            SocketOption::NoDelay(on) => own.set_nagle_enabled(!on),
            SocketOption::UserTimeout(time) if time.is_zero() => entry.answer = answer,
            SocketOption::UserTimeout(time) => entry.answer = time,
            SocketOption::Keepalive(None) => {
                entry.keepalive = None;
                set_keepalive(own, None);
            }
            _ => return Err(Error::Unsupported),
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut SmoltcpSocket, data: &[u8]) -> Result<usize, Error> {
        let (entry, own) = self.stream(socket)?;
        if let Some(error) = entry.error {
            return Err(error);
        }
        if is_opening(entry.state) {
            return Ok(0);
        }
        let taken = own.send_slice(data).map_err(|_| Error::Invalid)?;
        entry.wants_write |= taken < data.len();
        if entry.keepalive.is_none() {
            let waits = own.send_queue() > 0;
            own.set_timeout(waits.then(|| span(entry.answer)));
        }
        Ok(taken)
    }

    fn finish(&mut self, socket: &mut SmoltcpSocket) -> Result<Progress, Error> {
        let now = self.now;
        let (entry, own) = self.stream(socket)?;
        if let Some(error) = entry.error {
            return Err(error);
        }
        if entry.state == State::SynSent {
            return Err(Error::Invalid);
        }
        own.close();
        entry.state = own.state();
        entry.unsent = own.send_queue();
        entry.deadline = Some(now.saturating_add(entry.answer));
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut SmoltcpSocket) {
        let (index, now) = (place(socket.index), self.now);
        let closing = self.limits.closing;
        match socket.kind {
            Kind::Listener => self.unlisten(index),
            Kind::Stream => {
                self.called = true;
                self.order = self.order.saturating_add(1);
                let order = self.order;
                if let Some((entry, own)) = self.both(index) {
                    discard(own);
                    if own.state() == State::SynReceived {
                        own.abort();
                    }
                    own.close();
                    entry.reset(Phase::Orphan);
                    entry.state = own.state();
                    entry.order = order;
                    entry.unsent = own.send_queue();
                    entry.answer = closing;
                    entry.deadline = Some(now.saturating_add(closing));
                    own.set_timeout(None);
                    if entry.state == State::Closed && own.remote_endpoint().is_none() {
                        entry.reset(Phase::Free);
                    }
                }
            }
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut SmoltcpSocket) {
        match socket.kind {
            Kind::Listener => self.unlisten(place(socket.index)),
            Kind::Stream => self.drop_entry(place(socket.index)),
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn local_addr(&self, socket: &SmoltcpSocket) -> Result<Address, Error> {
        let index = place(socket.index);
        let addr = match socket.kind {
            Kind::Listener => self.listeners.get(index).and_then(|listener| listener.at),
            Kind::Stream => {
                let handle = self.entries.get(index).and_then(|entry| entry.handle);
                let own = handle.map(|handle| self.sockets.get::<tcp::Socket<'_>>(handle));
                let own = own.and_then(tcp::Socket::local_endpoint);
                own.map(|own| SocketAddr::new(own.addr.into(), own.port))
            }
            Kind::Closed => None,
        };
        addr.map(Address::Ip).ok_or(Error::Invalid)
    }

    fn peer_addr(&self, socket: &SmoltcpSocket) -> Result<Address, Error> {
        let entry = self.entries.get(place(socket.index));
        let handle = entry.and_then(|entry| entry.handle);
        let handle = handle.filter(|_| socket.kind == Kind::Stream);
        let own = handle.map(|handle| self.sockets.get::<tcp::Socket<'_>>(handle));
        let peer = own.and_then(tcp::Socket::remote_endpoint);
        let peer = peer.map(|peer| SocketAddr::new(peer.addr.into(), peer.port));
        peer.map(Address::Ip).ok_or(Error::Invalid)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.turn();
        if !self.has_work() {
            let first = [until, self.due].into_iter().flatten().min();
            if first.is_none_or(|first| first > self.now) {
                self.device.wait(first);
                self.turn();
            }
        }
        self.cursor = 0;
        self.device.fault().map_or(Ok(()), Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() || self.called {
            return Some(Instant::ZERO);
        }
        self.due
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let entries = self.entries.iter_mut().skip(self.cursor);
        for entry in entries {
            self.cursor = self.cursor.saturating_add(1);
            let readiness = core::mem::replace(&mut entry.readiness, Readiness::NONE);
            let id = SocketId::from_bits(entry.owner).filter(|_| readiness != Readiness::NONE);
            if let (Some(id), Phase::Owned) = (id, entry.phase) {
                return Some(Ready { id, readiness });
            }
        }
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            let ready = core::mem::take(&mut listener.ready);
            let waits = ready && self.entries.iter().any(|entry| entry.waits_for(number));
            if let Some(id) = SocketId::from_bits(listener.owner).filter(|_| waits) {
                let readiness = Readiness::READABLE;
                return Some(Ready { id, readiness });
            }
        }
        None
    }

    fn woken(&mut self) -> bool {
        self.device.woken()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }
}

impl<D> Smoltcp<'_, D> {
    /// Returns true if there is something to report or to do at once.
    fn has_work(&self) -> bool {
        let reports = |entry: &SmoltcpEntry| {
            entry.phase == Phase::Owned && entry.readiness != Readiness::NONE
        };
        let listeners = self.listeners.iter().enumerate();
        let waits = |number| move |entry: &SmoltcpEntry| entry.waits_for(number);
        let mut ready = listeners.filter(|(_, listener)| listener.ready);
        self.more
            || self.entries.iter().any(reports)
            || ready.any(|(number, _)| self.entries.iter().any(waits(number)))
    }
}

impl<D> core::fmt::Debug for Smoltcp<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Smoltcp")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Says what a receive found that found no octets.
const fn nothing(entry: &mut SmoltcpEntry) -> Result<Recv, Error> {
    // Whatever broke afterwards, the stream is whole.
    if entry.ended && !matches!(entry.error, Some(Error::Reset)) {
        return Ok(Recv::Finished);
    }
    if let Some(error) = entry.error {
        return Err(error);
    }
    entry.wants_read = true;
    Ok(Recv::WouldBlock)
}

/// Returns the time on smoltcp's clock.
pub(super) fn stamp(at: Instant) -> Stamp {
    Stamp::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

/// Returns the time on the loop's clock.
pub(super) fn instant(at: Stamp) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}

/// Returns a duration as smoltcp has it.
pub(super) fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
