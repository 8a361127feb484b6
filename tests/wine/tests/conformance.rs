//! The conformance suite, and what else runs on every platform, as one program: what starts it
//! takes longer than it.

#[path = "../../tests/address_limits.rs"]
mod address_limits;
#[path = "../../tests/async_cancellation.rs"]
mod async_cancellation;
#[path = "../../tests/async_streams.rs"]
mod async_streams;
#[path = "../../tests/calls_that_unwind.rs"]
mod calls_that_unwind;
#[path = "../../tests/composed_protocols.rs"]
mod composed_protocols;
#[path = "../../tests/conformance.rs"]
mod conformance;
#[path = "../../tests/delivery_before_close.rs"]
mod delivery_before_close;
#[path = "../../tests/memory.rs"]
mod memory;
