//! The stack without its device: all state, and the small steps that the larger ones share.

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::time::Duration as Span;
use usockets::{Duration, Instant};

use crate::config::{Config, Limits, Memory, SizeClass};
use crate::counters::Counters;
use crate::device::{Capabilities, Medium};
use crate::hash::Secret;
use crate::ip::neighbour::Neighbours;
use crate::ip::route::Routes;
use crate::smoltcp::clock::{span, stamp};
use crate::smoltcp::frame::ETHERNET_LEN;
use crate::smoltcp::isn;
use crate::smoltcp::list::{ReadyRing, Ring};
use crate::smoltcp::listener::Listener;
use crate::smoltcp::port::{Inward, describe};
use crate::smoltcp::slab::Slab;
use crate::smoltcp::slot::{Facts, Flags, LIMIT_SHIFT, Phase};
use crate::smoltcp::table::Table;
use crate::smoltcp::wheel::{Wheel, tick_after};

/// Bytes of scratch memory that every stack needs, whatever its device.
const SCRATCH_MIN: usize = 128;

/// Keyed hashes, each for one purpose.
pub(crate) struct Secrets {
    /// Of the demultiplexer.
    pub(crate) table: Secret,
    /// Of initial sequence numbers.
    pub(crate) sequence: Secret,
    /// Of SYN cookies.
    pub(crate) cookie: Secret,
    /// Of ephemeral ports.
    pub(crate) port: Secret,
}

impl Secrets {
    fn of(secret: Secret) -> Self {
        Self {
            table: secret.derive(1),
            sequence: secret.derive(2),
            cookie: secret.derive(3),
            port: secret.derive(4),
        }
    }
}

/// Everything of a stack but its device.
pub(crate) struct Engine<'a> {
    pub(crate) interface: Interface,
    pub(crate) described: DeviceCapabilities,
    pub(crate) medium: Medium,
    /// The device has verified the TCP checksum of the frame at hand.
    pub(crate) verified: bool,
    /// The device fills in TCP checksums of what it sends.
    pub(crate) fills: bool,
    pub(crate) mac: [u8; 6],
    pub(crate) routes: Routes,
    pub(crate) limits: Limits,
    /// [`Limits::answer`] on smoltcp's clock.
    pub(crate) answer: Span,
    pub(crate) cookies: bool,
    /// Cookies are believed until then: shortly after the last one was sent.
    pub(crate) cookies_until: Instant,
    pub(crate) secrets: Secrets,
    pub(crate) slab: Slab<'a>,
    pub(crate) table: Table<'a>,
    pub(crate) wheel: Wheel,
    pub(crate) neighbours: Neighbours<'a>,
    pub(crate) listeners: &'a mut [Listener],
    /// A listener has something to report.
    pub(crate) listeners_ready: bool,
    /// A loop has asked about a listener.
    pub(crate) listeners_asked: bool,
    pub(crate) serve: Ring,
    pub(crate) blocked: Ring,
    pub(crate) ready: ReadyRing,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) ports_used: u32,
    /// The slot from which on those that are stuck are looked for.
    pub(crate) cursor: u32,
    pub(crate) now: Instant,
    pub(crate) counters: Counters,
}

impl<'a> Engine<'a> {
    /// Makes an engine without memory and addresses, which does nothing.
    pub(crate) fn idle(device: &Capabilities, now: Instant) -> Self {
        let described = describe(device);
        Self {
            interface: isn::interface(0, &Routes::NONE, &described, stamp(now)),
            described,
            medium: device.medium,
            verified: false,
            fills: device.fills,
            mac: [0; 6],
            routes: Routes::NONE,
            limits: Limits::DEFAULT,
            answer: span(Limits::DEFAULT.answer),
            cookies: false,
            cookies_until: Instant::ZERO,
            secrets: Secrets::of(Secret::new([0; 16])),
            slab: Slab::empty(),
            table: Table::empty(),
            wheel: Wheel::new(now),
            neighbours: Neighbours::new(&mut [], Secret::new([0; 16])),
            listeners: &mut [],
            listeners_ready: false,
            listeners_asked: false,
            serve: Ring::EMPTY,
            blocked: Ring::EMPTY,
            ready: ReadyRing::EMPTY,
            scratch: &mut [],
            ports_used: 0,
            cursor: 0,
            now,
            counters: Counters::default(),
        }
    }

    /// Takes over configuration and memory, once; `None` when they do not fit together.
    ///
    /// In place, and apart from [`Self::idle`]: an engine is large for the stack of a small
    /// machine.
    pub(crate) fn start(
        &mut self,
        config: &Config<'_>,
        device: &Capabilities,
        memory: Memory<'a>,
        classes: &[SizeClass],
    ) -> Option<()> {
        self.routes = Routes::new(config.addresses, config.gateway_v4, config.gateway_v6)?;
        let needed = device.frame_max().max(SCRATCH_MIN);
        let small = memory.scratch.len() < needed || device.mtu < 576;
        let offload = device.segment_max.is_some() && !device.fills;
        if small || offload || device.segment_max.is_some_and(|bytes| bytes < device.mtu) {
            return None;
        }
        memory.listeners.fill_with(|| Listener::EMPTY);
        self.slab
            .carve(memory.slots, memory.storage, memory.bytes, classes)?;
        let (routes, described, now) = (&self.routes, &self.described, stamp(self.now));
        if !isn::is_obeyed(&mut self.slab, memory.scratch, routes, described, now) {
            return None;
        }
        self.interface = isn::interface(0, routes, described, now);
        self.mac = config.mac;
        self.limits = config.limits;
        self.answer = span(config.limits.answer);
        self.cookies = config.cookies;
        self.secrets = Secrets::of(config.secret);
        self.table = Table::new(memory.buckets)?;
        self.neighbours = Neighbours::new(memory.neighbours, config.secret.derive(5));
        self.listeners = memory.listeners;
        self.scratch = memory.scratch;
        Some(())
    }

    /// Returns where in the scratch memory replies are made: behind the header they go out with,
    /// so that what is left holds the largest packet.
    #[inline]
    pub(crate) const fn reply_at(&self) -> usize {
        match self.medium {
            Medium::Ethernet => ETHERNET_LEN,
            Medium::Ip => 0,
        }
    }

    /// Gives an IP packet to smoltcp, for the connection in slot `index`, and returns the length of
    /// its reply, an IP packet at [`Self::reply_at`] in the scratch memory.
    #[inline]
    pub(crate) fn inject(&mut self, index: u32, packet: &[u8]) -> usize {
        let (now, at) = (stamp(self.now), self.reply_at());
        let reply = self.scratch.get_mut(at..).unwrap_or_default();
        let mut device = Inward::new(packet, reply, &self.described);
        if let Some(set) = self.slab.get_set(index) {
            self.interface.poll_ingress_single(now, &mut device, set);
        }
        device.reply_len
    }

    /// The same for a packet that is for no connection.
    #[inline(never)]
    pub(crate) fn reject(&mut self, packet: &[u8]) -> usize {
        let (now, at) = (stamp(self.now), self.reply_at());
        let reply = self.scratch.get_mut(at..).unwrap_or_default();
        let mut device = Inward::new(packet, reply, &self.described);
        let mut nobody = SocketSet::new(&mut [][..]);
        self.interface
            .poll_ingress_single(now, &mut device, &mut nobody);
        device.reply_len
    }

    /// Gives a packet of our own making to smoltcp, whose reply goes no further than `reply`.
    pub(crate) fn feed(&mut self, index: u32, packet: &[u8], reply: &mut [u8]) {
        let mut device = Inward::new(packet, reply, &self.described);
        if let Some(set) = self.slab.get_set(index) {
            self.interface
                .poll_ingress_single(stamp(self.now), &mut device, set);
        }
    }

    /// Puts a slot among those to serve, even if it waits for a neighbour.
    pub(crate) fn wake(&mut self, index: u32) {
        let blocked = self
            .slab
            .get(index)
            .is_some_and(|slot| slot.flags.has(Flags::BLOCKED));
        if blocked {
            self.unblock();
        }
        self.serve.push(self.slab.slots, index);
    }

    /// Lets all that wait for a neighbour look again.
    #[inline(never)]
    pub(crate) fn unblock(&mut self) {
        while let Some(index) = self.blocked.pop(self.slab.slots) {
            self.serve.push(self.slab.slots, index);
        }
    }

    /// Notes facts to report about an owned slot.
    #[inline(always)]
    pub(crate) fn report(&mut self, index: u32, facts: Facts) {
        if facts == Facts::NONE {
            return;
        }
        if let Some(slot) = self.slab.get(index).filter(|slot| slot.owner != 0) {
            slot.facts = slot.facts.union(facts);
            self.ready.push(self.slab.slots, index);
        }
    }

    /// Ends the slot's phase by itself `after` from now.
    #[inline(never)]
    pub(crate) fn limit(&mut self, index: u32, after: Duration) {
        let unit = 1_u32 << LIMIT_SHIFT;
        let at = tick_after(self.now.saturating_add(after)).wrapping_add(unit.wrapping_sub(1));
        if let Some(slot) = self.slab.get(index) {
            slot.set_limit(at);
        }
        self.expect_by(index, at & !unit.wrapping_sub(1));
    }

    /// Lifts the limit.
    pub(crate) fn unlimit(&mut self, index: u32) {
        if let Some(slot) = self.slab.get(index) {
            slot.flags.clear(Flags::LIMITED);
        }
    }

    /// Sees to it that the slot is served at tick `due` or before.
    ///
    /// A deadline already set for earlier stays: it costs one look when it comes, against moving
    /// the slot in the wheel with every segment.
    pub(crate) fn expect_by(&mut self, index: u32, due: u32) {
        let earlier = self.slab.get(index).is_some_and(|slot| {
            slot.flags.has(Flags::TIMED) && due.wrapping_sub(slot.timer_due) < u32::MAX / 2
        });
        if !earlier {
            self.wheel.set(self.slab.slots, index, due);
        }
    }

    /// Frees a slot and forgets its connection. Whoever sent nothing before sends nothing now.
    pub(crate) fn release(&mut self, index: u32) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let (phase, listener) = (slot.phase, usize::from(slot.listener));
        if let Some(listener) = self.listeners.get_mut(listener) {
            match phase {
                Phase::HalfOpen => listener.half_open = listener.half_open.saturating_sub(1),
                Phase::Waiting => listener.queue.remove(self.slab.slots, index),
                _ => {}
            }
        }
        self.table.remove(self.slab.slots, index);
        self.wheel.clear(self.slab.slots, index);
        self.slab.reset(index);
    }

    /// Returns the state of a slot's socket; closed when there is none.
    #[inline]
    pub(crate) fn state(&self, index: u32) -> State {
        self.slab
            .peek(index)
            .map_or(State::Closed, |socket| socket.state())
    }
}
