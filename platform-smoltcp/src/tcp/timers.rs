//! Deadlines, and what happens when one has come.

use usockets::{Error, Instant};

use super::connection::{Connection, Marks, State};
use super::loss::recovery::Phase;
use super::memory::Buffers;
use super::segment::Events;
use super::settings::Settings;
use crate::number::low;

/// Longest that an acknowledgement waits for something to go with, in microseconds. RFC 9293,
/// section 3.8.6.3, allows less than 500 ms; 40 ms is what Linux starts with.
const ACK_DELAY: u64 = 40_000;
/// What a peer's delayed acknowledgement may take (RFC 8985, section 7.2: WCDelAckT).
const PEER_ACK_DELAY: u32 = 200_000;
/// Keep-alive probes without an answer before the connection is given up.
const KEEPALIVE_PROBES: u8 = 8;
/// No deadline.
const NEVER: u64 = u64::MAX;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// When the main timer runs out, in microseconds.
    main_at: u64,
    /// When a delayed acknowledgement goes.
    ack_at: u64,
    /// When TIME-WAIT, FIN-WAIT-2 of a closed owner, or a keep-alive interval ends.
    life_at: u64,
    /// Since when something is unacknowledged without progress, in milliseconds.
    pub(super) progress_ms: u32,
    /// When the peer was heard last, in milliseconds.
    pub(super) heard_ms: u32,
    /// How long the handshake may take, in milliseconds.
    handshake_ms: u32,
    /// Seconds between keep-alive probes; 0 for none.
    keepalive: u16,
    /// Seconds of TIME-WAIT.
    time_wait: u16,
    /// Keep-alive probes since the peer was heard.
    probes: u8,
    pub(super) main: Main,
}

impl Timers {
    /// None is running.
    pub(super) const NONE: Self = Self {
        main_at: NEVER,
        ack_at: NEVER,
        life_at: NEVER,
        progress_ms: 0,
        heard_ms: 0,
        handshake_ms: 0,
        keepalive: 0,
        time_wait: 0,
        probes: 0,
        main: Main::Stopped,
    };

    /// Takes over what an owner has chosen.
    pub(super) fn configure(&mut self, settings: &Settings, now: u64) {
        let seconds = |duration: usockets::Duration| {
            let whole = duration.as_micros().div_ceil(1_000_000);
            u16::try_from(whole).unwrap_or(u16::MAX)
        };
        let handshake = settings.handshake_timeout.as_micros().div_ceil(1_000);
        self.handshake_ms = u32::try_from(handshake).unwrap_or(u32::MAX);
        self.keepalive = settings.keepalive.map_or(0, |every| seconds(every).max(1));
        self.time_wait = seconds(settings.time_wait);
        self.progress_ms = millis(now);
        self.heard_ms = millis(now);
    }

    /// Starts the main timer anew.
    pub(super) fn start(&mut self, main: Main, now: u64, after: u32) {
        self.main = main;
        self.main_at = now.saturating_add(u64::from(after));
    }

    /// Stops the main timer.
    pub(super) const fn stop(&mut self) {
        self.main = Main::Stopped;
        self.main_at = NEVER;
    }

    /// Returns how long ago the main timer was started if it was to run for `after`.
    pub(super) fn since_start(&self, now: u64, after: u32) -> u32 {
        let started = self.main_at.saturating_sub(u64::from(after));
        u32::try_from(now.saturating_sub(started)).unwrap_or(u32::MAX)
    }

    /// Lets an acknowledgement wait, unless one waits already.
    pub(super) const fn delay_ack(&mut self, now: u64) {
        if self.ack_at == NEVER {
            self.ack_at = now.saturating_add(ACK_DELAY);
        }
    }

    /// Notes that an acknowledgement has gone.
    pub(super) const fn on_ack_sent(&mut self) {
        self.ack_at = NEVER;
    }

    /// Notes that the peer is there.
    pub(super) const fn on_heard(&mut self, now_ms: u32) {
        self.heard_ms = now_ms;
        self.probes = 0;
    }

    /// Starts TIME-WAIT, or the limit of FIN-WAIT-2.
    pub(super) fn start_time_wait(&mut self, now: u64) {
        let micros = u64::from(self.time_wait).saturating_mul(1_000_000);
        self.life_at = now.saturating_add(micros);
    }

    /// Starts the keep-alive interval, if keep-alive is on.
    pub(super) fn start_keepalive(&mut self, now: u64) {
        if self.keepalive > 0 {
            let micros = u64::from(self.keepalive).saturating_mul(1_000_000);
            self.life_at = now.saturating_add(micros);
        }
    }
}

impl Connection {
    /// Returns when [`Self::on_timer`] is due; `None` when nothing is waited for. Ask after each
    /// call, when [`Self::poll_transmit`] has returned `None`.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let timers = &self.timers;
        let first = timers.main_at.min(timers.ack_at).min(timers.life_at);
        (first != NEVER).then_some(Instant::from_micros(first))
    }

    /// Does what is due by `now`. Early calls do nothing.
    pub fn on_timer(&mut self, now: Instant, buffers: &mut Buffers<'_>) -> Events {
        let now = now.as_micros();
        let mut events = Events::NONE;
        if self.timers.ack_at <= now {
            self.timers.ack_at = NEVER;
            self.marks.set(Marks::ACK_DUE);
        }
        if self.timers.main_at <= now {
            self.on_main_timer(now, buffers, &mut events);
        }
        if self.timers.life_at <= now {
            self.on_life_timer(now, &mut events);
        }
        events
    }

    fn on_main_timer(&mut self, now: u64, buffers: &mut Buffers<'_>, events: &mut Events) {
        let main = self.timers.main;
        self.timers.stop();
        if main != Main::Reorder && self.is_given_up(now) {
            let soft = self.marks.has(Marks::SOFT_ERROR);
            let error = if soft {
                Error::Unreachable
            } else {
                Error::TimedOut
            };
            let known = self.state != State::SynSent;
            self.finish(Some(error));
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

    /// Returns since when the peer has owed an answer and how long it may, in milliseconds.
    const fn debt(&self) -> (u32, u32) {
        if self.state.is_opening() {
            (self.timers.progress_ms, self.timers.handshake_ms)
        } else if self.send.wnd == 0 {
            // A closed window is waited for as long as the peer answers (RFC 9293, section
            // 3.8.6.1, MUST-37).
            (self.timers.heard_ms, self.user_timeout)
        } else {
            (self.timers.progress_ms, self.user_timeout)
        }
    }

    /// Returns true if the peer has not answered for as long as it may take.
    fn is_given_up(&self, now: u64) -> bool {
        let (since, most) = self.debt();
        millis(now).wrapping_sub(since) >= most
    }

    /// Returns how long is left until the peer counts as gone, in microseconds.
    fn patience(&self, now: u64) -> u32 {
        let (since, most) = self.debt();
        let left = most.saturating_sub(millis(now).wrapping_sub(since));
        left.saturating_mul(1_000).max(1_000)
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
        let may = self.recovery.phase == Phase::Open
            && self.board.sacked == 0
            && self.duplicates == 0
            && self.rtt.backoff == 0
            && self.rtt.smoothed > 0
            && self.send.wnd > 0
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

    fn on_life_timer(&mut self, now: u64, events: &mut Events) {
        self.timers.life_at = NEVER;
        match self.state {
            State::TimeWait => {
                self.finish(None);
                events.add(Events::CLOSED);
            }
            State::FinWait2 if self.marks.has(Marks::RECEIVE_CLOSED) => {
                self.finish(None);
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
            let left = u64::from(every.saturating_sub(silent)).saturating_mul(1_000);
            self.timers.life_at = now.saturating_add(left);
            return;
        }
        if self.flight() == 0 {
            if probes > u32::from(KEEPALIVE_PROBES) {
                self.finish(Some(Error::TimedOut));
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
