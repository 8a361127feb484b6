//! The network below the layer: the least that the contract of a platform promises. Each fact is
//! reported once after it becomes true, and a peer that is slow leaves little room.

use std::hash::Hash;

use usockets::{Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness};
use usockets::{Ready, Recv, SocketId};
use usockets_sim::search::Choices;

/// Connections of a configuration, at most.
pub const LINES_MAX: usize = 2;
/// The port of the listener.
const PORT: u16 = 443;
/// The key of the listener; a connection's is its number plus one.
const LISTENER: u8 = 100;

/// What a slot of the loop has: a listener or a line.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Key(u8);

/// How far a line has come.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Stage {
    #[default]
    Unused,
    /// It waits to be accepted.
    Asked,
    Held,
    /// The loop has given it up, or refused it.
    Gone,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub stage: Stage,
    id: Option<SocketId>,
    /// What has come and is not received, and what was sent and is not taken.
    pub incoming: Vec<u8>,
    pub outgoing: Vec<u8>,
    /// We have called, and nobody has answered yet.
    pub opening: bool,
    pub ended: bool,
    pub reset: bool,
    /// Our end follows what was sent.
    pub finished: bool,
    /// The loop has reset it.
    pub aborted: bool,
    pending: Readiness,
    /// That something came is to be reported.
    armed: bool,
    blocked: bool,
    low_water: usize,
}

impl Hash for Line {
    fn hash<H: std::hash::Hasher>(&self, into: &mut H) {
        let Self {
            stage,
            // The loop has it, and hashes whose it is.
            id: _,
            incoming,
            outgoing,
            opening,
            ended,
            reset,
            finished,
            aborted,
            pending,
            armed,
            blocked,
            low_water,
        } = self;
        (stage, incoming, outgoing, opening, ended, reset).hash(into);
        (finished, aborted, pending.bits(), armed).hash(into);
        (blocked, low_water).hash(into);
    }
}

impl Line {
    fn mark(&mut self, facts: Readiness) {
        if self.stage == Stage::Held {
            self.pending = self.pending.union(facts);
        }
    }

    /// Reports that something can be received, once until all was, and if it is enough.
    fn tell(&mut self) {
        let is_enough = self.incoming.len() >= self.low_water.max(1) || self.ended;
        if self.armed && is_enough && (self.ended || !self.incoming.is_empty()) {
            self.armed = false;
            self.mark(Readiness::READABLE.union(Readiness::ENDED.when(self.ended)));
        }
    }

    fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.outgoing.len())
    }
}

/// The platform.
#[derive(Clone)]
pub struct Wire {
    pub lines: [Line; LINES_MAX],
    listener: Option<SocketId>,
    accepting: bool,
    /// The listener is to be reported.
    waits: bool,
    pub now: u64,
    pub wrong: Option<&'static str>,
    choices: Choices,
    /// Bytes that a line holds which its peer has not taken.
    room: usize,
    peeks: bool,
    /// Lines that the last wait has found, one bit each, and the listener's.
    batch: u8,
}

impl Hash for Wire {
    fn hash<H: std::hash::Hasher>(&self, into: &mut H) {
        let Self {
            lines,
            listener: _,
            accepting,
            waits,
            // Absolute; what is compared with it is hashed as a difference.
            now: _,
            wrong: _,
            // The same in all of a search.
            choices: _,
            room: _,
            peeks: _,
            // Empty between iterations.
            batch: _,
        } = self;
        (lines, accepting, waits).hash(into);
    }
}

impl Wire {
    pub fn new(choices: &Choices, room: usize, peeks: bool) -> Self {
        Self {
            lines: Default::default(),
            listener: None,
            accepting: true,
            waits: false,
            now: 1_000_000,
            wrong: None,
            choices: choices.clone(),
            room,
            peeks,
            batch: 0,
        }
    }

    /// Returns what the program listens at.
    pub fn endpoint() -> Endpoint<'static> {
        Endpoint::tls(address(PORT), None)
    }

    /// Returns whom the program calls: of a ticket that the engine alone was given, no port is
    /// known.
    pub fn peer() -> Endpoint<'static> {
        Endpoint::tls(address(0), Some("localhost"))
    }

    fn has_waiting(&self) -> bool {
        self.lines.iter().any(|line| line.stage == Stage::Asked)
    }

    /// Whether the loop has something to be told.
    pub fn is_pending(&self) -> bool {
        self.pending() != 0
    }

    fn pending(&self) -> u8 {
        let listener = u8::from(self.waits && self.accepting && self.has_waiting());
        let mut bits = listener << LINES_MAX;
        for (number, line) in self.lines.iter().enumerate() {
            let is_told = line.stage == Stage::Held && line.pending != Readiness::NONE;
            bits |= u8::from(is_told) << number;
        }
        bits
    }

    pub fn ask(&mut self, number: usize) {
        self.lines[number].stage = Stage::Asked;
        self.waits = true;
    }

    /// Who was called answers.
    pub fn answer(&mut self, number: usize) {
        let line = &mut self.lines[number];
        line.opening = false;
        line.mark(Readiness::WRITABLE);
    }

    /// Bytes come.
    pub fn come(&mut self, number: usize, bytes: &[u8]) {
        let line = &mut self.lines[number];
        line.incoming.extend_from_slice(bytes);
        line.tell();
    }

    pub fn end(&mut self, number: usize) {
        let line = &mut self.lines[number];
        line.ended = true;
        line.armed = true;
        line.tell();
    }

    pub fn reset(&mut self, number: usize) {
        let line = &mut self.lines[number];
        line.reset = true;
        line.incoming.clear();
        line.outgoing.clear();
        let both = Readiness::READABLE.union(Readiness::WRITABLE);
        line.mark(both.union(Readiness::ERROR));
    }

    /// The peer takes what was sent.
    pub fn take(&mut self, number: usize) -> Vec<u8> {
        let line = &mut self.lines[number];
        let bytes = std::mem::take(&mut line.outgoing);
        if std::mem::take(&mut line.blocked) {
            line.mark(Readiness::WRITABLE);
        }
        bytes
    }

    /// Returns a line by which bytes can go.
    fn opened(&mut self, key: Key) -> Result<&mut Line, Error> {
        if self.line(key)?.opening {
            self.wrong = Some("a call for a connection that is not open yet");
        }
        self.line(key)
    }

    fn line(&mut self, key: Key) -> Result<&mut Line, Error> {
        let number = usize::from(key.0).checked_sub(1).ok_or(Error::Invalid)?;
        let line = self.lines.get_mut(number).ok_or(Error::Invalid)?;
        if line.stage != Stage::Held {
            self.wrong = Some("a call for a connection that was given up");
        }
        Ok(line)
    }

    fn give_up(&mut self, key: &mut Key, aborts: bool) {
        let key = std::mem::take(key);
        let Some(number) = usize::from(key.0).checked_sub(1) else {
            return;
        };
        self.choices
            .note(|| format!("platform: gives up {number}, aborts: {aborts}"));
        if let Some(line) = self.lines.get_mut(number) {
            line.stage = Stage::Gone;
            line.finished = true;
            // What nobody will read is answered with a reset.
            line.aborted |= aborts || !line.incoming.is_empty();
            line.incoming.clear();
            if line.aborted {
                line.outgoing.clear();
            }
            line.pending = Readiness::NONE;
            (line.armed, line.blocked, line.low_water) = (false, false, 0);
        }
    }
}

impl Platform for Wire {
    type Socket = Key;

    const CLOSED: Key = Key(0);

    fn listen(&mut self, socket: &mut Key, id: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        self.listener = Some(id);
        socket.0 = LISTENER;
        Ok(())
    }

    fn connect(&mut self, socket: &mut Key, id: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        let unused = |line: &Line| line.stage == Stage::Unused;
        let number = self.lines.iter().position(unused).ok_or(Error::Exhausted)?;
        let line = &mut self.lines[number];
        (line.stage, line.id, line.armed) = (Stage::Held, Some(id), true);
        line.opening = true;
        socket.0 = number as u8 + 1;
        Ok(())
    }

    fn accept(
        &mut self,
        _: &mut Key,
        socket: &mut Key,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let asked = |line: &Line| line.stage == Stage::Asked;
        let Some(number) = self.lines.iter().position(asked) else {
            return Ok(None);
        };
        let line = &mut self.lines[number];
        (line.stage, line.id, line.armed) = (Stage::Held, Some(id), true);
        line.tell();
        if line.reset {
            line.mark(Readiness::READABLE.union(Readiness::ERROR));
        }
        socket.0 = number as u8 + 1;
        self.waits = self.has_waiting();
        Ok(Some(Accepted {
            peer: address(socket.0.into()).into(),
            drained: !self.waits,
        }))
    }

    fn refuse(&mut self, _: &mut Key) -> Result<bool, Error> {
        Ok(false)
    }

    fn set_accepting(&mut self, _: &mut Key, _: SocketId, on: bool) -> Result<(), Error> {
        self.accepting = on;
        self.waits = on && self.has_waiting();
        Ok(())
    }

    fn open(&mut self, socket: &mut Key, _: Readiness) -> Result<Progress, Error> {
        let line = self.line(*socket)?;
        match (line.opening, line.reset) {
            (false, _) => Ok(Progress::Done),
            (true, false) => Ok(Progress::Pending),
            (true, true) => Err(Error::Refused),
        }
    }

    fn take_error(&mut self, socket: &mut Key) -> Option<Error> {
        let line = self.line(*socket).ok()?;
        line.reset.then_some(Error::Reset)
    }

    fn recv(&mut self, socket: &mut Key, buffer: &mut [u8]) -> Result<Recv, Error> {
        let line = self.opened(*socket)?;
        if line.incoming.is_empty() {
            return match (line.reset, line.ended) {
                (true, _) => Err(Error::Reset),
                (_, true) => Ok(Recv::Finished),
                _ => {
                    line.armed = true;
                    Ok(Recv::WouldBlock)
                }
            };
        }
        let len = line.incoming.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(line.incoming.drain(..len)) {
            *place = byte;
        }
        let drained = line.incoming.is_empty() && !line.ended;
        line.armed |= drained;
        self.choices
            .note(|| format!("platform: receives {len}, drained: {drained}"));
        Ok(Recv::Data { len, drained })
    }

    fn peek(&mut self, socket: &mut Key, buffer: &mut [u8]) -> Result<Recv, Error> {
        if !self.peeks {
            return Err(Error::Unsupported);
        }
        let line = self.opened(*socket)?;
        if line.incoming.is_empty() {
            return match (line.reset, line.ended) {
                (true, _) => Err(Error::Reset),
                (_, true) => Ok(Recv::Finished),
                _ => {
                    line.armed = true;
                    Ok(Recv::WouldBlock)
                }
            };
        }
        let len = line.incoming.len().min(buffer.len());
        buffer[..len].copy_from_slice(&line.incoming[..len]);
        // Whoever leaves it is told when more comes.
        line.armed = true;
        Ok(Recv::Data {
            len,
            drained: false,
        })
    }

    fn set_low_water(&mut self, socket: &mut Key, bytes: usize) -> Result<(), Error> {
        if !self.peeks {
            return Err(Error::Unsupported);
        }
        let line = self.opened(*socket)?;
        let is_lowered = bytes < line.low_water;
        line.low_water = bytes;
        line.armed = true;
        if is_lowered {
            line.tell();
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut Key, data: &[u8]) -> Result<usize, Error> {
        let room = self.room;
        let line = self.opened(*socket)?;
        if line.reset {
            return Err(Error::Reset);
        }
        let is_late = line.finished;
        let count = data.len().min(line.room(room));
        line.outgoing.extend_from_slice(&data[..count]);
        line.blocked |= count < data.len();
        let most = data.len();
        if is_late {
            self.wrong = Some("a send on what is finished");
        }
        self.choices
            .note(|| format!("platform: sends {count} of {most}"));
        Ok(count)
    }

    fn finish(&mut self, socket: &mut Key) -> Result<Progress, Error> {
        let line = self.opened(*socket)?;
        if line.reset {
            return Err(Error::Reset);
        }
        line.finished = true;
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut Key) {
        self.give_up(socket, false);
    }

    fn abort(&mut self, socket: &mut Key) {
        self.give_up(socket, true);
    }

    fn local_addr(&self, _: &Key) -> Result<Address, Error> {
        Ok(address(PORT).into())
    }

    fn peer_addr(&self, socket: &Key) -> Result<Address, Error> {
        Ok(address(socket.0.into()).into())
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        self.batch = self.pending();
        Ok(())
    }

    /// Reports what the wait has found, in any order.
    fn next_ready(&mut self) -> Option<Ready> {
        let batch = self.batch & self.pending();
        let count = batch.count_ones() as usize;
        if count == 0 {
            return None;
        }
        let picked = self.choices.pick(count);
        let bit = (0..8).filter(|bit| batch & 1 << bit != 0).nth(picked)?;
        self.batch &= !(1 << bit);
        self.choices.note(|| format!("platform: reports {bit}"));
        let (id, readiness) = match self.lines.get_mut(bit as usize) {
            Some(line) => (line.id, std::mem::take(&mut line.pending)),
            None => {
                self.waits = false;
                (self.listener, Readiness::READABLE)
            }
        };
        id.map(|id| Ready { id, readiness })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }
}

/// The address of a port.
fn address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}
