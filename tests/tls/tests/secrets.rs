//! Key material for other protocols, and key logs, are those of rustls.

use std::sync::{Arc, Mutex};

use usockets::tls::{ClientConfig, Config, Crypto as _, ServerConfig, Sha2};
use usockets_tests_tls::{Authority, Kind, Ours, Theirs, log_line, pump, suite};

/// A key log of rustls, as lines.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push(log_line(label, client_random, secret));
    }
}

fn check(ours: &mut Ours, theirs: &mut Theirs, log: &Log) {
    assert!(ours.connection.is_open() && theirs.is_open());
    for (label, context) in [
        (&b"EXPERIMENTAL one"[..], &b""[..]),
        (b"two", b"some context"),
    ] {
        check_export::<1>(ours, theirs, label, context);
        check_export::<32>(ours, theirs, label, context);
        check_export::<33>(ours, theirs, label, context);
        check_export::<1_000>(ours, theirs, label, context);
    }
    check_export_bounds(ours);
    let mut log = log.0.lock().unwrap().clone();
    let own = &mut ours.crypto.machine_mut().log;
    log.sort();
    own.sort();
    assert_eq!(log.len(), 5);
    assert_eq!(*own, log);
}

fn check_export<const LEN: usize>(ours: &Ours, theirs: &Theirs, label: &[u8], context: &[u8]) {
    let made = theirs
        .connection
        .export_keying_material([0; LEN], label, Some(context));
    assert_eq!(ours.export::<LEN>(label, context), made.unwrap());
}

/// RFC 8446, section 7.1 bounds labels, RFC 5869, section 2.3 what is made.
fn check_export_bounds(ours: &Ours) {
    let longest = 255 * ours.connection.suite().hash().digest_len();
    let export = |label: &[u8], len: usize| {
        let mut out = vec![7; len];
        let made = ours
            .handshake
            .export(&ours.connection, label, b"", &mut out);
        let mut later = vec![7; len];
        let made_later = ours.peer.export::<Sha2>(label, b"", &mut later);
        assert_eq!((made, &out), (made_later, &later));
        assert!(made || out.iter().all(|byte| *byte == 7), "written to");
        made
    };
    assert!(export(&[b'x'; 249], 32));
    assert!(!export(&[b'x'; 250], 32));
    assert!(!export(&[b'x'; 1_000], 32));
    assert!(!export(b"", 32));
    assert!(export(b"x", longest));
    assert!(!export(b"x", longest + 1));
    assert!(export(b"x", 0));
}

#[test]
fn as_rustls_makes_them() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    for code in [
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
    ] {
        let provider = Theirs::provider(
            &[suite(code)],
            &[usockets_tests_tls::group(rustls::NamedGroup::X25519)],
        );
        let log = Arc::new(Log::default());
        let mut client = Theirs::client_config(provider.clone(), &authority);
        client.key_log = log.clone();
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        let mut ours = Ours::server(1);
        ours.crypto.machine_mut().log.reserve(8);
        pump(&mut ours, &config, &mut theirs, usize::MAX);
        check(&mut ours, &mut theirs, &log);

        let log = Arc::new(Log::default());
        let mut server = Theirs::server_config(provider, &leaf);
        server.key_log = log.clone();
        let mut theirs = Theirs::server(Arc::new(server));
        let config = Config::client(ClientConfig::new(&roots));
        let mut ours = Ours::client(1, &config, "localhost");
        // The log counts from the start.
        ours.crypto.machine_mut().log.reserve(8);
        pump(&mut ours, &config, &mut theirs, usize::MAX);
        check(&mut ours, &mut theirs, &log);
    }
}
