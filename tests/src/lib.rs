//! Everything that checks `usockets`: a simulated platform, a conformance suite that every
//! platform must pass, models and measurements.

pub mod smoltcp;
