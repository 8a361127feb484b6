//! What a loop remembers beside its slots.

use crate::event_loop::drain_state::Drain;
use crate::id::SocketId;
use crate::invariant::breach;
use crate::platform::{Platform, Readiness};
use crate::pool::closing::ClosingQueue;
use crate::pool::flags::Phase;
use crate::pool::free_list::FreeList;
use crate::pool::run_queue::RunQueue;
use crate::pool::slot::{Deadline, Slot, count_out, find, find_known};
use crate::pool::waiting::WaitingListeners;
use crate::pool::wheel::Wheel;
use crate::stats::Stats;

/// Is false in programs in which a panic aborts: nothing is recovered there.
pub(super) const UNWINDS: bool = cfg!(panic = "unwind");

/// The last time, in microseconds: a clock that goes further counts as standing still there. So the
/// next tick, and the next turn of the wheel's top level, are always times as well.
const TIME_MAX: u64 = u64::MAX >> 1;

/// Everything of a loop that is neither per slot nor lent by the caller, but for what evicting
/// looks at (`evict.rs`). Each part keeps its own invariants; what involves several is a method
/// here.
///
/// | field | set by | cleared by | otherwise |
/// |---|---|---|---|
/// | `clock` | who asks for the time | `poll`, `net`, `all_sockets` | not cleared: time stops |
/// | `free_list` | `claim` takes a slot | `give_back` | not cleared: the pool runs out |
/// | `run_queue` | who finds work left | `pop`, in the next iteration | not set: a socket stalls |
/// | `closing` | `close` | `report_closes` | not set: an `on_close` is not made |
/// | `waiting` | `stall`, `unmute` | `end_try`, `give_back` | not set: a listener stops |
/// | `wheel` | timeouts and timers | `expire`, `close`, `give_back` | not set: a call is not made |
/// | `cork` | `Net::cork` | `flush_and_uncork`, `discard_cork` | not cleared: no other can cork |
/// | `drain` | `Net::drain`, also from `Over` | never: it ends as `Over` | |
/// | `turn` | who serves a socket | `end_turn`, `recover` | not cleared: see below |
/// | `half_done` | an opening or closing call | `take`, see below | not set: a slot is lost |
/// | `stats` | who counts | never | |
/// | `has_reports` | `Unserved`, if a call unwinds | `recover` | not cleared: no wait again |
/// | `has_end_work` | who leaves such work | `do_end_work` | not set: the work waits for ever |
/// | `needs_more` | what leaves more to do | `end_turn`, `recover` | not set: a turn ends early |
/// | `keep_alive` | `Net::keep_alive` | the same call | not set: `run` returns too early |
///
/// A `turn` that is not cleared has the next socket served with this one's reads and readiness.
/// `half_done` is taken after the call; if that unwound, by `recover` or `do_end_work`.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) free_list: FreeList,
    pub(crate) run_queue: RunQueue,
    pub(crate) closing: ClosingQueue,
    pub(crate) waiting: WaitingListeners,
    pub(crate) wheel: Wheel,
    pub(crate) cork: Cork,
    pub(crate) drain: Drain,
    pub(crate) turn: Turn,
    pub(crate) half_done: HalfDone,
    pub(crate) stats: Stats,
    /// Whether reports of the last wait are still to be taken, as a call unwound before the last of
    /// them was served. Then `has_end_work` is true as well, until the next iteration begins.
    pub(crate) has_reports: bool,
    /// Whether [`Loop::end_iteration`](crate::Loop) has anything to do: a corked socket, a closing
    /// one, a slot for a listener that waits, a retry by the clock, or draining.
    pub(crate) has_end_work: bool,
    /// Whether more follows the one read of a usual report: the platform has more bytes, a turn is
    /// on, or an `on_close` is due. Set by what causes it, cleared when a turn ends; while nothing
    /// follows it may be true, and then the next usual report only ends a turn that has nothing to
    /// do. One flag for all, as every report looks at it (saves two instructions of an echo;
    /// callgrind).
    pub(crate) needs_more: bool,
    /// Whether the loop runs on although nothing is left that could make a call.
    pub(crate) keep_alive: bool,
}

/// The time of the running iteration.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Clock {
    /// In microseconds, once it has been asked for.
    now: Option<u64>,
    /// The latest time that was ever told.
    latest: u64,
}

/// Which socket holds the cork, and how many bytes are in it.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Cork {
    pub(crate) holder: Option<SocketId>,
    pub(crate) len: usize,
}

/// The cork's bytes, the loop's. Behind a trait object only to keep their lifetime out of
/// the types that users name; a slice would also take two registers on paths that never cork.
pub(crate) trait CorkMemory {
    fn bytes(&mut self) -> &mut [u8];
}

impl CorkMemory for &mut [u8] {
    fn bytes(&mut self) -> &mut [u8] {
        self
    }
}

/// What is to be served next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Which socket.
    pub(super) id: SocketId,
    /// What was reported of it; nothing, if it comes from the run queue;
    /// [`Readiness::READ_AGAIN`] if it was just served and is to be read once more; or what a call
    /// that unwound has left ([`Turn::next`]).
    pub(super) readiness: Readiness,
}

/// How far the socket that is being served has come, if it takes more than one read.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Turn {
    /// Whose it is.
    pub(super) id: Option<SocketId>,
    /// What was reported, which matters again when it has been read.
    pub(super) reported: Option<Readiness>,
    /// Reads that it has left in this iteration; 0 outside a turn.
    pub(super) reads_left: u8,
    /// The platform may have more than it gave with the last read.
    pub(super) has_more: bool,
    /// What the socket is to be dispatched with before anything else: `READ_AGAIN` or, after a call
    /// unwound, what its turn had still to do (`recover.rs`).
    pub(super) next: Option<Readiness>,
}

/// What a call that unwinds leaves half done. The next iteration undoes it.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct HalfDone {
    /// The connection whose `on_pre_open` or `on_open` is being made: it has no data yet. If that
    /// unwinds, `Loop::recover` gives it up.
    pub(super) opening: Noted,
    /// The socket whose `on_close` is being made: its data is still to be dropped. If that unwinds,
    /// `Loop::do_end_work` drops it.
    pub(super) closing: Noted,
}

/// A link to the slot that a call is made of, while it is made.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Noted(u32);

impl Noted {
    /// Notes whose call is made.
    pub(super) const fn note(&mut self, id: SocketId) {
        if UNWINDS {
            self.0 = id.index().wrapping_add(1);
        }
    }

    /// Notes that it was made. Returns the index of the slot, if one was noted.
    pub(super) fn take(&mut self) -> Option<u32> {
        if !UNWINDS {
            return None;
        }
        core::mem::take(&mut self.0).checked_sub(1)
    }
}

impl Turn {
    pub(super) const fn is_on(&self) -> bool {
        self.reads_left != 0
    }
}

impl Clock {
    /// Returns the iteration's time in microseconds. The platform is asked once.
    #[inline]
    pub(crate) fn now_micros<P: Platform>(&mut self, platform: &P, stats: &mut Stats) -> u64 {
        match self.now {
            Some(now) => now,
            None => self.read(platform, stats),
        }
    }

    fn read<P: Platform>(&mut self, platform: &P, stats: &mut Stats) -> u64 {
        let mut now = platform.now().as_micros();
        // As signed numbers, what is beyond `TIME_MAX` is less as well.
        if now.cast_signed() < self.latest.cast_signed() {
            breach!(stats);
            now = now.min(TIME_MAX).max(self.latest);
        }
        self.latest = now;
        self.now = Some(now);
        now
    }

    /// Forgets the time, which is read anew when it is next asked for.
    #[inline]
    pub(crate) const fn expire(&mut self) {
        self.now = None;
    }
}

impl State {
    /// Nothing is on any list; the clock stands at `micros`.
    pub(crate) fn new(micros: u64) -> Self {
        let micros = micros.min(TIME_MAX);
        Self {
            clock: Clock {
                now: None,
                latest: micros,
            },
            free_list: FreeList::default(),
            run_queue: RunQueue::default(),
            closing: ClosingQueue::default(),
            waiting: WaitingListeners::default(),
            wheel: Wheel::new(micros),
            cork: Cork::default(),
            drain: Drain::OFF,
            turn: Turn::default(),
            half_done: HalfDone::default(),
            stats: Stats::default(),
            has_reports: false,
            has_end_work: false,
            needs_more: false,
            keep_alive: false,
        }
    }

    /// Returns the iteration's number, wrapping, for [`Slot::received_at`].
    #[inline]
    pub(crate) fn iteration(&self) -> u32 {
        u32::try_from(self.stats.iterations & 0xffff_ffff).unwrap_or_default()
    }

    /// Returns true if a socket is to be read again, or one that the last iteration left is to be
    /// served, before the platform's next report.
    #[inline]
    pub(crate) const fn has_own_work(&self) -> bool {
        self.turn.next.is_some() || self.run_queue.serving() != 0
    }

    /// Returns the iteration's time in microseconds.
    #[inline]
    pub(crate) fn now_micros<P: Platform>(&mut self, platform: &P) -> u64 {
        self.clock.now_micros(platform, &mut self.stats)
    }

    /// Returns how many slots are in use.
    pub(crate) const fn in_use(&self) -> u32 {
        self.free_list.in_use()
    }

    /// Returns the counters.
    pub(crate) const fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.in_use = self.free_list.in_use();
        stats
    }

    /// Takes a slot into use that has no deadline, no phase and no socket yet.
    pub(crate) fn claim<S, C>(&mut self, slots: &mut [Slot<S, C>]) -> Option<SocketId> {
        self.free_list.claim(slots)
    }

    /// Gives a slot back: its id is stale from now on, and the slot can be claimed again at once.
    pub(crate) fn give_back<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        let Some(slot) = find_known(slots, id) else {
            return;
        };
        if slot.phase() == Phase::Listening {
            self.waiting.remove(slots, id.index());
        } else {
            self.wheel.remove(slots, id.index());
        }
        self.leave_listener(slots, id);
        self.free_list.give_back(slots, id);
        self.note_room();
    }

    /// Counts a connection out of its listener's.
    fn leave_listener<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        let listener = find(slots, id).and_then(|slot| {
            let index = slot.listener.checked_sub(1);
            slot.listener = 0;
            index
        });
        if let Some(listener) = listener {
            count_out(slots, listener);
        }
    }

    /// Notes that there may be room: a slot became free, or a socket may be evicted now. Listeners
    /// that wait get their turns.
    pub(crate) const fn note_room(&mut self) {
        self.waiting.resume_all();
        if self.waiting.has_next() {
            self.has_end_work = true;
        }
    }

    /// Puts an open socket, which leaves the wheel, among those whose `on_close` is due. On the run
    /// queue it stays, where nothing is done for it any more.
    pub(crate) fn close<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        id: SocketId,
        phase: Phase,
        reason: u32,
    ) {
        self.wheel.remove(slots, id.index());
        if let Some(slot) = find(slots, id) {
            slot.enter(phase, reason);
            slot.deadline = Deadline::NEVER;
            self.closing.push(slots, id);
            self.has_end_work = true;
            self.needs_more = true;
        }
    }
}

#[cfg(feature = "search")]
impl State {
    /// Hashes what influences the future of the loop. `now` is the platform's time.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        now: u64,
        into: &mut impl core::hash::Hasher,
    ) {
        use crate::pool::slot::hash_id;
        let Self {
            clock,
            free_list,
            run_queue,
            closing,
            waiting,
            wheel,
            cork,
            drain,
            turn,
            half_done,
            // Counters. What is compared with one of them is hashed as the difference.
            stats,
            has_reports,
            has_end_work,
            needs_more,
            keep_alive,
        } = self;
        // `latest` only bounds the time of a platform whose clock runs back.
        let Clock {
            now: read,
            latest: _,
        } = clock;
        into.write_u8(u8::from(read.is_some()));
        free_list.fingerprint(slots, into);
        run_queue.fingerprint(slots, into);
        closing.fingerprint(slots, into);
        waiting.fingerprint(slots, now, into);
        wheel.fingerprint(slots, now, into);
        // The loop hashes the bytes.
        let Cork { holder, len } = cork;
        hash_id(slots, *holder, into);
        into.write_usize(*len);
        drain.fingerprint(slots, now, stats, into);
        let Turn {
            id,
            reported,
            reads_left,
            has_more,
            next,
        } = turn;
        // Of a turn that is over, the id means nothing.
        if *reads_left != 0 || next.is_some() {
            hash_id(slots, *id, into);
        }
        into.write_u32(reported.map_or(0, |rest| rest.bits().wrapping_add(1)));
        into.write_u8(*reads_left);
        into.write_u8(u8::from(*has_more));
        into.write_u32(next.map_or(0, |next| next.bits().wrapping_add(1)));
        let HalfDone {
            opening: Noted(opening),
            closing: Noted(closing),
        } = half_done;
        into.write_u32(*opening);
        into.write_u32(*closing);
        for flag in [has_reports, has_end_work, needs_more, keep_alive] {
            into.write_u8(u8::from(*flag));
        }
    }
}
