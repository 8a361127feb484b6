//! Where to listen or connect, and how.

use core::net::SocketAddr;

use crate::time::Duration;

/// Where to listen or connect, how it is secured, and the options of its sockets.
///
/// Made by [`Self::tcp`] or [`Self::tls`] and refined by the methods that take and return it:
///
/// ```
/// use core::time::Duration;
/// use usockets::Endpoint;
///
/// let at = Endpoint::tcp(([127, 0, 0, 1], 0).into())
///     .backlog(128)
///     .keepalive(Duration::from_secs(60));
/// assert!(at.nodelay);
/// ```
///
/// The options of a listener hold for the connections it accepts.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Endpoint<'a> {
    /// The network address. Port 0 lets the platform choose one for a listener.
    pub addr: SocketAddr,
    /// Plain or TLS.
    pub security: Security<'a>,
    /// Send small segments at once (`TCP_NODELAY`). On by default.
    pub nodelay: bool,
    /// Let other listeners share the port (`SO_REUSEPORT`). Off by default.
    pub reuse_port: bool,
    /// Keep an IPv6 listener at `[::]` from taking IPv4 connections too (`IPV6_V6ONLY`). Off by
    /// default.
    pub v6_only: bool,
    /// Connections that may wait to be accepted. 511 by default; a platform may cap it.
    pub backlog: u16,
    /// Idle time before the first keep-alive probe, and between probes. Off by default.
    pub keepalive: Option<Duration>,
    /// Bytes the platform may hold for receiving; its own choice by default.
    pub recv_buffer: Option<usize>,
    /// Bytes the platform may hold for sending; its own choice by default.
    pub send_buffer: Option<usize>,
    /// Local address to connect from; the platform's choice by default. Ignored by listeners.
    pub source: Option<SocketAddr>,
    /// What a listener does when the pool is full. Ignored by connects.
    pub when_full: WhenFull,
    /// Free slots that a listener leaves to others, so that what it accepts cannot take the slot
    /// that a connect or a timer needs: it takes a connection only while more are free. 0 by
    /// default. Ignored by connects.
    pub reserve: u32,
    /// Connections that a listener may have at a time; those beyond are treated as
    /// [`Self::when_full`] says. No bound by default. Ignored by connects.
    pub connections_max: u32,
    /// Which of a layer's configurations holds for this listener or connect, by its index, if the
    /// layer has several, as `Tls` may (`Tls::with_configs`); 0, the first, by default. Without a
    /// layer it means nothing.
    pub config: u16,
}

impl<'a> Endpoint<'a> {
    /// Makes an endpoint for plain TCP at `addr`.
    #[must_use]
    pub const fn tcp(addr: SocketAddr) -> Self {
        Self {
            addr,
            security: Security::Plain,
            nodelay: true,
            reuse_port: false,
            v6_only: false,
            backlog: 511,
            keepalive: None,
            recv_buffer: None,
            send_buffer: None,
            source: None,
            when_full: WhenFull::Pause,
            reserve: 0,
            connections_max: u32::MAX,
            config: 0,
        }
    }

    /// Makes an endpoint for TLS over TCP at `addr`. A client gives the name it expects in the
    /// peer's certificate; a server gives `None`.
    #[must_use]
    pub const fn tls(addr: SocketAddr, server_name: Option<&'a str>) -> Self {
        Self {
            security: Security::Tls { server_name },
            ..Self::tcp(addr)
        }
    }

    /// Sets [`Self::nodelay`].
    #[must_use]
    pub const fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// Sets [`Self::reuse_port`].
    #[must_use]
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Sets [`Self::v6_only`].
    #[must_use]
    pub const fn v6_only(mut self, on: bool) -> Self {
        self.v6_only = on;
        self
    }

    /// Sets [`Self::backlog`].
    #[must_use]
    pub const fn backlog(mut self, connections: u16) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets [`Self::keepalive`].
    #[must_use]
    pub const fn keepalive(mut self, idle: Duration) -> Self {
        self.keepalive = Some(idle);
        self
    }

    /// Sets [`Self::recv_buffer`].
    #[must_use]
    pub const fn recv_buffer(mut self, bytes: usize) -> Self {
        self.recv_buffer = Some(bytes);
        self
    }

    /// Sets [`Self::send_buffer`].
    #[must_use]
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets [`Self::source`].
    #[must_use]
    pub const fn source(mut self, addr: SocketAddr) -> Self {
        self.source = Some(addr);
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

    /// Sets [`Self::config`].
    #[must_use]
    pub const fn config(mut self, index: u16) -> Self {
        self.config = index;
        self
    }

    /// Sets [`Self::when_full`].
    #[must_use]
    pub const fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }
}

/// How an [`Endpoint`] is secured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Security<'a> {
    /// Bytes go over the wire as they are.
    Plain,
    /// Bytes go through TLS 1.3 (RFC 8446).
    Tls {
        /// The name a client expects; a server leaves it out.
        server_name: Option<&'a str>,
    },
}

/// What a listener does with a connection that comes while the pool is full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Leaves it waiting in the platform's queue until a slot is free.
    #[default]
    Pause,
    /// Resets it at once.
    Refuse,
    /// Closes the open socket that has received nothing for the longest time, with
    /// [`Closed::Evicted`](crate::Closed::Evicted), and accepts in its place. If none is open, the
    /// accepted one that a layer has been opening for longest makes room, after two seconds.
    EvictIdle,
}
