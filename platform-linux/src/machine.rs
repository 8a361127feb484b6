//! Random bytes and the wall clock for TLS.

use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};
use usockets::tls::Machine;

/// The kernel's random bytes (`getrandom`) and its wall clock (`CLOCK_REALTIME`).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LinuxMachine;

impl LinuxMachine {
    /// Returns the machine the program runs on.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Machine for LinuxMachine {
    /// Waits, once after the system has started, until the kernel has gathered enough.
    fn random(&mut self, out: &mut [u8]) -> bool {
        let mut rest = out;
        while !rest.is_empty() {
            let count = match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return false,
            };
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        true
    }

    fn unix_seconds(&self) -> u64 {
        u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or_default()
    }
}
