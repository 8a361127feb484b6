//! BBR: congestion control by a model of the path, its bandwidth and its round trip, instead of by
//! losses (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016).
//!
//! An experiment. The states and the cycle of gains are those of that first version
//! (draft-cardwell-iccrg-bbr-congestion-control-00); gains in slow start and what is left on its
//! way while the round trip is probed are those of draft-ietf-ccwg-bbr. Left out are what later
//! versions do about losses, which here only end a probe for more bandwidth, what looks for
//! policers, and room for acknowledgements that come in one.
//!
//! | state | pacing | window | ends |
//! |---|---|---|---|
//! | STARTUP | 2.77 times the bandwidth | twice a full path | after three rounds without growth |
//! | DRAIN | half of it | the same | when the queue is gone |
//! | PROBE_BW | 1.25, 0.75, six times 1, a round trip each | the same | |
//! | PROBE_RTT | 1 | half of a full path | after 200 ms and a round |
//!
//! The bandwidth is the highest of the last 8 to 16 rounds, the round trip the least of 10 s.
//!
//! # Byte by byte
//!
//! | part | bytes |
//! |---|---|
//! | four segments of the last round trip, and what was delivered when they left | 80 |
//! | what has been delivered and when, and when that was sent, a pause of the sender | 20 |
//! | bandwidth, round trip and when | 16 |
//! | rounds, the bandwidth when it grew last | 12 |
//! | state, its time, window before a repair, rate, yes-or-no facts | 24 |
//! | sum | 152 |

use super::delivery::{Delivery, Sample, is_reached};

/// Gains are of 256.
const UNIT: u32 = 256;
const STARTUP_PACING: u32 = 709;
const DRAIN_PACING: u32 = 128;
const WINDOW_GAIN: u32 = 512;
/// Pacing in the phases of PROBE_BW.
const CYCLE: [u32; 8] = [320, 192, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT];
/// Pacing leaves a 100th of the bandwidth unused, so that a queue does not stay for ever.
const MARGIN_PERCENT: u64 = 99;
/// Rounds for which a bandwidth counts, once or twice.
const BANDWIDTH_ROUNDS: u16 = 8;
/// Rounds without a quarter more after which the path is full.
const FULL_ROUNDS: u8 = 3;
/// How long a round trip counts, and how long a new one is probed for, in milliseconds.
const LEAST_LIFE: u32 = 10_000;
const PROBE_TIME: u32 = 200;
/// The least window, in segments.
const WINDOW_MIN: u32 = 4;

/// What a connection is doing about its model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
enum Course {
    Startup,
    Drain,
    /// In a phase of [`CYCLE`].
    ProbeBandwidth(u8),
    /// Until then in milliseconds of the clock, once little enough is on its way.
    ProbeRoundTrip(Option<u32>),
}

/// What an acknowledgement has told.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Delivered {
    /// The clock in microseconds and in milliseconds, low bits.
    pub(in crate::tcp) now: u32,
    pub(in crate::tcp) now_ms: u32,
    /// Octets that have arrived.
    pub(in crate::tcp) octets: u32,
    /// When the one of them was sent that was sent last.
    pub(in crate::tcp) sent_at: u32,
    /// Microseconds of a round trip, if it tells them.
    pub(in crate::tcp) round_trip: Option<u32>,
    /// Octets on their way before it, and now.
    pub(in crate::tcp) flight: u32,
    pub(in crate::tcp) pipe: u32,
    /// Octets of a full segment.
    pub(in crate::tcp) mss: u32,
    /// Losses are being repaired.
    pub(in crate::tcp) repairing: bool,
}

/// The model, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Bbr {
    delivery: Delivery,
    /// Octets a second: the highest of these rounds and of those before.
    bandwidth: [u32; 2],
    /// RTprop in microseconds, and when it was measured in milliseconds.
    least: u32,
    least_at: u32,
    /// The round ends when what was sent after so many octets were delivered is.
    round_end: u32,
    rounds: u16,
    /// The bandwidth when it last grew by a quarter, and rounds since.
    full: u32,
    full_rounds: u8,
    /// The path has been full once.
    filled: bool,
    course: Course,
    /// When the phase of [`Course::ProbeBandwidth`] began, in microseconds.
    phase_at: u32,
    /// The window before a repair or a probe of the round trip; 0 when there is none to go back to.
    before: u32,
    /// Octets a second at which segments leave; 0 before the first is known.
    rate: u32,
    /// What arrives is replaced and no more, for the first round of a repair.
    conserving: bool,
    /// Something was lost in the phase.
    lost: bool,
    /// Sending goes on after a pause: the round trip is not probed.
    resumed: bool,
    /// A round has ended since the window for [`Course::ProbeRoundTrip`] was reached.
    probed: bool,
}

impl Bbr {
    /// Nothing is known.
    pub(super) const NEW: Self = Self {
        delivery: Delivery::NEW,
        bandwidth: [0; 2],
        least: 0,
        least_at: 0,
        round_end: 0,
        rounds: 0,
        full: 0,
        full_rounds: 0,
        filled: false,
        course: Course::Startup,
        phase_at: 0,
        before: 0,
        rate: 0,
        conserving: false,
        lost: false,
        resumed: false,
        probed: false,
    };

    /// Makes the model again of a connection that had nothing on its way: of its bandwidth, 0 if
    /// none is known, and whether the path was full once. The round trip is measured anew.
    pub(super) const fn resumed(bandwidth: u32, filled: bool) -> Self {
        let mut model = Self::NEW;
        model.bandwidth = [bandwidth; 2];
        model.filled = filled;
        if filled {
            model.course = Course::ProbeBandwidth(2);
            model.rate = bandwidth;
        }
        model
    }

    /// Returns the bandwidth in octets a second; 0 before the first is known.
    pub(super) const fn bandwidth(&self) -> u32 {
        let [now, before] = self.bandwidth;
        if now > before { now } else { before }
    }

    /// Returns true once the path has been full.
    pub(super) const fn is_filled(&self) -> bool {
        self.filled
    }

    /// Returns at how many octets a second segments leave; 0 before the first is known.
    pub(super) const fn rate(&self) -> u32 {
        self.rate
    }

    /// Notes that a segment is sent. `first`: nothing else is on its way.
    pub(super) fn on_sent(&mut self, now: u32, first: bool) {
        if first && self.delivery.is_limited() {
            // The clock of a phase must not run while nothing is sent (section 4.3.4.4).
            self.resumed = true;
            self.phase_at = now;
            if matches!(self.course, Course::ProbeBandwidth(_)) {
                self.rate = self.paced(UNIT);
            }
        }
        self.delivery.on_sent(now, first, self.least >> 2);
    }

    /// Notes that there is nothing more to send for now, with `pipe` octets on their way.
    pub(super) const fn on_limited(&mut self, pipe: u32) {
        self.delivery.on_limited(pipe);
    }

    /// Notes that a repair begins at a window of `window` octets.
    pub(super) const fn on_loss(&mut self, window: u32) {
        self.lost = true;
        self.conserving = true;
        self.round_end = self.delivery.octets;
        self.note_window(window);
    }

    /// Notes a timeout at a window of `window` octets.
    pub(super) const fn on_timeout(&mut self, window: u32) {
        self.lost = true;
        self.conserving = false;
        self.note_window(window);
    }

    const fn note_window(&mut self, window: u32) {
        if window > self.before {
            self.before = window;
        }
    }

    /// Takes what an acknowledgement tells, and returns the window that follows one of `window`
    /// octets.
    pub(super) fn on_delivered(&mut self, window: u32, told: &Delivered) -> u32 {
        let sample = self
            .delivery
            .on_delivered(told.now, told.octets, told.sent_at, self.least);
        let round = sample.is_some_and(|sample| self.is_round_over(&sample));
        if let Some(sample) = &sample {
            self.learn_bandwidth(sample, round);
        }
        self.advance_phase(told);
        if round {
            self.look_whether_full();
        }
        self.drain(told);
        let window = self.probe_round_trip(window, told, round);
        self.set_rate();
        self.window(window, told, round)
    }

    /// Returns true if a round is over, and begins the next.
    const fn is_round_over(&mut self, sample: &Sample) -> bool {
        if !is_reached(self.round_end, sample.prior) {
            return false;
        }
        self.round_end = self.delivery.octets;
        self.rounds = self.rounds.wrapping_add(1);
        true
    }

    fn learn_bandwidth(&mut self, sample: &Sample, round: bool) {
        let [now, _] = self.bandwidth;
        // Of rounds in which the sender paused nothing is known.
        if round && now > 0 && self.rounds.checked_rem(BANDWIDTH_ROUNDS) == Some(0) {
            self.bandwidth = [0, now];
        }
        // What a sender that paused got through may be less than the path carries, but not more.
        if !sample.limited || sample.rate >= self.bandwidth() {
            let [now, _] = &mut self.bandwidth;
            *now = sample.rate.max(*now);
        }
    }

    /// Goes on to the next phase of PROBE_BW when it is time (section 4.3.4.3).
    fn advance_phase(&mut self, told: &Delivered) {
        let Course::ProbeBandwidth(phase) = self.course else {
            return;
        };
        let over = told.now.wrapping_sub(self.phase_at) > self.least;
        let next = match phase {
            // More has to be on its way for more to be seen.
            0 => over && (self.lost || told.flight >= self.target(320, told.mss)),
            1 => over || told.flight <= self.target(UNIT, told.mss),
            _ => over,
        };
        if next {
            let phase = phase.wrapping_add(1) & 7;
            self.begin_phase(phase, told.now);
        }
    }

    const fn begin_phase(&mut self, phase: u8, now: u32) {
        self.course = Course::ProbeBandwidth(phase);
        self.phase_at = now;
        self.lost = false;
    }

    /// Looks whether the bandwidth grows no more, at the end of a round (section 4.3.2.2).
    fn look_whether_full(&mut self) {
        if self.filled || self.delivery.is_limited() {
            return;
        }
        let bandwidth = self.bandwidth();
        if bandwidth >= self.full.saturating_add(self.full >> 2) {
            (self.full, self.full_rounds) = (bandwidth, 0);
            return;
        }
        self.full_rounds = self.full_rounds.saturating_add(1);
        self.filled = self.full_rounds >= FULL_ROUNDS;
    }

    /// Leaves STARTUP when the path is full, and DRAIN when its queue is gone (section 4.3.3).
    fn drain(&mut self, told: &Delivered) {
        if self.course == Course::Startup && self.filled {
            self.course = Course::Drain;
        }
        if self.course == Course::Drain && told.pipe <= self.target(UNIT, told.mss) {
            self.begin_cycle(told.now);
        }
    }

    /// Begins PROBE_BW in any phase but that which drains, so that not all flows probe at once.
    const fn begin_cycle(&mut self, now: u32) {
        let [any, ..] = self.delivery.octets.wrapping_mul(0x9e37_79b9).to_be_bytes();
        let phase = any & 7;
        self.begin_phase(if phase == 1 { 2 } else { phase }, now);
    }

    /// Learns the round trip, and empties the queue to see it once it is old (section 4.3.5).
    /// Returns the window.
    fn probe_round_trip(&mut self, window: u32, told: &Delivered, round: bool) -> u32 {
        let known = self.least > 0;
        let old = known && told.now_ms.wrapping_sub(self.least_at) > LEAST_LIFE;
        if let Some(sample) = told.round_trip
            && (!known || old || sample <= self.least)
        {
            (self.least, self.least_at) = (sample.max(1), told.now_ms);
        }
        let probing = matches!(self.course, Course::ProbeRoundTrip(_));
        if old && !probing && !self.resumed {
            self.note_window(window);
            self.course = Course::ProbeRoundTrip(None);
        }
        self.resumed = false;
        let Course::ProbeRoundTrip(until) = self.course else {
            return window;
        };
        // So little is on its way that its rate tells nothing.
        self.delivery.on_limited(told.pipe.max(1));
        let Some(until) = until else {
            if told.pipe <= self.probe_window(told.mss) {
                self.course = Course::ProbeRoundTrip(Some(told.now_ms.wrapping_add(PROBE_TIME)));
                self.probed = false;
                self.round_end = self.delivery.octets;
            }
            return window;
        };
        self.probed |= round;
        if !self.probed || !is_reached(until, told.now_ms) {
            return window;
        }
        self.least_at = told.now_ms;
        if self.filled {
            self.begin_cycle(told.now);
        } else {
            self.course = Course::Startup;
        }
        window.max(core::mem::take(&mut self.before))
    }

    /// Returns the gain of pacing.
    fn gain(&self) -> u32 {
        match self.course {
            Course::Startup => STARTUP_PACING,
            Course::Drain => DRAIN_PACING,
            Course::ProbeBandwidth(phase) => *CYCLE.get(usize::from(phase & 7)).unwrap_or(&UNIT),
            Course::ProbeRoundTrip(_) => UNIT,
        }
    }

    /// Returns the rate at a gain, of [`UNIT`] and of a hundred percent.
    fn paced(&self, gain: u32) -> u32 {
        let rate = u64::from(self.bandwidth())
            .saturating_mul(u64::from(gain))
            .saturating_mul(MARGIN_PERCENT)
            / 25_600;
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    /// Sets the rate. In STARTUP it only grows, as the first samples are of too little.
    fn set_rate(&mut self) {
        let rate = self.paced(self.gain());
        if self.filled || rate > self.rate {
            self.rate = rate;
        }
    }

    /// Returns what fills the path, times a gain, and a little more for what is delayed; the
    /// greatest possible before a round trip and a bandwidth are known.
    fn target(&self, gain: u32, mss: u32) -> u32 {
        if self.least == 0 || self.bandwidth() == 0 {
            return u32::MAX;
        }
        let product = u64::from(self.bandwidth()).saturating_mul(u64::from(self.least));
        let filled = (product / 1_000_000).saturating_mul(u64::from(gain)) >> 8;
        let filled = u32::try_from(filled).unwrap_or(u32::MAX);
        filled.saturating_add(self.quantum(mss).saturating_mul(3))
    }

    /// Returns what may leave at once: two segments, or a millisecond's worth.
    fn quantum(&self, mss: u32) -> u32 {
        mss.saturating_mul(2).max(self.rate >> 10)
    }

    fn probe_window(&self, mss: u32) -> u32 {
        let least = mss.saturating_mul(WINDOW_MIN);
        let product = u64::from(self.bandwidth()).saturating_mul(u64::from(self.least));
        let half = u32::try_from(product / 2_000_000).unwrap_or(u32::MAX);
        half.max(least)
    }

    /// Returns the window that follows one of `window` octets (section 4.2.3).
    fn window(&mut self, window: u32, told: &Delivered, round: bool) -> u32 {
        let least = told.mss.saturating_mul(WINDOW_MIN);
        let probing = matches!(self.course, Course::ProbeRoundTrip(_));
        self.conserving &= told.repairing && !round;
        let mut window = window;
        if !told.repairing && !probing {
            window = window.max(core::mem::take(&mut self.before));
        }
        if self.conserving {
            return told.pipe.saturating_add(told.octets.max(told.mss));
        }
        let target = self.target(WINDOW_GAIN, told.mss);
        let grown = window.saturating_add(told.octets);
        window = if self.filled {
            grown.min(target)
        } else if window < target {
            grown
        } else {
            window
        };
        if probing {
            window = window.min(self.probe_window(told.mss));
        }
        window.max(least)
    }
}

#[cfg(feature = "search")]
impl Bbr {
    /// Hashes the model, counted from now and from what has been delivered.
    pub(super) fn fingerprint(
        &self,
        (now, now_ms): (u32, u32),
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let Self {
            delivery,
            bandwidth,
            least,
            least_at,
            round_end,
            rounds,
            full,
            full_rounds,
            filled,
            course,
            phase_at,
            before,
            rate,
            conserving,
            lost,
            resumed,
            probed,
        } = self;
        delivery.fingerprint(now, into);
        // In which phase the next cycle begins.
        delivery.octets.hash(into);
        (bandwidth, least, now_ms.wrapping_sub(*least_at)).hash(into);
        round_end.wrapping_sub(delivery.octets).hash(into);
        (rounds.checked_rem(BANDWIDTH_ROUNDS), full, full_rounds).hash(into);
        let course = match *course {
            Course::ProbeRoundTrip(Some(until)) => {
                Course::ProbeRoundTrip(Some(until.wrapping_sub(now_ms)))
            }
            course => course,
        };
        (filled, course, now.wrapping_sub(*phase_at), before).hash(into);
        (rate, conserving, lost, resumed, probed).hash(into);
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;
    /// The window that a bandwidth of 1,000 octets a millisecond and 20 ms give.
    const WINDOW: u32 = 2 * 20_000 + 3 * 2 * MSS;

    /// A sender whose peer takes so many octets each millisecond.
    struct Path {
        model: Bbr,
        window: u32,
        ms: u32,
    }

    impl Path {
        fn new() -> Self {
            let mut model = Bbr::NEW;
            for ms in 0..20 {
                model.on_sent(ms * 1_000, ms == 0);
            }
            Self {
                model,
                window: 10_000,
                ms: 20,
            }
        }

        /// Lets time pass, with round trips of 20 ms and a queue.
        fn pass(&mut self, millis: u32, octets: u32, queued: u32) {
            for _ in 0..millis {
                let now = self.ms * 1_000;
                let pipe = self.window.min(octets * 20);
                let told = Delivered {
                    now,
                    now_ms: self.ms,
                    octets,
                    sent_at: now - 20_000 - queued,
                    round_trip: Some(20_000 + queued),
                    flight: pipe,
                    pipe,
                    mss: MSS,
                    repairing: false,
                };
                self.window = self.model.on_delivered(self.window, &told);
                self.model.on_sent(now, false);
                self.ms += 1;
            }
        }
    }

    #[test]
    fn a_full_path_is_found_and_its_queue_drained() {
        let mut path = Path::new();
        path.pass(60, 1_000, 0);
        assert_eq!(path.model.course, Course::Startup);
        assert!(path.model.rate() >= 2_700_000, "{:?}", path.model);
        path.pass(100, 1_000, 0);
        assert!(path.model.is_filled());
        assert!(matches!(path.model.course, Course::ProbeBandwidth(_)));
        assert_eq!(path.model.bandwidth(), 1_000_000);
        assert_eq!(path.window, WINDOW);
    }

    /// A probe for more lasts until there is more on its way, or something is lost.
    #[test]
    fn a_loss_ends_a_probe_for_more() {
        let mut path = Path::new();
        path.pass(600, 1_000, 0);
        assert_eq!(path.model.course, Course::ProbeBandwidth(0));
        path.pass(100, 1_000, 0);
        assert!((1_230_000..1_240_000).contains(&path.model.rate()));
        path.model.on_loss(path.window);
        path.pass(30, 1_000, 0);
        assert!((980_000..1_000_000).contains(&path.model.rate()));
    }

    #[test]
    fn a_slower_path_is_believed_after_some_rounds() {
        let mut path = Path::new();
        path.pass(400, 1_000, 0);
        path.pass(100, 500, 0);
        assert_eq!(
            path.model.bandwidth(),
            1_000_000,
            "five rounds tell nothing"
        );
        path.pass(500, 500, 0);
        assert_eq!(path.model.bandwidth(), 500_000);
    }

    /// After ten seconds without a shorter round trip little is sent for a moment.
    #[test]
    fn the_round_trip_is_probed_for() {
        let mut path = Path::new();
        path.pass(400, 1_000, 0);
        path.pass(9_900, 1_000, 5_000);
        assert_eq!(path.window, WINDOW);
        path.pass(150, 1_000, 5_000);
        let half = path.model.probe_window(MSS);
        assert!((10_000..=12_500).contains(&half), "{half}");
        assert_eq!(path.window, half, "{:?}", path.model);
        path.pass(300, 1_000, 5_000);
        assert!(path.window >= WINDOW, "{} octets", path.window);
    }

    /// In the first round of a repair what arrives is replaced, and after it all is as before.
    #[test]
    fn a_repair_sends_what_arrives_and_goes_back() {
        let mut path = Path::new();
        path.pass(400, 1_000, 0);
        path.model.on_loss(path.window);
        let now = path.ms * 1_000;
        let told = Delivered {
            now,
            now_ms: path.ms,
            octets: 1_000,
            sent_at: now - 20_000,
            round_trip: None,
            flight: 20_000,
            pipe: 18_000,
            mss: MSS,
            repairing: true,
        };
        assert_eq!(path.model.on_delivered(path.window, &told), 19_000);
        let told = Delivered {
            repairing: false,
            ..told
        };
        assert_eq!(path.model.on_delivered(19_000, &told), WINDOW);
    }
}
