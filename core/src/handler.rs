//! What the application does.

use crate::address::Address;
use crate::closed::Closed;
use crate::error::Error;
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::{Platform, Readiness};
use crate::sockets::incoming::{Incoming, PreOpen};
use crate::sockets::receive::Read;
use crate::sockets::socket::{AllSockets, Socket};

/// The behaviour of every socket of a loop.
///
/// Each call gets disjoint borrows: the handler, the socket's own data, the received bytes, and
/// through [`Socket`] every other socket. Calls never nest: what a call does to a socket acts at
/// once, but the calls it causes come after it returned. From any call a handler may write to,
/// close, finish, time, adopt or connect any socket, itself included.
///
/// For one socket the order is: `on_open` first; `on_data` in the order of the stream; `on_end`
/// at most once, after all data; `on_close` exactly once and last.
///
/// # A call that unwinds
///
/// A panic, or an exception of another language, leaves [`Loop::poll`](crate::Loop::poll) too. A
/// program that catches it there may go on with the loop. The call counts as made, and the next
/// iteration serves what the one before had still to do, without a wait. A connection whose
/// `on_pre_open` or `on_open` unwound has no data: it is reset then, and no further call is about
/// it.
pub trait Handler<P: Platform>: Sized {
    /// Data of one open socket, stored in the pool. Several behaviours are one enum, a variant
    /// each; assigning another variant is what µSockets calls adopting.
    type Ext: Send;

    /// Tells groups of sockets apart: given to `listen` and `connect`, handed back in [`Opened`],
    /// changed by [`Socket::adopt`], closed together by [`Net::close_all`]. `()` when there is
    /// one group.
    ///
    /// [`Net::close_all`]: crate::Net::close_all
    type Context: Copy + PartialEq + Send;

    /// A listener has accepted a connection, of which nothing has been read: says whether the loop
    /// takes it in. It may be refused, or taken out and handed over to another loop
    /// ([`Incoming::take`]); `on_open` is not called then. Without it every connection is kept.
    ///
    /// A slot must be free for it to be asked: see [`WhenFull`](crate::WhenFull) for what happens
    /// to connections that come when there is none.
    #[inline]
    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, Self::Context>) -> PreOpen {
        let _ = incoming;
        PreOpen::Keep
    }

    /// A connection is open: data can flow. Returns its data.
    fn on_open(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        opened: Opened<Self::Context>,
    ) -> Self::Ext;

    /// Bytes arrived, at least one. `data` is lent from the loop's receive buffer until the call
    /// returns, and may be altered.
    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext, data: &mut [u8]);

    /// There is something to read of a datagram socket ([`Net::bind`](crate::Net::bind)): a
    /// datagram, or an error that came back for one; or of a connection that is read on demand
    /// ([`Net::set_pull`](crate::Net::set_pull)): bytes, the peer's end, or why it broke. Once,
    /// until a [`Socket::read`] has told that there is nothing more. By default reads and drops
    /// everything.
    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext) {
        let _ = ext;
        let mut dropped = [0; 64];
        while let Ok(Read::Data(_)) = socket.read(&mut dropped) {}
    }

    /// There is room again, after a write that took less than it was given, after a cork that was
    /// held up, or after [`Net::send_batch`](crate::Net::send_batch) would have blocked.
    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext) {
        let _ = (socket, ext);
    }

    /// The peer ended its direction; all its bytes have been delivered. Ours may go on. By
    /// default finishes ours, which closes the socket.
    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext) {
        let _ = ext;
        socket.finish();
    }

    /// The time set with [`Socket::set_timeout`] is over; it is disarmed. By default closes the
    /// socket with [`Closed::TimedOut`].
    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext) {
        let _ = ext;
        socket.time_out();
    }

    /// The loop drains ([`Net::drain`](crate::Net::drain)), and everything that had arrived has
    /// been delivered: the socket is to end when what is under way is done. By default finishes our
    /// direction; what the peer sends until it ends its own still comes.
    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext) {
        let _ = ext;
        socket.finish();
    }

    /// An open socket is gone, and this is why. Its data is valid until the call returns, and is
    /// dropped afterwards. Its id and its slot are given up already, unless a layer still sends: a
    /// connect or a timer may take the slot.
    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Self::Ext, closed: Closed) {
        let _ = (socket, ext, closed);
    }

    /// A connect failed; the socket was never open. `socket` is only good for its id and for
    /// reaching other sockets.
    fn on_connect_error(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        context: Self::Context,
        error: Error,
    ) {
        let _ = (socket, context, error);
    }

    /// A listener stopped accepting: [`Error::Full`] when the pool is full, [`Error::Exhausted`]
    /// when the platform is out of descriptors or memory, another error when nothing but that came
    /// many times running. It resumes by itself; connections that wait are not lost.
    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        listener: ListenerId,
        error: Error,
    ) {
        let _ = (sockets, listener, error);
    }

    /// A descriptor that was inserted only to be waited for ([`Net::watch`](crate::Net::watch))
    /// is ready. As other facts, each comes at least once after it becomes true, and may be
    /// spurious. The program reads and writes it itself.
    fn on_descriptor(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        id: SocketId,
        context: Self::Context,
        readiness: Readiness,
    ) {
        let _ = (sockets, id, context, readiness);
    }

    /// A timer is due. `missed` counts the repeats that passed since without a call of their own,
    /// because the loop was late.
    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, missed: u32) {
        let _ = (sockets, timer, missed);
    }

    /// The platform's [`Waker`](crate::Waker) was used since the last such call.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        let _ = sockets;
    }

    /// The iteration is about to wait.
    fn before_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        let _ = sockets;
    }

    /// The wait is over: [`Net::now`](crate::Net::now) is the time at which it ended. For those who
    /// measure.
    #[inline]
    fn after_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        let _ = sockets;
    }

    /// The iteration made all its calls.
    fn after_dispatch(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        let _ = sockets;
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Opened<C> {
    /// A peer connected to a listener.
    Accepted {
        /// The context given to `listen`.
        context: C,
        /// The peer's address; an IPv4-mapped one comes as IPv4.
        peer: Address,
    },
    /// A connection made elsewhere was inserted ([`Net::insert`](crate::Net::insert)).
    Inserted {
        /// The context given to `insert`.
        context: C,
        /// The peer's address, as of an accepted one.
        peer: Address,
    },
    /// A datagram socket was bound ([`Net::bind`](crate::Net::bind)).
    Bound {
        /// The context given to `bind`.
        context: C,
    },
    /// Our `connect` succeeded.
    Connected {
        /// The context given to `connect`.
        context: C,
    },
}

impl<C: Copy> Opened<C> {
    /// Returns the context given to `listen`, `insert`, `bind` or `connect`.
    #[must_use]
    pub const fn context(&self) -> C {
        match *self {
            Self::Accepted { context, .. }
            | Self::Inserted { context, .. }
            | Self::Bound { context }
            | Self::Connected { context } => context,
        }
    }

    /// Returns the peer's address of a connection that was accepted or inserted; `None` of others.
    #[must_use]
    pub const fn peer(&self) -> Option<Address> {
        match *self {
            Self::Accepted { peer, .. } | Self::Inserted { peer, .. } => Some(peer),
            Self::Bound { .. } | Self::Connected { .. } => None,
        }
    }

    /// Returns the same with another context.
    #[must_use]
    pub(crate) const fn with<D>(self, context: D) -> Opened<D> {
        match self {
            Self::Accepted { peer, .. } => Opened::Accepted { context, peer },
            Self::Inserted { peer, .. } => Opened::Inserted { context, peer },
            Self::Bound { .. } => Opened::Bound { context },
            Self::Connected { .. } => Opened::Connected { context },
        }
    }
}
