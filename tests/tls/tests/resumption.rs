//! Session tickets.

use std::sync::Arc;

use usockets::tls::{ClientAuth, Config, ServerConfig, TicketKeys};
use usockets_tests_tls::{Authority, Kind, Leaf, NOW, Ours, Theirs, pump};

/// A client of rustls that keeps tickets.
fn client_config(authority: &Authority, person: &Leaf) -> Arc<rustls::ClientConfig> {
    let config = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(authority.root_store())
        .with_client_auth_cert(person.rustls_chain(), person.rustls_key())
        .unwrap();
    Arc::new(config)
}

/// Whether a connection at `now` was resumed, on both sides.
fn connect(config: &Config<'_>, client: &Arc<rustls::ClientConfig>, name: &str, now: u64) -> bool {
    let mut theirs = Theirs::client(client.clone(), name);
    let mut ours = Ours::server_at(now, now);
    pump(&mut ours, config, &mut theirs, usize::MAX);
    assert!(
        ours.connection.is_open(),
        "{:?} {:?}",
        ours.broken,
        theirs.error
    );
    theirs.send(b"ping");
    ours.send(b"pong");
    pump(&mut ours, config, &mut theirs, usize::MAX);
    assert_eq!(
        (&ours.data[..], &theirs.data[..]),
        (&b"ping"[..], &b"pong"[..])
    );
    let resumed = ours.connection.is_resumed();
    let kind = theirs.connection.handshake_kind().unwrap();
    assert_eq!(kind == rustls::HandshakeKind::Resumed, resumed);
    resumed
}

#[test]
fn a_ticket_resumes_for_a_lifetime_and_a_name() {
    let authority = Authority::new(Kind::P256);
    let person = authority.issue(Kind::P256, &["person"]);
    let leaf = authority.issue(Kind::P256, &["a.example", "b.example"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let with = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let without = Config::server(ServerConfig::new(&identities));
    let client = client_config(&authority, &person);
    assert!(!connect(&with, &client, "a.example", NOW));
    for _ in 0..3 {
        assert!(connect(&with, &client, "a.example", NOW + 1));
    }
    assert!(!connect(&with, &client, "b.example", NOW + 1));
    assert!(connect(&with, &client, "a.example", NOW + 1_000));
    assert!(!connect(&with, &client, "a.example", NOW + 2_001));
    // A server that knows no tickets, and one with other keys.
    assert!(!connect(&without, &client, "a.example", NOW));
    let client = client_config(&authority, &person);
    assert!(!connect(&with, &client, "a.example", NOW));
    let keys = TicketKeys::new([2; 32], 1_000);
    let other = Config::server(ServerConfig::new(&identities).tickets(&keys));
    assert!(!connect(&other, &client, "a.example", NOW));
    assert!(connect(&other, &client, "a.example", NOW));
}

#[test]
fn clients_that_must_show_a_certificate_are_not_resumed() {
    let authority = Authority::new(Kind::P256);
    let person = authority.issue(Kind::P256, &["person"]);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let slices = leaf.slices();
    let keys = TicketKeys::new([1; 32], 1_000);
    let open = [leaf.identity(&slices)];
    let needs = [leaf
        .identity(&slices)
        .client_auth(ClientAuth::Required(&roots))];
    let open = Config::server(ServerConfig::new(&open).tickets(&keys));
    let needs = Config::server(ServerConfig::new(&needs).tickets(&keys));
    let client = client_config(&authority, &person);
    for _ in 0..3 {
        assert!(!connect(&needs, &client, "a.example", NOW));
    }
    assert!(!connect(&open, &client, "a.example", NOW));
    assert!(connect(&open, &client, "a.example", NOW));
    // The ticket of the open server is good for nothing at the other.
    assert!(!connect(&needs, &client, "a.example", NOW));
}

#[test]
fn after_a_retry_too() {
    use rustls::NamedGroup::{X25519, secp384r1};
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let config = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let groups = [
        usockets_tests_tls::group(secp384r1),
        usockets_tests_tls::group(X25519),
    ];
    for suite in [
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
    ] {
        let provider = Theirs::provider(&[usockets_tests_tls::suite(suite)], &groups);
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.root_store())
            .with_no_client_auth();
        let client = Arc::new(client);
        let resumed = |theirs: &Theirs| {
            theirs.connection.handshake_kind().unwrap() == rustls::HandshakeKind::Resumed
        };
        for round in 0..3 {
            let mut theirs = Theirs::client(client.clone(), "a.example");
            let mut ours = Ours::server(round);
            pump(&mut ours, &config, &mut theirs, 7);
            assert!(
                ours.connection.is_open(),
                "{:?} {:?}",
                ours.broken,
                theirs.error
            );
            assert_eq!(ours.connection.is_resumed(), round > 0);
            assert_eq!(resumed(&theirs), round > 0);
        }
    }
}
