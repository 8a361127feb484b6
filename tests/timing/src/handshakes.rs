//! What a server compares and derives in handshakes, by all that it does with a client's hello.

use std::cell::RefCell;

use dudect_bencher::rand::RngExt;
use dudect_bencher::{BenchRng, CtRunner};
use usockets::tls::{
    ClientConfig, Config, Connection, Event, Handshake, Output, RECORD_MAX, ServerConfig, Session,
    Setup, TicketKeys, TrustAnchor,
};
use usockets_tests_tls::puppet::Puppet;
use usockets_tests_tls::{Authority, Crypto, Kind, Leaf, Machine, NOW, Ours, settle};

use crate::{altered, choose, measure, secret};

/// Objects of each class, so that none is known by where it is in memory.
const OBJECTS: usize = 64;

/// A server's identity, and its authority.
struct Cast {
    leaf: Leaf,
    roots: Vec<TrustAnchor<'static>>,
}

impl Cast {
    fn new() -> Self {
        let authority = Authority::new(Kind::P256);
        Self {
            leaf: authority.issue(Kind::P256, &["localhost"]),
            roots: authority.anchors(),
        }
    }

    fn with<T>(&self, keys: &TicketKeys, f: impl FnOnce(&Config<'_>) -> T) -> T {
        let slices = self.leaf.slices();
        let identities = [self.leaf.identity(&slices)];
        let server = ServerConfig::new(&identities).tickets(keys);
        f(&Config::new(server, ClientConfig::new(&self.roots)))
    }
}

/// Returns the hello of a client that has a ticket of the server's.
fn hello(config: &Config<'_>) -> Vec<u8> {
    let sessions = vec![Session::EMPTY];
    let mut client = Ours::client_with(1, NOW, config, "localhost", sessions);
    let mut server = Ours::server(2);
    settle(&mut client, config, &mut server, config);
    let sessions = client.sessions;
    Ours::client_with(3, NOW, config, "localhost", sessions).output
}

/// A server that reads one hello after the other.
struct Reader {
    crypto: Crypto,
    connection: Connection,
    handshake: Box<Handshake<Crypto>>,
    output: Box<[u8; 2 * RECORD_MAX]>,
    output_len: usize,
}

impl Reader {
    fn new() -> Self {
        Self {
            crypto: Crypto::new(Machine::new(4)),
            connection: Connection::CLOSED,
            handshake: Box::new(Handshake::EMPTY),
            output: Box::new([0; 2 * RECORD_MAX]),
            output_len: 0,
        }
    }

    /// Returns true if the hello is answered.
    fn read(&mut self, config: &Config<'_>, hello: &mut [u8]) -> bool {
        self.handshake.reset();
        self.connection = Connection::server();
        self.go_on(config, hello)
    }

    /// Returns true if the hello is answered, with the same bytes each time.
    fn read_anew(&mut self, config: &Config<'_>, hello: &mut [u8]) -> bool {
        self.crypto = Crypto::new(Machine::new(4));
        self.read(config, hello)
    }

    /// Returns true if the record is no error.
    fn go_on(&mut self, config: &Config<'_>, record: &mut [u8]) -> bool {
        let mut setup = Setup {
            crypto: &mut self.crypto,
            config,
            sessions: &mut [],
            peer: None,
        };
        let mut out = Output::new(&mut self.output[..]);
        let handshake = Some(&mut *self.handshake);
        let received = self
            .connection
            .receive(&mut setup, handshake, record, &mut out);
        self.output_len = out.len();
        received.is_ok_and(|received| matches!(received.event, Event::Nothing | Event::Open))
    }
}

/// A ticket's binder that differs in its first byte or in its last.
pub fn binder(runner: &mut CtRunner, rng: &mut BenchRng) {
    Cast::new().with(&TicketKeys::new([5; 32], 3_600), |config| {
        let good = hello(config);
        let reader = RefCell::new(Reader::new());
        assert!(reader.borrow_mut().read(config, &mut good.clone()));
        // The binder ends the hello.
        let (front, binder) = good.split_last_chunk::<32>().expect("a binder");
        let [first, last] = altered(binder);
        let make =
            |is_right: bool, _: &mut BenchRng| [front, &choose(&first, &last, is_right)].concat();
        measure(runner, rng, make, |hello| {
            assert!(!reader.borrow_mut().read(config, hello), "refused");
        });
    });
}

/// A client's `Finished` that differs in its first byte or in its last.
pub fn finished(runner: &mut CtRunner, rng: &mut BenchRng) {
    let cast = Cast::new();
    let slices = cast.leaf.slices();
    let identities = [cast.leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    let (mut client, hello) = Puppet::client("localhost", &[]);
    let mut reader = Reader::new();
    assert!(reader.read_anew(&config, &mut hello.clone()));
    client.read_flight(&reader.output[..reader.output_len]);
    let good = client.finished();
    let seal = |message: &[u8]| -> [u8; 58] {
        let record = client.clone().seal(message);
        record.try_into().expect("a record of this length")
    };
    assert!(reader.go_on(&config, &mut seal(&good)), "it is right");
    let [first, last] = [4, good.len() - 1].map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        seal(&bad)
    });
    let reader = RefCell::new(reader);
    let make = |is_right: bool, _: &mut BenchRng| {
        let mut reader = reader.borrow_mut();
        assert!(reader.read_anew(&config, &mut hello.clone()), "answered");
        choose(&first, &last, is_right)
    };
    measure(runner, rng, make, |record| {
        assert!(!reader.borrow_mut().go_on(&config, record), "refused");
    });
}

/// A secret of tickets that is all zero bytes, or any, when a ticket of another server's comes.
pub fn ticket_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    let cast = Cast::new();
    let hello = cast.with(&TicketKeys::new([5; 32], 3_600), hello);
    let slices = cast.leaf.slices();
    let identities = [cast.leaf.identity(&slices)];
    let reader = RefCell::new(Reader::new());
    // In the same place whichever class it is of: a place of each one's own is slower or faster.
    let make = |is_right: bool, rng: &mut BenchRng| {
        let keys = TicketKeys::new(secret(&[0; 32], is_right, rng), 3_600);
        (keys, hello.clone())
    };
    measure(runner, rng, make, |(keys, hello)| {
        let config = Config::server(ServerConfig::new(&identities).tickets(keys));
        assert!(reader.borrow_mut().read(&config, hello), "answered");
    });
}

/// Key material of exporters' secrets that are the same, or any: HKDF.
pub fn exporter(runner: &mut CtRunner, rng: &mut BenchRng) {
    Cast::new().with(&TicketKeys::new([5; 32], 3_600), |config| {
        let connections = [false, true].map(|is_right| {
            let connect = |number| {
                let seed = u64::from(is_right) * number;
                let mut client = Ours::client(10 + seed, config, "localhost");
                let mut server = Ours::server(100 + seed);
                settle(&mut client, config, &mut server, config);
                client
            };
            (1..=OBJECTS as u64).map(connect).collect::<Vec<_>>()
        });
        let exported = connections.each_ref().map(|of| {
            let made: Vec<[u8; 32]> = of.iter().map(|one| one.export(b"label", b"")).collect();
            made.windows(2).all(|two| two[0] == two[1])
        });
        assert_eq!(exported, [true, false], "the same, and any");
        let make = |is_right: bool, rng: &mut BenchRng| {
            &connections[usize::from(is_right)][rng.random_range(0..OBJECTS)]
        };
        measure(runner, rng, make, |client| {
            client.export::<32>(b"label", b"context")
        });
    });
}
