//! Session tickets.

use std::sync::Arc;

use rustls::NamedGroup::{X25519, secp256r1, secp521r1};
use usockets::tls::{ClientAuth, ClientConfig, Config, ServerConfig, Session, TicketKeys};
use usockets_tests_tls::puppet::Puppet;
use usockets_tests_tls::{
    Authority, Broken, Kind, Leaf, NOW, Ours, Theirs, group, pump, pump_pair, settle, suite,
};

/// A client of rustls that keeps tickets.
fn client_config(authority: &Authority, person: &Leaf) -> Arc<rustls::ClientConfig> {
    let config = rustls::ClientConfig::builder_with_provider(Theirs::whole_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
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
    // The shortest lifetime is a second.
    let client = client_config(&authority, &person);
    let keys = TicketKeys::new([3; 32], 0);
    let short = Config::server(ServerConfig::new(&identities).tickets(&keys));
    assert!(!connect(&short, &client, "a.example", NOW));
    assert!(connect(&short, &client, "a.example", NOW + 1));
    assert!(!connect(&short, &client, "a.example", NOW + 10));
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
fn clients_that_must_show_a_certificate_are_given_no_ticket() {
    let authority = Authority::new(Kind::P256);
    let person = authority.issue(Kind::P256, &["person"]);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let slices = leaf.slices();
    let keys = TicketKeys::new([1; 32], 1_000);
    let client = client_config(&authority, &person);
    for (policy, tickets) in [
        (ClientAuth::Off, 1),
        (ClientAuth::Requested(&roots), 0),
        (ClientAuth::Required(&roots), 0),
    ] {
        let identities = [leaf.identity(&slices).client_auth(policy)];
        let config = Config::server(ServerConfig::new(&identities).tickets(&keys));
        let mut theirs = Theirs::client(client.clone(), "a.example");
        let mut ours = Ours::server_at(1, NOW);
        pump(&mut ours, &config, &mut theirs, usize::MAX);
        assert!(ours.connection.is_open(), "{:?}", ours.broken);
        let rustls::Connection::Client(connection) = &theirs.connection else {
            panic!("it is a client");
        };
        assert_eq!(connection.tls13_tickets_received(), tickets);
    }
}

#[test]
fn after_a_retry_too() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let config = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let groups = [group(secp521r1), group(X25519)];
    for code in [
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
    ] {
        let provider = Theirs::provider(&[suite(code)], &groups);
        let client = Theirs::client_config(provider, &authority);
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

/// Connects a client of ours that has `sessions`; returns it when the server has answered data.
fn connect_client(
    sessions: Vec<Session>,
    now: u64,
    config: &Config<'_>,
    name: &str,
    server: &Arc<rustls::ServerConfig>,
) -> Ours {
    let mut ours = Ours::client_with(now, now, config, name, sessions);
    let mut theirs = Theirs::server(server.clone());
    pump(&mut ours, config, &mut theirs, 11);
    assert!(
        ours.connection.is_open(),
        "{:?} {:?}",
        ours.broken,
        theirs.error
    );
    ours.send(b"ping");
    theirs.send(b"pong");
    pump(&mut ours, config, &mut theirs, 11);
    assert_eq!(
        (&ours.data[..], &theirs.data[..]),
        (&b"pong"[..], &b"ping"[..])
    );
    let kind = theirs.connection.handshake_kind().unwrap();
    let is_resumed = kind == rustls::HandshakeKind::Resumed;
    assert_eq!(is_resumed, ours.connection.is_resumed());
    ours
}

fn places(count: usize) -> Vec<Session> {
    (0..count).map(|_| Session::EMPTY).collect()
}

#[test]
fn our_client_resumes_with_rustls() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["a.example", "b.example"]);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    for code in [
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
    ] {
        for groups in [&[X25519][..], &[secp256r1]] {
            let groups: Vec<_> = groups.iter().map(|code| group(*code)).collect();
            let provider = Theirs::provider(&[suite(code)], &groups);
            let server = Theirs::server_config(provider, &leaf);
            let server = Arc::new(server);
            let connect =
                |sessions, now, name| connect_client(sessions, now, &config, name, &server);
            // Without places nothing is kept.
            let ours = connect(places(0), NOW, "a.example");
            assert!(
                !connect(ours.sessions, NOW, "a.example")
                    .connection
                    .is_resumed()
            );

            let ours = connect(places(2), NOW, "a.example");
            assert!(!ours.connection.is_resumed());
            let ours = connect(ours.sessions, NOW + 5, "A.Example");
            assert!(ours.connection.is_resumed());
            let ours = connect(ours.sessions, NOW + 9, "b.example");
            assert!(!ours.connection.is_resumed());
            // Both have a place.
            let ours = connect(ours.sessions, NOW + 9, "a.example");
            assert!(ours.connection.is_resumed());
            let ours = connect(ours.sessions, NOW + 9, "b.example");
            assert!(ours.connection.is_resumed());
            // One place for two names: the younger has it.
            let mut sessions = ours.sessions;
            sessions.truncate(1);
            let ours = connect(sessions, NOW + 10, "b.example");
            let ours = connect(ours.sessions, NOW + 11, "a.example");
            let ours = connect(ours.sessions, NOW + 12, "a.example");
            assert!(ours.connection.is_resumed());
            // Too old, and cleared.
            let ours = connect(ours.sessions, NOW + 700_000, "a.example");
            assert!(!ours.connection.is_resumed());
            let mut sessions = ours.sessions;
            sessions.iter_mut().for_each(Session::clear);
            let ours = connect(sessions, NOW + 700_000, "a.example");
            assert!(!ours.connection.is_resumed());
        }
    }
}

#[test]
fn our_client_resumes_with_our_server() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let keys = TicketKeys::new([1; 32], 1_000);
    let with = Config::new(
        ServerConfig::new(&identities).tickets(&keys),
        ClientConfig::new(&roots),
    );
    let other_keys = TicketKeys::new([2; 32], 1_000);
    let other = Config::server(ServerConfig::new(&identities).tickets(&other_keys));
    let mut sessions = places(1);
    // The ticket of one server is no use at the other; each gives its own.
    for (server_config, resumed) in [
        (&with, false),
        (&with, true),
        (&with, true),
        (&other, false),
        (&other, true),
        (&with, false),
    ] {
        let mut client = Ours::client_with(1, NOW, &with, "a.example", sessions);
        let mut server = Ours::server(2);
        pump_pair(&mut client, &with, &mut server, server_config, 100);
        assert!(client.connection.is_open() && server.connection.is_open());
        assert_eq!(client.connection.is_resumed(), resumed);
        assert_eq!(server.connection.is_resumed(), resumed);
        sessions = client.sessions;
    }
    // A ticket whose binder is wrong: the key it stands for is not the client's.
    let mut client = Ours::client_with(1, NOW, &with, "a.example", sessions);
    *client.output.last_mut().unwrap() ^= 1;
    let mut server = Ours::server(2);
    settle(&mut client, &with, &mut server, &with);
    let broken = Some(Broken::Sent(usockets::tls::Alert::DECRYPT_ERROR));
    assert_eq!(server.broken, broken);
}

#[test]
fn a_server_cannot_resume_what_was_not_offered() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    let mut client = Ours::client_with(1, NOW, &config, "a.example", places(1));
    let hello = core::mem::take(&mut client.output);
    let (_, mut answer) = Puppet::server(&hello);
    // The extension pre_shared_key, with the first key, and the lengths made to fit.
    answer.extend_from_slice(&[0, 41, 0, 2, 0, 0]);
    for at in [4, 8, 5 + 4 + 2 + 32 + 33 + 3 + 1] {
        answer[at] += 6;
    }
    client.feed(&config, &answer);
    let broken = Some(Broken::Sent(usockets::tls::Alert::UNSUPPORTED_EXTENSION));
    assert_eq!(client.broken, broken);
}

/// A client's handshake with places that it shares with others, which come back.
fn share_places(client: &mut Ours, config: &Config<'_>, sessions: &mut Vec<Session>) {
    core::mem::swap(&mut client.sessions, sessions);
    let mut server = Ours::server(2);
    settle(client, config, &mut server, config);
    assert_eq!(client.broken, None);
    assert!(client.connection.is_open() && server.connection.is_open());
    assert_eq!(
        client.connection.is_resumed(),
        server.connection.is_resumed()
    );
    core::mem::swap(&mut client.sessions, sessions);
}

/// A client that has written its hello, and the places it shares with others.
fn start(seed: u64, config: &Config<'_>, name: &str, sessions: &mut Vec<Session>) -> Ours {
    let taken = core::mem::take(sessions);
    let mut client = Ours::client_with(seed, NOW, config, name, taken);
    *sessions = core::mem::take(&mut client.sessions);
    client
}

#[test]
fn connections_at_once_share_places() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["a.example", "b.example"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let keys = TicketKeys::new([1; 32], 1_000);
    let config = Config::new(
        ServerConfig::new(&identities).tickets(&keys),
        ClientConfig::new(&roots),
    );
    // Whether each of several, whose hellos all go out before any answer, resumes.
    let resume = |names: &[&str], sessions: &mut Vec<Session>| -> Vec<bool> {
        let mut clients: Vec<Ours> = (10..)
            .zip(names)
            .map(|(seed, name)| start(seed, &config, name, sessions))
            .collect();
        let shake = |client: &mut Ours| {
            share_places(client, &config, sessions);
            client.connection.is_resumed()
        };
        clients.iter_mut().map(shake).collect()
    };
    for count in [1, 2] {
        let mut sessions = places(count);
        assert_eq!(resume(&["a.example"], &mut sessions), [false]);
        // A ticket is offered once.
        let same = ["a.example"; 3];
        assert_eq!(resume(&same, &mut sessions), [true, false, false]);
        assert_eq!(resume(&same[..1], &mut sessions), [true]);
    }
    // The other has taken the place when the ticket on offer is accepted.
    let mut sessions = places(1);
    assert_eq!(resume(&["a.example"], &mut sessions), [false]);
    let mut offers = start(3, &config, "a.example", &mut sessions);
    assert_eq!(resume(&["b.example"], &mut sessions), [false]);
    share_places(&mut offers, &config, &mut sessions);
    assert!(offers.connection.is_resumed());
}
