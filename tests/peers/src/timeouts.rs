//! Measuring timeouts in memory.

use rustix::time::{ClockId, clock_gettime};

/// Timeouts that are armed at the same time.
pub const COUNT: u32 = 1_000_000;
/// Milliseconds that the deadlines are spread over.
const SPREAD: u64 = 1 << 16;
/// Milliseconds that every timeout is put off by when it is armed again.
const LATER: u64 = 30_000;

/// `COUNT` timeouts, named by a number each.
pub trait Timeouts {
    /// Arms timeout `key`, `after` milliseconds from now.
    fn arm(&mut self, key: u32, after: u64);

    /// Replaces timeout `key`, `after` milliseconds from now.
    fn rearm(&mut self, key: u32, after: u64);

    /// Lets time pass until every timeout is over; returns how many were.
    fn expire(&mut self) -> u32;

    /// Gets ready to expire, unmeasured, where time cannot be made up.
    fn prepare(&mut self) {}
}

/// Measures all three, and prints the processor time of each per timeout, in nanoseconds.
///
/// # Panics
/// If a timeout was lost, since then there is nothing to compare.
pub fn measure(timeouts: &mut impl Timeouts) {
    let arm = timed(|| {
        for key in 0..COUNT {
            timeouts.arm(key, spread(key));
        }
    });
    let rearm = timed(|| {
        for step in 0..COUNT {
            // Every key once, in no order that a table could profit from.
            let key = step.wrapping_mul(514_229) % COUNT;
            timeouts.rearm(key, spread(key) + LATER);
        }
    });
    timeouts.prepare();
    let mut expired = 0;
    let expire = timed(|| expired = timeouts.expire());
    assert_eq!(expired, COUNT, "timeouts were lost");
    println!("arm {arm:.1} rearm {rearm:.1} expire {expire:.1}");
}

/// Milliseconds that look random: the same for every library.
#[must_use]
pub fn spread(key: u32) -> u64 {
    let mixed = u64::from(key)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 + (mixed >> 32) % SPREAD
}

/// Processor time of `work`, in nanoseconds per timeout.
fn timed(work: impl FnOnce()) -> f64 {
    let before = clock_gettime(ClockId::ThreadCPUTime);
    work();
    let after = clock_gettime(ClockId::ThreadCPUTime);
    let secs = after.tv_sec - before.tv_sec;
    let nanos = after.tv_nsec - before.tv_nsec;
    (secs as f64 * 1e9 + nanos as f64) / f64::from(COUNT)
}
