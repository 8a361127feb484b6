//! What a socket of the layer has been lent, and giving it back.

use crate::error::Error;
use crate::id::SocketId;
use crate::platform::Platform;
use crate::tls::connection::receive::Connection;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::lease::{Index, Loan};
use crate::tls::layer::platform::{Tls, TlsSocket};

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Gives back everything that was lent to the socket, and wipes its keys.
    pub(crate) fn forget(&mut self, socket: &mut TlsSocket<P::Socket>) {
        self.release_handshake(socket);
        self.release_input(socket);
        self.release_output(socket);
        self.leave_queues(socket);
        let has_begun = socket.flags.has(Flags::CONNECTED) && socket.id().is_some();
        if has_begun && !socket.flags.has(Flags::COUNTED) {
            self.stats.count_lost();
        }
        let peer = socket.id().and_then(|id| id.entry(self.peers));
        if let Some(peer) = peer {
            peer.clear();
        }
        socket.connection = Connection::CLOSED;
        socket.id = 0;
        socket.flags = Flags::NONE;
    }

    /// Takes the socket out of the queues in which it waits.
    pub(crate) fn leave_queues(&mut self, socket: &mut TlsSocket<P::Socket>) {
        if let Some(id) = socket.id() {
            if socket.flags.has(Flags::WAITS_FOR_HANDSHAKE) {
                self.lenders.handshakes.forget(id);
            }
            if socket.flags.has(Flags::WAITS_FOR_INPUT) {
                self.lenders.inputs.forget(id);
            }
            if socket.flags.has(Flags::WAITS_FOR_OUTPUT) {
                self.lenders.outputs.forget(id);
            }
        }
        socket.flags.clear(Flags::WAITS);
    }

    pub(crate) fn release_handshake(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = core::mem::replace(&mut socket.handshake, Index::NONE);
        if index.is_some() {
            if let Some(handshake) = self.lenders.handshakes.get(index) {
                handshake.reset();
            }
            self.lenders.handshakes.give_back(index);
        }
    }

    pub(crate) fn release_input(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = core::mem::replace(&mut socket.input, Index::NONE);
        if index.is_some() {
            if let Some(record) = self.lenders.inputs.get(index) {
                record.clear();
            }
            self.lenders.inputs.give_back(index);
        }
    }

    pub(crate) fn release_output(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = core::mem::replace(&mut socket.output, Index::NONE);
        if index.is_some() {
            if let Some(record) = self.lenders.outputs.get(index) {
                record.clear();
            }
            self.lenders.outputs.give_back(index);
        }
    }

    /// Checks that nothing lent to the socket has been recalled.
    pub(crate) fn check_loans(&self, socket: &TlsSocket<P::Socket>) -> Result<(), Error> {
        if self.lenders.handshakes.is_recalled(socket.handshake)
            || self.lenders.inputs.is_recalled(socket.input)
            || self.lenders.outputs.is_recalled(socket.output)
        {
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    /// Keeps a handshake for a client's connection, with the name it expects.
    pub(crate) fn prepare_client(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        id: SocketId,
        name: Option<&str>,
    ) -> Result<(), Error> {
        let name = name.ok_or(Error::Invalid)?;
        let handshakes = &mut self.lenders.handshakes;
        // The last is for connections that were accepted, which may be the other end of these.
        let keep = usize::from(self.config.server.serves());
        let index = handshakes.take_now(id, keep).ok_or(Error::Exhausted)?;
        socket.handshake = index;
        let handshake = handshakes.get(index).ok_or(Error::Exhausted)?;
        if self.config.client.roots.is_empty() || !handshake.expect_name(name) {
            self.release_handshake(socket);
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Returns whether the socket has an input; else it waits for one.
    pub(crate) fn has_input(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        if socket.input.is_some() {
            return Ok(true);
        }
        let id = socket.id().ok_or(Error::Invalid)?;
        let flag = Flags::WAITS_FOR_INPUT;
        let loan = self.lenders.inputs.take(id, socket.flags.has(flag));
        settle(loan, &mut socket.input, &mut socket.flags, flag)
    }

    /// Returns whether the socket is in the queue for an input.
    pub(crate) fn waits_for_input(&self, socket: &TlsSocket<P::Socket>) -> bool {
        let inputs = &self.lenders.inputs;
        socket.flags.has(Flags::WAITS_FOR_INPUT)
            && socket.id().is_some_and(|id| inputs.is_waiting(id))
    }

    /// Returns whether the socket has an output; else it waits for one.
    pub(crate) fn has_output(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        if socket.output.is_some() {
            return Ok(true);
        }
        let id = socket.id().ok_or(Error::Invalid)?;
        let flag = Flags::WAITS_FOR_OUTPUT;
        let loan = self.lenders.outputs.take(id, socket.flags.has(flag));
        settle(loan, &mut socket.output, &mut socket.flags, flag)
    }

    /// Returns whether the socket has a handshake; else it waits for one.
    pub(crate) fn has_handshake(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<bool, Error> {
        if socket.handshake.is_some() {
            return Ok(true);
        }
        let id = socket.id().ok_or(Error::Invalid)?;
        let flag = Flags::WAITS_FOR_HANDSHAKE;
        let loan = self.lenders.handshakes.take(id, socket.flags.has(flag));
        settle(loan, &mut socket.handshake, &mut socket.flags, flag)
    }
}

/// Notes in the socket what came of asking for a loan.
fn settle(loan: Loan, index: &mut Index, flags: &mut Flags, waits: Flags) -> Result<bool, Error> {
    match loan {
        Loan::Taken(taken) => {
            *index = taken;
            flags.clear(waits);
            Ok(true)
        }
        Loan::Waits => {
            flags.set(waits);
            Ok(false)
        }
        Loan::Full => Err(Error::Exhausted),
    }
}
