//! What one socket has leased, and its release.

use core::mem::swap;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::SocketId;
use crate::invariant::{impossible, invariant};
use crate::platform::Platform;
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::session::Target;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::platform::Tls;
use crate::tls::layer::pool::{Index, Lacks, Lease};
use crate::tls::layer::slab::{Parked, ParkedExchange, Tail, Value};
use crate::tls::layer::socket::{TlsSocket, Wait};

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Releases everything that was leased to the socket, and wipes its keys.
    pub(crate) fn forget(&mut self, socket: &mut TlsSocket<P::Socket>) {
        self.release_handshake(socket);
        self.release_parked(socket);
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
        socket.set_wait(Wait::NONE);
        socket.connection = Connection::CLOSED;
        socket.config = 0;
        socket.id = 0;
        socket.flags = Flags::NONE;
    }

    /// Takes the socket out of the queues in which it waits.
    pub(crate) fn leave_queues(&mut self, socket: &mut TlsSocket<P::Socket>) {
        if let Some(id) = socket.id() {
            if socket.flags.has(Flags::WAITS_FOR_HANDSHAKE) {
                self.pools.handshakes.forget(id);
            }
            if socket.flags.has(Flags::WAITS_FOR_INPUT) {
                self.pools.inputs.forget(id);
            }
            if socket.flags.has(Flags::WAITS_FOR_OUTPUT) {
                self.pools.outputs.forget(id);
            }
        }
        socket.flags.clear(Flags::WAITS);
    }

    pub(crate) fn release_handshake(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = socket.handshake();
        if index.is_some() {
            match self.pools.handshakes.get(index) {
                Some(handshake) => handshake.reset(),
                None => impossible!("what a socket has leased is there"),
            }
            self.pools.handshakes.release(index);
            socket.set_handshake(Index::NONE);
        }
    }

    /// Releases whatever is parked of the socket, a handshake or the end of a record.
    pub(crate) fn release_parked(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let parked = socket.parked();
        if parked.is_some() {
            match socket.is_exchange_parked() {
                true => self.pools.exchanges.remove(parked, socket.id),
                false => self.pools.parked.remove(parked, socket.id),
            }
            socket.set_handshake(Index::NONE);
        }
    }

    /// Moves what the platform has not taken of a small record to where it takes little memory.
    /// It stays in the output if that cannot be.
    pub(crate) fn park_output(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let Some(mut record) = self.pools.outputs.record(socket.output) else {
            return;
        };
        let has_place = socket.handshake().is_some() || socket.parked().is_some();
        if record.is_empty() || has_place {
            return;
        }
        if let Some(tail) = Tail::new(record.filled())
            && let Some(index) = self.pools.parked.insert_tail(socket.id, Parked::Tail(tail))
        {
            record.clear();
            socket.set_parked(index);
        }
    }

    /// Returns the end of a record that is parked.
    pub(crate) fn tail(&mut self, socket: &TlsSocket<P::Socket>) -> Option<&mut Tail> {
        if socket.is_exchange_parked() {
            return None;
        }
        match self.pools.parked.get(socket.parked(), socket.id)? {
            Parked::Tail(tail) => Some(tail),
            Parked::Handshake(_) | Parked::Empty => None,
        }
    }

    /// Moves a handshake that only waits for the client's `Finished` to where it takes little
    /// memory, and releases its lease. It goes where the rest does if more than that is needed, and
    /// stays where it is if there is no place.
    pub(crate) fn park_handshake(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = socket.handshake();
        let replaces = self.is_handshake_wanted();
        let Some(handshake) = self.pools.handshakes.get(index) else {
            return;
        };
        let Some(parked) = handshake.park() else {
            return self.park_exchange(socket);
        };
        let mut parked = Parked::Handshake(parked);
        let places = &mut self.pools.parked;
        match places.insert_handshake(socket.id, &mut parked, replaces) {
            Some(place) => {
                self.release_handshake(socket);
                socket.set_parked(place);
            }
            None => self.pools.handshakes.set_lacks(index, Lacks::ParkingPlace),
        }
    }

    /// Returns true if a handshake is waited for, or the next would be, where there are several:
    /// who is parked for it may take the place of another.
    fn is_handshake_wanted(&self) -> bool {
        let handshakes = &self.pools.handshakes;
        handshakes.is_last_leased() || handshakes.is_wanted()
    }

    /// Moves all of a server's handshake but its buffer, which is empty while it waits for its
    /// client, to where it takes less memory, and releases its lease. It stays where it is with a
    /// part of a message in the buffer.
    pub(crate) fn park_exchange(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = socket.handshake();
        let replaces = self.is_handshake_wanted();
        let Some(handshake) = self.pools.handshakes.get(index) else {
            return;
        };
        if !handshake.message.is_empty() {
            return;
        }
        let mut parked = ParkedExchange::EMPTY;
        swap(&mut parked.0, &mut handshake.exchange);
        let places = &mut self.pools.exchanges;
        match places.insert_handshake(socket.id, &mut parked, replaces) {
            Some(place) => {
                self.release_handshake(socket);
                socket.set_exchange_parked(place);
            }
            None => {
                swap(&mut parked.0, &mut handshake.exchange);
                self.pools.handshakes.set_lacks(index, Lacks::ExchangePlace);
            }
        }
    }

    /// Has a server's handshake that waits for the rest of a client's message, or for the one that
    /// proves a certificate, lose its lease when others wait: it cannot be parked with what has
    /// come. One that goes on, `waits` being false, keeps it.
    pub(crate) fn set_gives_way(&mut self, socket: &TlsSocket<P::Socket>, waits: bool) {
        let index = socket.handshake();
        let handshake = self.pools.handshakes.get(index);
        let is_partial = handshake.is_some_and(|handshake| !handshake.message.is_empty());
        let gives_way = waits && is_partial && socket.connection.awaits_client();
        self.pools.handshakes.set_gives_way(index, gives_way);
    }

    /// Moves a parked handshake into the one at `index`, which was leased for it.
    fn unpark_handshake(&mut self, socket: &mut TlsSocket<P::Socket>, index: Index) {
        let parked = socket.parked();
        let is_exchange = socket.is_exchange_parked();
        match self.pools.handshakes.get(index) {
            Some(handshake) if is_exchange => match self.pools.exchanges.get(parked, socket.id) {
                Some(place) => swap(&mut place.0, &mut handshake.exchange),
                None => impossible!("`check_leases` found what is parked"),
            },
            Some(handshake) => match self.pools.parked.get(parked, socket.id) {
                Some(Parked::Handshake(place)) => handshake.unpark(place),
                _ => impossible!("`check_leases` found what is parked"),
            },
            None => impossible!("what a socket has leased is there"),
        }
        self.release_parked(socket);
        socket.set_handshake(index);
    }

    /// Releases the input and whatever is in it. What waits in the platform stays there.
    pub(crate) fn release_input(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = socket.input();
        if index.is_some() {
            let mut wait = Wait::NONE;
            if let Some(mut record) = self.pools.inputs.record(index) {
                wait = record.wait();
                record.reset();
            }
            self.pools.inputs.release(index);
            socket.set_wait(wait);
        }
    }

    pub(crate) fn release_output(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let index = core::mem::replace(&mut socket.output, Index::NONE);
        if index.is_some() {
            if let Some(mut record) = self.pools.outputs.record(index) {
                record.reset();
            }
            self.pools.outputs.release(index);
        }
    }

    /// Checks that nothing leased to the socket has been recalled, and that where it is parked has
    /// not gone to another.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: it has, and the connection is over.
    pub(crate) fn check_leases(&self, socket: &TlsSocket<P::Socket>) -> Result<(), Error> {
        let parked = socket.parked();
        let is_there = match socket.is_exchange_parked() {
            true => self.pools.exchanges.is_of(parked, socket.id),
            false => self.pools.parked.is_of(parked, socket.id),
        };
        if parked.is_some() && !is_there {
            return Err(Error::TimedOut);
        }
        if self.pools.handshakes.is_recalled(socket.handshake())
            || self.pools.inputs.is_recalled(socket.input())
            || self.pools.outputs.is_recalled(socket.output)
        {
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    /// Leases a handshake for a client's connection, with the name that the server must prove.
    pub(crate) fn prepare_client(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        id: SocketId,
        name: Option<&str>,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let name = name.ok_or(Error::Invalid)?;
        let roots = self.config_at(to.config).client.roots;
        let handshakes = &mut self.pools.handshakes;
        // The last is for connections that were accepted, which may be the other end of these.
        let keep = usize::from(self.configs.iter().any(|config| config.server.serves()));
        let index = handshakes.lease_now(id, keep).ok_or(Error::Exhausted)?;
        socket.set_handshake(index);
        let handshake = leased(handshakes.get(index))?;
        let target = Target {
            port: to.addr.port(),
            config: to.config,
            ..Target::ANY
        };
        if roots.is_empty() || !handshake.expect_server(name, target) {
            self.release_handshake(socket);
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Leases an input to the socket unless it has one; false if it has to wait for that.
    pub(crate) fn lease_input(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        if socket.input().is_some() {
            return Ok(true);
        }
        let id = leased(socket.id())?;
        let flag = Flags::WAITS_FOR_INPUT;
        let lease = self.pools.inputs.lease(id, socket.flags.has(flag));
        let Some(index) = note_lease(lease, &mut socket.flags, flag)? else {
            return Ok(false);
        };
        if let Some(mut record) = self.pools.inputs.record(index) {
            record.set_wait(socket.wait());
        }
        socket.set_input(index);
        Ok(true)
    }

    /// Returns true if the socket is in the queue for an input.
    pub(crate) fn waits_for_input(&self, socket: &TlsSocket<P::Socket>) -> bool {
        let inputs = &self.pools.inputs;
        socket.flags.has(Flags::WAITS_FOR_INPUT)
            && socket.id().is_some_and(|id| inputs.is_waiting(id))
    }

    /// Returns true if the socket is in the queue for an output.
    pub(crate) fn waits_for_output(&self, socket: &TlsSocket<P::Socket>) -> bool {
        let outputs = &self.pools.outputs;
        socket.flags.has(Flags::WAITS_FOR_OUTPUT)
            && socket.id().is_some_and(|id| outputs.is_waiting(id))
    }

    /// Leases an output to the socket unless it has one; false if it has to wait for that.
    pub(crate) fn lease_output(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<bool, Error> {
        if socket.output.is_some() {
            return Ok(true);
        }
        let id = leased(socket.id())?;
        let flag = Flags::WAITS_FOR_OUTPUT;
        let lease = self.pools.outputs.lease(id, socket.flags.has(flag));
        let Some(index) = note_lease(lease, &mut socket.flags, flag)? else {
            return Ok(false);
        };
        socket.output = index;
        Ok(true)
    }

    /// Leases a handshake to the socket unless it has one; false if it has to wait for that.
    pub(crate) fn lease_handshake(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<bool, Error> {
        if socket.handshake().is_some() {
            return Ok(true);
        }
        let id = leased(socket.id())?;
        let flag = Flags::WAITS_FOR_HANDSHAKE;
        let lease = self.pools.handshakes.lease(id, socket.flags.has(flag));
        let Some(index) = note_lease(lease, &mut socket.flags, flag)? else {
            return Ok(false);
        };
        match socket.parked().is_some() {
            true => self.unpark_handshake(socket, index),
            false => socket.set_handshake(index),
        }
        Ok(true)
    }
}

/// Returns what a socket has for certain: what it has leased in the same call, or its id while it
/// is secured.
///
/// # Errors
/// [`Error::Invalid`], which cannot be.
#[track_caller]
pub(crate) fn leased<T>(value: Option<T>) -> Result<T, Error> {
    invariant!(value.is_some(), "what a socket has leased is there");
    value.ok_or(Error::Invalid)
}

/// Notes in a socket's flags what came of asking for a lease; returns it if it was granted.
fn note_lease(lease: Lease, flags: &mut Flags, waits: Flags) -> Result<Option<Index>, Error> {
    match lease {
        Lease::Granted(index) => {
            flags.clear(waits);
            Ok(Some(index))
        }
        Lease::Waits => {
            flags.set(waits);
            Ok(None)
        }
        Lease::Full => Err(Error::Exhausted),
    }
}
