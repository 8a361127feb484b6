//! What an acknowledgement says: what has arrived, how long it took, what is lost.

#[cfg(feature = "bbr")]
use super::congestion::Delivered;
use super::connection::{Broken, Connection, Marks, State};
use super::injected_bug::injected_bug;
use super::loss::rack::DUPLICATES;
use super::loss::recovery::Phase;
use super::memory::{Buffers, advance, capacity};
use super::outstanding::Outstanding;
use super::segment::{Block, Events, Flags, Segment};
use super::seq::Seq;
use super::timers::{Main, micros32, millis};
use crate::number::low16;

/// Half of what the 16 bits of `Clock::again_at` can tell, in milliseconds.
const AGAIN_MAX: u16 = u16::MAX >> 1;

/// What one acknowledgement has told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Octets acknowledged cumulatively.
    acked: u32,
    /// Octets that are now known to have arrived, cumulatively or selectively.
    delivered: u32,
    /// When the segment was sent by which the round trip is measured: the last that is newly
    /// acknowledged cumulatively, `None` if it was sent again; where none is, the last of those
    /// newly acknowledged selectively that were sent once.
    sent_at: Option<u32>,
    /// What was on its way before.
    flight: u32,
    /// It is a duplicate (RFC 5681, section 2).
    duplicate: bool,
    /// It reports a duplicate of a segment of ours (RFC 2883).
    repeated: bool,
    /// With it, all that was sent again in this repair has been reported as a duplicate.
    needless: bool,
    /// It is the answer to what was sent first, not to what was sent again (RFC 3522).
    original: bool,
}

impl Connection {
    /// Takes the acknowledgement of a segment, which is not ahead of what was sent.
    pub(super) fn on_ack(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
        events: &mut Events,
    ) {
        let ack = segment.ack;
        if self.marks.has(Marks::WINDOW_PROBE_OUT) && ack == self.send.nxt.plus(1) {
            // The probe's octet was taken after all.
            self.send.nxt = ack;
            self.marks.clear(Marks::WINDOW_PROBE_OUT);
        }
        let mut told = Told {
            flight: self.flight(),
            duplicate: self.is_duplicate(segment),
            ..Told::default()
        };
        if self.marks.has(Marks::SACK) && !segment.options.sack.as_slice().is_empty() {
            self.take_sack(now, segment, buffers, &mut told);
        }
        let original = !self.phase.is_open() && self.is_for_original(now, segment);
        if ack.is_after(self.send.una) {
            told.original = original;
            self.take_cumulative(now, ack, buffers, &mut told);
        }
        self.update_window(now, segment);
        self.measure(now, segment, &told);
        if told.flight > 0 {
            self.apply_ack(now, buffers, &told);
        }
        if told.acked > 0 {
            self.report_room(buffers, events);
        }
    }

    /// Returns true if a segment acknowledges nothing new and says nothing else (RFC 5681, section
    /// 2).
    fn is_duplicate(&self, segment: &Segment<'_>) -> bool {
        segment.ack == self.send.una
            && segment.payload.is_empty()
            && !segment.flags.has(Flags::SYN)
            && !segment.flags.has(Flags::FIN)
            && !segment.flags.has(Flags::CUT)
            && segment.window == self.send.window
    }

    /// Marks what a SACK option acknowledges.
    fn take_sack(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
        told: &mut Told,
    ) {
        let blocks = segment.options.sack.as_slice();
        if let Some(first) = blocks.first()
            && is_duplicate_report(*first, segment.ack, blocks.get(1))
        {
            told.repeated = true;
            self.rack.on_duplicate(self.send.nxt);
            // The network may have doubled what was not sent again (RFC 3708, section 3).
            if self.recovery.covers(*first) {
                told.needless = self.resent_unreported == 1;
                self.resent_unreported = self.resent_unreported.saturating_sub(1);
            }
        }
        let (una, nxt) = (self.send.una.later(segment.ack), self.send.nxt);
        let (now32, least) = (micros32(now), self.rtt.least);
        let (mut delivered, mut sent_at) = (0_u32, None);
        for block in blocks {
            let outside = !block.end.is_after(block.start)
                || block.start.is_before(una)
                || block.end.is_after(nxt);
            if outside {
                continue;
            }
            let rack = &mut self.rack;
            self.board
                .mark_sacked(buffers.outstanding, *block, |entry| {
                    rack.on_delivered(entry, now32, least);
                    delivered = delivered.saturating_add(u32::from(entry.len));
                    if entry.transmissions == 1 || injected_bug!(AmbiguousRoundTrip) {
                        sent_at = Some(entry.sent_at);
                    }
                });
        }
        told.delivered = told.delivered.saturating_add(delivered);
        told.sent_at = sent_at;
    }

    /// Removes what is acknowledged cumulatively.
    fn take_cumulative(&mut self, now: u64, ack: Seq, buffers: &mut Buffers<'_>, told: &mut Told) {
        let now32 = micros32(now);
        let first = self.first_octet();
        told.acked = ack.since(self.send.una);
        // At most as many rounds as there are entries, and one.
        while let Some(entry) = self.board.pop_acked(buffers.outstanding, ack) {
            if cfg!(feature = "plpmtud") && entry.has_any(Outstanding::PATH_PROBE) {
                self.on_path_probe_acked(&entry);
            }
            if entry.has_any(Outstanding::SACKED) {
                continue;
            }
            told.delivered = told.delivered.saturating_add(u32::from(entry.len));
            // When the original was sent is no longer known (RFC 8985, section 6.2, step 2).
            if entry.transmissions == 1 || !told.original {
                self.rack.on_delivered(&entry, now32, self.rtt.least);
            }
            let clear = entry.transmissions == 1 || injected_bug!(AmbiguousRoundTrip);
            told.sent_at = clear.then_some(entry.sent_at);
        }
        let fin = u32::from(self.marks.has(Marks::FIN_SENT) && ack == self.send.nxt);
        let octets = ack.since(first).saturating_sub(fin).min(self.send.queued);
        self.send.head = advance(buffers.send, self.send.head, octets);
        self.send.queued = self.send.queued.saturating_sub(octets);
        self.send.una = ack;
        self.timers.progress_ms = millis(now);
        self.rack.on_ack(ack);
        self.marks.clear(Marks::SOFT_ERROR);
    }

    /// Returns true if an acknowledgement echoes a time before anything was sent again in the
    /// repair in progress: what it acknowledges had arrived by itself (RFC 3522, the Eifel
    /// detection).
    ///
    /// The 16 bits of `Clock::again_at` tell the time for 65,536 ms, so the repair cannot be
    /// taken back any more once more than half of that has passed, since then or since the last
    /// progress. As every acknowledgement looks, neither can grow by more than that between two
    /// looks without being noticed, and their sum is never ambiguous.
    fn is_for_original(&mut self, now: u64, segment: &Segment<'_>) -> bool {
        // Once the repair is over, the time of its beginning means nothing.
        if !self.marks.has(Marks::MAY_UNDO)
            || !self.marks.has(Marks::TIMESTAMPS)
            || self.resent_unreported == 0
        {
            return false;
        }
        let clock = self.clock.value(now);
        let age = low16(u64::from(clock)).wrapping_sub(self.clock.again_at);
        let silent = millis(now).wrapping_sub(self.timers.progress_ms);
        if age > AGAIN_MAX || silent > u32::from(AGAIN_MAX) {
            self.marks.clear(Marks::MAY_UNDO);
            return false;
        }
        let Some(echo) = segment.options.timestamps.map(|stamps| stamps.echo) else {
            return false;
        };
        let before = clock.wrapping_sub(u32::from(age)).wrapping_sub(echo);
        // Older than the longest timeout is no echo of this.
        echo != 0 && before > 0 && before <= 60_000
    }

    /// Measures the round trip, if that can be told: from a segment that was sent once (Karn's
    /// algorithm), or else from the echo of our timestamp (RFC 7323, section 4.1).
    fn measure(&mut self, now: u64, segment: &Segment<'_>, told: &Told) {
        if let Some(sent_at) = told.sent_at {
            self.rtt.measure(micros32(now).wrapping_sub(sent_at), now);
        } else if told.acked > 0
            && self.marks.has(Marks::TIMESTAMPS)
            && let Some(timestamps) = segment.options.timestamps
            && timestamps.echo != 0
        {
            let ticks = self.clock.value(now).wrapping_sub(timestamps.echo);
            // Older than the longest timeout is no echo of this.
            if ticks <= 60_000 {
                self.rtt
                    .measure(ticks.saturating_mul(1_000).max(1_000), now);
            }
        }
    }

    /// Updates SND.WND (RFC 9293, section 3.10.7.4).
    pub(super) fn update_window(&mut self, now: u64, segment: &Segment<'_>) {
        let send = &mut self.send;
        if send.wl1.is_after(segment.seq) || segment.ack.is_before(send.una) {
            return;
        }
        let before = send.window;
        send.window = segment.window;
        send.wl1 = segment.seq;
        send.window_max = send.window_max.max(send.window);
        if before == 0 && send.window > 0 {
            // Open again: what was probed with goes once more, with the rest.
            self.marks
                .clear(Marks::WINDOW_PROBE_OUT | Marks::WINDOW_PROBE_DUE);
            self.rtt.backoff = 0;
            self.timers.progress_ms = millis(now);
            if self.timers.main == Main::Persist {
                self.timers.stop();
            } else if self.flight() > 0 {
                self.marks.set(Marks::FIRST_AGAIN);
            }
        }
    }

    /// Draws the consequences for losses, windows and timers.
    fn apply_ack(&mut self, now: u64, buffers: &mut Buffers<'_>, told: &Told) {
        #[cfg(feature = "bbr")]
        let window = self.congestion.window;
        if told.duplicate && !self.marks.has(Marks::SACK) {
            self.duplicates = self.duplicates.saturating_add(1);
        } else if told.acked > 0 && !self.marks.has(Marks::SACK) {
            // Of what is acknowledged, all but the first segment had been buffered behind it.
            let mss = self.segment_len();
            let segments = told.acked.div_ceil(mss).saturating_sub(1);
            let repairing =
                self.phase == Phase::Repair && self.send.una.is_before(self.recovery.point);
            let left = u32::from(self.duplicates).saturating_sub(segments);
            self.duplicates = if repairing {
                u8::try_from(left).unwrap_or(u8::MAX)
            } else {
                0
            };
            if self.phase.is_open() && self.send.una.is_after(self.recovery.point) {
                // Of numbers further apart than 2 GiB none is after the other.
                self.recovery.point = self.send.una.minus(1);
            }
        }
        self.on_tail_probe_answered(told);
        if self.awaits_forward_answer() {
            self.on_forward_answered(buffers, told);
        }
        if told.original && self.is_needless(buffers) {
            self.board.clear_lost(buffers.outstanding);
            self.undo();
        }
        let (next, lost) = self.detect_losses(now, buffers, told);
        self.update_congestion(now, buffers, told, lost);
        #[cfg(feature = "bbr")]
        self.follow_model(now, told, window);
        self.restart_timers(now, told, next);
        if told.acked > 0 && self.phase == Phase::Repair && !self.marks.has(Marks::SACK) {
            self.marks.set(Marks::PARTIAL);
        }
    }

    /// Returns true if nothing else that was sent again in this repair is still on its way, so that
    /// what the acknowledgement says of one segment holds for all.
    fn is_needless(&mut self, buffers: &Buffers<'_>) -> bool {
        self.phase == Phase::Timeout || !self.board.has_sent_again(buffers.outstanding)
    }

    /// Decides whether the next segments after a timeout are new ones, so that the answer to them
    /// tells whether it was needed (F-RTO, RFC 5682, section 2.1, step 2), which timestamps have
    /// told already. `first`: this is the first acknowledgement since.
    fn go_forward(&mut self, buffers: &Buffers<'_>, told: &Told, first: bool) {
        let mss = self.segment_len();
        let may = first
            && !told.duplicate
            && !self.marks.has(Marks::TIMESTAMPS)
            && self.unsent().min(self.usable()) >= mss
            && self.board.has_room(buffers.outstanding);
        if may {
            self.marks.set(Marks::FORWARD);
            self.congestion.window = mss.saturating_mul(2);
        }
    }

    /// Returns true if new segments go before what is taken to be lost, and their answer is waited
    /// for.
    #[inline]
    pub(super) fn awaits_forward_answer(&self) -> bool {
        self.phase == Phase::Timeout && self.marks.has(Marks::FORWARD)
    }

    /// Takes the answer to the new segments (RFC 5682, section 2.1, step 3): if it acknowledges
    /// more of what was sent before the timeout, and not again, that was only late.
    fn on_forward_answered(&mut self, buffers: &mut Buffers<'_>, told: &Told) {
        if told.acked > 0 {
            self.marks.clear(Marks::FORWARD);
            self.board.clear_lost(buffers.outstanding);
            // What it knows was taken from the answer to what was sent again.
            self.rack.forget_delivery();
            self.undo();
        } else if told.duplicate || told.delivered > 0 {
            self.marks.clear(Marks::FORWARD);
        }
    }

    /// Takes the last reduction of the window back: nothing was lost (RFC 4015; RFC 9438, section
    /// 4.9). That is known when every segment sent again in the repair was reported as a duplicate
    /// (`Told::needless`, [`Self::take_sack`]), or an acknowledgement echoes a time before the
    /// first of them was sent (`Told::original`, [`Self::is_for_original`]).
    fn undo(&mut self) {
        self.marks.clear(Marks::MAY_UNDO | Marks::CWR_DUE);
        self.phase = Phase::Open;
        self.duplicates = 0;
        self.congestion.on_undo();
    }

    /// Finds what is lost; returns when all of the others may be, and whether something new is.
    fn detect_losses(
        &mut self,
        now: u64,
        buffers: &mut Buffers<'_>,
        told: &Told,
    ) -> (Option<u32>, bool) {
        if self.board.is_empty() {
            return (None, false);
        }
        // RACK needs selective acknowledgements to know what has arrived.
        let (next, lost) = if self.marks.has(Marks::SACK) {
            self.detect(now, buffers)
        } else {
            (None, self.detect_without_sack(buffers, told))
        };
        if lost && self.phase.is_open() {
            self.begin_repair();
        }
        (next, lost)
    }

    /// Asks RACK.
    fn detect(&mut self, now: u64, buffers: &mut Buffers<'_>) -> (Option<u32>, bool) {
        let repairing = !self.phase.is_open();
        let times = (self.rtt.least, self.rtt.smoothed);
        let found = self.rack.detect(
            &mut self.board,
            buffers.outstanding,
            micros32(now),
            repairing,
            times,
        );
        if cfg!(feature = "plpmtud") && found.1 && self.is_path_probed() {
            return (found.0, !self.on_path_probe_lost(buffers));
        }
        found
    }

    /// Finds a loss from duplicates and partial acknowledgements (RFC 6582, section 3.2).
    fn detect_without_sack(&mut self, buffers: &mut Buffers<'_>, told: &Told) -> bool {
        let una = self.send.una;
        let third = told.duplicate
            && u32::from(self.duplicates) >= DUPLICATES
            && self.phase.is_open()
            && (una.is_after(self.recovery.point) || self.phase != Phase::Open);
        let partial =
            told.acked > 0 && self.phase == Phase::Repair && una.is_before(self.recovery.point);
        let partial = partial && !injected_bug!(PartialAckIgnored);
        (third || partial) && self.board.mark_lost(buffers.outstanding, 0)
    }

    /// Begins to repair losses (RFC 6675, section 5; RFC 6937, section 3).
    fn begin_repair(&mut self) {
        let flight = self.flight();
        let mss = self.segment_len();
        // What was reduced for an echo stays so; BBR has reduced nothing.
        if self.phase == Phase::Open || self.algorithm.is_model() {
            self.congestion.on_loss(self.algorithm, flight, mss);
            self.marks.set(Marks::MAY_UNDO);
            self.note_reduced();
        }
        self.recovery.begin(self.send.nxt, flight);
        self.phase = Phase::Repair;
        self.resent_unreported = 0;
        self.marks
            .clear(Marks::TAIL_PROBE_OUT | Marks::TAIL_PROBE_DUE | Marks::PARTIAL);
    }

    /// Lets the congestion window follow.
    fn update_congestion(&mut self, now: u64, buffers: &Buffers<'_>, told: &Told, lost: bool) {
        let mss = self.segment_len();
        let past = !self.send.una.is_before(self.recovery.point);
        match self.phase {
            Phase::Open => self.grow(now, told, mss),
            #[cfg(feature = "ecn")]
            Phase::Reduced => {
                if self.is_reduction_over() {
                    self.phase = Phase::Open;
                }
            }
            Phase::Repair if past => {
                let pipe = self.pipe();
                self.phase = Phase::Open;
                self.duplicates = 0;
                self.rack.on_recovered();
                self.congestion.on_recovered(pipe, mss);
            }
            Phase::Repair => {
                let pipe = self.pipe();
                let threshold = self.congestion.threshold;
                let delivered = if self.marks.has(Marks::SACK) {
                    told.delivered
                } else {
                    self.delivered_without_sack(told, mss)
                };
                let progress = told.acked > 0 && !lost;
                self.congestion.window =
                    self.recovery
                        .window((delivered, pipe), threshold, mss, progress);
            }
            Phase::Timeout => {
                // Only the first acknowledgement tells whether the timeout was needed, or with
                // what follows it the second.
                let first = told.acked > 0 && self.marks.has(Marks::MAY_UNDO);
                if told.acked > 0 {
                    self.marks.clear(Marks::MAY_UNDO);
                }
                // What had arrived before is acknowledged in leaps, which release no bursts (RFC
                // 3465, section 2.3).
                let acked = told.acked.min(told.delivered).min(mss.saturating_mul(2));
                self.grow(now, &Told { acked, ..*told }, mss);
                if past {
                    self.phase = Phase::Open;
                    self.duplicates = 0;
                } else {
                    self.go_forward(buffers, told, first);
                }
            }
        }
        if told.needless && self.marks.has(Marks::MAY_UNDO) && self.phase != Phase::Timeout {
            self.undo();
        }
    }

    /// Estimates DeliveredData without SACK (RFC 6937, section 3): a segment for each duplicate,
    /// and for a partial acknowledgement one at most, as the others were counted as duplicates.
    fn delivered_without_sack(&self, told: &Told, mss: u32) -> u32 {
        if told.duplicate {
            return mss;
        }
        told.acked.min(mss)
    }

    /// Grows the congestion window if it was made use of (RFC 7661).
    fn grow(&mut self, now: u64, told: &Told, mss: u32) {
        if self.algorithm.is_model() {
            return;
        }
        let window = self.congestion.window;
        let used = if self.congestion.is_slow_start() {
            told.flight.saturating_mul(2)
        } else {
            told.flight.saturating_add(mss)
        };
        if told.acked > 0 && (used >= window || self.marks.has(Marks::WINDOW_USED)) {
            if self.congestion.is_first_slow_start() {
                let sample = told.sent_at.map(|at| micros32(now).wrapping_sub(at));
                let (una, nxt) = (self.send.una, self.send.nxt);
                self.congestion.on_round_trip(sample, una, nxt);
            }
            let times = (self.rtt.smoothed, millis(now));
            self.congestion
                .on_ack(self.algorithm, told.acked, mss, times);
        }
        self.marks.clear(Marks::WINDOW_USED);
    }

    /// Lets the window follow the model of the path, after one of `window` octets.
    #[cfg(feature = "bbr")]
    fn follow_model(&mut self, now: u64, told: &Told, window: u32) {
        if told.delivered == 0 || !self.algorithm.is_model() || self.awaits_forward_answer() {
            return;
        }
        let told = Delivered {
            now: micros32(now),
            now_ms: millis(now),
            octets: told.delivered,
            sent_at: self.rack.sent_at(),
            round_trip: told.sent_at.map(|at| micros32(now).wrapping_sub(at)),
            flight: told.flight,
            pipe: self.pipe(),
            mss: self.segment_len(),
            repairing: !self.phase.is_open(),
        };
        self.congestion.on_delivered(window, &told);
    }

    /// Draws the conclusion from the answer to a tail loss probe (RFC 8985, section 7.4.2).
    fn on_tail_probe_answered(&mut self, told: &Told) {
        if !self.marks.has(Marks::TAIL_PROBE_OUT) || self.send.una.is_before(self.probe_end) {
            return;
        }
        let again = self.marks.has(Marks::TAIL_PROBE_AGAIN);
        let beyond = self.send.una.is_after(self.probe_end);
        // A duplicate: the original and the probe have both arrived.
        let both = told.repeated || (told.duplicate && !beyond);
        if !again || both {
            self.marks.clear(Marks::TAIL_PROBE_OUT);
        } else if beyond || self.board.is_empty() {
            // The probe has repaired a loss, which nothing else tells of.
            self.marks.clear(Marks::TAIL_PROBE_OUT);
            if self.phase == Phase::Open {
                let (flight, mss) = (told.flight, self.segment_len());
                self.congestion.on_loss(self.algorithm, flight, mss);
                self.congestion.on_recovered(self.flight(), mss);
                self.note_reduced();
            }
        }
    }

    /// Returns true if the retransmission timer keeps running in spite of progress: without SACK
    /// one loss is repaired a round trip, and after many losses the timeout is faster (RFC 6582,
    /// section 4: the Impatient variant).
    pub(super) fn is_impatient(&self) -> bool {
        self.marks.has(Marks::PARTIAL) && self.phase == Phase::Repair
    }

    /// Starts, moves or stops the main timer after an acknowledgement.
    fn restart_timers(&mut self, now: u64, told: &Told, next: Option<u32>) {
        if self.flight() == 0 {
            if self.timers.main == Main::Persist {
                if self.send.queued > 0 {
                    return;
                }
                // The probe's octet was the last and was taken: what comes after it is asked about
                // anew (RFC 9293, section 3.8.6.1).
                self.rtt.backoff = 0;
            }
            self.timers.stop();
            return;
        }
        if let Some(after) = next {
            self.start_reorder(now, after);
            return;
        }
        let changed = (told.acked > 0 && !self.is_impatient())
            || matches!(self.timers.main, Main::Reorder | Main::Stopped)
            || (self.timers.main == Main::TailProbe && told.delivered > 0);
        if changed {
            self.start_probe_or_retransmit(now);
        }
    }

    /// Reports room in the send buffer, and that everything is acknowledged.
    fn report_room(&mut self, buffers: &Buffers<'_>, events: &mut Events) {
        let capacity = capacity(buffers.send);
        let free = capacity.saturating_sub(self.send.queued);
        let worth = (capacity >> 2).max(1);
        let worth = worth.min(u32::from(self.send.mss).saturating_mul(2));
        if self.marks.has(Marks::SEND_SHORT) && free >= worth {
            self.marks.clear(Marks::SEND_SHORT);
            events.add(Events::WRITABLE);
        }
        if self.is_drained() {
            events.add(Events::DRAINED);
        }
    }

    /// Starts the timer of what may have been reordered, which is no longer than the one of what is
    /// lost altogether.
    fn start_reorder(&mut self, now: u64, after: u32) {
        let after = after.min(self.rtt.timeout()).max(1);
        self.timers.start(Main::Reorder, now, after);
    }

    /// What might have been reordered has not come (RFC 8985, section 6.2).
    pub(super) fn on_reorder_timeout(&mut self, now: u64, buffers: &mut Buffers<'_>) {
        let (next, lost) = self.detect(now, buffers);
        if lost && self.phase.is_open() {
            self.begin_repair();
        }
        if lost && self.phase == Phase::Repair {
            let mss = self.segment_len();
            let (pipe, threshold) = (self.pipe(), self.congestion.threshold);
            self.congestion.window = self.recovery.window((0, pipe), threshold, mss, false);
        }
        match next {
            Some(after) => self.start_reorder(now, after),
            None => self.start_retransmit(now),
        }
    }

    /// Nothing was heard for an RTO (RFC 6298, section 5; RFC 5681, section 3.1).
    pub(super) fn on_retransmission_timeout(&mut self, now: u64, buffers: &mut Buffers<'_>) {
        if self.state.is_opening() {
            self.marks.set(Marks::SYN_DUE | Marks::SYN_AGAIN);
        } else if self.send.window == 0 {
            // No sign of congestion: the window has closed over what is on its way. The first
            // segment asks whether it has opened.
            self.marks.set(Marks::FIRST_AGAIN);
        } else {
            if cfg!(feature = "plpmtud") {
                self.suspect_black_hole(buffers);
            }
            let mss = self.segment_len();
            let keep = !self.board.has_reneged(buffers.outstanding);
            let before = self.congestion.window;
            let first = self.phase != Phase::Timeout || self.rtt.backoff == 0;
            if first {
                self.congestion
                    .on_timeout(self.algorithm, self.flight(), mss);
                self.resent_unreported = 0;
                self.note_reduced();
            }
            // Otherwise what is acknowledged next may have been sent again before.
            self.marks
                .assign(Marks::MAY_UNDO, self.phase == Phase::Open);
            self.congestion.window = mss;
            if injected_bug!(NoSlowStart) {
                self.congestion.window = before;
            }
            self.board.mark_all_lost(buffers.outstanding, keep);
            self.recovery.begin(self.send.nxt, self.flight());
            self.phase = Phase::Timeout;
            self.duplicates = 0;
            self.marks.set(Marks::FIRST_AGAIN);
            self.marks
                .clear(Marks::TAIL_PROBE_OUT | Marks::TAIL_PROBE_DUE | Marks::FORWARD);
        }
        if !injected_bug!(NoBackOff) {
            self.rtt.back_off();
        }
        self.start_retransmit(now);
    }

    /// Draws the consequences of our FIN's acknowledgement.
    pub(super) fn on_fin_acknowledged(&mut self, now: u64, events: &mut Events) {
        if !self.is_fin_acknowledged() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                if self.marks.has(Marks::RECEIVE_CLOSED) {
                    self.timers.start_time_wait(now);
                }
            }
            State::Closing => self.enter_time_wait(now),
            State::LastAck => {
                self.finish(Broken::Not);
                events.add(Events::CLOSED);
            }
            _ => {}
        }
    }
}

/// Returns true if the first block of a SACK option reports a duplicate (RFC 2883, section 5).
fn is_duplicate_report(first: Block, ack: Seq, second: Option<&Block>) -> bool {
    let below = first.start.is_before(ack) && !first.end.is_after(ack);
    below || second.is_some_and(|second| second.contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2883, section 4: what lies below the acknowledgement, or within the second block.
    #[test]
    fn a_block_reports_a_duplicate_below_or_within() {
        let block = |start, end| Block::new(Seq::new(start), Seq::new(end));
        let reports = |first, second: Option<Block>| {
            is_duplicate_report(first, Seq::new(100), second.as_ref())
        };
        assert!(reports(block(90, 100), None) && !reports(block(90, 101), None));
        assert!(!reports(block(100, 110), None) && !reports(block(110, 120), None));
        assert!(reports(block(110, 120), Some(block(110, 130))));
        assert!(!reports(block(110, 120), Some(block(115, 130))));
    }
}
