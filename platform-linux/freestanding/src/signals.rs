//! Stopping a program in order by SIGINT or SIGTERM.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicPtr, Ordering};

use usockets::{Error, Waker};
use usockets_linux::EventFd;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// `rt_sigaction` and `rt_sigreturn` on x86-64.
const RT_SIGACTION: usize = 13;
/// The action has a restorer, which x86-64 demands; interrupted calls are made again.
const SA_RESTORER: usize = 0x0400_0000;
const SA_RESTART: usize = 0x1000_0000;

/// What the kernel takes (`struct sigaction` of `linux/signal.h`, not libc's).
#[repr(C)]
struct Action {
    handler: extern "C" fn(i32),
    flags: usize,
    restorer: unsafe extern "C" fn() -> !,
    mask: u64,
}

/// Whom to wake.
static WAKER: AtomicPtr<Waker<EventFd>> = AtomicPtr::new(core::ptr::null_mut());

/// Lets SIGINT and SIGTERM use a waker from now on.
///
/// # Errors
/// [`Error::Invalid`] when the kernel does not take it (`rt_sigaction(2)`).
pub fn stop_signals(waker: &'static Waker<EventFd>) -> Result<(), Error> {
    WAKER.store(core::ptr::from_ref(waker).cast_mut(), Ordering::Release);
    let action = Action {
        handler: on_signal,
        flags: SA_RESTORER | SA_RESTART,
        restorer,
        mask: 0,
    };
    for signal in [SIGINT, SIGTERM] {
        let result: isize;
        // SAFETY: the action is valid for the call, which copies it; 8 is the size of its mask. The
        // handler does what is async-signal-safe only, and the restorer is the kernel's own call.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") RT_SIGACTION => result,
                in("rdi") signal, in("rsi") &raw const action, in("rdx") 0, in("r10") 8,
                lateout("rcx") _, lateout("r11") _,
                options(nostack)
            );
        }
        if result < 0 {
            return Err(Error::Invalid);
        }
    }
    Ok(())
}

extern "C" fn on_signal(_: i32) {
    // SAFETY: it is null or comes from a reference that lives for ever; nobody has it mutably.
    if let Some(waker) = unsafe { WAKER.load(Ordering::Acquire).as_ref() } {
        // Waking is atomic loads and stores and one `write`, which is async-signal-safe.
        waker.wake();
    }
}

/// Returns from the handler (`rt_sigreturn(2)`).
#[unsafe(naked)]
unsafe extern "C" fn restorer() -> ! {
    naked_asm!("mov eax, 15", "syscall")
}
