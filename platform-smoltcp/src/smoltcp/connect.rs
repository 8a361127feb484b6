//! Connections that we make: ports, and the way out.

use core::net::{IpAddr, SocketAddr};

use usockets::{Endpoint, Error, Security, SocketId};

use crate::device::Medium;
use crate::number::{high, low};
use crate::smoltcp::accept::prepare;
use crate::smoltcp::clock::stamp;
use crate::smoltcp::engine::Engine;
use crate::smoltcp::isn;
use crate::smoltcp::slot::Phase;

/// First and number of ephemeral ports (RFC 6335, section 6).
const PORTS_FROM: u16 = 49_152;
const PORTS: u16 = 16_384;

impl Engine<'_> {
    /// Starts a connection and returns its slot.
    pub(crate) fn connect(&mut self, id: SocketId, to: &Endpoint<'_>) -> Result<u32, Error> {
        if to.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let remote = SocketAddr::new(to.addr.ip().to_canonical(), to.addr.port());
        if remote.port() == 0 {
            return Err(Error::Invalid);
        }
        let source = to.source.map(|source| source.ip().to_canonical());
        if source.is_some_and(|ip| !ip.is_unspecified() && !self.routes.is_own(ip)) {
            return Err(Error::AddressUnavailable);
        }
        if !self.routes.is_peer(remote.ip()) {
            return Err(Error::Unreachable);
        }
        if self.medium == Medium::Ethernet && self.routes.next_hop(remote.ip()).is_none() {
            return Err(Error::Unreachable);
        }
        let class = self
            .slab
            .fit(to.recv_buffer, to.send_buffer)
            .ok_or(Error::Invalid)?;
        let local = self.local_for(to, remote)?;
        let slot = self.vacate(class);
        let index = slot.or_else(|| self.evict(class)).ok_or(Error::Exhausted)?;
        let isn = self.isn((local, remote));
        let mut own = isn::interface(isn, &self.routes, &self.described, stamp(self.now));
        let socket = self.slab.socket(index).ok_or(Error::Exhausted)?;
        prepare(socket, to.nodelay, to.keepalive);
        if socket.connect(own.context(), remote, local).is_err() {
            self.slab.reset(index);
            return Err(Error::Invalid);
        }
        let hash = self.hash(&local, &remote);
        self.table.insert(self.slab.slots, index, hash);
        self.slab.move_to(index, Phase::Owned);
        if let Some(slot) = self.slab.get(index) {
            slot.owner = id.to_bits();
        }
        self.limit(index, self.limits.connect);
        self.wake(index);
        Ok(index)
    }

    /// Chooses where to connect from.
    fn local_for(&mut self, to: &Endpoint<'_>, remote: SocketAddr) -> Result<SocketAddr, Error> {
        let wanted = to.source.filter(|source| !source.ip().is_unspecified());
        let ip = match wanted {
            Some(source) => source.ip().to_canonical(),
            None => self
                .routes
                .source_for(remote.ip())
                .ok_or(Error::Unreachable)?,
        };
        if ip.is_ipv4() != remote.is_ipv4() {
            return Err(Error::AddressUnavailable);
        }
        match to.source.map(|source| source.port()) {
            None | Some(0) => self.ephemeral(ip, remote),
            Some(port) => {
                let local = SocketAddr::new(ip, port);
                let taken = self.is_taken(local, remote) || self.is_listening(local);
                if taken {
                    Err(Error::AddressInUse)
                } else {
                    Ok(local)
                }
            }
        }
    }

    /// Chooses a port as RFC 6056, section 3.3.3, says: from a place only we know for each peer,
    /// onwards, until one is free.
    fn ephemeral(&mut self, ip: IpAddr, remote: SocketAddr) -> Result<SocketAddr, Error> {
        let secret = self.secrets.port;
        let offset = secret.hash_pair32(&SocketAddr::new(ip, 0), &remote, 0);
        for _ in 0..PORTS {
            let local = SocketAddr::new(ip, self.port(offset));
            if !self.is_taken(local, remote) && !self.is_listening(local) {
                return Ok(local);
            }
        }
        Err(Error::Exhausted)
    }

    fn port(&mut self, offset: u32) -> u16 {
        let number = offset.wrapping_add(self.ports_used) & u32::from(PORTS.wrapping_sub(1));
        self.ports_used = self.ports_used.wrapping_add(1);
        PORTS_FROM.wrapping_add(u16::try_from(number).unwrap_or(0))
    }

    fn is_taken(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.find(&local, &remote).is_ok()
    }

    /// Starts listening and returns the listener's place.
    pub(crate) fn listen(&mut self, id: SocketId, at: &Endpoint<'_>) -> Result<u32, Error> {
        if at.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let ip = at.addr.ip().to_canonical();
        if !ip.is_unspecified() && !self.routes.is_own(ip) {
            return Err(Error::AddressUnavailable);
        }
        let class = self
            .slab
            .fit(at.recv_buffer, at.send_buffer)
            .ok_or(Error::Invalid)?;
        let place = self
            .listeners
            .iter()
            .position(crate::smoltcp::listener::Listener::is_free)
            .filter(|place| *place < usize::from(u8::MAX))
            .ok_or(Error::Exhausted)?;
        let offset = self.secrets.port.hash([id.to_bits()].into_iter());
        let tries = if at.addr.port() == 0 { PORTS } else { 1 };
        for _ in 0..tries {
            let port = match at.addr.port() {
                0 => self.port(low(offset) ^ high(offset)),
                port => port,
            };
            let listener =
                crate::smoltcp::listener::Listener::new(id, at, SocketAddr::new(ip, port), class);
            if self
                .listeners
                .iter()
                .any(|other| other.conflicts(&listener))
            {
                continue;
            }
            if let Some(entry) = self.listeners.get_mut(place) {
                *entry = listener;
            }
            return Ok(crate::number::count(place));
        }
        Err(Error::AddressInUse)
    }
}
