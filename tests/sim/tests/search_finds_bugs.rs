//! The search is able to fail: it finds every bug that is injected in the loop, without a seed.

use std::panic::set_hook;

use usockets::{InjectedBug, inject};
use usockets_sim::search::{Case, cases};

/// Each bug of the loop, the configuration that finds it, and in how many steps.
///
/// Those in TLS are not here, as no configuration has TLS: `tests/tls/tests/injected_bugs.rs` finds
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

fn named(name: &str) -> &'static Case {
    let case = cases().iter().find(|case| case.name() == name);
    case.expect("a configuration of this name")
}

/// One after the other, as a bug is injected into every loop of the process.
#[test]
fn every_injected_bug_is_found_and_replayed() {
    // What panics is reported by the search.
    set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for (bug, name, steps) in FOUND {
        inject(Some(bug));
        let Some(found) = named(name).find(steps) else {
            wrong.push(format!("{bug:?} is not found in {steps} steps of {name}"));
            continue;
        };
        let (again, trace) = named(name).replay(&found.script);
        if (again.as_deref(), &trace) != (Some(&found.what), &found.trace) {
            wrong.push(format!("{bug:?}: the script of {name} shows another thing"));
        }
        inject(None);
        if let Some(sound) = named(name).find(steps) {
            wrong.push(format!("without {bug:?}: {sound}"));
        }
        let found_in = found.script.len();
        println!("{bug:?}: {name}, {found_in} steps: {}", found.what);
        if found_in != steps {
            wrong.push(format!(
                "{bug:?} is found in {found_in} steps, not in {steps}"
            ));
        }
    }
    let _ = std::panic::take_hook();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
