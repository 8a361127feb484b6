//! Our own flight of protected messages, which ends with `Finished`, and what goes around it:
//! the same for both sides.

use crate::tls::alert::Alert;
use crate::tls::connection::state::{Connection, Role, State};
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::exchange::{Handshake, Signing};
use crate::tls::handshake::message::put_change;
use crate::tls::handshake::{auth, client, server};
use crate::tls::record::protection::Content;
use crate::tls::wire::Output;

impl Connection {
    /// Starts our flight, and finishes it unless its signature comes later.
    pub(crate) fn begin_flight<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: &mut Handshake<C>,
        out: &mut Output<'_>,
    ) -> Result<(), Alert> {
        if core::mem::take(&mut self.owes_change) {
            put_change(out)?;
        }
        // Made in the buffer of messages, which is empty (the caller has consumed the message that
        // this answers); protected from there into `out`.
        let Handshake { message, exchange } = handshake;
        let mut flight = message.output();
        match self.role {
            Role::Server => server::put_flight(self, setup, exchange, &mut flight)?,
            Role::Client => client::put_flight(self, setup, exchange, &mut flight)?,
        }
        let len = flight.len();
        message.keep_written(len);
        if handshake.awaits_signature() {
            self.state = State::AwaitSignature;
            return Ok(());
        }
        self.finish_flight(setup, handshake, out)
    }

    /// Finishes our flight and protects it, and takes the keys that follow it.
    pub(crate) fn finish_flight<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: &mut Handshake<C>,
        out: &mut Output<'_>,
    ) -> Result<(), Alert> {
        let Handshake { message, exchange } = handshake;
        if exchange.common.signing == Signing::GivenUp {
            return Err(Alert::INTERNAL_ERROR);
        }
        let mut flight = message.flight_output();
        let transcript = &mut exchange.common.transcript;
        auth::put_finished(
            &mut flight,
            transcript,
            self.suite.hash(),
            &self.send.secret(),
        )?;
        let len = flight.len();
        self.seal_all(setup.crypto, Content::Handshake, message.flight(len), out)?;
        message.clear();
        match self.role {
            Role::Server => server::follow(self, setup, exchange),
            Role::Client => client::follow(self, setup, exchange),
        }
    }

    /// Obeys the peer's limit of record sizes (RFC 8449, section 4), which counts the content type.
    pub(crate) fn limit_records(&mut self, limit: u16) {
        self.limit = limit.saturating_sub(1).min(self.limit);
    }
}
