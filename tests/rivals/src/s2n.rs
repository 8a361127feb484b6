//! s2n-tls's server over memory.

use std::ffi::{c_int, c_void};
use std::io::{Read as _, Write as _};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use errno::{Errno, set_errno};
use s2n_tls::config::Config;
use s2n_tls::connection::Connection;
use s2n_tls::enums::Blinding;
use s2n_tls::security;
use usockets_tests_tls::Leaf;
use usockets_tests_tls::files::pem;

use crate::engine::{RECORD, Server};
use crate::wire::Wire;

/// `EWOULDBLOCK` on Linux.
const WOULD_BLOCK: Errno = Errno(11);

/// A server of s2n-tls's.
pub struct S2n {
    config: Config,
    /// Dropped before what it points to.
    connection: Option<Connection>,
    /// Only reached by its address, which the connection has.
    wire: *mut Wire,
}

impl S2n {
    /// Makes a server with the leaf's key and tickets.
    pub fn new(leaf: &Leaf) -> Self {
        let mut builder = Config::builder();
        let policy = &security::DEFAULT_TLS13;
        let certificate = pem("CERTIFICATE", &leaf.chain[0]);
        let key = pem("PRIVATE KEY", &leaf.document);
        builder.set_security_policy(policy).expect("it is known");
        builder.with_system_certs(false).expect("none");
        builder
            .load_pem(certificate.as_bytes(), key.as_bytes())
            .expect("an identity");
        builder
            .add_session_ticket_key(b"key", &[3; 32], SystemTime::now())
            .expect("a key of tickets");
        Self {
            config: builder.build().expect("a configuration"),
            connection: None,
            wire: Box::into_raw(Box::default()),
        }
    }

    fn wire(&mut self) -> &mut Wire {
        // SAFETY: it lives as long as `self`; the connection reaches for it only when it is called.
        unsafe { &mut *self.wire }
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it has started")
    }
}

impl Drop for S2n {
    fn drop(&mut self) {
        self.connection = None;
        // SAFETY: it comes from a box, and the connection, which pointed to it, is gone.
        drop(unsafe { Box::from_raw(self.wire) });
    }
}

/// Gives the library what has come.
///
/// # Safety
/// `wire` is a [`Wire`] that nobody else uses now, and `len` bytes may be written to `data`.
unsafe extern "C" fn receive(wire: *mut c_void, data: *mut u8, len: u32) -> c_int {
    // SAFETY: as the caller promised.
    let (wire, data) = unsafe {
        let data = std::slice::from_raw_parts_mut(data, len.try_into().expect("a length"));
        (&mut *wire.cast::<Wire>(), data)
    };
    match wire.read(data) {
        Ok(count) => count.try_into().expect("a length"),
        Err(_) => {
            set_errno(WOULD_BLOCK);
            -1
        }
    }
}

/// Takes what the library sends.
///
/// # Safety
/// `wire` is a [`Wire`] that nobody else uses now, and `data` has `len` bytes.
unsafe extern "C" fn send(wire: *mut c_void, data: *const u8, len: u32) -> c_int {
    // SAFETY: as the caller promised.
    let (wire, data) = unsafe {
        let data = std::slice::from_raw_parts(data, len.try_into().expect("a length"));
        (&mut *wire.cast::<Wire>(), data)
    };
    let count = wire.write(data).expect("there is room");
    count.try_into().expect("a length")
}

impl Server for S2n {
    fn start(&mut self) {
        self.connection = None;
        *self.wire() = Wire::default();
        let mut connection = Connection::new_server();
        let config = self.config.clone();
        connection.set_config(config).expect("it is good");
        connection
            .set_blinding(Blinding::SelfService)
            .and_then(|own| own.prefer_throughput())
            .and_then(|own| own.set_receive_callback(Some(receive)))
            .and_then(|own| own.set_send_callback(Some(send)))
            .expect("a connection");
        // SAFETY: the wire lives longer than the connection, and is what both functions take.
        unsafe {
            let wire = self.wire.cast();
            connection.set_receive_context(wire).expect("a context");
            connection.set_send_context(wire).expect("a context");
        }
        self.connection = Some(connection);
    }

    fn feed(&mut self, bytes: &[u8]) -> Duration {
        self.wire().push(bytes);
        let start = Instant::now();
        let polled = self.connection().poll_negotiate().map_ok(drop);
        let time = start.elapsed();
        if let Poll::Ready(done) = polled {
            done.expect("the client is right");
            let connection = self.connection();
            let suite = connection.cipher_suite().expect("a suite");
            assert_eq!(suite, "TLS_AES_128_GCM_SHA256");
            assert_eq!(connection.selected_key_exchange_group(), Some("x25519"));
        }
        time
    }

    fn take(&mut self, bytes: &mut Vec<u8>) {
        bytes.append(&mut self.wire().output);
    }

    fn send(&mut self, data: &[u8; RECORD]) -> Duration {
        self.wire().drops = true;
        let start = Instant::now();
        let sent = self.connection().poll_send(data);
        let time = start.elapsed();
        assert!(matches!(sent, Poll::Ready(Ok(RECORD))), "{sent:?}");
        time
    }

    fn receive(&mut self, record: &[u8]) -> Duration {
        let mut data = [0_u8; RECORD];
        let mut len = 0;
        self.wire().push(record);
        let start = Instant::now();
        while len < RECORD {
            match self.connection().poll_recv(&mut data[len..]) {
                Poll::Ready(Ok(count)) => len += count,
                other => panic!("the client is right: {other:?}"),
            }
        }
        start.elapsed()
    }

    fn end(&mut self) {
        self.connection = None;
    }

    fn is_resumed(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::resumed)
    }
}
