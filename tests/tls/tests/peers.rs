//! The layer over Linux sockets, with peers that send what a test says and when.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use usockets::tls::{Alert, ClientConfig, Config, ServerConfig, Tls, TlsMemory};
use usockets::{Closed, Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket};
use usockets::{SocketId, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Kind, Machine, Ours};

const SOCKETS: usize = 16;

type Layer<'s> = Tls<'s, Linux, Crypto>;
type Memory<const I: usize> = TlsMemory<Crypto, SOCKETS, 4, I, 4>;

/// What the server saw of one connection.
#[derive(Debug)]
struct Seen {
    id: SocketId,
    heard: Vec<u8>,
    ends: usize,
    closed: Option<Closed>,
}

/// Notes everything, in the order of opening, and ends nothing by itself.
#[derive(Default)]
struct Notes {
    seen: Vec<Seen>,
}

impl Notes {
    fn is_closed(&self, at: usize) -> bool {
        self.seen[at].closed.is_some()
    }
}

impl<P: Platform> Handler<P> for Notes {
    type Context = ();
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        self.seen.push(Seen {
            id: socket.id(),
            heard: Vec::new(),
            ends: 0,
            closed: None,
        });
        self.seen.len() - 1
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, at: &mut usize, data: &mut [u8]) {
        self.seen[*at].heard.extend_from_slice(data);
    }

    fn on_end(&mut self, _: &mut Socket<'_, P, Self>, at: &mut usize) {
        self.seen[*at].ends += 1;
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, at: &mut usize, closed: Closed) {
        assert_eq!(self.seen[*at].closed.replace(closed), None);
    }
}

/// A client: our engine, and a stream into which a test writes.
struct Peer<'c> {
    ours: Ours,
    stream: TcpStream,
    config: &'c Config<'c>,
}

impl Peer<'_> {
    /// Writes what the engine made but its last `kept` bytes, as far as the stream takes it.
    fn write(&mut self, kept: usize) {
        let count = self.ours.output.len().saturating_sub(kept);
        match self.stream.write(&self.ours.output[..count]) {
            Ok(taken) => drop(self.ours.output.drain(..taken)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    /// Writes everything, and reads what has come.
    fn pump(&mut self) {
        self.write(0);
        let mut buffer = [0; 20_000];
        match self.stream.read(&mut buffer) {
            Ok(count) => self.ours.feed(self.config, &buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    fn end(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// A server that listens, and those that connect to it.
struct Stage<'l, 's, 'c> {
    the_loop: &'l mut Loop<'s, Layer<'s>, Notes>,
    notes: Notes,
    addr: SocketAddr,
    config: &'c Config<'c>,
    /// Whether the loop is never dropped.
    leaks: bool,
}

impl<'c> Stage<'_, '_, 'c> {
    /// Lets the server do what is due.
    fn poll(&mut self) {
        let now = Platform::now(self.the_loop.platform());
        let next = now.saturating_add(Duration::from_millis(1));
        self.the_loop.poll(&mut self.notes, Some(next)).unwrap();
    }

    /// Lets the server run until `done`, for at most ten seconds.
    fn until(&mut self, mut done: impl FnMut(&Notes) -> bool) {
        let start = Instant::now();
        while !done(&self.notes) {
            let seen = &self.notes.seen;
            assert!(start.elapsed() < Duration::from_secs(10), "{seen:?}");
            self.poll();
        }
    }

    /// Lets the server run for so long, and then until it has done what was due.
    fn run(&mut self, time: Duration) {
        let start = Instant::now();
        self.until(|_| start.elapsed() > time);
    }

    /// Connects, and shakes hands.
    fn connect(&mut self, seed: u64) -> Peer<'c> {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut peer = Peer {
            ours: Ours::client(seed, self.config, "localhost"),
            stream,
            config: self.config,
        };
        let count = self.notes.seen.len() + 1;
        self.until(|notes| {
            peer.pump();
            notes.seen.len() == count
        });
        // Whatever the server was still to do for it.
        self.run(Duration::from_millis(5));
        peer
    }
}

/// Runs `script` with a server that lends from `memory`.
fn on_stage<const I: usize>(
    memory: &mut Memory<I>,
    lease_max: Duration,
    script: impl FnOnce(&mut Stage<'_, '_, '_>),
) {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let crypto = Crypto::new(Machine::new(5));
    let mut sockets = Box::new(Sockets::<Layer<'_>, Notes, SOCKETS>::new());
    let mut buffer = vec![0; 65_536];
    let layer = Tls::new(Linux::new().unwrap(), crypto, &config, memory).with_lease_max(lease_max);
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let listener = the_loop.net().listen(Endpoint::tls(any, None), ()).unwrap();
    let addr = the_loop.net().listening_addr(listener).unwrap();
    let mut stage = Stage {
        the_loop: &mut the_loop,
        notes: Notes::default(),
        addr,
        config: &config,
        leaks: false,
    };
    script(&mut stage);
    if stage.leaks {
        core::mem::forget(the_loop);
    }
}

const TRUNCATED: Option<Closed> = Some(Closed::Failed(Error::Truncated));
const LONG: Duration = Duration::from_secs(60);

/// The end comes in one report with what is before it, and that is nothing for the program.
#[test]
fn an_end_behind_nothing_for_the_program_is_truncation() {
    let mut memory = Box::new(Memory::<4>::NEW);
    on_stage(&mut memory, LONG, |stage| {
        // Part of a header, part of a record, a record that is no data.
        for (at, kept) in [(0, 20), (1, 1), (2, 0)] {
            let mut peer = stage.connect(1);
            match kept {
                0 => peer.ours.update_keys(false),
                _ => peer.ours.send(b"x"),
            }
            peer.write(kept);
            peer.end();
            stage.until(|notes| notes.is_closed(at));
            let seen = &stage.notes.seen[at];
            assert_eq!((seen.closed, seen.ends), (TRUNCATED, 0));
            assert_eq!(seen.heard, b"");
        }
    });
}

/// Connects one that has the only input, for a record whose last byte it keeps, and another.
fn hold_up<'c>(stage: &mut Stage<'_, '_, 'c>) -> (Peer<'c>, Peer<'c>) {
    let (mut first, second) = (stage.connect(1), stage.connect(2));
    first.ours.send(b"first");
    first.write(1);
    stage.run(Duration::from_millis(5));
    (first, second)
}

/// The end was reported while all inputs were lent to others.
#[test]
fn an_end_is_not_forgotten_while_waiting_for_an_input() {
    let mut memory = Box::new(Memory::<1>::NEW);
    on_stage(&mut memory, LONG, |stage| {
        let (mut first, mut second) = hold_up(stage);
        second.ours.send(b"second");
        second.write(0);
        second.end();
        stage.run(Duration::from_millis(5));
        assert_eq!(stage.notes.seen[1].heard, b"");
        first.write(0);
        stage.until(|notes| notes.is_closed(1));
        assert_eq!(stage.notes.seen[0].heard, b"first");
        assert_eq!(stage.notes.seen[1].heard, b"second");
        assert_eq!(stage.notes.seen[1].closed, TRUNCATED);
    });
}

/// What comes in front of a fatal alert is for the program, as long as it comes first.
#[test]
fn data_in_front_of_a_fatal_alert_is_delivered() {
    let mut memory = Box::new(Memory::<4>::NEW);
    on_stage(&mut memory, LONG, |stage| {
        let mut peer = stage.connect(1);
        peer.ours.send(b"last words");
        peer.ours.alert(Alert::INTERNAL_ERROR);
        peer.write(0);
        stage.until(|notes| notes.is_closed(0));
        let seen = &stage.notes.seen[0];
        assert_eq!(seen.heard, b"last words");
        let failed = Closed::Failed(Error::AlertReceived(Alert::INTERNAL_ERROR.code()));
        assert_eq!(seen.closed, Some(failed));
    });
}

/// Sends records for so long, of which the last is never whole; counts the bytes in `sent`.
fn upload(stage: &mut Stage<'_, '_, '_>, peers: &mut [(Peer<'_>, usize)], time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for (peer, sent) in &mut *peers {
            if peer.ours.output.len() < 10_000 {
                peer.ours.send(&[7; 3_000]);
                *sent += 3_000;
            }
            peer.write(100);
        }
        stage.poll();
    }
}

/// One input for two streams that go on and on: each gives it up where a record ends, and none
/// is taken for one whose rest does not come.
#[test]
fn streams_that_go_on_share_an_input() {
    let mut memory = Box::new(Memory::<1>::NEW);
    on_stage(&mut memory, Duration::from_millis(100), |stage| {
        let mut peers = [(stage.connect(1), 0), (stage.connect(2), 0)];
        upload(stage, &mut peers[..1], Duration::from_millis(200));
        upload(stage, &mut peers, Duration::from_millis(400));
        let heard = |notes: &Notes| [0, 1].map(|at| notes.seen[at].heard.len());
        let sent = peers.each_ref().map(|peer| peer.1);
        println!("{sent:?} sent, {:?} heard", heard(&stage.notes));
        stage.until(|notes| {
            peers.iter_mut().for_each(|peer| peer.0.write(0));
            heard(notes) == sent
        });
        let closed = |at: usize| stage.notes.seen[at].closed;
        assert_eq!([closed(0), closed(1)], [None, None]);
    });
}

/// Who has ended keeps nothing that others need, whatever came behind the end.
#[test]
fn bytes_behind_the_end_hold_up_nobody() {
    let mut memory = Box::new(Memory::<1>::NEW);
    on_stage(&mut memory, Duration::from_millis(100), |stage| {
        let mut first = stage.connect(1);
        first.ours.send(b"first");
        first.ours.finish();
        first.ours.output.push(23);
        first.write(0);
        stage.until(|notes| notes.seen[0].ends == 1);
        assert_eq!(stage.notes.seen[0].heard, b"first");
        let mut second = stage.connect(2);
        second.ours.send(b"second");
        second.write(0);
        stage.until(|notes| notes.seen[1].heard == b"second");
        assert_eq!(stage.notes.seen[0].closed, None);
        // Its other direction goes on.
        let id = stage.notes.seen[0].id;
        assert_eq!(stage.the_loop.net().write(id, b"answer"), 6);
        stage.until(|_| {
            first.pump();
            first.ours.data == b"answer"
        });
    });
}

/// Memory that a loop never gave back, with a part of a record in it.
#[test]
fn memory_of_a_leaked_loop_is_as_good_as_new() {
    let mut memory = Box::new(Memory::<1>::NEW);
    on_stage(&mut memory, LONG, |stage| {
        let mut peer = stage.connect(1);
        peer.ours.send(b"lost");
        peer.write(1);
        stage.run(Duration::from_millis(5));
        stage.leaks = true;
    });
    on_stage(&mut memory, LONG, |stage| {
        let mut peer = stage.connect(2);
        peer.ours.send(b"heard");
        peer.write(0);
        stage.until(|notes| notes.seen[0].heard == b"heard");
    });
}

/// The connection broke while all inputs were lent to others: what came before is read first,
/// whether a report tells of it or a write that fails.
#[test]
fn a_reset_while_waiting_for_an_input_overtakes_nothing() {
    for writes in [false, true] {
        reset_while_waiting(writes);
    }
}

fn reset_while_waiting(writes: bool) {
    let mut memory = Box::new(Memory::<1>::NEW);
    on_stage(&mut memory, LONG, |stage| {
        let (mut first, mut second) = hold_up(stage);
        second.ours.send(b"second");
        second.write(0);
        // With something that it has not read, it resets.
        let id = stage.notes.seen[1].id;
        assert_eq!(stage.the_loop.net().write(id, b"unread"), 6);
        drop(second);
        if writes {
            assert_eq!(stage.the_loop.net().write(id, b"in vain"), 0);
        }
        stage.run(Duration::from_millis(5));
        assert_eq!(stage.notes.seen[1].heard, b"");
        first.write(0);
        stage.until(|notes| notes.is_closed(1));
        let seen = &stage.notes.seen[1];
        assert_eq!(seen.heard, b"second");
        assert_eq!(seen.closed, Some(Closed::Failed(Error::Reset)));
    });
}
