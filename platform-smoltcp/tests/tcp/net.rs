//! A network of two hosts in virtual time: each direction a link with delay, rate, queue and
//! faults. The same seed gives the same run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use usockets::Instant;
use usockets_smoltcp::Random;
use usockets_smoltcp::tcp::{Events, Flags, Listen, Settings, State, Transmit};

use crate::host::{Host, Packet};

/// One direction. Faults are in millionths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// Microseconds that a frame takes.
    pub(crate) delay: u64,
    /// Octets a second; 0 for no limit.
    pub(crate) rate: u64,
    /// Frames that wait at most; 0 for no limit.
    pub(crate) queue: u64,
    pub(crate) loss: u64,
    pub(crate) reorder: u64,
    /// How many microseconds later than others a reordered frame comes, at most; 0 for a little
    /// more than a round trip.
    pub(crate) late: u64,
    pub(crate) duplicate: u64,
    /// Frames larger than this are dropped, and ICMP says so; 0 for no limit.
    pub(crate) mtu: u64,
    /// Frames larger than this are dropped, and nobody says so; 0 for no limit.
    pub(crate) hole: u64,
    /// How many frames wait before those that are ECT are marked CE; 0 for never.
    pub(crate) marks: u64,
}

/// What befalls one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Lost,
    /// It takes so many microseconds more.
    Late(u64),
    /// It comes a second time, so many microseconds later.
    Twice(u64),
}

/// A frame on its way, ordered by when it comes and then by when it was sent.
struct Flying {
    at: u64,
    number: u64,
    to: usize,
    what: What,
}

enum What {
    Packet(Packet),
    TooBig(u16, Packet),
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Flying {}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What was counted on one link.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) overflowed: u64,
    pub(crate) marked: u64,
    pub(crate) data: u64,
    pub(crate) again: u64,
}

/// Two hosts and the links from each to the other.
pub(crate) struct Net {
    pub(crate) now: u64,
    pub(crate) hosts: [Host; 2],
    pub(crate) links: [Link; 2],
    pub(crate) counts: [Count; 2],
    pub(crate) settings: [Settings; 2],
    /// Events of each host since they were taken.
    pub(crate) events: [Vec<Events>; 2],
    /// The second host answers SYNs.
    pub(crate) listening: bool,
    pub(crate) random: Random,
    /// What befalls frames, by the host that sends them and their number, which begin with 1.
    pub(crate) fates: Vec<(usize, u64, Fate)>,
    /// Deadlines come true at the next multiple of so many microseconds, as in a timing wheel; at
    /// once if it is 1.
    pub(crate) tick: u64,
    highest: [Option<u32>; 2],
    idle_at: [u64; 2],
    flying: BinaryHeap<Reverse<Flying>>,
    number: u64,
    trace: bool,
}

impl Net {
    /// Two closed hosts.
    pub(crate) fn new(
        hosts: [Host; 2],
        links: [Link; 2],
        settings: [Settings; 2],
        seed: u64,
    ) -> Self {
        Self {
            now: 1_000_000,
            hosts,
            links,
            counts: [Count::default(); 2],
            settings,
            events: [Vec::new(), Vec::new()],
            listening: true,
            random: Random::new(seed.wrapping_mul(2).wrapping_add(1)),
            fates: Vec::new(),
            tick: 1,
            highest: [None; 2],
            idle_at: [0; 2],
            flying: BinaryHeap::new(),
            number: 0,
            trace: std::env::var_os("TCP_TRACE").is_some(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// The first host connects to the second.
    pub(crate) fn connect(&mut self, iss: u32) {
        let now = self.now();
        self.hosts[0].connect(now, &self.settings[0], iss);
    }

    /// Prints what is put on a link if `TCP_TRACE` is set.
    fn trace(&self, from: usize, packet: &Packet, fate: &str) {
        if self.trace {
            eprintln!(
                "{:>12} {from} {:02x} {} +{} ack {} win {} {:?} {fate}",
                self.now,
                packet.flags.bits(),
                packet.seq.get(),
                packet.payload.len(),
                packet.ack.get(),
                packet.window,
                packet.options.sack.as_slice(),
            );
        }
    }

    fn chance(&mut self, millionths: u64) -> bool {
        self.random.below(1_000_000) < millionths
    }

    /// Puts a segment of host `from` on its link.
    pub(crate) fn put(&mut self, from: usize, mut packet: Packet) {
        let link = self.links[from];
        self.count(from, &packet);
        if link.mtu > 0 && packet.frame_len() > link.mtu {
            let mss = (link.mtu - 40) as u16;
            self.fly(self.now + 2 * link.delay, from, What::TooBig(mss, packet));
            return;
        }
        let fate = self.fate(from);
        if matches!(fate, Some(Fate::Lost)) {
            self.counts[from].lost += 1;
            self.trace(from, &packet, "lost");
            return;
        }
        if self.chance(link.loss) || (link.hole > 0 && packet.frame_len() > link.hole) {
            self.counts[from].lost += 1;
            self.trace(from, &packet, "lost");
            return;
        }
        let start = self.idle_at[from].max(self.now);
        if link.rate > 0 {
            let waiting = (start - self.now) * link.rate / 1_000_000 / 1_500;
            if link.queue > 0 && waiting > link.queue {
                self.counts[from].overflowed += 1;
                self.trace(from, &packet, "overflow");
                return;
            }
            if link.marks > 0 && waiting > link.marks && packet.has(Flags::ECT) {
                self.counts[from].marked += 1;
                packet.flags = packet.flags | Flags::CE;
            }
            self.idle_at[from] = start + (packet.frame_len() + 14) * 1_000_000 / link.rate;
        }
        self.trace(from, &packet, "");
        let mut at = self.idle_at[from].max(start) + link.delay;
        if self.chance(link.reorder) {
            let most = match link.late {
                0 => 2 * link.delay + 1_500,
                late => late,
            };
            at += 500 + self.random.below(most - 500);
        }
        match fate {
            Some(Fate::Late(micros)) => at += micros,
            Some(Fate::Twice(micros)) => {
                self.fly(at + micros, from ^ 1, What::Packet(packet.clone()));
            }
            _ => {}
        }
        if self.chance(link.duplicate) {
            let later = at + self.random.below(link.delay + 1_000);
            self.fly(later, from ^ 1, What::Packet(packet.clone()));
        }
        self.fly(at, from ^ 1, What::Packet(packet));
    }

    /// What befalls the frame that a host has just sent.
    fn fate(&self, from: usize) -> Option<Fate> {
        let number = self.counts[from].sent;
        let mut fates = self.fates.iter();
        let this = fates.find(|(side, which, _)| *side == from && *which == number);
        this.map(|(_, _, fate)| *fate)
    }

    fn count(&mut self, from: usize, packet: &Packet) {
        let count = &mut self.counts[from];
        count.sent += 1;
        if packet.payload.is_empty() {
            return;
        }
        count.data += 1;
        let end = packet.seq.get().wrapping_add(packet.payload.len() as u32);
        match self.highest[from] {
            Some(highest) if end.wrapping_sub(highest) as i32 <= 0 => count.again += 1,
            _ => self.highest[from] = Some(end),
        }
    }

    fn fly(&mut self, at: u64, to: usize, what: What) {
        self.number += 1;
        self.flying.push(Reverse(Flying {
            at,
            number: self.number,
            to,
            what,
        }));
    }

    /// Lets both hosts send what they have to.
    pub(crate) fn transmit(&mut self) {
        for from in 0..2 {
            let now = self.now();
            for packet in self.hosts[from].transmit(now) {
                self.put(from, packet);
            }
        }
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<u64> {
        let frame = self.flying.peek().map(|Reverse(frame)| frame.at);
        let deadlines = self.hosts.iter().filter_map(|host| self.due(host));
        deadlines.map(|at| at.max(self.now)).chain(frame).min()
    }

    /// When a host's deadline comes true.
    fn due(&self, host: &Host) -> Option<u64> {
        let due = host.tcp.deadline()?.as_micros();
        Some(due.next_multiple_of(self.tick))
    }

    /// Goes on to `at` and lets happen what does by then, once.
    pub(crate) fn advance(&mut self, at: u64) {
        self.now = self.now.max(at);
        let now = self.now();
        for index in 0..2 {
            let due = self.due(&self.hosts[index]);
            if due.is_some_and(|due| due <= self.now) {
                let events = self.hosts[index].on_timer(now);
                self.note(index, events);
            }
        }
        while let Some(Reverse(frame)) = self.flying.peek() {
            if frame.at > self.now {
                break;
            }
            let Some(Reverse(frame)) = self.flying.pop() else {
                break;
            };
            match frame.what {
                What::Packet(packet) => self.arrive(frame.to, &packet),
                What::TooBig(mss, packet) => {
                    let error = usockets_smoltcp::tcp::IcmpError::TooBig { mss };
                    let events = self.hosts[frame.to]
                        .with(|tcp, buffers| tcp.on_icmp(now, error, packet.seq, buffers));
                    self.note(frame.to, events);
                }
            }
        }
    }

    fn note(&mut self, index: usize, events: Events) {
        if !events.is_empty() {
            self.events[index].push(events);
        }
    }

    fn arrive(&mut self, to: usize, packet: &Packet) {
        let now = self.now();
        let closed = self.hosts[to].tcp.state() == State::Closed;
        if closed && self.listening && to == 1 && Listen::of(&packet.segment()) == Listen::Open {
            let iss = self.random.below(1 << 32) as u32;
            let settings = self.settings[1];
            self.hosts[to].accept(now, &settings, iss, packet);
            return;
        }
        let events = self.hosts[to].on_packet(now, packet);
        self.note(to, events);
        if events.has(Events::ANSWER_RESET)
            && let Some(reset) = Transmit::reset_for(&packet.segment())
        {
            let reset = Packet {
                seq: reset.seq,
                ack: reset.ack,
                window: 0,
                flags: reset.flags,
                options: reset.options,
                payload: Vec::new(),
            };
            self.put(to, reset);
        }
    }
}
