//! The capability of datagrams on the stack: a loop's calls, turned into the shell's steps.

use core::net::SocketAddr;

use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Error,
    Platform, SocketId,
};

use crate::device::{Medium, PollDevice};
use crate::number::{high, low};
use crate::ports::PORTS;
use crate::socket::{Kind, Socket};
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::udp::memory::DatagramMemory;
use crate::udp::slot::Group;
use crate::udp::sockets::INTERFACE;

impl<'a, D: PollDevice> Stack<'a, D> {
    /// Gives a stack that has been started ([`Self::start`]) the memory for datagram sockets; it
    /// has none before.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are no sockets, buckets for none, or more than 65,535 of them,
    /// or the stack has not been started, or has been given such memory before.
    pub fn start_datagrams(&mut self, memory: DatagramMemory<'a>) -> Result<(), Error> {
        if self.shell.scratch.is_empty() {
            return Err(Error::Invalid);
        }
        let secret = self.shell.secrets.table.derive(1);
        let started = self.shell.datagrams.start(memory, secret);
        started.ok_or(Error::Invalid)
    }
}

impl<D: PollDevice> Datagrams for Stack<'_, D> {
    fn bind(&mut self, socket: &mut Socket, id: SocketId, at: Address) -> Result<(), Error> {
        let index = self.shell.bind_datagrams(id, at)?;
        *socket = Socket::new(Kind::Datagrams, index);
        Ok(())
    }

    fn set_peer(&mut self, socket: &mut Socket, peer: Address) -> Result<(), Error> {
        self.shell.set_datagrams_peer(socket.datagrams()?, peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut Socket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        let index = socket.datagrams()?;
        self.shell.datagrams.receive(index, memory, arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut Socket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        let index = socket.datagrams()?;
        self.shell.now = self.device.now();
        let mut count = 0_usize;
        for departure in departures {
            match self
                .shell
                .send_run(index, memory, departure, &mut self.device)
            {
                Ok(true) => count = count.saturating_add(1),
                Ok(false) => break,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.device.flush();
        Ok(count)
    }

    fn next_error(&mut self, socket: &mut Socket) -> Option<DatagramError> {
        self.shell.datagrams.next_error(socket.datagrams().ok()?)
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut Socket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        let index = socket.datagrams()?;
        let slot = self.shell.datagrams.get_mut(index).ok_or(Error::Invalid)?;
        match option {
            DatagramOption::Broadcast(on) => slot.broadcast = on,
            DatagramOption::Join {
                group,
                source,
                interface,
            } => return join(&mut slot.groups, (group, source), interface),
            DatagramOption::Leave { group, source, .. } => {
                let wanted = Some((group, source));
                let joined = slot.groups.iter_mut().find(|joined| **joined == wanted);
                *joined.ok_or(Error::AddressUnavailable)? = None;
            }
            DatagramOption::MulticastLoop(on) => slot.group_loop = on,
            DatagramOption::MulticastHops(hops) => slot.group_hops = hops,
            DatagramOption::Hops(hops) => slot.hops = hops,
            // No packet is ever fragmented, probe or not.
            DatagramOption::MtuProbing(_) => {}
            _ => return Err(Error::Unsupported),
        }
        Ok(())
    }
}

/// Joins a group: frames to it are taken from the link from now on. No router is told (IGMP, MLD).
fn join(groups: &mut [Option<Group>], group: Group, interface: u32) -> Result<(), Error> {
    let (ip, _) = group;
    if !ip.is_multicast() {
        return Err(Error::Invalid);
    }
    if interface > INTERFACE {
        return Err(Error::AddressUnavailable);
    }
    if groups.contains(&Some(group)) {
        return Err(Error::AddressInUse);
    }
    let place = groups.iter_mut().find(|joined| joined.is_none());
    *place.ok_or(Error::Exhausted)? = Some(group);
    Ok(())
}

impl Shell<'_> {
    /// Opens a datagram socket and returns its place.
    fn bind_datagrams(&mut self, id: SocketId, at: Address) -> Result<u32, Error> {
        let at = at.ip().ok_or(Error::Unsupported)?;
        let ip = at.ip().to_canonical();
        let group = ip.is_multicast() || self.routes.is_broadcast(ip);
        if !ip.is_unspecified() && !group && !self.may_bind(ip) {
            return Err(Error::AddressUnavailable);
        }
        let offset = self.secrets.port.hash(&[id.to_bits(), 1]);
        let tries = if at.port() == 0 { PORTS } else { 1 };
        for _ in 0..tries {
            let port = match at.port() {
                0 => self.port(low(offset) ^ high(offset)),
                port => port,
            };
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            if at.port() == 0 && !self.may_choose_port(port) {
                continue;
            }
            if !self.is_datagrams_taken(SocketAddr::new(ip, port)) {
                let index = self.datagrams.bind(id, ip, port)?;
                #[cfg(all(feature = "queues", target_has_atomic = "32"))]
                self.share_port(port, true);
                return Ok(index);
            }
        }
        Err(Error::AddressInUse)
    }

    /// Closes a datagram socket.
    pub(super) fn release_datagrams(&mut self, index: u32) {
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        if let Some(slot) = self.datagrams.get(index) {
            self.share_port(slot.bound.port(), false);
        }
        self.datagrams.release(index);
    }

    /// Returns true if a socket has an address, or all of them.
    fn is_datagrams_taken(&mut self, at: SocketAddr) -> bool {
        let (ip, port) = (at.ip(), at.port());
        if ip.is_multicast() {
            return self.datagrams.at(ip, port).is_some();
        }
        if self.datagrams.find(ip, port).is_some() {
            return true;
        }
        if !ip.is_unspecified() {
            return false;
        }
        let datagrams = &mut self.datagrams;
        let covers = |own: SocketAddr| ip.is_ipv6() || own.is_ipv4();
        let any = SocketAddr::from(([0; 4], 0));
        let own = self.routes.own().map(|own| SocketAddr::new(own.ip, 0));
        own.chain([any])
            .filter(|own| covers(*own))
            .any(|own| datagrams.at(own.ip(), port).is_some())
    }

    /// Returns where a datagram socket is bound.
    pub(super) fn datagrams_addr(&self, index: u32) -> Option<SocketAddr> {
        let bound = &self.datagrams.get(index)?.bound;
        Some(SocketAddr::new(bound.ip(), bound.port()))
    }

    /// Fixes the peer of a datagram socket, and its own address if it has all of them.
    fn set_datagrams_peer(&mut self, index: u32, peer: Address) -> Result<(), Error> {
        let peer = peer.ip().ok_or(Error::Invalid)?;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let ip = peer.ip();
        let own = self.datagrams_addr(index).ok_or(Error::Invalid)?.ip();
        if own.is_ipv4() && ip.is_ipv6() {
            return Err(Error::Unsupported);
        }
        if peer.port() == 0 || ip.is_unspecified() {
            return Err(Error::Invalid);
        }
        let near = self.routes.is_own(ip) || ip.is_multicast() || self.routes.is_broadcast(ip);
        let far = self.routes.is_peer(ip)
            && (self.device.medium == Medium::Ip || self.routes.next_hop(ip).is_some());
        if !near && !far {
            return Err(Error::Unreachable);
        }
        if own.is_unspecified()
            && let Some(source) = self.routes.source_for(ip)
        {
            self.datagrams.rebind(index, source);
        }
        if let Some(slot) = self.datagrams.get_mut(index) {
            slot.peer = Some(peer);
        }
        Ok(())
    }
}

// A loop's slot of a socket is no larger for them.
const _: () =
    assert!(size_of::<<Stack<'_, crate::device::wire::End<'_, '_>> as Platform>::Socket>() == 8);
