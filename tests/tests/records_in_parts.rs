//! What a record that comes in parts costs in calls of the platform, when memory for records is
//! short and when it is not.
#![cfg(feature = "tls")]

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use usockets::tls::{Tls, TlsMemory};
use usockets::{Endpoint, Instant, Loop, Platform, SocketId, Sockets};
use usockets_linux::Linux;
use usockets_posix::{Poll, Posix};
use usockets_tests::counted::{Calls, Counted};
use usockets_tests::slow::peers::{Asks, Echo};
use usockets_tests::steady::{Crypto, Steady, config};

/// A connection of a client's through a relay that passes on as much as it is told.
struct Relayed {
    id: SocketId,
    near: TcpStream,
    far: TcpStream,
    /// What the client has sent and the server has not got.
    held: Vec<u8>,
    /// Bytes that pass whatever they are told.
    is_open: bool,
}

impl Relayed {
    /// Moves what is there, both ways.
    fn relay(&mut self) {
        let mut buffer = [0; 65_536];
        if let Some(len) = read(&mut self.near, &mut buffer) {
            self.held.extend_from_slice(&buffer[..len]);
        }
        if self.is_open {
            self.pass(self.held.len());
        }
        if let Some(len) = read(&mut self.far, &mut buffer) {
            self.near.write_all(&buffer[..len]).unwrap();
        }
    }

    fn pass(&mut self, count: usize) {
        self.far.write_all(&self.held[..count]).unwrap();
        self.held.drain(..count);
    }
}

fn read(from: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    match from.read(buffer) {
        Ok(len) => Some(len),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

type Layer<P> = Tls<'static, P, Crypto>;

/// A server with few inputs, and clients of it behind relays.
struct Stage<P: Platform + 'static> {
    server: Loop<'static, Layer<Counted<P>>, Echo>,
    client: Loop<'static, Layer<Linux>, Asks>,
    asks: Asks,
    calls: Rc<Cell<Calls>>,
    at: SocketAddr,
    relay: TcpListener,
    relayed: Vec<Relayed>,
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

impl<P: Platform + 'static> Stage<P> {
    /// With two inputs.
    fn new(platform: P, recv_buffer: Option<usize>) -> Self {
        Self::with_inputs::<2>(platform, recv_buffer)
    }

    fn with_inputs<const INPUTS: usize>(platform: P, recv_buffer: Option<usize>) -> Self {
        let calls = Rc::default();
        let inner = Counted(platform, Rc::clone(&calls));
        let near = leak(TlsMemory::<Crypto, 24, 8, INPUTS, 8>::NEW);
        let far = leak(TlsMemory::<Crypto, 24, 8, 8, 8>::NEW);
        let layer = Tls::new(inner, Crypto::new(Steady(1)), config(), near);
        let buffer = leak([0; 65_536]);
        let mut server = Loop::new(layer, leak(Sockets::<_, Echo, 24>::new()), buffer);
        let layer = Tls::new(Linux::new().unwrap(), Crypto::new(Steady(2)), config(), far);
        let buffer = leak([0; 65_536]);
        let client = Loop::new(layer, leak(Sockets::<_, Asks, 24>::new()), buffer);
        let mut at = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
        at.recv_buffer = recv_buffer;
        let listener = server.net().listen(at, ()).unwrap();
        let at = server.net().local_addr(listener.into()).unwrap();
        Self {
            server,
            client,
            asks: Asks::default(),
            calls,
            at: at.ip().unwrap(),
            relay: TcpListener::bind("127.0.0.1:0").unwrap(),
            relayed: Vec::new(),
        }
    }

    /// Lets everything run for a while.
    fn run(&mut self) {
        for _ in 0..12 {
            let soon = |now: Instant| Some(now.saturating_add(Duration::from_micros(500)));
            let until = soon(self.server.platform().now());
            self.server.poll(&mut Echo, until).unwrap();
            self.relayed.iter_mut().for_each(Relayed::relay);
            let until = soon(self.client.platform().now());
            self.client.poll(&mut self.asks, until).unwrap();
        }
    }

    /// Opens a connection; returns its index.
    fn open(&mut self) -> usize {
        let to = self.relay.local_addr().unwrap();
        let to = Endpoint::tls(to, Some("localhost"));
        let id = self.client.net().connect(to, ()).unwrap();
        let near = self.relay.accept().unwrap().0;
        let far = TcpStream::connect(self.at).unwrap();
        for stream in [&near, &far] {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        self.relayed.push(Relayed {
            id,
            near,
            far,
            held: Vec::new(),
            is_open: true,
        });
        let opened = self.asks.opened;
        while self.asks.opened == opened {
            assert_eq!(self.asks.failed, []);
            self.run();
        }
        self.relayed.len() - 1
    }

    /// Has a client send a record that the relay holds back.
    fn write(&mut self, index: usize, len: usize) {
        self.relayed[index].is_open = false;
        let id = self.relayed[index].id;
        assert_eq!(self.client.net().write(id, &vec![7; len]), len);
        self.run();
        assert!(self.relayed[index].held.len() > len);
    }

    /// Counts the server's calls for a record that comes in so many parts, until it is echoed.
    fn count(&mut self, index: usize, len: usize, parts: usize) -> Calls {
        self.write(index, len);
        self.calls.set(Calls::default());
        let all = self.relayed[index].held.len();
        for part in 0..parts {
            let left = self.relayed[index].held.len();
            let heard = self.asks.heard;
            let count = if part + 1 == parts { left } else { all / parts };
            self.relayed[index].pass(count);
            if part + 1 < parts {
                self.run();
                continue;
            }
            for _ in 0..200 {
                if self.asks.heard == heard + len {
                    break;
                }
                self.run();
            }
            assert_eq!(self.asks.heard, heard + len, "echoed, of {parts} parts");
        }
        self.calls.get()
    }

    /// Has a connection begin a record that it never ends, which takes one of two inputs; returns
    /// its index.
    fn make_short(&mut self) -> usize {
        let index = self.open();
        self.begin(index);
        index
    }

    /// Has a connection begin a record.
    fn begin(&mut self, index: usize) {
        self.write(index, 100);
        self.relayed[index].pass(10);
        self.run();
    }

    /// Has a connection end the record that it has begun.
    fn end(&mut self, index: usize) {
        let left = self.relayed[index].held.len();
        self.relayed[index].pass(left);
        self.run();
    }
}

#[test]
fn cost_no_more_than_five_calls_when_memory_is_short() {
    let mut stage = Stage::new(Linux::new().unwrap(), None);
    let index = stage.open();
    // A receive for each part, and behind each but the last one that finds nothing.
    for parts in [1, 2, 3, 8] {
        let calls = stage.count(index, 3_000, parts);
        assert_eq!(calls.for_input(), 2 * parts as u32 - 1, "{calls:?}");
    }
    stage.make_short();
    // A look, the mark, a look, the receive, and the mark's removal.
    for (len, parts, most) in [
        (3_000, 1, 2),
        (3_000, 2, 5),
        (16_000, 3, 5),
        (3_000, 8, 5),
        (3_000, 40, 5),
        (5, 2, 5),
    ] {
        let calls = stage.count(index, len, parts);
        println!("{len} bytes in {parts} parts: {calls:?}");
        assert_eq!(calls.for_input(), most, "{calls:?}");
    }
    // The mark is gone: what is smaller comes too.
    assert_eq!(stage.count(index, 5, 1).for_input(), 2);
}

/// A record that comes as a whole costs one receive, whatever others do who send theirs in parts:
/// they get half of the inputs at most.
#[test]
fn cost_no_call_more_when_whole_beside_peers_that_send_in_parts() {
    let mut stage = Stage::with_inputs::<8>(Linux::new().unwrap(), None);
    let index = stage.open();
    assert_eq!(
        stage.count(index, 100, 1).for_input(),
        1,
        "nobody else is there"
    );
    let slow: Vec<_> = (0..12).map(|_| stage.make_short()).collect();
    for len in [5, 100, 3_000, 16_000] {
        let calls = stage.count(index, len, 1);
        assert_eq!(
            (calls.receives, calls.for_input()),
            (1, 1),
            "{len} bytes: {calls:?}"
        );
    }
    // Their next records are no better.
    for _ in 0..2 {
        slow.iter().for_each(|index| stage.end(*index));
        slow.iter().for_each(|index| stage.begin(*index));
        assert_eq!(stage.count(index, 100, 1).for_input(), 1);
    }
    // Who comes now is looked at once, and then known.
    let late = stage.open();
    assert_eq!(stage.count(late, 100, 1).for_input(), 2);
    assert_eq!(stage.count(late, 100, 1).for_input(), 1);
    // One record in parts, and the next is looked at.
    assert!(stage.count(late, 3_000, 2).for_input() <= 5);
    assert_eq!(stage.count(late, 100, 1).for_input(), 2);
    assert_eq!(stage.count(late, 100, 1).for_input(), 1);
}

/// A receive buffer in which no whole record has room.
#[test]
fn larger_than_the_window_come_through() {
    let mut stage = Stage::new(Linux::new().unwrap(), Some(4_096));
    let index = stage.open();
    stage.make_short();
    for (len, parts) in [(16_000, 1), (16_000, 3), (100, 2)] {
        stage.count(index, len, parts);
    }
}

/// `poll(2)` says that there is something as long as there is, so what is incomplete is taken.
#[test]
fn come_through_over_poll() {
    let mut stage = Stage::new(Posix::new(leak(Poll::<16>::new())), None);
    let index = stage.open();
    stage.make_short();
    for (len, parts) in [(3_000, 1), (3_000, 2), (16_000, 3), (5, 2)] {
        stage.count(index, len, parts);
    }
}
