//! What somebody who uses the libraries has: a platform, and two handlers.
//!
//! `pipes` is a whole platform; `tests/conformance.rs` holds it to the suite. The handlers are
//! `frames` and `table`; `tests/finds_bugs.rs` drives them on the simulator, without bugs and with.

pub mod frames;
pub mod pipes;
pub mod table;
