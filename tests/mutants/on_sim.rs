//! The tests of behaviour on the simulated network, and the model's random runs.

#[path = "../tests/accepts_that_unwind.rs"]
mod accepts_that_unwind;
#[path = "../tests/address_limits.rs"]
mod address_limits;
#[path = "../tests/async_cancellation.rs"]
mod async_cancellation;
#[path = "../tests/async_streams.rs"]
mod async_streams;
#[path = "../tests/broken_connections.rs"]
mod broken_connections;
#[path = "../tests/broken_contracts.rs"]
mod broken_contracts;
#[path = "../tests/budgets.rs"]
mod budgets;
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
#[path = "../tests/descriptors.rs"]
mod descriptors;
#[path = "../tests/drained_handshakes.rs"]
mod drained_handshakes;
#[path = "../tests/draining.rs"]
mod draining;
#[path = "../tests/dropped.rs"]
mod dropped;
#[path = "../tests/duplicated_descriptors.rs"]
mod duplicated_descriptors;
#[path = "../tests/failed_handshakes.rs"]
mod failed_handshakes;
#[path = "../tests/fairness.rs"]
mod fairness;
#[path = "../tests/false_answers.rs"]
mod false_answers;
#[path = "../tests/far_deadlines.rs"]
mod far_deadlines;
#[path = "../tests/fewest_calls.rs"]
mod fewest_calls;
#[path = "../tests/frames.rs"]
mod frames;
#[path = "../tests/full_of_handshakes.rs"]
mod full_of_handshakes;
#[path = "../tests/full_pool.rs"]
mod full_pool;
#[path = "../tests/fuzzing.rs"]
mod fuzzing;
#[path = "../tests/happy_eyeballs.rs"]
mod happy_eyeballs;
#[path = "../tests/layers_pass_on.rs"]
mod layers_pass_on;
#[path = "../tests/listeners_take_turns.rs"]
mod listeners_take_turns;
#[path = "../tests/out_of_descriptors.rs"]
mod out_of_descriptors;
#[path = "../tests/platform_answers.rs"]
mod platform_answers;
#[path = "../tests/pools_of_any_length.rs"]
mod pools_of_any_length;
#[path = "../tests/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "../tests/queues.rs"]
mod queues;
#[path = "../tests/reconnect.rs"]
mod reconnect;
#[path = "../tests/records_in_parts.rs"]
mod records_in_parts;
#[path = "../tests/simulated_datagrams.rs"]
mod simulated_datagrams;
#[path = "../tests/slow_peers.rs"]
mod slow_peers;
#[path = "../tests/timeouts.rs"]
mod timeouts;
#[path = "../tests/timers.rs"]
mod timers;
#[path = "../tests/tls_calls.rs"]
mod tls_calls;
#[path = "../tests/tls_hand_over.rs"]
mod tls_hand_over;
#[path = "../tests/unix_datagrams.rs"]
mod unix_datagrams;
#[path = "../tests/waker.rs"]
mod waker;
#[path = "../tests/words.rs"]
mod words;
