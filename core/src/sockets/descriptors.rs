//! Sockets and descriptors made elsewhere, on platforms that have descriptors.

use crate::closed::Closed;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::{ListenerId, SocketId};
use crate::invariant::breach;
use crate::platform::{Descriptors, Inserted};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, find, find_known, find_open};
use crate::sockets::{Net, OPENING_MAX, start_listener};

/// The descriptor that could not be inserted, and why.
type Refused<P> = (<P as Descriptors>::Descriptor, Error);

impl<P: Descriptors, C: Copy + PartialEq> Net<'_, P, C> {
    /// Listens with a socket that listens already, as one that a service manager opened. Of `at`,
    /// what the loop itself does counts: when the pool is full, the reserve, the most connections.
    ///
    /// # Errors
    /// The descriptor comes back: [`Error::Full`] when no slot is free, else what
    /// [`Descriptors::insert`] says.
    pub fn insert_listener(
        &mut self,
        descriptor: P::Descriptor,
        at: &Endpoint<'_>,
        context: C,
    ) -> Result<ListenerId, Refused<P>> {
        let id = self.claim_for(descriptor, Inserted::Listener)?;
        if let Some(slot) = find_known(self.slots, id) {
            start_listener(slot, context, at);
        }
        Ok(ListenerId(id))
    }

    /// Takes over a connection made elsewhere: accepted by another program or thread, or connected
    /// by others. `on_open` follows, with [`Opened::Inserted`](crate::Opened::Inserted).
    ///
    /// # Errors
    /// As [`Self::insert_listener`].
    pub fn insert(
        &mut self,
        descriptor: P::Descriptor,
        context: C,
    ) -> Result<SocketId, Refused<P>> {
        let id = self.claim_for(descriptor, Inserted::Connected)?;
        if let Some(slot) = find_known(self.slots, id) {
            slot.context = Place::Occupied(context);
            slot.enter(Phase::Accepting, 0);
            slot.flags.set(Flags::INSERTED);
            self.state.run_queue.push_slot(slot, id);
        }
        // A layer's handshake may follow.
        self.set_timeout(id, OPENING_MAX);
        Ok(id)
    }

    /// Waits for any descriptor: a pipe, a terminal, a timer, another loop.
    /// [`on_descriptor`](crate::Handler::on_descriptor) tells when it is ready. Its slot is freed
    /// by [`Self::unwatch`].
    ///
    /// # Errors
    /// As [`Self::insert_listener`].
    pub fn watch(&mut self, descriptor: P::Descriptor, context: C) -> Result<SocketId, Refused<P>> {
        let id = self.claim_for(descriptor, Inserted::Foreign)?;
        if let Some(slot) = find_known(self.slots, id) {
            slot.context = Place::Occupied(context);
            slot.enter(Phase::Foreign, 0);
        }
        Ok(id)
    }

    /// Ends a [`Self::watch`] and returns the descriptor; `None` if the id is of no such.
    pub fn unwatch(&mut self, id: SocketId) -> Option<P::Descriptor> {
        let slot = find(self.slots, id).filter(|slot| slot.phase() == Phase::Foreign)?;
        let taken = self.platform.take(&mut slot.socket, &mut []);
        self.release(id);
        taken.ok().map(|(descriptor, _)| descriptor)
    }

    /// Takes the descriptor out of an open connection, to go on with it elsewhere. Its `on_close`
    /// follows, with [`Closed::Taken`]. Bytes that came and are not in the operating system's
    /// hands are moved to the front of `unread`; returns how many.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a socket that is not open, [`Error::Full`] when `unread` is too
    /// short or the cork holds bytes that the platform does not take now, [`Error::Unsupported`]
    /// where a layer stands between; the socket goes on then.
    pub fn take(
        &mut self,
        id: SocketId,
        unread: &mut [u8],
    ) -> Result<(P::Descriptor, usize), Error> {
        if self.state.cork.holder == Some(id) && !self.flush_and_uncork(id) {
            return Err(Error::Full);
        }
        let slot = find_open(self.slots, id).ok_or(Error::Invalid)?;
        let (descriptor, len) = self.platform.take(&mut slot.socket, unread)?;
        if len > unread.len() {
            breach!(self.state.stats);
        }
        self.end(id, Closed::Taken);
        Ok((descriptor, len.min(unread.len())))
    }

    /// Puts a descriptor into a free slot.
    fn claim_for(
        &mut self,
        descriptor: P::Descriptor,
        kind: Inserted,
    ) -> Result<SocketId, Refused<P>> {
        let Some(id) = self.state.claim(self.slots) else {
            return Err((descriptor, Error::Full));
        };
        let Some(slot) = find_known(self.slots, id) else {
            return Err((descriptor, Error::Full));
        };
        match self.platform.insert(&mut slot.socket, id, descriptor, kind) {
            Ok(()) => Ok(id),
            Err(refused) => {
                self.state.give_back(self.slots, id);
                Err(refused)
            }
        }
    }
}
