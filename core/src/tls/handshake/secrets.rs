//! The secrets of a connection, in the order of the key schedule (RFC 8446, section 7.1). Both
//! sides begin with `start_keys` once the hellos are there, and go on with `data_secrets` after the
//! server's `Finished`.

use crate::tls::connection::state::Connection;
use crate::tls::connection::state::Role;
use crate::tls::crypto::provider::{Crypto, HashAlgorithm, Secret, Shared};
use crate::tls::handshake::exchange::{Agreed, Common};
use crate::tls::record::protection::Keys;
use crate::tls::record::schedule::Schedule;

/// What is made of everything up to the server's `Finished`.
pub(crate) struct DataSecrets {
    /// Of the client's data.
    pub(crate) client: Secret,
    /// Of the server's data.
    pub(crate) server: Secret,
    /// Of keys for other protocols.
    pub(crate) exporter: Secret,
}

impl<C: Crypto> Common<C> {
    /// Derives a secret of the schedule's present stage over the messages so far.
    pub(crate) fn derive(&self, schedule: &Schedule, hash: HashAlgorithm, label: &[u8]) -> Secret {
        schedule.derive::<C::Hasher>(hash, label, &self.transcript.digest())
    }

    /// Lets the machine log secrets, see [`Machine::log_secret`].
    ///
    /// [`Machine::log_secret`]: crate::tls::Machine::log_secret
    fn log(&self, crypto: &mut C, hash: HashAlgorithm, secrets: &[(&str, &Secret)]) {
        for (name, secret) in secrets {
            crypto.log_secret(name, &self.random, secret.get(hash));
        }
    }
}

impl Connection {
    /// Takes the keys of the handshake, made of the key exchange, the hellos and the pre-shared
    /// key, if they have agreed on one; returns the schedule at its last stage.
    pub(crate) fn start_keys<C: Crypto>(
        &mut self,
        crypto: &mut C,
        common: &Common<C>,
        psk: Option<&Secret>,
        shared: &Shared,
    ) -> Schedule {
        let hash = self.suite.hash();
        let schedule = Schedule::handshake::<C::Hasher>(hash, psk, shared.get());
        let digest = common.transcript.digest();
        let derive = |label: &[u8]| schedule.derive::<C::Hasher>(hash, label, &digest);
        let client = derive(b"c hs traffic");
        let server = derive(b"s hs traffic");
        let secrets = [
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", &server),
        ];
        common.log(crypto, hash, &secrets);
        let (receive, send) = match self.role {
            Role::Server => (client, server),
            Role::Client => (server, client),
        };
        self.receive = Keys::new::<C>(self.suite, &receive);
        self.send = Keys::new::<C>(self.suite, &send);
        self.can_open = true;
        self.can_seal = true;
        schedule.master::<C::Hasher>(hash)
    }

    /// Returns the secrets of the data, made of everything up to the server's `Finished`, which is
    /// the last message that `transcript` digests.
    pub(crate) fn data_secrets<C: Crypto>(
        &self,
        crypto: &mut C,
        common: &Common<C>,
        agreed: &Agreed,
        transcript: &Secret,
    ) -> DataSecrets {
        let hash = self.suite.hash();
        let derive = |label: &[u8]| agreed.schedule.derive::<C::Hasher>(hash, label, transcript);
        let secrets = DataSecrets {
            client: derive(b"c ap traffic"),
            server: derive(b"s ap traffic"),
            exporter: derive(b"exp master"),
        };
        let logged = [
            ("CLIENT_TRAFFIC_SECRET_0", &secrets.client),
            ("SERVER_TRAFFIC_SECRET_0", &secrets.server),
            ("EXPORTER_SECRET", &secrets.exporter),
        ];
        common.log(crypto, hash, &logged);
        secrets
    }
}
