//! How far a loop that ends in order has come.

use crate::pool::wheel::NEVER;
use crate::stats::Stats;

/// Time between two looks at whether anything still comes in, in microseconds.
const LOOK_MICROS: u64 = 2_000;
/// Looks in a row at which nothing had come before all that had arrived counts as read.
const QUIET_MIN: u32 = 5;
/// Looks after which that does not matter any more: half a second.
const LOOKS_MAX: u32 = 250;

/// How far a loop that drains has come.
///
/// ```text
///   Off ─ start ─▶ Reading ─ nothing comes any more ─▶ Telling ─▶ Ending ─ time is over ─▶ Over
/// ```
#[derive(Debug)]
pub(crate) struct Drain {
    pub(super) step: Step,
    /// When what is left is closed, in microseconds.
    pub(super) ends_at: u64,
}

/// A step of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Off,
    /// Listeners take who waits, and what has arrived is read.
    Reading {
        /// What had come at the last look.
        seen: Arrived,
        /// Looks in a row at which nothing had come.
        quiet: u32,
        looks: u32,
        look_at: u64,
    },
    /// Listeners stop and connections are told, from this slot on.
    Telling(u32),
    /// What is under way ends by itself.
    Ending,
    /// Everything has been closed.
    Over,
}

/// Connections accepted and bytes received so far.
type Arrived = (u64, u64);

impl Drain {
    pub(crate) const OFF: Self = Self {
        step: Step::Off,
        ends_at: NEVER,
    };

    /// Starts, or gives what has started another time to end.
    pub(crate) fn start(&mut self, now: u64, ends_at: u64, stats: &Stats) {
        self.ends_at = ends_at;
        if matches!(self.step, Step::Off | Step::Over) {
            self.step = Step::Reading {
                seen: arrived(stats),
                quiet: 0,
                looks: 0,
                look_at: now.saturating_add(LOOK_MICROS),
            };
        }
    }

    /// Returns true from the start on.
    pub(crate) fn is_on(&self) -> bool {
        self.step != Step::Off
    }

    /// Returns true until everything has been closed.
    pub(crate) fn has_work(&self) -> bool {
        !matches!(self.step, Step::Off | Step::Over)
    }

    /// Returns when there is something to do, in microseconds.
    #[inline]
    pub(crate) fn due(&self) -> u64 {
        if !self.has_work() {
            return NEVER;
        }
        match self.step {
            Step::Off | Step::Over => NEVER,
            Step::Reading { look_at, .. } => look_at.min(self.ends_at),
            Step::Telling(_) => 0,
            Step::Ending => self.ends_at,
        }
    }

    /// Looks whether anything has come. Returns true when all that had arrived counts as read, if
    /// `is_opening` does not tell that connections are still opening.
    pub(super) fn look(
        &mut self,
        now: u64,
        stats: &Stats,
        is_opening: impl FnOnce() -> bool,
    ) -> bool {
        let Step::Reading {
            seen,
            quiet,
            looks,
            look_at,
        } = &mut self.step
        else {
            return false;
        };
        if now < *look_at {
            return false;
        }
        let before = core::mem::replace(seen, arrived(stats));
        *quiet = match before == *seen {
            true => quiet.saturating_add(1),
            false => 0,
        };
        *looks = looks.saturating_add(1);
        *look_at = now.saturating_add(LOOK_MICROS);
        *looks >= LOOKS_MAX || *quiet >= QUIET_MIN && !is_opening()
    }
}

const fn arrived(stats: &Stats) -> Arrived {
    (stats.accepted, stats.received)
}
