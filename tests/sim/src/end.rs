//! One end of a simulated connection, and listeners.

use std::collections::VecDeque;
use std::net::SocketAddr;

use usockets::{Error, Readiness, SocketId};

use crate::datagrams::Mail;
use crate::pressure::Pressure;

/// What a host holds under one key: a connection's end or a listener.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: usize,
    /// The name that reports carry; none while a connection waits to be accepted.
    pub(super) id: Option<SocketId>,
    pub(super) local: SocketAddr,
    /// Whether the program has it. A connection goes on without, until its bytes are out.
    pub(super) held: bool,
    pub(super) kind: Kind,
    /// Facts to report with the next poll.
    pub(super) pending: Readiness,
    /// Whether `pending` is on the host's list.
    pub(super) queued: bool,
    /// Whether `readable` was reported and the program was not told since that nothing is left.
    pub(super) told: bool,
    /// When the last datagram it sent arrives.
    pub(super) last_mail: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    Listener(Listener),
    Stream(Stream),
    Mail(Mail),
}

#[derive(Debug)]
pub(super) struct Listener {
    /// Keys of the connections that wait.
    pub(super) waiting: VecDeque<u32>,
    pub(super) backlog: usize,
    pub(super) accepting: bool,
    pub(super) v6_only: bool,
    pub(super) reuse_port: bool,
    pub(super) recv_buffer: usize,
    pub(super) send_buffer: usize,
}

/// Where a stream stands with opening.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opening {
    Asked,
    Open,
}

/// What a layer does with a stream while the loop waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Busy {
    /// It opens one that was accepted.
    Handshake,
    /// It holds our end back.
    End,
    /// It sends what it holds of one that the program has closed.
    Farewell,
}

/// A layer's work on a stream: until a time, and then until it was asked so often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Work {
    pub(super) what: Busy,
    pub(super) until: u64,
    pub(super) asks: u64,
}

impl Busy {
    /// Whether the program does not know of the stream, or not any more.
    pub(super) const fn is_hidden(self) -> bool {
        !matches!(self, Self::End)
    }
}

/// One end of a connection: its side of both directions.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) opening: Opening,
    pub(super) remote: SocketAddr,
    /// Key of the other end; 0 until there is one.
    pub(super) peer: u32,
    pub(super) serial: u64,
    /// Whether this end connected.
    pub(super) client: bool,
    /// Arrived, not received yet.
    pub(super) incoming: VecDeque<u8>,
    pub(super) incoming_max: usize,
    /// Bytes that must have arrived before they are reported.
    pub(super) low_water: usize,
    /// Sent, not arrived yet.
    pub(super) outgoing: VecDeque<u8>,
    pub(super) outgoing_max: usize,
    /// Whether an arrival is scheduled.
    pub(super) moving: bool,
    /// When the last thing sent arrives: nothing overtakes it.
    pub(super) last_arrival: u64,
    /// Our end is to follow the last byte.
    pub(super) finished: bool,
    /// What the host, as a layer, is busy with.
    pub(super) busy: Option<Work>,
    /// Our end has arrived.
    pub(super) finish_arrived: bool,
    /// The peer's end has arrived.
    pub(super) ended: bool,
    /// The connection broke. Shows after the bytes that came before.
    pub(super) error: Option<Error>,
    /// The program has been given the error by a call that failed.
    pub(super) error_told: bool,
    /// A send came back short, and room was not reported since.
    pub(super) blocked: bool,
    pub(super) pressure: Pressure,
    /// Bytes that the program handed over so far.
    pub(super) sent: u64,
    /// Bytes that the program received so far.
    pub(super) received: u64,
}

impl Stream {
    pub(super) fn new(remote: SocketAddr, serial: u64, incoming: usize, outgoing: usize) -> Self {
        Self {
            opening: Opening::Asked,
            remote,
            peer: 0,
            serial,
            client: false,
            incoming: VecDeque::new(),
            incoming_max: incoming.max(1),
            low_water: 1,
            outgoing: VecDeque::new(),
            outgoing_max: outgoing.max(1),
            moving: false,
            last_arrival: 0,
            finished: false,
            busy: None,
            finish_arrived: false,
            ended: false,
            error: None,
            error_told: false,
            blocked: false,
            pressure: Pressure::default(),
            sent: 0,
            received: 0,
        }
    }

    /// Whether something is there to be read: bytes, the peer's end or an error.
    pub(super) fn is_readable(&self) -> bool {
        !self.incoming.is_empty() || self.ended || self.error.is_some()
    }

    pub(super) fn room(&self) -> usize {
        self.outgoing_max.saturating_sub(self.outgoing.len())
    }
}

impl End {
    pub(super) fn new(host: usize, local: SocketAddr, kind: Kind) -> Self {
        Self {
            host,
            id: None,
            local,
            held: false,
            kind,
            pending: Readiness::NONE,
            queued: false,
            told: false,
            last_mail: 0,
        }
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.kind {
            Kind::Stream(stream) => Some(stream),
            Kind::Listener(_) | Kind::Mail(_) => None,
        }
    }

    pub(super) fn listener(&mut self) -> Option<&mut Listener> {
        match &mut self.kind {
            Kind::Listener(listener) => Some(listener),
            Kind::Stream(_) | Kind::Mail(_) => None,
        }
    }

    /// The facts that hold now.
    pub(super) fn facts(&self) -> Readiness {
        match &self.kind {
            Kind::Mail(mail) => mail.facts(),
            Kind::Listener(listener) => {
                Readiness::READABLE.when(listener.accepting && !listener.waiting.is_empty())
            }
            Kind::Stream(stream) => {
                let open = stream.opening == Opening::Open;
                Readiness::READABLE
                    .when(stream.is_readable())
                    .union(Readiness::ENDED.when(stream.ended))
                    .union(Readiness::ERROR.when(stream.error.is_some()))
                    .union(Readiness::WRITABLE.when(open && stream.room() > 0))
            }
        }
    }
}
