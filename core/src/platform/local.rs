//! The capability of local (Unix) sockets.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::address::LocalAddress;
use crate::endpoint::{Endpoint, WhenFull};
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::datagrams::Departure;
use crate::platform::descriptors::Descriptors;

/// A platform that has Unix sockets (`unix(7)`): streams and sequenced packets, which open, read,
/// write and close as TCP connections do.
pub trait LocalSockets: Descriptors {
    /// Starts listening at `at`, in `socket`, which is [`Platform::CLOSED`]. Reports carry `id`,
    /// and [`Platform::accept`] takes connections.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when somebody listens there or, under [`StalePath::Keep`], anything
    /// stands at the path; else as [`Platform::listen`].
    ///
    /// [`Platform::CLOSED`]: crate::Platform::CLOSED
    /// [`Platform::accept`]: crate::Platform::accept
    /// [`Platform::listen`]: crate::Platform::listen
    fn listen_local(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error>;

    /// Starts connecting to `to`, in `socket`, which is [`Platform::CLOSED`](crate::Platform).
    ///
    /// # Errors
    /// As [`Platform::connect`](crate::Platform::connect); [`Error::Refused`] when nobody listens.
    fn connect_local(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &LocalEndpoint,
    ) -> Result<(), Error>;

    /// Opens a datagram socket at `at`, whose type is [`LocalType::Datagrams`], in `socket`, which
    /// is [`Platform::CLOSED`](crate::Platform). Reports carry `id`. Of the endpoint count the
    /// address, the mode and the policy of a stale path. The rest is as of
    /// [`Datagrams`](crate::Datagrams).
    ///
    /// # Errors
    /// As [`Self::listen_local`]; [`Error::Unsupported`] where there are no such sockets, as by
    /// default.
    fn bind_local(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error> {
        let _ = (socket, id, at);
        Err(Error::Unsupported)
    }

    /// Returns who the peer was when it connected (`SO_PEERCRED`).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a socket that is not connected.
    fn peer_credentials(&self, socket: &Self::Socket) -> Result<Credentials, Error>;

    /// Sends `data` with descriptors beside its first byte (`SCM_RIGHTS`). Returns how many bytes
    /// were taken; the descriptors went if that is more than 0, and otherwise did not. The caller
    /// keeps its own copies.
    ///
    /// # Errors
    /// The connection broke, or [`Error::Invalid`] when `data` is empty or there are more than 253.
    fn send_with_descriptors(
        &mut self,
        socket: &mut Self::Socket,
        data: &[u8],
        descriptors: &[&Self::Descriptor],
    ) -> Result<usize, Error>;

    /// Takes one datagram for sending out of `memory`, as [`Datagrams::send_batch`] does, with
    /// descriptors beside it (`SCM_RIGHTS`), and returns true; false if it would block, and the
    /// descriptors did not go. The caller keeps its own copies.
    ///
    /// # Errors
    /// As [`Datagrams::send_batch`]; [`Error::Invalid`] for a run, a socket that is no Unix
    /// datagram socket, or more than 253 descriptors; [`Error::Unsupported`] where there is no such
    /// call, as by default.
    ///
    /// [`Datagrams::send_batch`]: crate::Datagrams::send_batch
    fn send_datagram_with_descriptors(
        &mut self,
        socket: &mut Self::Socket,
        memory: &[u8],
        departure: &Departure,
        descriptors: &[&Self::Descriptor],
    ) -> Result<bool, Error> {
        let _ = (socket, memory, departure, descriptors);
        Err(Error::Unsupported)
    }

    /// Takes the next descriptor that came beside received bytes. A platform keeps no more than a
    /// bound of its own and closes those beyond, so that a peer exhausts nothing.
    ///
    /// A batch of datagrams ends behind one that descriptors came with, so that they are of the
    /// last of the batch.
    fn next_descriptor(&mut self, socket: &mut Self::Socket) -> Option<Self::Descriptor>;
}

/// Where and how to listen or connect on this machine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LocalEndpoint {
    /// The path or abstract name.
    pub addr: LocalAddress,
    /// Stream, sequenced packets or datagrams.
    pub socket_type: LocalType,
    /// The mode of a listener's path (`chmod(2)`), before anybody can connect; the process's
    /// `umask` decides if `None`.
    pub mode: Option<u16>,
    /// What a listener does with a path that is left over.
    pub stale: StalePath,
    /// Connections that may wait to be accepted.
    pub backlog: u16,
    /// What a listener does when the pool is full. Ignored by connects.
    pub when_full: WhenFull,
    /// Free slots that a listener leaves to others, as [`Endpoint::reserve`].
    pub reserve: u32,
    /// Connections that a listener may have at a time, as [`Endpoint::connections_max`].
    pub connections_max: u32,
}

impl LocalEndpoint {
    /// Makes a stream endpoint at `addr`.
    #[must_use]
    pub const fn stream(addr: LocalAddress) -> Self {
        Self {
            addr,
            socket_type: LocalType::Stream,
            mode: None,
            stale: StalePath::Keep,
            backlog: 511,
            when_full: WhenFull::Pause,
            reserve: 0,
            connections_max: u32::MAX,
        }
    }

    /// Makes a datagram endpoint at `addr`.
    #[must_use]
    pub const fn datagrams(addr: LocalAddress) -> Self {
        Self::stream(addr).socket_type(LocalType::Datagrams)
    }

    /// Sets [`Self::when_full`].
    #[must_use]
    pub const fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// Sets [`Self::reserve`].
    #[must_use]
    pub const fn reserve(mut self, slots: u32) -> Self {
        self.reserve = slots;
        self
    }

    /// Sets [`Self::connections_max`].
    #[must_use]
    pub const fn connections_max(mut self, count: u32) -> Self {
        self.connections_max = count;
        self
    }

    /// Returns an endpoint under whose conditions a listener takes connections.
    pub(crate) const fn admission(&self) -> Endpoint<'static> {
        let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Endpoint::tcp(anywhere)
            .when_full(self.when_full)
            .reserve(self.reserve)
            .connections_max(self.connections_max)
    }

    /// Sets [`Self::socket_type`].
    #[must_use]
    pub const fn socket_type(mut self, socket_type: LocalType) -> Self {
        self.socket_type = socket_type;
        self
    }

    /// Sets [`Self::mode`].
    #[must_use]
    pub const fn mode(mut self, mode: u16) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets [`Self::stale`].
    #[must_use]
    pub const fn stale(mut self, policy: StalePath) -> Self {
        self.stale = policy;
        self
    }

    /// Sets [`Self::backlog`].
    #[must_use]
    pub const fn backlog(mut self, connections: u16) -> Self {
        self.backlog = connections;
        self
    }
}

/// The type of a Unix socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum LocalType {
    /// A byte stream (`SOCK_STREAM`).
    #[default]
    Stream,
    /// Packets whose bounds are kept (`SOCK_SEQPACKET`).
    Seqpacket,
    /// Datagrams, each with its sender (`SOCK_DGRAM`): bound, neither listened nor connected with.
    Datagrams,
}

/// What a listener does when its path exists already. A path is never removed unseen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum StalePath {
    /// Fails with [`Error::AddressInUse`].
    #[default]
    Keep,
    /// Removes it if it is a socket and a connect to it is refused; fails otherwise.
    RemoveIfRefused,
}

/// Who the other end of a Unix connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Credentials {
    /// Process number; 0 where the platform does not tell.
    pub process: u32,
    /// User number.
    pub user: u32,
    /// Group number.
    pub group: u32,
}
