//! The secrets of a connection, in the order of the key schedule (RFC 8446, section 7.1).

use crate::tls::connection::state::Connection;
use crate::tls::connection::state::Role;
use crate::tls::crypto::provider::{Crypto, Secret, Shared};
use crate::tls::handshake::exchange::Exchange;
use crate::tls::record::protection::Keys;
use crate::tls::record::schedule::Schedule;

impl Connection {
    /// Takes the keys of the handshake, made of the key exchange and the hellos.
    pub(crate) fn start_keys<C: Crypto>(
        &mut self,
        crypto: &mut C,
        exchange: &mut Exchange<C>,
        shared: &Shared,
    ) {
        let hash = self.suite.hash();
        let psk = exchange.is_resumed.then_some(&exchange.psk);
        exchange.schedule = Schedule::early::<C::Hasher>(hash, psk);
        exchange.schedule.advance::<C::Hasher>(hash, shared.get());
        let client = exchange.derive(hash, b"c hs traffic");
        let server = exchange.derive(hash, b"s hs traffic");
        for (name, secret) in [
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", &server),
        ] {
            crypto.log_secret(name, &exchange.random, secret.get(hash));
        }
        let (receive, send) = match self.role {
            Role::Server => (client, server),
            Role::Client => (server, client),
        };
        self.receive = Keys::new::<C>(self.suite, &receive);
        self.send = Keys::new::<C>(self.suite, &send);
        self.can_open = true;
        self.can_seal = true;
        exchange.schedule.advance_to_master::<C::Hasher>(hash);
    }

    /// Returns the secrets of the client's and the server's data, made of everything up to the
    /// server's `Finished`.
    pub(crate) fn data_secrets<C: Crypto>(
        &self,
        crypto: &mut C,
        exchange: &mut Exchange<C>,
    ) -> [Secret; 2] {
        let hash = self.suite.hash();
        let client = exchange.derive(hash, b"c ap traffic");
        let server = exchange.derive(hash, b"s ap traffic");
        exchange.exporter = exchange.derive(hash, b"exp master");
        for (name, secret) in [
            ("CLIENT_TRAFFIC_SECRET_0", &client),
            ("SERVER_TRAFFIC_SECRET_0", &server),
            ("EXPORTER_SECRET", &exchange.exporter),
        ] {
            crypto.log_secret(name, &exchange.random, secret.get(hash));
        }
        [client, server]
    }
}
