//! The tests of behaviour on the simulated network, and the model's random runs, in one program.
#![cfg(all(test, feature = "sim-only"))]

#[path = "../tests/accepts_that_unwind.rs"]
mod accepts_that_unwind;
#[path = "../tests/address_limits.rs"]
mod address_limits;
#[path = "../tests/broken_contracts.rs"]
mod broken_contracts;
#[path = "../tests/calls_inside_calls.rs"]
mod calls_inside_calls;
#[path = "../tests/calls_that_unwind.rs"]
mod calls_that_unwind;
#[path = "../tests/composed_protocols.rs"]
mod composed_protocols;
#[path = "../tests/conformance.rs"]
mod conformance;
#[path = "../tests/connect_errors.rs"]
mod connect_errors;
#[path = "../tests/cork.rs"]
mod cork;
#[path = "../tests/cut_off.rs"]
mod cut_off;
#[path = "../tests/delivery_before_close.rs"]
mod delivery_before_close;
#[path = "../tests/draining.rs"]
mod draining;
#[path = "../tests/dropped.rs"]
mod dropped;
#[path = "../tests/fairness.rs"]
mod fairness;
#[path = "../tests/far_deadlines.rs"]
mod far_deadlines;
#[path = "../tests/fewest_calls.rs"]
mod fewest_calls;
#[path = "../tests/frames.rs"]
mod frames;
#[path = "../tests/full_pool.rs"]
mod full_pool;
#[path = "../tests/fuzzing.rs"]
mod fuzzing;
#[path = "../tests/happy_eyeballs.rs"]
mod happy_eyeballs;
#[path = "../tests/listeners_take_turns.rs"]
mod listeners_take_turns;
#[path = "../tests/out_of_descriptors.rs"]
mod out_of_descriptors;
#[path = "../tests/pools_of_any_length.rs"]
mod pools_of_any_length;
#[path = "../tests/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "../tests/queues.rs"]
mod queues;
#[path = "../tests/simulated_datagrams.rs"]
mod simulated_datagrams;
#[path = "../tests/timeouts.rs"]
mod timeouts;
#[path = "../tests/timers.rs"]
mod timers;
#[path = "../tests/waker.rs"]
mod waker;
#[path = "../tests/words.rs"]
mod words;
