//! What a frame does.

use core::net::SocketAddr;
use core::ops::Range;

use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::TcpControl;
use usockets::Duration;

use crate::device::Medium;
use crate::ip::resolve::{self, Heard};
use crate::number::{count, place, put};
use crate::smoltcp::cookie::Plain;
use crate::smoltcp::engine::Engine;
use crate::smoltcp::frame::{self, ARP, Ethernet, FIN, IPV4, IPV6, Packet, RST, SYN, Segment};
use crate::smoltcp::loss;
use crate::smoltcp::slot::{Facts, Flags, Phase, Talk};
use crate::wire::checksum;
use crate::wire::ipv6::Ipv6;

/// No window is larger, since no receive buffer is.
pub(crate) const WINDOW_MAX: u32 = 65_536;

/// How long a connection in TIME-WAIT whose owner has not closed yet is served: shorter than
/// smoltcp's TIME-WAIT of 10 s on its own clock, at whose end it throws away what it received.
const KEEP: Duration = Duration::from_secs(2);

/// What answers a frame at once, in the scratch memory.
enum Answer {
    Nothing,
    /// An IP packet of so many bytes at [`Engine::reply_at`]; without any, nothing.
    Packet(usize),
    /// A whole frame of so many bytes; without any, nothing.
    Frame(usize),
}

/// What a connection is like before or after a segment.
#[derive(Clone, Copy)]
struct Look {
    state: State,
    /// Bytes for the owner to receive.
    received: usize,
    /// Bytes that the peer has not acknowledged or not been sent.
    unsettled: usize,
}

impl Look {
    #[inline]
    fn of(socket: &tcp::Socket<'_>) -> Self {
        Self {
            state: socket.state(),
            received: socket.recv_queue(),
            unsettled: socket.send_queue(),
        }
    }
}

impl Engine<'_> {
    /// Takes one frame in and returns where in the scratch memory the frame is that answers it at
    /// once; an empty range when none does.
    #[inline]
    pub(crate) fn take(&mut self, frame: &[u8], verified: bool) -> Range<usize> {
        self.verified = verified;
        self.counters.received = self.counters.received.wrapping_add(1);
        let (answer, header) = match self.medium {
            Medium::Ip => (self.packet(frame, None, false), None),
            Medium::Ethernet => match Ethernet::split(frame) {
                Some((header, packet)) => (self.unwrap(header, packet), Some(header)),
                None => {
                    self.counters.malformed = self.counters.malformed.wrapping_add(1);
                    return 0..0;
                }
            },
        };
        let len = match answer {
            Answer::Nothing | Answer::Packet(0) => return 0..0,
            Answer::Frame(len) => return 0..len,
            Answer::Packet(len) => len,
        };
        let start = self.reply_at();
        let end = start.saturating_add(len);
        let packet = self.scratch.get_mut(start..end).unwrap_or_default();
        if let Some(start) = frame::tcp_at(packet).filter(|_| !self.fills) {
            checksum::fill(packet, start);
        }
        if let Some(header) = header {
            let back = Ethernet {
                to: header.from,
                from: self.mac,
                kind: header.kind,
            };
            put(self.scratch, 0, back.bytes());
        }
        0..end
    }

    /// Takes what an Ethernet frame carries, if it is for us.
    #[inline]
    fn unwrap(&mut self, header: Ethernet, packet: &[u8]) -> Answer {
        let group = header.to != self.mac;
        let ours = !group || !Ethernet::is_unicast(header.to);
        let echo = header.from == self.mac || !Ethernet::is_unicast(header.from);
        match header.kind {
            _ if !ours || echo => Answer::Nothing,
            IPV4 | IPV6 => self.packet(packet, Some(header.from), group),
            ARP => match resolve::read_arp(packet) {
                Some(heard) => Answer::Frame(self.hear(heard, header.from)),
                None => Answer::Nothing,
            },
            _ => Answer::Nothing,
        }
    }

    /// Takes an IP packet in: from a station on the link, if the device has Ethernet, and for one
    /// of them or a group.
    #[inline]
    fn packet(&mut self, packet: &[u8], sender: Option<[u8; 6]>, group: bool) -> Answer {
        match frame::look(packet) {
            None => {
                self.counters.malformed = self.counters.malformed.wrapping_add(1);
                Answer::Nothing
            }
            Some(Packet::Tcp(segment)) if !group => Answer::Packet(self.segment(packet, &segment)),
            Some(Packet::Icmpv6 { message }) => {
                let heard = Ipv6::parse(packet)
                    .ok()
                    .and_then(|(header, _)| resolve::read_icmpv6(&header, message));
                match (heard, sender) {
                    (Some(heard), Some(sender)) => Answer::Frame(self.hear(heard, sender)),
                    _ if group => Answer::Nothing,
                    _ => Answer::Packet(self.reject(packet)),
                }
            }
            Some(Packet::Fragment) => {
                self.counters.fragments = self.counters.fragments.wrapping_add(1);
                Answer::Nothing
            }
            // What is for a group on the link is for nobody here but neighbour discovery
            // (RFC 1122, section 3.2.2.6, lets a ping to everybody go unanswered).
            Some(_) if group => Answer::Nothing,
            Some(_) => Answer::Packet(self.reject(packet)),
        }
    }

    /// Learns from a neighbour's message and answers its question.
    #[inline(never)]
    fn hear(&mut self, heard: Heard, sender: [u8; 6]) -> usize {
        let invited = heard
            .asks
            .is_some_and(|(target, _)| self.routes.is_own(target));
        if let Some((ip, mac)) = heard.from
            && self.routes.is_on_link(ip)
            && self.routes.is_peer(ip)
            && self.neighbours.learn(ip, mac, self.now, invited)
        {
            self.unblock();
        }
        match heard.asks {
            Some((target, asker)) if invited => {
                resolve::answer(self.scratch, self.mac, target, (sender, asker))
            }
            _ => 0,
        }
    }

    /// Takes a TCP segment in and returns the length of the packet that answers it.
    #[inline(always)]
    fn segment(&mut self, packet: &[u8], segment: &Segment<'_>) -> usize {
        if !self.verified && !checksum::is_right(packet, segment.bytes) {
            self.counters.malformed = self.counters.malformed.wrapping_add(1);
            return 0;
        }
        let last = self
            .table
            .last(self.slab.slots, (&segment.local(), &segment.remote()));
        let index = match last {
            Some(index) => index,
            None => match self.place_of(packet, segment) {
                Ok(index) => index,
                Err(len) => return len,
            },
        };
        self.deliver(index, packet, segment)
    }

    /// Returns the slot of the connection that a segment is for, or the length of the packet that
    /// answers it.
    #[inline(never)]
    fn place_of(&mut self, packet: &[u8], segment: &Segment<'_>) -> Result<u32, usize> {
        let (local, remote) = (segment.local(), segment.remote());
        let hash = match self.find(&local, &remote) {
            Ok(index) => return Ok(index),
            Err(hash) => hash,
        };
        if !self.routes.is_own(local.ip()) {
            return Err(0);
        }
        if !self.routes.is_peer(remote.ip()) || local.port() == 0 || remote.port() == 0 {
            self.counters.impossible = self.counters.impossible.wrapping_add(1);
            return Err(0);
        }
        if segment.is_opening() {
            return Err(self.knock(packet, segment, hash));
        }
        if segment.is_answer()
            && self.now < self.cookies_until
            && let Some(known) = self.redeem(segment, hash)
        {
            // Without room for a right cookie the peer sends again.
            return known.ok_or(0);
        }
        Err(self.reject(packet))
    }

    /// Gives a segment to its connection.
    #[inline(always)]
    fn deliver(&mut self, index: u32, packet: &[u8], segment: &Segment<'_>) -> usize {
        if segment.control() & (SYN | FIN | RST) != 0
            && let Some(len) = self.judge(index, packet, segment)
        {
            return len;
        }
        let Some(slot) = self.slab.get(index) else {
            return 0;
        };
        let shut = segment.window() == 0;
        if shut != slot.talk.has(Talk::SHUT) && slot.may_heed(segment) {
            slot.talk.assign(Talk::SHUT, shut);
        }
        let may_tell = segment.has_options() || slot.talk.has(Talk::LOST);
        let Some(before) = slot.peek().map(Look::of) else {
            return 0;
        };
        // Whatever it tells, there is nothing to send again but our end, for which smoltcp 0.14
        // would not set its timer again after the third of its kind.
        let ends = matches!(before.state, State::FinWait1 | State::Closing);
        let len = if ends && before.unsettled == 0 && slot.is_repeated(segment) {
            0
        } else {
            self.inject(index, packet)
        };
        let told = match len {
            0 if may_tell => self.tell_loss(index, packet, segment, before.unsettled),
            0 => 0,
            len => {
                self.correct(index, len);
                0
            }
        };
        let Some(slot) = self.slab.get(index) else {
            return len;
        };
        let Some(after) = slot.peek().map(Look::of) else {
            return len;
        };
        if slot.heed(segment, (before.unsettled, after.unsettled), told) {
            let acked = count(before.unsettled.saturating_sub(after.unsettled));
            self.mend(index, segment, (acked, told, len));
        }
        self.notice(index, (before, after), segment.control() & RST != 0);
        self.serve.push(self.slab.slots, index);
        len
    }

    /// Looks at a segment that begins or ends a connection, before smoltcp does. Returns the length
    /// of the answer to one that smoltcp must not see.
    #[inline(never)]
    fn judge(&mut self, index: u32, packet: &[u8], segment: &Segment<'_>) -> Option<usize> {
        let slot = self.slab.get(index)?;
        let (phase, sent) = (slot.phase, slot.sent());
        let before = self.state(index);
        let known = sent.any && !matches!(before, State::SynSent | State::Listen);
        if before == State::SynSent && segment.control() & SYN != 0 {
            self.meet(index, segment, None);
            if let Some(slot) = self.slab.get(index) {
                slot.prev = sent.next;
            }
        }
        if segment.is_opening() {
            // smoltcp 0.14 panics on a SYN that meets one of ours that has not left yet.
            if before == State::SynSent && !sent.any {
                return Some(0);
            }
            // A new connection over an old one's ends (RFC 9293, section 3.6.1).
            if phase == Phase::TimeWait && self.is_listening(segment.local()) {
                self.release(index);
                let hash = self.hash(&segment.local(), &segment.remote());
                return Some(self.knock(packet, segment, hash));
            }
            if known && before != State::SynReceived {
                return Some(self.challenge(index, segment));
            }
        }
        // Only a reset with just the next number is taken, one elsewhere in the window is asked
        // back (RFC 5961, section 3.2), and TIME-WAIT heeds none (RFC 1337).
        if known && segment.control() & RST != 0 {
            let ahead = segment.sequence().wrapping_sub(sent.acknowledged);
            if before == State::TimeWait || ahead >= WINDOW_MAX {
                return Some(0);
            }
            if ahead != 0 {
                let len = self.challenge(index, segment);
                // What came before it may not have been acknowledged until now.
                let next = self.slab.get(index).map(|slot| slot.acknowledged);
                return Some(len).filter(|_| next != Some(segment.sequence()));
            }
        }
        // smoltcp 0.14 cuts what lies beyond the window and still takes the FIN behind it, which
        // ends the stream too soon; it also sends such segments, by fast retransmission and as
        // probes, which want an answer.
        let payload = segment.payload_len();
        let end = segment.control() & FIN != 0;
        if known && payload > 0 && end && sent.is_beyond(segment.sequence(), payload) {
            return Some(self.challenge(index, segment));
        }
        // The peer keeps its place until it knows that its end has come.
        if end && let Some(slot) = self.slab.get(index) {
            slot.talk.set(Talk::WROTE);
            if let Some(socket) = slot.socket() {
                socket.set_ack_delay(None);
            }
        }
        None
    }

    /// Repeats for smoltcp an acknowledgement that tells of a loss, once for each lost segment.
    /// `unsettled` is what was to be acknowledged before. Returns how many bytes have arrived
    /// behind the loss; 0 without one, or without a new one.
    #[inline(never)]
    fn tell_loss(
        &mut self,
        index: u32,
        packet: &[u8],
        segment: &Segment<'_>,
        unsettled: usize,
    ) -> u32 {
        let Some(slot) = self.slab.get(index) else {
            return 0;
        };
        let known = slot.talk.has(Talk::LOST);
        let left = slot.peek().map_or(0, |socket| socket.send_queue());
        if known && left >= unsettled {
            return 0;
        }
        slot.talk.assign(Talk::LOST, false);
        let (next, mss) = (slot.sent_next, slot.congestion.segment());
        let told = loss::told(segment, next, mss);
        if left == 0 || told == 0 {
            return 0;
        }
        slot.talk.assign(Talk::LOST, true);
        self.counters.losses_told = self.counters.losses_told.wrapping_add(1);
        for _ in 0..loss::COPIES {
            // A duplicate acknowledgement has no answer.
            self.inject(index, packet);
        }
        told
    }

    /// Answers a segment that may be forged with an acknowledgement: a peer that means it will say
    /// so in its answer (RFC 5961, section 7). smoltcp makes it, one a second at most, as for a
    /// keep-alive probe, which is what it is shown.
    #[inline(never)]
    fn challenge(&mut self, index: u32, segment: &Segment<'_>) -> usize {
        let Some(sent) = self.slab.get(index).map(|slot| slot.sent()) else {
            return 0;
        };
        let mut memory = [0; 64];
        let probe = Plain {
            from: segment.remote(),
            to: segment.local(),
            sequence: sent.acknowledged.wrapping_sub(1),
            acknowledges: Some(sent.next),
            control: TcpControl::None,
            window: 0,
            mss: 0,
        };
        let len = probe.write(&mut memory);
        let len = self.inject(index, memory.get(..len).unwrap_or_default());
        self.correct(index, len);
        self.serve.push(self.slab.slots, index);
        len
    }

    /// Corrects a reply of a connection's.
    #[inline(never)]
    fn correct(&mut self, index: u32, len: usize) {
        let start = self.reply_at();
        let end = start.saturating_add(len);
        if len > 0
            && let Some(slot) = self.slab.slots.get_mut(place(index))
        {
            let mut sent = slot.sent();
            let packet = self.scratch.get_mut(start..end).unwrap_or_default();
            if let Some(start) = frame::tcp_at(packet) {
                sent.correct(packet.get_mut(start..).unwrap_or_default());
            }
            slot.set_sent(sent);
        }
    }

    /// Reports what a segment changed.
    #[inline(always)]
    fn notice(&mut self, index: u32, (before, after): (Look, Look), reset: bool) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        if slot.phase != Phase::Owned {
            // At once, so that nothing in the same burst makes place of what is complete.
            let open = !matches!(
                after.state,
                State::SynReceived | State::Listen | State::Closed
            );
            if slot.phase == Phase::HalfOpen && open {
                self.establish(index);
            }
            return;
        }
        let mut facts = Facts::READABLE.when(after.received > before.received);
        if slot.flags.has(Flags::SHORT) && slot.has_room() {
            slot.flags.clear(Flags::SHORT);
            facts = facts.union(Facts::WRITABLE);
        }
        if after.state != State::Established || before.state != after.state {
            facts = facts.union(slot.turned(before.state, after.state, reset));
            self.restart(index, before.state, after.state);
        }
        self.report(index, facts);
    }

    /// Sets the limit of an owned connection that a segment has brought to a state. Where an end
    /// waits for its answer, each sign of the peer starts it anew when the connection is served.
    #[inline(never)]
    fn restart(&mut self, index: u32, before: State, after: State) {
        match after {
            State::SynSent | State::SynReceived => {}
            State::TimeWait if before == State::TimeWait => {}
            State::TimeWait => self.limit(index, KEEP),
            _ => self.unlimit(index),
        }
    }

    /// Finds the slot of the connection between two ends; their hash when there is none.
    #[inline]
    pub(crate) fn find(&mut self, local: &SocketAddr, remote: &SocketAddr) -> Result<u32, u32> {
        let hash = self.hash(local, remote);
        let slots = &*self.slab.slots;
        let found = self.table.find(slots, hash, (local, remote));
        found.ok_or(hash)
    }

    /// Returns the demultiplexer's hash of a connection's two ends.
    #[inline]
    pub(crate) fn hash(&self, local: &SocketAddr, remote: &SocketAddr) -> u32 {
        self.secrets.table.hash_pair32(local, remote, 0)
    }
}
