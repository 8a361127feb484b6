//! The machine that the board is attached to, or emulated by: semihosting.

use core::ffi::CStr;

use cortex_m_semihosting::{debug, nr, syscall1};

/// Where random bytes come from.
const RANDOM: &CStr = c"/dev/urandom";
/// Mode of opening: read, binary.
const READ_BINARY: usize = 1;

/// Fills `bytes` with random ones; whether it could.
///
/// A source for tests: the board has none of its own, so it asks the machine that debugs or
/// emulates it. A product brings a random number generator, or a secret and a counter that it
/// keeps.
pub fn random(bytes: &mut [u8]) -> bool {
    let path = RANDOM.to_bytes_with_nul();
    // The length does not count the zero byte.
    let len = path.len().saturating_sub(1);
    let file = call(
        nr::OPEN,
        &[path.as_ptr().expose_provenance(), READ_BINARY, len],
    );
    if file == usize::MAX {
        return false;
    }
    let place = bytes.as_mut_ptr().expose_provenance();
    let left = call(nr::READ, &[file, place, bytes.len()]);
    call(nr::CLOSE, &[file]);
    left == 0
}

/// Returns the seconds since 1970-01-01 00:00 UTC, by the clock of the machine that debugs or
/// emulates the board, which has none.
#[must_use]
pub fn unix_seconds() -> u64 {
    u64::try_from(call(nr::TIME, &[])).unwrap_or(0)
}

/// Ends the emulation, or halts for the debugger.
pub fn exit(success: bool) -> ! {
    loop {
        debug::exit(if success {
            debug::EXIT_SUCCESS
        } else {
            debug::EXIT_FAILURE
        });
    }
}

/// Asks the host for something.
#[expect(unsafe_code, reason = "it is an instruction that the debugger acts on")]
fn call(number: usize, arguments: &[usize]) -> usize {
    // SAFETY: the callers above give what the call asks for (Semihosting for AArch32 and AArch64,
    // section 7); READ writes only into the bytes that are lent to `random`, whose address is
    // exposed.
    unsafe { syscall1(number, arguments.as_ptr().expose_provenance()) }
}
