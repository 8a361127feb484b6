//! An owner's calls on its connections, and what becomes of them afterwards.

use core::net::SocketAddr;

use smoltcp::socket::tcp::{self, RecvError, State};
use usockets::{Error, Recv, SocketId};

use crate::number::{count, place};
use crate::smoltcp::engine::Engine;
use crate::smoltcp::slot::{ENDING, Facts, Flags, Phase, Slot, Talk, socket_of};

impl Engine<'_> {
    /// Takes the connection that waits longest out of a listener's queue.
    pub(crate) fn dequeue(&mut self, number: u32) -> Option<u32> {
        let listener = self.listeners.get_mut(place(number))?;
        let index = listener.queue.pop(self.slab.slots)?;
        if let Some(slot) = self.slab.get(index) {
            slot.listener = u8::MAX;
        }
        Some(index)
    }

    /// Gives a connection to an owner and returns its peer; `None` when it is dead.
    pub(crate) fn own(&mut self, index: u32, id: SocketId) -> Option<SocketAddr> {
        self.slab.move_to(index, Phase::Owned);
        let socket = self.slab.peek(index)?;
        let peer = remote_of(socket)?;
        let ended = !matches!(socket.state(), State::Established);
        let mut facts = Facts::WRITABLE.union(Facts::READABLE.when(socket.can_recv()));
        let slot = self.slab.get(index)?;
        slot.owner = id.to_bits();
        slot.prev = slot.sent_next;
        if ended {
            slot.flags.set(Flags::ENDED);
            facts = facts.union(Facts::ENDED);
        }
        self.report(index, facts);
        Some(peer)
    }

    /// Returns why a connection broke, if it did.
    pub(crate) fn fault(&mut self, index: u32) -> Option<Error> {
        self.slab.get(index)?.fault.error()
    }

    /// Receives for an owner.
    #[inline]
    pub(crate) fn recv(&mut self, index: u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        let Some(socket) = self.slab.socket(index) else {
            return Err(Error::Invalid);
        };
        match socket.recv_slice(buffer) {
            Ok(0) => Ok(Recv::WouldBlock),
            Ok(len) => {
                let drained = socket.recv_queue() == 0;
                // The peer may learn of the room.
                self.serve.push(self.slab.slots, index);
                Ok(Recv::Data { len, drained })
            }
            Err(RecvError::Finished) => Ok(Recv::Finished),
            Err(RecvError::InvalidState) => match (self.fault(index), self.state(index)) {
                (Some(error), _) => Err(error),
                (None, State::Closed) => Err(Error::Reset),
                (None, _) => Ok(Recv::WouldBlock),
            },
        }
    }

    /// Sends for an owner.
    #[inline]
    pub(crate) fn send(&mut self, index: u32, data: &[u8]) -> Result<usize, Error> {
        let Some(slot) = self.slab.get(index) else {
            return Err(Error::Invalid);
        };
        let Slot {
            set, congestion, ..
        } = slot;
        let Some(set) = set else {
            return Err(Error::Invalid);
        };
        let socket = socket_of(set);
        let opening = matches!(socket.state(), State::SynSent | State::SynReceived);
        congestion.stir();
        let may = congestion.share(socket.send_queue(), data.len(), socket.send_capacity());
        let taken = match socket.send_slice(data.get(..may).unwrap_or(data)) {
            Ok(taken) => taken,
            Err(_) if opening => 0,
            Err(_) => return Err(self.fault(index).unwrap_or(Error::Invalid)),
        };
        if let Some(slot) = self.slab.get(index) {
            if taken < data.len() {
                slot.flags.set(Flags::SHORT);
            }
            if taken > 0 {
                slot.talk.set(Talk::WROTE);
            }
        }
        if taken > 0 {
            self.serve.push(self.slab.slots, index);
        }
        Ok(taken)
    }

    /// Ends a connection for its owner; what was taken is still delivered.
    pub(crate) fn orphan(&mut self, index: u32) {
        match self.state(index) {
            State::SynSent | State::SynReceived => return self.abort(index),
            State::Closed | State::Listen => return self.release(index),
            _ => {}
        }
        self.disown(index);
        self.end(index);
        self.slab.move_to(index, Phase::Delivering);
        self.await_progress(index);
        self.wake(index);
    }

    /// Ends our direction after all bytes taken: at once, or when it does no harm.
    ///
    /// In LAST-ACK smoltcp 0.14 hears of nothing but new acknowledgements: of no open window, and
    /// of no loss. So after the peer's end it is told of ours only when the rest is in one
    /// segment: too little for acknowledgements to tell of its loss.
    pub(crate) fn end(&mut self, index: u32) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let state = slot.peek().map(|socket| socket.state());
        let waits = state == Some(State::CloseWait) && !slot.may_end();
        slot.listener = if waits { ENDING } else { u8::MAX };
        let Some(socket) = slot.socket() else {
            return;
        };
        if waits {
            // This is all there will be: nothing more to wait for.
            socket.set_nagle_enabled(false);
        } else {
            socket.close();
        }
        self.serve.push(self.slab.slots, index);
    }

    /// Gives the peer of a connection without owner time to take the next segment.
    pub(crate) fn await_progress(&mut self, index: u32) {
        if let Some(slot) = self.slab.get(index) {
            slot.next = slot.peek().map_or(0, |socket| count(socket.send_queue()));
            self.limit(index, self.limits.answer);
        }
    }

    /// Resets a connection. The reset is tried once; the slot is free in the next turn.
    pub(crate) fn abort(&mut self, index: u32) {
        let told = self.slab.get(index).is_some_and(|slot| slot.sent().any);
        if !told || self.state(index) == State::Closed {
            return self.release(index);
        }
        self.disown(index);
        if let Some(socket) = self.slab.socket(index) {
            socket.abort();
        }
        self.slab.move_to(index, Phase::Delivering);
        self.wake(index);
    }

    fn disown(&mut self, index: u32) {
        self.unlimit(index);
        if let Some(slot) = self.slab.get(index) {
            slot.owner = 0;
            slot.facts = Facts::NONE;
            slot.flags.clear(Flags::SHORT);
        }
    }

    /// Ends a listener: what waits or is half-open is reset.
    pub(crate) fn unlisten(&mut self, number: u32) {
        while let Some(index) = self.dequeue(number) {
            self.slab.move_to(index, Phase::Owned);
            self.abort(index);
        }
        let Some(listener) = self.listeners.get_mut(place(number)) else {
            return;
        };
        let class = usize::from(listener.class);
        listener.owner = 0;
        listener.ready = false;
        let whose = u8::try_from(number).unwrap_or(u8::MAX);
        let list = self.slab.classes.get(class).map(|class| class.half_open);
        let mut next = list.and_then(|list| list.first());
        while let Some(index) = next {
            let Some(slot) = self.slab.get(index) else {
                break;
            };
            let (after, own) = (slot.next, slot.listener == whose);
            if own {
                slot.listener = u8::MAX;
                self.slab.move_to(index, Phase::Owned);
                self.abort(index);
            }
            next = (after != crate::smoltcp::slot::NONE).then_some(after);
        }
        if let Some(listener) = self.listeners.get_mut(place(number)) {
            listener.half_open = 0;
        }
    }
}

/// Returns the peer's address, if the socket has a peer.
pub(crate) fn remote_of(socket: &tcp::Socket<'_>) -> Option<SocketAddr> {
    let end = socket.remote_endpoint()?;
    Some(SocketAddr::new(end.addr.into(), end.port))
}
