//! The tests of the TCP are able to fail: they find bugs that are injected in it, one at a time.
//!
//! It has them only with the feature `injected-bugs`, so this file has two halves: the search,
//! with it, and a test that runs the search in a build of its own, without it. The search runs
//! this program once for each bug, which its environment names.

/// Runs the other half of this file, with the bugs.
#[test]
#[cfg(not(feature = "injected-bugs"))]
fn the_tests_find_every_injected_bug() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["test", "-p", "usockets-smoltcp"]);
    cargo.args(["--features", "injected-bugs", "--test", "tcp"]);
    cargo.args(["every_injected_bug_is_found", "--", "--nocapture"]);
    let output = cargo.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.matches(" is found by ").count(), 19, "all of them");
}

#[cfg(feature = "injected-bugs")]
mod search {
    use std::io::Result;
    use std::process::{Command, Output, Stdio};
    use std::sync::Once;
    use std::time::{Duration, Instant};

    use usockets_smoltcp::tcp::{InjectedBug, inject};

    /// Names the bug of a child.
    const NAME: &str = "INJECTED_TCP_BUG";
    /// A child that takes longer never ends: that is found, too.
    const LONGEST: Duration = Duration::from_secs(100);

    /// These take a hundred times as long as all others together, which find every bug.
    const LONG: [&str; 5] = [
        "a_router_that_marks_need_not_drop",
        "an_outage_leaves_segments_as_large_as_they_were",
        "everything_gets_through_black_holes",
        "pacing",
        "paths",
    ];

    /// Injects the bug that the environment names, if it does. Every host calls it.
    pub(crate) fn inject_named() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let name = std::env::var(NAME).unwrap_or_default();
            let mut all = InjectedBug::ALL.into_iter();
            inject(all.find(|bug| format!("{bug:?}") == name));
        });
    }

    /// Runs all tests but this one and those that take long, with the bug of a name.
    fn run(name: &str) -> Result<Option<Output>> {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--skip", "injected"]);
        child.args(LONG.iter().flat_map(|name| ["--skip", name]));
        child.env(NAME, name).env("TCP_SEEDS", "30");
        child.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn()?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > LONGEST {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().map(Some)
    }

    #[test]
    fn every_injected_bug_is_found() {
        if std::env::var_os(NAME).is_some() {
            return;
        }
        let sound = run("none").unwrap().unwrap();
        assert!(sound.status.success(), "without a bug");
        for bug in InjectedBug::ALL {
            let Some(output) = run(&format!("{bug:?}")).unwrap() else {
                println!("{bug:?} is found by a test that does not end");
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout);
            let failed = text.lines().filter(|line| line.ends_with("... FAILED"));
            let failed: Vec<&str> = failed
                .filter_map(|line| line.split_whitespace().nth(1))
                .collect();
            assert!(!failed.is_empty(), "{bug:?} was not found");
            println!("{bug:?} is found by {}", failed.join(", "));
        }
    }
}

#[cfg(feature = "injected-bugs")]
pub(crate) use search::inject_named;

/// Without the feature there is nothing to inject.
#[cfg(not(feature = "injected-bugs"))]
pub(crate) const fn inject_named() {}
