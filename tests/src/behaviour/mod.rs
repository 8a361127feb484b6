//! Tests of what is above a platform, mostly on any [`Bed`](crate::bed::Bed), which fuzzers run as
//! well as `tests/tests`.

pub mod calls_that_unwind;
pub mod composed_protocols;
pub mod frame_queues;
