//! Keys that are elsewhere: signatures that come later, and RSA.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, Identity, Scheme, ServerConfig, SignatureId, Signer,
    Tls, TlsMemory,
};
use usockets::{Duration, Endpoint, Error, Loop, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{
    Authority, Broken, Crypto, Echo, Kind, Machine, Ours, Part, Theirs, pump, settle,
};

/// A signer whose signatures come when they are asked for.
struct Late<'a> {
    key: &'a dyn Signer,
    asked: Mutex<Vec<(SignatureId, Vec<u8>)>>,
}

impl<'a> Late<'a> {
    fn new(key: &'a dyn Signer) -> Self {
        Self {
            key,
            asked: Mutex::default(),
        }
    }

    /// Makes the oldest signature that is waited for.
    fn make(&self) -> (SignatureId, Vec<u8>) {
        let (id, message) = self.asked.lock().unwrap().remove(0);
        let mut signature = vec![0; 600];
        let len = self.key.sign(&message, &mut signature).unwrap();
        signature.truncate(len);
        (id, signature)
    }
}

impl Signer for Late<'_> {
    fn scheme(&self) -> Scheme {
        self.key.scheme()
    }

    fn sign(&self, _: &[u8], _: &mut [u8]) -> Option<usize> {
        panic!("it would have been begun")
    }

    fn begin(&self, id: SignatureId, message: &[u8]) -> bool {
        assert!(message.len() <= 146);
        self.asked.lock().unwrap().push((id, message.to_vec()));
        true
    }
}

/// Hands a signature to one of ours, which goes on.
fn supply(ours: &mut Ours, config: &Config<'_>, (id, signature): &(SignatureId, Vec<u8>)) -> bool {
    let taken = ours.handshake.supply(*id, signature);
    ours.feed(config, &[]);
    taken
}

#[test]
fn a_server_waits_for_its_signature() {
    for kind in [Kind::P256, Kind::Ed25519, Kind::Rsa(2_048)] {
        for chunk in [1, usize::MAX] {
            let authority = Authority::new(Kind::P256);
            let leaf = authority.issue(kind, &["localhost"]);
            let chain = leaf.slices();
            let late = Late::new(leaf.signer.as_ref());
            let identities = [Identity::new(&chain, &late)];
            let config = Config::server(ServerConfig::new(&identities));
            let client = Theirs::client_config(Theirs::whole_provider(), &authority);
            let mut theirs = Theirs::client(Arc::new(client), "localhost");
            let mut ours = Ours::server(1);
            pump(&mut ours, &config, &mut theirs, chunk);
            assert!(!theirs.is_open() && !ours.connection.is_open());
            assert_eq!(late.asked.lock().unwrap().len(), 1);
            let made = late.make();
            let other = SignatureId::from_bits(made.0.to_bits() ^ 1);
            assert!(!supply(&mut ours, &config, &(other, made.1.clone())));
            // Nor is one taken for which there is no room.
            assert!(!supply(&mut ours, &config, &(made.0, vec![7; 8_000])));
            assert!(supply(&mut ours, &config, &made));
            // A second time it is stale.
            assert!(!supply(&mut ours, &config, &made));
            pump(&mut ours, &config, &mut theirs, chunk);
            assert!(theirs.is_open() && ours.connection.is_open(), "{kind:?}");
            theirs.send(b"hello");
            pump(&mut ours, &config, &mut theirs, chunk);
            assert_eq!(ours.data, b"hello");
        }
    }
}

#[test]
fn both_sides_wait_for_their_signatures() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let chain = leaf.slices();
    let (ours_late, theirs_late) = (
        Late::new(leaf.signer.as_ref()),
        Late::new(leaf.signer.as_ref()),
    );
    let identities =
        [Identity::new(&chain, &theirs_late).client_auth(ClientAuth::Required(&roots))];
    let server_config = Config::server(ServerConfig::new(&identities));
    let own = Identity::new(&chain, &ours_late);
    let client_config = Config::client(ClientConfig::new(&roots).identity(&own));
    let mut client = Ours::client(1, &client_config, "localhost");
    let mut server = Ours::server(2);
    settle(&mut client, &client_config, &mut server, &server_config);
    assert!(supply(&mut server, &server_config, &theirs_late.make()));
    settle(&mut client, &client_config, &mut server, &server_config);
    assert_eq!(client.opened + server.opened, 0);
    assert!(supply(&mut client, &client_config, &ours_late.make()));
    settle(&mut client, &client_config, &mut server, &server_config);
    assert_eq!((client.opened, server.opened), (1, 1));
    client.send(b"hello");
    settle(&mut client, &client_config, &mut server, &server_config);
    assert_eq!(server.data, b"hello");
}

/// What is signed with another key, and what the signer gives up, opens nothing.
#[test]
fn a_bad_signature_and_none_open_nothing() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let stranger = authority.issue(Kind::P256, &["localhost"]);
    let chain = leaf.slices();
    let late = Late::new(stranger.signer.as_ref());
    let identities = [Identity::new(&chain, &late)];
    let server_config = Config::server(ServerConfig::new(&identities));
    let client_config = Config::client(ClientConfig::new(&roots));
    for gives_up in [false, true] {
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &server_config);
        let (id, mut signature) = late.make();
        let mut alert = Alert::DECRYPT_ERROR;
        if gives_up {
            signature.clear();
            alert = Alert::INTERNAL_ERROR;
        }
        assert!(supply(&mut server, &server_config, &(id, signature)));
        settle(&mut client, &client_config, &mut server, &server_config);
        let (sent, received) = (Some(Broken::Sent(alert)), Some(Broken::Received(alert)));
        let expected = if gives_up {
            (received, sent)
        } else {
            (sent, received)
        };
        assert_eq!((client.broken, server.broken), expected);
        assert_eq!(client.opened + server.opened, 0);
    }
}

/// A signer that never signs.
struct Broke;

impl Signer for Broke {
    fn scheme(&self) -> Scheme {
        Scheme::ECDSA_P256_SHA256
    }

    fn sign(&self, _: &[u8], _: &mut [u8]) -> Option<usize> {
        None
    }
}

type Layer<'s> = Tls<'s, Linux, Crypto>;

/// Runs a loop that echoes, with one handshake to lend, as a server whose key is late.
fn with_layer<const H: usize>(
    script: impl FnOnce(&mut Loop<'_, Layer<'_>, Echo>, &mut Echo, &Late<'_>, SocketAddr),
) {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let chain = leaf.slices();
    let late = Late::new(leaf.signer.as_ref());
    let identities = [
        Identity::new(&chain, &late),
        Identity::new(&chain, &Broke).names(&["broken.example"]),
    ];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let mut memory = Box::new(TlsMemory::<Crypto, 16, H, 2, 2>::NEW);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, 16>::new());
    let mut buffer = vec![0; 16_384];
    let crypto = Crypto::new(Machine::new(5));
    let layer = Tls::new(Linux::new().unwrap(), crypto, &config, &mut *memory)
        .with_lease_max(Duration::from_millis(200));
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let listener = the_loop.net().listen(Endpoint::tls(any, None), Part::Echo);
    let addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
    script(&mut the_loop, &mut Echo::new(100), &late, addr);
}

/// Polls until `done`, for at most ten seconds.
fn until(
    the_loop: &mut Loop<'_, Layer<'_>, Echo>,
    echo: &mut Echo,
    mut done: impl FnMut(&Echo) -> bool,
) {
    let start = std::time::Instant::now();
    while !done(echo) {
        assert!(start.elapsed() < Duration::from_secs(10));
        let now = usockets::Platform::now(the_loop.platform());
        let next = now.saturating_add(Duration::from_millis(20));
        the_loop.poll(echo, Some(next)).unwrap();
    }
}

#[test]
fn a_signature_that_comes_later_opens_a_connection() {
    with_layer::<4>(|the_loop, echo, late, addr| {
        let to = Endpoint::tls(addr, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |_| !late.asked.lock().unwrap().is_empty());
        let (id, signature) = late.make();
        let other = SignatureId::from_bits(id.to_bits().wrapping_add(1));
        assert!(!the_loop.platform_mut().supply(other, &signature));
        assert_eq!(echo.opened, 0);
        assert!(the_loop.platform_mut().supply(id, &signature));
        assert!(the_loop.next_deadline().is_some(), "it does not wait now");
        assert!(!the_loop.platform_mut().supply(id, &signature));
        until(the_loop, echo, |echo| echo.closed.len() == 2);
        assert_eq!(echo.echoed, 1);
    });
}

/// The client is told, by an alert under the keys that the hellos have agreed on.
#[test]
fn a_signature_that_cannot_be_made_is_told() {
    with_layer::<4>(|the_loop, echo, _, addr| {
        let to = Endpoint::tls(addr, Some("broken.example"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| !echo.failed.is_empty());
        let code = Alert::INTERNAL_ERROR.code();
        assert_eq!(echo.failed, [Error::AlertReceived(code)]);
        assert_eq!(echo.opened, 0);
    });
}

/// Who waits for a signature for too long gives way to who waits for the handshake.
#[test]
fn a_signature_that_comes_too_late_is_for_nobody() {
    with_layer::<1>(|the_loop, echo, late, addr| {
        let hello = || {
            let authority = Authority::new(Kind::P256);
            let roots = authority.anchors();
            let config = Config::client(ClientConfig::new(&roots));
            let client = Ours::client(1, &config, "localhost");
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(&client.output).unwrap();
            stream
        };
        let streams = [hello(), hello()];
        until(the_loop, echo, |_| late.asked.lock().unwrap().len() == 2);
        let (first, signature) = late.make();
        assert!(!the_loop.platform_mut().supply(first, &signature));
        let (second, signature) = late.make();
        assert!(the_loop.platform_mut().supply(second, &signature));
        drop(streams);
    });
}

/// A signer that implements only what it must signs by its own scheme, at once, and by no other.
#[test]
fn a_signer_signs_by_its_own_scheme() {
    let key = Authority::new(Kind::P256).issue(Kind::P256, &["localhost"]);
    let key = key.signer.as_ref();
    let (own, other) = (Scheme::ECDSA_P256_SHA256, Scheme::ED25519);
    assert_eq!(
        [own, other].map(|scheme| key.signs_by(scheme)),
        [true, false]
    );
    let mut signature = [0; 128];
    let mut sign = |scheme| key.sign_by(scheme, b"message", &mut signature).is_some();
    assert_eq!([own, other].map(&mut sign), [true, false]);
    let id = SignatureId::from_bits(1);
    let begins = |key: &dyn Signer| [own, other].map(|scheme| key.begin_by(scheme, id, b"message"));
    assert_eq!(begins(key), [false, false]);
    let late = Late::new(key);
    assert_eq!(begins(&late), [true, false]);
    assert_eq!(late.asked.lock().unwrap().len(), 1);
}

/// A server with an RSA key and a signer elsewhere, with rustls (and ring) as the client.
#[test]
fn a_server_signs_with_rsa() {
    for bits in [2_048, 3_072, 4_096] {
        let authority = Authority::new(Kind::Rsa(2_048));
        let leaf = authority.issue(Kind::Rsa(bits), &["localhost"]);
        let chain = leaf.slices();
        let identities = [leaf.identity(&chain)];
        let config = Config::server(ServerConfig::new(&identities));
        let mut client = Theirs::client_config(Theirs::whole_provider(), &authority);
        client.resumption = Resumption::disabled();
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        let mut ours = Ours::server(1);
        pump(&mut ours, &config, &mut theirs, usize::MAX);
        assert_eq!(theirs.error, None);
        assert!(theirs.is_open() && ours.connection.is_open());
    }
}
