//! Everything that checks `usockets`: a simulated network, a conformance suite that every
//! platform must pass, models and measurements.

pub mod bare;
pub mod bed;
pub mod behaviour;
#[cfg(target_os = "linux")]
pub mod control;
pub mod counted;
mod forward;
pub mod fuzz;
pub mod http;
#[cfg(target_os = "linux")]
pub mod limits;
pub mod lockstep;
pub mod model;
pub mod restart;
pub mod scripted;
pub mod slow;
pub mod smoltcp;
#[cfg(feature = "tls")]
pub mod steady;
pub mod stop;
pub mod tasks;
pub mod unwinding;

/// The scripted handler and the one of datagrams, and loops that are driven.
pub use usockets_conformance::{mail, script, side};
/// The simulated network.
pub use usockets_sim as sim;
/// Random numbers that a seed repeats.
pub use usockets_sim::rng;
