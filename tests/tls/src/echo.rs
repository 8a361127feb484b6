//! A handler that asks and one that echoes, in one loop.

use std::collections::HashMap;

use usockets::{Closed, Error, Handler, Opened, Platform, Socket, SocketId};

/// What a socket does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Sends back what comes.
    Echo,
    /// Sends the payload, waits for it to come back, then finishes.
    Ask,
    /// Sends nothing and waits.
    Wait,
    /// Sends the payload and reads nothing.
    Deaf,
    /// As [`Self::Ask`], but closes without finishing when the payload is back.
    Leave,
}

/// Everything that happened, and the payload.
#[derive(Default)]
pub struct Echo {
    pub payload: Vec<u8>,
    pub opened: usize,
    pub echoed: usize,
    pub closed: HashMap<SocketId, (Part, Closed)>,
    pub failed: Vec<Error>,
    pub ends: usize,
    /// What was agreed on above TLS, of each that opened.
    pub protocols: Vec<Vec<u8>>,
}

impl Echo {
    pub fn new(len: usize) -> Self {
        Self {
            payload: (0..len).map(|n| (n * 7 + n / 251) as u8).collect(),
            ..Self::default()
        }
    }

    /// How the sockets of `part` closed.
    pub fn closed(&self, part: Part) -> Vec<Closed> {
        let of_part = self.closed.values().filter(|closed| closed.0 == part);
        of_part.map(|closed| closed.1).collect()
    }
}

pub struct Held {
    part: Part,
    unsent: Vec<u8>,
    received: Vec<u8>,
    is_ended: bool,
}

impl Echo {
    fn write<P: Platform>(socket: &mut Socket<'_, P, Self>, held: &mut Held) {
        let taken = socket.write(&held.unsent);
        held.unsent.drain(..taken);
        if held.unsent.is_empty() && held.is_ended {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Echo {
    type Ext = Held;
    type Context = Part;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<Part>) -> Held {
        self.opened += 1;
        self.protocols.push(socket.protocol().to_vec());
        let part = opened.context();
        let mut held = Held {
            part,
            unsent: Vec::new(),
            received: Vec::new(),
            is_ended: false,
        };
        if part == Part::Deaf {
            socket.pause();
        }
        if matches!(part, Part::Ask | Part::Leave | Part::Deaf) {
            held.unsent = self.payload.clone();
            Self::write(socket, &mut held);
        }
        held
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Held, data: &mut [u8]) {
        assert!(!data.is_empty());
        assert!(!held.is_ended, "data after the end");
        match held.part {
            Part::Echo => {
                held.unsent.extend_from_slice(data);
                Self::write(socket, held);
            }
            Part::Ask | Part::Leave => {
                held.received.extend_from_slice(data);
                if held.received.len() >= self.payload.len() {
                    assert!(held.received == self.payload, "what came back differs");
                    self.echoed += 1;
                    if held.part == Part::Ask {
                        socket.finish();
                    } else {
                        socket.close_with(7);
                    }
                }
            }
            Part::Wait | Part::Deaf => held.received.extend_from_slice(data),
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Held) {
        Self::write(socket, held);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Held) {
        assert!(!held.is_ended, "a second end");
        self.ends += 1;
        held.is_ended = true;
        if held.unsent.is_empty() {
            socket.finish();
        }
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Held, closed: Closed) {
        let earlier = self.closed.insert(socket.id(), (held.part, closed));
        assert_eq!(earlier, None, "closed twice");
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, _: Part, error: Error) {
        self.failed.push(error);
    }
}
