//! What a handler call can reach.

use crate::address::Address;
use crate::closed::Closed;
use crate::error::Error;
use crate::handler::Handler;
use crate::id::SocketId;
use crate::id::to_index;
use crate::platform::Platform;
use crate::platform::SocketOption;
use crate::pool::flags::Phase;
use crate::pool::slot::{Place, find};
use crate::sockets::Net;
use crate::sockets::receive::Read;
use crate::time::Duration;

/// Every socket of a loop, and its data.
///
/// Passed to handler calls that are about no socket, and returned by
/// [`Loop::all_sockets`](crate::Loop::all_sockets).
pub struct AllSockets<'a, P: Platform, H: Handler<P>> {
    pub(crate) net: Net<'a, P, H::Context>,
    /// The data of the sockets before the one a call is about, and after it.
    pub(crate) before: &'a mut [Place<H::Ext>],
    pub(crate) after: &'a mut [Place<H::Ext>],
    /// The context of a closed socket or of a timer, in the call that is about it: its slot may
    /// have it no more.
    pub(crate) kept_context: Option<H::Context>,
}

impl<'a, P: Platform, H: Handler<P>> AllSockets<'a, P, H> {
    /// Returns every socket, by id.
    #[inline]
    pub const fn net(&mut self) -> &mut Net<'a, P, H::Context> {
        &mut self.net
    }

    /// Returns a socket's data, together with every socket by id, so that the one can be written to
    /// the other. From its `on_open` until its own `on_close` has been made; `None` before and
    /// after, and for the socket that the running call is about, whose data the call has already.
    #[expect(
        clippy::type_complexity,
        reason = "two borrows, taken apart at the call"
    )]
    pub fn get(&mut self, id: SocketId) -> Option<(&mut Net<'a, P, H::Context>, &mut H::Ext)> {
        let slot = find(self.net.slots, id)?;
        match slot.phase() {
            Phase::Open
            | Phase::Broken
            | Phase::Datagrams
            | Phase::Closing
            | Phase::ClosingHeld => {}
            _ => return None,
        }
        let index = to_index(id.index());
        let place = match index.checked_sub(self.before.len()) {
            None => self.before.get_mut(index),
            Some(beyond) => self.after.get_mut(beyond.checked_sub(1)?),
        };
        Some((&mut self.net, place?.as_mut()?))
    }

    /// Returns the context of the timer that the running `on_timer` is about, if it was started
    /// with one ([`Net::start_timer_in`]); `None` elsewhere.
    #[must_use]
    pub const fn timer_context(&self) -> Option<H::Context> {
        self.kept_context
    }
}

/// The socket a handler call is about, and the way to every other one.
///
/// Its methods reach the rest through a copy of the borrows (`reborrow`), so that a handler whose
/// usual path only writes keeps all of them in registers.
pub struct Socket<'a, P: Platform, H: Handler<P>> {
    pub(crate) all: AllSockets<'a, P, H>,
    pub(crate) id: SocketId,
}

impl<'a, P: Platform, H: Handler<P>> Socket<'a, P, H> {
    #[inline]
    pub(crate) const fn new(all: AllSockets<'a, P, H>, id: SocketId) -> Self {
        Self { all, id }
    }

    /// Returns every socket, by id.
    #[inline]
    pub const fn net(&mut self) -> &mut Net<'a, P, H::Context> {
        &mut self.all.net
    }

    /// Returns every socket and its data, but for that of this one.
    #[inline]
    pub const fn all(&mut self) -> &mut AllSockets<'a, P, H> {
        &mut self.all
    }

    /// Returns another socket's data, and the way to write to it. See [`AllSockets::get`].
    #[expect(
        clippy::type_complexity,
        reason = "two borrows, taken apart at the call"
    )]
    pub fn other(&mut self, id: SocketId) -> Option<(&mut Net<'a, P, H::Context>, &mut H::Ext)> {
        self.all.get(id)
    }

    /// Writes to the socket. See [`Net::write`].
    #[cfg_attr(not(target_os = "none"), inline(always))]
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write(&mut self, data: &[u8]) -> usize {
        self.all.net.write_own(self.id, data)
    }

    /// Writes several slices at once. See [`Net::write_vectored`].
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write_vectored(&mut self, parts: &[&[u8]]) -> usize {
        self.all.net.reborrow().write_vectored(self.id, parts)
    }

    /// Coalesces writes until the end of the iteration. See [`Net::cork`].
    pub fn cork(&mut self) {
        self.all.net.reborrow().cork(self.id);
    }

    /// Sends what was held back. See [`Net::uncork`].
    pub fn uncork(&mut self) {
        self.all.net.reborrow().uncork(self.id);
    }

    /// Ends our direction. See [`Net::finish`].
    pub fn finish(&mut self) {
        self.all.net.reborrow().finish(self.id);
    }

    /// Closes the socket. See [`Net::close`].
    pub fn close(&mut self) {
        self.all.net.reborrow().close(self.id);
    }

    /// Closes the socket with a code. See [`Net::close_with`].
    pub fn close_with(&mut self, code: u16) {
        self.all.net.reborrow().close_with(self.id, code);
    }

    /// Resets the connection. See [`Net::abort`].
    pub fn abort(&mut self, code: u16) {
        self.all.net.reborrow().abort(self.id, code);
    }

    /// Stops reading. See [`Net::pause`].
    pub fn pause(&mut self) {
        self.all.net.reborrow().pause(self.id);
    }

    /// Reads again. See [`Net::resume`].
    pub fn resume(&mut self) {
        self.all.net.reborrow().resume(self.id);
    }

    /// Reads into the caller's memory. See [`Net::read`].
    ///
    /// # Errors
    /// As [`Net::read`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Error> {
        self.all.net.reborrow().read(self.id, buffer)
    }

    /// Has the program read on demand, or the loop. See [`Net::set_pull`].
    pub fn set_pull(&mut self, on: bool) {
        self.all.net.reborrow().set_pull(self.id, on);
    }

    /// Changes an option. See [`Net::set_option`].
    ///
    /// # Errors
    /// As [`Net::set_option`].
    pub fn set_option(&mut self, option: SocketOption) -> Result<(), Error> {
        self.all.net.reborrow().set_option(self.id, option)
    }

    /// Replaces the timeout. See [`Net::set_timeout`].
    #[inline]
    pub fn set_timeout(&mut self, after: Duration) {
        self.all.net.set_timeout(self.id, after);
    }

    /// Moves the socket to another context. See [`Net::adopt`].
    pub fn adopt(&mut self, context: H::Context) {
        self.all.net.reborrow().adopt(self.id, context);
    }

    /// Closes the socket because its time is over.
    pub(crate) fn time_out(&mut self) {
        self.all.net.reborrow().end(self.id, Closed::TimedOut);
    }

    /// Returns the socket's context, in its `on_close` too; `None` when it was closed before.
    #[must_use]
    pub fn context(&mut self) -> Option<H::Context> {
        self.all
            .kept_context
            .or_else(|| self.all.net.reborrow().context(self.id))
    }

    /// Returns the local address. See [`Net::local_addr`].
    #[must_use]
    pub fn local_addr(&mut self) -> Option<Address> {
        self.all.net.reborrow().local_addr(self.id)
    }

    /// Returns the peer's address. See [`Net::peer_addr`].
    #[must_use]
    pub fn peer_addr(&mut self) -> Option<Address> {
        self.all.net.reborrow().peer_addr(self.id)
    }

    /// Returns the protocol agreed on with the peer. See [`Net::protocol`].
    #[must_use]
    pub fn protocol(&mut self) -> &[u8] {
        self.all.net.protocol(self.id)
    }

    /// Returns the socket's id.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> SocketId {
        self.id
    }
}
