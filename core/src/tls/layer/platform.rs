//! TLS over any platform.

use core::slice::from_ref;

use crate::address::Address;
use crate::endpoint::{Endpoint, Security};
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::{Accepted, Platform, Progress, Readiness, Ready, Recv, SocketOption};
use crate::time::{Duration, Instant};
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::{Crypto, SignatureId};
use crate::tls::handshake::config::{ClientConfig, Config, ServerConfig, Setup};
use crate::tls::handshake::failure::HandshakeStats;
use crate::tls::handshake::peer::Peer;
use crate::tls::handshake::session::Session;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::memory::{Pools, TlsMemory};
use crate::tls::layer::pool::Report;
use crate::tls::layer::slab::{ExchangePlace, ParkingPlace, Slab};
use crate::tls::layer::socket::{Kind, TlsSocket};
use crate::tls::record::protection::RECORD_MAX;

/// Handshakes that are carried on per iteration; others wait for the next, so that data of open
/// connections is not held up for longer than these take.
const HANDSHAKES_MAX: u32 = 8;

/// Signatures of peers that are verified per iteration: an authority's under a root, its leaf's and
/// that of the handshake. Verification is the dearest thing that a peer can ask for, 2 ms each with
/// P-384; a longer chain goes on in the next iteration.
const VERIFICATIONS_MAX: i8 = 3;

/// Five seconds, in microseconds.
const LEASE_MAX: u64 = 5_000_000;

/// TLS 1.3 (RFC 8446) over any platform, which may carry plain connections beside.
///
/// Endpoints of [`Endpoint::tls`] are secured, those of [`Endpoint::tcp`] pass through. A
/// connection opens when its handshake is done: until then the program sees nothing of it, and it
/// has to be done within the time that connections have to open. One that fails is over when the
/// platform has taken the alert that tells the peer why, or that time is.
///
/// What the peer sends after `close_notify` is not read; an end without it is
/// [`Error::Truncated`]. [`Net::finish`](crate::Net::finish) sends `close_notify`, then the
/// platform's end. Closing sends what was taken, then `close_notify`, and keeps the slot until
/// the platform has all of it, for at most 30 s. A `close_notify` of the peer that was not read is
/// unread input to the platform; see [`Net::close`](crate::Net::close).
///
/// # Memory
///
/// Beyond the platform's own, a socket costs at most 256 bytes. All else is leased from a
/// [`TlsMemory`], for a whole hello, a whole record, or what the platform takes at once; see the
/// [module](crate::tls). What is leased to others is waited for in order, and a socket that makes
/// no progress with it meanwhile is closed; see [`Self::with_lease_max`]. Only
/// [`Net::connect`](crate::Net::connect) does not wait: it fails with [`Error::Exhausted`] when no
/// handshake is free, or only the last and a configuration is a server's.
pub struct Tls<'s, P: Platform, C: Crypto> {
    pub(crate) inner: P,
    pub(crate) crypto: C,
    /// By the number that endpoints say ([`Endpoint::config`]).
    pub(crate) configs: &'s [Config<'s>],
    pub(crate) pools: Pools<'s, C>,
    pub(crate) sessions: &'s mut [Session],
    /// What is known of each socket's peer, by its index in the pool.
    pub(crate) peers: &'s mut [Peer],
    pub(crate) stats: HandshakeStats,
    /// Answers of the platform below that its contract forbids.
    pub(crate) breaches: u64,
    /// Handshakes that may still be carried on in this iteration.
    pub(crate) handshakes_left: u32,
    /// Signatures that may still be verified in this iteration; below zero as many as the next may
    /// verify less, since they could not wait.
    pub(crate) verifications_left: i8,
    /// Own reports that may still be given in this iteration.
    pub(crate) reports_left: u32,
    /// The socket whose report was the last, if it reported an end or an error.
    pub(crate) ending: Option<SocketId>,
    /// Microseconds that a lease lasts without progress while others wait for it.
    pub(crate) lease_max: u64,
    /// What is inserted is secured.
    pub(crate) secures_inserts: bool,
}

impl<'s, P: Platform, C: Crypto> Tls<'s, P, C> {
    /// Makes a layer over `inner` that leases the caller's memory to sockets.
    pub fn new<const S: usize, const H: usize, const I: usize, const O: usize, const L: usize>(
        inner: P,
        crypto: C,
        config: &'s Config<'s>,
        memory: &'s mut TlsMemory<C, S, H, I, O, L>,
    ) -> Self {
        Self::with_configs(inner, crypto, from_ref(config), memory)
    }

    /// Makes a layer as [`Self::new`] does, with several configurations: each listener and each
    /// connect goes by the one whose place in the list its endpoint says ([`Endpoint::config`]),
    /// and so do the connections that a listener accepts. Listening and connecting fail with
    /// [`Error::Invalid`] if there is none in that place, connecting only if a handshake is free.
    ///
    /// A client resumes a session with the configuration that it came from, and no other. A
    /// server's tickets are good for all configurations that have the same [`TicketKeys`]; to keep
    /// them apart, give each its own.
    ///
    /// [`TicketKeys`]: crate::tls::TicketKeys
    pub fn with_configs<
        const S: usize,
        const H: usize,
        const I: usize,
        const O: usize,
        const L: usize,
    >(
        inner: P,
        crypto: C,
        configs: &'s [Config<'s>],
        memory: &'s mut TlsMemory<C, S, H, I, O, L>,
    ) -> Self {
        let mut pools = memory.pools();
        pools.set_now(inner.now());
        Self {
            inner,
            crypto,
            configs,
            pools,
            sessions: &mut [],
            peers: &mut [],
            stats: HandshakeStats::NONE,
            breaches: 0,
            handshakes_left: HANDSHAKES_MAX,
            verifications_left: VERIFICATIONS_MAX,
            reports_left: 0,
            ending: None,
            lease_max: LEASE_MAX,
            secures_inserts: false,
        }
    }

    /// Sets how long a lease lasts without progress while others wait for it; 5 seconds by
    /// default. That of a handshake counts from when it was leased. It shortens when more than
    /// eight sockets wait for each entry of a pool, down to a quarter of a second. The socket is
    /// then closed with [`Error::TimedOut`]: a handshake or a record whose rest does not come, a
    /// peer that takes none of what was sent.
    #[must_use]
    pub fn with_lease_max(mut self, lease_max: Duration) -> Self {
        self.lease_max = u64::try_from(lease_max.as_micros()).unwrap_or(u64::MAX);
        self
    }

    /// Has sockets and listeners that are inserted ([`Net::insert`](crate::Net::insert)) secured,
    /// as a server's: such as those that another loop hands over before they open, and those of a
    /// service manager. Without it they are plain.
    #[must_use]
    pub const fn with_secured_inserts(mut self) -> Self {
        self.secures_inserts = true;
        self
    }

    /// Adds places in which a server's handshakes of which only the client's last message is to
    /// come, and the ends of records that slow peers have taken in part, wait without a lease. With
    /// eight for each handshake of the [`TlsMemory`], peers that stop there hold up nobody: when
    /// all are taken, and no other handshake could be leased, the one that has been parked for
    /// longest gives way, after a quarter of a second at least, and times out. Without any place,
    /// they keep their leases as long as [`Self::with_lease_max`] allows. Of use up to 32,767.
    #[must_use]
    pub const fn with_parking(mut self, places: &'s mut [ParkingPlace]) -> Self {
        self.pools.parked = Slab::new(places);
        self
    }

    /// Adds places in which a server's handshakes wait of which more than the last message is to
    /// come: those of clients that are asked for a certificate, or for another hello. As
    /// [`Self::with_parking`] does for all others, and with as many places the same holds. Who has
    /// sent a part of what it was asked for, or has proved nothing but a certificate, keeps
    /// its lease until others wait, and times out then. Of use up to 32,767.
    #[must_use]
    pub const fn with_exchange_parking(mut self, places: &'s mut [ExchangePlace<C>]) -> Self {
        self.pools.exchanges = Slab::new(places);
        self
    }

    /// Adds places for the tickets that servers give, so that connecting to one again costs no
    /// certificates. About 2 KB each; one per server that is connected to often will do.
    #[must_use]
    pub const fn with_sessions(mut self, sessions: &'s mut [Session]) -> Self {
        self.sessions = sessions;
        self
    }

    /// Adds places for what handshakes tell of the peers, for [`Self::peer`]: one for each socket
    /// of the pool. Of sockets beyond, as of all if there are none, nothing is kept.
    #[must_use]
    pub const fn with_peers(mut self, peers: &'s mut [Peer]) -> Self {
        self.peers = peers;
        self
    }

    /// Returns who the peer of a secured socket is, once its handshake is done, as in
    /// [`on_open`](crate::Handler::on_open). `None` if the socket is not secured or not open, or
    /// there is no place for it.
    #[must_use]
    pub fn peer(&self, id: SocketId) -> Option<&Peer> {
        let index = usize::try_from(id.index()).ok()?;
        let peer = self.peers.get(index)?;
        peer.is_of(id).then_some(peer)
    }

    /// Returns how many handshakes were done, and how many failed. See [`Config::observer`] for
    /// those one by one.
    #[must_use]
    pub const fn handshakes(&self) -> HandshakeStats {
        self.stats
    }

    /// Returns how often the platform below broke its contract, which does no harm; see
    /// [`Stats::breaches`](crate::Stats::breaches).
    #[must_use]
    pub const fn breaches(&self) -> u64 {
        self.breaches
    }

    /// Returns the places for tickets.
    pub const fn sessions_mut(&mut self) -> &mut [Session] {
        self.sessions
    }

    /// Hands over the signature that [`Signer::begin`](crate::tls::Signer::begin) was asked for
    /// under `id`; an empty one gives up. `false`, and nothing happened, if no handshake waits
    /// for it any more: its time was over, or its peer went.
    ///
    /// Looks at each handshake that is leased. The handshake goes on in the next iteration;
    /// who has the signature in another thread hands it over in
    /// [`on_wake`](crate::Handler::on_wake).
    pub fn supply(&mut self, id: SignatureId, signature: &[u8]) -> bool {
        let handshakes = &mut self.pools.handshakes;
        handshakes.resume(|handshake| handshake.supply(id, signature))
    }

    /// Replaces the configuration, or all of them by one. Connections that are open stay; a
    /// server's handshake whose hello has been answered goes on as if the identities were the old
    /// ones, and what was agreed on above TLS ([`Platform::protocol`]) is named by the new list, so
    /// lists should keep their order.
    pub const fn set_config(&mut self, config: &'s Config<'s>) {
        self.configs = from_ref(config);
    }

    /// Replaces all configurations, as [`Self::set_config`] does the only one. Listeners, and
    /// handshakes that have to look, whose place is beyond the list go by one that fails.
    pub const fn set_configs(&mut self, configs: &'s [Config<'s>]) {
        self.configs = configs;
    }

    /// Returns the configuration in a place of the list, or one without identities and authorities.
    pub(crate) fn config_at(&self, index: u16) -> &'s Config<'s> {
        config_at(self.configs, index)
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

    /// Returns true if a configuration has a server's identities, whose flights fit an output.
    pub(crate) fn serves(&self, config: u16) -> bool {
        let most = self.pools.outputs.flight_max();
        self.config_at(config).server.is_usable::<C>(most)
    }

    /// Returns the next report of a pool.
    fn next_report(&mut self) -> Option<Ready> {
        let Pools {
            handshakes,
            inputs,
            outputs,
            ..
        } = &mut self.pools;
        let (report, readiness) = if let Some(report) = handshakes.next_report() {
            let both = Readiness::READABLE.union(Readiness::WRITABLE);
            (report, both)
        } else if let Some(report) = inputs.next_report() {
            // The peer's end or an error may have been reported while it waited.
            let last = Readiness::ENDED.union(Readiness::ERROR);
            (report, Readiness::READABLE.union(last))
        } else {
            (outputs.next_report()?, Readiness::WRITABLE)
        };
        let (id, report) = report;
        let readiness = match report {
            Report::GoOn => readiness,
            Report::Recalled => Readiness::ERROR.union(Readiness::READABLE),
        };
        Some(Ready { id, readiness })
    }

    /// Notes that nothing more will come to a socket of which the last report said so: its end, or
    /// an error. Then parts of records are taken too.
    pub(crate) fn note_ending(&self, socket: &mut TlsSocket<P::Socket>) {
        if self.ending.is_some() && self.ending == socket.id() {
            socket.flags.set(Flags::ENDING);
        }
    }

    /// Returns the cryptography and a configuration for the engine, and the pools.
    pub(crate) fn parts(&mut self, config: u16) -> (&mut P, Setup<'_, C>, &mut Pools<'s, C>) {
        let setup = Setup {
            crypto: &mut self.crypto,
            config: config_at(self.configs, config),
            sessions: self.sessions,
            peer: None,
        };
        (&mut self.inner, setup, &mut self.pools)
    }
}

/// What a socket goes by for which there is no configuration: nobody is served, and nobody trusted.
const NO_CONFIG: &Config<'static> = &Config::new(ServerConfig::new(&[]), ClientConfig::new(&[]));

/// Returns the configuration in a place of the list, or [`NO_CONFIG`].
pub(crate) fn config_at<'s>(configs: &'s [Config<'s>], index: u16) -> &'s Config<'s> {
    configs.get(usize::from(index)).unwrap_or(NO_CONFIG)
}

/// Returns how many of `most` bytes the platform below took, or gave, where it says `count`. More
/// than there were is a breach of its contract, and counted.
pub(crate) fn count_taken(breaches: &mut u64, count: usize, most: usize) -> usize {
    if count > most {
        *breaches = breaches.wrapping_add(1);
    }
    count.min(most)
}

/// What is reported of a connection to which nothing more will come.
const LAST: Readiness = Readiness::ENDED
    .union(Readiness::HUNG_UP)
    .union(Readiness::ERROR);

/// Returns the earlier of two times, where none is never.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns the progress of a socket's output; an error is none where nothing was left to be missed.
fn done_if_over<S>(
    socket: &TlsSocket<S>,
    progress: Result<Progress, Error>,
) -> Result<Progress, Error> {
    match progress {
        Err(_) if socket.is_over() => Ok(Progress::Done),
        progress => progress,
    }
}

/// Notes a receive buffer that was made so small that it may never hold a whole record. Systems
/// count their own overhead as part of it, which may be most.
const fn note_recv_buffer(flags: &mut Flags, bytes: Option<usize>) {
    match bytes {
        Some(bytes) if bytes < RECORD_MAX * 4 => flags.set(Flags::NARROW),
        Some(_) => flags.clear(Flags::NARROW),
        None => {}
    }
}

/// The same endpoint for the platform below, which knows nothing of TLS.
fn plain<'a>(endpoint: &Endpoint<'a>) -> Endpoint<'a> {
    Endpoint {
        security: Security::Plain,
        ..*endpoint
    }
}

impl<P: Platform, C: Crypto> Platform for Tls<'_, P, C> {
    type Socket = TlsSocket<P::Socket>;

    const CLOSED: Self::Socket = TlsSocket::closed(P::CLOSED);

    const HOLDS_OUTPUT: bool = true;

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if let Security::Tls { .. } = at.security {
            if !self.serves(at.config) {
                return Err(Error::Invalid);
            }
            socket.config = at.config;
            socket.flags.set(Flags::SECURE);
            note_recv_buffer(&mut socket.flags, at.recv_buffer);
        }
        let result = self.inner.listen(&mut socket.inner, id, &plain(at));
        if result.is_err() {
            socket.config = 0;
            socket.flags = Flags::NONE;
        }
        result
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if let Security::Tls { server_name } = to.security {
            self.pools.set_now(self.inner.now());
            self.prepare_client(socket, id, server_name, to)?;
            socket.id = id.to_bits();
            socket.config = to.config;
            socket.flags.set(Flags::SECURE);
            socket.flags.set(Flags::STARTING);
            note_recv_buffer(&mut socket.flags, to.recv_buffer);
        }
        let result = self.inner.connect(&mut socket.inner, id, &plain(to));
        if result.is_err() {
            self.forget(socket);
        }
        result
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
        if accepted.is_some()
            && let Kind::Secured(listener) = listener.kind()
        {
            if listener.flags.has(Flags::NARROW) {
                socket.flags.set(Flags::NARROW);
            }
            socket.id = id.to_bits();
            socket.config = listener.config;
            socket.flags.set(Flags::SECURE);
            socket.connection = Connection::server();
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
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.open(socket, ready),
            Kind::Secured(socket) => self.carry_on(socket, ready),
        }
    }

    fn flush(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.flush(socket),
            Kind::Secured(socket) => {
                let progress = self.flush_all(socket);
                done_if_over(socket, progress)
            }
        }
    }

    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.take_error(socket),
            Kind::Secured(socket) if socket.is_over() || self.waits_to_receive(socket) => None,
            Kind::Secured(socket) => self.inner.take_error(&mut socket.inner),
        }
    }

    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.recv(socket, buffer),
            Kind::Secured(socket) => self.receive(socket, buffer),
        }
    }

    fn set_option(&mut self, socket: &mut Self::Socket, option: SocketOption) -> Result<(), Error> {
        self.inner.set_option(&mut socket.inner, option)?;
        if let SocketOption::RecvBuffer(bytes) = option {
            note_recv_buffer(&mut socket.flags, Some(bytes));
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.send(socket, data),
            Kind::Secured(socket) => self.transmit(socket, &[data]),
        }
    }

    fn send_vectored(
        &mut self,
        socket: &mut Self::Socket,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.send_vectored(socket, parts),
            Kind::Secured(socket) => self.transmit(socket, parts),
        }
    }

    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.finish(socket),
            Kind::Secured(socket) => {
                socket.flags.set(Flags::FINISHING);
                let progress = self.flush_and_end(socket);
                done_if_over(socket, progress)
            }
        }
    }

    fn linger(&mut self, socket: &mut Self::Socket) -> bool {
        match socket.kind_mut() {
            Kind::Plain(socket) => self.inner.linger(socket),
            Kind::Secured(socket) => self.send_close_notify(socket),
        }
    }

    fn close(&mut self, socket: &mut Self::Socket) {
        self.send_close_notify(socket);
        self.forget(socket);
        self.inner.close(&mut socket.inner);
    }

    fn abort(&mut self, socket: &mut Self::Socket) {
        self.forget(socket);
        self.inner.abort(&mut socket.inner);
    }

    fn local_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.local_addr(&socket.inner)
    }

    fn peer_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.peer_addr(&socket.inner)
    }

    fn protocol(&self, socket: &Self::Socket) -> &[u8] {
        let connection = match socket.kind() {
            Kind::Plain(socket) => return self.inner.protocol(socket),
            Kind::Secured(socket) => &socket.connection,
        };
        let config = self.config_at(socket.config);
        let protocols = match connection.is_client() {
            true => config.client.protocols,
            false => config.server.protocols,
        };
        let index = connection.protocol();
        index
            .and_then(|index| protocols.get(index).copied())
            .unwrap_or_default()
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.pools.set_now(self.inner.now());
        self.ending = None;
        let due = self.pools.begin_iteration(self.lease_max);
        self.handshakes_left = HANDSHAKES_MAX;
        self.verifications_left = self
            .verifications_left
            .saturating_add(VERIFICATIONS_MAX)
            .min(VERIFICATIONS_MAX);
        self.reports_left = self.pools.reports();
        let due = match self.reports_left {
            0 => due.map(Instant::from_micros),
            _ => Some(Instant::ZERO),
        };
        let until = earlier(until, due);
        self.inner.poll(until)?;
        self.pools.set_now(self.inner.now());
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let own = self.pools.due(self.lease_max).map(Instant::from_micros);
        earlier(own, self.inner.next_deadline())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        if let Some(left) = self.reports_left.checked_sub(1) {
            self.reports_left = left;
            if let Some(ready) = self.next_report() {
                return Some(ready);
            }
            self.reports_left = 0;
        }
        let ready = self.inner.next_ready();
        let is_last = |ready: &Ready| ready.readiness.intersects(LAST);
        self.ending = ready.filter(is_last).map(|ready| ready.id);
        ready
    }

    fn woken(&mut self) -> bool {
        self.inner.woken()
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}
