//! Groups of sockets: by context, or by a predicate over contexts.
//!
//! A group has no memory of its own: each call here looks at the context of every slot that was
//! ever in use, and no more than that.

use crate::handler::Handler;
use crate::id::{ListenerId, SocketId, TimerId, to_index};
use crate::invariant::impossible;
use crate::platform::Platform;
use crate::pool::flags::Phase;
use crate::pool::slot::{Slot, id_of};
use crate::sockets::Net;
use crate::sockets::socket::AllSockets;

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Closes every listener and connection of `context`, with this code, and stops the timers that
    /// were started with it; calls that are under way may go on using their own. Sockets made by
    /// the `on_close` calls that follow stay.
    pub fn close_all(&mut self, context: C, code: u16) {
        self.close_where(code, |other| *other == context);
    }

    /// Closes every listener, connection and timer whose context `is_meant` affirms, with this
    /// code. Otherwise as [`Self::close_all`].
    pub fn close_where(&mut self, code: u16, mut is_meant: impl FnMut(&C) -> bool) {
        for index in 0..self.slots_used() {
            let Some(slot) = self.slots.get(to_index(index)) else {
                impossible!("slots that were used are of the pool");
                return;
            };
            if !slot.context.as_ref().is_some_and(&mut is_meant) {
                continue;
            }
            let (phase, Some(id)) = (slot.phase(), id_of(self.slots, index)) else {
                continue;
            };
            match phase {
                Phase::Listening => self.stop_listening(ListenerId(id)),
                Phase::Timer => self.stop_timer(TimerId(id)),
                _ => self.close_with(id, code),
            }
        }
    }

    /// Returns how many open connections have a context that `is_meant` affirms.
    #[must_use]
    pub fn count_where(&self, mut is_meant: impl FnMut(&C) -> bool) -> usize {
        let used = self.slots.iter().take(to_index(self.slots_used()));
        let is_member = |slot: &&Slot<P::Socket, C>| {
            slot.is_open() && slot.context.as_ref().is_some_and(&mut is_meant)
        };
        // `count` would panic on an overflow.
        used.filter(is_member)
            .fold(0, |count: usize, _| count.saturating_add(1))
    }

    /// Writes the same bytes to every open connection whose context `is_meant` affirms, that of the
    /// running call included: one [`Self::write`] each. Returns how many took them all.
    ///
    /// One that took less is handed to `short`, with how many bytes it took, 0 if it broke or has
    /// been held up since an earlier write. The rest is the program's: it keeps it and writes it
    /// first of all in `on_writable`, before which the socket takes nothing else, so that nothing
    /// overtakes it; or it closes the socket, so that a slow peer costs the others nothing. Bytes
    /// of one iteration that are gathered and written in
    /// [`after_dispatch`](crate::Handler::after_dispatch) cost one system call for each member,
    /// however many messages they are.
    pub fn write_each(
        &mut self,
        data: &[u8],
        mut is_meant: impl FnMut(&C) -> bool,
        mut short: impl FnMut(&mut Self, SocketId, usize),
    ) -> usize {
        let mut complete = 0_usize;
        for index in 0..self.slots_used() {
            let Some(id) = self.open_at(index, &mut is_meant) else {
                continue;
            };
            let count = self.write(id, data);
            if count == data.len() {
                complete = complete.saturating_add(1);
            } else {
                short(self, id, count);
            }
        }
        complete
    }

    /// Returns how many slots, from the first, may be in use.
    const fn slots_used(&self) -> u32 {
        self.state.free_list.high_water
    }

    /// Returns the id of the open connection in a slot, if its context is meant.
    fn open_at(&self, index: u32, is_meant: &mut impl FnMut(&C) -> bool) -> Option<SocketId> {
        let slot = self.slots.get(to_index(index))?;
        let is_member = slot.is_open() && slot.context.as_ref().is_some_and(is_meant);
        is_member.then(|| id_of(self.slots, index)).flatten()
    }
}

impl<'a, P: Platform, H: Handler<P>> AllSockets<'a, P, H> {
    /// Visits every open connection whose context `is_meant` affirms, with its data and with every
    /// socket by id, but for the one that the running call is about. A visit may close any of
    /// them, and connect more, which are not visited before they are open.
    pub fn visit(
        &mut self,
        mut is_meant: impl FnMut(&H::Context) -> bool,
        mut visit: impl FnMut(&mut Net<'a, P, H::Context>, SocketId, &mut H::Ext),
    ) {
        for index in 0..self.net.slots_used() {
            if let Some(id) = self.net.open_at(index, &mut is_meant)
                && let Some((net, ext)) = self.get(id)
            {
                visit(net, id, ext);
            }
        }
    }
}
