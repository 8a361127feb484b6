//! The simulator is able to fail: it finds bugs that are injected in the loop, one at a time.
//!
//! The loop has them only with the feature `injected-bugs`, so this file has two halves: the
//! search, with it, and a test that runs the search in a build of its own, without it.

/// Runs the other half of this file, with the bugs.
#[test]
#[cfg(not(feature = "injected-bugs"))]
fn the_simulator_finds_every_injected_bug() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args([
        "test",
        "-p",
        "usockets-tests",
        "--features",
        "injected-bugs",
    ]);
    // One after the other, as a bug is injected into every loop of the process.
    let one = ["--nocapture", "--test-threads=1"];
    cargo.args(["--test", "injected_bugs", "--"]).args(one);
    let output = cargo.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.matches(" found by seed ").count(), 19, "all of them");
    assert_eq!(text.matches(" found by rule").count(), 3, "all of them");
    assert_eq!(text.matches(" found under pressure").count(), 1, "it too");
}

/// Injects every bug in turn, and plays seeds until one fails.
#[test]
#[cfg(feature = "injected-bugs")]
fn every_injected_bug_is_found() {
    use usockets::{InjectedBug, inject};
    use usockets_tests::model::{Case, run};

    let bugs = [
        InjectedBug::LostWakeUp,
        InjectedBug::DoubleClose,
        InjectedBug::EarlyTimer,
        InjectedBug::LateTimer,
        InjectedBug::StaleId,
        InjectedBug::DroppedTail,
        InjectedBug::SecondEnd,
        InjectedBug::MissedWritable,
        InjectedBug::LeakedSlot,
        InjectedBug::WrongReason,
        InjectedBug::StarvedListener,
        InjectedBug::CarryOverLost,
        InjectedBug::ReorderedBytes,
        InjectedBug::PausedRead,
        InjectedBug::HeldEnd,
        InjectedBug::LastComeFirst,
        InjectedBug::SlotTakenFromWaiting,
        InjectedBug::FullTooEarly,
        InjectedBug::ForgottenReset,
    ];
    for bug in bugs {
        inject(Some(bug));
        let found = (0..10_000).find_map(|seed| {
            let wrong = run(&Case::of(seed, 1_000), false).wrong?;
            Some((seed, wrong))
        });
        let Some((seed, wrong)) = found else {
            panic!("{bug:?} was not found");
        };
        println!(
            "{bug:?} found by seed {seed}: {}",
            wrong.lines().next().unwrap_or("")
        );
        inject(None);
        let sound = run(&Case::of(seed, 1_000), false).wrong;
        assert_eq!(sound, None, "without {bug:?}");
    }
}

/// Injects every bug of how the loop uses its platform, and holds it to the rule of the contract.
#[test]
#[cfg(feature = "injected-bugs")]
fn every_broken_rule_of_the_loop_is_found() {
    use std::panic::catch_unwind;

    use usockets::{InjectedBug, inject};
    use usockets_conformance::suite::{broken_connections, contract};
    use usockets_tests::bed::SimBed;
    use usockets_tests::sim::Faults;

    fn bed() -> SimBed {
        SimBed::new(0, Faults::none())
    }

    let ends = || contract::sockets_end_in_every_way(&mut bed());
    let pauses = || {
        broken_connections::a_reset_that_comes_with_bytes_is_told_though_they_paused(&mut bed());
    };
    let rules: [(InjectedBug, fn()); 3] = [
        (InjectedBug::ReportLeft, ends),
        (InjectedBug::LingerAfterAbort, ends),
        (InjectedBug::ResetBehindPause, pauses),
    ];
    for (bug, rule) in rules {
        inject(Some(bug));
        let broken = catch_unwind(rule);
        inject(None);
        assert!(broken.is_err(), "{bug:?} was not found");
        println!("{bug:?} found by rule");
        rule();
    }
}

/// Writes that are all taken at once need no word of room: where memory is short, and only there,
/// a loop that never gives it is found.
#[test]
#[cfg(feature = "injected-bugs")]
fn a_loop_that_does_not_tell_of_memory_is_found() {
    use usockets::{InjectedBug, inject};
    use usockets_tests::sim::{Driver, Faults, Peer};
    use usockets_tests::slow::peers::Echo;

    let driver = Driver::listening(|| Echo, ()).peer(Peer::random(1_000).expects(<[u8]>::to_vec));
    let run = |pressure| {
        (0..200).find_map(|seed| {
            let mut case = driver.case(seed);
            case.faults = Faults {
                pressure,
                ..Faults::none()
            };
            driver.run_case(&case).err()
        })
    };
    inject(Some(InjectedBug::MissedWritable));
    let (calm, short) = (run(0), run(1_000));
    inject(None);
    assert!(calm.is_none(), "{calm:?}");
    assert!(short.is_some(), "it was not found");
    println!("MissedWritable found under pressure");
    let sound = run(1_000);
    assert!(sound.is_none(), "{sound:?}");
}
