//! What `std`, libc and the start-up file would bring to a program: the entry point, the end, and
//! the memory functions that the compiler takes for granted. These are in assembly, because of a
//! loop the compiler would make a call of the very function.
//!
//! A program names its main function with [`main!`], and is linked with
//! `-nostartfiles -nostdlib -static`; the example `tiny` of `usockets-linux` is one. On x86-64.
#![no_std]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(
    unsafe_code,
    reason = "the entry point and the memory functions are called by name, from outside Rust"
)]

use core::arch::{asm, naked_asm};
use core::ffi::{CStr, c_char};

/// Makes a function the program's: it gets the first argument, if there is one and it is UTF-8, and
/// its error is exit code 1. A panic is exit code 101.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        /// Where `usockets-freestanding` hands over.
        #[unsafe(no_mangle)]
        #[allow(unsafe_code, reason = "called by name, from the start-up code")]
        extern "Rust" fn usockets_freestanding_main(argument: Option<&str>) -> bool {
            $main(argument).is_ok()
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::exit(101)
        }
    };
}

unsafe extern "Rust" {
    /// The program's own function, made by [`main!`].
    safe fn usockets_freestanding_main(argument: Option<&str>) -> bool;
}

/// Where the kernel enters the program, with the arguments on the stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!(
        "mov rdi, rsp",
        "and rsp, -16",
        "xor ebp, ebp",
        "call {start}",
        start = sym start,
    )
}

/// Runs the program with its first argument. `stack` is as the kernel leaves it: the number of
/// arguments, then as many pointers.
extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count there.
    let count = unsafe { stack.read() };
    let argument = if count > 1 {
        // SAFETY: and the arguments behind it, of which there are two at least. Each is a string
        // that ends in a zero byte and stays for ever.
        unsafe { CStr::from_ptr(stack.add(2).cast::<*const c_char>().read()) }
            .to_str()
            .ok()
    } else {
        None
    };
    exit((!usockets_freestanding_main(argument)).into())
}

/// Ends the program (`_exit(2)`).
pub fn exit(code: u64) -> ! {
    // SAFETY: 231 is `exit_group` on x86-64; it does not return.
    unsafe { asm!("syscall", in("rax") 231, in("rdi") code, options(noreturn, nostack)) }
}

/// Copies `len` bytes that do not overlap (`memcpy(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller owns both ranges.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
    to
}

/// Copies `len` bytes that may overlap (`memmove(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: the caller owns both ranges, and going up reads nothing that was written.
        return unsafe { memcpy(to, from, len) };
    }
    let last = len.wrapping_sub(1);
    // SAFETY: the caller owns both ranges, which begin on the last byte as they are copied
    // downwards. The direction flag is put back.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(last) => _,
            inout("rsi") from.wrapping_add(last) => _,
            options(nostack)
        );
    }
    to
}

/// Sets `len` bytes (`memset(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller owns the range.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _, inout("rdi") to => _, in("eax") byte,
            options(nostack, preserves_flags)
        );
    }
    to
}

/// Compares `len` bytes (`memcmp(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    let order: i32;
    // SAFETY: the caller lends both ranges. It stops behind the first bytes that differ, or at
    // the end, which looks as if the last bytes were compared: equal, also when there are none.
    unsafe {
        asm!(
            "xor eax, eax",
            "cmp eax, eax",
            "repe cmpsb",
            "seta al",
            "sbb eax, 0",
            inout("rcx") len => _, inout("rsi") left => _, inout("rdi") right => _,
            out("eax") order,
            options(nostack, readonly)
        );
    }
    order
}

/// Compares for equality alone (`bcmp(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the caller lends both ranges.
    unsafe { memcmp(left, right, len) }
}

/// Counts the bytes before the zero byte (`strlen(3)`).
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let left: usize;
    // SAFETY: the caller lends a range that has a zero byte.
    unsafe {
        asm!(
            "repne scasb",
            inout("rcx") usize::MAX => left, inout("rdi") text => _, in("al") 0_u8,
            options(nostack, readonly)
        );
    }
    // It counted down for the zero byte too.
    usize::MAX.wrapping_sub(left).wrapping_sub(1)
}
