//! An event loop and a fixed pool of sockets that never allocate.
//!
//! A [`Loop`] owns a [`Platform`] and calls one [`Handler`]. All memory comes from the caller:
//! a [`Sockets`] pool and a receive buffer, both usually in a `static`.
#![no_std]
#![forbid(unsafe_code)]

mod accept;
mod buffer;
mod closed;
mod cork;
mod dispatch;
mod endpoint;
mod error;
mod event_loop;
mod evict;
mod handler;
mod id;
mod net;
mod platform;
mod pool;
mod socket;
mod stats;
mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod waker;
mod wheel;

pub use buffer::Buffer;
pub use closed::Closed;
pub use endpoint::{Endpoint, Security, WhenFull};
pub use error::Error;
pub use event_loop::Loop;
pub use handler::{Handler, Opened};
pub use id::{ListenerId, SocketId, TimerId};
pub use net::Net;
pub use platform::{Accepted, Platform, Progress, Readiness, Ready, Recv};
pub use pool::Sockets;
pub use socket::{Peers, Socket};
pub use stats::Stats;
pub use time::{Duration, Instant};
pub use waker::{Notify, Waker};
