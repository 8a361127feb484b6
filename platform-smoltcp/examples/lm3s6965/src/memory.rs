//! How much memory is used: statics, by the linker's word, and the stack, which the start-up code
//! paints, so that its use shows.

use cortex_m_rt::STACK_PAINT_VALUE;

#[expect(unsafe_code, reason = "the linker knows where everything is")]
unsafe extern "C" {
    /// The lowest word of the stack.
    static _stack_end: u32;
    /// Behind its highest word.
    static _stack_start: u32;
    /// Where the statics start.
    static __sdata: u32;
    /// Behind the last of them.
    static __euninit: u32;
}

/// Returns the bytes of all statics.
#[must_use]
pub fn statics() -> u64 {
    between(&raw const __sdata, &raw const __euninit)
}

/// Returns the bytes of the stack.
#[must_use]
pub fn stack() -> u64 {
    between(&raw const _stack_end, &raw const _stack_start)
}

/// Returns the most bytes of the stack that were in use so far.
#[expect(unsafe_code, reason = "nobody lends the stack")]
#[must_use]
pub fn stack_peak() -> u64 {
    let (mut low, high) = (&raw const _stack_end, &raw const _stack_start);
    while low < high {
        // SAFETY: between the two there is memory, and none of it changes meanwhile: what is
        // still painted is unused, and the first word that is not ends the loop.
        if unsafe { low.read_volatile() } != STACK_PAINT_VALUE {
            break;
        }
        low = low.wrapping_add(1);
    }
    between(low, high)
}

fn between(low: *const u32, high: *const u32) -> u64 {
    u64::try_from(high.addr().saturating_sub(low.addr())).unwrap_or(u64::MAX)
}
