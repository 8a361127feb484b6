//! The tests of behaviour on the simulated network, and the model's random runs, in one program.
#![cfg(all(test, feature = "sim-only"))]

#[path = "../tests/calls_inside_calls.rs"]
mod calls_inside_calls;
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
#[path = "../tests/dropped.rs"]
mod dropped;
#[path = "../tests/fairness.rs"]
mod fairness;
#[path = "../tests/far_deadlines.rs"]
mod far_deadlines;
#[path = "../tests/fewest_calls.rs"]
mod fewest_calls;
#[path = "../tests/full_pool.rs"]
mod full_pool;
#[path = "../tests/fuzzing.rs"]
mod fuzzing;
#[path = "../tests/listeners_take_turns.rs"]
mod listeners_take_turns;
#[path = "../tests/out_of_descriptors.rs"]
mod out_of_descriptors;
#[path = "../tests/queues.rs"]
mod queues;
#[path = "../tests/timeouts.rs"]
mod timeouts;
#[path = "../tests/timers.rs"]
mod timers;
#[path = "../tests/waker.rs"]
mod waker;
#[path = "../tests/words.rs"]
mod words;
