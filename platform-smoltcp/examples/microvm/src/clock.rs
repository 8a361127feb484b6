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

/// Starts the clock, at zero.
pub(crate) fn start() {
    let [low, high] = COUNTS.to_le_bytes();
    // The first counter, once (mode 0): its output rises at the end.
    write(Port::TIMER_COMMAND, 0b0011_0000);
    write(Port::TIMER_DATA, low);
    write(Port::TIMER_DATA, high);
    Register::LOCAL_START.write(u32::MAX);
    let from = cycles();
    loop {
        // Read its status; bit 7 is the output.
        write(Port::TIMER_COMMAND, 0b1110_0010);
        if read(Port::TIMER_DATA) & 0x80 != 0 {
            break;
        }
    }
    let passed = cycles().wrapping_sub(from).max(1);
    let counted = u32::MAX.wrapping_sub(Register::LOCAL_COUNT.read());
    Register::LOCAL_START.write(0);
    let rate = (MICROS << 32).checked_div(passed).unwrap_or(0);
    MICROS_PER_CYCLES.store(rate, Ordering::Relaxed);
    TIMER_COUNTS.store(counted.into(), Ordering::Relaxed);
    START.store(cycles(), Ordering::Relaxed);
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
