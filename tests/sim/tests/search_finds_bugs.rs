//! The search is able to fail: it finds every bug that is injected in the loop, without a seed.

mod finding;

use usockets::{InjectedBug, inject};
use usockets_sim::search::cases;

/// Each bug of the loop, the configuration that finds it, and in how many steps.
///
/// Those in TLS are not here, as no configuration has TLS: the searches in `tests/tls/tests` find
/// them.
const FOUND: [(InjectedBug, &str, usize); 22] = [
    (InjectedBug::LostWakeUp, "echo", 4),
    (InjectedBug::DoubleClose, "echo", 2),
    (InjectedBug::EarlyTimer, "timeouts", 1),
    (InjectedBug::LateTimer, "timeouts", 4),
    (InjectedBug::StaleId, "evicting", 4),
    (InjectedBug::DroppedTail, "echo", 3),
    (InjectedBug::SecondEnd, "half_close", 5),
    (InjectedBug::MissedWritable, "echo", 3),
    (InjectedBug::LeakedSlot, "echo", 2),
    (InjectedBug::WrongReason, "echo", 3),
    (InjectedBug::StarvedListener, "echo", 2),
    (InjectedBug::CarryOverLost, "pause", 6),
    (InjectedBug::ReorderedBytes, "cork", 5),
    (InjectedBug::PausedRead, "echo", 4),
    (InjectedBug::HeldEnd, "layer", 4),
    (InjectedBug::LastComeFirst, "turns", 4),
    (InjectedBug::SlotTakenFromWaiting, "turns", 5),
    (InjectedBug::FullTooEarly, "echo", 2),
    (InjectedBug::ReportLeft, "echo", 2),
    (InjectedBug::LingerAfterAbort, "layer", 4),
    (InjectedBug::ForgottenReset, "broken", 3),
    (InjectedBug::ResetBehindPause, "pause", 5),
];

#[test]
fn every_injected_bug_is_found_and_replayed() {
    finding::check(&FOUND, cases(), inject);
}
