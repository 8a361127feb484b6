//! The division of 64 bits that compiled code calls (Run-time ABI for the Arm Architecture, section
//! 5.3.1), in 60 bytes. The one that comes with Rust is in its place if there is no other; it has a
//! way for each length of numbers, unrolled, and takes 0.9 KB of flash.
//!
//! A bit after the other, in 64 steps, or in 32 if the divisor is as short: 8 microseconds.
#![expect(
    unsafe_code,
    reason = "results in four registers are not what functions in Rust have"
)]

use core::arch::global_asm;

global_asm!(
    ".syntax unified",
    ".section .text.division, \"ax\", %progbits",
    ".p2align 1",
    ".global __aeabi_uldivmod",
    ".type __aeabi_uldivmod, %function",
    ".thumb_func",
    // r0 and r1: low and high word of the dividend, r2 and r3: of the divisor, which is not 0.
    // Returns the quotient in r0 and r1, and the remainder in r2 and r3.
    "__aeabi_uldivmod:",
    "  push {{r4, r5, r6, r7, lr}}",
    "  movs r4, #0",
    "  movs r5, #0",
    "  movs r6, #64",
    "  cbnz r3, 1f",
    // The processor divides the high word; its quotient is shifted to its place by the steps.
    "  udiv r7, r1, r2",
    "  mls r4, r7, r2, r1",
    "  mov r1, r0",
    "  mov r0, r7",
    "  movs r6, #32",
    // The dividend leaves at the top, into the remainder; the quotient comes in at the bottom.
    "1:",
    "  adds r0, r0, r0",
    "  adcs r1, r1",
    "  adcs r4, r4",
    "  adcs r5, r5",
    // A remainder of 65 bits is larger than any divisor.
    "  bcs 2f",
    "  cmp r4, r2",
    "  sbcs r7, r5, r3",
    "  blo 3f",
    "2:",
    "  subs r4, r4, r2",
    "  sbcs r5, r3",
    "  adds r0, #1",
    "3:",
    "  subs r6, #1",
    "  bne 1b",
    "  mov r2, r4",
    "  mov r3, r5",
    "  pop {{r4, r5, r6, r7, pc}}",
);
