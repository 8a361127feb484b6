//! How deep the stack gets: it is painted below where a call begins, and looked at afterwards.

use std::hint::black_box;

/// Bytes that are painted, more than any call uses.
const DEPTH: usize = 256 * 1_024;
const COLOUR: u8 = 0xa5;
/// Bytes right below the painter's frame that are left alone.
const MARGIN: usize = 512;

/// Calls `f` on a thread whose stack is deep enough for [`used_by`].
pub fn on_deep_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(4 * DEPTH)
            .spawn_scoped(scope, f)
            .expect("a thread")
            .join()
            .expect("no panic")
    })
}

/// Returns the most bytes of stack that the call takes. Only for [`on_deep_stack`].
#[inline(never)]
pub fn used_by(f: &mut dyn FnMut()) -> usize {
    let top = paint();
    black_box(f)();
    used(top)
}

/// Paints the stack below; returns where.
#[inline(never)]
fn paint() -> usize {
    let mut here = 0_u8;
    let top: *mut u8 = black_box(&raw mut here);
    for offset in MARGIN..DEPTH {
        // SAFETY: the thread's stack is mapped, four times as long as this; nothing lives below
        // this function's frame, which is smaller than the margin.
        unsafe { top.wrapping_sub(offset).write_volatile(COLOUR) };
    }
    top.addr()
}

/// Returns how far below `top` the paint is gone.
#[inline(never)]
fn used(top: usize) -> usize {
    let mut here = 0_u8;
    let own: *mut u8 = black_box(&raw mut here);
    for offset in (MARGIN..DEPTH).rev() {
        let address = top - offset;
        // SAFETY: as above; every byte there has been written by `paint`.
        let byte = unsafe { own.with_addr(address).read_volatile() };
        if byte != COLOUR {
            return offset;
        }
    }
    MARGIN
}
