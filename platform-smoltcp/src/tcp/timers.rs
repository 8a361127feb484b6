//! Deadlines, and what happens when one has come.

use usockets::{Duration, Instant};

use super::connection::{Broken, Connection, Marks, State};
use super::memory::Buffers;
use super::pacing::Pace;
use super::segment::Events;
use super::settings::Settings;
use crate::number::low;

/// Longest that an acknowledgement waits for something to go with, in microseconds. RFC 9293,
/// section 3.8.6.3, allows less than 500 ms; 40 ms is what Linux starts with.
const ACK_DELAY: u32 = 40_000;
/// What a peer's delayed acknowledgement may take (RFC 8985, section 7.2: WCDelAckT).
const PEER_ACK_DELAY: u32 = 200_000;
/// Keep-alive probes without an answer before the connection is given up, as on Linux (`tcp(7)`).
const KEEPALIVE_PROBES: u8 = 9;
/// After how many microseconds without a call deadlines are looked at, lest they wrap.
const LATE: u64 = 1_000_000_000;
/// Bits of the clock in microseconds that [`Timers::base`] leaves out: it counts about seconds.
const BASE_UNIT: u32 = 20;

/// Returns the clock in units of [`BASE_UNIT`].
fn unit_of(now: u64) -> u32 {
    low(now >> BASE_UNIT)
}

/// Returns the clock at the start of a unit of [`BASE_UNIT`].
fn base_of(unit: u32) -> u64 {
    u64::from(unit) << BASE_UNIT
}

/// Returns the low 32 bits of the clock in microseconds.
pub(super) fn micros32(now: u64) -> u32 {
    low(now)
}

/// Returns the clock in milliseconds, wrapping.
pub(super) fn millis(now: u64) -> u32 {
    low(now.checked_div(1_000).unwrap_or(0))
}

/// Returns the clock in seconds, wrapping.
pub(super) fn seconds(now: u64) -> u32 {
    low(now.checked_div(1_000_000).unwrap_or(0))
}

/// What the main timer waits for. Never two of them at once (RFC 8985, section 7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(super) enum Main {
    /// It is not running.
    Stopped,
    /// The retransmission timeout (RFC 6298).
    Retransmit,
    /// A tail loss probe (RFC 8985, section 7).
    TailProbe,
    /// What may be reordered is lost by then (RFC 8985, section 6.2).
    Reorder,
    /// The next probe of a window that is closed or too small (RFC 9293, section 3.8.6.1).
    Persist,
}

/// A connection's deadlines.
///
/// They are kept as the low bits of the clock and are exact since each lies near [`Self::base`]:
/// within half an hour in microseconds, or within 24 days in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// The clock when a call was made last, in units of [`BASE_UNIT`].
    base: u32,
    /// When the main timer runs out, in microseconds.
    main_at: u32,
    /// When a delayed acknowledgement goes, in microseconds.
    ack_at: u32,
    /// When TIME-WAIT, FIN-WAIT-2 of a closed owner, or a keep-alive interval ends, in
    /// milliseconds; of a FIN without memory, when it is sent again (`bare`).
    life_at: u32,
    /// Since when something is unacknowledged without progress, in milliseconds.
    pub(super) progress_ms: u32,
    /// When the peer was heard last, in milliseconds.
    pub(super) heard_ms: u32,
    /// How long the handshake may take, in 16ths of a second.
    handshake: u16,
    /// R2: how long something may stay unacknowledged, in 16ths of a second.
    user: u16,
    /// Seconds between keep-alive probes; 0 for none.
    keepalive: u16,
    /// Seconds of TIME-WAIT.
    time_wait: u16,
    /// Keep-alive probes since the peer was heard.
    probes: u8,
    pub(super) main: Main,
    /// [`Self::ack_at`] is meaningful.
    ack_runs: bool,
    /// [`Self::life_at`] is meaningful.
    life_runs: bool,
    /// When what was sent would have left at the connection's rate.
    pub(super) pace: Pace,
}

impl Timers {
    /// None is running.
    pub(super) const NONE: Self = Self {
        base: 0,
        main_at: 0,
        ack_at: 0,
        life_at: 0,
        progress_ms: 0,
        heard_ms: 0,
        handshake: 0,
        user: 0,
        keepalive: 0,
        time_wait: 0,
        probes: 0,
        main: Main::Stopped,
        ack_runs: false,
        life_runs: false,
        pace: Pace::NONE,
    };

    /// Takes over what an owner has chosen.
    pub(super) fn configure(&mut self, settings: &Settings, now: u64) {
        let sixteenths = |duration: Duration| {
            let rest = duration.subsec_nanos().div_ceil(1_000_000_000 / 16);
            let whole = duration.as_secs().saturating_mul(16);
            u16::try_from(whole.saturating_add(rest.into())).unwrap_or(u16::MAX)
        };
        let seconds = |duration: Duration| {
            let rest = u64::from(duration.subsec_nanos() > 0);
            u16::try_from(duration.as_secs().saturating_add(rest)).unwrap_or(u16::MAX)
        };
        self.handshake = sixteenths(settings.handshake_timeout);
        self.user = sixteenths(settings.user_timeout);
        self.keepalive = settings.keepalive.map_or(0, |every| seconds(every).max(1));
        self.time_wait = seconds(settings.time_wait);
        self.base = unit_of(now);
        self.progress_ms = millis(now);
        self.heard_ms = millis(now);
    }

    /// Goes on to `now`, and fires nothing. What has long been due stays due, however late the call
    /// is.
    #[inline]
    pub(super) fn note_now(&mut self, now: u64) {
        let base = base_of(self.base);
        if now.saturating_sub(base) > LATE {
            // Due by now if they run: neither is ever more than a minute off.
            (self.main_at, self.ack_at) = (micros32(now), micros32(now));
            if self.life_runs && self.life_due() <= now {
                self.life_at = millis(now);
            }
        }
        if self
            .pace_due()
            .is_some_and(|due| now.saturating_sub(due) > LATE)
        {
            self.pace = Pace::NONE;
        }
        self.base = unit_of(now);
    }

    /// Returns when what was sent would have left at the connection's rate; `None` if that was long
    /// ago.
    #[inline]
    pub(super) fn pace_due(&self) -> Option<u64> {
        let due = self.pace.due()?;
        Some(near(base_of(self.base), due.get()))
    }

    fn main_due(&self) -> u64 {
        near(base_of(self.base), self.main_at)
    }

    fn life_due(&self) -> u64 {
        let base = base_of(self.base).checked_div(1_000).unwrap_or(0);
        near(base, self.life_at).saturating_mul(1_000)
    }

    /// Returns the first deadline, in microseconds.
    #[inline]
    fn first(&self) -> Option<u64> {
        let mut first = None;
        if self.main != Main::Stopped {
            first = Some(self.main_due());
        }
        // Mostly neither is running.
        if self.ack_runs {
            first = sooner(first, near(base_of(self.base), self.ack_at));
        }
        if self.life_runs {
            first = sooner(first, self.life_due());
        }
        first
    }

    /// Starts the main timer anew.
    pub(super) fn start(&mut self, main: Main, now: u64, after: u32) {
        self.main = main;
        self.main_at = micros32(now).wrapping_add(after);
    }

    /// Lets the main timer run out after no more than `after`.
    fn bring_forward(&mut self, now: u64, after: u32) {
        let left = self.main_at.wrapping_sub(micros32(now));
        self.main_at = micros32(now).wrapping_add(left.min(after));
    }

    /// Stops the main timer.
    pub(super) const fn stop(&mut self) {
        self.main = Main::Stopped;
    }

    /// Returns how long ago the main timer was started if it was to run for `after`.
    pub(super) fn since_start(&self, now: u64, after: u32) -> u32 {
        let started = self.main_at.wrapping_sub(after);
        micros32(now).wrapping_sub(started)
    }

    /// Lets an acknowledgement wait, unless one waits already.
    pub(super) fn delay_ack(&mut self, now: u64) {
        if !self.ack_runs {
            self.ack_runs = true;
            self.ack_at = micros32(now).wrapping_add(ACK_DELAY);
        }
    }

    /// Notes that an acknowledgement has gone.
    pub(super) const fn on_ack_sent(&mut self) {
        self.ack_runs = false;
    }

    /// Notes that the peer is there.
    pub(super) const fn on_heard(&mut self, now_ms: u32) {
        self.heard_ms = now_ms;
        self.probes = 0;
    }

    /// Starts TIME-WAIT, or the limit of FIN-WAIT-2.
    pub(super) fn start_time_wait(&mut self, now: u64) {
        let after = u32::from(self.time_wait).saturating_mul(1_000);
        self.start_life(now, after);
    }

    /// Returns true while [`Self::life_at`] is waited for.
    pub(super) const fn runs(&self) -> bool {
        self.life_runs
    }

    /// Returns true if it has come.
    pub(super) fn is_life_due(&self, now: u64) -> bool {
        self.life_runs && self.life_due() <= now
    }

    /// Lets it be waited for no more.
    pub(super) const fn stop_life(&mut self) {
        self.life_runs = false;
    }

    /// Starts the keep-alive interval, if keep-alive is on.
    pub(super) fn start_keepalive(&mut self, now: u64) {
        if self.keepalive > 0 {
            let after = u32::from(self.keepalive).saturating_mul(1_000);
            self.start_life(now, after);
        }
    }

    /// Lets [`Self::life_at`] be so many milliseconds from now.
    pub(super) fn start_life(&mut self, now: u64, after_ms: u32) {
        self.life_runs = true;
        let ceiling = now.div_ceil(1_000);
        self.life_at = low(ceiling).wrapping_add(after_ms);
    }
}

#[cfg(feature = "search")]
impl Timers {
    /// Hashes how long each deadline that runs is off. `hears` says whether it matters for how long
    /// the peer has been silent.
    pub(super) fn fingerprint(&self, now: u64, hears: bool, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            // Which of the times that look alike is meant, which all calls of a search agree on.
            base: _,
            main_at,
            ack_at,
            life_at,
            progress_ms,
            heard_ms,
            handshake,
            user,
            keepalive,
            time_wait,
            probes,
            main,
            ack_runs,
            life_runs,
            // Hashed by `Connection::fingerprint_pace`, which knows the rate.
            pace: _,
        } = self;
        let micros = micros32(now);
        let runs = *main != Main::Stopped;
        (main, runs.then(|| main_at.wrapping_sub(micros))).hash(into);
        ack_runs.then(|| ack_at.wrapping_sub(micros)).hash(into);
        let life = life_runs.then(|| life_at.wrapping_sub(millis(now)));
        life.hash(into);
        millis(now).wrapping_sub(*progress_ms).hash(into);
        let silent = millis(now).wrapping_sub(*heard_ms);
        (hears || *keepalive > 0).then_some(silent).hash(into);
        (handshake, user, keepalive, time_wait, probes).hash(into);
    }
}

/// What is kept of the deadlines of a connection with nothing on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuietTimers {
    base: u32,
    life_at: u32,
    progress_ms: u32,
    heard_ms: u32,
    user: u16,
    keepalive: u16,
    time_wait: u16,
    probes: u8,
    life_runs: bool,
}

/// The deadlines that only a connection with something on its way has.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningTimers {
    main_at: u32,
    ack_at: u32,
    handshake: u16,
    main: Main,
    ack_runs: bool,
    pace: Pace,
}

impl QuietTimers {
    /// None is running.
    pub(super) const NONE: Self = Self {
        base: 0,
        life_at: 0,
        progress_ms: 0,
        heard_ms: 0,
        user: 0,
        keepalive: 0,
        time_wait: 0,
        probes: 0,
        life_runs: false,
    };

    /// Returns true while a deadline is waited for.
    pub(super) const fn runs(&self) -> bool {
        self.life_runs
    }

    /// Returns them with the deadline and the last progress of `before`.
    pub(super) const fn as_before(mut self, before: &Self) -> Self {
        self.life_at = before.life_at;
        self.life_runs = before.life_runs;
        self.progress_ms = before.progress_ms;
        self
    }

    /// Returns the microseconds since the peer was heard.
    pub(super) fn since_heard(&self, now: u64) -> u64 {
        u64::from(millis(now).wrapping_sub(self.heard_ms)).saturating_mul(1_000)
    }

    /// Returns the deadline in microseconds.
    pub(super) fn deadline(&self) -> Option<u64> {
        Timers::resumed(self).first()
    }
}

impl Timers {
    /// Returns true if an acknowledgement waits.
    pub(super) const fn delays_ack(&self) -> bool {
        self.ack_runs
    }

    /// Returns what is kept of deadlines of which [`Self::life_at`] alone is waited for.
    pub(super) const fn quiet(&self) -> QuietTimers {
        QuietTimers {
            base: self.base,
            life_at: self.life_at,
            progress_ms: self.progress_ms,
            heard_ms: self.heard_ms,
            user: self.user,
            keepalive: self.keepalive,
            time_wait: self.time_wait,
            probes: self.probes,
            life_runs: self.life_runs,
        }
    }

    /// Makes them again. The handshake is over, so its limit is not needed.
    pub(super) const fn resumed(quiet: &QuietTimers) -> Self {
        Self {
            base: quiet.base,
            main_at: 0,
            ack_at: 0,
            life_at: quiet.life_at,
            progress_ms: quiet.progress_ms,
            heard_ms: quiet.heard_ms,
            handshake: 0,
            user: quiet.user,
            keepalive: quiet.keepalive,
            time_wait: quiet.time_wait,
            probes: quiet.probes,
            main: Main::Stopped,
            ack_runs: false,
            life_runs: quiet.life_runs,
            pace: Pace::NONE,
        }
    }

    /// Returns what [`Self::quiet`] leaves out.
    pub(super) const fn running(&self) -> RunningTimers {
        RunningTimers {
            main_at: self.main_at,
            ack_at: self.ack_at,
            handshake: self.handshake,
            main: self.main,
            ack_runs: self.ack_runs,
            pace: self.pace,
        }
    }

    /// Takes that over again.
    pub(super) const fn with_running(mut self, running: &RunningTimers) -> Self {
        self.main_at = running.main_at;
        self.ack_at = running.ack_at;
        self.handshake = running.handshake;
        self.main = running.main;
        self.ack_runs = running.ack_runs;
        self.pace = running.pace;
        self
    }

    /// Lets no acknowledgement wait; returns true if one did.
    pub(super) const fn stop_ack(&mut self) -> bool {
        core::mem::replace(&mut self.ack_runs, false)
    }

    /// Returns the microseconds since there was progress.
    pub(super) fn since_progress(&self, now: u64) -> u64 {
        u64::from(millis(now).wrapping_sub(self.progress_ms)).saturating_mul(1_000)
    }
}

/// Returns the sooner of two deadlines.
fn sooner(first: Option<u64>, other: u64) -> Option<u64> {
    Some(first.map_or(other, |first| first.min(other)))
}

/// Returns the clock whose low bits are `low_bits`, the one nearest to `base`.
#[cfg_attr(target_os = "none", inline(never))]
fn near(base: u64, low_bits: u32) -> u64 {
    let ahead = low_bits.wrapping_sub(low(base)).cast_signed();
    base.saturating_add_signed(i64::from(ahead))
}

impl Connection {
    /// Returns when [`Self::on_timer`] is due; `None` when nothing is waited for. Ask after each
    /// call, when [`Self::poll_transmit`] has returned `None`.
    #[must_use]
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        let mut first = self.timers.first();
        if self.waits_for_pace()
            && let Some(due) = self.timers.pace_due()
        {
            first = sooner(first, due);
        }
        first.map(Instant::from_micros)
    }

    /// Does what is due by `now`. Early calls do nothing.
    pub fn on_timer(&mut self, now: Instant, buffers: &mut Buffers<'_>) -> Events {
        let now = now.as_micros();
        let mut events = Events::NONE;
        let timers = &mut self.timers;
        let ack = timers.ack_runs && near(base_of(timers.base), timers.ack_at) <= now;
        let main = timers.main != Main::Stopped && timers.main_due() <= now;
        let life = timers.is_life_due(now);
        timers.note_now(now);
        self.on_pace_timer(now);
        if ack {
            self.timers.ack_runs = false;
            self.marks.set(Marks::ACK_DUE);
        }
        if main {
            self.on_main_timer(now, buffers, &mut events);
        }
        if life && self.timers.life_runs {
            self.on_life_timer(now, &mut events);
        }
        events
    }

    fn on_main_timer(&mut self, now: u64, buffers: &mut Buffers<'_>, events: &mut Events) {
        let main = self.timers.main;
        self.timers.stop();
        if main != Main::Reorder && self.is_given_up(now) {
            let soft = self.marks.has(Marks::SOFT_ERROR);
            let broken = if soft {
                Broken::Unreachable
            } else {
                Broken::TimedOut
            };
            let known = self.state != State::SynSent;
            self.finish(broken);
            self.marks.assign(Marks::RESET_DUE, known);
            events.add(Events::CLOSED);
            return;
        }
        match main {
            Main::Stopped => {}
            Main::Retransmit => self.on_retransmission_timeout(now, buffers),
            Main::TailProbe => {
                self.marks.set(Marks::TAIL_PROBE_DUE);
                self.start_retransmit(now);
            }
            Main::Reorder => self.on_reorder_timeout(now, buffers),
            Main::Persist => {
                self.marks.set(Marks::WINDOW_PROBE_DUE);
                self.rtt.back_off();
                self.start_persist(now);
            }
        }
    }

    /// Returns for how long the peer has owed an answer, and how long it may, in milliseconds.
    fn debt(&self, now: u64) -> (u32, u32) {
        let timers = &self.timers;
        let mut owed = millis(now).wrapping_sub(timers.progress_ms);
        let sixteenths = if self.state.is_opening() {
            timers.handshake
        } else {
            timers.user
        };
        if self.send.window == 0 && !self.state.is_opening() {
            // A closed window is waited for as long as the peer answers (RFC 9293, section
            // 3.8.6.1, MUST-37).
            owed = owed.min(millis(now).wrapping_sub(timers.heard_ms));
        }
        (owed, u32::from(sixteenths).saturating_mul(1_000) >> 4)
    }

    /// Returns true if the peer has not answered for as long as it may take.
    pub(super) fn is_given_up(&self, now: u64) -> bool {
        let (owed, most) = self.debt(now);
        owed >= most
    }

    /// Returns how long is left until the peer counts as gone, in microseconds.
    fn patience(&self, now: u64) -> u32 {
        let (owed, most) = self.debt(now);
        most.saturating_sub(owed).saturating_mul(1_000).max(1_000)
    }

    /// Starts the retransmission timer.
    pub(super) fn start_retransmit(&mut self, now: u64) {
        let after = self.rtt.timeout().min(self.patience(now));
        self.timers.start(Main::Retransmit, now, after);
    }

    /// Starts the timer of window probes.
    pub(super) fn start_persist(&mut self, now: u64) {
        let after = self.rtt.timeout();
        self.timers.start(Main::Persist, now, after);
    }

    /// Starts the timer of a tail loss probe if one may be sent (RFC 8985, section 7.2), and else
    /// the retransmission timer.
    pub(super) fn start_probe_or_retransmit(&mut self, now: u64) {
        let may = self.phase.is_open()
            && self.board.sacked == 0
            && self.duplicates == 0
            && self.rtt.backoff == 0
            && self.rtt.smoothed > 0
            && self.send.window > 0
            && !self.marks.has(Marks::TAIL_PROBE_OUT);
        if !may {
            return self.start_retransmit(now);
        }
        let one = self.board.len() <= 1;
        let after = self.rtt.smoothed.saturating_mul(2).saturating_add(if one {
            PEER_ACK_DELAY
        } else {
            0
        });
        if after >= self.rtt.timeout() {
            return self.start_retransmit(now);
        }
        self.timers.start(Main::TailProbe, now, after);
    }

    /// Starts the timer of a tail loss probe anew, but for no later than when the first segment on
    /// its way runs into its timeout: who sends little and often must not wait for ever.
    pub(super) fn put_off_probe(&mut self, now: u64, buffers: &Buffers<'_>) {
        self.start_probe_or_retransmit(now);
        let Some(first) = self.board.get(buffers.outstanding, 0) else {
            return;
        };
        let age = micros32(now).wrapping_sub(first.sent_at);
        let left = self.rtt.timeout().saturating_sub(age).max(1);
        self.timers.bring_forward(now, left);
    }

    fn on_life_timer(&mut self, now: u64, events: &mut Events) {
        self.timers.life_runs = false;
        match self.state {
            State::TimeWait => {
                self.finish(Broken::Not);
                events.add(Events::CLOSED);
            }
            State::FinWait2 if self.marks.has(Marks::RECEIVE_CLOSED) => {
                self.finish(Broken::Not);
                events.add(Events::CLOSED);
            }
            State::Established | State::CloseWait | State::FinWait2 => {
                self.on_keepalive(now, events);
            }
            _ => {}
        }
    }

    /// A keep-alive interval is over (RFC 9293, section 3.8.4).
    fn on_keepalive(&mut self, now: u64, events: &mut Events) {
        let every = u32::from(self.timers.keepalive).saturating_mul(1_000);
        if every == 0 {
            return;
        }
        let probes = u32::from(self.timers.probes).saturating_add(1);
        let silent = millis(now).wrapping_sub(self.timers.heard_ms);
        if silent < every {
            // The peer was heard meanwhile.
            self.timers.start_life(now, every.saturating_sub(silent));
            return;
        }
        if self.flight() == 0 {
            if probes > u32::from(KEEPALIVE_PROBES) {
                self.finish(Broken::TimedOut);
                self.marks.set(Marks::RESET_DUE);
                events.add(Events::CLOSED);
                return;
            }
            self.timers.probes = self.timers.probes.saturating_add(1);
            self.marks.set(Marks::KEEPALIVE_DUE);
        }
        self.timers.start_keepalive(now);
    }
}
