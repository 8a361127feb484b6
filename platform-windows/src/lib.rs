//! Windows for `usockets`: non-blocking TCP sockets, polled by their driver on a completion port,
//! without `std`. The crate is empty on other systems.
//!
//! A program hands over one more thing than elsewhere: a table of operations, which the kernel
//! writes into.
//!
#![cfg_attr(windows, doc = "```")]
#![cfg_attr(not(windows), doc = "```ignore")]
//! use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
//! use usockets_windows::{Operation, Windows};
//!
//! /// Answers one connection, and is done when the peer has ended it.
//! struct Server;
//!
//! impl<P: Platform> Handler<P> for Server {
//!     type Ext = ();
//!     type Context = ();
//!
//!     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<()>) {
//!         if matches!(opened, Opened::Connected { .. }) {
//!             assert_eq!(socket.write(b"hello"), 5);
//!             socket.finish();
//!         }
//!     }
//!
//!     fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
//!         assert_eq!(data, b"hello");
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! // In a static of a program that has no heap.
//! let operations: Vec<_> = (0..48).map(|_| Operation::new()).collect();
//! let mut sockets = Sockets::<_, _, 16>::new();
//! let mut buffer = [0; 4096];
//! let mut server = Loop::new(Windows::new(operations.leak())?, &mut sockets, &mut buffer);
//! let listener = server.net().listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), ())?;
//! let addr = server.net().listening_addr(listener).ok_or(Error::Invalid)?;
//! server.net().connect(Endpoint::tcp(addr), ())?;
//! while server.stats().in_use > 1 {
//!     server.poll(&mut Server, None)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it waits
//!
//! `select` and `WSAPoll` scan a list, and `WSAPoll` reports a hang-up when the peer has only
//! ended its own direction. Completion ports have neither flaw, but as Microsoft documents them
//! they want a buffer from each connection that is idle. So this crate does what libuv, mio and
//! wepoll do: it asks the driver below the sockets (AFD) to poll, and the completion port only says
//! that a poll is over. Each poll reports once:
//!
//! - One operation of a connection waits for something to read. It is started when `recv` has
//!   found the end of what there was, so a message costs three system calls: the wait, the
//!   receive, and the next poll.
//! - The other waits for the connection to break, so that a reset shows even while the program
//!   does not read; and, after a send that came back short, for room.
//! - A listener has one operation, started when no connection waits any more.
//!
//! The kernel writes into an operation until its poll has completed, and closing a socket does not
//! end that at once. The operations therefore lie in a table that the platform takes for as long
//! as the process lives, and an operation is used again only after its completion.
//!
//! # What differs from other systems
//!
//! - `Endpoint::reuse_port` is `Error::Unsupported`: nothing on Windows spreads connections over
//!   listeners. A listener has its address for itself (`SO_EXCLUSIVEADDRUSE`); without that,
//!   any program could take it over.
//! - A wait is in whole milliseconds, rounded up, and Windows' own clock may tick as seldom as
//!   every 15.6 ms: timers are never early, and late by that much.
//! - Times of a `Keepalive` are in milliseconds here, where other systems round to seconds; its
//!   `count` needs Windows 10, version 1703.
//! - A send may be taken as a whole although it is larger than the send buffer
//!   (`Endpoint::send_buffer`).
//!
//! # What was run, and what was not
//!
//! The conformance suite passes under Wine (`tests/wine.sh`). The crate has not been run on
//! Microsoft's Windows yet.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(any(windows, test))]
#[cfg_attr(
    not(windows),
    expect(dead_code, reason = "tested everywhere, used on Windows")
)]
mod address;
#[cfg(windows)]
mod clock;
#[cfg(windows)]
mod device;
#[cfg(windows)]
mod error;
#[cfg(any(windows, test))]
#[cfg_attr(
    not(windows),
    expect(dead_code, reason = "tested everywhere, used on Windows")
)]
mod events;
#[cfg(windows)]
mod operations;
#[cfg(windows)]
mod port;
#[cfg(windows)]
mod socket;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
mod winsock;

#[cfg(windows)]
pub use operations::Operation;
#[cfg(windows)]
pub use port::Port;
#[cfg(windows)]
pub use socket::Socket;
#[cfg(windows)]
pub use windows::Windows;
