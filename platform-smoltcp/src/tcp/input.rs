//! What a segment does to a connection: the checks of RFC 9293, section 3.10.7, in their order.

use usockets::Instant;

use super::congestion::Congestion;
use super::connection::{Broken, Clock, Connection, Marks, SHIFT_MAX, State};
use super::injected_bug::injected_bug;
use super::memory::{Buffers, capacity};
use super::path::MSS_MIN;
use super::reassembly::Taken;
use super::segment::{Block, Events, Flags, Options, Segment};
use super::seq::Seq;
use super::settings::Settings;
use super::timers::{Main, millis, seconds};
use crate::number::{count, low16, place};

/// Challenge acknowledgements a second and connection (RFC 5961, section 7).
pub(super) const CHALLENGES_MAX: u8 = 10;
/// Flags that few segments have.
const SPECIAL: Flags = Flags::RST.with(Flags::SYN).with(super::ecn::SIGNS);
/// After how many units of 256 seconds TS.Recent is outdated: 24 days (RFC 7323, section 5.5).
const RECENT_LIFE: u16 = 8_100;

impl Clock {
    /// Returns our clock for timestamps: milliseconds (RFC 7323, section 5.4).
    pub(super) fn value(&self, now: u64) -> u32 {
        millis(now).wrapping_add(self.offset)
    }
}

impl Connection {
    /// Opens passively: answers a SYN that met a listener
    /// ([`Listen::Open`](super::Listen::Open)) and goes to SYN-RECEIVED. Whatever the block held
    /// before is forgotten.
    ///
    /// A connection in SYN-RECEIVED that ends in CLOSED is none that anybody needs to hear of.
    pub fn accept(
        &mut self,
        now: Instant,
        settings: &Settings,
        iss: Seq,
        syn: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) {
        *self = Self::fresh(now.as_micros(), settings, iss, buffers);
        self.marks.set(Marks::PASSIVE | Marks::SYN_DUE);
        self.marks.assign(Marks::ECN, settings.accepts_ecn());
        self.state = State::SynReceived;
        self.send.nxt = iss.plus(1);
        self.learn_syn(now.as_micros(), syn);
    }

    /// Takes note of the peer's SYN.
    fn learn_syn(&mut self, now: u64, syn: &Segment<'_>) {
        self.receive.start(syn.seq);
        self.learn_options(now, &syn.options);
        self.send.set_syn_window(syn.window);
        self.send.wl1 = syn.seq;
        self.learn_ecn(syn.flags);
    }

    /// Agrees on options: what both sides offer is used.
    fn learn_options(&mut self, now: u64, options: &Options) {
        let mss = options.mss.unwrap_or(self.mss_default).max(MSS_MIN);
        self.send.mss = self.send.mss.min(mss);
        match options.window_scale {
            Some(shift) if self.marks.has(Marks::SCALING) => self.send.shift = shift.min(SHIFT_MAX),
            _ => {
                self.marks.clear(Marks::SCALING);
                self.receive.shift = 0;
            }
        }
        if !options.sack_permitted {
            self.marks.clear(Marks::SACK);
        }
        match options.timestamps {
            Some(timestamps) => {
                self.clock.recent = timestamps.value;
                self.clock.recent_at = age_unit(now);
            }
            None => self.marks.clear(Marks::TIMESTAMPS),
        }
    }

    /// Takes a segment of this connection, whose checksum is right. Returns what it made true.
    pub fn on_segment(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        let now = now.as_micros();
        self.timers.note_now(now);
        match self.state {
            State::Closed => Events::ANSWER_RESET,
            State::SynSent => self.on_syn_sent(now, segment, buffers),
            State::TimeWait => {
                if self.is_old_timestamp(now, segment) {
                    self.challenge(now);
                    return Events::NONE;
                }
                self.on_time_wait(now, segment)
            }
            _ => self.on_synchronized(now, segment, buffers),
        }
    }

    /// SYN-SENT (RFC 9293, section 3.10.7.3).
    fn on_syn_sent(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        let flags = segment.flags;
        let acked = flags.has(Flags::ACK);
        if acked && segment.ack != self.send.nxt {
            return Events::ANSWER_RESET;
        }
        if flags.has(Flags::RST) {
            if !acked {
                return Events::NONE;
            }
            self.finish(Broken::Refused);
            return Events::CLOSED;
        }
        if !flags.has(Flags::SYN) {
            return Events::NONE;
        }
        self.learn_syn(now, segment);
        self.timers.on_heard(millis(now));
        if !acked {
            // Simultaneous open (RFC 9293, section 3.5, figure 7).
            self.state = State::SynReceived;
            self.marks.set(Marks::SYN_DUE);
            return Events::NONE;
        }
        let mut events = Events::NONE;
        self.establish(now, buffers, &mut events);
        self.marks.set(Marks::ACK_DUE);
        let text = Segment {
            seq: segment.seq.plus(1),
            ..*segment
        };
        self.on_text(now, &text, buffers, &mut events);
        events
    }

    /// The handshake is complete.
    pub(super) fn establish(&mut self, now: u64, buffers: &mut Buffers<'_>, events: &mut Events) {
        let again = self.marks.has(Marks::SYN_AGAIN);
        if again {
            self.rtt.restart_after_syn_loss();
        } else if self.timers.main == Main::Retransmit {
            let timeout = self.rtt.timeout();
            let since = self.timers.since_start(now, timeout);
            self.rtt.measure(since, now);
        }
        if self.marks.has(Marks::SYN_DUE) {
            // Too late for it; a peer that opened at the same time waits for an acknowledgement.
            self.marks.clear(Marks::SYN_DUE);
            self.marks.set(Marks::ACK_DUE);
        }
        self.send.una = self.send.nxt;
        self.recovery.point = self.send.una.minus(1);
        self.rack.forward = self.send.una;
        self.congestion = Congestion::new(self.segment_len(), again);
        self.timers.stop();
        self.timers.start_keepalive(now);
        self.timers.progress_ms = millis(now);
        self.state = if self.marks.has(Marks::FIN_WANTED) {
            State::FinWait1
        } else {
            State::Established
        };
        self.receive.advertise(capacity(buffers.receive), false);
        events.add(Events::ESTABLISHED);
        if self.marks.has(Marks::SEND_SHORT) && self.send.queued < capacity(buffers.send) {
            self.marks.clear(Marks::SEND_SHORT);
            events.add(Events::WRITABLE);
        }
    }

    /// All other states (RFC 9293, section 3.10.7.4).
    #[inline]
    fn on_synchronized(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        if self.state == State::SynReceived && segment.flags.has(Flags::SYN) {
            return self.on_syn_again(now, segment, buffers);
        }
        self.on_checked(now, segment, buffers)
    }

    /// Takes a segment with SYN in SYN-RECEIVED.
    #[cold]
    fn on_syn_again(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        if segment.seq != self.receive.nxt.minus(1) {
            self.challenge(now);
            return Events::NONE;
        }
        self.learn_ecn(segment.flags);
        if !segment.flags.has(Flags::ACK) {
            // The peer has not heard our answer.
            self.marks.set(Marks::SYN_DUE);
            return Events::NONE;
        }
        // The answer to a simultaneous open: its SYN is known.
        let stripped = Segment {
            seq: segment.seq.plus(1),
            flags: segment.flags.without(Flags::SYN),
            ..*segment
        };
        self.on_checked(now, &stripped, buffers)
    }

    /// Goes through the checks in their order.
    #[inline]
    fn on_checked(&mut self, now: u64, segment: &Segment<'_>, buffers: &mut Buffers<'_>) -> Events {
        let flags = segment.flags;
        let mut events = Events::NONE;
        if self.refuses(now, segment) {
            return events;
        }
        // Mostly there is none of them.
        let special = flags.has_any(SPECIAL);
        if special {
            if flags.has(Flags::RST) {
                return self.on_reset(now, segment);
            }
            if flags.has(Flags::SYN) {
                // RFC 5961, section 4.2, whatever the sequence number is.
                self.challenge(now);
                return events;
            }
        }
        if !flags.has(Flags::ACK) {
            return events;
        }
        let opening = self.state == State::SynReceived;
        if opening && segment.ack != self.send.nxt {
            return Events::ANSWER_RESET;
        }
        if !opening && !self.is_plausible(now, segment) {
            // Its timestamp counts for nothing either: a forged one would make the peer's look old.
            return events;
        }
        self.note_timestamp(now, segment);
        self.timers.on_heard(millis(now));
        if special {
            self.on_congestion(segment);
        }
        if opening {
            self.establish(now, buffers, &mut events);
            self.update_window(now, segment);
        } else {
            self.on_ack(now, segment, buffers, &mut events);
            self.on_fin_acknowledged(now, &mut events);
        }
        let old = injected_bug!(OldAckDropsText) && segment.ack.is_before(self.send.una);
        if !segment.is_empty() && self.state != State::Closed && !old {
            self.on_text(now, segment, buffers, &mut events);
        }
        events
    }

    /// Returns true for a segment that is not of this window, and answers it (first check).
    fn refuses(&mut self, now: u64, segment: &Segment<'_>) -> bool {
        let reset = segment.flags.has(Flags::RST);
        if self.marks.has(Marks::TIMESTAMPS) && !reset {
            if segment.options.timestamps.is_none() {
                // RFC 7323, section 3.2: dropped in silence.
                return true;
            }
            if self.is_old_timestamp(now, segment) {
                self.challenge(now);
                return true;
            }
        }
        if self.receive.is_acceptable(segment.seq, segment.len()) {
            return false;
        }
        if reset {
            return true;
        }
        if segment.is_empty() && segment.seq == self.receive.edge {
            // Its text has filled the window, and was lost or dropped for want of memory. What it
            // acknowledges counts all the same, or what is sent to it would seem to be lost until
            // that text comes again. RFC 9293, section 3.10.7.4, stops an octet before.
            return false;
        }
        let (seq, nxt) = (segment.seq, self.receive.nxt);
        if seq == nxt && !segment.flags.has(Flags::SYN) {
            // No room for its text, as for a window probe; its acknowledgement counts (RFC 9293,
            // section 3.10.7.4: special allowance).
            self.marks.set(Marks::ACK_DUE);
            return false;
        }
        if seq.is_before(nxt) && !segment.payload.is_empty() {
            // Received before: the acknowledgement of it was lost, so it goes again, and reports
            // the duplicate (RFC 2883).
            let end = seq.plus(count(segment.payload.len())).earlier(nxt);
            if end.is_after(seq) {
                self.receive.note_duplicate(Block::new(seq, end));
            }
            self.marks.set(Marks::ACK_DUE);
            return true;
        }
        self.challenge(now);
        // A peer whose window probe has been taken does not count its octet before it has heard so,
        // and keep-alive probes look the same. What they acknowledge counts, or two ends that
        // probe each other would never agree.
        !(segment.is_empty() && seq == nxt.minus(1))
    }

    /// A reset whose sequence number is in the window (RFC 5961, section 3.2).
    fn on_reset(&mut self, now: u64, segment: &Segment<'_>) -> Events {
        if segment.seq != self.receive.nxt && !injected_bug!(BlindReset) {
            self.challenge(now);
            return Events::NONE;
        }
        let broken = match self.state {
            State::SynReceived => Broken::Refused,
            // As systems tell it of a peer that has ended and is still sent to.
            State::CloseWait if !self.marks.has(Marks::FIN_WANTED) => Broken::AfterEnd,
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait => {
                Broken::Reset
            }
            // Nothing is lost any more unless something of ours was not acknowledged.
            _ if self.send.queued > 0 => Broken::Reset,
            _ => Broken::Not,
        };
        self.finish(broken);
        Events::CLOSED
    }

    /// Returns true if a segment's acknowledgement can be one of ours (RFC 5961, section 5.2), and
    /// answers it if not.
    fn is_plausible(&mut self, now: u64, segment: &Segment<'_>) -> bool {
        let probe = u32::from(self.marks.has(Marks::WINDOW_PROBE_OUT));
        let ack = segment.ack;
        let ahead = ack.is_after(self.send.nxt.plus(probe)) && !injected_bug!(OptimisticAck);
        let oldest = self.send.una.minus(self.send.wnd_max());
        if !ahead && !ack.is_before(oldest) {
            return true;
        }
        self.challenge(now);
        false
    }

    /// Lets an acknowledgement go as an answer to what may be forged, a few times a second (RFC
    /// 5961, section 7).
    pub(super) fn challenge(&mut self, now: u64) {
        let [second, ..] = seconds(now).to_le_bytes();
        if self.challenge_second != second {
            (self.challenge_second, self.challenges) = (second, 0);
        }
        if self.challenges < CHALLENGES_MAX || injected_bug!(ChallengeStorm) {
            self.challenges = self.challenges.saturating_add(1);
            self.marks.set(Marks::ACK_DUE);
        }
    }

    /// Returns true if TS.Recent is too old to compare with (RFC 7323, section 5.5).
    pub(super) fn is_recent_outdated(&self, now: u64) -> bool {
        age_unit(now).wrapping_sub(self.clock.recent_at) > RECENT_LIFE
    }

    /// Returns true if a segment is old by its timestamp (PAWS, RFC 7323, section 5.3).
    fn is_old_timestamp(&self, now: u64, segment: &Segment<'_>) -> bool {
        let Some(timestamps) = segment.options.timestamps else {
            return false;
        };
        self.marks.has(Marks::TIMESTAMPS)
            && !segment.flags.has(Flags::RST)
            && !segment.flags.has(Flags::SYN)
            && self.clock.recent.wrapping_sub(timestamps.value) <= i32::MAX.cast_unsigned()
            && self.clock.recent != timestamps.value
            && !self.is_recent_outdated(now)
            && !injected_bug!(NoPaws)
    }

    /// Updates TS.Recent (RFC 7323, section 4.3).
    fn note_timestamp(&mut self, now: u64, segment: &Segment<'_>) {
        if let Some(timestamps) = segment.options.timestamps
            && self.marks.has(Marks::TIMESTAMPS)
            && !segment.seq.is_after(self.receive.acked)
        {
            self.clock.recent = timestamps.value;
            self.clock.recent_at = age_unit(now);
        }
    }

    /// Takes text and FIN (seventh and eighth check).
    fn on_text(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
        events: &mut Events,
    ) {
        if !matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        ) {
            // The peer's FIN has come before: nothing can follow it but itself.
            self.marks.set(Marks::ACK_DUE);
            return;
        }
        let (nxt, edge) = (self.receive.nxt, self.receive.edge);
        let fin_at = segment.seq.plus(count(segment.payload.len()));
        let forgotten = injected_bug!(LostFin) && segment.seq.is_after(nxt);
        let fin = segment.flags.has(Flags::FIN) && !forgotten;
        if fin && !fin_at.is_before(nxt) && !fin_at.is_after(edge) {
            self.receive.fin = fin_at;
            self.marks.set(Marks::PEER_FIN_KNOWN);
            self.marks.set(Marks::ACK_DUE);
        }
        let (seq, mut text) = (segment.seq.later(nxt), segment.payload);
        if segment.seq.is_before(nxt) {
            let end = fin_at.earlier(nxt);
            self.receive.note_duplicate(Block::new(segment.seq, end));
            text = text
                .get(place(nxt.since(segment.seq))..)
                .unwrap_or_default();
            self.marks.set(Marks::ACK_DUE);
        }
        let room = if edge.is_after(seq) {
            edge.since(seq)
        } else {
            0
        };
        text = text.get(..place(room)).unwrap_or(text);
        if !text.is_empty() {
            self.take_text(now, seq, text, buffers, events);
        }
        if self.marks.has(Marks::PEER_FIN_KNOWN)
            && self.receive.nxt == self.receive.fin
            && self.state != State::Closed
        {
            self.on_peer_fin(now, events);
        }
    }

    /// Takes text that is new and within the window.
    fn take_text(
        &mut self,
        now: u64,
        seq: Seq,
        text: &[u8],
        buffers: &mut Buffers<'_>,
        events: &mut Events,
    ) {
        if self.marks.has(Marks::RECEIVE_CLOSED) {
            if seq == self.receive.nxt {
                self.receive.discard(count(text.len()));
            }
            self.marks.set(Marks::ACK_DUE);
            if self.is_drained() {
                // Everything of ours has arrived; that this has not been received is told.
                self.finish(Broken::Not);
                self.marks.set(Marks::RESET_DUE);
                events.add(Events::CLOSED);
            }
            return;
        }
        match self.receive.take(seq, text, buffers) {
            Taken::Advanced(_) => {
                if self.receive.is_second_full(text.len()) {
                    self.marks.set(Marks::ACK_DUE);
                } else {
                    self.timers.delay_ack(now);
                }
                events.add(Events::READABLE);
            }
            Taken::Filled(_) => {
                self.marks.set(Marks::ACK_DUE);
                events.add(Events::READABLE);
            }
            Taken::OutOfOrder => self.marks.set(Marks::ACK_DUE),
        }
    }

    /// Everything up to the peer's FIN has come (eighth check).
    fn on_peer_fin(&mut self, now: u64, events: &mut Events) {
        // Nothing can follow it.
        self.receive.discard(1);
        self.receive.edge = self.receive.edge.later(self.receive.nxt);
        self.marks.set(Marks::ACK_DUE);
        events.add(Events::PEER_FIN);
        match self.state {
            State::Established => self.state = State::CloseWait,
            // Had our FIN been acknowledged, it would be FIN-WAIT-2 by now.
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(now),
            _ => {}
        }
    }
}

/// Returns the clock in units of 256 seconds, wrapping after half a year.
pub(super) fn age_unit(now: u64) -> u16 {
    low16(u64::from(seconds(now)) >> 8)
}
