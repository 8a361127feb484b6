//! BoringSSL's server over memory.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use boring::pkey::PKey;
use boring::ssl::{
    HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslStream, SslStreamBuilder,
    SslVersion,
};
use boring::x509::X509;
use usockets_tests_tls::Leaf;

use crate::engine::{RECORD, Server};
use crate::wire::Wire;

/// A server of BoringSSL's.
pub struct BoringSsl {
    context: SslContext,
    connection: State,
}

enum State {
    None,
    Handshake(MidHandshakeSslStream<Wire>),
    Open(SslStream<Wire>),
}

impl BoringSsl {
    /// Makes a server with the leaf's key and the one group. BoringSSL takes AES-128-GCM where the
    /// processor has instructions for it.
    pub fn new(leaf: &Leaf) -> Self {
        let method = SslMethod::tls();
        let mut builder = SslContext::builder(method).expect("a context");
        let certificate = X509::from_der(&leaf.chain[0]).expect("a certificate");
        builder.set_certificate(&certificate).expect("it is good");
        let key = PKey::private_key_from_der(&leaf.document).expect("a key");
        builder.set_private_key(&key).expect("it is good");
        let version = Some(SslVersion::TLS1_3);
        builder.set_min_proto_version(version).expect("it is known");
        builder.set_curves_list("X25519").expect("it is known");
        // SAFETY: the context lives.
        let set = unsafe { boring_sys::SSL_CTX_set_num_tickets(builder.as_ptr(), 1) };
        assert_eq!(set, 1);
        Self {
            context: builder.build(),
            connection: State::None,
        }
    }

    fn open(&mut self) -> &mut SslStream<Wire> {
        match &mut self.connection {
            State::Open(stream) => stream,
            _ => panic!("the connection is not open"),
        }
    }
}

impl Server for BoringSsl {
    fn start(&mut self) {
        let ssl = Ssl::new(&self.context).expect("a connection");
        let builder = SslStreamBuilder::new(ssl, Wire::default());
        self.connection = State::Handshake(builder.setup_accept());
    }

    fn feed(&mut self, bytes: &[u8]) -> Duration {
        let State::Handshake(mut stream) = std::mem::replace(&mut self.connection, State::None)
        else {
            panic!("there is no handshake");
        };
        stream.get_mut().push(bytes);
        let start = Instant::now();
        let made = stream.handshake();
        let time = start.elapsed();
        self.connection = match made {
            Ok(stream) => State::Open(stream),
            Err(HandshakeError::WouldBlock(stream)) => State::Handshake(stream),
            Err(error) => panic!("the client is right: {error}"),
        };
        if let State::Open(stream) = &mut self.connection {
            // The ticket, which is made by now, goes out with the first data only.
            stream.write_all(b"!").expect("it is open");
            let cipher = stream.ssl().current_cipher().map(|own| own.name());
            assert_eq!(cipher, Some("TLS_AES_128_GCM_SHA256"));
        }
        time
    }

    fn take(&mut self, bytes: &mut Vec<u8>) {
        let wire = match &mut self.connection {
            State::Handshake(stream) => stream.get_mut(),
            State::Open(stream) => stream.get_mut(),
            State::None => return,
        };
        bytes.append(&mut wire.output);
    }

    fn send(&mut self, data: &[u8; RECORD]) -> Duration {
        let stream = self.open();
        stream.get_mut().drops = true;
        let start = Instant::now();
        let sent = stream.write(data);
        let time = start.elapsed();
        assert_eq!(sent.expect("it is open"), RECORD);
        time
    }

    fn receive(&mut self, record: &[u8]) -> Duration {
        let stream = self.open();
        let mut data = [0_u8; RECORD];
        stream.get_mut().push(record);
        let start = Instant::now();
        let received = stream.read(&mut data);
        let time = start.elapsed();
        assert_eq!(received.expect("it is open"), RECORD);
        time
    }

    fn end(&mut self) {
        self.connection = State::None;
    }

    fn is_resumed(&self) -> bool {
        matches!(&self.connection, State::Open(stream) if stream.ssl().session_reused())
    }
}
