//! The fuzzers' bodies are able to fail: they find bugs that are injected in TLS, one at a time.
//!
//! TLS has them only with the feature `injected-bugs`, so this file has two halves: the search,
//! with it, and a test that runs the search in a build of its own, without it.

/// Runs the other half of this file, with the bugs.
#[test]
#[cfg(not(feature = "injected-bugs"))]
fn the_fuzzers_find_every_injected_bug() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["test", "-p", "usockets-tests-tls", "--no-default-features"]);
    cargo.args(["--features", "injected-bugs", "--test", "injected_bugs"]);
    let output = cargo
        .args(["--", "--nocapture"])
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.matches(" found by seed ").count(), 3, "all of them");
}

/// Injects every bug in turn, and plays seeds until one fails.
#[test]
#[cfg(feature = "injected-bugs")]
fn every_injected_bug_is_found() {
    use usockets::{InjectedBug, inject};
    use usockets_tests_tls::fuzz::{fuzz_tls_client, fuzz_tls_pair, fuzz_tls_server};

    let bodies: [fn(&[u8]); 3] = [fuzz_tls_client, fuzz_tls_server, fuzz_tls_pair];
    for bug in [
        InjectedBug::UncheckedFinished,
        InjectedBug::UnprovedKey,
        InjectedBug::StaleKeys,
    ] {
        inject(Some(bug));
        let found = (0..20_000_u64).find_map(|seed| {
            let bytes = bytes_of(seed);
            let wrong = bodies.iter().find_map(|body| wrong(*body, &bytes))?;
            Some((seed, wrong))
        });
        inject(None);
        let Some((seed, what)) = found else {
            panic!("{bug:?} was not found");
        };
        println!("{bug:?} found by seed {seed}: {what}");
        let bytes = bytes_of(seed);
        let sound = bodies.iter().find_map(|body| wrong(*body, &bytes));
        assert_eq!(sound, None, "without {bug:?}");
    }
}

/// Returns what a body finds wrong with its bytes.
#[cfg(feature = "injected-bugs")]
fn wrong(body: fn(&[u8]), bytes: &[u8]) -> Option<String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(|| body(bytes));
    std::panic::set_hook(hook);
    let cause = outcome.err()?;
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
    let text = text.unwrap_or_default();
    Some(text.lines().next().unwrap_or("").to_owned())
}

/// The bytes of a seed: up to 120, mostly of those that mean something to the bodies.
#[cfg(feature = "injected-bugs")]
fn bytes_of(seed: u64) -> Vec<u8> {
    use usockets::tls::Machine as _;
    let mut machine = usockets_tests_tls::Machine::new(seed);
    let mut bytes = vec![0; 121];
    assert!(machine.random(&mut bytes));
    let len = usize::from(bytes[0]) % 120;
    let mut bytes = bytes[1..=len.max(2)].to_vec();
    for byte in bytes.iter_mut().skip(1) {
        // Most records are left alone, and messages are made as they should be.
        *byte = match *byte {
            0..100 => 0,
            100..130 => 128,
            130..160 => 129,
            other => other,
        };
    }
    bytes
}
