//! A bounded random run of the fuzz bodies, on stable. `SEED` starts it elsewhere, `RUNS` makes it
//! longer.

use usockets_smoltcp::Random;
use usockets_tests::fuzz::corpus;
use usockets_tests::smoltcp::fuzz::{fuzz_frames, fuzz_stock, fuzz_two_stacks};

/// Longest script of a run.
const TWO_STACKS_LEN: u64 = 400;

fn bytes_of(seed: u64, len_max: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 16 + random.below(len_max);
    (0..len).map(|_| random.next() as u8).collect()
}

fn two_stacks_of(seed: u64) {
    fuzz_two_stacks(&bytes_of(seed, TWO_STACKS_LEN));
}

fn run(body: fn(&[u8]), runs: u64, len_max: u64) {
    let first = usockets_tests::smoltcp::seed(1);
    let runs = std::env::var("RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(runs);
    for seed in first..first + runs {
        let bytes = bytes_of(seed, len_max);
        let caught = std::panic::catch_unwind(|| body(&bytes));
        assert!(caught.is_ok(), "SEED={seed} RUNS=1");
    }
}

#[test]
fn frames() {
    run(fuzz_frames, 400, 2_000);
}

#[test]
fn two_stacks() {
    run(fuzz_two_stacks, 150, TWO_STACKS_LEN);
}

/// Ours against smoltcp's, as the other host.
#[test]
fn ours_and_smoltcps_stack() {
    run(fuzz_stock, 400, TWO_STACKS_LEN);
}

/// Replays some of what the fuzzers have kept.
fn replay(name: &str, body: fn(&[u8])) {
    let files = corpus(name);
    for path in &files {
        let bytes = std::fs::read(path).expect("its bytes");
        let caught = std::panic::catch_unwind(|| body(&bytes));
        assert!(caught.is_ok(), "{}", path.display());
    }
    let count = files.len();
    assert!(count >= 20, "the corpus has only {count} files");
}

#[test]
fn the_corpus_of_frames_passes() {
    replay("frames", fuzz_frames);
}

#[test]
fn the_corpus_of_two_stacks_passes() {
    replay("two_stacks", fuzz_two_stacks);
}

/// Seeds that once failed. 56108: a FIN taken from beyond the window.
#[test]
fn seeds_that_failed_once() {
    two_stacks_of(56_108);
}
