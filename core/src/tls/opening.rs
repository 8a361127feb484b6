//! A handshake through the layer.

use crate::error::Error;
use crate::platform::{Platform, Progress, Recv};
use crate::tls::client;
use crate::tls::connection::Connection;
use crate::tls::crypto::Crypto;
use crate::tls::event::Event;
use crate::tls::facts::Flags;
use crate::tls::layer::{Tls, TlsSocket};
use crate::tls::wire::Output;

/// Reads from the platform per call, so that a peer that sends in small pieces cannot hold up the
/// others.
const READS_MAX: u32 = 8;

/// How far one call got.
enum Pause {
    /// The platform has no more bytes.
    Drained,
    /// There may be more to read.
    Yields,
    /// The handshake is done.
    Open,
}

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Carries a handshake on as far as the platform and what can be lent allow.
    pub(crate) fn shake(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<Progress, Error> {
        if !self.flush(socket)? {
            return Ok(Progress::Opening);
        }
        // In this order: who has a later one never waits for an earlier one, so no two sockets
        // wait for each other.
        if !self.has_handshake(socket)? || !self.has_input(socket)? || !self.has_output(socket)? {
            return Ok(Progress::Opening);
        }
        if socket.flags.has(Flags::STARTING) {
            self.start_client(socket)?;
        }
        let pause = if socket.connection.is_open() {
            Pause::Open
        } else {
            let mut has_worked = false;
            let pause = self.shake_records(socket, &mut has_worked);
            if has_worked || pause.is_err() {
                self.handshakes_left = self.handshakes_left.saturating_sub(1);
            }
            pause?
        };
        let is_flushed = self.flush(socket)?;
        self.put_away(socket);
        Ok(match pause {
            Pause::Open if is_flushed => {
                self.release_handshake(socket);
                Progress::Open
            }
            Pause::Yields if is_flushed => Progress::Again,
            Pause::Open | Pause::Yields | Pause::Drained => Progress::Opening,
        })
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
            let (inner, mut setup, lenders) = self.parts();
            let input = lenders.inputs.get(socket.input).ok_or(Error::Invalid)?;
            let output = lenders.outputs.get(socket.output).ok_or(Error::Invalid)?;
            let handshake = lenders.handshakes.get(socket.handshake);
            let mut out = Output::new(output.spare());
            let bytes = input.filled_mut();
            let received = socket
                .connection
                .receive(&mut setup, handshake, bytes, &mut out);
            let len = out.len();
            let received = match received {
                Ok(received) => received,
                // What was written may not be whole.
                Err(alert) => return Err(self.fail(socket, alert)),
            };
            output.commit(len);
            input.consume(received.consumed);
            *has_worked |= received.consumed > 0;
            match received.event {
                Event::Incomplete { .. } if reads >= READS_MAX => return Ok(Pause::Yields),
                Event::Incomplete { .. } => {
                    reads = reads.saturating_add(1);
                    match inner.recv(&mut socket.inner, input.spare())? {
                        Recv::Data { len, .. } => input.commit(len),
                        Recv::WouldBlock => return Ok(Pause::Drained),
                        Recv::Finished => return Err(Error::Truncated),
                    }
                }
                Event::Open => return Ok(Pause::Open),
                Event::Failed(alert) => return Err(Error::AlertReceived(alert.code())),
                // Not before the handshake is done.
                Event::Data { .. } | Event::Finished => return Err(Error::Invalid),
                Event::Nothing => {}
            }
        }
    }

    /// Writes a client's hello.
    fn start_client(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<(), Error> {
        let (_, mut setup, lenders) = self.parts();
        let handshake = lenders.handshakes.get(socket.handshake);
        let handshake = handshake.ok_or(Error::Invalid)?;
        let output = lenders.outputs.get(socket.output).ok_or(Error::Invalid)?;
        let mut out = Output::new(output.spare());
        let started = client::start(&mut setup, &mut handshake.exchange, &mut out);
        let len = out.len();
        output.commit(len);
        started.map_err(|alert| Error::AlertSent(alert.code()))?;
        socket.connection = Connection::started_client();
        socket.flags.clear(Flags::STARTING);
        self.handshakes_left = self.handshakes_left.saturating_sub(1);
        Ok(())
    }

    /// Gives back what the socket does not need while it waits.
    fn put_away(&mut self, socket: &mut TlsSocket<P::Socket>) {
        let input = self.lenders.inputs.get(socket.input);
        let has_input = input.is_some_and(|record| !record.is_empty());
        if !has_input {
            self.release_input(socket);
        }
        let output = self.lenders.outputs.get(socket.output);
        if output.is_some_and(|record| record.is_empty()) {
            self.release_output(socket);
        }
        // Who has sent nothing yet takes no part of the handshakes that may run at once.
        if !has_input && socket.connection.awaits_first_byte() {
            let handshake = self.lenders.handshakes.get(socket.handshake);
            if handshake.is_some_and(|handshake| handshake.message.is_empty()) {
                self.release_handshake(socket);
            }
        }
    }
}
