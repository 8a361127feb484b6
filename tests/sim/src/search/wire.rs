//! The network, as one loop sees it: the least that the contract of `Platform` promises.

use std::hash::{Hash, Hasher};

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId,
};

use super::choices::Choices;
use super::rules::{Maker, Rules, byte};

/// Most connections and listeners of a configuration.
pub(super) const LINES_MAX: usize = 4;
const LISTENERS_MAX: usize = 2;
/// What the port of the first listener is.
const PORT: u16 = 1_000;

/// The network. `HOLDS` as of a layer above another platform.
#[derive(Clone)]
pub(super) struct Wire<const HOLDS: bool> {
    choices: Choices,
    rules: Rules,
    /// In microseconds. The loop hashes what matters of it.
    pub(super) now: u64,
    pub(super) lines: [Line; LINES_MAX],
    listeners: [Queue; LISTENERS_MAX],
    /// Listeners that were told to stop, first come first.
    stopped: [u8; LISTENERS_MAX],
    pub(super) faults: u8,
    /// Lines and listeners of which the last wait reports, a bit each.
    batch: u16,
    /// Whether the loop has taken every report of the last wait.
    all_taken: bool,
    /// What the loop did that the contract forbids.
    pub(super) wrong: Option<&'static str>,
}

/// How far a line has come.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) enum Stage {
    #[default]
    Unused,
    /// The peer waits for it to be accepted.
    Waiting,
    /// The program waits for it to open.
    Asked,
    Open,
    /// The loop has given it up.
    Gone,
}

/// A connection with a peer. A line has one at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) stage: Stage,
    id: Option<SocketId>,
    /// Bytes that the peer sent, and that the loop received of them.
    pub(super) came: u8,
    pub(super) received: u8,
    pub(super) peer_ended: bool,
    /// Bytes that the loop handed over, and that the peer took of them.
    pub(super) sent: u8,
    pub(super) taken: u8,
    pub(super) finished: bool,
    pub(super) error: Option<Error>,
    /// The loop knows the error.
    pub(super) error_told: bool,
    /// A send came back short, and room was not reported since.
    blocked: bool,
    /// The next arrival is reported.
    armed: bool,
    pending: Readiness,
    /// A layer holds our end, or what it took of a line that the program closed.
    pub(super) holds: bool,
}

impl Hash for Line {
    fn hash<S: Hasher>(&self, into: &mut S) {
        let Self {
            stage,
            // Good as long as the line is open.
            id,
            came,
            received,
            peer_ended,
            sent,
            taken,
            finished,
            error,
            error_told,
            blocked,
            armed,
            pending,
            holds,
        } = self;
        stage.hash(into);
        into.write_u32(id.map_or(0, |id| id.index() + 1));
        let counts = [*came, *received, *sent, *taken];
        into.write_u32(u32::from_le_bytes(counts));
        let flags = [peer_ended, finished, error_told, blocked, armed, holds];
        let flags = flags
            .into_iter()
            .fold(0, |sum, flag| sum << 1 | u32::from(*flag));
        into.write_u32(flags);
        error.hash(into);
        into.write_u32(pending.bits());
    }
}

/// A listener, and the lines that wait at it.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    id: Option<SocketId>,
    accepting: bool,
    armed: bool,
    pending: bool,
    /// Lines, plus one, the first first.
    waiting: [u8; LINES_MAX],
}

impl Hash for Queue {
    fn hash<S: Hasher>(&self, into: &mut S) {
        let Self {
            // Good as long as it listens.
            id,
            accepting,
            armed,
            pending,
            waiting,
        } = self;
        into.write_u32(id.map_or(0, |id| id.index() + 1));
        let flags = [*accepting, *armed, *pending].map(u32::from);
        into.write_u32(flags.into_iter().fold(0, |sum, flag| sum << 1 | flag));
        into.write_u32(u32::from_le_bytes(*waiting));
    }
}

impl<const HOLDS: bool> Hash for Wire<HOLDS> {
    fn hash<S: Hasher>(&self, into: &mut S) {
        let Self {
            choices: _,
            // The same in all states.
            rules: _,
            now: _,
            lines,
            listeners,
            stopped,
            faults,
            // Nothing is left of the reports between iterations, or that is wrong.
            batch: _,
            all_taken: _,
            wrong: _,
        } = self;
        lines.hash(into);
        listeners.hash(into);
        into.write_u8(stopped[0] << 4 | stopped[1]);
        into.write_u8(*faults);
    }
}

/// What a pool slot holds of a line or a listener: its number, plus one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Key(u8);

/// The number of the first listener.
const LISTENERS: u8 = 100;

impl Key {
    /// Returns the number of a line.
    pub(super) fn line(self) -> Option<usize> {
        (self.0 != 0 && self.0 < LISTENERS).then(|| usize::from(self.0 - 1))
    }

    fn listener(self) -> Option<usize> {
        self.0.checked_sub(LISTENERS).map(usize::from)
    }
}

/// What peers, or a layer, can do to a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deed {
    Connect,
    Accept,
    Refuse,
    Send,
    Take,
    End,
    Reset,
    /// A report that tells nothing new.
    Spurious,
    /// A layer sends what it holds.
    LetGo,
}

impl Deed {
    pub(super) const ALL: [Self; 9] = [
        Self::Connect,
        Self::Accept,
        Self::Refuse,
        Self::Send,
        Self::Take,
        Self::End,
        Self::Reset,
        Self::Spurious,
        Self::LetGo,
    ];
}

impl Line {
    pub(super) const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Asked)
    }

    pub(super) const fn unread(&self) -> u8 {
        self.came - self.received
    }

    pub(super) const fn room(&self, rules: &Rules) -> u8 {
        rules.outbox - (self.sent - self.taken)
    }

    /// Whether reports of the line wait.
    pub(super) fn is_pending(&self) -> bool {
        self.is_held() && self.pending != Readiness::NONE
    }

    /// Reports facts that became true. That something came is reported once until all was read.
    fn mark(&mut self, facts: Readiness) {
        if !self.is_held() || (facts == Readiness::READABLE && !self.armed) {
            return;
        }
        self.armed &= facts == Readiness::WRITABLE;
        self.pending = self.pending.union(facts);
    }
}

impl<const HOLDS: bool> Wire<HOLDS> {
    pub(super) fn new(rules: Rules, choices: &Choices) -> Self {
        Self {
            choices: choices.clone(),
            rules,
            // Not the beginning of time, so that a clock which is not set shows.
            now: 1_000_000,
            lines: [Line::default(); LINES_MAX],
            listeners: [Queue::default(); LISTENERS_MAX],
            stopped: [0; LISTENERS_MAX],
            faults: rules.faults,
            batch: 0,
            all_taken: true,
            wrong: None,
        }
    }

    /// Returns true if something is still to be reported.
    pub(super) fn is_pending(&self) -> bool {
        self.pending() != 0
    }

    /// Returns the lines, and above them the listeners, of which something is to be reported.
    fn pending(&self) -> u16 {
        let lines = self.lines.iter().map(Line::is_pending);
        let listeners = self.listeners.iter().map(|queue| queue.pending);
        let all = (0..).zip(lines.chain(listeners));
        all.fold(0, |sum, (bit, is)| sum | u16::from(is) << bit)
    }

    /// Returns how many listeners listen.
    pub(super) fn listening(&self) -> usize {
        self.listeners
            .iter()
            .filter(|queue| queue.id.is_some())
            .count()
    }

    /// Returns true if a peer waits at this listener.
    pub(super) fn has_waiting(&self, listener: usize) -> bool {
        self.listeners[listener].waiting[0] != 0
    }

    /// Returns true if this can come about now.
    pub(super) fn can(&self, number: usize, deed: Deed) -> bool {
        let Some(maker) = self.rules.lines.get(number) else {
            return false;
        };
        let line = &self.lines[number];
        let is_up = matches!(line.stage, Stage::Open | Stage::Waiting) && line.error.is_none();
        match deed {
            Deed::Connect => match maker {
                Maker::Peer(at) => {
                    line.stage == Stage::Unused && self.listeners[usize::from(*at)].id.is_some()
                }
                Maker::Program => false,
            },
            Deed::Accept => line.stage == Stage::Asked && line.error.is_none(),
            Deed::Refuse => {
                self.rules.peers_reset && line.stage == Stage::Asked && line.error.is_none()
            }
            Deed::Send => {
                let has_room = line.unread() < self.rules.inbox && line.came < self.rules.bytes;
                is_up && has_room && !line.peer_ended
            }
            Deed::Take => line.taken < line.sent && line.error.is_none() && line.is_held(),
            Deed::End => self.rules.peers_end && is_up && !line.peer_ended,
            Deed::Reset => {
                let is_over = line.peer_ended && line.finished && line.taken == line.sent;
                self.rules.peers_reset && is_up && line.stage == Stage::Open && !is_over
            }
            Deed::Spurious => self.faults > 0 && line.is_held() && line.pending == Readiness::NONE,
            Deed::LetGo => HOLDS && line.holds && line.is_held(),
        }
    }

    /// Lets it come about.
    pub(super) fn happen(&mut self, number: usize, deed: Deed) {
        self.choices.note(|| format!("peer {number}: {deed:?}"));
        let line = &mut self.lines[number];
        let both = Readiness::READABLE.union(Readiness::WRITABLE);
        match deed {
            Deed::Connect => {
                line.stage = Stage::Waiting;
                let Maker::Peer(at) = self.rules.lines[number] else {
                    return;
                };
                let queue = &mut self.listeners[usize::from(at)];
                let free = queue.waiting.iter_mut().find(|place| **place == 0);
                if let Some(place) = free {
                    *place = number as u8 + 1;
                }
                if queue.armed && queue.accepting {
                    queue.pending = true;
                    queue.armed = false;
                }
            }
            Deed::Accept => {
                line.stage = Stage::Open;
                line.armed = true;
                line.mark(Readiness::WRITABLE);
            }
            Deed::Refuse => {
                line.error = Some(Error::Refused);
                line.mark(both.union(Readiness::ERROR));
            }
            Deed::Send => {
                line.came += 1;
                line.mark(Readiness::READABLE);
            }
            Deed::Take => {
                line.taken += 1;
                if line.blocked {
                    line.blocked = false;
                    line.mark(Readiness::WRITABLE);
                }
            }
            Deed::End => {
                line.peer_ended = true;
                line.mark(Readiness::READABLE.union(Readiness::ENDED));
            }
            Deed::Reset => {
                // As systems tell it of a peer that had ended while we had not.
                let after_end = line.peer_ended && !line.finished;
                line.error = Some([Error::Reset, Error::BrokenPipe][usize::from(after_end)]);
                line.blocked = false;
                line.mark(both.union(Readiness::ERROR));
            }
            Deed::Spurious => {
                self.faults -= 1;
                let facts = [Readiness::READABLE, Readiness::WRITABLE];
                line.pending = facts[self.choices.pick(2)];
            }
            Deed::LetGo => {
                line.holds = false;
                line.mark(Readiness::WRITABLE);
            }
        }
    }

    /// Finds out whether a call fails.
    fn fails(&mut self) -> bool {
        let fails = self.faults > 0 && self.choices.flip();
        self.faults -= u8::from(fails);
        fails
    }

    /// The line of a socket that the loop has.
    fn line(&mut self, key: Key) -> Option<(usize, &mut Line)> {
        let number = key.line()?;
        let line = &mut self.lines[number];
        if !line.is_held() {
            self.wrong = Some("a call for a connection that was given up");
            return None;
        }
        Some((number, line))
    }

    /// Gives up a line or a listener.
    fn give_up(&mut self, key: &mut Key, how: &str) {
        let key = std::mem::take(key);
        if let Some(at) = key.listener() {
            self.choices
                .note(|| format!("platform: {how} listener {at}"));
            let queue = std::mem::take(&mut self.listeners[at]);
            for number in queue.waiting.into_iter().filter(|number| *number != 0) {
                self.lines[usize::from(number) - 1].stage = Stage::Gone;
            }
            self.go_on(at);
        } else if let Some((number, line)) = self.line(key) {
            line.stage = Stage::Gone;
            line.id = None;
            line.pending = Readiness::NONE;
            (line.armed, line.blocked, line.holds) = (false, false, false);
            self.choices.note(|| format!("platform: {how} {number}"));
        }
    }

    /// A listener does not wait any more.
    fn go_on(&mut self, at: usize) {
        let mark = at as u8 + 1;
        if self.stopped[0] == mark {
            self.stopped = [self.stopped[1], 0];
        } else if self.stopped[1] == mark {
            self.stopped[1] = 0;
        }
    }

    /// A listener waits, behind the others.
    fn stop(&mut self, at: usize) {
        self.go_on(at);
        let free = usize::from(self.stopped[0] != 0);
        self.stopped[free] = at as u8 + 1;
    }

    /// The next line that waits at a listener.
    fn next_waiting(&mut self, at: usize) -> Option<usize> {
        let queue = &mut self.listeners[at];
        let first = usize::from(queue.waiting[0]).checked_sub(1)?;
        queue.waiting.rotate_left(1);
        queue.waiting[LINES_MAX - 1] = 0;
        Some(first)
    }
}

impl<const HOLDS: bool> Platform for Wire<HOLDS> {
    type Socket = Key;

    const HOLDS_OUTPUT: bool = HOLDS;

    const CLOSED: Key = Key(0);

    fn listen(&mut self, socket: &mut Key, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        let number = usize::from(at.addr.port().saturating_sub(PORT));
        let queue = self.listeners.get_mut(number).ok_or(Error::Invalid)?;
        *queue = Queue {
            id: Some(id),
            accepting: true,
            armed: true,
            ..Queue::default()
        };
        socket.0 = LISTENERS + number as u8;
        Ok(())
    }

    fn connect(&mut self, socket: &mut Key, id: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        let of_program = |(number, maker): (usize, &Maker)| {
            (*maker == Maker::Program && self.lines[number].stage == Stage::Unused)
                .then_some(number)
        };
        let number = self.rules.lines.iter().enumerate().find_map(of_program);
        let number = number.ok_or(Error::Exhausted)?;
        if self.fails() {
            let line = &mut self.lines[number];
            line.stage = Stage::Gone;
            return Err(match self.choices.flip() {
                true => {
                    line.error = Some(Error::Refused);
                    Error::Refused
                }
                false => Error::Exhausted,
            });
        }
        let line = &mut self.lines[number];
        (line.stage, line.id) = (Stage::Asked, Some(id));
        socket.0 = number as u8 + 1;
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Key,
        socket: &mut Key,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let at = listener.listener().ok_or(Error::Invalid)?;
        if self.has_waiting(at) && self.fails() {
            if self.choices.flip() {
                let lost = self.next_waiting(at);
                self.lines[lost.unwrap_or_default()].stage = Stage::Gone;
                return Err(Error::Reset);
            }
            return Err(Error::Exhausted);
        }
        if self.rules.turns
            && let Some(first) = usize::from(self.stopped[0]).checked_sub(1)
            && first != at
            && self.has_waiting(first)
            && self.has_waiting(at)
        {
            self.wrong = Some("a slot went to a listener before its turn");
        }
        let Some(number) = self.next_waiting(at) else {
            self.listeners[at].armed = true;
            return Ok(None);
        };
        // It goes behind the others, if it still waits.
        if !self.listeners[at].accepting {
            self.stop(at);
        }
        socket.0 = number as u8 + 1;
        let line = &mut self.lines[number];
        (line.stage, line.id) = (Stage::Open, Some(id));
        line.armed = true;
        if line.came > 0 {
            line.mark(Readiness::READABLE);
        }
        if line.peer_ended {
            line.mark(Readiness::READABLE.union(Readiness::ENDED));
        }
        let is_last = !self.has_waiting(at);
        let drained = is_last ^ (self.rules.partial && self.choices.flip());
        let queue = &mut self.listeners[at];
        if drained {
            // Who still waits is reported again.
            queue.armed = is_last;
            queue.pending |= !is_last && queue.accepting;
        }
        self.choices
            .note(|| format!("platform: accepts {number}, drained: {drained}"));
        let peer = Address::from(address(number as u16));
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut Key) -> Result<bool, Error> {
        let at = listener.listener().ok_or(Error::Invalid)?;
        let Some(number) = self.next_waiting(at) else {
            self.listeners[at].armed = true;
            return Ok(false);
        };
        self.lines[number].stage = Stage::Gone;
        self.choices.note(|| format!("platform: refuses {number}"));
        Ok(true)
    }

    fn set_accepting(&mut self, listener: &mut Key, _: SocketId, on: bool) -> Result<(), Error> {
        let at = listener.listener().ok_or(Error::Invalid)?;
        let has_waiting = self.has_waiting(at);
        if !self.rules.turns && self.fails() {
            return Err(Error::Exhausted);
        }
        self.choices
            .note(|| format!("platform: listener {at} accepting: {on}"));
        match on {
            true => self.go_on(at),
            false => self.stop(at),
        }
        let queue = &mut self.listeners[at];
        queue.accepting = on;
        queue.pending = on && has_waiting;
        queue.armed = on && !has_waiting;
        Ok(())
    }

    fn open(&mut self, socket: &mut Key, _: Readiness) -> Result<Progress, Error> {
        let Some((_, line)) = self.line(*socket) else {
            return Err(Error::Invalid);
        };
        match (line.error, line.stage) {
            (Some(error), Stage::Asked) => {
                line.error_told = true;
                Err(error)
            }
            (_, Stage::Asked) => Ok(Progress::Pending),
            _ => Ok(Progress::Done),
        }
    }

    fn flush(&mut self, socket: &mut Key) -> Result<Progress, Error> {
        let Some((_, line)) = self.line(*socket) else {
            return Ok(Progress::Done);
        };
        match (line.error, line.holds) {
            (Some(error), true) => {
                line.error_told = true;
                Err(error)
            }
            (None, true) => Ok(Progress::Pending),
            _ => Ok(Progress::Done),
        }
    }

    fn take_error(&mut self, socket: &mut Key) -> Option<Error> {
        let (_, line) = self.line(*socket)?;
        let error = line.error.filter(|_| !line.error_told)?;
        line.error_told = true;
        self.choices
            .note(|| format!("platform: take_error tells {error:?}"));
        Some(error)
    }

    fn recv(&mut self, socket: &mut Key, buffer: &mut [u8]) -> Result<Recv, Error> {
        let midway = self.rules.midway;
        let can_come = socket
            .line()
            .is_some_and(|number| midway && self.can(number, Deed::Send));
        if can_come && self.choices.flip() {
            // Into the middle of the read: that it came is reported as any other.
            self.happen(socket.line().unwrap_or_default(), Deed::Send);
        }
        let (rules, choices) = (self.rules, self.choices.clone());
        let Some((number, line)) = self.line(*socket) else {
            return Err(Error::Invalid);
        };
        let unread = line.unread();
        if unread == 0 {
            let result = match line.error {
                Some(Error::BrokenPipe) => Ok(Recv::Finished),
                Some(_) if line.error_told && rules.error_once => Ok(Recv::Finished),
                Some(error) => {
                    line.error_told = true;
                    Err(error)
                }
                None if line.peer_ended => Ok(Recv::Finished),
                None => {
                    line.armed = true;
                    Ok(Recv::WouldBlock)
                }
            };
            choices.note(|| format!("platform: receives of {number}: {result:?}"));
            return result;
        }
        let most = usize::from(unread).min(buffer.len());
        let len = if rules.partial {
            most - choices.pick(most)
        } else {
            most
        };
        for place in &mut buffer[..len] {
            *place = byte(number, line.received);
            line.received += 1;
        }
        let drained = line.unread() == 0 && !(rules.partial && choices.flip());
        line.armed |= drained;
        choices.note(|| format!("platform: receives {len} of {number}, drained: {drained}"));
        Ok(Recv::Data { len, drained })
    }

    fn send(&mut self, socket: &mut Key, data: &[u8]) -> Result<usize, Error> {
        let (rules, choices) = (self.rules, self.choices.clone());
        let mut wrong = None;
        let Some((number, line)) = self.line(*socket) else {
            return Err(Error::Invalid);
        };
        if let Some(error) = line.error {
            let told = std::mem::replace(&mut line.error_told, true);
            return Err(if told { Error::BrokenPipe } else { error });
        }
        if line.finished || line.stage != Stage::Open {
            wrong = Some("a send on what is finished or not open");
        }
        let most = data.len().min(usize::from(line.room(&rules)));
        let count = if rules.partial {
            most - choices.pick(most + 1)
        } else {
            most
        };
        for found in &data[..count] {
            if *found != byte(number, line.sent) {
                wrong = Some("a byte that is not the stream's next");
            }
            line.sent += 1;
        }
        if count < data.len() {
            line.blocked = line.room(&rules) == 0;
            if !line.blocked {
                line.mark(Readiness::WRITABLE);
            }
        }
        choices.note(|| format!("platform: sends {count} of {} to {number}", data.len()));
        self.wrong = self.wrong.or(wrong);
        Ok(count)
    }

    fn finish(&mut self, socket: &mut Key) -> Result<Progress, Error> {
        let choices = self.choices.clone();
        let Some((number, line)) = self.line(*socket) else {
            return Err(Error::Invalid);
        };
        if let Some(error) = line.error {
            line.error_told = true;
            return Err(error);
        }
        line.finished = true;
        line.holds = HOLDS && choices.flip();
        choices.note(|| format!("platform: finishes {number}"));
        Ok(if line.holds {
            Progress::Pending
        } else {
            Progress::Done
        })
    }

    fn close(&mut self, socket: &mut Key) {
        self.give_up(socket, "closes");
    }

    fn linger(&mut self, socket: &mut Key) -> bool {
        if socket.line().is_none() {
            self.wrong = Some("a layer is asked to linger over what was closed");
        }
        let choices = self.choices.clone();
        match self.line(*socket) {
            Some((_, line)) if HOLDS && line.error.is_none() => {
                line.holds |= choices.flip();
                line.holds
            }
            _ => false,
        }
    }

    fn abort(&mut self, socket: &mut Key) {
        self.give_up(socket, "aborts");
    }

    fn local_addr(&self, _: &Key) -> Result<Address, Error> {
        Ok(address(PORT).into())
    }

    fn peer_addr(&self, socket: &Key) -> Result<Address, Error> {
        let line = socket.line().ok_or(Error::Invalid)?;
        Ok(address(line as u16).into())
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        if !self.all_taken {
            self.wrong = Some("a wait before every report was taken");
        }
        self.all_taken = false;
        self.batch = self.pending();
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        // What became true since the wait is reported by the next.
        let batch = self.batch & self.pending();
        let count = batch.count_ones() as usize;
        let options = count + usize::from(self.rules.any_order);
        let picked = match options {
            0 => 0,
            _ if self.rules.any_order => self.choices.pick(options),
            _ => 0,
        };
        let of_batch = |number: &u16| batch & (1 << number) != 0;
        let Some(number) = (0..16).filter(of_batch).nth(picked) else {
            self.all_taken = true;
            return None;
        };
        self.batch &= !(1 << number);
        let key = match (number as u8).checked_sub(LINES_MAX as u8) {
            Some(at) => Key(LISTENERS + at),
            None => Key(number as u8 + 1),
        };
        let (id, readiness) = match key.listener() {
            Some(at) => {
                let queue = &mut self.listeners[at];
                queue.pending = false;
                (queue.id, Readiness::READABLE)
            }
            None => {
                let line = &mut self.lines[key.line().unwrap_or_default()];
                (line.id, std::mem::take(&mut line.pending))
            }
        };
        self.choices
            .note(|| format!("platform: reports {key:?}: {readiness:?}"));
        id.map(|id| Ready { id, readiness })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }
}

/// The address of a port.
pub(super) fn address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// The endpoint of a listener.
pub(super) fn listening(number: usize) -> Endpoint<'static> {
    Endpoint::tcp(address(PORT + number as u16))
}
