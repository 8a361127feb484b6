//! One of several stacks that are one host: which connections are its own, and what becomes of
//! segments of others'.

use core::net::{IpAddr, SocketAddr};

use usockets::Error;

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
    /// What is taken in has been handed over, and is not handed on.
    taking: bool,
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
            taking: false,
        });
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
        let Some(share) = self.share.filter(|share| !share.taking) else {
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
        let origin = Origin {
            station: arrival.station,
            verified: arrival.verified,
        };
        let counters = &mut self.counters;
        match share.queues.push(owner, origin, arrival.packet) {
            Ok(asleep) => {
                counters.handed_over = counters.handed_over.wrapping_add(1);
                if asleep {
                    (share.wake)(owner);
                }
            }
            Err(_) => {
                counters.hand_overs_dropped = counters.hand_overs_dropped.wrapping_add(1);
            }
        }
        true
    }

    /// Hands an ICMP error over to the stack whose connection it is about. Returns false if that
    /// is this one, or it is about no segment.
    pub(super) fn hand_over_error(&mut self, error: &Icmp<'_>, arrival: &Arrival<'_>) -> bool {
        let (Icmp::Unreachable { packet, .. }
        | Icmp::TimeExceeded { packet }
        | Icmp::ParameterProblem { packet, .. }
        | Icmp::TooBig { packet, .. }) = error
        else {
            return false;
        };
        if self.share.is_none() {
            return false;
        }
        let Some(quoted) = Quoted::parse(packet) else {
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
    /// that answers it; `None` if there is no packet. It takes 1.5 KB of the machine's stack.
    #[inline(never)]
    pub(super) fn take_handed(&mut self) -> Option<usize> {
        let share = self.share?;
        let mut packet = [0; PACKET_MAX];
        let (origin, len) = share.queues.take(share.queue, &mut packet)?;
        let arrival = Arrival {
            packet: packet.get(..len)?,
            station: origin.station,
            group: false,
            verified: origin.verified,
        };
        self.set_taking(true);
        let answer = self.packet(&arrival);
        self.set_taking(false);
        Some(answer)
    }

    const fn set_taking(&mut self, taking: bool) {
        if let Some(share) = &mut self.share {
            share.taking = taking;
        }
    }
}
