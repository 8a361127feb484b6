//! How much memory is used: statics, by the linker's word, and the stack, which is painted before
//! it is used.

/// What the stack is painted with.
pub(crate) const PAINT: u32 = 0xcccc_cccc;

#[expect(unsafe_code, reason = "the linker knows where everything is")]
unsafe extern "C" {
    static bss_start: u32;
    static bss_end: u32;
    static stack_bottom: u32;
    static stack_top: u32;
}

/// Returns the bytes of statics that start as zero, which all large ones do.
pub(crate) fn statics() -> u64 {
    between(&raw const bss_start, &raw const bss_end)
}

/// Returns the bytes of the stack.
pub(crate) fn stack() -> u64 {
    between(&raw const stack_bottom, &raw const stack_top)
}

/// Returns the most bytes of the stack that were in use so far.
#[expect(unsafe_code, reason = "nobody lends the stack")]
pub(crate) fn stack_peak() -> u64 {
    let (mut low, high) = (&raw const stack_bottom, &raw const stack_top);
    while low < high {
        // SAFETY: between the two there is memory, and none of it changes meanwhile: what is
        // still painted is unused, and the first word that is not ends the loop.
        if unsafe { low.read_volatile() } != PAINT {
            break;
        }
        low = low.wrapping_add(1);
    }
    between(low, high)
}

fn between(low: *const u32, high: *const u32) -> u64 {
    u64::try_from(high.addr().saturating_sub(low.addr())).unwrap_or(u64::MAX)
}
