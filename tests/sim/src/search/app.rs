//! The program, and what it must see.

use std::hash::{Hash, Hasher};

use usockets::{
    AllSockets, Closed, Error, Handler, ListenerId, Net, Opened, Read, Socket, SocketId, TimerId,
};

use super::choices::Choices;
use super::rules::{Act, Rules, byte};
use super::wire::{LINES_MAX, Wire, listening};

/// Most timers of a configuration.
const TIMERS_MAX: usize = 2;
/// A tick of the loop's wheel, in microseconds: as late as a call of the clock may be.
pub(super) const TICK: u64 = 1_024;

/// The program: it picks one of the acts that its rules allow in each call, and notes what must
/// hold of each line.
#[derive(Clone)]
pub(super) struct App {
    choices: Choices,
    rules: Rules,
    pub(super) books: [Book; LINES_MAX],
    timers: [Option<(TimerId, u64)>; TIMERS_MAX],
    /// The socket that closed last.
    stale: Option<SocketId>,
    pub(super) is_draining: bool,
    pub(super) wrong: Option<&'static str>,
    /// The time, which the explorer sets: to compare deadlines with.
    pub(super) now: u64,
}

/// How far a line has come for the program.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) enum Known {
    #[default]
    No,
    Asked,
    Open,
    Closed,
}

/// What the program knows of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Book {
    pub(super) known: Known,
    pub(super) id: Option<SocketId>,
    /// Bytes that came, and that were taken of what it wrote.
    pub(super) got: u8,
    wrote: u8,
    /// Bytes that it still has to send back.
    owes: u8,
    /// Bytes that it wrote of its own.
    own: u8,
    /// A write came back short.
    pub(super) short: bool,
    pub(super) ended: bool,
    pub(super) finished: bool,
    pub(super) paused: bool,
    pub(super) pulls: bool,
    /// It was told that there is something to read, and has not read all since.
    pub(super) readable: bool,
    /// It was told, and has not read since.
    told: bool,
    /// It closed it itself.
    closes: bool,
    /// When its timeout is over.
    pub(super) deadline: Option<u64>,
}

impl Hash for App {
    fn hash<S: Hasher>(&self, into: &mut S) {
        let Self {
            choices: _,
            // The same in all states.
            rules: _,
            books,
            timers,
            stale,
            is_draining,
            // Ends the search.
            wrong: _,
            now,
        } = self;
        for book in books {
            book.hash_at(*now, into);
        }
        for timer in timers {
            timer.map(|(_, at)| at.wrapping_sub(*now)).hash(into);
        }
        stale.map(SocketId::index).hash(into);
        is_draining.hash(into);
    }
}

impl Book {
    fn hash_at(&self, now: u64, into: &mut impl Hasher) {
        let Self {
            known,
            // Its slot, as long as it is good, is the line's in the network.
            id: _,
            got,
            wrote,
            owes,
            own,
            short,
            ended,
            finished,
            paused,
            pulls,
            readable,
            told,
            closes,
            deadline,
        } = self;
        known.hash(into);
        into.write_u32(u32::from_le_bytes([*got, *wrote, *owes, *own]));
        let flags = [
            short, ended, finished, paused, pulls, readable, told, closes,
        ];
        let flags = flags
            .into_iter()
            .fold(0, |sum, flag| sum << 1 | u32::from(*flag));
        into.write_u32(flags);
        deadline.map(|at| at.wrapping_sub(now)).hash(into);
    }
}

type OfWire<'a, const HOLDS: bool> = Net<'a, Wire<HOLDS>, ()>;

impl App {
    pub(super) fn new(rules: Rules, choices: &Choices, now: u64) -> Self {
        Self {
            choices: choices.clone(),
            rules,
            books: [Book::default(); LINES_MAX],
            timers: [None; TIMERS_MAX],
            stale: None,
            is_draining: false,
            wrong: None,
            now,
        }
    }

    /// Notes the first thing that is wrong.
    fn holds(&mut self, condition: bool, what: &'static str) {
        if !condition && self.wrong.is_none() {
            self.wrong = Some(what);
        }
    }

    pub(super) fn timers(&self) -> usize {
        self.timers.iter().flatten().count()
    }

    /// Whether a call of the clock is so late that it was forgotten.
    pub(super) fn is_late(&self) -> bool {
        let over = |at: u64| at.saturating_add(TICK) <= self.now;
        let timers = self.timers.iter().flatten();
        let timers = timers.into_iter().any(|(_, at)| over(*at));
        timers
            || self
                .books
                .iter()
                .any(|book| book.deadline.is_some_and(over))
    }

    /// Notes a call about an open line.
    fn call<const HOLDS: bool>(
        &mut self,
        socket: &Socket<'_, Wire<HOLDS>, Self>,
        line: usize,
        what: &str,
    ) {
        self.choices.note(|| format!("program: {what} of {line}"));
        let book = self.books[line];
        self.holds(book.known == Known::Open, "a call about what is not open");
        self.holds(book.id == Some(socket.id()), "a call with another's id");
    }

    /// Picks one of the acts that make sense now, and does it.
    fn do_one<const HOLDS: bool>(
        &mut self,
        net: &mut OfWire<'_, HOLDS>,
        line: usize,
        acts: &[Act],
    ) {
        let options = acts.iter().filter(|act| self.can(line, **act)).count();
        if options == 0 {
            return;
        }
        let picked = self.choices.pick(options);
        let act = acts
            .iter()
            .copied()
            .filter(|act| self.can(line, *act))
            .nth(picked);
        if let Some(act) = act {
            self.act(net, line, act);
        }
    }

    /// Returns true if an act makes sense.
    pub(super) fn can(&self, line: usize, act: Act) -> bool {
        let book = &self.books[line];
        let is_open = book.known == Known::Open && !book.closes;
        let is_writing = is_open && !book.finished;
        match act {
            Act::Nothing => true,
            Act::Echo => is_open,
            Act::Write(count) => is_writing && book.own + count <= self.rules.writes,
            Act::Pause => is_open && !book.paused,
            Act::Resume => is_open && book.paused,
            Act::Pull => is_open && !book.pulls,
            Act::Unpull => is_open && book.pulls,
            Act::Read | Act::ReadAll => is_open && book.pulls && !book.ended,
            Act::Finish => is_writing,
            Act::Close | Act::Abort => is_open || (book.known == Known::Asked && book.id.is_some()),
            Act::Cork | Act::Uncork => is_writing,
            Act::Timeout(_) => is_open,
            Act::Timer(_) => self.timers() < TIMERS_MAX,
            Act::Connect => true,
            Act::WriteStale => self.stale.is_some(),
            Act::Drain => !self.is_draining,
        }
    }

    pub(super) fn act<const HOLDS: bool>(
        &mut self,
        net: &mut OfWire<'_, HOLDS>,
        line: usize,
        act: Act,
    ) {
        if act != Act::Nothing {
            self.choices.note(|| format!("program: {act:?} on {line}"));
        }
        let Some(id) = self.books[line].id.or(self.stale) else {
            return self.act_alone(net, act);
        };
        match act {
            Act::Echo => self.echo(net, line),
            Act::Write(count) => {
                let taken = self.write(net, line, count);
                self.books[line].own += taken;
            }
            Act::Pause => {
                net.pause(id);
                self.books[line].paused = true;
            }
            Act::Resume => {
                net.resume(id);
                self.books[line].paused = false;
            }
            Act::Pull | Act::Unpull => {
                net.set_pull(id, act == Act::Pull);
                self.books[line].pulls = act == Act::Pull;
                (self.books[line].readable, self.books[line].told) = (false, false);
            }
            Act::Read => {
                let _ = self.read(net, line);
            }
            Act::ReadAll => while self.read(net, line) {},
            Act::Finish => {
                self.books[line].finished = true;
                net.finish(id);
            }
            Act::Close | Act::Abort => self.close(net, line, act == Act::Abort),
            Act::Cork => net.cork(id),
            Act::Uncork => net.uncork(id),
            Act::Timeout(micros) => {
                net.set_timeout(id, std::time::Duration::from_micros(micros.into()));
                self.books[line].deadline = Some(self.now + u64::from(micros));
            }
            Act::Nothing | Act::Timer(_) | Act::Connect | Act::WriteStale | Act::Drain => {
                self.act_alone(net, act);
            }
        }
    }

    /// Does what is not about a line.
    fn act_alone<const HOLDS: bool>(&mut self, net: &mut OfWire<'_, HOLDS>, act: Act) {
        let slots = self.rules.slots;
        match act {
            Act::Timer(micros) => {
                let after = std::time::Duration::from_micros(micros.into());
                let started = net.start_timer(after, std::time::Duration::ZERO);
                let is_full = net.stats().in_use as usize == slots;
                self.holds(
                    started.is_ok() || is_full,
                    "a free slot is not given to a timer",
                );
                let free = self.timers.iter_mut().find(|timer| timer.is_none());
                if let Some((place, timer)) = free.zip(started.ok()) {
                    *place = Some((timer, self.now + u64::from(micros)));
                }
            }
            Act::Connect => {
                let connected = net.connect(listening(0), ());
                let is_full = net.stats().in_use as usize == slots;
                let is_refused = connected == Err(Error::Full);
                self.holds(
                    !is_refused || is_full,
                    "a free slot is not given to a connect",
                );
                if let Ok(id) = connected {
                    let key = net.platform_socket(id).map(|(_, key)| *key);
                    let line = key.and_then(super::wire::Key::line);
                    // One that failed at once has none.
                    if let Some(line) = line {
                        self.books[line].known = Known::Asked;
                        self.books[line].id = Some(id);
                    }
                }
            }
            Act::WriteStale => {
                if let Some(stale) = self.stale {
                    let taken = net.write(stale, &[byte(7, 31)]);
                    self.holds(taken == 0, "a stale id was written to");
                    self.holds(!net.is_open(stale), "a stale id is open");
                }
            }
            Act::Drain => {
                net.drain(std::time::Duration::from_micros(50_000));
                self.is_draining = true;
            }
            _ => {}
        }
    }

    fn close<const HOLDS: bool>(&mut self, net: &mut OfWire<'_, HOLDS>, line: usize, aborts: bool) {
        let book = &mut self.books[line];
        let Some(id) = book.id else { return };
        if book.known == Known::Asked {
            // Without a call.
            book.known = Known::Closed;
            book.id = None;
        }
        book.closes = true;
        match aborts {
            true => net.abort(id, 1),
            false => net.close_with(id, 1),
        }
    }

    /// Writes the next bytes of the line's stream; returns how many were taken.
    fn write<const HOLDS: bool>(
        &mut self,
        net: &mut OfWire<'_, HOLDS>,
        line: usize,
        count: u8,
    ) -> u8 {
        let book = &mut self.books[line];
        let Some(id) = book.id else { return 0 };
        let mut bytes = [0; 4];
        let bytes = &mut bytes[..usize::from(count)];
        for (number, place) in (book.wrote..).zip(bytes.iter_mut()) {
            *place = byte(line, number);
        }
        let taken = net.write(id, bytes) as u8;
        let book = &mut self.books[line];
        book.wrote += taken;
        book.short = taken < count;
        taken
    }

    /// Sends back what is owed, and pauses while some of it is left.
    fn echo<const HOLDS: bool>(&mut self, net: &mut OfWire<'_, HOLDS>, line: usize) {
        let book = self.books[line];
        if book.owes == 0 || book.finished {
            return;
        }
        let taken = self.write(net, line, book.owes.min(4));
        let book = &mut self.books[line];
        book.owes -= taken;
        let (owes, paused) = (book.owes > 0, book.paused);
        if owes != paused && !book.pulls {
            self.act(net, line, if owes { Act::Pause } else { Act::Resume });
        }
    }

    /// Reads on demand; returns true if there may be more.
    fn read<const HOLDS: bool>(&mut self, net: &mut OfWire<'_, HOLDS>, line: usize) -> bool {
        let Some(id) = self.books[line].id else {
            return false;
        };
        let mut buffer = [0; 1];
        let read = net.read(id, &mut buffer);
        self.choices
            .note(|| format!("program: read of {line}: {read:?}"));
        match read {
            Ok(Read::Data(count)) => {
                self.books[line].told = false;
                self.take_in(line, &buffer[..count]);
                true
            }
            Ok(Read::WouldBlock) => {
                (self.books[line].readable, self.books[line].told) = (false, false);
                false
            }
            Ok(Read::End) => {
                self.books[line].ended = true;
                (self.books[line].readable, self.books[line].told) = (false, false);
                let finishes = self.rules.on_end == [Act::Finish] && self.can(line, Act::Finish);
                if finishes {
                    self.act(net, line, Act::Finish);
                }
                false
            }
            Err(_) => false,
        }
    }

    /// Compares bytes that came with what the peer sent.
    fn take_in(&mut self, line: usize, data: &[u8]) {
        self.holds(!data.is_empty(), "no byte came");
        for found in data {
            let book = &mut self.books[line];
            let expected = byte(line, book.got);
            book.got += 1;
            book.owes += 1;
            self.holds(*found == expected, "a byte came out of its order");
        }
        self.holds(!self.books[line].ended, "bytes came after the end");
    }

    /// Checks why a line closed.
    fn check_reason<const HOLDS: bool>(
        &mut self,
        net: &mut OfWire<'_, HOLDS>,
        line: usize,
        closed: Closed,
    ) {
        let (book, wire) = (self.books[line], net.platform_mut().lines[line]);
        let is_true = match closed {
            Closed::Finished => {
                let is_over = book.ended && book.finished;
                self.holds(is_over, "an orderly end that is none");
                wire.error.is_none() || !wire.error_told
            }
            Closed::Local(code) => code == 1 && book.closes,
            Closed::Failed(error) => wire.error == Some(error),
            Closed::Evicted => true,
            Closed::TimedOut => self.is_draining,
            _ => false,
        };
        self.holds(
            is_true,
            "a close that is told for another reason than the true one",
        );
        let has_all = book.got == wire.came || book.closes || book.pulls;
        let is_told = matches!(closed, Closed::Failed(_) | Closed::Finished);
        self.holds(
            has_all || !is_told,
            "it closed before all that came was delivered",
        );
    }
}

impl<const HOLDS: bool> Handler<Wire<HOLDS>> for App {
    /// The line.
    type Ext = u8;
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, _: Opened<()>) -> u8 {
        let id = socket.id();
        let key = socket.net().platform_socket(id).map(|(_, key)| *key);
        let Some(line) = key.and_then(super::wire::Key::line) else {
            self.holds(false, "what opens is a connection");
            return 0;
        };
        let before = self.books[line].known;
        self.holds(
            matches!(before, Known::No | Known::Asked),
            "a line opens once",
        );
        self.books[line].known = Known::Open;
        self.books[line].id = Some(id);
        self.call(socket, line, "on_open");
        let acts = self.rules.on_open;
        self.do_one(socket.net(), line, acts);
        line as u8
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, Wire<HOLDS>, Self>,
        line: &mut u8,
        data: &mut [u8],
    ) {
        let line = usize::from(*line);
        self.call(socket, line, "on_data");
        let book = self.books[line];
        let is_broken = {
            let id = socket.id();
            socket.net().failure(id)
        }
        .is_some();
        self.holds(!book.paused || is_broken, "a paused socket is read");
        self.take_in(line, data);
        let acts = self.rules.on_data;
        self.do_one(socket.net(), line, acts);
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, line: &mut u8) {
        let line = usize::from(*line);
        self.call(socket, line, "on_readable");
        let book = &mut self.books[line];
        let is_wanted = book.pulls && !book.told;
        (book.readable, book.told) = (true, true);
        self.holds(is_wanted, "on_readable comes once, on demand");
        let acts = self.rules.on_readable;
        self.do_one(socket.net(), line, acts);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, line: &mut u8) {
        let line = usize::from(*line);
        self.call(socket, line, "on_writable");
        self.books[line].short = false;
        self.echo(socket.net(), line);
        let acts = self.rules.on_writable;
        self.do_one(socket.net(), line, acts);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, line: &mut u8) {
        let line = usize::from(*line);
        self.call(socket, line, "on_end");
        let wire = socket.net().platform_mut().lines[line];
        let book = &mut self.books[line];
        let (is_first, has_all) = (!book.ended, book.got == wire.came);
        book.ended = true;
        self.holds(is_first, "the end is told once");
        self.holds(has_all, "the end is told after all that came");
        self.holds(wire.peer_ended, "an end that the peer did not send");
        let acts = self.rules.on_end;
        self.do_one(socket.net(), line, acts);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, line: &mut u8) {
        let line = usize::from(*line);
        self.call(socket, line, "on_timeout");
        let deadline = self.books[line].deadline.take();
        let is_over = deadline.is_some_and(|at| at <= self.now);
        self.holds(is_over, "a timeout is early, or was not set");
        let acts = self.rules.on_timeout;
        self.do_one(socket.net(), line, acts);
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, Wire<HOLDS>, Self>, line: &mut u8) {
        let line = usize::from(*line);
        self.call(socket, line, "on_drain");
        let is_draining = self.is_draining;
        self.holds(is_draining, "on_drain comes when the loop drains");
        let acts = self.rules.on_drain;
        self.do_one(socket.net(), line, acts);
    }

    fn on_close(
        &mut self,
        socket: &mut Socket<'_, Wire<HOLDS>, Self>,
        line: &mut u8,
        closed: Closed,
    ) {
        let line = usize::from(*line);
        self.call(socket, line, "on_close");
        self.choices.note(|| format!("program: {closed:?}"));
        self.check_reason(socket.net(), line, closed);
        self.stale = self.books[line].id;
        let book = &mut self.books[line];
        book.known = Known::Closed;
        book.id = None;
        book.deadline = None;
        let acts = self.rules.on_close;
        self.do_one(socket.net(), line, acts);
    }

    fn on_connect_error(
        &mut self,
        socket: &mut Socket<'_, Wire<HOLDS>, Self>,
        (): (),
        error: Error,
    ) {
        self.choices
            .note(|| format!("program: on_connect_error: {error:?}"));
        let id = Some(socket.id());
        let own = |book: &&mut Book| book.id == id && book.known == Known::Asked;
        if let Some(book) = self.books.iter_mut().find(own) {
            book.known = Known::Closed;
            book.id = None;
        }
        let is_known = matches!(error, Error::Refused | Error::TimedOut);
        self.holds(
            is_known,
            "a connect fails for the reason that the network has",
        );
    }

    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, Wire<HOLDS>, Self>,
        _: ListenerId,
        error: Error,
    ) {
        self.choices
            .note(|| format!("program: on_accept_error: {error:?}"));
        let stats = sockets.net().stats();
        let is_full = stats.in_use as usize == self.rules.slots;
        let has_reserve = self.rules.listeners.iter().any(|at| at.reserve > 0);
        let waits = self.rules.listeners.len() > 1;
        let is_true = error != Error::Full || is_full || has_reserve || waits;
        self.holds(is_true, "the pool is told to be full and is not");
    }

    fn on_timer(
        &mut self,
        sockets: &mut AllSockets<'_, Wire<HOLDS>, Self>,
        timer: TimerId,
        _: u32,
    ) {
        self.choices.note(|| "program: on_timer".to_owned());
        let own = |place: &&mut Option<(TimerId, u64)>| place.is_some_and(|(id, _)| id == timer);
        let place = self.timers.iter_mut().find(own).and_then(Option::take);
        let is_over = place.is_some_and(|(_, at)| at <= self.now);
        self.holds(is_over, "a timer is early, or was not started");
        let acts = self.rules.on_timer;
        self.do_one(sockets.net(), 0, acts);
    }
}
