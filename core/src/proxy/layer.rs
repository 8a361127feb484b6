//! The PROXY protocol below TLS and the program, over any platform.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::Address;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::{Accepted, Platform, Progress, Readiness, Ready, Recv, SocketOption};
use crate::proxy::header::{HEADER_MAX, ProxyHeader, ProxyParsed, ProxyValues, ProxyVersion};
use crate::time::Instant;

/// Looks at the beginning of a header, without any more of it, after which its peer has ended:
/// reports without a reason are not as many in a row.
const LOOKS_MAX: u8 = 32;

/// A network: all addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// Makes the network of the addresses whose first `prefix` bits are those of `addr`. All of one
    /// family if that is 0; one address if it is 32, or 128 of IPv6, or more.
    #[must_use]
    pub const fn new(addr: IpAddr, prefix: u8) -> Self {
        Self { addr, prefix }
    }

    /// Returns true if `addr` is in the network. An IPv4-mapped address counts as IPv4.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        let beyond = |width: u32| width.saturating_sub(self.prefix.into());
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(addr)) => {
                let differs = own.to_bits() ^ addr.to_bits();
                differs.checked_shr(beyond(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(addr)) => {
                let differs = own.to_bits() ^ addr.to_bits();
                differs.checked_shr(beyond(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What becomes of a connection that does not come from a proxy that is trusted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is reset.
    #[default]
    Refuse,
    /// It is served as it is: the peer is who it says, and whatever it sends is data.
    Direct,
}

/// The PROXY protocol, versions 1 and 2, over any platform: connections that a proxy passes on
/// come with the client's address, below TLS if a layer of it is above.
///
/// A connection that comes from a **trusted** network begins with a header, or fails; nothing is
/// guessed. It opens when the header has come, within the time that connections have to open.
/// [`Net::peer_addr`] and [`Opened::Accepted`] have the client's address then, and that of the
/// proxy itself if it speaks for itself (`LOCAL`, `UNKNOWN`). Everything after the header is the
/// stream, of which none is read before.
///
/// A header stays with the platform until it is whole ([`Platform::peek`]), so that connections
/// that wait for one take no memory. A platform that cannot be looked into, or never holds a whole
/// header, is [`Error::Unsupported`] or fails each connection.
///
/// As a sender, [`Self::send_header`] has connects begin with a header.
///
/// ```
/// use usockets::proxy::{Network, Proxied};
/// # use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
/// # use usockets_linux::Linux;
/// # struct Server;
/// # impl<P: Platform> Handler<P> for Server {
/// #     type Ext = ();
/// #     type Context = ();
/// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// # }
///
/// let trusted = [Network::new([10, 0, 0, 0].into(), 8)];
/// let platform = Proxied::new(Linux::new()?, &trusted);
/// let mut sockets = Sockets::<_, Server, 16>::new();
/// let mut buffer = [0; 4096];
/// let mut server = Loop::new(platform, &mut sockets, &mut buffer);
/// server.net().listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), ())?;
/// # Ok::<(), Error>(())
/// ```
///
/// [`Net::peer_addr`]: crate::Net::peer_addr
/// [`Opened::Accepted`]: crate::Opened::Accepted
pub struct Proxied<'s, P: Platform> {
    inner: P,
    trusted: &'s [Network],
    untrusted: Untrusted,
    /// What connects begin with.
    send: Option<(ProxyHeader, ProxyVersion)>,
    values: &'s mut [ProxyPlace],
    invalid: u64,
    /// A header while it is looked at, or written.
    scratch: [u8; HEADER_MAX],
}

/// Room for the values of one connection's header, see [`Proxied::with_values`]. All zero bytes if
/// empty.
#[derive(Clone, Copy, Debug)]
pub struct ProxyPlace {
    /// Bits of the id of the socket whose header it is.
    of: u64,
    len: u16,
    header: [u8; Self::HEADER_MAX],
}

impl ProxyPlace {
    /// Longest header whose values are kept.
    pub const HEADER_MAX: usize = 502;

    /// Room with nothing in it.
    pub const EMPTY: Self = Self {
        of: 0,
        len: 0,
        header: [0; Self::HEADER_MAX],
    };
}

/// A socket of [`Proxied`]: the platform's, and what its header told.
pub struct ProxiedSocket<S> {
    inner: S,
    state: State,
    /// Bytes of a header that went out; of one that is awaited, looks that found no more than
    /// those before.
    sent: u8,
    version: u8,
    /// The platform reports it only when there is as much as its header still wants.
    is_marked: bool,
    /// Bytes of a header that are still to be taken; of one that is awaited, how many were seen.
    left: u16,
    ends: Ends,
    id: u64,
}

/// How far the header of a connection has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// There is none, or nothing more is to be done about it.
    #[default]
    Passed,
    /// The platform below has not opened the accepted connection yet.
    Accepted,
    /// It has to come.
    Awaited,
    /// It came, and is being taken out of the stream.
    Taken,
    /// It came in the first call, after which the loop asks for the peer's address anew.
    Read,
    /// The platform below is connecting. The header follows.
    Connecting,
    /// It is going out.
    Sending,
}

/// A client's and a server's address, all zero bytes if there are none.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    /// 4 or 6; 0 if there are none.
    family: u8,
    ports: [u16; 2],
    addrs: [[u8; 16]; 2],
}

impl Ends {
    const NONE: Self = Self {
        family: 0,
        ports: [0; 2],
        addrs: [[0; 16]; 2],
    };

    fn of(header: ProxyHeader) -> Self {
        let Some((client, server)) = header.addresses else {
            return Self::NONE;
        };
        let bytes = |addr: SocketAddr| match addr.ip() {
            IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
            IpAddr::V6(addr) => addr.octets(),
        };
        Self {
            family: if client.is_ipv4() { 4 } else { 6 },
            ports: [client.port(), server.port()],
            addrs: [bytes(client), bytes(server)],
        }
    }

    fn header(&self) -> ProxyHeader {
        let addr = |bytes: [u8; 16]| {
            let [.., a, b, c, d] = bytes;
            match self.family {
                4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
                _ => IpAddr::V6(Ipv6Addr::from_octets(bytes)),
            }
        };
        let ([client, server], [from, to]) = (self.addrs, self.ports);
        let addresses = (
            SocketAddr::new(addr(client), from),
            SocketAddr::new(addr(server), to),
        );
        ProxyHeader {
            addresses: (self.family != 0).then_some(addresses),
        }
    }
}

impl<S> ProxiedSocket<S> {
    /// Returns what the connection's header told, once it is open; of a connect, what it sent.
    #[must_use]
    pub fn header(&self) -> ProxyHeader {
        self.ends.header()
    }

    /// Returns the socket of the platform below.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<'s, P: Platform> Proxied<'s, P> {
    /// Makes a layer over `inner` that takes headers of proxies in the `trusted` networks, and
    /// refuses everybody else.
    pub fn new(inner: P, trusted: &'s [Network]) -> Self {
        Self {
            inner,
            trusted,
            untrusted: Untrusted::Refuse,
            send: None,
            values: &mut [],
            invalid: 0,
            scratch: [0; HEADER_MAX],
        }
    }

    /// Sets what becomes of connections that come from elsewhere.
    #[must_use]
    pub const fn with_untrusted(mut self, policy: Untrusted) -> Self {
        self.untrusted = policy;
        self
    }

    /// Adds room for the values beside the addresses, for [`Self::values`]: one place for each
    /// socket of the pool. Those of sockets beyond, and of a header that is too long for its place,
    /// are not kept.
    #[must_use]
    pub const fn with_values(mut self, places: &'s mut [ProxyPlace]) -> Self {
        self.values = places;
        self
    }

    /// Has the connects that follow begin with this header, until it is called again; with none if
    /// `None`. It goes out before anything that the program, or TLS, sends.
    pub const fn send_header(&mut self, header: Option<(ProxyHeader, ProxyVersion)>) {
        self.send = header;
    }

    /// Returns the values that came with the header of a connection; none if it had none, or there
    /// was no room for them.
    #[must_use]
    pub fn values(&self, id: SocketId) -> ProxyValues<'_> {
        let index = usize::try_from(id.index()).unwrap_or(usize::MAX);
        let place = self
            .values
            .get(index)
            .filter(|place| place.of == id.to_bits());
        let header = place.and_then(|place| place.header.get(..usize::from(place.len)));
        header.map(ProxyValues::of).unwrap_or_default()
    }

    /// Returns how many connections of trusted proxies ended for want of a valid header, or were
    /// refused as they came from elsewhere. Wraps around.
    #[must_use]
    pub const fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Returns the platform below.
    pub const fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }

    /// Returns the platform below.
    #[must_use]
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    /// Looks for the header of an accepted connection, and takes it out of the stream.
    fn read_header(&mut self, socket: &mut ProxiedSocket<P::Socket>) -> Result<Progress, Error> {
        let len = match self.inner.peek(&mut socket.inner, &mut self.scratch)? {
            Recv::Data { len, .. } => len,
            Recv::WouldBlock | Recv::Pending => return Ok(Progress::Pending),
            Recv::Finished => return Err(Error::Reset),
        };
        let looked = self.scratch.get(..len).unwrap_or_default();
        let (header, len) = match ProxyHeader::parse(looked) {
            ProxyParsed::Whole(header, len) => (header, len),
            // An end that is reported need not be true, and cannot be seen behind bytes that stay;
            // but a socket that is reported again and again without any more has come to it.
            ProxyParsed::Partial(need) => {
                let seen = u16::try_from(len).unwrap_or(u16::MAX);
                if seen > socket.left {
                    (socket.left, socket.sent) = (seen, 0);
                }
                socket.sent = socket.sent.saturating_add(1);
                if socket.sent > LOOKS_MAX {
                    return Err(Error::Reset);
                }
                return match self.inner.set_low_water(&mut socket.inner, need) {
                    Ok(()) => {
                        socket.is_marked = true;
                        Ok(Progress::Pending)
                    }
                    // The socket is reported with every byte.
                    Err(Error::Unsupported) => Ok(Progress::Pending),
                    Err(error) => Err(error),
                };
            }
            ProxyParsed::Invalid => return Err(Error::Invalid),
        };
        self.keep_values(socket.id, len);
        socket.ends = Ends::of(header);
        // At most `HEADER_MAX`.
        (socket.left, socket.sent) = (u16::try_from(len).unwrap_or(u16::MAX), 0);
        socket.state = State::Taken;
        self.take(socket)
    }

    /// Takes the bytes of a header, which are there, out of the stream.
    fn take(&mut self, socket: &mut ProxiedSocket<P::Socket>) -> Result<Progress, Error> {
        while socket.left > 0 {
            let room = self.scratch.get_mut(..usize::from(socket.left));
            match self
                .inner
                .recv(&mut socket.inner, room.unwrap_or_default())?
            {
                Recv::Data { len, .. } => {
                    let len = u16::try_from(len).unwrap_or(u16::MAX);
                    socket.left = socket.left.saturating_sub(len);
                }
                Recv::WouldBlock | Recv::Pending => return Ok(Progress::Pending),
                Recv::Finished => return Err(Error::Reset),
            }
        }
        if core::mem::take(&mut socket.is_marked) {
            self.inner.set_low_water(&mut socket.inner, 1)?;
        }
        Ok(Progress::Done)
    }

    /// Keeps the header that is in `scratch` for who asks for its values.
    fn keep_values(&mut self, id: u64, len: usize) {
        let index = SocketId::from_bits(id).map(|id| usize::try_from(id.index()));
        let Some(Ok(index)) = index else {
            return;
        };
        let header = self.scratch.get(..len).unwrap_or_default();
        let Some(place) = self.values.get_mut(index) else {
            return;
        };
        *place = ProxyPlace::EMPTY;
        if let (Some(room), Ok(len)) = (place.header.get_mut(..len), u16::try_from(len)) {
            room.copy_from_slice(header);
            (place.of, place.len) = (id, len);
        }
    }

    /// Sends the header of a connection of ours, or what is left of it.
    fn write_header(&mut self, socket: &mut ProxiedSocket<P::Socket>) -> Result<Progress, Error> {
        let version = match socket.version {
            1 => ProxyVersion::One,
            _ => ProxyVersion::Two,
        };
        let header = socket.ends.header();
        let len = header.write(version, &mut self.scratch);
        let len = len.ok_or(Error::Invalid)?;
        let rest = self
            .scratch
            .get(usize::from(socket.sent)..len)
            .unwrap_or_default();
        let count = self.inner.send(&mut socket.inner, rest)?;
        // At most 107 bytes.
        let count_narrow = u8::try_from(count).unwrap_or(u8::MAX);
        socket.sent = socket.sent.saturating_add(count_narrow);
        if count < rest.len() {
            return Ok(Progress::Pending);
        }
        socket.state = State::Passed;
        Ok(Progress::Done)
    }

    /// Counts a connection that closes without its header.
    fn count(&mut self, state: State) {
        if matches!(state, State::Awaited | State::Taken) {
            self.invalid = self.invalid.wrapping_add(1);
        }
    }

    /// Says what becomes of a connection that `peer` made: whether a header is to come.
    fn is_trusted(&self, peer: &Address) -> bool {
        let peer = peer.ip().map(|peer| peer.ip());
        peer.is_some_and(|peer| self.trusted.iter().any(|network| network.contains(peer)))
    }
}

impl<P: Platform> Platform for Proxied<'_, P> {
    type Socket = ProxiedSocket<P::Socket>;

    const CLOSED: Self::Socket = ProxiedSocket {
        inner: P::CLOSED,
        state: State::Passed,
        sent: 0,
        version: 0,
        is_marked: false,
        left: 0,
        ends: Ends::NONE,
        id: 0,
    };

    /// So that the loop reads what came behind a header without waiting for a report.
    const HOLDS_OUTPUT: bool = true;

    const REPORTS_ARRIVALS: bool = P::REPORTS_ARRIVALS;

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.listen(&mut socket.inner, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if let Some((header, version)) = self.send {
            header
                .write(version, &mut self.scratch)
                .ok_or(Error::Invalid)?;
            self.inner.connect(&mut socket.inner, id, to)?;
            socket.ends = Ends::of(header);
            socket.version = u8::from(version == ProxyVersion::One);
            socket.state = State::Connecting;
            return Ok(());
        }
        self.inner.connect(&mut socket.inner, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Self::Socket,
        socket: &mut Self::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let accepted = self
            .inner
            .accept(&mut listener.inner, &mut socket.inner, id)?;
        if let Some(Accepted { peer, .. }) = &accepted {
            if self.is_trusted(peer) {
                socket.state = State::Accepted;
                socket.id = id.to_bits();
            } else if self.untrusted == Untrusted::Refuse {
                self.inner.abort(&mut socket.inner);
                self.invalid = self.invalid.wrapping_add(1);
                return Err(Error::Denied);
            }
        }
        Ok(accepted)
    }

    fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, Error> {
        self.inner.refuse(&mut listener.inner)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Self::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.inner.set_accepting(&mut listener.inner, id, accepting)
    }

    fn open(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error> {
        let is_first = socket.state == State::Accepted;
        match socket.state {
            State::Passed => return self.inner.open(&mut socket.inner, ready),
            State::Read => {
                socket.state = State::Passed;
                return Ok(Progress::Done);
            }
            State::Accepted | State::Connecting => {
                let progress = self.inner.open(&mut socket.inner, ready)?;
                if progress != Progress::Done {
                    return Ok(progress);
                }
                socket.state = match is_first {
                    true => State::Awaited,
                    false => State::Sending,
                };
            }
            State::Awaited | State::Taken | State::Sending => {}
        }
        if socket.state == State::Sending {
            return self.write_header(socket);
        }
        let read = match socket.state {
            State::Taken => self.take(socket),
            _ => self.read_header(socket),
        };
        match read {
            Ok(Progress::Done) if is_first => {
                // The loop has taken the proxy for the peer.
                socket.state = State::Read;
                return Ok(Progress::Again);
            }
            Ok(Progress::Done) => socket.state = State::Passed,
            _ => {}
        }
        read
    }

    fn flush(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        self.inner.flush(&mut socket.inner)
    }

    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error> {
        self.inner.take_error(&mut socket.inner)
    }

    #[inline]
    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.inner.recv(&mut socket.inner, buffer)
    }

    fn peek(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.inner.peek(&mut socket.inner, buffer)
    }

    fn set_low_water(&mut self, socket: &mut Self::Socket, bytes: usize) -> Result<(), Error> {
        self.inner.set_low_water(&mut socket.inner, bytes)
    }

    fn set_option(&mut self, socket: &mut Self::Socket, option: SocketOption) -> Result<(), Error> {
        self.inner.set_option(&mut socket.inner, option)
    }

    #[inline]
    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error> {
        self.inner.send(&mut socket.inner, data)
    }

    fn send_vectored(
        &mut self,
        socket: &mut Self::Socket,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        self.inner.send_vectored(&mut socket.inner, parts)
    }

    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        self.inner.finish(&mut socket.inner)
    }

    fn linger(&mut self, socket: &mut Self::Socket) -> bool {
        self.inner.linger(&mut socket.inner)
    }

    fn close(&mut self, socket: &mut Self::Socket) {
        self.count(socket.state);
        self.inner.close(&mut socket.inner);
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut Self::Socket) {
        self.count(socket.state);
        self.inner.abort(&mut socket.inner);
        *socket = Self::CLOSED;
    }

    fn local_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.local_addr(&socket.inner)
    }

    fn peer_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        let is_ours = matches!(socket.state, State::Connecting | State::Sending) || socket.id == 0;
        match socket.ends.header().addresses {
            // An IPv4-mapped address comes as IPv4.
            Some((client, _)) if !is_ours => Ok(Address::from(SocketAddr::new(
                client.ip().to_canonical(),
                client.port(),
            ))),
            _ => self.inner.peer_addr(&socket.inner),
        }
    }

    fn protocol(&self, socket: &Self::Socket) -> &[u8] {
        self.inner.protocol(&socket.inner)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.inner.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        self.inner.next_ready()
    }

    fn woken(&mut self) -> bool {
        self.inner.woken()
    }

    #[inline]
    fn now(&self) -> Instant {
        self.inner.now()
    }
}
