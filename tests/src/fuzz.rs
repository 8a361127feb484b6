//! Bodies for fuzzers. Each takes any bytes and panics only if something is wrong.

use crate::model::{Case, run};

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
