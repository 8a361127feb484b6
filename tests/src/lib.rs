//! Everything that checks `usockets`: a simulated network, a conformance suite that every
//! platform must pass, models and measurements.

pub mod bed;
mod forward;
pub mod fuzz;
pub mod http;
pub mod model;
pub mod rng;
pub mod script;
pub mod side;
pub mod sim;
pub mod slow;
pub mod smoltcp;
pub mod tasks;
