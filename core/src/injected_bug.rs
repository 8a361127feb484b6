//! Bugs that a test build can be given, one at a time, to prove that the tests find them.
//!
//! A place that a bug changes asks `injected_bug!(Name)`, which is the constant `false` without
//! the feature `injected-bugs`, for which no program has a use.

#[cfg(feature = "injected-bugs")]
use core::sync::atomic::{AtomicU8, Ordering};

/// Is true while this bug is injected; the constant `false` in programs.
macro_rules! injected_bug {
    ($bug:ident) => {
        $crate::injected_bug::is_active($crate::injected_bug::InjectedBug::$bug)
    };
}
pub(crate) use injected_bug;

/// A bug in the loop or in TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "injected-bugs",
    expect(clippy::exhaustive_enums, reason = "only for this project's own tests")
)]
#[cfg_attr(
    not(feature = "injected-bugs"),
    expect(unreachable_pub, reason = "exported with the feature only")
)]
#[repr(u8)]
pub enum InjectedBug {
    /// What came while a socket was paused is forgotten when it resumes.
    LostWakeUp = 1,
    /// `on_close` comes twice.
    DoubleClose,
    /// Timeouts come up to a tick early.
    EarlyTimer,
    /// Timeouts that are brought forward come when they were due before.
    LateTimer,
    /// A stale id reaches the slot's next socket.
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
    /// Of listeners that wait for a slot, the last gets it first.
    LastComeFirst,
    /// A listener takes the slots that others wait for.
    SlotTakenFromWaiting,
    /// The pool is full for a listener while one slot is free.
    FullTooEarly,
    /// The loop waits again before it has taken every report.
    ReportLeft,
    /// A layer is asked to linger over a socket that was reset.
    LingerAfterAbort,
    /// A reset that a send was told of is taken for the peer's orderly end.
    ForgottenReset,
    /// A reset that came with bytes is not asked for if the program paused at them.
    ResetBehindPause,
    /// TLS takes any `Finished` for the peer's.
    #[cfg(feature = "tls")]
    UncheckedFinished,
    /// A TLS peer's certificate is enough, without a signature by its key.
    #[cfg(feature = "tls")]
    UnprovedKey,
    /// After a TLS peer's `KeyUpdate` its records are opened with the keys from before.
    #[cfg(feature = "tls")]
    StaleKeys,
}

#[cfg(feature = "injected-bugs")]
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// Injects a bug into every loop of the process, in place of the one before; or none.
#[cfg(feature = "injected-bugs")]
pub fn inject(bug: Option<InjectedBug>) {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    ACTIVE.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Returns true if this bug is injected.
#[cfg(feature = "injected-bugs")]
pub(crate) fn is_active(bug: InjectedBug) -> bool {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    let is = ACTIVE.load(Ordering::Relaxed) == bug as u8;
    is
}

/// Returns false.
#[cfg(not(feature = "injected-bugs"))]
#[inline(always)]
pub(crate) const fn is_active(_: InjectedBug) -> bool {
    false
}
