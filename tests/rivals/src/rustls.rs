//! rustls's server over memory, with either of its providers.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup, ServerConfig, ServerConnection};
use usockets_tests_tls::{Leaf, Theirs};

use crate::engine::{RECORD, Server};

/// A server of rustls's.
pub struct Rustls {
    config: Arc<ServerConfig>,
    connection: Option<ServerConnection>,
    received: Box<[u8; RECORD]>,
}

impl Rustls {
    /// Makes a server with the leaf's key, one ticket per connection, and the one suite and group.
    pub fn new(
        mut provider: CryptoProvider,
        ticketer: Arc<dyn rustls::server::ProducesTickets>,
        leaf: &Leaf,
    ) -> Self {
        let suite = CipherSuite::TLS13_AES_128_GCM_SHA256;
        provider.cipher_suites.retain(|own| own.suite() == suite);
        let group = NamedGroup::X25519;
        provider.kx_groups.retain(|own| own.name() == group);
        let mut config = Theirs::server_config(Arc::new(provider), leaf);
        config.ticketer = ticketer;
        config.send_tls13_tickets = 1;
        Self {
            config: Arc::new(config),
            connection: None,
            received: Box::new([0; RECORD]),
        }
    }

    fn connection(&mut self) -> &mut ServerConnection {
        self.connection.as_mut().expect("it has started")
    }
}

impl Server for Rustls {
    fn start(&mut self) {
        let made = ServerConnection::new(self.config.clone());
        self.connection = Some(made.expect("a good configuration"));
    }

    fn feed(&mut self, bytes: &[u8]) -> Duration {
        let connection = self.connection();
        let mut rest = bytes;
        let start = Instant::now();
        while !rest.is_empty() {
            connection.read_tls(&mut rest).expect("it has room");
            connection
                .process_new_packets()
                .expect("the client is right");
        }
        start.elapsed()
    }

    fn take(&mut self, bytes: &mut Vec<u8>) {
        let connection = self.connection();
        while connection.wants_write() {
            connection.write_tls(bytes).expect("a vector takes all");
        }
    }

    fn send(&mut self, data: &[u8; RECORD]) -> Duration {
        let connection = self.connection();
        let start = Instant::now();
        let sent = std::io::Write::write(&mut connection.writer(), data);
        let sealed = connection.write_tls(&mut std::io::sink());
        let time = start.elapsed();
        assert_eq!(sent.expect("it is open"), RECORD);
        assert!(sealed.is_ok_and(|len| len > RECORD));
        time
    }

    fn receive(&mut self, record: &[u8]) -> Duration {
        let Self {
            connection,
            received,
            ..
        } = self;
        let connection = connection.as_mut().expect("it has started");
        let mut rest = record;
        let mut len = 0;
        let start = Instant::now();
        while !rest.is_empty() {
            connection.read_tls(&mut rest).expect("it has room");
            connection
                .process_new_packets()
                .expect("the client is right");
            while let Ok(count @ 1..) = connection.reader().read(&mut received[len..]) {
                len += count;
            }
        }
        let time = start.elapsed();
        assert_eq!(len, RECORD);
        time
    }

    fn end(&mut self) {
        self.connection = None;
    }

    fn is_resumed(&self) -> bool {
        let kind = self.connection.as_ref().map(|own| own.handshake_kind());
        kind == Some(Some(rustls::HandshakeKind::Resumed))
    }
}
