//! A handshake through the layer.
//!
//! What one report of a server's connection leads to, until the answer to a client's hello is sent:
//!
//! | step | what it does | memory |
//! |---|---|---|
//! | `carry_on`, `step` | is the connection below open? was a lease recalled? | |
//! | `shake`, `flush_output` | sends what an earlier call left | |
//! | `await_hello`, `fill` | reads until the hello is whole | leases an input |
//! | `acquire` | | leases a handshake, an output and an input |
//! | `shake_records` | opens records, and takes their messages | |
//! | `flush_output` | sends the flight | |
//! | `put_away` | | releases input and output, parks the handshake |
//!
//! `fill` is in `receiving.rs`, `flush_output` in `sending.rs`; what is leased, released and parked
//! in `leases.rs`. A handshake that finds no place to park keeps its lease.
//!
//! `shake_records` hands each record to [`Connection::receive`] (`connection/receive.rs`), which
//! hands each message to `handshake/server.rs`: that writes the flight into the output. An input in
//! which nothing has come is released by `put_away` too. After the flight `shake_records` reads
//! once more, finds nothing, and says that it waits.

use crate::error::Error;
use crate::invariant::impossible;
use crate::platform::{Platform, Progress, Readiness, Recv};
use crate::tls::alert::Alert;
use crate::tls::connection::event::Event;
use crate::tls::connection::state::Connection;
use crate::tls::connection::unit::Unit;
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::client;
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::exchange::Handshake;
use crate::tls::handshake::failure::HandshakeFailure;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::leases::leased;
use crate::tls::layer::platform::{Tls, config_at, count_taken};
use crate::tls::layer::pool::Index;
use crate::tls::layer::socket::TlsSocket;
use crate::tls::record::protection::RECORD_MAX;
use crate::tls::wire::Output;

/// Reads from the platform per call, so that a peer that sends in small pieces cannot hold up the
/// others.
const READS_MAX: u32 = 8;

/// How far one call got.
enum Pause {
    /// Nothing goes on before the next report: all bytes were read, or a signature is awaited.
    Waits,
    /// There may be more to read.
    Yields,
    /// The handshake is done.
    Open,
}

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Carries on with opening: the connection below, then the handshake.
    pub(crate) fn carry_on(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        ready: Readiness,
    ) -> Result<Progress, Error> {
        let result = match (self.step(socket, ready), socket.connection.refusal()) {
            // Whatever else has happened since.
            (Err(_), Some(alert)) => Err(Error::AlertSent(alert.code())),
            (progress, _) => progress,
        };
        match result {
            Ok(Progress::Done) => self.count_handshake(socket, None),
            Err(error) => self.count_handshake(socket, Some(error)),
            Ok(_) => {}
        }
        result
    }

    /// Counts what came of a handshake, and tells the program of a failure.
    fn count_handshake(&mut self, socket: &mut TlsSocket<P::Socket>, error: Option<Error>) {
        let Some(id) = socket.id() else {
            return;
        };
        if socket.flags.has(Flags::COUNTED) || !socket.flags.has(Flags::CONNECTED) {
            return;
        }
        socket.flags.set(Flags::COUNTED);
        let Some(error) = error else {
            self.stats.count_opened(socket.connection.is_resumed());
            return;
        };
        let failure = HandshakeFailure {
            id,
            is_client: socket.connection.is_client(),
            error,
            certificate: socket.connection.certificate_error(),
            lacks_room: socket.connection.lacks_room(),
        };
        self.stats.count_failure(&failure);
        if let Some(observer) = self.config_at(socket.config).observer {
            observer.on_failure(&failure);
        }
    }

    fn step(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        ready: Readiness,
    ) -> Result<Progress, Error> {
        self.check_leases(socket)?;
        self.note_ending(socket);
        if !socket.flags.has(Flags::CONNECTED) {
            match self.inner.open(&mut socket.inner, ready)? {
                Progress::Done => socket.flags.set(Flags::CONNECTED),
                waits => return Ok(waits),
            }
        } else if ready.intersects(Readiness::ERROR)
            && let Some(error) = self.inner.take_error(&mut socket.inner)
        {
            return Err(error);
        } else {
            match self.inner.flush(&mut socket.inner)? {
                Progress::Done => {}
                waits => return Ok(waits),
            }
        }
        if self.handshakes_left == 0 || self.verifications_left <= 0 {
            if socket.flags.waits() {
                // What it waited for would go to another.
                self.acquire(socket)?;
            }
            return Ok(Progress::Again);
        }
        self.shake(socket)
    }

    /// Carries a handshake on as far as the platform and the pools allow.
    fn shake(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<Progress, Error> {
        if socket.flags.has(Flags::STARTING) {
            self.start_client(socket)?;
        }
        if socket.connection.refusal().is_some() {
            return self.refuse_peer(socket);
        }
        if !self.flush_message(socket)? || !self.flush_output(socket)? {
            return Ok(Progress::Pending);
        }
        if let Some(waits) = self.await_hello(socket)? {
            return Ok(waits);
        }
        if !self.acquire(socket)? {
            return Ok(Progress::Pending);
        }
        let pause = if socket.connection.is_open() {
            Pause::Open
        } else {
            let mut has_worked = false;
            let pause = self.shake_records(socket, &mut has_worked);
            if has_worked || pause.is_err() {
                self.handshakes_left = self.handshakes_left.saturating_sub(1);
            }
            if socket.connection.refusal().is_some() {
                return self.refuse_peer(socket);
            }
            pause?
        };
        let is_flushed = self.flush_output(socket)?;
        self.put_away(socket);
        self.set_gives_way(socket, matches!(pause, Pause::Waits));
        Ok(match pause {
            Pause::Open if is_flushed => {
                self.release_handshake(socket);
                Progress::Done
            }
            Pause::Yields if is_flushed => Progress::Again,
            Pause::Open | Pause::Yields | Pause::Waits => Progress::Pending,
        })
    }

    /// Reads a client's first hello into an input, before anything else is leased for it; returns
    /// how the handshake waits as long as it is not whole.
    ///
    /// Not where that takes the last input: then all is leased in order, see [`Self::acquire`].
    fn await_hello(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<Option<Progress>, Error> {
        let is_first = socket.connection.awaits_first_hello() && !socket.handshake().is_some();
        let inputs = &self.pools.inputs;
        let is_last = inputs.is_single() || inputs.is_last_leased() && !socket.input().is_some();
        if !is_first || is_last || !self.lease_input(socket)? {
            return Ok(None);
        }
        for _ in 0..READS_MAX {
            let is_last = self.pools.inputs.is_last_leased();
            let input = leased(self.pools.inputs.record(socket.input()))?;
            let bytes = input.filled();
            // Nothing has come, and this is the last: it goes back, and all is leased in order.
            if bytes.is_empty() && is_last {
                self.release_input(socket);
                return Ok(None);
            }
            let Unit::Partial(need) = socket.connection.unit(bytes, RECORD_MAX) else {
                return Ok(None);
            };
            match self.fill(socket, need, RECORD_MAX)? {
                Recv::Data { .. } => {}
                Recv::WouldBlock | Recv::Pending => {
                    self.put_away(socket);
                    return Ok(Some(Progress::Pending));
                }
                Recv::Finished => return Err(Error::Truncated),
            }
        }
        Ok(Some(Progress::Again))
    }

    /// Leases what is needed to read and answer a record. Returns false if it has to wait for some
    /// of it.
    ///
    /// The order is handshake, output, input, so that sockets never wait for one another in a
    /// circle. A socket that has an input waits for no memory; one that has an output waits at most
    /// for an input, or for its peer. A client's first hello is read before anything else is
    /// leased, which breaks the order, and so never takes the last input ([`Self::await_hello`]).
    fn acquire(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        if !self.lease_handshake(socket)? {
            return Ok(false);
        }
        let handshake = self.pools.handshakes.get(socket.handshake());
        if handshake.is_some_and(|handshake| handshake.awaits_signature()) {
            return Ok(false);
        }
        // Whether what may come is answered: a server has nothing to say to a `Finished`.
        if socket.connection.answers() {
            if !self.lease_output(socket)? {
                return Ok(false);
            }
        } else if !socket.output.is_some()
            && self.config_at(socket.config).server.tickets.is_some()
            && let Some(id) = socket.id()
        {
            // For a ticket, which the client can do without.
            socket.output = self.pools.outputs.lease_now(id, 0).unwrap_or(Index::NONE);
        }
        self.lease_input(socket)
    }

    /// Reads and answers records until the handshake is done or waits for the peer.
    /// `has_worked` is set when there was one.
    fn shake_records(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        has_worked: &mut bool,
    ) -> Result<Pause, Error> {
        let mut reads = 0_u32;
        loop {
            let (event, is_paused) = match self.missing_of_hello(socket) {
                Some(need) => (Event::Incomplete { need }, false),
                None => self.shake_record(socket, has_worked)?,
            };
            match event {
                Event::Incomplete { .. } if reads >= READS_MAX => return Ok(Pause::Yields),
                Event::Incomplete { need } => {
                    reads = reads.saturating_add(1);
                    match self.fill(socket, need, RECORD_MAX)? {
                        Recv::Data { .. } => {}
                        Recv::WouldBlock | Recv::Pending => return Ok(Pause::Waits),
                        Recv::Finished => return Err(Error::Truncated),
                    }
                }
                Event::Open => {
                    if let Some(id) = socket.id()
                        && let Some(peer) = id.entry(self.peers)
                    {
                        peer.set_owner(id);
                    }
                    return Ok(Pause::Open);
                }
                Event::Failed(alert) => return Err(Error::AlertReceived(alert.code())),
                // Told when it has come.
                Event::Signing => return Ok(Pause::Waits),
                Event::Data { .. } | Event::Finished => {
                    impossible!("a handshake that is not done brings no data");
                    return Err(Error::Invalid);
                }
                Event::Nothing if is_paused => return Ok(Pause::Yields),
                Event::Nothing => {}
            }
        }
    }

    /// Reads and answers one record, or goes on with what the last one brought; returns what it
    /// meant, and true if the handshake pauses, since as many signatures as may be in an iteration
    /// have been verified.
    fn shake_record(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        has_worked: &mut bool,
    ) -> Result<(Event, bool), Error> {
        let verifications_left = self.verifications_left;
        let mut setup = Setup {
            crypto: &mut self.crypto,
            config: config_at(self.configs, socket.config),
            sessions: self.sessions,
            peer: socket.id().and_then(|id| id.entry(self.peers)),
        };
        let pools = &mut self.pools;
        let mut input = leased(pools.inputs.record(socket.input()))?;
        let mut output = pools.outputs.record(socket.output);
        let mut handshake = pools.handshakes.get(socket.handshake());
        if let Some(handshake) = &mut handshake {
            handshake.exchange.common.pace.bound(verifications_left);
        }
        let spare = output.as_mut().map(|record| record.spare());
        let mut out = Output::new(spare.unwrap_or_default());
        let bytes = input.filled_mut();
        let connection = &mut socket.connection;
        let received = connection.receive(&mut setup, handshake.as_deref_mut(), bytes, &mut out);
        let mut is_paused = false;
        if let Some(handshake) = handshake {
            self.verifications_left = handshake.exchange.common.pace.left();
            is_paused = handshake.exchange.common.pace.is_paused();
        }
        let len = out.len();
        if let Some(mut output) = output {
            output.commit(len);
        }
        match received {
            Ok(received) => {
                input.consume(received.consumed);
                *has_worked |= received.consumed > 0 || len > 0;
                Ok((received.event, is_paused))
            }
            Err(alert) => {
                self.prepare_refusal(socket, alert);
                Err(Error::AlertSent(alert.code()))
            }
        }
    }

    /// Returns how many bytes there have to be, if a client's first hello has not come as a whole.
    fn missing_of_hello(&mut self, socket: &TlsSocket<P::Socket>) -> Option<usize> {
        if !socket.connection.awaits_first_hello() {
            return None;
        }
        let handshake = self.pools.handshakes.get(socket.handshake())?;
        if !handshake.message.is_empty() {
            // It is being put together, as it does not fit an input.
            return None;
        }
        let input = self.pools.inputs.record(socket.input())?;
        match socket.connection.unit(input.filled(), RECORD_MAX) {
            Unit::Partial(need) => Some(need),
            Unit::Whole(_) => None,
        }
    }

    /// Writes the alert that tells the peer why the handshake fails to where messages were put
    /// together, so that it can wait there until the platform takes it.
    fn prepare_refusal(&mut self, socket: &mut TlsSocket<P::Socket>, alert: Alert) {
        self.release_input(socket);
        let Some(handshake) = self.pools.handshakes.get(socket.handshake()) else {
            return;
        };
        let message = &mut handshake.message;
        message.clear();
        let mut out = message.output();
        let connection = &mut socket.connection;
        let written = connection.send_alert(&mut self.crypto, alert, &mut out);
        let len = out.len();
        if written.is_ok() {
            message.keep_written(len);
            socket.flags.set(Flags::MESSAGE_UNSENT);
        }
    }

    /// Sends what is buffered and the alert of [`Self::prepare_refusal`]; an error when all of it
    /// has been taken, or cannot be.
    fn refuse_peer(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<Progress, Error> {
        if !self.flush_output(socket)? {
            return Ok(Progress::Pending);
        }
        self.release_output(socket);
        if !self.flush_message(socket)? {
            return Ok(Progress::Pending);
        }
        Err(Error::Invalid)
    }

    /// Writes a client's hello to where the server's will be put together.
    fn start_client(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<(), Error> {
        let (_, mut setup, pools) = self.parts(socket.config);
        let handshake = pools.handshakes.get(socket.handshake());
        let Handshake { message, exchange } = leased(handshake)?;
        let mut out = message.output();
        client::start(&mut setup, exchange, &mut out)
            .map_err(|alert| Error::AlertSent(alert.code()))?;
        let len = out.len();
        message.keep_written(len);
        socket.connection = Connection::started_client();
        socket.flags.clear(Flags::STARTING);
        socket.flags.set(Flags::MESSAGE_UNSENT);
        self.handshakes_left = self.handshakes_left.saturating_sub(1);
        Ok(())
    }

    /// Sends the message that the handshake's memory holds unsent: a client's hello, or the alert
    /// of [`Self::prepare_refusal`]. Returns true if nothing is left of it.
    fn flush_message(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        if !socket.flags.has(Flags::MESSAGE_UNSENT) {
            return Ok(true);
        }
        let handshake = self.pools.handshakes.get(socket.handshake());
        let message = &mut leased(handshake)?.message;
        let unsent = message.unsent();
        let most = unsent.len();
        let count = self.inner.send(&mut socket.inner, unsent)?;
        let count = count_taken(&mut self.breaches, count, most);
        if message.sent(count) {
            socket.flags.clear(Flags::MESSAGE_UNSENT);
        }
        Ok(!socket.flags.has(Flags::MESSAGE_UNSENT))
    }

    /// Releases what the socket does not need while it waits.
    fn put_away(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let input = self.pools.inputs.record(socket.input());
        let has_input = input.is_some_and(|record| !record.is_empty());
        if !has_input {
            self.release_input(socket);
        }
        // Who keeps a part of a record keeps what it takes to answer it, so that who has an input
        // does not wait for more. A first hello was read while other inputs were free.
        let is_kept = has_input && socket.handshake().is_some();
        let output = self.pools.outputs.record(socket.output);
        let has_output = output.is_some_and(|record| !record.is_empty());
        let needs_output = is_kept && socket.connection.answers();
        if !has_output && !needs_output {
            self.release_output(socket);
        }
        if has_input || has_output {
            return;
        }
        if socket.connection.awaits_first_hello() {
            let handshake = self.pools.handshakes.get(socket.handshake());
            if handshake.is_some_and(|handshake| handshake.message.is_empty()) {
                self.release_handshake(socket);
            }
        } else if socket.connection.awaits_client_finished() {
            self.park_handshake(socket);
        } else if socket.connection.awaits_client() {
            self.park_exchange(socket);
        }
    }
}
