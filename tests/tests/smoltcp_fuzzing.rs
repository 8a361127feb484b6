//! A bounded random run of the fuzz bodies, on stable. `SEED` starts it elsewhere, `RUNS` makes it
//! longer.

use usockets_smoltcp::Random;
use usockets_tests::smoltcp::fuzz::{fuzz_frames, fuzz_two_stacks};

fn run(body: fn(&[u8]), runs: u64, len_max: u64) {
    let first = usockets_tests::smoltcp::seed(1);
    let runs = std::env::var("RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(runs);
    for seed in first..first + runs {
        let mut random = Random::new(seed);
        let len = 16 + random.below(len_max);
        let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
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
    run(fuzz_two_stacks, 150, 400);
}
