//! One of several stacks that are one host: which connections are its own, and what becomes of
//! segments of others', of datagrams for others' sockets and of answers to others' pings.

use core::net::{IpAddr, SocketAddr};

use usockets::Error;

use crate::ip::NEVER;
use crate::ip::rss::{PortsOf, Rss};
use crate::stack::input::Arrival;
use crate::stack::queues::{Origin, PACKET_MAX, SharedQueues};
use crate::stack::shell::Shell;
use crate::stack::slot::Ends;
use crate::wire::icmp::{Icmp, Quoted};

/// A stack's part of a host that several are together.
#[derive(Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) queues: &'a SharedQueues,
    rss: Rss<'a>,
    /// The queue that this stack has.
    queue: u16,
    /// Wakes the stack of a queue.
    wake: &'a (dyn Fn(u16) + Sync),
    /// What is taken in has been handed over, and arrived on this queue.
    taking: Option<u16>,
}

impl<'a> Shell<'a> {
    /// Makes the stack one of several.
    pub(super) fn share(
        &mut self,
        queues: &'a SharedQueues,
        rss: Rss<'a>,
        queue: u16,
        wake: &'a (dyn Fn(u16) + Sync),
    ) -> Result<(), Error> {
        if !rss.leads_within(queue, queues.queue_count()) {
            return Err(Error::Invalid);
        }
        self.share = Some(Share {
            queues,
            rss,
            queue,
            wake,
            taking: None,
        });
        if self.is_announced_elsewhere() {
            self.schedule_addresses(NEVER);
        }
        #[cfg(feature = "echo")]
        self.share_awaited_echo();
        #[cfg(feature = "datagrams")]
        for slot in self.datagrams.all.iter() {
            if slot.owner != 0 {
                queues.note_port(queue, slot.bound.port(), true);
            }
        }
        Ok(())
    }

    /// Returns true if another stack announces the addresses that all have.
    pub(super) fn is_announced_elsewhere(&self) -> bool {
        self.share.is_some_and(|share| share.queue != 0)
    }

    /// Returns what chooses the ports of connections to `remote`; `None` of a stack of its own,
    /// which has all.
    pub(super) fn own_ports(&self, own: IpAddr, remote: SocketAddr) -> Option<PortsOf<'a>> {
        let share = self.share?;
        Some(share.rss.ports(remote, own, share.queue))
    }

    /// Hands a packet over to the stack that the connection between two ends belongs to. Returns
    /// false if that is this one.
    #[inline(never)]
    pub(super) fn hand_over(&mut self, ends: &Ends, arrival: &Arrival<'_>) -> bool {
        let Some(share) = self.share.filter(|share| share.taking.is_none()) else {
            return false;
        };
        let Some(local) = self.routes.own_at(ends.local_number()) else {
            return false;
        };
        let local = SocketAddr::new(local, ends.local_port());
        let owner = share.rss.queue_for(ends.remote(), local);
        let Some(owner) = owner.filter(|owner| *owner != share.queue) else {
            return false;
        };
        self.hand_to(&share, owner, arrival);
        true
    }

    /// Gives a packet to the stack of another queue; if that has no room, it is lost.
    fn hand_to(&mut self, share: &Share<'_>, queue: u16, arrival: &Arrival<'_>) {
        let origin = Origin {
            queue: share.taking.unwrap_or(share.queue),
            station: arrival.station,
            verified: arrival.verified,
        };
        let counters = &mut self.counters;
        match share.queues.push(queue, origin, arrival.packet) {
            Ok(asleep) => {
                counters.handed_over = counters.handed_over.wrapping_add(1);
                if asleep {
                    (share.wake)(queue);
                }
            }
            Err(_) => {
                counters.hand_overs_dropped = counters.hand_overs_dropped.wrapping_add(1);
            }
        }
    }

    /// Hands a datagram that nobody here takes, or what ICMP says of one, to the next stack that
    /// may have a socket for it. Returns false if there is none.
    ///
    /// All of them ask in one order, which begins at the queue that the hash leads to, so that of
    /// several sockets one has all that a peer sends. Each is asked once.
    #[cfg(feature = "datagrams")]
    #[inline(never)]
    pub(super) fn hand_datagram_over(
        &mut self,
        remote: SocketAddr,
        local: SocketAddr,
        arrival: &Arrival<'_>,
    ) -> bool {
        let Some(share) = self.share else {
            return false;
        };
        let count = share.queues.queue_count();
        let first = share.rss.queue_for(remote, local).unwrap_or(0);
        let origin = share.taking.unwrap_or(share.queue);
        let mut order = (first..count).chain(0..first.min(count));
        if share.taking.is_some() {
            // Those up to this one have been asked.
            order.find(|queue| *queue == share.queue);
        }
        let next = order.find(|queue| {
            ![origin, share.queue].contains(queue)
                && share.queues.may_have_port(*queue, local.port())
        });
        if let Some(queue) = next {
            self.hand_to(&share, queue, arrival);
        }
        next.is_some()
    }

    /// Hands a datagram for a group to all other stacks that may have a socket for it.
    #[cfg(feature = "datagrams")]
    #[inline(never)]
    pub(super) fn hand_to_group(&mut self, port: u16, arrival: &Arrival<'_>) {
        let Some(share) = self.share.filter(|share| share.taking.is_none()) else {
            return;
        };
        for queue in 0..share.queues.queue_count() {
            if queue != share.queue && share.queues.may_have_port(queue, port) {
                self.hand_to(&share, queue, arrival);
            }
        }
    }

    /// Notes for the other stacks that this one has a datagram socket more at a port, or one less.
    #[cfg(feature = "datagrams")]
    pub(super) fn share_port(&self, port: u16, opened: bool) {
        if let Some(share) = &self.share {
            share.queues.note_port(share.queue, port, opened);
        }
    }

    /// Returns true if this stack may choose a port by itself: each has its part of them.
    #[cfg(feature = "datagrams")]
    pub(super) fn may_choose_port(&self, port: u16) -> bool {
        self.share
            .is_none_or(|share| port.checked_rem(share.queues.queue_count()) == Some(share.queue))
    }

    /// Hands an ICMP error over to the stack whose connection or datagram it is about, and an
    /// answer to an echo request that this one has not sent to the one that has. Returns false if
    /// there is no other.
    pub(super) fn hand_icmp_over(&mut self, message: &Icmp<'_>, arrival: &Arrival<'_>) -> bool {
        #[cfg(feature = "echo")]
        if matches!(message, Icmp::EchoReply { .. }) {
            return self.hand_echo_over(arrival);
        }
        let (Icmp::Unreachable { packet, .. }
        | Icmp::TimeExceeded { packet }
        | Icmp::ParameterProblem { packet, .. }
        | Icmp::TooBig { packet, .. }) = message
        else {
            return false;
        };
        if self.share.is_none() {
            return false;
        }
        let Some(quoted) = Quoted::parse(packet) else {
            #[cfg(feature = "datagrams")]
            return self.hand_datagram_error_over(packet, arrival);
            #[cfg(not(feature = "datagrams"))]
            return false;
        };
        let Some(number) = self.routes.own_number(quoted.local.ip()) else {
            return false;
        };
        let (local, remote) = ((number, quoted.local.port()), quoted.remote);
        let ends = Ends::new(local, remote.ip(), remote.port());
        let hash = ends.hash32(self.secrets.table);
        let has = self.table.find(self.slots.all, hash, &ends).is_some();
        !has && self.hand_over(&ends, arrival)
    }

    /// The same for what ICMP says of a datagram that begins with `packet`.
    #[cfg(feature = "datagrams")]
    fn hand_datagram_error_over(&mut self, packet: &[u8], arrival: &Arrival<'_>) -> bool {
        let Some((local, remote)) = Quoted::parse_udp(packet) else {
            return false;
        };
        if !self.routes.is_own(local.ip()) || self.sender_of(local, remote).is_some() {
            return false;
        }
        self.hand_datagram_over(remote, local, arrival)
    }

    /// Hands an answer to an echo request to the next stack that awaits an answer; returns false if
    /// there is none. Each is asked once.
    #[cfg(feature = "echo")]
    fn hand_echo_over(&mut self, arrival: &Arrival<'_>) -> bool {
        let Some(share) = self.share else {
            return false;
        };
        let origin = share.taking.unwrap_or(share.queue);
        let behind = share.queue.saturating_add(1)..share.queues.queue_count();
        let mut order = behind
            .chain(0..share.queue)
            .take_while(|queue| *queue != origin);
        let next = order.find(|queue| share.queues.awaits_echo(*queue));
        if let Some(queue) = next {
            self.hand_to(&share, queue, arrival);
        }
        next.is_some()
    }

    /// Notes for the other stacks whether this one awaits an answer to an echo request.
    #[cfg(feature = "echo")]
    pub(super) fn share_awaited_echo(&self) {
        if let Some(share) = &self.share {
            share
                .queues
                .note_awaited_echo(share.queue, self.echoes.awaits());
        }
    }

    /// Notes that a cookie was sent, for all of the stacks.
    pub(super) fn share_cookie(&self) {
        if let Some(share) = &self.share {
            share.queues.note_cookie(self.now);
        }
    }

    /// Returns true if another stack's cookie may be out.
    pub(super) fn shares_cookies(&self) -> bool {
        let share = self.share.as_ref();
        share.is_some_and(|share| share.queues.believes_cookies(self.now))
    }

    /// Takes in one packet that another stack has handed over, and returns the bytes of the frame
    /// that answers it; `None` if there is no packet.
    #[inline]
    pub(super) fn take_handed(&mut self) -> Option<usize> {
        let share = self.share?;
        self.take_shared(&share)
    }

    /// Does it, with 1.5 KB of the machine's stack.
    #[inline(never)]
    fn take_shared(&mut self, share: &Share<'_>) -> Option<usize> {
        let mut packet = [0; PACKET_MAX];
        let (origin, len) = share.queues.take(share.queue, &mut packet)?;
        let arrival = Arrival {
            packet: packet.get(..len)?,
            station: origin.station,
            group: false,
            verified: origin.verified,
        };
        self.set_taking(Some(origin.queue));
        let answer = self.packet(&arrival);
        self.set_taking(None);
        Some(answer)
    }

    const fn set_taking(&mut self, taking: Option<u16>) {
        if let Some(share) = &mut self.share {
            share.taking = taking;
        }
    }
}
