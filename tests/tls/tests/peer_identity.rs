//! Who the peer is, past the handshake; and handshakes that fail, told with their reasons.

use std::collections::HashMap;
use std::sync::Mutex;

use rcgen::date_time_ymd;
use sha2::Digest as _;
use usockets::tls::{
    CertificateError, ClientAuth, ClientConfig, Config, Group, HandshakeFailure, HandshakeStats,
    ObserveHandshakes, Peer, ServerConfig, Session, Sha2, Suite, TicketKeys, Tls, TlsMemory,
};
use usockets::{
    Closed, Duration, Endpoint, Error, Handler, Loop, Opened, Platform as _, Socket, SocketId,
    Sockets,
};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Kind, Leaf, Machine};

const SOCKETS: usize = 8;

type Layer<'s> = Tls<'s, Linux, Crypto>;

/// What a socket knows of its peer when it opens.
#[derive(Debug, Default, PartialEq)]
struct Known {
    is_authenticated: bool,
    is_resumed: bool,
    certificate: Option<Vec<u8>>,
    fingerprint: Option<[u8; 32]>,
    names: Vec<String>,
    server_name: Vec<u8>,
    suite: Option<Suite>,
    group: Option<Group>,
    exported: Vec<u8>,
}

/// Asks who it is, and closes when both ends have.
#[derive(Default)]
struct Asks {
    /// The accepted ends' peers, and the connecting ends'.
    clients: Vec<Option<Known>>,
    servers: Vec<Option<Known>>,
    sockets: Vec<SocketId>,
    failed: Vec<Error>,
    closed: usize,
}

impl<'s> Handler<Layer<'s>> for Asks {
    type Ext = ();
    type Context = bool;

    fn on_open(&mut self, socket: &mut Socket<'_, Layer<'s>, Self>, opened: Opened<bool>) {
        let id = socket.id();
        let is_client = opened.context();
        let known = socket.net().platform_mut().peer(id).map(|peer| {
            let mut exported = vec![0; 100];
            assert!(peer.export::<Sha2>(b"EXPERIMENTAL test", b"context", &mut exported));
            Known {
                is_authenticated: peer.is_authenticated(),
                is_resumed: peer.is_resumed(),
                certificate: peer.certificate().map(<[u8]>::to_vec),
                fingerprint: peer.fingerprint().copied(),
                names: peer.dns_names().map(str::to_string).collect(),
                server_name: peer.server_name().to_vec(),
                suite: peer.suite(),
                group: peer.group(),
                exported,
            }
        });
        let peers = if is_client {
            &mut self.servers
        } else {
            &mut self.clients
        };
        peers.push(known);
        self.sockets.push(id);
    }

    fn on_data(&mut self, _: &mut Socket<'_, Layer<'s>, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_end(&mut self, socket: &mut Socket<'_, Layer<'s>, Self>, _: &mut ()) {
        socket.finish();
    }

    fn on_close(&mut self, _: &mut Socket<'_, Layer<'s>, Self>, _: &mut (), _: Closed) {
        self.closed += 1;
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, Layer<'s>, Self>, _: bool, error: Error) {
        self.failed.push(error);
    }
}

/// Keeps every failure.
#[derive(Default)]
struct Log(Mutex<Vec<HandshakeFailure>>);

impl ObserveHandshakes for Log {
    fn on_failure(&self, failure: &HandshakeFailure) {
        self.0.lock().unwrap().push(*failure);
    }
}

/// A layer over Linux with everything that the tests look at.
struct Stage {
    memory: Box<TlsMemory<Crypto, SOCKETS, 4, 4, 4>>,
    sessions: Vec<Session>,
    peers: Vec<Peer>,
}

impl Stage {
    fn new() -> Self {
        Self {
            memory: Box::new(TlsMemory::NEW),
            sessions: vec![Session::EMPTY],
            peers: (0..SOCKETS).map(|_| Peer::EMPTY).collect(),
        }
    }

    /// Connects `count` times, one after the other; returns what was seen and counted.
    fn run(mut self, config: &Config<'_>, count: usize) -> (Asks, HandshakeStats) {
        let layer = Tls::new(
            Linux::new().unwrap(),
            Crypto::new(Machine::new(1)),
            config,
            &mut *self.memory,
        )
        .with_sessions(&mut self.sessions)
        .with_peers(&mut self.peers);
        let mut sockets = Box::new(Sockets::<Layer<'_>, Asks, SOCKETS>::new());
        let mut buffer = vec![0; 4_096];
        let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let listener = the_loop.net().listen(Endpoint::tls(any, None), false);
        let addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
        let mut asks = Asks::default();
        let start = std::time::Instant::now();
        for number in 1..=count {
            let to = Endpoint::tls(addr, Some("localhost"));
            the_loop.net().connect(to, true).unwrap();
            let mut is_told = false;
            loop {
                assert!(start.elapsed() < Duration::from_secs(10), "too slow");
                let now = the_loop.platform().now();
                let next = now.saturating_add(Duration::from_millis(20));
                the_loop.poll(&mut asks, Some(next)).unwrap();
                let failures = the_loop.platform().handshakes();
                let has_failed = failures.alerts_sent + failures.alerts_received >= 2;
                if asks.clients.len() == number && asks.servers.len() == number && !is_told {
                    is_told = true;
                    for id in asks.sockets.drain(..) {
                        assert!(the_loop.platform().peer(id).is_some());
                        the_loop.net().finish(id);
                    }
                }
                let is_over = asks.closed == 2 * number || has_failed;
                if is_over && (asks.failed.len() + asks.servers.len() >= number) {
                    break;
                }
            }
        }
        let stats = the_loop.platform().handshakes();
        (asks, stats)
    }
}

fn fingerprint(leaf: &Leaf) -> Option<[u8; 32]> {
    Some(sha2::Sha256::digest(&leaf.chain[0]).into())
}

#[test]
fn both_ends_know_each_other() {
    let (authority, people) = (Authority::new(Kind::P256), Authority::new(Kind::P384));
    let server = authority.issue(Kind::P256, &["localhost", "*.example"]);
    let person = people.issue(Kind::Ed25519, &["person.example"]);
    let (roots, people_roots) = (authority.anchors(), people.anchors());
    let (server_slices, person_slices) = (server.slices(), person.slices());
    let policy = ClientAuth::Requested(&people_roots);
    let identities = [server.identity(&server_slices).client_auth(policy)];
    let own = person.identity(&person_slices);
    let config = Config::new(
        ServerConfig::new(&identities),
        ClientConfig::new(&roots).identity(&own),
    );
    let (asks, stats) = Stage::new().run(&config, 1);
    let expected = |leaf: &Leaf, names: &[&str], exported: &Known| Known {
        is_authenticated: true,
        is_resumed: false,
        certificate: Some(leaf.chain[0].clone()),
        fingerprint: fingerprint(leaf),
        names: names.iter().map(|name| (*name).to_string()).collect(),
        server_name: b"localhost".to_vec(),
        suite: Some(Suite::Aes128GcmSha256),
        group: Some(Group::X25519),
        exported: exported.exported.clone(),
    };
    let [Some(client)] = &asks.clients[..] else {
        panic!("one client")
    };
    let [Some(of_server)] = &asks.servers[..] else {
        panic!("one server")
    };
    assert_eq!(*client, expected(&person, &["person.example"], client));
    let names = ["localhost", "*.example"];
    assert_eq!(*of_server, expected(&server, &names, of_server));
    assert_eq!(client.exported, of_server.exported);
    assert!(client.exported.iter().any(|byte| *byte != 0));
    assert_eq!((stats.opened, stats.resumed), (2, 0));
    assert_eq!(
        (stats.alerts_sent, stats.alerts_received, stats.lost),
        (0, 0, 0)
    );
}

/// Nothing is made up of a client that shows no certificate, nor of one that resumes.
#[test]
fn of_others_nothing_is_known() {
    let authority = Authority::new(Kind::P256);
    let server = authority.issue(Kind::P256, &["localhost"]);
    let roots = authority.anchors();
    let slices = server.slices();
    let identities = [server.identity(&slices)];
    let tickets = TicketKeys::new([3; 32], 1_000);
    let config = Config::new(
        ServerConfig::new(&identities).tickets(&tickets),
        ClientConfig::new(&roots),
    );
    let (asks, stats) = Stage::new().run(&config, 2);
    for (number, is_resumed) in [(0, false), (1, true)] {
        let client = asks.clients[number].as_ref().unwrap();
        assert_eq!(
            (client.is_authenticated, client.is_resumed),
            (false, is_resumed)
        );
        assert_eq!((&client.certificate, client.fingerprint), (&None, None));
        assert!(client.names.is_empty());
        assert_eq!(client.server_name, b"localhost");
        let of_server = asks.servers[number].as_ref().unwrap();
        assert_eq!(
            (of_server.is_authenticated, of_server.is_resumed),
            (true, is_resumed)
        );
        let shown = (!is_resumed).then(|| server.chain[0].clone());
        assert_eq!(of_server.certificate, shown);
        assert_eq!(of_server.fingerprint.is_some(), !is_resumed);
        assert_eq!(client.exported, of_server.exported);
    }
    assert_eq!((stats.opened, stats.resumed), (4, 2));
}

/// Who keeps no places pays nothing and learns nothing.
#[test]
fn without_places_nothing_is_kept() {
    let authority = Authority::new(Kind::P256);
    let server = authority.issue(Kind::P256, &["localhost"]);
    let roots = authority.anchors();
    let slices = server.slices();
    let identities = [server.identity(&slices)];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let mut memory = Box::new(TlsMemory::<Crypto, SOCKETS, 4, 4, 4>::NEW);
    let layer = Tls::new(
        Linux::new().unwrap(),
        Crypto::new(Machine::new(1)),
        &config,
        &mut *memory,
    );
    assert!(layer.peer(SocketId::from_bits(1 << 32).unwrap()).is_none());
}

/// A certificate that is too long to be kept is still told apart by its fingerprint.
#[test]
fn a_long_certificate_has_a_fingerprint() {
    let authority = Authority::new(Kind::P256);
    let names: Vec<String> = (0..200).map(|n| format!("name-{n}.example")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("localhost");
    let server = authority.issue(Kind::P256, &names);
    assert!(server.chain[0].len() > 2_048);
    let roots = authority.anchors();
    let slices = server.slices();
    let identities = [server.identity(&slices)];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let (asks, _) = Stage::new().run(&config, 1);
    let of_server = asks.servers[0].as_ref().unwrap();
    assert!(of_server.is_authenticated);
    assert_eq!(of_server.certificate, None);
    assert_eq!(of_server.fingerprint, fingerprint(&server));
}

/// Certificates, what is wrong with them, the alert and the words.
type Cases = [(Leaf, CertificateError, u8, &'static str); 6];

fn bad_certificates(authority: &Authority) -> Cases {
    let stranger = Authority::new(Kind::P256);
    let with = |change: fn(&mut rcgen::CertificateParams)| {
        authority.issue_with(Kind::P256, &["localhost"], change)
    };
    [
        (
            with(|params| params.not_after = date_time_ymd(2_026, 1, 1)),
            CertificateError::Expired,
            45,
            "TLS alert certificate_expired (45) sent: a certificate has expired",
        ),
        (
            with(|params| params.not_before = date_time_ymd(2_028, 1, 1)),
            CertificateError::NotYetValid,
            45,
            "TLS alert certificate_expired (45) sent: a certificate is not valid yet",
        ),
        (
            authority.issue(Kind::P256, &["elsewhere"]),
            CertificateError::Name,
            46,
            "TLS alert certificate_unknown (46) sent: the certificate is for another name",
        ),
        (
            stranger.issue(Kind::P256, &["localhost"]),
            CertificateError::UnknownIssuer,
            48,
            "TLS alert unknown_ca (48) sent: no trusted authority issued the certificate",
        ),
        (
            with(|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            CertificateError::AuthorityAsPeer,
            42,
            "TLS alert bad_certificate (42) sent: the certificate is an authority's",
        ),
        (
            with(|params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
            CertificateError::Purpose,
            43,
            "TLS alert unsupported_certificate (43) sent: the certificate is for another purpose",
        ),
    ]
}

/// The program is told of each failure on both ends, with the alert and the reason.
#[test]
fn failures_are_told() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let cases = bad_certificates(&authority);
    for (leaf, reason, alert, words) in &cases {
        let slices = leaf.slices();
        let identities = [leaf.identity(&slices)];
        let log = Log::default();
        let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
        let config = config.observer(&log);
        let (asks, stats) = Stage::new().run(&config, 1);
        assert_eq!(asks.failed, [Error::AlertSent(*alert)]);
        assert!(asks.servers.is_empty());
        let told = log.0.lock().unwrap();
        let by_role: HashMap<bool, HandshakeFailure> = told
            .iter()
            .map(|failure| (failure.is_client, *failure))
            .collect();
        assert_eq!(told.len(), 2, "once each: {told:?}");
        let client = by_role[&true];
        assert_eq!(client.error, Error::AlertSent(*alert));
        assert_eq!(client.certificate, Some(*reason));
        let text = client.to_string();
        assert_eq!(text, format!("handshake with a server failed: {words}"));
        let server = by_role[&false];
        assert_eq!(server.error, Error::AlertReceived(*alert));
        assert_eq!(server.certificate, None);
        assert_eq!((stats.opened, stats.lost), (0, 0));
        let counts = (stats.alerts_sent, stats.certificates, stats.alerts_received);
        assert_eq!(counts, (1, 1, 1));
    }
}

/// Lets a client send bytes and perhaps close, and nothing else; returns what is counted and told.
fn hear(bytes: &[u8], closes: bool) -> (HandshakeStats, Vec<HandshakeFailure>) {
    use std::io::Write as _;
    let authority = Authority::new(Kind::P256);
    let server = authority.issue(Kind::P256, &["localhost"]);
    let slices = server.slices();
    let identities = [server.identity(&slices)];
    let log = Log::default();
    let config = Config::server(ServerConfig::new(&identities)).observer(&log);
    let mut stage = Stage::new();
    let layer = Tls::new(
        Linux::new().unwrap(),
        Crypto::new(Machine::new(1)),
        &config,
        &mut *stage.memory,
    );
    let mut sockets = Box::new(Sockets::<Layer<'_>, Asks, SOCKETS>::new());
    let mut buffer = vec![0; 4_096];
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let listener = the_loop.net().listen(Endpoint::tls(any, None), false);
    let addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
    let mut stream = std::net::TcpStream::connect(addr).unwrap();
    stream.write_all(bytes).unwrap();
    let _kept = (!closes).then_some(stream);
    let mut asks = Asks::default();
    let start = std::time::Instant::now();
    loop {
        let stats = the_loop.platform().handshakes();
        if stats.lost + stats.alerts_sent > 0 {
            return (stats, log.0.lock().unwrap().clone());
        }
        assert!(start.elapsed() < Duration::from_secs(10), "too slow");
        let now = the_loop.platform().now();
        let next = now.saturating_add(Duration::from_millis(20));
        the_loop.poll(&mut asks, Some(next)).unwrap();
    }
}

/// Handshakes that end without an alert are counted.
#[test]
fn lost_handshakes_are_counted() {
    let (stats, told) = hear(&[22, 3, 1], true);
    assert_eq!((stats.lost, stats.alerts_sent, stats.opened), (1, 0, 0));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].error, Error::Truncated);
    assert!(!told[0].lacks_room);
}

/// A hello that there is no room for is told apart from one that is malformed.
#[test]
fn too_long_a_hello_is_told() {
    let long = [&[22, 3, 1, 0x30, 4, 1, 0, 0x30, 0][..], &[3; 0x3000]].concat();
    for (bytes, lacks_room, words) in [
        (
            &long[..],
            true,
            ": a message is longer than there is room for",
        ),
        (&[22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], false, ""),
    ] {
        let (stats, told) = hear(bytes, false);
        assert_eq!((stats.lost, stats.alerts_sent, stats.opened), (0, 1, 0));
        assert_eq!(told.len(), 1);
        let alert = "TLS alert decode_error (50) sent";
        let text = format!("handshake with a client failed: {alert}{words}");
        assert_eq!(told[0].to_string(), text);
        assert_eq!(
            (told[0].lacks_room, told[0].certificate),
            (lacks_room, None)
        );
    }
}
