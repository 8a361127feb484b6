//! What cannot happen, said aloud.
//!
//! [`invariant!`] and [`impossible!`] are about this crate's own promises to itself: they panic
//! where debug assertions are on, which tests and fuzzing have, and with the feature `checked`,
//! which the simulator has in release builds. In a program's release build they are nothing, and
//! the linked proof of `tests/probe` shows that no panic is left. [`breach!`] is about a
//! platform's promises to the loop: it counts, and the loop goes on.

/// Is true where a broken invariant panics.
pub(crate) const CHECKED: bool = cfg!(any(debug_assertions, feature = "checked"));

/// Panics in tests, simulation and fuzzing if the condition does not hold.
macro_rules! invariant {
    ($holds:expr, $what:literal) => {
        if $crate::invariant::CHECKED {
            assert!($holds, $what);
        }
    };
}
pub(crate) use invariant;

/// Panics in tests, simulation and fuzzing: the branch cannot be reached.
macro_rules! impossible {
    ($what:literal) => {
        if $crate::invariant::CHECKED {
            assert!($crate::invariant::never(), $what);
        }
    };
}
pub(crate) use impossible;

/// Counts an answer of the platform that its contract forbids.
macro_rules! breach {
    ($stats:expr) => {
        $stats.breaches = $stats.breaches.wrapping_add(1)
    };
}
pub(crate) use breach;

/// Returns false, which the compiler does not see through where it would warn of it.
pub(crate) const fn never() -> bool {
    !CHECKED
}
