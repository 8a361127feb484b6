//! An event loop and a fixed pool of sockets that never allocate.
#![no_std]
#![forbid(unsafe_code)]

mod endpoint;
mod error;
mod id;
mod platform;
mod time;
#[cfg(feature = "tls")]
pub mod tls;

pub use endpoint::{Endpoint, Security, WhenFull};
pub use error::Error;
pub use id::{ListenerId, SocketId, TimerId};
pub use platform::{Accepted, Platform, Progress, Readiness, Ready, Recv};
pub use time::{Duration, Instant};
