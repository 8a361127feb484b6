//! The fuzzers' bodies, on bytes from a seed. `SEED=n` runs one seed.

use usockets::tls::Machine as _;
use usockets_tests_tls::{Machine, fuzz};

/// Calls `body` with the bytes of many seeds, most of them short.
fn run(count: u64, body: fn(&[u8])) {
    let one = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = one.map_or(1..=count, |seed: u64| seed..=seed);
    for seed in seeds {
        let mut machine = Machine::new(seed);
        let mut len = [0; 2];
        assert!(machine.random(&mut len));
        let len = usize::from(len[0]) * usize::from(len[1] % 8);
        let mut bytes = vec![0; len];
        assert!(machine.random(&mut bytes));
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        if outcome.is_err() {
            panic!("SEED={seed}");
        }
    }
}

#[test]
fn server() {
    run(1_000, fuzz::fuzz_tls_server);
}

#[test]
fn client() {
    run(1_000, fuzz::fuzz_tls_client);
}

#[test]
fn client_messages() {
    run(500, fuzz::fuzz_tls_client_messages);
}

#[test]
fn pair() {
    run(50, fuzz::fuzz_tls_pair);
}
