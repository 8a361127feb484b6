//! Listeners of both platforms: an address, and of the stack a queue.

use core::net::{IpAddr, SocketAddr};

use usockets::{Duration, Endpoint, Error, SocketId};

use crate::pool::list::List;

/// One listener's place in a stack, lent by the caller as [`Listener::EMPTY`].
#[derive(Debug)]
pub struct Listener {
    /// Bits of the owner's `SocketId`; 0 when the place is free.
    pub(crate) owner: u64,
    /// `None` before the place is first used.
    pub(crate) at: Option<SocketAddr>,
    pub(crate) v6_only: bool,
    /// Others that ask for it, too, may have the same port.
    pub(crate) shared: bool,
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) class: u8,
    pub(crate) backlog: u32,
    pub(crate) half_open: u32,
    pub(crate) queue: List,
    /// Its `readable` is to be reported.
    pub(crate) ready: bool,
    /// The loop asks to be told once more, from the next poll on, if a connection waits.
    pub(crate) asked: bool,
}

impl Listener {
    /// A place that no listener has taken.
    pub const EMPTY: Self = Self {
        owner: 0,
        at: None,
        v6_only: false,
        shared: false,
        nodelay: true,
        keepalive: None,
        class: 0,
        backlog: 0,
        half_open: 0,
        queue: List::EMPTY,
        ready: false,
        asked: false,
    };

    /// Makes a listener out of an endpoint with its port already chosen.
    pub(crate) fn new(id: SocketId, endpoint: &Endpoint<'_>, at: SocketAddr, class: u8) -> Self {
        Self {
            owner: id.to_bits(),
            at: Some(at),
            v6_only: endpoint.v6_only,
            shared: endpoint.reuse_port,
            nodelay: endpoint.nodelay,
            keepalive: endpoint.keepalive,
            class,
            backlog: u32::from(endpoint.backlog).max(1),
            ..Self::EMPTY
        }
    }

    /// Puts it into a free place with the first of `ports` at which no other listens; returns the
    /// place.
    ///
    /// # Errors
    /// [`Error::Exhausted`] without a place, [`Error::AddressInUse`] without a port.
    pub(crate) fn insert(
        mut self,
        all: &mut [Self],
        ports: impl Iterator<Item = u16>,
    ) -> Result<usize, Error> {
        let place = all.iter().position(Self::is_free);
        let place = place.ok_or(Error::Exhausted)?;
        for port in ports {
            self.at = self.at.map(|at| SocketAddr::new(at.ip(), port));
            if all.iter().any(|other| other.conflicts(&self)) {
                continue;
            }
            if let Some(entry) = all.get_mut(place) {
                *entry = self;
            }
            return Ok(place);
        }
        Err(Error::AddressInUse)
    }

    /// Frees a place.
    #[cfg(feature = "smoltcp")]
    pub(crate) fn remove(all: &mut [Self], place: usize) {
        if let Some(listener) = all.get_mut(place) {
            *listener = Self::EMPTY;
        }
    }

    pub(crate) const fn is_free(&self) -> bool {
        self.owner == 0
    }

    /// Whether a SYN to `local` is for it.
    #[inline]
    pub(crate) fn takes(&self, local: SocketAddr) -> bool {
        let Some(at) = self.at.filter(|at| at.port() == local.port()) else {
            return false;
        };
        !self.is_free() && self.covers(at.ip(), local.ip())
    }

    fn covers(&self, own: IpAddr, ip: IpAddr) -> bool {
        if !own.is_unspecified() {
            return own == ip;
        }
        own.is_ipv6() == ip.is_ipv6() || (own.is_ipv6() && !self.v6_only)
    }

    /// Whether no two listeners may have their addresses at once.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (self.at, other.at) else {
            return false;
        };
        let same_port = a.port() == b.port() && !self.is_free() && !other.is_free();
        let shared = self.shared && other.shared;
        same_port && !shared && (self.covers(a.ip(), b.ip()) || other.covers(b.ip(), a.ip()))
    }

    /// Whether one more connection may become established, and whether one more half-open
    /// connection may be held.
    pub(crate) const fn room(&self) -> (bool, bool) {
        let held = self.queue.count().saturating_add(self.half_open);
        (self.queue.count() < self.backlog, held < self.backlog)
    }
}
