//! Tickets stand in for certificates for a while only, and for the same server only.

use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SerialNumber, date_time_ymd};
use usockets::tls::{
    CertificateError, ClientConfig, Config, OcspPolicy, RevocationList, ServerConfig, Session,
    TicketKeys, Tls, TlsMemory, TrustAnchor,
};
use usockets::{Duration, Endpoint, Loop, Platform as _, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::ocsp::Response;
use usockets_tests_tls::{
    Authority, Crypto, Echo, Kind, Machine, NOW, Ours, Part, Theirs, pump, settle,
};

const DAY: u64 = 86_400;
const WEEK: u32 = 604_800;

fn places() -> Vec<Session> {
    vec![Session::EMPTY]
}

/// Connects a client of ours at `now`, which is the server's time as well unless it is given.
fn connect(
    sessions: Vec<Session>,
    (now, server_now): (u64, u64),
    client_config: &Config<'_>,
    server_config: &Config<'_>,
) -> Ours {
    let mut client = Ours::client_with(now, now, client_config, "localhost", sessions);
    let mut server = Ours::server_at(now, server_now);
    settle(&mut client, client_config, &mut server, server_config);
    assert_eq!(
        client.connection.is_resumed(),
        server.connection.is_resumed()
    );
    client
}

/// Each ticket is young, but the certificate was shown more than a week ago.
#[test]
fn a_client_wants_to_see_certificates_once_a_week() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], WEEK);
    let roots = authority.anchors();
    let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let client = Config::client(ClientConfig::new(&roots));
    // The server's clock stands, so that only the client counts the days.
    let mut sessions = places();
    for (day, is_resumed) in [
        (0, false),
        (3, true),
        (6, true),
        (7, false),
        (10, true),
        (13, true),
        (14, false),
    ] {
        let ours = connect(sessions, (NOW + day * DAY, NOW), &client, &server);
        assert!(ours.connection.is_open());
        assert_eq!(ours.connection.is_resumed(), is_resumed, "day {day}");
        sessions = ours.sessions;
    }
}

/// The same of the server, whose clients' clocks may say anything.
#[test]
fn a_server_shows_certificates_once_a_week() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], WEEK);
    let config = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let client = Theirs::client_config(Theirs::whole_provider(), &authority);
    let client = Arc::new(client);
    for (day, is_resumed) in [(0, false), (3, true), (6, true), (7, false), (13, true)] {
        let mut theirs = Theirs::client(client.clone(), "localhost");
        let mut ours = Ours::server_at(day, NOW + day * DAY);
        pump(&mut ours, &config, &mut theirs, usize::MAX);
        assert!(ours.connection.is_open());
        assert_eq!(ours.connection.is_resumed(), is_resumed, "day {day}");
        theirs.send(b"ping");
        pump(&mut ours, &config, &mut theirs, usize::MAX);
    }
}

/// A certificate of three days is not trusted for a week.
#[test]
fn with_the_certificates_validity() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.not_after = date_time_ymd(2027, 1, 18);
    });
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], WEEK);
    let roots = authority.anchors();
    let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let client = Config::client(ClientConfig::new(&roots));
    let first = connect(places(), (NOW, NOW), &client, &server);
    let at = NOW + 2 * DAY;
    let second = connect(first.sessions, (at, at), &client, &server);
    assert!(second.connection.is_resumed());
    let at = NOW + 4 * DAY;
    let third = connect(second.sessions, (at, at), &client, &server);
    assert!(!third.connection.is_resumed() && !third.connection.is_open());
    let error = third.connection.certificate_error();
    assert_eq!(error, Some(CertificateError::Expired));
}

/// Who trusts other authorities than before has to see the certificates.
#[test]
fn with_the_authorities() {
    let (authority, other) = (Authority::new(Kind::P256), Authority::new(Kind::P256));
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let roots = authority.anchors();
    let both: Vec<TrustAnchor<'static>> = [authority.anchors(), other.anchors()].concat();
    let before = Config::client(ClientConfig::new(&both));
    let after = Config::client(ClientConfig::new(&roots));
    let others_roots = other.anchors();
    let others = Config::client(ClientConfig::new(&others_roots));
    let first = connect(places(), (NOW, NOW), &before, &server);
    let second = connect(first.sessions, (NOW, NOW), &before, &server);
    assert!(second.connection.is_resumed());
    let third = connect(second.sessions, (NOW, NOW), &after, &server);
    assert!(third.connection.is_open() && !third.connection.is_resumed());
    // The same list elsewhere in memory is the same.
    let again: Vec<TrustAnchor<'static>> = authority.anchors();
    let again = Config::client(ClientConfig::new(&again));
    let fourth = connect(third.sessions, (NOW, NOW), &again, &server);
    assert!(fourth.connection.is_resumed());
    let fifth = connect(fourth.sessions, (NOW, NOW), &others, &server);
    let error = fifth.connection.certificate_error();
    assert_eq!(error, Some(CertificateError::UnknownIssuer));
}

/// Who has another list of revoked certificates than before, or asks for OCSP's word, has to see
/// the certificates.
#[test]
fn with_what_revokes() {
    let authority = Authority::with_lists(Kind::P256);
    let leaf = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.serial_number = Some(SerialNumber::from(vec![77]));
    });
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let roots = authority.anchors();
    let trust = ClientConfig::new(&roots);
    let documents = [&[1][..], &[1], &[1, 2], &[1, 77]].map(|serials| {
        // Signatures are drawn, so that lists of the same differ.
        authority.issue_list(serials, |_| {})
    });
    let lists: Vec<_> = documents
        .iter()
        .map(|list| RevocationList::read::<Crypto>(list, &roots[0]).unwrap())
        .collect();
    let none = Config::client(trust);
    let with = |at: usize| Config::client(trust.revoked(&lists[at..=at]));
    let mut sessions = places();
    for (what, config, is_resumed) in [
        ("none", none, false),
        ("still none", none, true),
        ("the first list", with(0), false),
        ("the same", with(0), true),
        ("a list of the same", with(1), false),
        ("a longer list", with(2), false),
        ("none again", none, false),
        (
            "OCSP",
            Config::client(trust.ocsp(OcspPolicy::Requested)),
            false,
        ),
        ("none after that", none, false),
    ] {
        let ours = connect(sessions, (NOW, NOW), &config, &server);
        assert!(ours.connection.is_open(), "{what}");
        assert_eq!(ours.connection.is_resumed(), is_resumed, "{what}");
        sessions = ours.sessions;
    }
    // Now the server's own certificate is on it.
    let last = connect(sessions, (NOW, NOW), &with(3), &server);
    let error = last.connection.certificate_error();
    assert_eq!(error, Some(CertificateError::Revoked));
}

/// A list that is out of date vouches for nobody, nor does a ticket of when it was not.
#[test]
fn with_the_lists_time() {
    let authority = Authority::with_lists(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], WEEK);
    let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
    let roots = authority.anchors();
    // NOW is 2027-01-15, 08:00.
    let list = authority.issue_list(&[1], |params| {
        params.next_update = date_time_ymd(2_027, 1, 18);
    });
    let lists = [RevocationList::read::<Crypto>(&list, &roots[0]).unwrap()];
    let client = Config::client(ClientConfig::new(&roots).revoked(&lists));
    let mut sessions = places();
    for (day, is_resumed) in [(0, false), (1, true), (2, true)] {
        let at = NOW + day * DAY;
        let ours = connect(sessions, (at, at), &client, &server);
        assert_eq!(ours.connection.is_resumed(), is_resumed, "day {day}");
        sessions = ours.sessions;
    }
    let at = NOW + 3 * DAY;
    let last = connect(sessions, (at, at), &client, &server);
    assert!(!last.connection.is_open());
    let error = last.connection.certificate_error();
    assert_eq!(error, Some(CertificateError::StaleList));
}

/// What OCSP has said counts until its next update, and as long as the certificate of who has said
/// it; and no longer with a ticket.
#[test]
fn with_the_time_of_what_ocsp_says() {
    const SERIAL: u8 = 77;
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.serial_number = Some(SerialNumber::from(vec![SERIAL]));
    });
    let slices = leaf.slices();
    let responder = authority.issue_with(Kind::P256, &["ocsp.example"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_after = date_time_ymd(2_027, 1, 17);
    });
    let until = |day| Response {
        next_update: Some(day),
        ..Response::good(SERIAL)
    };
    let delegated = Response {
        responder: Some(&responder),
        ..until("20270120000000Z")
    };
    let keys = TicketKeys::new([1; 32], WEEK);
    let roots = authority.anchors();
    // NOW is 2027-01-15, 08:00.
    for (response, days) in [(until("20270118000000Z"), 3), (delegated, 2)] {
        let response = response.sign(&authority);
        let identities = [leaf.identity(&slices).ocsp(&response)];
        let server = Config::server(ServerConfig::new(&identities).tickets(&keys));
        let policy = OcspPolicy::Required;
        let client = Config::client(ClientConfig::new(&roots).ocsp(policy));
        let mut sessions = places();
        for day in 0..days {
            let at = NOW + day * DAY;
            let ours = connect(sessions, (at, at), &client, &server);
            assert!(ours.connection.is_open());
            assert_eq!(ours.connection.is_resumed(), day != 0, "day {day}");
            sessions = ours.sessions;
        }
        let at = NOW + days * DAY;
        let last = connect(sessions, (at, at), &client, &server);
        let error = last.connection.certificate_error();
        assert_eq!(error, Some(CertificateError::Status));
    }
}

/// A secret that has been replaced is good for a while, if the program says so.
#[test]
fn the_previous_secret() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let client = Config::client(ClientConfig::new(&roots));
    let keys = [
        TicketKeys::new([1; 32], 1_000),
        TicketKeys::new([2; 32], 1_000).with_previous([1; 32]),
        TicketKeys::new([3; 32], 1_000),
    ];
    let server = |keys| Config::server(ServerConfig::new(&identities).tickets(keys));
    let [old, new, newest] = [server(&keys[0]), server(&keys[1]), server(&keys[2])];
    let ours = connect(places(), (NOW, NOW), &client, &old);
    // Another process has the same secret.
    let same = TicketKeys::new([1; 32], 1_000);
    let ours = connect(ours.sessions, (NOW, NOW), &client, &server(&same));
    assert!(ours.connection.is_resumed());
    let ours = connect(ours.sessions, (NOW, NOW), &client, &new);
    assert!(ours.connection.is_resumed());
    // What it has got now is of the new one, which an old process does not know.
    let ours = connect(ours.sessions, (NOW, NOW), &client, &old);
    assert!(!ours.connection.is_resumed());
    let ours = connect(ours.sessions, (NOW, NOW), &client, &newest);
    assert!(!ours.connection.is_resumed());
    let ours = connect(ours.sessions, (NOW, NOW), &client, &newest);
    assert!(ours.connection.is_resumed());
}

/// Another port may be another server's, even if the name is the same; and who connects by another
/// number of a configuration wants its sessions apart.
#[test]
fn with_the_port_and_the_configuration() {
    type Layer<'s> = Tls<'s, Linux, Crypto>;
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let keys = TicketKeys::new([1; 32], 1_000);
    let roots = authority.anchors();
    let server = ServerConfig::new(&identities).tickets(&keys);
    let config = || Config::new(server, ClientConfig::new(&roots));
    let configs = [config(), config()];
    let mut memory = Box::new(TlsMemory::<Crypto, 8, 4, 4, 4>::NEW);
    let mut places = [Session::EMPTY, Session::EMPTY];
    let crypto = Crypto::new(Machine::new(1));
    let layer = Tls::with_configs(Linux::new().unwrap(), crypto, &configs, &mut *memory);
    let layer = layer.with_sessions(&mut places);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, 8>::new());
    let mut buffer = vec![0; 4_096];
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let addrs = [(); 2].map(|()| {
        let listener = the_loop.net().listen(Endpoint::tls(any, None), Part::Echo);
        the_loop.net().listening_addr(listener.unwrap()).unwrap()
    });
    let mut echo = Echo::new(100);
    let start = std::time::Instant::now();
    for (number, (addr, config, resumed)) in [
        (0, 0, 0),
        (0, 0, 2),
        (1, 0, 2),
        (1, 0, 4),
        (0, 0, 6),
        (0, 1, 6),
        (0, 1, 8),
    ]
    .into_iter()
    .enumerate()
    {
        let to = Endpoint::tls(addrs[addr], Some("localhost")).config(config);
        the_loop.net().connect(to, Part::Ask).unwrap();
        while echo.closed.len() < 2 * (number + 1) {
            assert!(start.elapsed() < Duration::from_secs(10), "too slow");
            let now = the_loop.platform().now();
            let next = now.saturating_add(Duration::from_millis(20));
            the_loop.poll(&mut echo, Some(next)).unwrap();
        }
        assert_eq!(the_loop.platform().handshakes().resumed, resumed);
    }
}
