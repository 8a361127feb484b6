//! The time: the processor's cycle counter, and the local APIC's timer to be woken by. What both
//! count in is found out at the start, by the one clock of a PC whose rate is known.

use core::sync::atomic::{AtomicU64, Ordering};

use usockets::Instant;

use crate::port::{Port, Register, cycles, read, write};

/// Counts of the timer chip, at 1,193,182 Hz, in which the others are measured.
const COUNTS: u16 = 23_864;
/// The same in microseconds.
const MICROS: u64 = 20_000;

static START: AtomicU64 = AtomicU64::new(0);
/// Microseconds per 2^32 cycles.
static MICROS_PER_CYCLES: AtomicU64 = AtomicU64::new(0);
/// Counts of the local timer in [`MICROS`].
static TIMER_COUNTS: AtomicU64 = AtomicU64::new(1);

/// How often it is measured at most, until what is not known of it is a hundredth.
const TRIES: u32 = 50;
const DOUBT: u64 = 100;

/// Starts the clock, at zero.
pub(crate) fn start() {
    let mut best = measure();
    for _ in 1..TRIES {
        if best.doubt.saturating_mul(DOUBT) < best.cycles {
            break;
        }
        let another = measure();
        if another.doubt < best.doubt {
            best = another;
        }
    }
    let rate = (MICROS << 32).checked_div(best.cycles).unwrap_or(0);
    MICROS_PER_CYCLES.store(rate, Ordering::Relaxed);
    TIMER_COUNTS.store(best.timer.into(), Ordering::Relaxed);
    START.store(cycles(), Ordering::Relaxed);
}

/// What was counted in [`MICROS`].
struct Measured {
    cycles: u64,
    timer: u32,
    /// How many of the cycles may have been before or after that time: a virtual processor can
    /// stand still at any instruction, for longer than all of this takes.
    doubt: u64,
}

/// Counts both for [`COUNTS`] of the timer chip.
fn measure() -> Measured {
    let [low, high] = COUNTS.to_le_bytes();
    let before = cycles();
    // The first counter, once (mode 0): its output rises at the end.
    write(Port::TIMER_COMMAND, 0b0011_0000);
    write(Port::TIMER_DATA, low);
    write(Port::TIMER_DATA, high);
    Register::LOCAL_START.write(u32::MAX);
    let from = cycles();
    let mut looked = from;
    loop {
        // Keep its status, to be read; bit 7 is the output.
        let now = cycles();
        write(Port::TIMER_COMMAND, 0b1110_0010);
        if read(Port::TIMER_DATA) & 0x80 != 0 {
            break;
        }
        looked = now;
    }
    let timer = u32::MAX.wrapping_sub(Register::LOCAL_COUNT.read());
    let end = cycles();
    Register::LOCAL_START.write(0);
    let (start_doubt, end_doubt) = (from.wrapping_sub(before), end.wrapping_sub(looked));
    Measured {
        cycles: end.wrapping_sub(from).max(1),
        timer: timer.max(1),
        doubt: start_doubt.saturating_add(end_doubt),
    }
}

/// Returns the time since the start.
pub(crate) fn now() -> Instant {
    let passed = cycles().wrapping_sub(START.load(Ordering::Relaxed));
    let micros =
        u128::from(passed).saturating_mul(MICROS_PER_CYCLES.load(Ordering::Relaxed).into());
    Instant::from_micros(u64::try_from(micros >> 32).unwrap_or(u64::MAX))
}

/// Interrupts at `until` or some time before; never if there is no such time.
pub(crate) fn arm(until: Option<Instant>) {
    let Some(until) = until else {
        return Register::LOCAL_START.write(0);
    };
    let left = until.as_micros().saturating_sub(now().as_micros());
    let counts = left.saturating_mul(TIMER_COUNTS.load(Ordering::Relaxed));
    let counts = counts.checked_div(MICROS).unwrap_or(0);
    Register::LOCAL_START.write(u32::try_from(counts).unwrap_or(u32::MAX).max(1));
}
