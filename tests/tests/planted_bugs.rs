//! The simulator is able to fail: it finds bugs that are planted in the loop, one at a time.
//!
//! The loop has them only with the feature `planted`, so this file has two halves: the search,
//! with it, and a test that runs the search in a build of its own, without it.

/// Runs the other half of this file, with the bugs.
#[test]
#[cfg(not(feature = "planted"))]
fn the_simulator_finds_every_planted_bug() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["test", "-p", "usockets-tests", "--features", "planted"]);
    cargo.args(["--test", "planted_bugs", "--", "--nocapture"]);
    let output = cargo.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.matches(" found by seed ").count(), 15, "all of them");
}

/// Plants every bug in turn, and plays seeds until one fails.
#[test]
#[cfg(feature = "planted")]
fn every_planted_bug_is_found() {
    use usockets::{Planted, plant};
    use usockets_tests::model::{Case, run};

    let bugs = [
        Planted::LostWakeUp,
        Planted::DoubleClose,
        Planted::EarlyTimer,
        Planted::LateTimer,
        Planted::StaleId,
        Planted::DroppedTail,
        Planted::SecondEnd,
        Planted::MissedWritable,
        Planted::LeakedSlot,
        Planted::WrongReason,
        Planted::StarvedListener,
        Planted::CarryOverLost,
        Planted::ReorderedBytes,
        Planted::PausedRead,
        Planted::HeldEnd,
    ];
    for bug in bugs {
        plant(Some(bug));
        let found = (0..3_000).find_map(|seed| {
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
        plant(None);
        let sound = run(&Case::of(seed, 1_000), false).wrong;
        assert_eq!(sound, None, "without {bug:?}");
    }
}
