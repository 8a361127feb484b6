//! Connections and listeners that owners make: ports, addresses, and the first step.

use core::net::{IpAddr, SocketAddr};

use usockets::{Endpoint, Error, Security, SocketId};

use crate::config::KEEPALIVE_MIN;
use crate::device::Medium;
use crate::listener::Listener;
use crate::number::{count, high, low};
use crate::ports::{self, PORTS};
use crate::stack::shell::Shell;
use crate::stack::slot::{Ends, Phase};
use crate::stack::slots::Open;

impl Shell<'_> {
    /// Starts a connection and returns its slot.
    pub(super) fn connect(&mut self, id: SocketId, to: &Endpoint<'_>) -> Result<u32, Error> {
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
        #[cfg(feature = "dad")]
        if source.is_none_or(|ip| ip.is_unspecified()) && self.routes.lacks_source_for(remote.ip())
        {
            return Err(Error::AddressUnavailable);
        }
        if self.device.medium == Medium::Ethernet && self.routes.next_hop(remote.ip()).is_none() {
            return Err(Error::Unreachable);
        }
        let class = self.slots.fit(to.recv_buffer, to.send_buffer);
        let class = class.ok_or(Error::Invalid)?;
        let ends = self.ends_for(to, remote)?;
        if !self.spare(class) {
            return Err(Error::Exhausted);
        }
        let slot = self.vacate(class);
        let index = slot.or_else(|| self.evict(class)).ok_or(Error::Exhausted)?;
        let keepalive = to.keepalive.map(|every| every.max(KEEPALIVE_MIN));
        let settings = self.settings(&ends, (to.nodelay, keepalive), self.limits.connect);
        let (now, isn) = (self.now, self.isn(&ends));
        if !self.lease(index) {
            return Err(Error::Exhausted);
        }
        let open = self.slots.open(index);
        let Open {
            slot,
            connection,
            mut buffers,
        } = open.ok_or(Error::Exhausted)?;
        connection.connect(now, &settings, isn, &mut buffers);
        slot.ends = ends;
        slot.owner = id.to_bits();
        let hash = ends.hash32(self.secrets.table);
        self.table.insert(self.slots.all, index, hash);
        self.slots.move_to(index, Phase::Owned);
        self.wake(index);
        Ok(index)
    }

    /// Chooses where to connect from.
    fn ends_for(&mut self, to: &Endpoint<'_>, remote: SocketAddr) -> Result<Ends, Error> {
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
        let number = self
            .routes
            .own_number(ip)
            .ok_or(Error::AddressUnavailable)?;
        match to.source.map(|source| source.port()) {
            None | Some(0) => self.ephemeral((number, ip), remote),
            Some(port) => {
                let ends = Ends::new((number, port), remote.ip(), remote.port());
                #[cfg(all(feature = "queues", target_has_atomic = "32"))]
                if self.own_ports(ip, remote).is_some_and(|own| !own.has(port)) {
                    return Err(Error::AddressUnavailable);
                }
                if self.is_taken(&ends, ip) {
                    Err(Error::AddressInUse)
                } else {
                    Ok(ends)
                }
            }
        }
    }

    /// Chooses a port as RFC 6056, section 3.3.3, says: from a place only we know for each peer,
    /// onwards, until one is free.
    fn ephemeral(&mut self, (number, ip): (u8, IpAddr), remote: SocketAddr) -> Result<Ends, Error> {
        let with = |port| Ends::new((number, port), remote.ip(), remote.port());
        let offset = with(0).hash32(self.secrets.port);
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        let own = self.own_ports(ip, remote);
        for _ in 0..PORTS {
            let ends = with(self.port(offset));
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            if own.is_some_and(|own| !own.has(ends.local_port())) {
                continue;
            }
            if !self.is_taken(&ends, ip) {
                return Ok(ends);
            }
        }
        Err(Error::Exhausted)
    }

    /// Returns the next ephemeral port, from a place that `offset` gives.
    pub(super) fn port(&mut self, offset: u32) -> u16 {
        next_port(&mut self.ports_used, offset)
    }

    /// Returns true if a connection has these ends, or somebody listens at the local one.
    fn is_taken(&mut self, ends: &Ends, ip: IpAddr) -> bool {
        let hash = ends.hash32(self.secrets.table);
        let local = SocketAddr::new(ip, ends.local_port());
        #[cfg(feature = "leases")]
        if self.is_in_time_wait(ends) {
            return true;
        }
        self.table.find(self.slots.all, hash, ends).is_some()
            || self.listeners.iter().any(|listener| listener.takes(local))
    }

    /// Returns true if a socket may be bound to an address: an own one, or one that is being probed
    /// and will be of use later.
    pub(super) fn may_bind(&self, ip: IpAddr) -> bool {
        #[cfg(feature = "dad")]
        if self.is_tentative(ip) {
            return true;
        }
        self.routes.is_own(ip)
    }

    /// Starts listening and returns the listener's place.
    pub(super) fn listen(&mut self, id: SocketId, at: &Endpoint<'_>) -> Result<u32, Error> {
        if at.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let ip = at.addr.ip().to_canonical();
        if !ip.is_unspecified() && !self.may_bind(ip) {
            return Err(Error::AddressUnavailable);
        }
        let class = self.slots.fit(at.recv_buffer, at.send_buffer);
        let class = class.ok_or(Error::Invalid)?;
        let places = self.listeners.len().min(usize::from(u8::MAX));
        let offset = self.secrets.port.hash(&[id.to_bits()]);
        let offset = low(offset) ^ high(offset);
        let wanted = at.addr.port();
        let tries = if wanted == 0 { PORTS } else { 1 };
        let ports_used = &mut self.ports_used;
        let ports = (0..tries).map(|_| match wanted {
            0 => next_port(ports_used, offset),
            port => port,
        });
        let listener = Listener::new(id, at, SocketAddr::new(ip, wanted), class);
        let all = self.listeners.get_mut(..places).unwrap_or_default();
        listener.insert(all, ports).map(count)
    }
}

/// Returns the next ephemeral port, from a place that `offset` gives.
fn next_port(ports_used: &mut u32, offset: u32) -> u16 {
    let number = offset.wrapping_add(*ports_used);
    *ports_used = ports_used.wrapping_add(1);
    ports::ephemeral(number)
}
