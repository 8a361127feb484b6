//! Linux for [`usockets`]: non-blocking TCP sockets and one `epoll` instance, by raw system
//! calls, without `std` and without libc.
//!
//! ```
//! use std::thread;
//! use usockets::{
//!     AllSockets, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets, Waker,
//! };
//! use usockets_linux::{EventFd, Linux};
//!
//! /// Serves until another thread wakes the loop.
//! struct Server;
//!
//! impl<P: Platform> Handler<P> for Server {
//!     type Ext = ();
//!     type Context = ();
//!
//!     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
//!         let _ = socket.write(b"hello\n");
//!     }
//!
//!     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
//!
//!     fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
//!         sockets.net().close_all((), 0);
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let waker: &'static _ = Box::leak(Box::new(Waker::new(EventFd::new()?)));
//! let linux = Linux::new()?.with_waker(waker)?;
//! let mut sockets = Sockets::<_, _, 16>::new();
//! let mut buffer = [0; 4096];
//! let mut server = Loop::new(linux, &mut sockets, &mut buffer);
//! server.net().listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), ())?;
//!
//! thread::spawn(|| waker.wake());
//! server.run(&mut Server) // Returns when nothing is left to serve.
//! # }
//! ```
//!
//! # How it waits
//!
//! A connection is registered with `epoll` once, edge-triggered for everything, and closing it
//! ends the registration: pausing, resuming and waiting for room cost no system call. A listener
//! is level-triggered; it is muted only while it cannot accept, as the pool is full or descriptors
//! are out, or the program pauses it.
//!
//! # Inside another event loop
//!
//! A loop has a descriptor (feature `std`, on by default) and says how long it may wait:
//! [`poll_inside`] is all that the event loop of another library calls. `examples/hosts` has it in
//! tokio, mio, async-io, calloop, glib and libuv.
//!
//! # Valgrind
//!
//! With the feature `std` programs run under valgrind. Programs without std or libc switch it off.
#![no_std]

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(any(doc, doctest))]
pub mod book;
pub mod datagrams;
mod descriptors;
mod event_fd;
mod events;
#[cfg(all(feature = "std", feature = "tls-small"))]
mod keys;
mod linux;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "tls-small")]
mod machine;
mod raw;
mod signals;
#[cfg(not(feature = "local"))]
mod tcp_only;
mod transfer;

#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::{AwsLc, AwsLcKey};
pub use event_fd::EventFd;
#[cfg(all(feature = "std", feature = "tls-small"))]
pub use keys::{KeyFileError, KeyFileReason, KeyFiles};
pub use linux::Linux;
#[cfg(feature = "tls-small")]
pub use machine::LinuxMachine;
pub use signals::{Signal, block_signals};
#[cfg(feature = "local")]
pub use usockets_posix::local::{RECEIVED_MAX, remove_if_refused};
pub use usockets_posix::{Fd, poll_inside};
#[cfg(feature = "std")]
pub use usockets_posix::{Passed, ZeroIsEmpty, passed_descriptors, zeroed, zeroed_slice};
