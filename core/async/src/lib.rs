//! Async sockets over [`usockets`]: the traits of `embedded-io-async` on any platform, without
//! heap, `std` or `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "edge-nal")]
mod edge;
mod error;
mod listener;
#[cfg(feature = "embedded-nal-async")]
mod nal;
mod reactor;
mod stream;
mod timer;
mod waiters;

pub use error::IoError;
pub use listener::Listener;
pub use reactor::Reactor;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use timer::Sleep;
pub use waiters::{ACCEPTORS_MAX, Tasks, Waiters};
