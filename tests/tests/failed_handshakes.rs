//! A handshake that fails tells the peer why, however little its transport takes at once.
#![cfg(feature = "tls")]

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use usockets::tls::{ClientConfig, Config, EcdsaP256Key, Identity, ServerConfig, Tls, TlsMemory};
use usockets::{Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_tests::sim::{Faults, Host, Sim};
use usockets_tests::steady::{Crypto, Steady};

/// Bytes that a host's transport takes at once.
const NARROW: usize = 1;
/// RFC 8446, section 6: `unexpected_message`, `no_application_protocol`.
const UNEXPECTED_MESSAGE: u8 = 10;
const NO_APPLICATION_PROTOCOL: u8 = 120;

type Layer<'s> = Tls<'s, Host, Crypto>;

/// Notes what it is told; says `says` when it hears something.
#[derive(Default)]
struct Notes {
    says: &'static [u8],
    reads: usize,
    heard: Vec<u8>,
    opened: usize,
    failed: Vec<Error>,
    closed: Vec<Closed>,
}

impl<P: Platform> Handler<P> for Notes {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.heard.extend_from_slice(data);
        let said = socket.write(self.says);
        self.says = &self.says[said..];
        if self.heard.len() >= self.reads {
            socket.pause();
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.failed.push(error);
    }
}

/// Lets the loops run until `done`, for at most so much virtual time.
fn run<A: Platform, B: Platform>(
    sim: &Sim,
    server: (&mut Loop<'_, A, Notes>, &mut Notes),
    client: (&mut Loop<'_, B, Notes>, &mut Notes),
    most: Duration,
    mut done: impl FnMut(&Notes, &Notes) -> bool,
) {
    let end = sim.now_micros() + u64::try_from(most.as_micros()).unwrap();
    while !done(server.1, client.1) && sim.now_micros() < end {
        server.0.poll(server.1, None).unwrap();
        client.0.poll(client.1, None).unwrap();
        sim.expect(0, server.0.next_deadline());
        sim.expect(1, client.0.next_deadline());
        if !sim.is_due(0) && !sim.is_due(1) {
            sim.step(Duration::from_secs(1));
        }
    }
}

/// What both roles go by: a server that speaks `a`, a client that speaks `b`.
fn with_config(test: impl FnOnce(&Config<'_>)) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_string()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let signer = EcdsaP256Key::from_der(&key.serialize_der()).unwrap();
    let chain: [&[u8]; 1] = [certificate.der()];
    let identities = [Identity::new(&chain, &signer)];
    let roots = [webpki::anchor_from_trusted_cert(certificate.der()).unwrap()];
    test(&Config::new(
        ServerConfig::new(&identities).protocols(&[b"a"]),
        ClientConfig::new(&roots).protocols(&[b"b"]),
    ));
}

fn layer<'s>(
    host: Host,
    config: &'s Config<'s>,
    memory: &'s mut TlsMemory<Crypto, 4, 2, 1, 1>,
) -> Layer<'s> {
    Tls::new(host, Crypto::new(Steady(0)), config, memory)
}

fn at(sim: &Sim) -> SocketAddr {
    (sim.addresses(0)[0], 443).into()
}

/// The server answers a hello that it refuses with an alert of seven bytes.
#[test]
fn a_server_tells_the_client() {
    with_config(|config| {
        let sim = Sim::new(1, Faults::none());
        let (mut near, mut far) = (Box::new(TlsMemory::NEW), Box::new(TlsMemory::NEW));
        let (mut a, mut b) = (Sockets::<_, Notes, 4>::new(), Sockets::<_, Notes, 4>::new());
        let (mut buffer, mut other) = ([0; 64], [0; 64]);
        let mut server = Loop::new(layer(sim.host(), config, &mut near), &mut a, &mut buffer);
        let mut client = Loop::new(layer(sim.host(), config, &mut far), &mut b, &mut other);
        let at = at(&sim);
        let listens = Endpoint::tls(at, None).send_buffer(NARROW);
        server.net().listen(listens, ()).unwrap();
        let to = Endpoint::tls(at, Some("localhost"));
        client.net().connect(to, ()).unwrap();
        let (mut here, mut there) = (Notes::default(), Notes::default());
        let sides = ((&mut server, &mut here), (&mut client, &mut there));
        let most = Duration::from_secs(5);
        run(&sim, sides.0, sides.1, most, |_, there| {
            !there.failed.is_empty()
        });
        assert_eq!(
            there.failed,
            [Error::AlertReceived(NO_APPLICATION_PROTOCOL)]
        );
        assert_eq!((here.opened, there.opened), (0, 0));
        assert_eq!(server.stats().failed, 1);
        assert_eq!(server.stats().in_use, 1, "the listener");
    });
}

/// What a client and a peer that does not speak TLS were told, and the time in microseconds.
struct Garbled {
    peer: Notes,
    client: Notes,
    micros: u64,
}

/// Answers a client's hello with what is none, and reads so many bytes of it, into a buffer of that
/// size, until `done`. The client must have no slot left.
fn garble(
    config: &Config<'_>,
    recv_buffer: Option<usize>,
    reads: usize,
    most: Duration,
    done: fn(&Notes, &Notes) -> bool,
) -> Garbled {
    let sim = Sim::new(1, Faults::none());
    let mut memory = Box::new(TlsMemory::NEW);
    let (mut a, mut b) = (Sockets::<_, Notes, 4>::new(), Sockets::<_, Notes, 4>::new());
    let (mut buffer, mut other) = ([0; 64], [0; 64]);
    let mut server = Loop::new(sim.host(), &mut a, &mut buffer);
    let mut client = Loop::new(layer(sim.host(), config, &mut memory), &mut b, &mut other);
    let at = at(&sim);
    let mut listens = Endpoint::tcp(at);
    listens.recv_buffer = recv_buffer;
    server.net().listen(listens, ()).unwrap();
    let to = Endpoint::tls(at, Some("localhost")).send_buffer(NARROW);
    client.net().connect(to, ()).unwrap();
    let mut here = Notes {
        // A handshake message that does not exist.
        says: &[22, 3, 3, 0, 4, 99, 0, 0, 0],
        reads,
        ..Notes::default()
    };
    let mut there = Notes::default();
    let sides = ((&mut server, &mut here), (&mut client, &mut there));
    run(&sim, sides.0, sides.1, most, done);
    assert_eq!(client.stats().in_use, 0);
    Garbled {
        peer: here,
        client: there,
        micros: sim.now_micros(),
    }
}

/// The client tells a peer that does not speak TLS, and its program, what it thinks of the answer.
#[test]
fn a_client_tells_the_server() {
    with_config(|config| {
        let most = Duration::from_secs(5);
        let told = garble(config, None, usize::MAX, most, |peer, _| {
            !peer.closed.is_empty()
        });
        let alert = [21, 3, 3, 0, 2, 2, UNEXPECTED_MESSAGE];
        let heard = &told.peer.heard;
        assert!(heard.ends_with(&alert), "{:?}", heard.last_chunk::<9>());
        assert_eq!(told.client.failed, [Error::AlertSent(UNEXPECTED_MESSAGE)]);
    });
}

/// Who does not take the alert keeps nothing for longer than a handshake may take.
#[test]
fn nobody_waits_for_ever() {
    with_config(|config| {
        // All of the hello, which is as long as in the test before, and then no more.
        let reads = hello_len(config);
        let most = Duration::from_secs(60);
        let told = garble(config, Some(NARROW), reads, most, |_, client| {
            !client.failed.is_empty()
        });
        assert_eq!(told.client.failed, [Error::TimedOut]);
        let seconds = told.micros / 1_000_000;
        assert!((10..12).contains(&seconds), "{seconds}");
    });
}

/// Returns how many bytes a client sends first.
fn hello_len(config: &Config<'_>) -> usize {
    use usockets::tls::{Connection, Handshake, Output, Setup};
    let mut bytes = [0; 2_048];
    let mut out = Output::new(&mut bytes);
    let mut setup = Setup {
        crypto: &mut Crypto::new(Steady(0)),
        config,
        sessions: &mut [],
        peer: None,
    };
    let mut handshake = Box::new(Handshake::EMPTY);
    Connection::client(&mut setup, &mut handshake, "localhost", &mut out).unwrap();
    out.len()
}
