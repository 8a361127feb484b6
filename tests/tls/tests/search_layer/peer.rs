//! A client of the layer: the engine between two byte queues, with cryptography that only adds up.

use std::hash::Hash;

use usockets::tls::{Alert, Config, Connection, Event, Handshake, Output, RECORD_MAX, Setup};
use usockets_tests_tls::Null;

/// Bytes of a record's header.
const HEADER: usize = 5;

/// The byte at `index` of what line `number` says.
pub const fn byte(number: usize, index: u8) -> u8 {
    index.wrapping_mul(29) ^ (number as u8) << 7
}

/// A client: its connection, what it has of a record that is not whole, what it has sent that has
/// not come.
#[derive(Clone)]
pub struct Peer {
    connection: Connection,
    handshake: Box<Handshake<Null>>,
    input: Vec<u8>,
    pub wire: Vec<u8>,
    /// Bytes of the front record that are still to come; 0 at a border.
    front: usize,
    pub opened: bool,
    /// Counted in bytes of data.
    pub said: u8,
    pub heard: u8,
    pub left: u8,
    /// It has ended, and its end has come.
    pub ended: bool,
    pub end_came: bool,
    /// The server's end was told.
    pub finished: bool,
    /// What the server said when it gave up.
    pub failed: Option<Alert>,
}

impl Hash for Peer {
    fn hash<H: std::hash::Hasher>(&self, into: &mut H) {
        let Self {
            connection,
            handshake,
            input,
            wire,
            front,
            opened,
            said,
            heard,
            left,
            ended,
            end_came,
            finished,
            failed,
        } = self;
        connection.hash(into);
        if !opened {
            handshake.hash(into);
        }
        (input, wire, front, opened).hash(into);
        (said, heard, left, ended, end_came).hash(into);
        (finished, failed).hash(into);
    }
}

impl Peer {
    /// Makes a client whose hello is made.
    pub fn new(config: &Config<'_>, left: u8) -> Self {
        let mut handshake = Box::new(Handshake::EMPTY);
        let mut crypto = Null::new();
        let mut setup = Setup {
            crypto: &mut crypto,
            config,
            sessions: &mut [],
            peer: None,
        };
        let mut room = [0; RECORD_MAX];
        let mut out = Output::new(&mut room);
        let connection = Connection::client(&mut setup, &mut handshake, "localhost", &mut out);
        Self {
            connection: connection.expect("a client"),
            handshake,
            input: Vec::new(),
            wire: out.filled().to_vec(),
            front: 0,
            opened: false,
            said: 0,
            heard: 0,
            left,
            ended: false,
            end_came: false,
            finished: false,
            failed: None,
        }
    }

    /// Makes it what `other` is.
    pub fn copy_from(&mut self, other: &Self) {
        if !other.opened {
            self.handshake.clone_from(&other.handshake);
        }
        self.connection = other.connection.clone();
        self.input.clone_from(&other.input);
        self.wire.clone_from(&other.wire);
        (self.front, self.opened) = (other.front, other.opened);
        (self.said, self.heard, self.left) = (other.said, other.heard, other.left);
        (self.ended, self.end_came) = (other.ended, other.end_came);
        (self.finished, self.failed) = (other.finished, other.failed);
    }

    /// Returns how many bytes of the record at the front of what it sent are still to come.
    fn rest_of_record(&self) -> usize {
        match (self.front, self.wire.get(3..HEADER)) {
            (0, Some(len)) => HEADER + usize::from(len[0]) * 256 + usize::from(len[1]),
            (left, _) => left,
        }
    }

    /// The pieces of what it sent that may come: a byte less than what makes a record whole, that,
    /// and all.
    pub fn pieces(&self) -> Vec<usize> {
        let rest = self.rest_of_record();
        let mut pieces = vec![rest.saturating_sub(1), rest, self.wire.len()];
        pieces.retain(|len| (1..=self.wire.len()).contains(len));
        pieces.dedup();
        pieces
    }

    /// Sends a piece.
    pub fn send(&mut self, len: usize) -> Vec<u8> {
        let mut left = len;
        while left > 0 {
            let rest = self.rest_of_record();
            let now = rest.min(left);
            self.front = rest - now;
            left -= now;
            // So that the next header is at the front.
            let at = len - left;
            if left > 0 && self.front == 0 {
                let header = &self.wire[at + 3..at + HEADER];
                self.front = HEADER + usize::from(header[0]) * 256 + usize::from(header[1]);
            }
        }
        self.wire.drain(..len).collect()
    }

    /// Says a byte.
    pub fn say(&mut self, number: usize) -> Result<(), String> {
        let data = [byte(number, self.said)];
        let mut room = [0; 256];
        let mut out = Output::new(&mut room);
        let taken = self.connection.send(&mut Null::new(), &data, &mut out);
        if taken != Ok(1) {
            return Err(format!("{taken:?} of a byte is sent"));
        }
        self.wire.extend_from_slice(out.filled());
        (self.said, self.left) = (self.said + 1, self.left - 1);
        Ok(())
    }

    /// Ends its direction.
    pub fn end(&mut self) -> Result<(), String> {
        let mut room = [0; 256];
        let mut out = Output::new(&mut room);
        let alert = Alert::CLOSE_NOTIFY;
        let ended = self
            .connection
            .send_alert(&mut Null::new(), alert, &mut out);
        ended.map_err(|alert| format!("no end: {alert}"))?;
        self.wire.extend_from_slice(out.filled());
        self.ended = true;
        Ok(())
    }

    /// Takes what the server sent.
    pub fn hear(&mut self, number: usize, config: &Config<'_>, bytes: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(bytes);
        while self.failed.is_none() {
            let mut room = [0; 4 * 1024];
            let mut room_of_flight = vec![0; if self.opened { 0 } else { RECORD_MAX }];
            let mut out = match self.opened {
                true => Output::new(&mut room),
                false => Output::new(&mut room_of_flight),
            };
            let mut crypto = Null::new();
            let mut setup = Setup {
                crypto: &mut crypto,
                config,
                sessions: &mut [],
                peer: None,
            };
            let handshake = (!self.opened).then_some(&mut *self.handshake);
            let input = &mut self.input;
            let received = self
                .connection
                .receive(&mut setup, handshake, input, &mut out);
            let received = received.map_err(|alert| format!("client {number} fails: {alert}"))?;
            self.wire.extend_from_slice(out.filled());
            match received.event {
                Event::Incomplete { .. } => return Ok(()),
                Event::Open => self.opened = true,
                Event::Data { start, len } => {
                    for heard in &self.input[start..start + len] {
                        if self.finished || *heard != byte(number, self.heard) {
                            return Err(format!("byte {} of {number} is another", self.heard));
                        }
                        self.heard += 1;
                    }
                    if self.heard > self.said {
                        return Err("more is heard than was said".into());
                    }
                }
                Event::Finished => self.finished = true,
                Event::Failed(alert) => self.failed = Some(alert),
                Event::Nothing => {}
                other => return Err(format!("{other:?}")),
            }
            self.input.drain(..received.consumed);
        }
        Ok(())
    }
}
