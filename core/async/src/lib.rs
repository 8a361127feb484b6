//! Async sockets over [`usockets`]: the traits of `embedded-io-async` on any platform, without
//! heap, `std` or `unsafe`.
//!
//! The program hands over all memory once, as for a loop with a handler, and one entry of
//! [`Waiters`] for each slot. Then each task has streams, a listener or timers, and any executor
//! runs them: it polls what was woken, and calls [`Reactor::turn`] to wait.
//!
//! | file | what it has |
//! |---|---|
//! | `reactor.rs` | [`Reactor`]: the loop that tasks share; its example is where to start |
//! | `stream.rs`, `listener.rs`, `timer.rs` | [`Stream`], [`Listener`], [`Sleep`] |
//! | `waiters.rs` | [`Tasks`], the loop's handler, and which tasks wait for which socket |
//! | `nal.rs`, `edge.rs` | the traits of `embedded-nal-async` and, by feature, `edge-nal` |
//!
//! # Reading on demand
//!
//! A read goes straight into the task's memory, and a byte that no task reads stays with the
//! platform, which holds the peer up. So there is no buffer between the two, and nothing to lose
//! when a future is dropped: bytes are taken by the poll that returns them.
//!
//! # Executors
//!
//! `core/async/hosts` has one of its own, embassy's and tokio's `LocalSet` with an echo server
//! each, and edge-http and picoserve as they are. With an executor that waits elsewhere, wait for
//! the platform's descriptor, [`Reactor::next_deadline`] and [`Reactor::changed`].
//!
//! A waker must not call the reactor: it is woken from within [`Reactor::turn`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(doc, doctest))]
pub mod book;
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
pub use waiters::{ACCEPTORS_MAX, ListenerKey, Tasks, Waiters};
