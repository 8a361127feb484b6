//! A peer of the layer: the engine between two byte queues, with cryptography that only adds up.

use usockets::tls::{Alert, Config, Event, Session};
use usockets_tests_tls::{Engine, Null};

/// Bytes of a record's header.
const HEADER: usize = 5;

/// The byte at `index` of what line `number` says.
pub const fn byte(number: usize, index: u8) -> u8 {
    index.wrapping_mul(29) ^ (number as u8) << 7
}

/// A peer: its side of the connection, what it has of a record that is not whole, what it has sent
/// that has not come.
#[derive(Hash)]
pub struct Peer<const P256: bool> {
    engine: Engine<Null<P256>>,
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
    /// The end of ours was told.
    pub finished: bool,
    /// What we said when we gave up.
    pub failed: Option<Alert>,
}

impl<const P256: bool> Peer<P256> {
    /// Makes a client whose hello is made.
    pub fn client(
        crypto: Null<P256>,
        config: &Config<'_>,
        sessions: Vec<Session>,
        left: u8,
    ) -> Self {
        let (engine, wire) = Engine::client(crypto, config, sessions);
        Self {
            wire,
            ..Self::new(engine, left)
        }
    }

    /// Makes a server.
    pub fn server(crypto: Null<P256>, left: u8) -> Self {
        Self::new(Engine::server(crypto), left)
    }

    const fn new(engine: Engine<Null<P256>>, left: u8) -> Self {
        Self {
            engine,
            input: Vec::new(),
            wire: Vec::new(),
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
        self.engine.copy_from(&other.engine);
        self.input.clone_from(&other.input);
        self.wire.clone_from(&other.wire);
        (self.front, self.opened) = (other.front, other.opened);
        (self.said, self.heard, self.left) = (other.said, other.heard, other.left);
        (self.ended, self.end_came) = (other.ended, other.end_came);
        (self.finished, self.failed) = (other.finished, other.failed);
    }

    pub const fn is_resumed(&self) -> bool {
        self.engine.connection.is_resumed()
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
        let taken = self.engine.send(&data, &mut self.wire);
        if taken != Ok(1) {
            return Err(format!("{taken:?} of a byte is sent"));
        }
        (self.said, self.left) = (self.said + 1, self.left - 1);
        Ok(())
    }

    /// Ends its direction.
    pub fn end(&mut self) -> Result<(), String> {
        let ended = self.engine.send_alert(Alert::CLOSE_NOTIFY, &mut self.wire);
        ended.map_err(|alert| format!("no end: {alert}"))?;
        self.ended = true;
        Ok(())
    }

    /// Takes what was sent to it.
    pub fn hear(&mut self, number: usize, config: &Config<'_>, bytes: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(bytes);
        while self.failed.is_none() {
            let received = self.engine.receive(config, &mut self.input, &mut self.wire);
            let received = received.map_err(|alert| format!("peer {number} fails: {alert}"))?;
            match received.event {
                Event::Incomplete { .. } => return Ok(()),
                Event::Open => {
                    self.opened = true;
                    self.engine.forget_handshake();
                }
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
