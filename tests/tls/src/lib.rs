//! What the tests of TLS share: identities, our engine on two byte queues, and rustls likewise.

pub mod clear;
mod counting;
mod echo;
#[cfg(feature = "search")]
mod engine;
pub mod files;
pub mod fuzz;
pub mod fuzz_chain;
pub mod fuzz_documents;
pub mod hello;
mod identity;
pub mod matrix;
mod null;
pub mod ocsp;
mod ours;
pub mod puppet;
mod theirs;

pub use counting::{Counting, verifications};
pub use echo::{Echo, Held, Part};
#[cfg(feature = "search")]
pub use engine::{Engine, is_large, make_ticket};
pub use identity::{Authority, Kind, Leaf, rsa};
pub use null::{Null, NullKey};
pub use ours::{Broken, Crypto, Machine, NOW, Ours, log_line};
pub use theirs::{Theirs, group, suite};

/// Moves bytes both ways until both are quiet, at most `chunk` bytes at a time.
pub fn pump<C: usockets::tls::Crypto>(
    ours: &mut Ours<C>,
    config: &usockets::tls::Config<'_>,
    theirs: &mut Theirs,
    chunk: usize,
) {
    loop {
        let to_theirs = core::mem::take(&mut ours.output);
        for piece in to_theirs.chunks(chunk) {
            theirs.feed(piece);
        }
        let to_ours = theirs.take_output();
        if to_theirs.is_empty() && to_ours.is_empty() {
            return;
        }
        for piece in to_ours.chunks(chunk) {
            ours.feed(config, piece);
        }
    }
}

/// Moves bytes between two of ours until both are quiet.
pub fn settle<A: usockets::tls::Crypto, B: usockets::tls::Crypto>(
    a: &mut Ours<A>,
    a_config: &usockets::tls::Config<'_>,
    b: &mut Ours<B>,
    b_config: &usockets::tls::Config<'_>,
) {
    pump_pair(a, a_config, b, b_config, usize::MAX);
}

/// Moves bytes between two of ours until both are quiet, at most `chunk` bytes at a time.
pub fn pump_pair<A: usockets::tls::Crypto, B: usockets::tls::Crypto>(
    a: &mut Ours<A>,
    a_config: &usockets::tls::Config<'_>,
    b: &mut Ours<B>,
    b_config: &usockets::tls::Config<'_>,
    chunk: usize,
) {
    loop {
        let to_b = core::mem::take(&mut a.output);
        for piece in to_b.chunks(chunk) {
            b.feed(b_config, piece);
        }
        let to_a = core::mem::take(&mut b.output);
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
        for piece in to_a.chunks(chunk) {
            a.feed(a_config, piece);
        }
    }
}
