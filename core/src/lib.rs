//! An event loop and a fixed pool of sockets that never allocate.
//!
//! The program hands over all memory once: a [`Sockets`] pool and a receive buffer, usually in
//! statics. A [`Loop`] then drives one [`Platform`] (Linux, a user-space TCP stack, a simulator)
//! and calls one [`Handler`], the same on every platform. No `std`, no `alloc`, no `unsafe`, and
//! no panic that a peer or a platform can cause.
//!
//! ```
//! use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
//! use usockets_linux::Linux;
//!
//! /// Echoes what accepted connections send; says hello on connections of our own.
//! #[derive(Default)]
//! struct Demo {
//!     heard: Vec<u8>,
//! }
//!
//! #[derive(Clone, Copy, PartialEq)]
//! enum Side {
//!     Client,
//!     Server,
//! }
//!
//! impl<P: Platform> Handler<P> for Demo {
//!     type Ext = Side;
//!     type Context = Side;
//!
//!     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<Side>) -> Side {
//!         if opened.context() == Side::Client {
//!             assert_eq!(socket.write(b"hello"), 5);
//!             socket.finish();
//!         }
//!         opened.context()
//!     }
//!
//!     fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, side: &mut Side, data: &mut [u8]) {
//!         match side {
//!             Side::Client => self.heard.extend_from_slice(data),
//!             Side::Server => assert_eq!(socket.write(data), data.len()),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let mut sockets = Sockets::<_, _, 3>::new();
//! let mut buffer = [0; 1024];
//! let mut net = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
//! let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
//! let listener = net.net().listen(at, Side::Server)?;
//! let addr = net.net().listening_addr(listener).ok_or(Error::Invalid)?;
//! net.net().connect(Endpoint::tcp(addr), Side::Client)?;
//!
//! let mut demo = Demo::default();
//! while net.stats().in_use > 1 {
//!     net.poll(&mut demo, None)?;
//! }
//! assert_eq!(demo.heard, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! - how programs are written, a chapter for each subject: the module `book`;
//! - what a program does: [`Handler`], and [`Socket`], [`Net`] and [`AllSockets`] inside its calls;
//! - how long the loop runs and how it fits other loops: [`Loop::run`], [`Loop::poll`],
//!   [`Loop::next_deadline`];
//! - several protocols in one loop: [`compose`];
//! - addresses and options: [`Endpoint`]; reasons: [`Error`], [`Closed`];
//! - another operating system or stack: [`Platform`].
#![no_std]
#![forbid(unsafe_code)]

mod address;
#[cfg(any(doc, doctest))]
pub mod book;
mod budget;
mod buffer;
mod closed;
pub mod compose;
mod endpoint;
mod error;
mod event_loop;
mod frames;
mod handler;
mod happy_eyeballs;
mod id;
mod injected_bug;
mod invariant;
mod limits;
mod logging;
mod platform;
mod pool;
pub mod proxy;
mod sockets;
mod stats;
mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod waker;

pub use address::{Address, LocalAddress};
pub use budget::Budget;
pub use buffer::{Buffer, Queue, Span};
pub use closed::Closed;
pub use endpoint::{Endpoint, Security, WhenFull};
pub use error::Error;
pub use event_loop::Loop;
#[cfg(feature = "search")]
pub use event_loop::search::CopyFrom;
pub use frames::{Frame, FrameError, FrameSpans, Frames, FramesRef, Output};
pub use handler::{Handler, Opened};
pub use happy_eyeballs::{Connecting, HappyEyeballs};
pub use id::{ListenerId, SocketId, TimerId};
#[cfg(feature = "injected-bugs")]
pub use injected_bug::{InjectedBug, inject};
pub use limits::{AddressLimit, AddressLimits, OverLimit};
pub use platform::{
    Accepted, Arrival, Arrivals, Credentials, DatagramError, DatagramOption, Datagrams, Departure,
    Descriptors, Ecn, Inserted, Keepalive, LocalEndpoint, LocalSockets, LocalType, Platform,
    Progress, Readiness, Ready, Recv, SocketOption, StalePath,
};
pub use pool::Sockets;
pub use pool::slot::{Place, Slot};
pub use sockets::Net;
pub use sockets::datagrams::Sent;
pub use sockets::incoming::{Incoming, PreOpen};
pub use sockets::receive::Read;
pub use sockets::socket::{AllSockets, Socket};
pub use stats::Stats;
pub use time::{Duration, Instant};
pub use waker::{Notify, Waker};
