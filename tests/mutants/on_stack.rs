//! The tests of the stack in user space, in virtual time.

#[path = "../tests/smoltcp_congestion.rs"]
mod smoltcp_congestion;
#[path = "../tests/smoltcp_endings.rs"]
mod smoltcp_endings;
#[path = "../tests/smoltcp_hostile.rs"]
mod smoltcp_hostile;
#[path = "../tests/smoltcp_in_place.rs"]
mod smoltcp_in_place;
#[path = "../tests/smoltcp_leases.rs"]
mod smoltcp_leases;
#[path = "../tests/smoltcp_listening.rs"]
mod smoltcp_listening;
#[path = "../tests/smoltcp_pacing.rs"]
mod smoltcp_pacing;
#[path = "../tests/smoltcp_paths.rs"]
mod smoltcp_paths;
#[path = "../tests/smoltcp_queues.rs"]
mod smoltcp_queues;
#[path = "../tests/smoltcp_streams.rs"]
mod smoltcp_streams;
#[path = "../tests/smoltcp_time_wait.rs"]
mod smoltcp_time_wait;
#[path = "../tests/smoltcp_without_sets.rs"]
mod smoltcp_without_sets;
