//! The stack without its device: all state, and the small steps that the larger ones share.

#[cfg(feature = "datagrams")]
use core::net::IpAddr;

use usockets::{Duration, Instant};

use crate::config::{Config, Limits, SizeClass};
use crate::counters::Counters;
use crate::device::{Capabilities, Medium};
use crate::hash::Secret;
#[cfg(feature = "dad")]
use crate::ip::dad::Detection;
#[cfg(feature = "echo")]
use crate::ip::echo::Echoes;
use crate::ip::neighbour::Neighbours;
use crate::ip::route::Routes;
use crate::ip::{ANNOUNCE_INTERVAL, ANNOUNCEMENTS, NEVER};
use crate::listener::Listener;
use crate::number::count;
use crate::pool::links::Marks;
use crate::pool::list::{ReadyRing, Ring};
use crate::pool::table::Table;
use crate::pool::wheel::{Wheel, tick_after};
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
use crate::stack::hand_over::Share;
use crate::stack::memory::{MTU_MIN, Memory, SCRATCH_MIN, Tables};
use crate::stack::slot::{Ends, Facts, Flags, Phase};
use crate::stack::slots::{LEASED_ONE, Slots};
#[cfg(feature = "leases")]
use crate::stack::time_wait::TimeWaits;
#[cfg(feature = "ecn")]
use crate::tcp::Ecn;
use crate::tcp::{Settings, State};
#[cfg(feature = "datagrams")]
use crate::udp::sockets::Sockets as Datagrams;
use crate::wire::ethernet::{HEADER_LEN, Mac};
use crate::wire::{ipv6, tcp};

/// Most ICMP errors and resets without a connection in [`REPLIES_EVERY`] (RFC 1812, section
/// 4.3.2.8, and RFC 4443, section 2.4 f, ask for such a bound).
const REPLIES_MAX: u16 = 64;
const REPLIES_EVERY: Duration = Duration::from_millis(64);

/// Bytes of the longest headers of IP and TCP.
const HEADERS_MAX: usize = ipv6::HEADER_LEN + tcp::HEADER_MAX;

/// SYN cookies are a part of the stack: feature `cookies`. Conditions on this leave out what only
/// they need.
pub(super) const COOKIES: bool = cfg!(feature = "cookies");

/// Keyed hashes, each for one purpose.
pub(super) struct Secrets {
    /// Of the demultiplexer.
    pub(super) table: Secret,
    /// Of initial sequence numbers.
    pub(super) sequence: Secret,
    /// Of SYN cookies.
    pub(super) cookie: Secret,
    /// Of ephemeral ports.
    pub(super) port: Secret,
    /// Of timestamps' offsets.
    pub(super) clock: Secret,
}

impl Secrets {
    fn of(secret: Secret) -> Self {
        Self {
            table: secret.derive(1),
            sequence: secret.derive(2),
            cookie: secret.derive(3),
            port: secret.derive(4),
            clock: secret.derive(6),
        }
    }
}

/// A bound on how often something is done.
#[derive(Debug)]
struct Budget {
    used: u16,
    since: Instant,
}

/// Everything of a stack but its device.
pub(super) struct Shell<'a> {
    pub(super) device: Capabilities,
    pub(super) mac: Mac,
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    #[cfg(feature = "pacing")]
    pacing: bool,
    #[cfg(feature = "bbr")]
    algorithm: crate::tcp::Algorithm,
    pub(super) cookies: bool,
    #[cfg(feature = "ecn")]
    ecn: Ecn,
    /// Cookies are believed until then: shortly after the last one was sent.
    pub(super) cookies_until: Instant,
    pub(super) secrets: Secrets,
    pub(super) slots: Slots<'a>,
    pub(super) table: Table<'a>,
    pub(super) wheel: Wheel,
    pub(super) neighbours: Neighbours<'a>,
    /// Its part of a host that several stacks are.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub(super) share: Option<Share<'a>>,
    /// Those in TIME-WAIT that have given up their slots.
    #[cfg(feature = "leases")]
    pub(super) time_waits: TimeWaits<'a>,
    #[cfg(feature = "datagrams")]
    pub(super) datagrams: Datagrams<'a>,
    /// An address that the link is watched for, and whether another station has it.
    #[cfg(feature = "datagrams")]
    pub(super) watched: Option<(IpAddr, bool)>,
    /// Own addresses that are probed.
    #[cfg(feature = "dad")]
    pub(super) detection: Detection,
    /// What other stations are asked.
    #[cfg(feature = "echo")]
    pub(super) echoes: Echoes,
    pub(super) listeners: &'a mut [Listener],
    /// The loop is to look: a listener has something to report, or an own address has changed.
    pub(super) looks: bool,
    /// A loop has asked about a listener.
    pub(super) listeners_asked: bool,
    /// Connections to serve, and those that wait for a neighbour.
    pub(super) serve: Ring,
    pub(super) blocked: Ring,
    /// Connections to report.
    pub(super) ready: ReadyRing,
    /// Octets of payload that the device takes at once and cuts into segments itself; 0 if it does
    /// not.
    pub(super) segment_max: u32,
    /// Where frames are made that no connection sends.
    pub(super) scratch: &'a mut [u8],
    /// Where frames in several buffers are put together.
    pub(super) assembly: &'a mut [u8],
    pub(super) ports_used: u32,
    /// When sets are looked for next, for connections that wait for some.
    pub(super) relief_at: [Option<Instant>; LEASED_ONE],
    /// The slot from which on those that are stuck are looked for.
    pub(super) cursor: u32,
    /// How many announcements of all own addresses have been made.
    announced: u8,
    /// When something is due for own addresses; [`NEVER`] while nothing is.
    pub(super) addresses_at: Instant,
    /// Until then no own address is defended again.
    pub(super) defend_at: Instant,
    replies: Budget,
    /// Identification of the next IPv4 packet that no connection sends (RFC 6864).
    pub(super) identification: u16,
    pub(super) now: Instant,
    pub(super) counters: Counters,
}

impl<'a> Shell<'a> {
    /// Makes a shell without memory and addresses, which does nothing.
    pub(super) fn idle(device: Capabilities, now: Instant) -> Self {
        Self {
            device,
            mac: [0; 6],
            routes: Routes::NONE,
            limits: Limits::DEFAULT,
            #[cfg(feature = "pacing")]
            pacing: false,
            #[cfg(feature = "bbr")]
            algorithm: crate::tcp::Algorithm::Cubic,
            cookies: false,
            #[cfg(feature = "ecn")]
            ecn: Ecn::Off,
            cookies_until: Instant::ZERO,
            secrets: Secrets::of(Secret::new([0; 16])),
            slots: Slots::empty(),
            table: Table::empty(),
            wheel: Wheel::new(now),
            neighbours: Neighbours::empty(),
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            share: None,
            #[cfg(feature = "leases")]
            time_waits: TimeWaits::empty(),
            #[cfg(feature = "datagrams")]
            datagrams: Datagrams::empty(),
            #[cfg(feature = "datagrams")]
            watched: None,
            #[cfg(feature = "dad")]
            detection: Detection::idle(),
            #[cfg(feature = "echo")]
            echoes: Echoes::NONE,
            listeners: &mut [],
            looks: false,
            listeners_asked: false,
            serve: Ring::EMPTY,
            blocked: Ring::EMPTY,
            ready: ReadyRing::EMPTY,
            segment_max: 0,
            scratch: &mut [],
            assembly: &mut [],
            ports_used: 0,
            relief_at: [None; LEASED_ONE],
            cursor: 0,
            announced: 0,
            addresses_at: NEVER,
            defend_at: Instant::ZERO,
            replies: Budget {
                used: 0,
                since: Instant::ZERO,
            },
            identification: 0,
            now,
            counters: Counters::default(),
        }
    }

    /// Takes over configuration and memory, once; `None` when they do not fit together.
    ///
    /// In place, and apart from [`Self::idle`]: a shell is large for the stack of a small machine.
    pub(super) fn start(
        &mut self,
        config: &Config<'_>,
        memory: Memory<'a>,
        classes: &[SizeClass],
    ) -> Option<()> {
        self.routes = Routes::new(config.addresses, config.gateway_v4, config.gateway_v6)?;
        let device = self.device;
        let needed = device.frame_max().max(SCRATCH_MIN);
        if memory.scratch.len() < needed || device.mtu < MTU_MIN {
            return None;
        }
        let offload = device.segment_max;
        if offload.is_some_and(|bytes| !device.fills || bytes < device.mtu) {
            return None;
        }
        // IPv4's and IPv6's length fields hold no more.
        let most = offload.unwrap_or(0).min(65_535);
        self.segment_max = count(most.saturating_sub(HEADERS_MAX));
        memory.listeners.fill_with(|| Listener::EMPTY);
        let tables = Tables {
            working: memory.working,
            resting: memory.resting,
            in_flight: memory.in_flight,
            outstanding: memory.outstanding,
            ranges: memory.ranges,
        };
        self.slots.start(
            memory.slots,
            memory.bytes,
            tables,
            (classes, COOKIES && config.cookies),
        )?;
        self.mac = config.mac;
        self.limits = config.limits;
        #[cfg(feature = "pacing")]
        {
            self.pacing = config.pacing;
        }
        #[cfg(feature = "bbr")]
        {
            self.algorithm = config.algorithm;
        }
        self.cookies = COOKIES && config.cookies;
        #[cfg(feature = "ecn")]
        {
            self.ecn = config.ecn;
        }
        self.secrets = Secrets::of(config.secret);
        self.table = Table::new(memory.buckets)?;
        let secret = config.secret.derive(5);
        self.neighbours.start(memory.neighbours, secret);
        self.listeners = memory.listeners;
        let (scratch, assembly) = memory.scratch.split_at_mut_checked(needed)?;
        self.scratch = scratch;
        self.assembly = assembly;
        #[cfg(feature = "dad")]
        if self.start_detection(config) {
            self.schedule_addresses(NEVER);
            return Some(());
        }
        if config.announce {
            self.announce_again();
        }
        Some(())
    }

    /// Returns when all own addresses are announced next; [`NEVER`] when that is done.
    pub(super) const fn next_announcement(&self) -> Instant {
        #[cfg(feature = "dad")]
        return self.detection.announce_at;
        #[cfg(not(feature = "dad"))]
        self.addresses_at
    }

    /// Has the own addresses announced anew, where there are neighbours.
    pub(super) fn announce_again(&mut self) {
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        if self.is_announced_elsewhere() {
            return;
        }
        if self.device.medium == Medium::Ethernet {
            self.announced = 0;
            self.schedule_addresses(self.now);
        }
    }

    /// Returns when own addresses that are announced now are announced again.
    pub(super) const fn note_announcement(&mut self) -> Instant {
        self.announced = self.announced.saturating_add(1);
        if self.announced >= ANNOUNCEMENTS {
            return NEVER;
        }
        self.now.saturating_add(ANNOUNCE_INTERVAL)
    }

    /// Sets when something is due next for own addresses, of which all are announced at
    /// `announcement`.
    pub(super) fn schedule_addresses(&mut self, announcement: Instant) {
        self.addresses_at = announcement;
        #[cfg(feature = "dad")]
        {
            self.detection.announce_at = announcement;
            self.addresses_at = announcement.min(self.detection.next());
        }
    }

    /// Returns true if one more reply may go out that no connection sends, and counts it.
    pub(super) fn may_reply(&mut self) -> bool {
        let budget = &mut self.replies;
        if self.now.saturating_since(budget.since) >= REPLIES_EVERY {
            *budget = Budget {
                used: 0,
                since: self.now,
            };
        }
        budget.used = budget.used.saturating_add(1);
        budget.used <= REPLIES_MAX
    }

    /// Returns the bytes of the link's header before each packet.
    #[inline]
    pub(super) const fn link_len(&self) -> usize {
        match self.device.medium {
            Medium::Ethernet => HEADER_LEN,
            Medium::Ip => 0,
        }
    }

    /// Returns what a connection of the given ends opens with, with Nagle's algorithm or without.
    pub(super) fn settings(
        &self,
        ends: &Ends,
        (nodelay, keepalive): (bool, Option<Duration>),
        handshake: Duration,
    ) -> Settings {
        let settings = Settings::new(self.own_mss(ends.remote_ip().is_ipv4()));
        #[cfg(feature = "pacing")]
        let settings = settings.pacing(self.pacing);
        #[cfg(feature = "bbr")]
        let settings = settings.algorithm(self.algorithm);
        #[cfg(feature = "ecn")]
        let settings = settings.ecn(self.ecn);
        settings
            .nagle(!nodelay)
            .keepalive(keepalive)
            .user_timeout(self.limits.answer)
            .handshake_timeout(handshake)
            .time_wait(self.limits.time_wait)
            .timestamps_offset(self.clock_offset(ends))
    }

    /// Returns what is added to our clock in the timestamps of a connection.
    pub(super) fn clock_offset(&self, ends: &Ends) -> u32 {
        let [low, high, ..] = ends.hash(self.secrets.clock, 0).to_le_bytes();
        u32::from_le_bytes([low, high, high, low])
    }

    /// Returns the octets of the largest segment that the device carries.
    pub(super) fn own_mss(&self, v4: bool) -> u16 {
        let header = if v4 { 40 } else { 60 };
        u16::try_from(self.device.mtu.saturating_sub(header)).unwrap_or(u16::MAX)
    }

    /// Puts a slot among those to serve, even if it waits for a neighbour.
    #[inline]
    pub(super) fn wake(&mut self, index: u32) {
        let blocked = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.links.has(Marks::BLOCKED));
        if blocked {
            self.unblock();
        }
        self.serve.push(self.slots.all, index);
    }

    /// Lets all that wait for a neighbour look again.
    #[inline(never)]
    pub(super) fn unblock(&mut self) {
        #[cfg(feature = "datagrams")]
        {
            self.datagrams.news = true;
        }
        while let Some(index) = self.blocked.pop(self.slots.all) {
            self.serve.push(self.slots.all, index);
        }
    }

    /// Notes facts to report about an owned slot.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(super) fn report(&mut self, index: u32, facts: Facts) {
        if facts == Facts::NONE {
            return;
        }
        if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.owner != 0) {
            slot.facts = slot.facts.union(facts);
            self.ready.push(self.slots.all, index);
        }
    }

    /// Ends the slot's phase by itself `after` from now.
    #[inline(never)]
    pub(super) fn limit(&mut self, index: u32, after: Duration) {
        let at = tick_after(self.now.saturating_add(after));
        if let Some(slot) = self.slots.get_mut(index) {
            slot.set_limit(at);
        }
        self.expect_by(index, at);
    }

    /// Lifts the limit.
    pub(super) fn unlimit(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.flags.clear(Flags::LIMITED);
        }
    }

    /// Sees to it that the slot is looked after at tick `due` or before.
    ///
    /// A deadline already set for earlier stays: it costs one look when it comes, against moving
    /// the slot in the wheel with every segment.
    #[inline]
    pub(super) fn expect_by(&mut self, index: u32, due: u32) {
        let earlier = self.slots.get(index).is_some_and(|slot| {
            let set = slot.links.due();
            set.is_some_and(|set| due.wrapping_sub(set) < u32::MAX / 2)
        });
        if !earlier {
            self.wheel.set(self.slots.all, index, due);
        }
    }

    /// Frees a slot and forgets its connection. Sends no reset.
    pub(super) fn release(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (phase, listener) = (slot.phase, usize::from(slot.listener));
        let class = slot.class;
        if let Some(listener) = self.listeners.get_mut(listener) {
            match phase {
                Phase::HalfOpen => listener.half_open = listener.half_open.saturating_sub(1),
                Phase::Waiting => listener.queue.remove(self.slots.all, index),
                _ => {}
            }
        }
        self.table.remove(self.slots.all, index);
        self.wheel.clear(self.slots.all, index);
        self.slots.reset(index);
        if self.slots.is_any_leased() {
            self.feed(class);
        }
    }

    /// Returns the state of a slot's connection.
    #[inline]
    pub(super) fn state(&mut self, index: u32) -> State {
        self.slots.look(index).state()
    }
}
