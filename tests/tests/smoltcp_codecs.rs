//! A bounded random run of the formats against others'. `SEED` starts it elsewhere, `RUNS` makes it
//! longer.

use usockets_smoltcp::Random;
use usockets_tests::fuzz::corpus;
use usockets_tests::smoltcp::codecs::fuzz_codecs;
use usockets_tests::smoltcp::seed;

fn check(bytes: &[u8], what: &str) {
    let caught = std::panic::catch_unwind(|| fuzz_codecs(bytes));
    assert!(caught.is_ok(), "{what}: {bytes:?}");
}

/// Noise rarely is a packet, so most runs change a few bytes of one.
#[test]
fn formats_agree_with_others() {
    let first = seed(1);
    let runs = std::env::var("RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok());
    let files: Vec<Vec<u8>> = corpus("codecs")
        .iter()
        .map(|path| std::fs::read(path).expect("its bytes"))
        .collect();
    for seed in first..first + runs.unwrap_or(30_000) {
        let mut random = Random::new(seed);
        let mut bytes = if random.chance(300_000) {
            let len = 1 + random.below(120);
            (0..len).map(|_| random.next() as u8).collect()
        } else {
            files[random.below(files.len() as u64) as usize].clone()
        };
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        if random.chance(200_000) {
            bytes.truncate(1 + random.below(bytes.len() as u64) as usize);
        }
        check(&bytes, &format!("SEED={seed} RUNS=1"));
    }
}

#[test]
fn the_corpus_passes() {
    let files = corpus("codecs");
    assert!(
        files.len() >= 16,
        "the corpus has only {} files",
        files.len()
    );
    for path in files {
        let bytes = std::fs::read(&path).expect("its bytes");
        check(&bytes, &path.display().to_string());
    }
}
