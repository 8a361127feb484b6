//! Handlers that compose: protocols of several authors in one loop.
//!
//! A [`Handler`] names the data of every socket of its loop, and so is the whole of it. A
//! [`Protocol`] is a part: it names the data of its own sockets only, and its calls get them
//! through a [`Scope`], which finds them within the data of the loop. [`Both`] joins two
//! protocols, neither of which knows of the other, and is a protocol itself, so that any number can
//! be joined. [`Composed`] makes a handler of the outermost.
//!
//! ```
//! use usockets::compose::{Both, Composed, Either, PartSocket, Protocol, Scope};
//! use usockets::{Endpoint, Error, Loop, Opened, Sockets};
//! use usockets_linux::Linux;
//!
//! /// Of one author: sends back what comes.
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     type Data = ();
//!     type Context = ();
//!     fn on_open<S: Scope<Self>>(&mut self, _: &mut PartSocket<'_, '_, Self, S>, _: Opened<()>) {}
//!     fn on_data<S: Scope<Self>>(
//!         &mut self,
//!         socket: &mut PartSocket<'_, '_, Self, S>,
//!         _: &mut (),
//!         data: &mut [u8],
//!     ) {
//!         let _ = socket.write(data);
//!     }
//! }
//!
//! /// Of another: counts what comes on each socket, in groups.
//! #[derive(Default)]
//! struct Count {
//!     longest: usize,
//! }
//!
//! impl Protocol for Count {
//!     type Data = usize;
//!     type Context = u8;
//!     fn on_open<S: Scope<Self>>(
//!         &mut self,
//!         _: &mut PartSocket<'_, '_, Self, S>,
//!         _: Opened<u8>,
//!     ) -> usize {
//!         0
//!     }
//!     fn on_data<S: Scope<Self>>(
//!         &mut self,
//!         _: &mut PartSocket<'_, '_, Self, S>,
//!         count: &mut usize,
//!         data: &mut [u8],
//!     ) {
//!         *count += data.len();
//!         self.longest = self.longest.max(*count);
//!     }
//! }
//!
//! type Program = Composed<Both<Echo, Count>>;
//!
//! let mut sockets = Sockets::<Linux, Program, 16>::new();
//! let mut buffer = [0; 4096];
//! let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
//! let any = Endpoint::tcp(([127, 0, 0, 1], 0).into());
//! server.net().listen(any, Either::First(()))?;
//! server.net().listen(any, Either::Second(7))?;
//! let mut program: Program = Composed(Both(Echo, Count::default()));
//! server.poll(&mut program, Some(usockets::Instant::ZERO))?;
//! assert_eq!(program.0.1.longest, 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Which call goes where
//!
//! The context given to `listen`, `connect`, `insert`, `watch` or a timer says whose it is:
//! [`Either::First`] or [`Either::Second`], and within that the part's own context. `on_open`
//! returns that part's data, and from then on the data says which part has the socket.
//!
//! - The part of the context gets `on_open`, `on_connect_error`, `on_descriptor`, `on_timer` and
//!   `on_accept_error`.
//! - The part that has the data gets `on_data`, `on_readable`, `on_writable`, `on_end`,
//!   `on_timeout`, `on_drain` and `on_close`.
//! - Every part gets `on_wake`, `before_wait`, `after_wait` and `after_dispatch`, the first before
//!   the second.
//! - The part whose context a listener has is asked about its connections by `on_pre_open`, without
//!   the platform's socket: a connection can be refused there, and not taken out.
//!
//! A timer that is started without a context ([`Net::start_timer`]) is of every part and is told
//! to each with no context.
//!
//! # What a part can reach
//!
//! A [`PartSocket`] is a [`Socket`], to which it dereferences: writing, closing and pausing are
//! the same. Of the rest of the loop a part sees its own: [`PartSockets::get`] knows no socket of
//! another, and [`PartSockets::close_all`] closes none. That keeps honest protocols apart. It is no
//! wall against one that means harm, which can, for one thing, never return.
//!
//! A part is not generic over a platform by name, but its scope says which it is
//! ([`Scope::Platform`]), so a part runs on every platform. What only one platform can do is for
//! handlers.
//!
//! # Cost
//!
//! All of it is known when it is compiled: there is no table of functions and no call through a
//! pointer. A program of two parts costs what a handler written by hand with an enum of both data
//! costs: a look at the variant of the data. An echo beside a part that writes too takes 98.5
//! instructions, where the echo alone takes 95.9 (callgrind; the program `budget` holds both to
//! 100). Data takes as much as the larger part's, and a byte or a word for the variant.
//!
//! # A protocol within a handler of one's own
//!
//! A program that is a handler already can take in a protocol without [`Both`]: it has a variant of
//! its data and of its context for it, implements [`Scope`] for a type of its own, and hands its
//! calls on with [`PartSocket::new`].

mod both;
mod composed;
mod protocol;

pub use both::{Both, Either, First, Second};
pub use composed::{Composed, Outermost};
pub use protocol::{ContextIn, DataIn, PartNet, PartSocket, PartSockets, Protocol, Scope};

#[cfg(doc)]
use crate::{Handler, Net, Socket};
