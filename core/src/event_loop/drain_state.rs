//! How far a loop that ends in order has come.

use crate::id::SocketId;
use crate::pool::wheel::NEVER;
use crate::stats::Stats;

/// Time between two looks at whether anything still comes in, in microseconds.
const LOOK_MICROS: u64 = 2_000;
/// Looks in a row at which nothing had come before all that had arrived counts as read.
const QUIET_MIN: u32 = 5;
/// Looks after which that does not matter any more: half a second.
const LOOKS_MAX: u32 = 250;
/// Time from the opening of a connection to when it is told, if others have been told before, in
/// microseconds: as long as nothing has come before all are told.
const LATE_MICROS: u64 = 10_000;
/// Late connections that are remembered one by one. If there are more, every connection that has
/// not ended its direction gets `on_drain` again.
const LATE_MAX: usize = 4;

/// How far a loop that drains has come.
///
/// ```text
///   Off ─ start ─▶ Reading ─ nothing comes any more ─▶ Telling ─▶ Ending ─ time is over ─▶ Over
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Drain {
    pub(super) step: Step,
    /// When what is left is closed, in microseconds.
    pub(super) ends_at: u64,
    late: Late,
}

/// Accepted connections that opened when others had been told already.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
struct Late {
    ids: [Option<SocketId>; LATE_MAX],
    /// There are more of them.
    are_more: bool,
    /// When they are told, in microseconds; not at all without any.
    tell_at: u64,
}

impl Late {
    const NONE: Self = Self {
        ids: [None; LATE_MAX],
        are_more: false,
        tell_at: NEVER,
    };
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
    Telling {
        from: u32,
        /// Not for the first time: those that have ended their direction are not told again.
        again: bool,
    },
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
        late: Late::NONE,
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

    /// Ends it: everything is closed, and nobody is left to be told.
    pub(super) fn end(&mut self) {
        self.step = Step::Over;
        self.late.tell_at = NEVER;
        self.late.are_more = false;
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
            Step::Telling { .. } => 0,
            Step::Ending => self.ends_at.min(self.late.tell_at),
        }
    }

    /// Returns true if the socket at this index would have been told by now.
    pub(super) fn has_passed(&self, index: u32) -> bool {
        match self.step {
            Step::Off | Step::Reading { .. } | Step::Over => false,
            Step::Telling { from, .. } => index < from,
            Step::Ending => true,
        }
    }

    /// Notes an accepted connection that has opened when others had been told already, to be told
    /// when what came with the end of its handshake has been read.
    pub(super) fn note_late(&mut self, id: SocketId, now: u64) {
        match self.late.ids.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(id);
                self.late.tell_at = now.saturating_add(LATE_MICROS);
            }
            // They do not put it off: a stream of them would do so for ever.
            None => self.late.are_more = true,
        }
    }

    /// Takes the next of those, once it is to be told; nobody asks while others are being told. If
    /// they were too many, all connections are to be told instead, some of them again.
    pub(super) fn take_late(&mut self, now: u64) -> Option<SocketId> {
        if now < self.late.tell_at {
            return None;
        }
        if self.late.are_more {
            self.late = Late::NONE;
            self.step = Step::Telling {
                from: 0,
                again: true,
            };
            return None;
        }
        let taken = self.late.ids.iter_mut().find_map(Option::take);
        if taken.is_none() {
            self.late.tell_at = NEVER;
        }
        taken
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

#[cfg(feature = "search")]
impl Drain {
    /// Hashes the step, and what is left of each time.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[crate::pool::slot::Slot<S, C>],
        now: u64,
        stats: &Stats,
        into: &mut impl core::hash::Hasher,
    ) {
        use crate::pool::slot::hash_id;
        use crate::pool::wheel::hash_time;
        let Self {
            step,
            ends_at,
            late,
        } = self;
        match *step {
            Step::Off => into.write_u8(0),
            Step::Reading {
                seen: (accepted, received),
                quiet,
                looks,
                look_at,
            } => {
                into.write_u8(1);
                into.write_u64(stats.accepted.wrapping_sub(accepted));
                into.write_u64(stats.received.wrapping_sub(received));
                into.write_u32(quiet);
                into.write_u32(looks);
                hash_time(look_at, NEVER, now, into);
            }
            Step::Telling { from, again } => {
                into.write_u8(2);
                into.write_u32(from);
                into.write_u8(u8::from(again));
            }
            Step::Ending => into.write_u8(3),
            Step::Over => into.write_u8(4),
        }
        hash_time(*ends_at, NEVER, now, into);
        let Late {
            ids,
            are_more,
            tell_at,
        } = late;
        for id in ids {
            hash_id(slots, *id, into);
        }
        into.write_u8(u8::from(*are_more));
        hash_time(*tell_at, NEVER, now, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> SocketId {
        SocketId::from_bits((1 << 32) | u64::from(index)).unwrap()
    }

    /// One that has told all it knows of.
    fn ending() -> Drain {
        Drain {
            step: Step::Ending,
            ends_at: 1_000_000,
            ..Drain::OFF
        }
    }

    #[test]
    fn a_stream_of_late_connections_ends() {
        let mut drain = ending();
        for index in 0..100 {
            let now = u64::from(index) * 9_000;
            assert_eq!(drain.take_late(now), None);
            if drain.step != Step::Ending {
                assert!(index > 4, "all get their call instead");
                return;
            }
            drain.note_late(id(index), now);
        }
        panic!("they put each other off");
    }

    #[test]
    fn a_second_drain_reads_first() {
        let mut drain = ending();
        for index in 0..9 {
            drain.note_late(id(index), 0);
        }
        drain.end();
        drain.start(500_000, 900_000, &Stats::default());
        assert_eq!(drain.take_late(510_000), None);
        assert!(matches!(drain.step, Step::Reading { .. }));
    }

    fn arrivals(received: u64) -> Stats {
        Stats {
            received,
            ..Stats::default()
        }
    }

    /// A drain that begins at 0. Returns the look, by number, at which all counts as read.
    fn read_at(
        looks: u32,
        received: impl Fn(u32) -> u64,
        is_opening: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let mut drain = Drain::OFF;
        drain.start(0, u64::MAX, &arrivals(0));
        for look in 1..=looks {
            let due = drain.due();
            let stats = arrivals(received(look));
            assert_eq!(due, u64::from(look) * LOOK_MICROS);
            assert!(
                !drain.look(due.saturating_sub(1), &stats, || false),
                "it is too early"
            );
            if drain.look(due, &stats, || is_opening(look)) {
                return Some(look);
            }
        }
        None
    }

    #[test]
    fn what_has_arrived_counts_as_read_when_nothing_comes_for_a_while() {
        assert_eq!(read_at(300, |_| 0, |_| false), Some(QUIET_MIN));
        let comes_until_7 = |look: u32| u64::from(look.min(7));
        assert_eq!(
            read_at(300, comes_until_7, |_| false),
            Some(7 + QUIET_MIN),
            "the quiet begins anew"
        );
        assert_eq!(read_at(300, |_| 0, |look| look < 20), Some(20));
    }

    #[test]
    fn a_stream_of_arrivals_is_not_waited_for() {
        assert_eq!(read_at(300, u64::from, |_| false), Some(LOOKS_MAX));
        assert_eq!(read_at(300, |_| 0, |_| true), Some(LOOKS_MAX));
    }

    #[test]
    fn slots_before_the_next_have_passed() {
        let mut drain = ending();
        assert!(drain.has_passed(9));
        drain.step = Step::Telling {
            from: 2,
            again: false,
        };
        assert_eq!(
            [1, 2, 3].map(|index| drain.has_passed(index)),
            [true, false, false]
        );
        assert!(!Drain::OFF.has_passed(0));
    }

    #[test]
    fn a_drain_has_work_until_all_is_closed() {
        let mut drain = Drain::OFF;
        assert_eq!(
            (drain.is_on(), drain.has_work(), drain.due()),
            (false, false, NEVER)
        );
        drain.start(0, 1_000, &Stats::default());
        assert_eq!(
            (drain.is_on(), drain.has_work(), drain.due()),
            (true, true, 1_000)
        );
        drain.end();
        assert_eq!(
            (drain.is_on(), drain.has_work(), drain.due()),
            (true, false, NEVER)
        );
    }
}
