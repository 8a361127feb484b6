//! Bugs that a test build can be given, one at a time, to prove that the simulator finds them.
//!
//! Only with the feature `planted`, which no program has a use for. Without it [`is`] is always
//! false and leaves no code.

#[cfg(feature = "planted")]
use core::sync::atomic::{AtomicU8, Ordering};

/// A bug in the loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "planted",
    expect(clippy::exhaustive_enums, reason = "only for this project's own tests")
)]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "exported with the feature only")
)]
#[repr(u8)]
pub enum Planted {
    /// What came while a socket was paused is forgotten when it resumes.
    LostWakeUp = 1,
    /// `on_close` comes twice.
    DoubleClose,
    /// Timeouts come up to a tick early.
    EarlyTimer,
    /// Timeouts that are brought forward come when they were due before.
    LateTimer,
    /// A stale name reaches the slot's next socket.
    StaleId,
    /// The peer's end is told before its last bytes are read.
    DroppedTail,
    /// `on_end` comes again.
    SecondEnd,
    /// `on_writable` does not come.
    MissedWritable,
    /// The slot of a socket that closed stays in use.
    LeakedSlot,
    /// A reset is told as another failure.
    WrongReason,
    /// A listener that had to wait is not resumed.
    StarvedListener,
    /// A socket whose turns are over is not carried over to the next iteration.
    CarryOverLost,
    /// What is written behind a full cork overtakes it.
    ReorderedBytes,
    /// A socket is read although it is paused.
    PausedRead,
    /// A socket that waits only for a layer to let its end go is not closed then.
    HeldEnd,
}

#[cfg(feature = "planted")]
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// Plants a bug in every loop of the process, in place of the one before; or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Planted>) {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    CURRENT.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
pub(crate) fn is(bug: Planted) -> bool {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    let is = CURRENT.load(Ordering::Relaxed) == bug as u8;
    is
}

/// Whether this bug is planted.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn is(_: Planted) -> bool {
    false
}
