//! The generic conformance suite, as one program: what starts it takes longer than it.
//!
//! `tests/broken_connections.rs` is left out: its peers reset by rustix, which is not for Windows.

#[path = "../../tests/async_cancellation.rs"]
mod async_cancellation;
#[path = "../../tests/async_streams.rs"]
mod async_streams;
#[path = "../../tests/broken_connections.rs"]
mod broken_connections;
#[path = "../../tests/calls_inside_calls.rs"]
mod calls_inside_calls;
#[path = "../../tests/conformance.rs"]
mod conformance;
#[path = "../../tests/composed_protocols.rs"]
mod composed_protocols;
#[path = "../../tests/connect_errors.rs"]
mod connect_errors;
#[path = "../../tests/cork.rs"]
mod cork;
#[path = "../../tests/delivery_before_close.rs"]
mod delivery_before_close;
#[path = "../../tests/fairness.rs"]
mod fairness;
#[path = "../../tests/foreign_loops.rs"]
mod foreign_loops;
#[path = "../../tests/full_pool.rs"]
mod full_pool;
#[path = "../../tests/listeners_take_turns.rs"]
mod listeners_take_turns;
#[path = "../../tests/memory.rs"]
mod memory;
#[path = "../../tests/timeouts.rs"]
mod timeouts;
#[path = "../../tests/timers.rs"]
mod timers;
