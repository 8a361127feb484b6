//! The TCP engine of our own: connections over networks in virtual time, and segments by hand.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    reason = "a test may panic, and its numbers are small"
)]

mod acknowledgements;
#[cfg(feature = "bbr")]
mod bbr;
#[cfg(feature = "plpmtud")]
mod black_holes;
#[cfg(feature = "ecn")]
mod ecn;
mod host;
mod hostile;
mod injected_bugs;
mod losses;
mod net;
mod options;
#[cfg(feature = "pacing")]
mod pacing;
mod paths;
mod quiet;
mod requirements;
mod script;
mod states;
mod streams;
mod timers;
mod transfers;
mod windows;
