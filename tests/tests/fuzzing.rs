//! The fuzzers' bodies under stable Rust: the committed corpus, and a bounded random run.

use std::path::Path;

use usockets_tests::fuzz::fuzz_events;
use usockets_tests::model::{Case, run};
use usockets_tests::rng::{Rng, seed_or, seeds};

/// Bytes that once were of interest, each a file of the corpus.
#[test]
fn the_corpus_of_events_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/events");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).expect("a corpus") {
        let path = entry.expect("a file").path();
        println!("{}", path.display());
        fuzz_events(&std::fs::read(&path).expect("its bytes"));
        count += 1;
    }
    assert!(count >= 20, "the corpus has only {count} files");
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
