//! Handshake messages that are longer than usual: as the program gives room.

use std::sync::Arc;

use rustls::DistinguishedName;
use rustls::server::WebPkiClientVerifier;
use usockets::tls::{
    Alert, CertificateError, ClientAuth, ClientConfig, Config, IdentityError, MESSAGE_MAX,
    ServerConfig, WithRoom,
};
use usockets_tests_tls::puppet::{HANDSHAKE, Puppet, certificate, message, record};
use usockets_tests_tls::{Authority, Broken, Crypto, Kind, Leaf, Machine, Ours, Theirs, pump};

/// A server's certificate with so many certificates behind it that nobody needs.
fn long(authority: &Authority, count: usize) -> Leaf {
    let mut leaf = authority.issue(Kind::P256, &["localhost"]);
    let others = (0..count).map(|_| authority.issue(Kind::P256, &["other"]).chain[0].clone());
    leaf.chain.extend(others);
    leaf
}

#[test]
fn a_client_takes_as_long_a_chain_as_it_has_room_for() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    for (count, opens) in [(40, true), (120, false)] {
        let leaf = long(&authority, count);
        let bytes: usize = leaf.chain.iter().map(Vec::len).sum();
        assert_eq!(bytes > 32_768, !opens);
        let provider = Theirs::whole_provider();
        let server = Arc::new(Theirs::server_config(provider, &leaf));

        let mut theirs = Theirs::server(server.clone());
        let crypto = WithRoom::<_, 32_768>::new(Crypto::new(Machine::new(1)));
        let mut roomy = Ours::client_of(crypto, &config, "localhost", Vec::new());
        pump(&mut roomy, &config, &mut theirs, 1_000);
        assert_eq!(roomy.connection.is_open(), opens, "{:?}", roomy.broken);

        // With the usual room neither is taken, and it is told why.
        let mut theirs = Theirs::server(server);
        let mut usual = Ours::client(1, &config, "localhost");
        pump(&mut usual, &config, &mut theirs, 1_000);
        assert_eq!(usual.broken, Some(Broken::Sent(Alert::DECODE_ERROR)));
        let error = usual.connection.certificate_error();
        assert_eq!(error, Some(CertificateError::TooLong));
        assert!(usual.connection.lacks_room());
    }
}

/// The same of a server, whose clients show long chains.
#[test]
fn a_server_takes_as_long_a_chain_as_it_has_room_for() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let policy = ClientAuth::Required(&roots);
    let identities = [leaf.identity(&slices).client_auth(policy)];
    let config = Config::server(ServerConfig::new(&identities));
    for (count, opens) in [(40, true), (120, false)] {
        let person = long(&authority, count);
        let client = rustls::ClientConfig::builder_with_provider(Theirs::whole_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.root_store())
            .with_client_auth_cert(person.rustls_chain(), person.rustls_key())
            .unwrap();
        let client = Arc::new(client);
        let mut theirs = Theirs::client(client.clone(), "localhost");
        let crypto = WithRoom::<_, 32_768>::new(Crypto::new(Machine::new(1)));
        let mut roomy = Ours::server_with(crypto);
        pump(&mut roomy, &config, &mut theirs, 1_000);
        assert_eq!(roomy.connection.is_open(), opens, "{:?}", roomy.broken);

        let mut theirs = Theirs::client(client, "localhost");
        let mut usual = Ours::server(1);
        pump(&mut usual, &config, &mut theirs, 1_000);
        assert_eq!(usual.broken, Some(Broken::Sent(Alert::DECODE_ERROR)));
        let error = usual.connection.certificate_error();
        assert_eq!(error, Some(CertificateError::TooLong));
        assert!(usual.connection.lacks_room());
    }
}

/// A device whose peers are known has less.
#[test]
fn a_small_room_is_enough_for_a_short_chain() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    let small = || WithRoom::<_, 2_048>::new(Crypto::new(Machine::new(2)));
    let client = Theirs::client_config(Theirs::whole_provider(), &authority);
    let mut theirs = Theirs::client(Arc::new(client), "localhost");
    let mut ours = Ours::server_with(small());
    pump(&mut ours, &config, &mut theirs, 1_000);
    assert!(ours.connection.is_open() && theirs.is_open());
    // What does not fit is found when the identity is checked.
    let between = authority.issue_authority(Kind::P256, true);
    let between = between.issue_authority(Kind::P256, true);
    let leaf = between.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identity = leaf.identity(&slices);
    assert_eq!(identity.check(&small(), &[]), Err(IdentityError::TooLong));
    let usual = Crypto::new(Machine::new(2));
    assert_eq!(identity.check(&usual, &[]), Ok(()));
}

/// What a server asks for may be long too, if it names many authorities: that is not called its
/// certificates.
#[test]
fn a_client_tells_that_a_request_is_too_long() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    for (count, opens) in [(1, true), (5, false)] {
        let provider = Theirs::whole_provider();
        let trusted = Arc::new(authority.root_store());
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider.clone())
            .allow_unauthenticated()
            .add_root_hint_subjects((0..count).map(|_| DistinguishedName::in_sequence(&[7; 2_000])))
            .build()
            .unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(leaf.rustls_chain(), leaf.rustls_key())
            .unwrap();
        let mut theirs = Theirs::server(Arc::new(server));
        let mut ours = Ours::client(1, &config, "localhost");
        pump(&mut ours, &config, &mut theirs, 1_000);
        assert_eq!(ours.connection.is_open(), opens, "{:?}", ours.broken);
        assert_eq!(ours.connection.lacks_room(), !opens);
        assert_eq!(ours.connection.certificate_error(), None);
        let alert = (!opens).then_some(Broken::Sent(Alert::DECODE_ERROR));
        assert_eq!(ours.broken, alert);
    }
}

/// A message is taken that has as much room as there is, and not a byte more.
#[test]
fn a_message_fills_the_room() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    for more in [0, 1] {
        let mut client = Ours::client(1, &config, "localhost");
        let (mut puppet, answer) = Puppet::server(&core::mem::take(&mut client.output));
        client.feed(&config, &answer);
        client.feed(&config, &puppet.seal(&message(8, &[0, 0])));
        let len = MESSAGE_MAX + more;
        let around = certificate(&[Vec::new()]).len();
        let long = certificate(&[vec![7; len - around]]);
        assert_eq!(long.len(), len);
        for piece in long.chunks(1_000) {
            client.feed(&config, &puppet.seal(piece));
        }
        // It has been read, and is none.
        let expected = match more {
            0 => (Alert::BAD_CERTIFICATE, CertificateError::Malformed),
            _ => (Alert::DECODE_ERROR, CertificateError::TooLong),
        };
        assert_eq!(client.broken, Some(Broken::Sent(expected.0)));
        let connection = &client.connection;
        assert_eq!(connection.certificate_error(), Some(expected.1));
        assert_eq!(connection.lacks_room(), more > 0);
    }
}

/// Random bytes, the clock and all else are those of the cryptography that is given more room.
#[test]
fn more_room_changes_nothing_else() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    let hellos = [1, 2].map(|seed| {
        let crypto = WithRoom::<_, 32_768>::new(Crypto::new(Machine::new(seed)));
        let roomy = Ours::client_of(crypto, &config, "localhost", Vec::new());
        assert_eq!(
            roomy.output,
            Ours::client(seed, &config, "localhost").output
        );
        roomy.output
    });
    assert_ne!(hellos[0], hellos[1]);
}

/// A record in the clear may have 16,384 bytes (RFC 8446, section 5.1), of a message that is longer
/// than there is room for.
#[test]
fn a_record_of_the_greatest_length_is_read() {
    let config = Config::server(ServerConfig::new(&[]));
    for (len, alert) in [
        (16_384, Alert::DECODE_ERROR),
        (16_385, Alert::RECORD_OVERFLOW),
    ] {
        let mut server = Ours::server(1);
        let mut hello = message(1, &[0; 30_000]);
        hello.truncate(len);
        server.feed(&config, &record(HANDSHAKE, &hello));
        assert_eq!(server.broken, Some(Broken::Sent(alert)), "{len}");
    }
}
