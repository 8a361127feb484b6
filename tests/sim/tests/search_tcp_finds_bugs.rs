//! The search is able to fail: it finds every bug that is injected in the TCP, without a seed.

use std::panic::set_hook;

use usockets_sim::search::{Case, tcp_cases};
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

fn named(name: &str) -> &'static Case {
    let case = tcp_cases().iter().find(|case| case.name() == name);
    case.expect("a configuration of this name")
}

/// One after the other, as a bug is injected into every connection of the process.
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
        let found_in = found.script.len();
        inject(None);
        if let Some(sound) = named(name).find(found_in) {
            wrong.push(format!("without {bug:?}: {sound}"));
        }
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
