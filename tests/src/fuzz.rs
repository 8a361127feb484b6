//! Bodies for fuzzers. Each takes any bytes and panics only if something is wrong.

use std::path::{Path, PathBuf};

use crate::model::{Case, run};

/// Returns the files of a fuzzer's committed corpus.
///
/// # Panics
/// There is none of that name.
#[must_use]
pub fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

/// Lets bytes decide what a simulated network answers and what random programs do, against the
/// model. See [`model`](crate::model).
///
/// # Panics
/// The loop and the model disagree, or not everything comes to its end.
pub fn fuzz_events(bytes: &[u8]) {
    let case = Case::of_bytes(bytes);
    if let Some(wrong) = run(&case, false).wrong {
        panic!("{wrong}\nin {case:?}");
    }
}
