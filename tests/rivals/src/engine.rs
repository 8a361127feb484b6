//! Our engine as a server that is timed, and anything else that is.

use std::time::{Duration, Instant};

use usockets::tls::{
    Config, Connection, Crypto, Event, Handshake, Output, RECORD_MAX, Session, Setup, TlsSocket,
};

use crate::heap;

/// Plaintext bytes of the records that are measured.
pub const RECORD: usize = 16_384;

/// A server of one connection at a time, without transport. Each call returns how long it took.
/// What comes is copied once in that time, from where the kernel would have it to where the library
/// does.
pub trait Server {
    /// Gets ready for a client.
    fn start(&mut self);

    /// Takes what the client sent, and makes the answer.
    fn feed(&mut self, bytes: &[u8]) -> Duration;

    /// Moves what is to be sent to `bytes`.
    fn take(&mut self, bytes: &mut Vec<u8>);

    /// Protects one record of data, which goes nowhere.
    fn send(&mut self, data: &[u8; RECORD]) -> Duration;

    /// Opens one record of data, whose plaintext is then where the program reads it.
    fn receive(&mut self, record: &[u8]) -> Duration;

    /// Gives up the connection, with what it has on the heap.
    fn end(&mut self);

    fn is_resumed(&self) -> bool;

    /// Returns how many bytes the program has set aside for each connection: for one in the
    /// handshake, and for one that is open and silent.
    fn pools(&self) -> [usize; 2] {
        [0; 2]
    }
}

/// Our engine in memory that is there from the start.
pub struct Ours<'a, C: Crypto> {
    config: &'a Config<'a>,
    crypto: C,
    connection: Connection,
    handshake: Box<Handshake<C>>,
    sessions: Box<[Session; 1]>,
    input: Vec<u8>,
    output: Box<[u8; 2 * RECORD_MAX]>,
    output_len: usize,
}

impl<'a, C: Crypto> Ours<'a, C> {
    pub fn new(config: &'a Config<'a>, crypto: C) -> Self {
        Self {
            config,
            crypto,
            connection: Connection::CLOSED,
            handshake: Box::new(Handshake::EMPTY),
            sessions: Box::new([Session::EMPTY]),
            input: Vec::with_capacity(4 * RECORD_MAX),
            output: Box::new([0; 2 * RECORD_MAX]),
            output_len: 0,
        }
    }

    /// Becomes a client, which has something to send.
    pub fn connect(&mut self) {
        self.start();
        let mut setup = Setup {
            crypto: &mut self.crypto,
            config: self.config,
            sessions: &mut self.sessions[..],
            peer: None,
        };
        let mut out = Output::new(&mut self.output[..]);
        let started = Connection::client(&mut setup, &mut self.handshake, "localhost", &mut out);
        self.connection = started.expect("a good configuration");
        self.output_len = out.len();
    }

    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Processes the records in `input`; returns how many bytes that were.
    fn receive(&mut self) -> usize {
        let mut start = 0;
        let mut out = Output::new(&mut self.output[..]);
        loop {
            let mut setup = Setup {
                crypto: &mut self.crypto,
                config: self.config,
                sessions: &mut self.sessions[..],
                peer: None,
            };
            let handshake = (!self.connection.is_open()).then_some(&mut *self.handshake);
            let input = &mut self.input[start..];
            let received = self
                .connection
                .receive(&mut setup, handshake, input, &mut out);
            let received = received.expect("the client is right");
            if let Event::Incomplete { .. } = received.event {
                self.output_len = out.len();
                return start;
            }
            start += received.consumed;
        }
    }
}

impl<C: Crypto> Server for Ours<'_, C> {
    fn start(&mut self) {
        self.handshake.reset();
        self.connection = Connection::server();
        self.input.clear();
    }

    fn feed(&mut self, bytes: &[u8]) -> Duration {
        let start = Instant::now();
        self.input.extend_from_slice(bytes);
        let used = heap::counted(|| self.receive());
        let time = start.elapsed();
        self.input.drain(..used);
        time
    }

    fn take(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.output[..self.output_len]);
        self.output_len = 0;
    }

    fn send(&mut self, data: &[u8; RECORD]) -> Duration {
        let start = Instant::now();
        let sent = heap::counted(|| {
            let mut out = Output::new(&mut self.output[..]);
            self.connection.send(&mut self.crypto, data, &mut out)
        });
        let time = start.elapsed();
        assert_eq!(sent, Ok(RECORD));
        time
    }

    fn receive(&mut self, record: &[u8]) -> Duration {
        self.feed(record)
    }

    fn end(&mut self) {
        self.connection = Connection::CLOSED;
    }

    fn is_resumed(&self) -> bool {
        self.connection.is_resumed()
    }

    fn pools(&self) -> [usize; 2] {
        let idle = size_of::<TlsSocket<u64>>() - size_of::<u64>();
        [idle + size_of::<Handshake<C>>(), idle]
    }
}
