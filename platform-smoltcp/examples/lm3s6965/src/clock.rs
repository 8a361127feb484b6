//! The time, and being woken at one: SysTick, the processor's 24-bit counter.
//!
//! It counts down from the next deadline and interrupts there; the time is the sum of the periods
//! that are over and what has passed of the running one. Arming it loses a few cycles each time,
//! so the clock is late by some millionths, and never early.

use core::cell::Cell;

use cortex_m::interrupt::{self, CriticalSection, Mutex};
use usockets::Instant;

use crate::registers::{TICK_CONTROL, TICK_COUNT, TICK_RELOAD};

/// Cycles of the processor per microsecond.
pub(crate) const CYCLES_PER_MICRO: u64 = 50;
/// Longest period: 335 ms.
const PERIOD_MAX: u32 = 1 << 24;
/// Shortest period, 20 µs: longer than interrupts are masked.
const PERIOD_MIN: u32 = 1_000;
/// Stopped, by the processor's clock: the board has no other.
const CONTROL_OFF: u32 = 0b100;
/// Counting, with interrupt.
const CONTROL_ON: u32 = 0b111;
/// The counter has passed zero since the control register was last read.
const CONTROL_WRAPPED: u32 = 1 << 16;

/// How far the time is, in cycles.
#[derive(Clone, Copy)]
struct State {
    /// When the running period began.
    start: u64,
    /// The latest time that was told.
    told: u64,
    period: u32,
}

static STATE: Mutex<Cell<State>> = Mutex::new(Cell::new(State {
    start: 0,
    told: 0,
    period: PERIOD_MAX,
}));

/// Starts the clock, at zero.
pub(crate) fn start() {
    interrupt::free(|section| restart(section, PERIOD_MAX));
}

/// Returns the time since the start.
#[must_use]
pub fn now() -> Instant {
    interrupt::free(read)
}

/// As [`now`], where interrupts are masked already.
pub(crate) fn read(section: &CriticalSection) -> Instant {
    let cycles = cycles(section);
    Instant::from_micros(cycles.checked_div(CYCLES_PER_MICRO).unwrap_or(0))
}

/// Interrupts at `until` or some time before; once in a while if there is no such time.
pub(crate) fn arm(section: &CriticalSection, until: Option<Instant>) {
    let now = cycles(section);
    let end = until.map_or(u64::MAX, |until| {
        until.as_micros().saturating_mul(CYCLES_PER_MICRO)
    });
    let period = u32::try_from(end.saturating_sub(now)).unwrap_or(PERIOD_MAX);
    restart(section, period.clamp(PERIOD_MIN, PERIOD_MAX));
}

/// Counts a period that is over. Called by the interrupt, so that none is missed.
pub(crate) fn tick() {
    interrupt::free(cycles);
}

/// Begins a period now.
fn restart(section: &CriticalSection, period: u32) {
    let now = cycles(section);
    TICK_CONTROL.write(CONTROL_OFF);
    TICK_RELOAD.write(period.saturating_sub(1));
    TICK_COUNT.write(0);
    TICK_CONTROL.write(CONTROL_ON);
    STATE.borrow(section).set(State {
        start: now,
        told: now,
        period,
    });
}

/// Returns the cycles since the start.
fn cycles(section: &CriticalSection) -> u64 {
    let cell = STATE.borrow(section);
    let mut state = cell.get();
    let mut count = TICK_COUNT.read();
    // Reading the status clears its bit.
    if TICK_CONTROL.read() & CONTROL_WRAPPED != 0 {
        count = TICK_COUNT.read();
        state.start = state.start.saturating_add(state.period.into());
    }
    // The counter starts at zero, is reloaded, and reaches zero again a period later.
    let passed = match count {
        0 => 0,
        count => state.period.saturating_sub(count),
    };
    let now = state.start.saturating_add(passed.into());
    state.told = state.told.max(now);
    cell.set(state);
    state.told
}
