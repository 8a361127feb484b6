//! One end: a connection with its memory, its owner, and what must be true of both.

use std::hash::{Hash, Hasher};

use usockets::{Duration, Instant};
use usockets_smoltcp::tcp::{
    Block, Buffers, Connection, Events, Flags, Outstanding, Segment, Seq, Settings, State, Transmit,
};

use super::packet::{Packet, octet};
use super::rules::Rules;

/// The most octets of a stream.
const STREAM_MAX: usize = 512;

/// What an owner has done and was told, and what has been seen of the connection from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Octets that the connection has taken, and that the owner can still write.
    pub(super) written: u32,
    pub(super) writes: u32,
    /// Octets that the owner has read.
    pub(super) read: u32,
    /// The owner has ended its direction, both, or the connection.
    pub(super) ended: bool,
    pub(super) closed: bool,
    pub(super) aborted: bool,
    /// The last write was cut short, and room has not been reported.
    pub(super) short: bool,
    /// What was reported.
    pub(super) established: bool,
    pub(super) peer_ended: bool,
    pub(super) gone: bool,
    /// How far it has sent, FIN included; how far it has acknowledged; where its window ends.
    pub(super) sent: u32,
    pub(super) acked: u32,
    pub(super) edge: u32,
    /// It has sent a reset.
    pub(super) reset: bool,
    /// What has come within its window, an octet each, FIN included.
    pub(super) came: [u64; STREAM_MAX / 64],
    /// The latest timestamp that has come.
    pub(super) newest: u32,
    /// How often in a row it sent because of a deadline and nothing came; when last, and after how
    /// many milliseconds.
    pub(super) silences: u8,
    pub(super) silent_at: u64,
    pub(super) silent_for: u64,
    /// Up to where a loss that acknowledgements told of is repaired.
    pub(super) repairs_to: u32,
    /// Answers to forged segments.
    pub(super) answers: u8,
    /// A connection has been accepted, or begun.
    pub(super) began: bool,
}

/// What one step made a connection send.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) segments: u32,
    pub(super) octets: u32,
    /// The first octet that was sent again.
    pub(super) again: Option<u32>,
    /// It was something that the peer acknowledges.
    pub(super) counts: bool,
    /// How far the peer had acknowledged before.
    pub(super) before: u32,
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) tcp: Connection,
    pub(super) iss: Seq,
    number: usize,
    send: Vec<u8>,
    receive: Vec<u8>,
    outstanding: Vec<Outstanding>,
    ranges: Vec<Block>,
    pub(super) facts: Facts,
    /// Of the step that is being taken.
    pub(super) step: Sent,
}

impl End {
    pub(super) fn new(number: usize, iss: u32, rules: &Rules) -> Self {
        Self {
            tcp: Connection::CLOSED,
            iss: Seq::new(iss),
            number,
            send: vec![0; rules.send],
            receive: vec![0; rules.receive],
            outstanding: vec![Outstanding::EMPTY; rules.outstanding],
            ranges: vec![Block::EMPTY; rules.ranges],
            facts: Facts {
                written: 0,
                writes: rules.owners[number].writes,
                read: 0,
                ended: false,
                closed: false,
                aborted: false,
                short: false,
                established: false,
                peer_ended: false,
                gone: false,
                sent: 0,
                acked: 0,
                edge: 0,
                reset: false,
                came: [0; STREAM_MAX / 64],
                newest: 0,
                silences: 0,
                silent_at: 0,
                silent_for: 0,
                repairs_to: 0,
                answers: 0,
                began: false,
            },
            step: Sent::default(),
        }
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.tcp = other.tcp;
        self.facts = other.facts;
        self.send.clone_from(&other.send);
        self.receive.clone_from(&other.receive);
        self.outstanding.clone_from(&other.outstanding);
        self.ranges.clone_from(&other.ranges);
    }

    pub(super) fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Buffers<'_>) -> R,
    ) -> R {
        let mut buffers = Buffers {
            send: &mut self.send,
            receive: &mut self.receive,
            outstanding: &mut self.outstanding,
            ranges: &mut self.ranges,
        };
        call(&mut self.tcp, &mut buffers)
    }

    pub(super) fn settings(rules: &Rules) -> Settings {
        Settings::new(88)
            .nagle(rules.nagle)
            .timestamps(rules.timestamps)
            .sack(rules.sack)
            .user_timeout(Duration::from_secs(4_000))
            .handshake_timeout(Duration::from_secs(4_000))
    }

    pub(super) fn connect(&mut self, now: Instant, rules: &Rules) {
        let (iss, settings) = (self.iss, Self::settings(rules));
        self.facts.began = true;
        self.facts.edge = rules.receive as u32;
        self.with(|tcp, buffers| tcp.connect(now, &settings, iss, buffers));
    }

    pub(super) fn accept(&mut self, now: Instant, rules: &Rules, syn: &Segment<'_>) {
        let (iss, settings) = (self.iss, Self::settings(rules));
        self.facts.began = true;
        self.with(|tcp, buffers| tcp.accept(now, &settings, iss, syn, buffers));
    }

    /// Returns how many octets of the peer's stream have come in order.
    pub(super) const fn taken(&self) -> u32 {
        self.facts.read + self.tcp.receive_len()
    }

    /// Returns what of the peer it expects next, FIN included.
    pub(super) const fn next(&self) -> u32 {
        self.taken() + self.facts.peer_ended as u32
    }

    /// Returns how many octets of its stream the peer has acknowledged, while that can be told.
    pub(super) fn acknowledged(&self) -> Option<u32> {
        let known = self.facts.established && self.tcp.state() != State::Closed;
        known.then(|| self.facts.written - self.tcp.send_len())
    }

    /// Returns the octets of text of a full segment.
    pub(super) const fn full(rules: &Rules) -> u32 {
        if rules.timestamps { 76 } else { 88 }
    }

    /// The owner writes.
    pub(super) fn write(&mut self, octets: u32) {
        let (number, written) = (self.number, self.facts.written);
        let text: Vec<u8> = (0..octets)
            .map(|index| octet(number, written + index))
            .collect();
        let taken = self.with(|tcp, buffers| tcp.send(&text, buffers)) as u32;
        self.facts.written += taken;
        self.facts.short = taken < octets;
    }

    /// The owner reads up to so many octets.
    pub(super) fn read(&mut self, octets: u32) -> Result<u32, String> {
        let mut text = [0; STREAM_MAX];
        let (peer, read) = (1 - self.number, self.facts.read);
        let count = self.with(|tcp, buffers| tcp.receive(&mut text[..octets as usize], buffers));
        for (index, byte) in (read..).zip(&text[..count]) {
            if *byte != octet(peer, index) {
                return Err(format!("octet {index} that was read is another"));
            }
        }
        self.facts.read += count as u32;
        Ok(count as u32)
    }

    /// Keeps a quiet connection as such, and scribbles over its memory.
    pub(super) fn rest(&mut self) {
        if let Some(quiet) = self.tcp.quiet() {
            self.tcp = quiet.resume();
            self.send.fill(0xee);
            self.receive.fill(0xee);
        }
    }

    /// Takes note of what a call reported.
    pub(super) fn on_events(&mut self, events: Events, peer: &Facts) -> Result<(), String> {
        let taken = self.taken();
        let facts = &mut self.facts;
        if events.has(Events::ESTABLISHED) {
            if facts.established {
                return Err("a connection opens twice".into());
            }
            facts.established = true;
        }
        if events.has(Events::WRITABLE) {
            facts.short = false;
        }
        if events.has(Events::PEER_FIN) {
            if facts.peer_ended {
                return Err("the peer's FIN is reported twice".into());
            }
            facts.peer_ended = true;
            if !peer.ended || (!facts.closed && taken != peer.written) {
                return Err(format!(
                    "a FIN behind {taken} octets, of {} written",
                    peer.written
                ));
            }
        }
        if events.has(Events::CLOSED) {
            if facts.gone {
                return Err("the end of a connection is reported twice".into());
            }
            facts.gone = true;
        }
        if events.has(Events::DRAINED) && !self.tcp.is_drained() {
            return Err("not everything is acknowledged, but so it is reported".into());
        }
        Ok(())
    }

    /// Takes note of a segment that is sent, and checks it against what the peer has told.
    pub(super) fn on_sent(
        &mut self,
        transmit: &Transmit,
        peer: &Facts,
        (peer_iss, rules): (Seq, &Rules),
    ) -> Result<(), String> {
        self.step.segments += 1;
        if transmit.flags.has(Flags::RST) {
            self.facts.reset = true;
            return Ok(());
        }
        self.check_window(transmit, peer, (peer_iss, rules))?;
        if transmit.flags.has(Flags::SYN) {
            self.step.counts = true;
            return Ok(());
        }
        self.check_text(transmit, peer, rules)
    }

    /// Checks what a segment acknowledges, and the window that it offers.
    fn check_window(
        &mut self,
        transmit: &Transmit,
        peer: &Facts,
        (peer_iss, rules): (Seq, &Rules),
    ) -> Result<(), String> {
        if !transmit.flags.has(Flags::ACK) {
            return Ok(());
        }
        let facts = &mut self.facts;
        let acked = transmit.ack.since(peer_iss.plus(1));
        if acked > peer.sent {
            return Err(format!(
                "{acked} is acknowledged, {} was sent",
                peer.sent as i32
            ));
        }
        if acked < facts.acked {
            return Err("an acknowledgement goes back".into());
        }
        facts.acked = acked;
        let edge = acked + u32::from(transmit.window);
        if edge < facts.edge {
            return Err(format!("the window shrinks from {} to {edge}", facts.edge));
        }
        let step = (rules.receive as u32 / 2).clamp(1, 88);
        if facts.edge > 0 && edge > facts.edge && edge - facts.edge < step && !facts.peer_ended {
            return Err(format!("a window opens by {}", edge - facts.edge));
        }
        facts.edge = edge;
        Ok(())
    }

    /// Checks a segment's text and FIN.
    fn check_text(
        &mut self,
        transmit: &Transmit,
        peer: &Facts,
        rules: &Rules,
    ) -> Result<(), String> {
        let index = transmit.seq.since(self.iss.plus(1));
        let (len, fin) = (transmit.payload_len, transmit.flags.has(Flags::FIN));
        if len == 0 && !fin {
            return Ok(());
        }
        let (number, end) = (self.number, index + len);
        let text = self.with(|tcp, buffers| tcp.payload(transmit, buffers).concat());
        if text.len() as u32 != len {
            return Err("the text of a segment is not in the buffer".into());
        }
        for (index, byte) in (index..).zip(&text) {
            if *byte != octet(number, index) {
                return Err(format!("octet {index} that is sent is another"));
            }
        }
        let facts = &mut self.facts;
        if end > facts.written || (fin && (end != facts.written || !facts.ended)) {
            return Err(format!("{end} is sent, {} was written", facts.written));
        }
        if end > peer.edge && len > 1 {
            return Err(format!(
                "{end} is sent, and the window ends at {}",
                peer.edge
            ));
        }
        self.check_nagle((index, len, fin), rules)?;
        let facts = &mut self.facts;
        if index < facts.sent {
            self.step.again = self.step.again.or(Some(index));
        }
        facts.sent = facts.sent.max(end + u32::from(fin));
        self.step.octets += len;
        self.step.counts = true;
        Ok(())
    }

    /// A small segment waits for what is on its way (RFC 9293, section 3.7.4).
    fn check_nagle(
        &self,
        (index, len, fin): (u32, u32, bool),
        rules: &Rules,
    ) -> Result<(), String> {
        let facts = &self.facts;
        let small = len < Self::full(rules) && !fin && !facts.ended;
        let all = index == facts.sent && index + len == facts.written;
        let waits = self
            .acknowledged()
            .is_some_and(|acknowledged| acknowledged < facts.sent);
        if rules.nagle && small && all && waits {
            return Err("a small segment does not wait for what is on its way".into());
        }
        Ok(())
    }

    /// Notes which octets of a segment that comes must be kept.
    pub(super) fn note_coming(&mut self, packet: &Packet, peer: (Seq, u32)) {
        let newest = self.facts.newest;
        let time = packet.options.timestamps.map_or(0, |stamps| stamps.value);
        if packet.forged || packet.flags.has(Flags::RST) {
            return;
        }
        self.facts.newest = newest.max(time);
        let (peer_iss, capacity) = peer;
        let synchronized = matches!(
            self.tcp.state(),
            State::Established | State::FinWait1 | State::FinWait2
        );
        let acknowledged = self.acknowledged().unwrap_or(0);
        let acked = packet.ack.since(self.iss.plus(1));
        let plausible = acked.saturating_add(capacity) >= acknowledged;
        let told = packet.flags.has(Flags::ACK) && !packet.flags.has(Flags::SYN);
        if !synchronized || self.facts.closed || time < newest || !plausible || !told {
            return;
        }
        let fin = u32::from(packet.flags.has(Flags::FIN));
        let (from, next, edge) = (packet.index(peer_iss), self.taken(), self.facts.edge);
        let to = from + u32::from(packet.len) + fin;
        let within = |index: u32| (next..edge).contains(&index);
        if to == from || !(within(from) || within(to - 1)) {
            return;
        }
        for index in from.max(next)..to.min(edge) {
            self.facts.came[index as usize / 64] |= 1 << (index % 64);
        }
    }

    /// Checks that what has come is kept.
    pub(super) fn check_kept(&self, peer: &Facts) -> Result<(), String> {
        let facts = &self.facts;
        if facts.closed || self.tcp.state() == State::Closed {
            return Ok(());
        }
        let has = |index: u32| facts.came[index as usize / 64] >> (index % 64) & 1 == 1;
        let first = (0..).find(|index| !has(*index)).unwrap_or(0);
        let taken = self.taken();
        if taken < first.min(peer.written) {
            return Err(format!("{first} octets have come, {taken} are there"));
        }
        if peer.ended && first > peer.written && !facts.peer_ended {
            return Err("everything and the FIN have come, but the end is not told".into());
        }
        Ok(())
    }

    /// Checks what can be read.
    pub(super) fn check_received(&mut self) -> Result<(), String> {
        let (peer, read) = (1 - self.number, self.facts.read);
        let held = self.with(|tcp, buffers| tcp.received(buffers).concat());
        for (index, byte) in (read..).zip(&held) {
            if *byte != octet(peer, index) {
                return Err(format!("octet {index} that came is another"));
            }
        }
        Ok(())
    }

    /// Hashes all that tells this end from others.
    pub(super) fn fingerprint(&self, now: u64, irs: Seq, into: &mut impl Hasher) {
        let iss = self.iss;
        let instant = Instant::from_micros(now * 1_000);
        let rings = [&self.send[..], &self.receive];
        let tables = (&self.outstanding[..], &self.ranges[..]);
        self.tcp
            .fingerprint(instant, (iss, irs), rings, tables, into);
        let Facts {
            written,
            writes,
            read,
            ended,
            closed,
            aborted,
            short,
            established,
            peer_ended,
            gone,
            sent,
            acked,
            edge,
            reset,
            came,
            newest,
            silences,
            silent_at,
            silent_for,
            repairs_to,
            answers,
            began,
        } = &self.facts;
        (written, writes, read, sent, acked, edge, repairs_to).hash(into);
        (ended, closed, aborted, short, established).hash(into);
        (peer_ended, gone, reset, answers, began).hash(into);
        came.hash(into);
        (*newest > 0)
            .then(|| (now as u32).wrapping_sub(*newest))
            .hash(into);
        let silent = (silences, now - silent_at, silent_for);
        (*silences > 0).then_some(silent).hash(into);
    }
}
