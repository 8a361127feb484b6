//! Clients that send a part of their certificate and no more hold up nobody: with others waiting
//! their handshakes give way at once, the oldest first.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection};
use usockets::tls::{ClientAuth, Config, ExchangePlace, ServerConfig, Tls, TlsMemory};
use usockets::{Endpoint, Loop, Platform as _, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Echo, Kind, Leaf, Machine, Part, Theirs};

type Layer<'s> = Tls<'s, Linux, Crypto>;

/// A client of rustls' whose handshake comes in records of a few bytes.
struct Client {
    tls: ClientConnection,
    stream: TcpStream,
    /// Records of its last flight that it sends; the rest never.
    most: usize,
    has_answered: bool,
    is_closed: bool,
}

impl Client {
    fn new(at: SocketAddr, config: &Arc<ClientConfig>, most: usize) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(at).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            tls: ClientConnection::new(Arc::clone(config), name).unwrap(),
            stream,
            most,
            has_answered: false,
            is_closed: false,
        }
    }

    /// Sends and receives what there is.
    fn step(&mut self) {
        if self.tls.wants_write() && !self.has_answered {
            let mut flight = Vec::new();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut flight).unwrap();
            }
            // The second flight begins with a change-cipher-spec record.
            self.has_answered = flight[0] == 20;
            let end = match self.has_answered {
                true => records(&flight, self.most),
                false => flight.len(),
            };
            self.stream.write_all(&flight[..end]).unwrap();
        }
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_closed = true,
            Ok(len) => {
                let mut read = &buffer[..len];
                while !read.is_empty() {
                    self.tls.read_tls(&mut read).unwrap();
                    self.tls.process_new_packets().unwrap();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
    }
}

/// Returns where the first `most` records end.
fn records(flight: &[u8], most: usize) -> usize {
    let mut end = 0;
    for _ in 0..most {
        let Some(header) = flight.get(end..end + 5) else {
            break;
        };
        end += 5 + usize::from(u16::from_be_bytes([header[3], header[4]]));
    }
    end
}

fn client_config(authority: &Authority, leaf: &Leaf) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Theirs::whole_provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(authority.root_store())
        .with_client_auth_cert(leaf.rustls_chain(), leaf.rustls_key())
        .unwrap();
    config.max_fragment_size = Some(100);
    Arc::new(config)
}

/// Two handshakes can be leased, and eight clients stop behind so many records of their answer: in
/// their certificate, or behind it.
#[test]
fn give_way_to_who_waits() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let roots = authority.anchors();
    let identities = [leaf
        .identity(&slices)
        .client_auth(ClientAuth::Required(&roots))];
    let config = Config::server(ServerConfig::new(&identities));
    let person = authority.issue(Kind::P256, &["somebody"]);
    let rustls = client_config(&authority, &person);
    let mut memory = Box::new(TlsMemory::<Crypto, 32, 2, 8, 8>::NEW);
    let mut places: Vec<_> = (0..16).map(|_| ExchangePlace::EMPTY).collect();
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, 32>::new());
    let mut buffer = vec![0; 65_536];
    let crypto = Crypto::new(Machine::new(5));
    let layer = Tls::new(Linux::new().unwrap(), crypto, &config, &mut *memory)
        .with_exchange_parking(&mut places);
    let mut server = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let at = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
    let listener = server.net().listen(at, Part::Echo).unwrap();
    let at = server.net().listening_addr(listener).unwrap();
    let mut echo = Echo::new(0);
    let mut run = |clients: &mut [Client], done: &dyn Fn(&[Client], &Echo) -> bool| {
        let start = Instant::now();
        while !done(clients, &echo) && start.elapsed() < Duration::from_secs(4) {
            let soon = server
                .platform()
                .now()
                .saturating_add(Duration::from_millis(1));
            server.poll(&mut echo, Some(soon)).unwrap();
            clients.iter_mut().for_each(Client::step);
        }
        assert!(done(clients, &echo), "in four seconds");
        start.elapsed()
    };
    let mut clients: Vec<_> = (0..8)
        .map(|number| Client::new(at, &rustls, 2 + number % 5))
        .collect();
    run(&mut clients, &|clients, _| {
        clients.iter().all(|client| client.has_answered)
    });
    for _ in 0..5 {
        clients.push(Client::new(at, &rustls, usize::MAX));
        let opened = clients.len() - 8;
        let took = run(&mut clients, &|_, echo| echo.opened == opened);
        // Leases would end after five seconds, or a quarter at least if many wait.
        assert!(took < Duration::from_millis(200), "{took:?}");
    }
    // Of those that stopped, at most two keep a lease; the others had to go, or are parked.
    assert!(clients.iter().take(8).any(|client| client.is_closed));
    assert!(clients.iter().skip(8).all(|client| !client.is_closed));
}
