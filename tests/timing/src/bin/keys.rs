//! Whether sealing takes longer with some keys than with others: 64 keys in random order, and how
//! far the mean times of each lie apart, as the mean square of their deviations in standard errors
//! (chi-squared by degrees of freedom): about 1 where the key does not matter.
//!
//! `SAMPLES=100000 cargo run --release --bin keys` takes so many samples of each key.

use std::hint::black_box;
use std::time::Instant;

use dudect_bencher::BenchRng;
use dudect_bencher::rand::{Rng, RngExt, SeedableRng};
use usockets::tls::{Crypto, Suite};
use usockets_linux::AwsLc;
use usockets_tests_tls::Machine;

const KEYS: usize = 64;
/// Calls before the first that counts.
const WARM_UP: usize = 1_000;

fn main() {
    let samples = std::env::var("SAMPLES").map_or(100_000, |text| text.parse().expect("a number"));
    let seed = std::env::var("SEED").map_or(7, |text| text.parse().expect("a number"));
    println!("{samples} samples of each key, seed {seed}");
    let portable = || usockets_tests_tls::Crypto::new(Machine::new(1));
    let aws_lc = || AwsLc::new(Machine::new(1));
    for suite in [Suite::Aes128GcmSha256, Suite::Aes256GcmSha384] {
        let apart = spread(portable(), suite, samples, seed);
        println!("{suite:?}: {apart:.2}");
        let apart = spread(aws_lc(), suite, samples, seed);
        println!("{suite:?} by aws-lc: {apart:.2}");
    }
}

/// Returns how far the mean times of keys lie apart.
fn spread(mut crypto: impl Crypto, suite: Suite, samples: usize, seed: u64) -> f64 {
    let mut rng = BenchRng::seed_from_u64(seed);
    let keys: [[u8; 32]; KEYS] = core::array::from_fn(|_| rng.random());
    let mut times = vec![Vec::with_capacity(2 * samples); KEYS];
    for nth in 0..samples * KEYS + WARM_UP {
        let which = rng.next_u32() as usize % KEYS;
        let (key, mut data) = (black_box(&keys)[which], [9; 64]);
        let start = Instant::now();
        let sealed = crypto.seal(suite, black_box(&key), &[8; 12], b"record", &mut data);
        black_box(sealed.expect("it seals"));
        let nanos = start.elapsed().as_nanos();
        if nth >= WARM_UP {
            times[which].push(nanos as f64);
        }
    }
    // The longest were interrupted.
    let mut all = times.concat();
    all.sort_unstable_by(f64::total_cmp);
    let longest = all[all.len() * 93 / 100];
    all.retain(|nanos| *nanos <= longest);
    let (mean, variance) = moments(&all);
    let squares = times.iter_mut().map(|own| {
        own.retain(|nanos| *nanos <= longest);
        let (own_mean, _) = moments(own);
        (own_mean - mean).powi(2) / (variance / own.len() as f64)
    });
    squares.sum::<f64>() / (KEYS - 1) as f64
}

/// Returns mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, squares.sum::<f64>() / count)
}
