//! The fuzzers' bodies under stable Rust: the committed corpus, and a bounded random run.

use usockets_tests::fuzz::{
    corpus, fuzz_events, fuzz_frame_queues, fuzz_platform, fuzz_proxy, fuzz_suite, fuzz_values,
};
use usockets_tests::http::fuzz_http;
use usockets_tests::model::{Case, run};
use usockets_tests::rng::{Rng, seed_or, seeds};

/// Bytes that once were of interest, each a file of the corpus.
#[test]
fn the_corpus_of_events_passes() {
    assert!(replay("events", fuzz_events) >= 20);
}

/// As above, for the HTTP server of the examples.
#[test]
fn the_corpus_of_http_passes() {
    assert!(replay("http", fuzz_http) >= 20);
}

/// As above, for headers of the PROXY protocol.
#[test]
fn the_corpus_of_proxy_passes() {
    assert!(replay("proxy", fuzz_proxy) >= 20);
}

/// As above, for a server of frames.
#[test]
fn the_corpus_of_frame_queues_passes() {
    assert!(replay("frame_queues", fuzz_frame_queues) >= 10);
}

/// As above, for plain values.
#[test]
fn the_corpus_of_values_passes() {
    assert!(replay("values", fuzz_values) >= 10);
}

/// As above, for the conformance suite.
#[test]
fn the_corpus_of_suite_passes() {
    assert!(replay("suite", fuzz_suite) >= 20);
}

/// As above, for platforms that answer whatever bytes say.
#[test]
fn the_corpus_of_platform_passes() {
    assert!(replay("platform", fuzz_platform) >= 20);
}

/// As above, for control messages of datagrams.
#[test]
#[cfg(target_os = "linux")]
fn the_corpus_of_control_messages_passes() {
    assert!(replay("control_messages", usockets_tests::control::fuzz_control) >= 20);
}

/// Control messages of random bytes, and of those of the corpus with some changed.
#[test]
#[cfg(target_os = "linux")]
fn random_control_messages_pass() {
    use usockets_tests::control::fuzz_control;

    let rng = &mut Rng::new(seed_or(1));
    let files = corpus("control_messages");
    for _ in 0..20_000 {
        let path = &files[rng.below(files.len() as u64) as usize];
        let mut bytes = std::fs::read(path).expect("its bytes");
        bytes.extend((0..rng.below(40)).map(|_| rng.next() as u8));
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len().max(1) as u64) as usize;
            if let Some(place) = bytes.get_mut(at) {
                *place = rng.next() as u8;
            }
        }
        fuzz_control(&bytes);
    }
}

/// Runs `body` on each file of a corpus and returns how many there are.
fn replay(name: &str, body: fn(&[u8])) -> usize {
    let files = corpus(name);
    for path in &files {
        println!("{}", path.display());
        body(&std::fs::read(path).expect("its bytes"));
    }
    files.len()
}

/// Requests in pieces are answered as requests at once are.
#[test]
#[cfg(not(feature = "sim-only"))]
fn random_http_passes() {
    use usockets_tests::http::random_stream;

    for seed in seeds(2_000) {
        println!("SEED={seed}");
        fuzz_http(&random_stream(&mut Rng::new(seed)));
    }
}

/// Random bytes of every length.
#[test]
fn random_events_pass() {
    let rng = &mut Rng::new(seed_or(1));
    for _ in 0..1_500 {
        let len = rng.below(1_200);
        let bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        fuzz_events(&bytes);
    }
}

/// Random bytes, each a platform's answers and what a program does.
#[test]
fn random_platforms_pass() {
    for seed in seeds(1_000) {
        println!("SEED={seed}");
        let rng = &mut Rng::new(seed);
        let len = rng.below(1_500);
        let bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        fuzz_platform(&bytes);
    }
}

/// Random programs on the networks of the first seeds, each twice, to the same end.
#[test]
fn random_programs_match_the_model_and_repeat() {
    for seed in seeds(1_000) {
        let case = Case::of(seed, 600);
        let first = run(&case, false);
        assert_eq!(first.wrong, None, "SEED={seed}");
        assert_eq!(first.digest, run(&case, false).digest, "SEED={seed}");
    }
}

/// Different seeds are different networks and programs, and they do something.
#[test]
fn seeds_differ() {
    let outcomes: Vec<_> = (0..200)
        .map(|seed| run(&Case::of(seed, 600), false))
        .collect();
    let digests: std::collections::HashSet<_> =
        outcomes.iter().map(|outcome| outcome.digest).collect();
    assert_eq!(digests.len(), 200);
    assert!(outcomes.iter().map(|outcome| outcome.opened).sum::<u64>() > 1_000);
    assert!(outcomes.iter().map(|outcome| outcome.received).sum::<u64>() > 10_000);
}
