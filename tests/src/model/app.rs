//! The random program: a handler that checks each call against the model, and acts in it.

use std::fmt::Display;
use std::sync::Arc;

use usockets::{AllSockets, Closed, Error, Handler, ListenerId, Opened, Socket, SocketId, TimerId};

use super::books::{Books, Conn, Fate, State, byte};
use crate::rng::{Rng, mix};
use crate::sim::{Host, Sim};

/// A tick of the timing wheel, in microseconds.
const TICK: u64 = 1_024;
/// Deliveries to one socket per iteration that the read budget allows: its four turns, for what
/// was left over and for each of the reports that a fact split into pieces, or repeated, makes.
const READS_MAX: u32 = 24;

/// The random program of one host.
#[derive(Debug)]
pub(super) struct App {
    pub(super) sim: Sim,
    pub(super) rng: Rng,
    pub(super) books: Books,
    /// Counts the data that sockets hold.
    pub(super) tokens: Arc<()>,
    /// One in how many calls does something, per 10,000.
    pub(super) eager: u16,
}

/// A socket's data: its name, and something whose copies can be counted.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: SocketId,
    _token: Arc<()>,
}

impl App {
    fn note(&self, what: &str, id: SocketId, detail: u64) {
        let host = self.books.host as u64;
        self.sim
            .note(what, host << 32 | u64::from(id.index()), detail);
    }

    /// Does something random inside a call about `own`.
    fn act<const HOLDS: bool>(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>) {
        let own = socket.id();
        if self.books.draining {
            let books = &self.books;
            let ends = books.told_to_drain.contains(&own) || books.connected.contains(&own);
            let waits = books.drains && !ends;
            if !waits {
                self.books.let_go(socket, own);
            }
            return;
        }
        if self.rng.chance(self.eager) {
            for _ in 0..self.rng.between(1, 3) {
                self.books.act(socket, &mut self.rng, Some(own));
            }
        }
    }

    fn act_among<const HOLDS: bool>(&mut self, sockets: &mut AllSockets<'_, Host<HOLDS>, Self>) {
        if !self.books.draining && self.rng.chance(self.eager) {
            self.books.act(sockets, &mut self.rng, None);
        }
    }

    /// The model's connection that a call is about, which must be open and have this data.
    fn conn(&mut self, what: &str, id: SocketId, own: &Own) -> Option<&mut Conn> {
        let same = own.id == id;
        self.books.check(same, || {
            format!("{what} of {id:?} came with the data of another")
        });
        let state = self.books.conns.get(&id).map(|conn| conn.state);
        let open = state == Some(State::Open);
        self.books
            .check(open, || format!("{what} of {id:?}, which is {state:?}"));
        self.books.conns.get_mut(&id)
    }

    fn check_bytes<const HOLDS: bool>(
        &mut self,
        socket: &mut Socket<'_, Host<HOLDS>, Self>,
        data: &[u8],
    ) {
        let id = socket.id();
        let line = socket.net().platform_mut().line(id);
        let broken = line.is_some_and(|line| line.error.is_some());
        let Some(conn) = self.books.conns.get_mut(&id) else {
            return;
        };
        let (serial, client) = conn.key.unwrap_or_default();
        let from = conn.received;
        conn.received += data.len() as u64;
        conn.reads += 1;
        let (reads, paused, ended) = (conn.reads, conn.paused, conn.ended);
        let wrong = (from..)
            .zip(data)
            .find(|(at, got)| byte(serial, !client, *at) != **got);
        let books = &mut self.books;
        books.check(wrong.is_none(), || {
            format!("{id:?}: wrong byte at {:?}", wrong.map(|w| w.0))
        });
        // What came before a connection broke does not wait.
        books.check(!paused || broken, || {
            format!("{id:?} was read while paused")
        });
        books.check(!ended, || format!("{id:?}: data after the end"));
        books.check(reads <= READS_MAX, || {
            format!("{id:?} was read {reads} times in a row")
        });
        books.check(!data.is_empty(), || format!("{id:?}: no data"));
    }

    /// Whether `closed` can be why the connection is gone.
    fn is_true(&self, conn: &Conn, error: Option<Error>, closed: Closed) -> bool {
        if let State::Closing(code) = conn.state
            && closed == Closed::Local(code)
        {
            return true;
        }
        match closed {
            Closed::Finished => conn.is_over(),
            Closed::Evicted => self.books.evicts,
            Closed::Failed(told) => error == Some(told),
            _ => false,
        }
    }

    /// What the account at the end needs.
    fn settle(&mut self, conn: &Conn, closed: Closed) {
        if let Some(key) = conn.key {
            let fate = Fate {
                sent: conn.sent,
                received: conn.received,
                in_order: closed == Closed::Finished,
            };
            self.books.fates.insert(key, fate);
        }
    }
}

/// What a program would write into its log, as a number.
fn words(what: impl Display) -> u64 {
    let words = what.to_string();
    words
        .bytes()
        .fold(0, |sum, byte| mix(sum ^ u64::from(byte)))
}

impl<const HOLDS: bool> Handler<Host<HOLDS>> for App {
    type Ext = Own;
    type Context = u8;

    fn on_open(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>, opened: Opened<u8>) -> Own {
        let id = socket.id();
        let context = opened.context();
        let was = self.books.conns.remove(&id);
        let books = &mut self.books;
        if !HOLDS && matches!(opened, Opened::Accepted { .. }) {
            let free = books.capacity.saturating_sub(books.in_use());
            books.note_listeners(
                &socket.net().platform_mut().take_listener_calls(),
                Some(free),
            );
        }
        match (&opened, &was) {
            (Opened::Connected { .. }, Some(conn)) => {
                let fits = conn.state == State::Connecting && conn.context == context;
                books.check(fits, || format!("{id:?} opened as {context}, was {conn:?}"));
            }
            (Opened::Accepted { .. }, None) => {
                books.name(id);
                let known = books.contexts.contains(&context);
                books.check(known, || format!("accepted with the context {context}"));
            }
            _ => books.wrong(format!("{id:?}: {opened:?}, but it was {was:?}")),
        }
        if self.books.drains && matches!(opened, Opened::Connected { .. }) {
            self.books.connected.insert(id);
        }
        let mut conn = Conn::new(State::Open, context);
        let line = socket.net().platform_mut().line(id);
        conn.key = line.map(|line| (line.serial, line.client));
        self.books.conns.insert(id, conn);
        self.books.note_free();
        self.note("on_open", id, u64::from(context));
        self.act(socket);
        Own {
            id,
            _token: Arc::clone(&self.tokens),
        }
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, Host<HOLDS>, Self>,
        own: &mut Own,
        data: &mut [u8],
    ) {
        let id = socket.id();
        self.note("on_data", id, data.len() as u64);
        if self.conn("on_data", id, own).is_some() {
            self.check_bytes(socket, data);
        }
        data.fill(0xaa);
        if !self.books.draining {
            self.act(socket);
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>, own: &mut Own) {
        let id = socket.id();
        self.note("on_writable", id, 0);
        if let Some(conn) = self.conn("on_writable", id, own) {
            let owed = (conn.blocked || conn.corked) && !conn.finished;
            conn.blocked = false;
            self.books
                .check(owed, || format!("on_writable of {id:?} came unasked"));
        }
        self.act(socket);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>, own: &mut Own) {
        let id = socket.id();
        self.note("on_end", id, 0);
        let line = socket.net().platform_mut().line(id);
        if let (Some(conn), Some(line)) = (self.conn("on_end", id, own), line) {
            let twice = std::mem::replace(&mut conn.ended, true);
            let (paused, received) = (conn.paused, conn.received);
            let books = &mut self.books;
            books.check(!twice, || format!("a second on_end of {id:?}"));
            let broken = line.error.is_some();
            books.check(!paused || broken, || {
                format!("on_end of {id:?} while paused")
            });
            books.check(line.ended, || {
                format!("on_end of {id:?} before the peer's end")
            });
            books.check(received == line.peer_sent, || {
                format!(
                    "on_end of {id:?} after {received} of {} bytes",
                    line.peer_sent
                )
            });
        }
        if self.rng.chance(7_000) && !self.books.draining {
            self.books.finish(socket, id);
        }
        self.act(socket);
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>, own: &mut Own) {
        let id = socket.id();
        self.note("on_drain", id, 0);
        let is_open = self.conn("on_drain", id, own).is_some();
        let first = self.books.told_to_drain.insert(id);
        let fits = is_open && first && self.books.drains;
        self.books.check(fits, || {
            format!("on_drain of {id:?} came unasked, or twice")
        });
        self.books.let_go(socket, id);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, Host<HOLDS>, Self>, own: &mut Own) {
        let id = socket.id();
        self.note("on_timeout", id, 0);
        let now = socket.net().now().as_micros();
        if let Some(conn) = self.conn("on_timeout", id, own) {
            let due = conn.deadline.take();
            self.books.check(due.is_some_and(|due| due <= now), || {
                format!("on_timeout of {id:?} at {now}, due at {due:?}")
            });
        }
        self.act(socket);
    }

    fn on_close(
        &mut self,
        socket: &mut Socket<'_, Host<HOLDS>, Self>,
        own: &mut Own,
        closed: Closed,
    ) {
        let id = socket.id();
        self.note("on_close", id, words(closed));
        let line = socket.net().platform_mut().line(id);
        self.books.check(own.id == id, || {
            format!("{id:?} closed with the data of another")
        });
        let open = socket.net().is_open(id) || socket.write(b"x") > 0;
        self.books
            .check(!open, || format!("{id:?} is open in on_close"));
        match self.books.bury(id) {
            Some(conn) if conn.state != State::Connecting => {
                let error = line.and_then(|line| line.error);
                let fits = self.is_true(&conn, error, closed);
                self.books.check(fits, || {
                    format!("{id:?} closed as {closed:?}; the line says {error:?}; {conn:?}")
                });
                let (sound, drains) = (self.books.sound.remove(&id), self.books.drains);
                self.books.check(!sound || closed == Closed::Finished, || {
                    format!("{id:?} closed as {closed:?} in the end (drains: {drains}); {conn:?}")
                });
                self.settle(&conn, closed);
            }
            other => self
                .books
                .wrong(format!("on_close of {id:?}, which was {other:?}")),
        }
        if !self.books.draining {
            self.act(socket);
        }
    }

    fn on_connect_error(
        &mut self,
        socket: &mut Socket<'_, Host<HOLDS>, Self>,
        context: u8,
        error: Error,
    ) {
        let id = socket.id();
        self.note("on_connect_error", id, words(error));
        let now = socket.net().now().as_micros();
        let line = socket.net().platform_mut().line(id);
        match self.books.bury(id) {
            Some(conn) if conn.state == State::Connecting => {
                let late = error == Error::TimedOut && conn.deadline.is_some_and(|due| due <= now);
                let fits = match line {
                    Some(line) => line.error == Some(error) || (late && line.error.is_none()),
                    None => error.is_remote(),
                };
                self.books.check(fits || late, || {
                    format!("{id:?} failed with {error:?}; {line:?}")
                });
                self.books
                    .check(conn.context == context, || format!("{id:?}: {context}"));
            }
            other => self
                .books
                .wrong(format!("on_connect_error of {id:?}, {other:?}")),
        }
        if !self.books.draining {
            self.act(socket);
        }
    }

    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, Host<HOLDS>, Self>,
        listener: ListenerId,
        error: Error,
    ) {
        self.sim.note("on_accept_error", words(error), 0);
        let known = self.books.listeners.contains_key(&listener);
        self.books
            .check(known, || format!("on_accept_error of {listener:?}"));
        self.act_among(sockets);
    }

    fn on_timer(
        &mut self,
        sockets: &mut AllSockets<'_, Host<HOLDS>, Self>,
        timer: TimerId,
        missed: u32,
    ) {
        let now = sockets.net().now().as_micros();
        let host = self.books.host as u64;
        self.sim.note("on_timer", host, u64::from(missed));
        let Some(timing) = self.books.timers.get_mut(&timer) else {
            return self
                .books
                .wrong(format!("on_timer of {timer:?}, which is none"));
        };
        let due = timing.due;
        let passed = now
            .saturating_sub(due)
            .checked_div(timing.period)
            .unwrap_or(0);
        let once = timing.period == 0;
        timing.due = due + timing.period * (passed + 1);
        if once {
            self.books.timers.remove(&timer);
        }
        self.books
            .check(due <= now, || format!("on_timer at {now}, due at {due}"));
        self.books
            .check(u64::from(missed) == passed.min(u64::from(u32::MAX)), || {
                format!("on_timer told of {missed} missed, not {passed}")
            });
        self.act_among(sockets);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Host<HOLDS>, Self>) {
        let woken = std::mem::take(&mut self.books.woken);
        self.books.check(woken, || "on_wake came unasked".into());
        self.act_among(sockets);
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, Host<HOLDS>, Self>) {
        for conn in self.books.conns.values_mut() {
            conn.reads = 0;
        }
        self.act_among(sockets);
    }

    fn after_dispatch(&mut self, sockets: &mut AllSockets<'_, Host<HOLDS>, Self>) {
        let now = sockets.net().now().as_micros();
        let late = |due: u64| due.saturating_add(TICK) <= now;
        let books = &self.books;
        let conn = books
            .conns
            .iter()
            .find(|(_, conn)| conn.deadline.is_some_and(late));
        let timer = books.timers.iter().find(|(_, timing)| late(timing.due));
        if let Some((id, conn)) = conn {
            let what = format!("the timeout of {id:?} did not come by {now}: {conn:?}");
            self.books.wrong(what);
        } else if let Some((timer, timing)) = timer {
            let what = format!("{timer:?} did not come by {now}: {timing:?}");
            self.books.wrong(what);
        }
    }
}
