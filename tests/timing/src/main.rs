//! Whether the time that a primitive takes tells of its secret, by dudect's method: each call gets
//! an input of one of two classes, drawn at random, and Welch's t-test compares the times of both,
//! with the longest cut off in a hundred ways. `.ci/soak timing` runs it and reads the figures: |t|
//! below 4.5 is wanted of each but `leak`, which ends early on purpose and must show more than 10,
//! and `few_bits_p256` and `seal_aes_128`, which are told only.
//!
//! `SAMPLES=1000000 cargo run --release -- --filter aead` takes so many samples of each class, of
//! what has `aead` in its name. A figure is of the processor that it was measured on.

mod handshakes;
mod primitives;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::OnceLock;

use dudect_bencher::rand::{Rng, RngExt};
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};

use handshakes::{binder, exporter, finished, ticket_secret};
use primitives::{
    aead_aes_128, aead_aes_256, aead_chacha20, aws_lc_aead_aes_128, aws_lc_ecdh_p256,
    aws_lc_ecdh_p384, aws_lc_ecdh_x25519, aws_lc_open_aes_128, aws_lc_seal_aes_128,
    aws_lc_share_x25519, aws_lc_sign_p256, decapsulate_mlkem, ecdh_p256, ecdh_p384, ecdh_x25519,
    encapsulate_mlkem, few_bits_p256, hash_sha256, hash_sha384, open_aes_128, seal_aes_128,
    share_p256, share_p384, share_x25519, sign_ed25519, sign_p256,
};

/// Calls before the first that counts, so that caches and clocks are warm.
const WARM_UP: usize = 1_000;

/// Returns how many samples each class gets at least.
fn samples() -> usize {
    static SAMPLES: OnceLock<usize> = OnceLock::new();
    *SAMPLES.get_or_init(|| match std::env::var("SAMPLES") {
        Ok(count) => count.parse().expect("SAMPLES is a number"),
        Err(_) => 1_000_000,
    })
}

/// Times `run` on inputs of both classes in random order. `make` must do the same whatever the
/// class is, or what it leaves in the caches tells of it.
fn measure<I, T>(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    mut make: impl FnMut(bool, &mut BenchRng) -> I,
    run: impl Fn(&mut I) -> T,
) {
    let mut left = [samples(); 2];
    let mut warm_up = WARM_UP;
    while left != [0; 2] {
        let is_right = rng.random::<bool>();
        let input = RefCell::new(make(is_right, rng));
        if warm_up > 0 {
            warm_up -= 1;
            black_box(run(&mut input.borrow_mut()));
            continue;
        }
        let class = if is_right { Class::Right } else { Class::Left };
        runner.run_one(class, || run(&mut black_box(&input).borrow_mut()));
        let count = &mut left[usize::from(is_right)];
        *count = count.saturating_sub(1);
    }
}

/// Draws bytes, and returns them for the right class, `fixed` for the left.
fn secret<const LEN: usize>(fixed: &[u8; LEN], is_right: bool, rng: &mut BenchRng) -> [u8; LEN] {
    let mut drawn = [0; LEN];
    rng.fill_bytes(&mut drawn);
    choose(fixed, &drawn, is_right)
}

/// Returns one of two, by a mask: a branch that went the class's way would be predicted by it, and
/// a byte that was written by itself may be read more slowly.
fn choose<const LEN: usize>(left: &[u8; LEN], right: &[u8; LEN], is_right: bool) -> [u8; LEN] {
    let mask = black_box(u8::from(is_right).wrapping_neg());
    core::array::from_fn(|at| (right[at] & mask) | (left[at] & !mask))
}

/// Returns what differs from `good` in its first byte, and what does in its last.
fn altered<const LEN: usize>(good: &[u8; LEN]) -> [[u8; LEN]; 2] {
    [0, LEN - 1].map(|at| {
        let mut bad = *good;
        bad[at] ^= 1;
        bad
    })
}

/// A comparison that ends at the first difference: what the method must find.
fn leak(runner: &mut CtRunner, rng: &mut BenchRng) {
    let good = [7_u8; 64];
    let [first, last] = altered(&good);
    let make = |is_right: bool, _: &mut BenchRng| choose(&first, &last, is_right);
    measure(runner, rng, make, |bad| {
        let pairs = bad.iter().zip(&good);
        pairs.take_while(|(a, b)| black_box(a == b)).count()
    });
}

ctbench_main!(
    aead_aes_128,
    aead_aes_256,
    aead_chacha20,
    aws_lc_aead_aes_128,
    aws_lc_ecdh_p256,
    aws_lc_ecdh_p384,
    aws_lc_ecdh_x25519,
    aws_lc_open_aes_128,
    aws_lc_seal_aes_128,
    aws_lc_share_x25519,
    aws_lc_sign_p256,
    binder,
    decapsulate_mlkem,
    ecdh_p256,
    ecdh_p384,
    ecdh_x25519,
    encapsulate_mlkem,
    exporter,
    few_bits_p256,
    finished,
    hash_sha256,
    hash_sha384,
    leak,
    open_aes_128,
    seal_aes_128,
    share_p256,
    share_p384,
    share_x25519,
    sign_ed25519,
    sign_p256,
    ticket_secret
);
