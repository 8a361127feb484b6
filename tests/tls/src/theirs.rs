//! rustls between two byte queues.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{CipherSuite, ClientConfig, NamedGroup, ServerConfig, SupportedCipherSuite};

use crate::{Authority, Leaf};

/// Returns rustls' suite.
pub fn suite(suite: CipherSuite) -> SupportedCipherSuite {
    let all = ring::ALL_CIPHER_SUITES.iter();
    *all.clone().find(|known| known.suite() == suite).unwrap()
}

/// Returns rustls' group.
pub fn group(group: NamedGroup) -> &'static dyn SupportedKxGroup {
    let all = [
        ring::kx_group::X25519,
        ring::kx_group::SECP256R1,
        ring::kx_group::SECP384R1,
        &P521,
    ];
    *all.iter().find(|known| known.name() == group).unwrap()
}

/// A group that we do not know, nor does ring: whoever is offered a share of it asks for another.
#[derive(Debug)]
struct P521;

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(Self))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for P521 {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, rustls::Error> {
        panic!("somebody has taken a share of a group that nobody knows");
    }

    fn pub_key(&self) -> &[u8] {
        &[4; 133]
    }

    fn group(&self) -> NamedGroup {
        self.name()
    }
}

/// One of rustls' connections.
pub struct Theirs {
    pub connection: rustls::Connection,
    pub data: Vec<u8>,
    pub error: Option<rustls::Error>,
    pub has_finished: bool,
}

impl Theirs {
    pub fn provider(
        suites: &[SupportedCipherSuite],
        groups: &[&'static dyn SupportedKxGroup],
    ) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: suites.to_vec(),
            kx_groups: groups.to_vec(),
            ..ring::default_provider()
        })
    }

    /// All that rustls offers on ring: the process's default would depend on the features built.
    pub fn whole_provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    /// A client's settings: any server that the authority vouches for, no certificate.
    pub fn client_config(provider: Arc<CryptoProvider>, authority: &Authority) -> ClientConfig {
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(authority.root_store())
            .with_no_client_auth()
    }

    /// A server's settings: one certificate, and none asked for.
    pub fn server_config(provider: Arc<CryptoProvider>, leaf: &Leaf) -> ServerConfig {
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(leaf.rustls_chain(), leaf.rustls_key())
            .unwrap()
    }

    pub fn client(config: Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_string()).unwrap();
        Self::new(rustls::ClientConnection::new(config, name).unwrap().into())
    }

    pub fn server(config: Arc<ServerConfig>) -> Self {
        Self::new(rustls::ServerConnection::new(config).unwrap().into())
    }

    fn new(connection: rustls::Connection) -> Self {
        Self {
            connection,
            data: Vec::new(),
            error: None,
            has_finished: false,
        }
    }

    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.error.is_none() {
            self.connection.read_tls(&mut bytes).unwrap();
            match self.connection.process_new_packets() {
                Ok(state) => self.has_finished |= state.peer_has_closed(),
                Err(error) => self.error = Some(error),
            }
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = self.connection.reader().read(&mut buffer) {
                self.data.extend_from_slice(&buffer[..len]);
            }
        }
    }

    pub fn take_output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub fn send(&mut self, data: &[u8]) {
        self.connection.writer().write_all(data).unwrap();
    }

    pub fn is_open(&self) -> bool {
        !self.connection.is_handshaking() && self.error.is_none()
    }
}
