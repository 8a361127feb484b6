//! TLS asks for no memory: not for a handshake with certificates both ways, not for resumption,
//! data, new keys or the end. And what a handshake takes, printed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, Connection, Event, Handshake, Output, RECORD_MAX,
    ServerConfig, Session, Setup, TicketKeys,
};
use usockets_tests_tls::{Authority, Crypto, Kind, Machine};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    /// Only what this thread asks for is counted: other tests run beside it.
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.get() {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes on their way, in memory that is there from the start.
struct Pipe {
    bytes: Box<[u8; 2 * RECORD_MAX]>,
    len: usize,
}

impl Pipe {
    fn new() -> Self {
        Self {
            bytes: Box::new([0; 2 * RECORD_MAX]),
            len: 0,
        }
    }

    /// Adds what `write` writes.
    fn add(&mut self, write: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>) {
        let mut out = Output::new(&mut self.bytes[self.len..]);
        write(&mut out).unwrap();
        self.len += out.len();
    }
}

struct End {
    connection: Connection,
    handshake: Box<Handshake<Crypto>>,
    crypto: Crypto,
    sessions: [Session; 2],
    received: usize,
    has_finished: bool,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            handshake: Box::new(Handshake::EMPTY),
            crypto: Crypto::new(Machine::new(1)),
            sessions: [const { Session::EMPTY }; 2],
            received: 0,
            has_finished: false,
        }
    }

    /// Reads everything in one pipe and answers into the other.
    fn read(&mut self, config: &Config<'_>, from: &mut Pipe, to: &mut Pipe) {
        let mut start = 0;
        while start < from.len {
            let mut setup = Setup {
                crypto: &mut self.crypto,
                config,
                sessions: &mut self.sessions,
                peer: None,
            };
            let handshake = (!self.connection.is_open()).then_some(&mut *self.handshake);
            let input = &mut from.bytes[start..from.len];
            let mut out = Output::new(&mut to.bytes[to.len..]);
            let received = self
                .connection
                .receive(&mut setup, handshake, input, &mut out)
                .unwrap();
            to.len += out.len();
            match received.event {
                Event::Data { len, .. } => self.received += len,
                Event::Finished => self.has_finished = true,
                Event::Nothing | Event::Open => {}
                other => panic!("{other:?}"),
            }
            start += received.consumed;
        }
        from.len = 0;
    }
}

/// A whole life of a connection; returns whether both ends opened, and the server's time for the
/// handshake in nanoseconds.
fn live(config: &Config<'_>, client: &mut End, server: &mut End, pipes: &mut [Pipe; 2]) -> u64 {
    let [up, down] = pipes;
    client.handshake.reset();
    server.handshake.reset();
    server.connection = Connection::server();
    let mut setup = Setup {
        crypto: &mut client.crypto,
        config,
        sessions: &mut client.sessions,
        peer: None,
    };
    up.add(|out| {
        let handshake = &mut client.handshake;
        client.connection = Connection::client(&mut setup, handshake, "localhost", out)?;
        Ok(())
    });
    let start = Instant::now();
    server.read(config, up, down);
    let first = start.elapsed();
    client.read(config, down, up);
    let start = Instant::now();
    server.read(config, up, down);
    let time = first + start.elapsed();
    client.read(config, down, up);
    assert!(client.connection.is_open() && server.connection.is_open());
    for _ in 0..3 {
        down.add(|out| {
            let sent = server
                .connection
                .send(&mut server.crypto, &[7; 16_384], out)?;
            assert_eq!(sent, 16_384);
            server.connection.update_keys(&mut server.crypto, true, out)
        });
        client.read(config, down, up);
        up.add(|out| {
            client
                .connection
                .send(&mut client.crypto, &[8; 100], out)
                .map(drop)
        });
        server.read(config, up, down);
    }
    up.add(|out| {
        client
            .connection
            .send_alert(&mut client.crypto, Alert::CLOSE_NOTIFY, out)
    });
    server.read(config, up, down);
    assert!(server.has_finished);
    server.has_finished = false;
    u64::try_from(time.as_nanos()).unwrap()
}

#[test]
fn nothing_is_allocated() {
    let authority = Authority::new(Kind::P256);
    let between = authority.issue_authority(Kind::P384, true);
    let roots = authority.anchors();
    let keys = TicketKeys::new([3; 32], 3_600);
    let mut ends = [End::new(Connection::CLOSED), End::new(Connection::CLOSED)];
    let mut pipes = [Pipe::new(), Pipe::new()];
    for kind in [Kind::P256, Kind::Ed25519] {
        let leaf = between.issue(kind, &["localhost"]);
        let person = authority.issue(kind, &["person"]);
        let (slices, person_slices) = (leaf.slices(), person.slices());
        let person = person.identity(&person_slices);
        for policy in [ClientAuth::Off, ClientAuth::Required(&roots)] {
            let identities = [leaf.identity(&slices).client_auth(policy)];
            let server = ServerConfig::new(&identities)
                .protocols(&[b"h2"])
                .tickets(&keys);
            let client = ClientConfig::new(&roots)
                .protocols(&[b"h2"])
                .identity(&person);
            let config = Config::new(server, client);
            let [client, server] = &mut ends;
            let asks = !matches!(policy, ClientAuth::Off);
            for resumes in [false, true] {
                let mut best = u64::MAX;
                for _ in 0..10 {
                    if !resumes {
                        client.sessions.iter_mut().for_each(Session::clear);
                    }
                    IS_COUNTING.set(true);
                    let time = live(&config, client, server, &mut pipes);
                    IS_COUNTING.set(false);
                    assert_eq!(server.connection.is_resumed(), resumes && !asks);
                    best = best.min(time);
                }
                println!(
                    "server, {kind:?}, client certificate: {asks}, resumes: {resumes}: {best} ns"
                );
            }
        }
    }
    assert_eq!(ends[1].received, 4 * 20 * 300);
    assert_eq!(COUNT.load(Ordering::Relaxed), 0);
}

/// Nor does the client that embedded-tls makes, from its hello to its end.
#[test]
#[cfg(feature = "embedded")]
fn nothing_is_allocated_by_the_other_client() {
    use std::pin::pin;
    use usockets::tls::{EmbeddedClient, EmbeddedLink, EmbeddedState};

    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let policy = ClientAuth::Required(&roots);
    let identities = [leaf.identity(&slices).client_auth(policy)];
    let config = Config::server(ServerConfig::new(&identities));
    let identity = leaf.identity(&slices);
    let client_config = ClientConfig::new(&roots).identity(&identity);
    let (mut input, mut output) = (vec![0; 16_640], vec![0; 2_048]);
    let mut server = End::new(Connection::server());
    let [mut up, mut down] = [Pipe::new(), Pipe::new()];
    let mut crypto = Crypto::new(Machine::new(2));
    let link = Box::new(EmbeddedLink::<4_096>::new());

    IS_COUNTING.set(true);
    let session = pin!(link.session(
        &mut crypto,
        &client_config,
        "localhost",
        &mut input,
        &mut output,
    ));
    let mut client = EmbeddedClient::new(&link, session);
    for step in 0..6 {
        up.len += client.transmit(&mut up.bytes[up.len..]);
        server.read(&config, &mut up, &mut down);
        if step == 4 {
            assert_eq!(client.write(&[1; 1_000]), 1_000);
            client.finish();
        }
        let taken = client.receive(&down.bytes[..down.len]);
        assert_eq!(taken, down.len);
        down.len = 0;
    }
    let state = client.state();
    IS_COUNTING.set(false);
    assert!(matches!(state, EmbeddedState::Finished), "{state:?}");
    assert_eq!(server.received, 1_000);
    assert!(server.has_finished);
    assert_eq!(COUNT.load(Ordering::Relaxed), 0);
}

#[test]
fn sizes() {
    println!("connection: {} bytes", size_of::<Connection>());
    println!("handshake: {} bytes", size_of::<Handshake<Crypto>>());
    assert!(size_of::<Connection>() <= 248);
    assert!(size_of::<Handshake<Crypto>>() <= 10_000);
}

/// The documented sizes of what is lent: the difference that one more makes.
#[test]
fn sizes_of_what_is_lent() {
    use usockets::tls::TlsMemory;
    type Memory<const S: usize, const H: usize, const I: usize, const O: usize> =
        TlsMemory<Crypto, S, H, I, O>;
    let base = size_of::<Memory<2, 1, 1, 1>>();
    println!(
        "place to wait: {}",
        (size_of::<Memory<4, 1, 1, 1>>() - base) / 2
    );
    println!("handshake: {}", size_of::<Memory<2, 2, 1, 1>>() - base);
    println!("input: {}", size_of::<Memory<2, 1, 2, 1>>() - base);
    println!("output: {}", size_of::<Memory<2, 1, 1, 2>>() - base);
    println!("device: {}", size_of::<Memory<1, 1, 1, 1>>());
    println!("gateway: {}", size_of::<Memory<64, 2, 2, 4>>());
    println!("server: {}", size_of::<Memory<10_000, 64, 64, 256>>());
    assert!(size_of::<Memory<1, 1, 1, 1>>() <= 43 * 1024);
    assert!(size_of::<Memory<10_000, 64, 64, 256>>() <= 6 * 1024 * 1024 + 100_000);
}
