//! Which segment goes next: retransmissions, new text, probes, acknowledgements.

use core::num::NonZeroU16;

use usockets::Instant;

use super::connection::{Connection, Marks, State};
use super::injected_bug::injected_bug;
use super::memory::{Buffers, capacity};
use super::outstanding::Outstanding;
use super::segment::{Flags, Options, SACK_BLOCKS_MAX, Timestamps, Transmit};
use super::seq::Seq;
use super::timers::{Main, micros32, millis};
use crate::number::low16;

/// Most octets of one segment that the device cuts to size: what fits in an IPv4 packet and in an
/// entry of the table of outstanding segments.
const LARGE_MAX: u32 = 65_000;

impl Connection {
    /// Returns the next segment to send, or `None` when there is none now. What it returns counts
    /// as sent, so call it only while the device has room.
    ///
    /// `segment_max` is the most octets of payload in one segment that the device cuts to size
    /// itself (TSO); 0 if it does not.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        segment_max: u32,
        buffers: &mut Buffers<'_>,
    ) -> Option<Transmit> {
        let now = now.as_micros();
        self.timers.note_now(now);
        if self.state == State::Closed {
            return self.transmit_reset();
        }
        if !self.may_transmit() {
            return None;
        }
        if self.state.is_opening() {
            if self.marks.has(Marks::SYN_DUE) {
                return Some(self.transmit_syn(now, buffers));
            }
            return self.transmit_ack(now, buffers);
        }
        if self.marks.has(Marks::ACK_DUE) && self.receive.has_sack() {
            // Full segments have no room for blocks.
            return self.transmit_ack(now, buffers);
        }
        let text = self
            .transmit_again(now, buffers)
            .or_else(|| self.transmit_tail_probe(now, segment_max, buffers))
            .or_else(|| self.transmit_new(now, segment_max, buffers))
            .or_else(|| self.transmit_window_probe(now, buffers));
        text.or_else(|| self.transmit_keepalive(now, buffers))
            .or_else(|| self.transmit_ack(now, buffers))
    }

    /// Returns true if [`Self::poll_transmit`] may have something to send, so that it is worth
    /// finding the way to the peer. False only if it has nothing.
    #[must_use]
    #[inline]
    pub fn may_transmit(&self) -> bool {
        let fin = self.marks.has(Marks::FIN_WANTED) && !self.marks.has(Marks::FIN_SENT);
        self.marks.has(Marks::DUE) || self.board.lost > 0 || fin || self.unsent() > 0
    }

    /// Makes a segment with `len` octets of text: acknowledges, tells the window and the time.
    pub(super) fn segment(
        &mut self,
        now: u64,
        (seq, len): (Seq, u32),
        flags: Flags,
        buffers: &Buffers<'_>,
    ) -> Transmit {
        let window = self.receive.advertise(capacity(buffers.receive), false);
        self.receive.acked = self.receive.nxt;
        self.timers.on_ack_sent();
        self.marks.clear(Marks::ACK_DUE);
        let flags = if self.marks.has(Marks::ECN) {
            self.sign(flags, (seq, len))
        } else {
            flags
        };
        Transmit {
            seq,
            ack: self.receive.nxt,
            window,
            flags,
            options: Options {
                timestamps: self.timestamps(now),
                ..Options::NONE
            },
            payload_len: len,
            segment_size: None,
        }
    }

    fn timestamps(&self, now: u64) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| Timestamps {
            value: self.clock.value(now),
            echo: self.clock.recent,
        })
    }

    /// Sends the reset of a connection that is CLOSED already.
    pub(super) fn transmit_reset(&mut self) -> Option<Transmit> {
        if !self.marks.has(Marks::RESET_DUE) {
            return None;
        }
        self.marks.clear(Marks::RESET_DUE);
        Some(Transmit {
            seq: self.send.nxt,
            ack: self.receive.nxt,
            flags: Flags::RST | Flags::ACK,
            ..Transmit::default()
        })
    }

    /// Sends our SYN, or SYN and ACK.
    fn transmit_syn(&mut self, now: u64, buffers: &Buffers<'_>) -> Transmit {
        self.marks.clear(Marks::SYN_DUE | Marks::ACK_DUE);
        self.timers.on_ack_sent();
        let answer = self.state == State::SynReceived;
        if self.timers.main == Main::Stopped {
            self.start_retransmit(now);
        }
        let flags = if answer {
            self.receive.acked = self.receive.nxt;
            Flags::SYN | Flags::ACK
        } else {
            Flags::SYN
        };
        let flags = self.sign_syn(flags);
        let window = if answer {
            self.receive.advertise(capacity(buffers.receive), true)
        } else {
            u16::try_from(capacity(buffers.receive)).unwrap_or(u16::MAX)
        };
        Transmit {
            seq: self.send.una,
            ack: if answer {
                self.receive.nxt
            } else {
                Seq::new(0)
            },
            window,
            flags,
            options: Options {
                mss: Some(self.receive.mss),
                window_scale: self.marks.has(Marks::SCALING).then_some(self.receive.shift),
                sack_permitted: self.marks.has(Marks::SACK),
                timestamps: self.timestamps(now),
                ..Options::NONE
            },
            payload_len: 0,
            segment_size: None,
        }
    }

    /// Sends a keep-alive probe, if one is due.
    #[inline]
    pub(super) fn transmit_keepalive(
        &mut self,
        now: u64,
        buffers: &Buffers<'_>,
    ) -> Option<Transmit> {
        if !self.marks.has(Marks::KEEPALIVE_DUE) {
            return None;
        }
        self.marks.clear(Marks::KEEPALIVE_DUE);
        Some(self.segment(now, (self.send.nxt.minus(1), 0), Flags::ACK, buffers))
    }

    /// Sends an acknowledgement, if one is due.
    #[inline]
    pub(super) fn transmit_ack(&mut self, now: u64, buffers: &Buffers<'_>) -> Option<Transmit> {
        if !self.marks.has(Marks::ACK_DUE) {
            return None;
        }
        let mut ack = self.segment(now, (self.send.nxt, 0), Flags::ACK, buffers);
        if self.marks.has(Marks::SACK) && self.receive.has_sack() {
            // With timestamps there is room for one block less (RFC 2018, section 3).
            let fewer = usize::from(ack.options.timestamps.is_some());
            let most = SACK_BLOCKS_MAX.saturating_sub(fewer);
            ack.options.sack = self.receive.sack_blocks(most, buffers.ranges);
        } else {
            self.receive.forget_duplicate();
        }
        Some(ack)
    }

    /// Sends again what is lost.
    fn transmit_again(&mut self, now: u64, buffers: &mut Buffers<'_>) -> Option<Transmit> {
        let forced = self.marks.has(Marks::FIRST_AGAIN);
        if !forced && (self.board.lost == 0 || self.awaits_forward_answer()) {
            return None;
        }
        self.marks.clear(Marks::FIRST_AGAIN);
        let index = if forced {
            0
        } else {
            self.board.first_lost(buffers.outstanding)?
        };
        let most = self.segment_len();
        let entry = *self.board.get(buffers.outstanding, index)?;
        let end = entry.seq.plus(u32::from(entry.len).min(most));
        let edge = self.send.una.plus(self.send.wnd());
        if !forced {
            let room = self.congestion.window.saturating_sub(self.pipe());
            // FIN is let through a window that is full.
            if room < end.since(entry.seq) || end.is_after(edge.plus(1)) || self.is_held_back(now) {
                return None;
            }
        }
        let text = u32::from(entry.len).saturating_sub(u32::from(entry.has_any(Outstanding::FIN)));
        let cannot_cut = text > most && !self.board.split(buffers.outstanding, index, end);
        if cannot_cut && !forced {
            // The table is full; room comes with the next acknowledgements.
            return None;
        }
        self.send_entry(now, index, most, buffers)
    }

    /// Sends the first `most` octets of entry `index` again.
    fn send_entry(
        &mut self,
        now: u64,
        index: u32,
        most: u32,
        buffers: &mut Buffers<'_>,
    ) -> Option<Transmit> {
        let entry = *self.board.get(buffers.outstanding, index)?;
        let fin = entry.has_any(Outstanding::FIN);
        let text = u32::from(entry.len).saturating_sub(u32::from(fin));
        let len = text.min(most);
        self.board
            .mark_sent(buffers.outstanding, index, micros32(now));
        self.count_paced(now, len, false);
        self.recovery.on_sent(u32::from(entry.len));
        #[cfg(feature = "connections")]
        {
            self.retransmissions = self.retransmissions.wrapping_add(1);
        }
        if self.resent_unreported == 0 {
            self.clock.again_at = low16(u64::from(self.clock.value(now)));
        }
        self.resent_unreported = self.resent_unreported.saturating_add(1);
        let restart = index == 0 && !self.is_impatient();
        if restart || self.timers.main == Main::Stopped {
            self.start_retransmit(now);
        }
        let mut flags = Flags::ACK;
        if len > 0 {
            flags = flags | Flags::PSH;
        }
        if fin && len == text {
            flags = flags | Flags::FIN;
        }
        Some(self.segment(now, (entry.seq, len), flags, buffers))
    }

    /// Sends a tail loss probe: something new if there is, or else the last segment again (RFC
    /// 8985, section 7.3).
    fn transmit_tail_probe(
        &mut self,
        now: u64,
        segment_max: u32,
        buffers: &mut Buffers<'_>,
    ) -> Option<Transmit> {
        if !self.marks.has(Marks::TAIL_PROBE_DUE) {
            return None;
        }
        self.marks.clear(Marks::TAIL_PROBE_DUE);
        self.release_pace();
        let index = self.board.last()?;
        let window = self.congestion.window;
        // One segment more than the window lets go.
        self.congestion.window = self.pipe().saturating_add(self.segment_len());
        let new = self.transmit_new(now, segment_max.min(1), buffers);
        self.congestion.window = window;
        self.marks.assign(Marks::TAIL_PROBE_AGAIN, new.is_none());
        self.marks.set(Marks::TAIL_PROBE_OUT);
        let probe = new.or_else(|| self.repeat_last(now, index, buffers));
        self.probe_end = self.send.nxt;
        self.start_retransmit(now);
        probe
    }

    /// Sends the last segment again, or as much of its end as fits in one.
    fn repeat_last(&mut self, now: u64, index: u32, buffers: &mut Buffers<'_>) -> Option<Transmit> {
        let most = self.segment_len();
        let entry = *self.board.get(buffers.outstanding, index)?;
        if u32::from(entry.len) > most {
            let at = entry.end().minus(most);
            if self.board.split(buffers.outstanding, index, at) {
                return self.send_entry(now, index.saturating_add(1), most, buffers);
            }
        }
        self.send_entry(now, index, most, buffers)
    }

    /// Returns how many octets the peer's window still takes.
    pub(super) fn usable(&self) -> u32 {
        let edge = self.send.una.plus(self.send.wnd());
        if edge.is_after(self.send.nxt) {
            edge.since(self.send.nxt)
        } else {
            0
        }
    }

    /// Sends what has not been sent, as far as windows and Nagle's algorithm let it go.
    pub(super) fn transmit_new(
        &mut self,
        now: u64,
        segment_max: u32,
        buffers: &mut Buffers<'_>,
    ) -> Option<Transmit> {
        let unsent = self.unsent();
        let fin = self.marks.has(Marks::FIN_WANTED) && !self.marks.has(Marks::FIN_SENT);
        if (unsent == 0 && !fin) || !self.board.has_room(buffers.outstanding) {
            return None;
        }
        let mss = self.segment_len();
        let flight = self.flight();
        if flight == 0 {
            self.restart_after_idle(now, mss);
        }
        let usable = self.usable();
        let most = unsent.min(usable);
        let room = self.congestion.window.saturating_sub(self.pipe());
        if room < most.min(mss) && flight > 0 {
            self.marks.set(Marks::WINDOW_USED);
            return None;
        }
        let len = if most > mss {
            if cfg!(feature = "plpmtud") && self.send.probe_max > 0 {
                let probe = self.transmit_path_probe(now, (most, room), buffers);
                if probe.is_some() {
                    return probe;
                }
            }
            let large = self.cut_to_pace(segment_max.min(LARGE_MAX).min(room), mss);
            // A device that cuts repeats the flags, and CWR goes once.
            if large >= mss.saturating_mul(2) && !self.marks.has(Marks::CWR_DUE) {
                whole_segments(most.min(large), mss)
            } else {
                mss
            }
        } else {
            most
        };
        if !self.may_send(len, unsent, mss, fin) {
            if flight == 0 && self.timers.main == Main::Stopped && !injected_bug!(NoWindowProbe) {
                // From now on the peer owes an answer, however long it was silent before.
                self.timers.progress_ms = millis(now);
                self.start_persist(now);
            }
            return None;
        }
        if len > 0 && self.is_held_back(now) {
            return None;
        }
        Some(self.send_new(now, len, buffers))
    }

    /// Returns true if a segment of `len` octets is worth sending (RFC 9293, section 3.8.6.2.1:
    /// sender's silly window avoidance; section 3.7.4: Nagle's algorithm).
    fn may_send(&self, len: u32, unsent: u32, mss: u32, fin: bool) -> bool {
        if len == unsent {
            let idle = self.flight() == 0;
            let waits = self.marks.has(Marks::NAGLE) && !injected_bug!(NoNagle);
            return fin || idle || len >= mss || !waits;
        }
        len >= mss || (len > 0 && len >= self.send.wnd_max() >> 1)
    }

    /// Makes the window no larger than at the start after an RTO without anything on its way
    /// (RFC 5681, section 4.1), counted from the acknowledgement of the last of it.
    fn restart_after_idle(&mut self, now: u64, mss: u32) {
        let idle = millis(now).wrapping_sub(self.timers.progress_ms);
        let long = idle > self.rtt.timeout().checked_div(1_000).unwrap_or(0);
        if long && !self.algorithm.is_model() {
            self.congestion.on_idle(mss);
        }
    }

    /// Sends the next `len` octets, and FIN if it is wanted and they are the last.
    pub(super) fn send_new(&mut self, now: u64, len: u32, buffers: &mut Buffers<'_>) -> Transmit {
        let last = len == self.unsent();
        let fin = last && self.marks.has(Marks::FIN_WANTED);
        let octets = len.saturating_add(u32::from(fin));
        let first = self.flight() == 0;
        let entry = Outstanding {
            seq: self.send.nxt,
            sent_at: micros32(now),
            len: u16::try_from(octets).unwrap_or(u16::MAX),
            marks: if fin { Outstanding::FIN } else { 0 },
            transmissions: 1,
        };
        let mut flags = Flags::ACK;
        if last && len > 0 {
            flags = flags | Flags::PSH;
        }
        if fin {
            flags = flags | Flags::FIN;
            self.marks.set(Marks::FIN_SENT);
            if self.state == State::CloseWait {
                self.state = State::LastAck;
            }
        }
        let mut new = self.segment(now, (self.send.nxt, len), flags, buffers);
        let mss = self.segment_len();
        if len > mss {
            new.segment_size = u16::try_from(mss).ok().and_then(NonZeroU16::new);
        }
        self.board.push(buffers.outstanding, entry);
        self.send.nxt = self.send.nxt.plus(octets);
        self.marks.clear(Marks::WINDOW_PROBE_OUT);
        self.count_paced(now, len, first);
        self.recovery.on_sent(octets);
        if first {
            self.timers.progress_ms = millis(now);
        }
        match self.timers.main {
            Main::Stopped | Main::Persist => self.start_probe_or_retransmit(now),
            // RFC 8985, section 7.2: each new segment puts the probe off.
            Main::TailProbe => self.put_off_probe(now, buffers),
            Main::Retransmit if self.phase.is_open() && self.rtt.backoff == 0 => {
                self.put_off_probe(now, buffers);
            }
            Main::Retransmit | Main::Reorder => {}
        }
        new
    }

    /// Sends into a window that is closed, or too small (RFC 9293, section 3.8.6.1).
    fn transmit_window_probe(&mut self, now: u64, buffers: &mut Buffers<'_>) -> Option<Transmit> {
        if !self.marks.has(Marks::WINDOW_PROBE_DUE) {
            return None;
        }
        self.marks.clear(Marks::WINDOW_PROBE_DUE);
        let unsent = self.unsent();
        if unsent == 0 || self.flight() > 0 {
            return None;
        }
        let usable = self.usable();
        if usable > 0 {
            // The override of the silly window rule.
            let len = unsent.min(usable).min(self.segment_len());
            return Some(self.send_new(now, len, buffers));
        }
        self.marks.set(Marks::WINDOW_PROBE_OUT);
        let mut probe = self.segment(now, (self.send.nxt, 0), Flags::ACK | Flags::PSH, buffers);
        // Not told as text before: a probe is not ECT (RFC 3168, section 6.1.6).
        probe.payload_len = 1;
        Some(probe)
    }
}

/// Returns the largest multiple of `mss` that is not above `len`.
fn whole_segments(len: u32, mss: u32) -> u32 {
    len.saturating_sub(len.checked_rem(mss).unwrap_or(0))
}
