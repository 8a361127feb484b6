//! Timers: the library's own, as those of the core take a slot of the pool.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_uint, c_void};

use usockets::Error;

use crate::block;
use crate::handles::{LoopRef, OnTimer, TimerRef, us_timer_t};
use crate::listen::none;

/// The armed timers of a loop: a binary heap, whose entries know their places.
///
/// Room for a timer is made when it is created, so that arming it cannot fail.
#[derive(Default)]
pub(crate) struct Timers {
    heap: RefCell<Vec<TimerRef>>,
    /// When the first is due, in microseconds; 0 if none is armed.
    first: Cell<u64>,
    created: Cell<usize>,
}

impl Timers {
    /// Returns when the first is due, in microseconds.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        let first = self.first.get();
        (first != 0).then_some(first)
    }

    fn note_first(&self) {
        let first = self
            .heap
            .borrow()
            .first()
            .map_or(0, |timer| timer.due.get());
        self.first.set(first);
    }

    /// Makes room for one more; whether there is memory.
    fn reserve(&self) -> bool {
        let mut heap = self.heap.borrow_mut();
        let more = (self.created.get() + 1).saturating_sub(heap.len());
        let has_room = heap.try_reserve(more).is_ok();
        self.created.set(self.created.get() + usize::from(has_room));
        has_room
    }

    fn arm(&self, timer: TimerRef, due: u64) {
        self.disarm(timer);
        timer.due.set(due.max(1));
        let mut heap = self.heap.borrow_mut();
        heap.push(timer);
        let last = heap.len() - 1;
        sift_up(&mut heap, last);
        drop(heap);
        self.note_first();
    }

    fn disarm(&self, timer: TimerRef) {
        let Some(place) = timer.place.take().checked_sub(1) else {
            return;
        };
        let mut heap = self.heap.borrow_mut();
        heap.swap_remove(place);
        if place < heap.len() {
            let place = sift_up(&mut heap, place);
            sift_down(&mut heap, place);
        }
        drop(heap);
        self.note_first();
    }

    /// Calls those that are due at `now`. One that is armed meanwhile, for a time that has come
    /// already, waits for the next iteration.
    pub(crate) fn fire(&self, now: u64) {
        let count = self.heap.borrow().len();
        for _ in 0..count {
            let Some(timer) = self.heap.borrow().first().copied() else {
                return;
            };
            let due = timer.due.get();
            if due > now {
                return;
            }
            match (now - due).checked_div(timer.period.get()) {
                None => self.disarm(timer),
                // Repeats that passed unseen are one call; what follows does not drift.
                Some(missed) => {
                    self.arm(timer, due + timer.period.get().saturating_mul(missed + 1));
                }
            }
            if let Some(callback) = timer.callback.get() {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(timer) };
            }
        }
    }
}

fn swap(heap: &mut [TimerRef], one: usize, other: usize) {
    heap.swap(one, other);
    for place in [one, other] {
        if let Some(timer) = heap.get(place) {
            timer.place.set(place + 1);
        }
    }
}

fn due(heap: &[TimerRef], place: usize) -> u64 {
    heap.get(place).map_or(u64::MAX, |timer| timer.due.get())
}

fn sift_up(heap: &mut [TimerRef], mut place: usize) -> usize {
    while place > 0 && due(heap, place) < due(heap, (place - 1) / 2) {
        swap(heap, place, (place - 1) / 2);
        place = (place - 1) / 2;
    }
    if let Some(timer) = heap.get(place) {
        timer.place.set(place + 1);
    }
    place
}

fn sift_down(heap: &mut [TimerRef], mut place: usize) {
    loop {
        let left = 2 * place + 1;
        let least = if due(heap, left + 1) < due(heap, left) {
            left + 1
        } else {
            left
        };
        if due(heap, least) >= due(heap, place) {
            return;
        }
        swap(heap, place, least);
        place = least;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_timer(
    lp: LoopRef,
    fallthrough: c_int,
    ext: c_uint,
) -> Option<TimerRef> {
    lp.check_thread();
    let counts = fallthrough == 0;
    let timer = us_timer_t {
        lp,
        callback: Cell::new(None),
        due: Cell::new(0),
        period: Cell::new(0),
        place: Cell::new(0),
        counts,
    };
    if !lp.timers.reserve() {
        return none(Error::Exhausted);
    }
    let timer = TimerRef::allocate(timer, ext as usize);
    if timer.is_none() {
        lp.timers.created.set(lp.timers.created.get() - 1);
    } else if counts {
        lp.count_up();
    }
    timer
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_timer_ext(timer: TimerRef) -> *mut c_void {
    timer.ext()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_timer_loop(timer: TimerRef) -> LoopRef {
    timer.lp
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_timer_set(
    timer: TimerRef,
    callback: OnTimer,
    ms: c_int,
    repeat_ms: c_int,
) {
    let lp = timer.lp;
    timer.callback.set(callback);
    let repeat = u64::try_from(repeat_ms).unwrap_or(0);
    timer.period.set(repeat.saturating_mul(1_000));
    let first = if ms > 0 { ms } else { repeat_ms };
    match u64::try_from(first) {
        Ok(first) if first > 0 => {
            let now = lp.with(|net| net.now().as_micros());
            lp.timers
                .arm(timer, now.saturating_add(first.saturating_mul(1_000)));
        }
        _ => lp.timers.disarm(timer),
    }
    lp.note_wait_max();
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_timer_close(timer: TimerRef) {
    let lp = timer.lp;
    lp.check_thread();
    lp.timers.disarm(timer);
    lp.timers
        .created
        .set(lp.timers.created.get().saturating_sub(1));
    if timer.counts {
        lp.count_down();
    }
    lp.note_wait_max();
    // SAFETY: the program was told that the block is gone. It is not among the armed ones.
    unsafe { block::free(timer.block()) };
}
