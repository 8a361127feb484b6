//! The tests, a file for each behaviour. Each is a function over a [`Bed`](crate::Bed) that panics
//! where the platform is wrong; its documentation says what must hold.
//!
//! `(W4)` and the like are the numbers of weaknesses of the C library that a test rules out.

pub mod addresses;
pub mod back_pressure;
pub mod broken_connections;
pub mod calls_inside_calls;
pub mod closing_data;
pub mod connect_errors;
pub mod contexts;
pub mod contract;
pub mod cork;
pub mod datagrams;
pub mod delivery_before_close;
pub mod draining;
pub mod fairness;
pub mod foreign_loops;
pub mod full_pool;
pub mod half_close;
pub mod listeners_take_turns;
pub mod memory;
pub mod on_demand;
pub mod pre_open;
pub mod slots_at_capacity;
pub mod stale_names;
pub mod stats;
pub mod timeouts;
pub mod timers;
pub mod write_before_open;
