//! An owner's calls on its connections, and what becomes of them afterwards.

use core::net::SocketAddr;

use usockets::{Error, Recv, SocketId};

use crate::number::place;
use crate::stack::look::LEASES;
use crate::stack::shell::Shell;
use crate::stack::slot::{Facts, Flags, NO_LISTENER, Phase};
use crate::stack::slots::Open;
use crate::tcp::{Connection, State};

impl Shell<'_> {
    /// Takes the connection that waits longest out of a listener's queue.
    pub(super) fn dequeue(&mut self, number: u32) -> Option<u32> {
        let listener = self.listeners.get_mut(place(number))?;
        let index = listener.queue.pop(self.slots.all)?;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.listener = NO_LISTENER;
        }
        Some(index)
    }

    /// Gives a connection to an owner and returns its peer; `None` when it is dead.
    pub(super) fn own(&mut self, index: u32, id: SocketId) -> Option<SocketAddr> {
        self.slots.move_to(index, Phase::Owned);
        let look = self.slots.look(index);
        if look.state() == State::Closed {
            return None;
        }
        let len = look.working().map_or(0, Connection::receive_len);
        let may_send = !self.slots.is_any_leased() || self.may_find_set(index);
        let slot = self.slots.get_mut(index)?;
        let mut facts = Facts::WRITABLE.when(may_send);
        if len > 0 {
            facts = facts.union(Facts::READABLE);
        }
        if slot.flags.has(Flags::ENDED) {
            facts = facts.union(Facts::ENDED);
        }
        slot.owner = id.to_bits();
        let peer = slot.ends.remote();
        self.report(index, facts);
        Some(peer)
    }

    /// Returns why a connection broke, if it did.
    #[inline]
    pub(super) fn error(&mut self, index: u32) -> Option<Error> {
        self.slots.look(index).error()
    }

    /// Copies what can be received for an owner, and leaves it.
    pub(super) fn peek(&mut self, index: u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        if let Some(open) = self.slots.open(index)
            && let len @ 1.. = open.connection.peek(buffer, &open.buffers)
        {
            let drained = place(open.connection.receive_len()) == len;
            return Ok(Recv::Data { len, drained });
        }
        self.recv(index, buffer)
    }

    /// Returns how many bytes that were not received yet a connection holds at most.
    pub(super) fn receive_max(&self, index: u32) -> usize {
        self.slots.receive_max(index)
    }

    /// Receives for an owner.
    #[inline]
    pub(super) fn recv(&mut self, index: u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        if let Some(mut open) = self.slots.open(index)
            && let len @ 1.. = open.connection.receive(buffer, &mut open.buffers)
        {
            let drained = open.connection.receive_len() == 0;
            // The peer may learn of the room.
            self.serve.push(self.slots.all, index);
            return Ok(Recv::Data { len, drained });
        }
        let slot = self.slots.get(index).ok_or(Error::Invalid)?;
        // Whatever broke afterwards, the stream is whole.
        if slot.flags.has(Flags::ENDED) {
            return Ok(Recv::Finished);
        }
        let look = self.slots.look(index);
        match (look.error(), look.state()) {
            (Some(error), _) => Err(error),
            (None, State::Closed) => Err(Error::Reset),
            _ => Ok(Recv::WouldBlock),
        }
    }

    /// Sends for an owner.
    #[inline]
    pub(super) fn send(&mut self, index: u32, data: &[u8]) -> Result<usize, Error> {
        if self.slots.is_any_leased() {
            self.check_send(index)?;
            if !data.is_empty() && !self.may_send(index) {
                return Ok(0);
            }
        }
        if let Some(mut open) = self.slots.open(index) {
            let taken = open.connection.send(data, &mut open.buffers);
            if taken > 0 {
                self.serve.push(self.slots.all, index);
                return Ok(taken);
            }
        }
        self.check_send(index)?;
        Ok(0)
    }

    /// Says why an owner cannot send, if it cannot.
    fn check_send(&mut self, index: u32) -> Result<(), Error> {
        let slot = self.slots.get(index).ok_or(Error::Invalid)?;
        let finished = slot.flags.has(Flags::FINISHED);
        let look = self.slots.look(index);
        match look.state() {
            State::SynSent | State::SynReceived | State::Established | State::CloseWait
                if !finished =>
            {
                Ok(())
            }
            _ => Err(look.error().unwrap_or(Error::Invalid)),
        }
    }

    /// Ends our direction for an owner, after all octets taken.
    pub(super) fn finish(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.flags.set(Flags::FINISHED);
        }
        if self.is_bare(index) {
            let now = self.now;
            if let Some(quiet) = self.slots.without_set(index) {
                quiet.shutdown(now);
            }
            return self.serve.push(self.slots.all, index);
        }
        if !self.lease(index) {
            return self.starve(index, Flags::FINISH_DUE);
        }
        if let Some(open) = self.slots.open(index) {
            open.connection.shutdown();
            self.serve.push(self.slots.all, index);
        }
    }

    /// Ends a connection for its owner; what was taken is still delivered.
    pub(super) fn orphan(&mut self, index: u32) {
        match self.state(index) {
            State::SynSent | State::SynReceived => return self.abort(index),
            State::Closed => return self.release_closed(index),
            #[cfg(feature = "leases")]
            State::TimeWait if self.retire(index) => return,
            _ => {}
        }
        self.disown(index);
        let now = self.now;
        self.slots.move_to(index, Phase::Delivering);
        if self.is_bare(index) {
            if let Some(quiet) = self.slots.without_set(index) {
                quiet.close(now);
            }
        } else if !self.lease(index) {
            self.starve(index, Flags::CLOSE_DUE);
        } else if let Some(Open {
            connection,
            buffers,
            ..
        }) = self.slots.open(index)
        {
            // What was not received is no reason to lose what was sent.
            connection.consume(u32::MAX, &buffers);
            connection.close(now, &buffers);
        }
        self.await_progress(index);
        self.wake(index);
    }

    /// Resets a connection. The reset is tried once; the slot is free in the next turn, or at once
    /// if no reset is due.
    pub(super) fn abort(&mut self, index: u32) {
        if self.slots.is_any_leased()
            && matches!(self.state(index), State::Closed | State::TimeWait)
        {
            // Nobody is to be told.
            return self.release(index);
        }
        self.reset_peer(index);
        self.release_closed(index);
    }

    /// Closes a connection, whose peer is to be told by a reset. That takes no set.
    pub(super) fn reset_peer(&mut self, index: u32) {
        if let Some(open) = self.slots.open(index) {
            open.connection.abort();
        } else if LEASES && let Some(quiet) = self.slots.without_set(index) {
            quiet.abort();
        }
    }

    /// Lets a connection that is CLOSED go, after its reset if one is due.
    fn release_closed(&mut self, index: u32) {
        let look = self.slots.look(index);
        if !look.may_transmit() {
            return self.release(index);
        }
        self.disown(index);
        self.table.remove(self.slots.all, index);
        self.slots.move_to(index, Phase::Delivering);
        self.wake(index);
    }

    fn disown(&mut self, index: u32) {
        self.unlimit(index);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.owner = 0;
            slot.facts = Facts::NONE;
        }
    }

    /// Ends a listener: what waits or is half-open is reset.
    pub(super) fn unlisten(&mut self, number: u32) {
        while let Some(index) = self.dequeue(number) {
            self.slots.move_to(index, Phase::Owned);
            self.abort(index);
        }
        let Some(listener) = self.listeners.get_mut(place(number)) else {
            return;
        };
        let class = usize::from(listener.class);
        listener.owner = 0;
        listener.ready = false;
        let whose = u8::try_from(number).unwrap_or(NO_LISTENER);
        let list = self.slots.classes.get(class).map(|class| class.half_open);
        let mut next = list.and_then(|list| list.first());
        // Each step leaves one behind; there are no more than slots.
        for _ in 0..self.slots.all.len() {
            let Some(index) = next else {
                break;
            };
            let Some(slot) = self.slots.get_mut(index) else {
                break;
            };
            next = slot.links.next();
            if slot.listener == whose {
                slot.listener = NO_LISTENER;
                self.slots.move_to(index, Phase::Owned);
                self.abort(index);
            }
        }
        if let Some(listener) = self.listeners.get_mut(place(number)) {
            listener.half_open = 0;
        }
    }
}
