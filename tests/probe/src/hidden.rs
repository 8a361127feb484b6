//! Values that the optimiser knows nothing about.

use core::arch::asm;

/// Returns some number.
#[inline(never)]
pub fn word() -> u32 {
    let mut word = 0_usize;
    // SAFETY: no instruction at all, but the compiler must take it for one that changes the value.
    unsafe { asm!("/* {0} */", inout(reg) word, options(nomem, nostack, preserves_flags)) };
    word as u32
}

/// Returns some value in the place of this one.
pub fn hidden<T>(mut value: T) -> T {
    let at = &raw mut value;
    // SAFETY: no instruction at all, but the compiler must take it for one that writes there.
    unsafe { asm!("/* {0} */", in(reg) at, options(nostack, preserves_flags)) };
    value
}

/// Fills `bytes` with anything.
pub fn fill(bytes: &mut [u8]) {
    // SAFETY: no instruction at all, but the compiler must take it for one that writes there.
    unsafe { asm!("/* {0} */", in(reg) bytes.as_mut_ptr(), options(nostack, preserves_flags)) };
}

/// Returns some bytes.
pub fn bytes() -> &'static [u8] {
    hidden(&[])
}

/// Returns some text.
pub fn text() -> &'static str {
    hidden("")
}

/// Returns some longer number.
pub fn long() -> u64 {
    u64::from(word()) << 32 | u64::from(word())
}

/// Returns some length, which may be beyond every slice.
pub fn len() -> usize {
    // No target has a shorter one.
    word() as usize
}

/// Returns yes or no.
pub fn yes() -> bool {
    word() & 1 != 0
}
