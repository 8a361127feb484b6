//! The search is able to fail: it finds every bug that is injected in the TCP, without a seed.

mod finding;

use usockets_sim::search::tcp_cases;
use usockets_smoltcp::tcp::{InjectedBug, inject};

/// Each bug of the TCP, the configuration that finds it, and in how many steps.
const FOUND: [(InjectedBug, &str, usize); 17] = [
    (InjectedBug::LostFin, "stream", 2),
    (InjectedBug::OldAckDropsText, "both", 4),
    (InjectedBug::RegressingNext, "cuts", 1),
    (InjectedBug::ShrinkingWindow, "window", 3),
    (InjectedBug::SillyWindow, "window", 3),
    (InjectedBug::NoWindowProbe, "window", 6),
    (InjectedBug::UnscaledWindow, "scaled", 2),
    (InjectedBug::AmbiguousRoundTrip, "latency", 3),
    (InjectedBug::NoBackOff, "silence", 4),
    (InjectedBug::NoSlowStart, "segments", 4),
    (InjectedBug::BlindReset, "hostile", 1),
    (InjectedBug::OptimisticAck, "hostile", 1),
    (InjectedBug::ChallengeStorm, "storm", 11),
    (InjectedBug::NoPaws, "hostile", 1),
    (InjectedBug::Assassination, "hostile", 5),
    (InjectedBug::NoNagle, "nagle", 2),
    (InjectedBug::PartialAckIgnored, "duplicates", 12),
];

#[test]
fn every_injected_bug_is_found_and_replayed() {
    finding::check(&FOUND, tcp_cases(), inject);
}
