//! What somebody who uses the libraries has: a platform, and two handlers.
//!
//! `pipes` is a whole platform over the network in `wire`. `tests/conformance.rs` holds it to the
//! suite, with the bed in `tests/bed`; `tests/finds_broken_platforms.rs` breaks it, and the suite
//! notices. The handlers are `frames` and `table`; `tests/finds_bugs.rs` drives them on the
//! simulator, without bugs and with.

pub mod frames;
pub mod pipes;
pub mod table;
pub mod wire;
