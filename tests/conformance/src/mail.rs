//! Loops whose handler sends and receives datagrams, and driving several of them.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{
    Arrival, Closed, DatagramError, Datagrams, Departure, Handler, Loop, Opened, Platform, Socket,
    SocketId, Sockets,
};

use crate::bed::Bed;

/// A received datagram, or run of them.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Which socket received it.
    pub id: SocketId,
    /// What the platform told.
    pub arrival: Arrival,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What is done when something can be received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reading {
    /// One batch is received.
    Batch,
    /// Nothing is received.
    Nothing,
    /// One batch is received, and the socket closed.
    AndClose,
}

/// A call of the handler in which a socket is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClosesIn {
    /// `on_open`.
    Open,
    /// `on_readable`, before anything is received.
    Readable,
    /// `on_writable`.
    Writable,
    /// `on_timeout`.
    Timeout,
}

/// A handler that writes down what came.
#[derive(Debug)]
pub struct Post {
    /// Sockets that were bound, in order.
    pub opened: Vec<(SocketId, u8)>,
    /// Datagrams, in order.
    pub letters: Vec<Letter>,
    /// Errors that came back.
    pub errors: Vec<(SocketId, DatagramError)>,
    /// Calls of `on_readable`.
    pub readable: Vec<SocketId>,
    /// Calls of `on_writable`.
    pub writable: Vec<SocketId>,
    /// Calls of `on_timeout`.
    pub timeouts: Vec<SocketId>,
    /// Sockets that closed, and why.
    pub closed: Vec<(SocketId, Closed)>,
    /// Calls after `on_close`, or before `on_open`.
    pub misplaced: usize,
    /// Bytes for each datagram.
    pub part: usize,
    /// Datagrams of a batch.
    pub batch: usize,
    /// What is done when something can be received.
    pub reading: Reading,
    /// Whether errors are taken.
    pub takes_errors: bool,
    /// In which call a socket is closed, if in any.
    pub closes_in: Option<ClosesIn>,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            opened: Vec::new(),
            letters: Vec::new(),
            errors: Vec::new(),
            readable: Vec::new(),
            writable: Vec::new(),
            timeouts: Vec::new(),
            closed: Vec::new(),
            misplaced: 0,
            part: 2_048,
            batch: 8,
            reading: Reading::Batch,
            takes_errors: true,
            closes_in: None,
        }
    }
}

impl Post {
    /// The bytes that a socket received, in order.
    #[must_use]
    pub fn of(&self, id: SocketId) -> Vec<&[u8]> {
        let letters = self.letters.iter().filter(|letter| letter.id == id);
        letters.map(|letter| letter.bytes.as_slice()).collect()
    }

    fn check(&mut self, id: SocketId) {
        let opened = self.opened.iter().any(|(other, _)| *other == id);
        let closed = self.closed.iter().any(|(other, _)| *other == id);
        self.misplaced += usize::from(!opened || closed);
    }
}

impl<P: Datagrams> Handler<P> for Post {
    type Ext = ();
    type Context = u8;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<u8>) {
        let Opened::Bound { context } = opened else {
            panic!("no datagram socket: {opened:?}");
        };
        self.opened.push((socket.id(), context));
        if self.closes_in == Some(ClosesIn::Open) {
            socket.close();
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {
        self.misplaced += 1;
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        let id = socket.id();
        self.check(id);
        self.readable.push(id);
        if self.closes_in == Some(ClosesIn::Readable) {
            return socket.close();
        }
        while self.takes_errors
            && let Some(error) = socket.next_datagram_error()
        {
            self.errors.push((id, error));
        }
        if self.reading == Reading::Nothing {
            return;
        }
        let mut memory = vec![0; self.part * self.batch];
        let mut arrivals = vec![Arrival::default(); self.batch];
        let count = socket.recv_batch(&mut memory, &mut arrivals);
        let count = count.expect("a sound platform");
        for (arrival, bytes) in arrivals.iter().zip(memory.chunks(self.part)).take(count) {
            self.letters.push(Letter {
                id,
                arrival: *arrival,
                bytes: bytes[..arrival.len].to_vec(),
            });
        }
        if self.reading == Reading::AndClose && count > 0 {
            socket.close();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        self.check(socket.id());
        self.writable.push(socket.id());
        if self.closes_in == Some(ClosesIn::Writable) {
            socket.close();
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        self.check(socket.id());
        self.timeouts.push(socket.id());
        if self.closes_in == Some(ClosesIn::Timeout) {
            socket.close();
        }
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), closed: Closed) {
        self.check(socket.id());
        self.closed.push((socket.id(), closed));
    }
}

/// A loop with such a handler, on one host.
pub struct Office<P: Datagrams + 'static> {
    /// The host's number.
    pub host: usize,
    /// The loop.
    pub lp: Loop<'static, P, Post>,
    /// Its handler.
    pub post: Post,
}

impl<P: Datagrams + 'static> Office<P> {
    /// Makes a loop on a further host of a bed; `host` is its number.
    pub fn new(bed: &mut impl Bed<P = P>, host: usize) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<P, Post, 8>::new()));
        let buffer = vec![0; 64].leak();
        Self {
            host,
            lp: Loop::with_buffer(bed.platform(), sockets, buffer).expect("a buffer"),
            post: Post::default(),
        }
    }

    /// Binds a socket at an address, and returns it with the address that it has.
    pub fn bind(&mut self, at: SocketAddr, context: u8) -> (SocketId, SocketAddr) {
        let id = self.lp.net().bind(at.into(), context).expect("a socket");
        (id, self.addr(id))
    }

    /// Returns the address of a socket.
    pub fn addr(&mut self, id: SocketId) -> SocketAddr {
        let addr = self.lp.net().local_addr(id).expect("its address");
        addr.ip().expect("an Internet address")
    }

    /// Sends one datagram; whether it was taken.
    pub fn send(&mut self, id: SocketId, to: SocketAddr, bytes: &[u8]) -> bool {
        let departure = Departure {
            len: bytes.len(),
            to: to.into(),
            ..Departure::default()
        };
        self.send_as(id, bytes, departure)
    }

    /// Sends what a departure says; whether it was taken.
    pub fn send_as(&mut self, id: SocketId, bytes: &[u8], departure: Departure) -> bool {
        let sent = self.lp.net().send_batch(id, bytes, &[departure]);
        assert_eq!(sent.error, None);
        sent.count == 1
    }

    fn is_due(&self, bed: &impl Bed<P = P>) -> bool {
        bed.is_due(self.host, self.lp.next_deadline())
    }
}

/// Drives loops until `done`, for at most `limit` of the bed's time; whether it was.
pub fn deliver_until<B: Bed>(
    bed: &mut B,
    offices: &mut [&mut Office<B::P>],
    limit: Duration,
    mut done: impl FnMut(&mut [&mut Office<B::P>]) -> bool,
) -> bool
where
    B::P: Platform + Datagrams,
{
    let end = bed.now() + limit;
    loop {
        for office in &mut *offices {
            if office.is_due(bed) {
                let until = bed.patience(office.lp.platform());
                let result = office.lp.poll(&mut office.post, until);
                result.expect("a sound platform");
            }
        }
        assert!(offices.iter().all(|office| office.post.misplaced == 0));
        if done(offices) {
            return true;
        }
        if bed.now() >= end {
            return false;
        }
        if offices.iter().all(|office| !office.is_due(bed)) {
            bed.pass(end - bed.now());
        }
    }
}
