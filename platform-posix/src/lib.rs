//! POSIX platforms for [`usockets`]: [`poll(2)`](Poll) on every Unix, and kqueue on FreeBSD,
//! NetBSD, OpenBSD, DragonFly and Apple's systems, where [`Posix`] runs over it.
//!
//! ```
//! use usockets::{Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Socket, Sockets};
//! use usockets_posix::{Poll, Posix};
//!
//! struct Greeter;
//!
//! impl<P: Platform> Handler<P> for Greeter {
//!     type Ext = ();
//!     type Context = ();
//!
//!     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
//!         let _ = socket.write(b"hello\n");
//!     }
//!
//!     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
//! }
//!
//! # fn main() -> Result<(), Error> {
//! // The selector is as large as the pool.
//! let platform = Posix::new(Poll::<16>::new());
//! let mut sockets = Sockets::<_, _, 16>::new();
//! let mut buffer = [0; 4096];
//! let mut server = Loop::new(platform, &mut sockets, &mut buffer);
//! server.net().listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), ())?;
//! server.poll(&mut Greeter, Some(Instant::ZERO))
//! # }
//! ```
//!
//! # Which to take
//!
//! | system | platform |
//! |---|---|
//! | Linux | `usockets-linux`, which is epoll over the socket half of this crate |
//! | FreeBSD, NetBSD, OpenBSD, DragonFly, macOS, iOS | `Posix<Kqueue>` |
//! | any other Unix, and Linux where epoll is forbidden | `Posix<Poll<N>>` |
//!
//! # Map
//!
//! Read [`stream`] first: what a non-blocking TCP socket does on every POSIX system. [`Selector`]
//! is what differs: how readiness is learnt. [`Posix`] joins the two to a
//! [`Platform`](usockets::Platform). On systems that are not Unix this crate is empty.
#![cfg(unix)]
#![no_std]

pub mod datagrams;
mod errno;
mod fd;
mod inside;
mod kqueue;
pub mod local;
mod options;
#[cfg(feature = "std")]
mod passed;
mod pipe;
mod poll;
mod posix;
mod selector;
pub mod stream;
#[cfg(feature = "std")]
mod zeroed;

pub use errno::{connect_error, error};
pub use fd::{Fd, Kind};
pub use inside::poll_inside;
#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub use kqueue::Kqueue;
pub use kqueue::event::{Kevent, KeventFilter, KeventFlags};
pub use options::canonical;
#[cfg(feature = "std")]
pub use passed::{Passed, passed_descriptors};
pub use pipe::Pipe;
pub use poll::Poll;
pub use posix::{Posix, PosixSocket};
pub use selector::{Selector, Watch};
#[cfg(feature = "std")]
pub use zeroed::{ZeroIsEmpty, zeroed, zeroed_slice};
