//! The fuzzers' bodies under stable Rust: the committed corpora, and bytes from seeds. `SEED=n`
//! runs one seed.

use std::path::Path;

use usockets::tls::Machine as _;
use usockets_tests_tls::{Machine, fuzz, fuzz_chain, fuzz_documents};

/// Calls `body` with the bytes of many seeds, most of them short.
fn run(count: u64, body: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
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

/// Replays the bytes that once were of interest, each a file of the corpus `name`.
fn replay(name: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).expect("a corpus") {
        let path = entry.expect("a file").path();
        println!("{}", path.display());
        body(&std::fs::read(&path).expect("its bytes"));
        count += 1;
    }
    assert!(count >= 20, "the corpus {name} has only {count} files");
}

#[test]
fn server() {
    replay("tls_server", fuzz::fuzz_tls_server);
    run(2_000, fuzz::fuzz_tls_server);
}

#[test]
fn client() {
    replay("tls_client", fuzz::fuzz_tls_client);
    run(2_000, fuzz::fuzz_tls_client);
}

#[test]
fn pair() {
    replay("tls_pair", fuzz::fuzz_tls_pair);
    run(50, fuzz::fuzz_tls_pair);
}

#[test]
fn chain() {
    replay("tls_chain", fuzz_chain::fuzz_tls_chain);
    run(2_000, fuzz_chain::fuzz_tls_chain);
}

/// Seeds of which every other changes a good document.
fn run_documents(count: u64, body: fn(&[u8])) {
    run(count, |bytes| {
        body(bytes);
        body(&[&[0], bytes].concat());
        body(&[&[0, 0], &bytes[..bytes.len().min(3)]].concat());
    });
}

/// What the fuzzers of documents start from is what is made here; `WRITE_CORPUS=1` writes it.
#[test]
fn corpora_of_documents_are_those_that_are_made() {
    for (name, body) in DOCUMENTS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../corpus")
            .join(name);
        let made = fuzz_documents::corpus(name);
        for (number, bytes) in made.iter().enumerate() {
            let path = folder.join(format!("{number:02}"));
            if std::env::var_os("WRITE_CORPUS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, bytes).unwrap();
            }
            assert_eq!(std::fs::read(&path).unwrap(), *bytes, "{}", path.display());
        }
        replay(name, body);
    }
}

/// What a fuzzer calls.
type Body = fn(&[u8]);

/// The fuzzers of documents.
const DOCUMENTS: [(&str, Body); 4] = [
    ("tls_pem", fuzz_documents::fuzz_tls_pem),
    ("tls_key", fuzz_documents::fuzz_tls_key),
    ("tls_crl", fuzz_documents::fuzz_tls_crl),
    ("tls_ocsp", fuzz_documents::fuzz_tls_ocsp),
];

#[test]
fn documents() {
    run_documents(2_000, fuzz_documents::fuzz_tls_pem);
    run_documents(2_000, fuzz_documents::fuzz_tls_key);
    run_documents(500, fuzz_documents::fuzz_tls_crl);
    run_documents(500, fuzz_documents::fuzz_tls_ocsp);
    fuzz_documents::fuzz_tls_crl(&[0]);
    fuzz_documents::fuzz_tls_ocsp(&[0]);
}
