//! The handler: keeps every connection busy, and checks and times what comes back.

use std::collections::VecDeque;

use histogram::Histogram;
use usockets::{
    AllSockets, Closed, Duration, Error, Handler, Instant, Net, Opened, Platform, Socket, SocketId,
};

use crate::plan::{Expected, Plan};
use crate::response::{Responses, Wrong};

/// Latencies are told apart to 1 in 2^10, up to 2^30 microseconds.
const LATENCY_PRECISION: u8 = 10;
const LATENCY_BITS: u8 = 30;
/// Writes to one connection in one turn.
const WRITES_MAX: u32 = 16;
/// Time that a server has to end a connection of which it said that it would.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Results {
    /// Requests that were answered rightly.
    pub(crate) requests: u64,
    /// Bytes received.
    pub(crate) received: u64,
    /// From the first byte sent to the last byte received, in microseconds.
    pub(crate) latency: Histogram,
    /// The longest of these.
    pub(crate) latency_max: u64,
    /// Connects that failed, and the last reason.
    pub(crate) unconnected: u64,
    pub(crate) connect_error: Option<Error>,
    /// Connections that got a wrong answer, and what was wrong with the last one.
    pub(crate) wrong: u64,
    pub(crate) wrong_reason: Option<Wrong>,
    /// Answers that the server began and did not end.
    pub(crate) cut: u64,
    /// Connections that the server closed before it answered anything.
    pub(crate) closed: u64,
    /// Connections that broke, and the last reason.
    pub(crate) broken: u64,
    pub(crate) break_reason: Option<Closed>,
    /// Requests that were never answered.
    pub(crate) missing: u64,
    /// Connections that were made anew because the server had closed one between two answers.
    pub(crate) reconnects: u64,
}

impl Results {
    /// Returns how many things went wrong.
    pub(crate) fn failures(&self) -> u64 {
        let nothing = u64::from(self.requests == 0);
        let counts = [
            self.unconnected,
            self.wrong,
            self.cut,
            self.closed,
            self.broken,
            self.missing,
        ];
        counts
            .iter()
            .fold(nothing, |sum, count| sum.saturating_add(*count))
    }
}

/// The handler of the load generator.
#[derive(Debug)]
pub(crate) struct Client {
    plan: Plan,
    /// By number, the last connection that had it.
    ids: Vec<Option<SocketId>>,
    /// Numbers whose connection is to be made anew.
    closed: Vec<usize>,
    connecting: u32,
    open: u32,
    /// Requests under way on all connections.
    waiting: u64,
    started: bool,
    stopping: bool,
    /// Hash of every body, where all must be the same.
    same: Option<u64>,
    pub(crate) results: Results,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// The connection's number.
    number: usize,
    /// Bytes of the plan's stream that were sent.
    sent: u64,
    /// Bytes of an echo that came back.
    received: u64,
    /// When each request under way began, oldest first.
    begun: VecDeque<Instant>,
    /// Requests answered.
    answered: u64,
    responses: Responses,
    state: State,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Requests and answers.
    Busy,
    /// Nothing more: the server ends it, or it is at its end.
    Ending,
    /// It failed, which was counted.
    Failed,
}

impl Client {
    /// Makes a handler that follows `plan`.
    pub(crate) fn new(plan: Plan) -> Self {
        let latency = Histogram::new(LATENCY_PRECISION, LATENCY_BITS);
        Self {
            plan,
            ids: Vec::new(),
            closed: Vec::new(),
            connecting: 0,
            open: 0,
            waiting: 0,
            started: false,
            stopping: false,
            same: None,
            results: Results {
                requests: 0,
                received: 0,
                #[expect(clippy::expect_used, reason = "the bounds are constants in range")]
                latency: latency.expect("the precision is below the range"),
                latency_max: 0,
                unconnected: 0,
                connect_error: None,
                wrong: 0,
                wrong_reason: None,
                cut: 0,
                closed: 0,
                broken: 0,
                break_reason: None,
                missing: 0,
                reconnects: 0,
            },
        }
    }

    /// Returns the number of a connection that is to be made anew.
    pub(crate) fn take_closed(&mut self) -> Option<usize> {
        let number = self.closed.pop()?;
        self.results.reconnects = self.results.reconnects.saturating_add(1);
        Some(number)
    }

    /// Notes a connect, or that it could not be started.
    pub(crate) fn connect_started(&mut self, started: Result<SocketId, Error>) {
        match started {
            Ok(_) => self.connecting = self.connecting.saturating_add(1),
            Err(error) => self.unconnected(error),
        }
    }

    /// Counts the connects that are still under way as failed.
    pub(crate) fn connects_given_up(&mut self) {
        let count = core::mem::take(&mut self.connecting).into();
        self.results.unconnected = self.results.unconnected.saturating_add(count);
        self.results.connect_error = Some(Error::TimedOut);
    }

    fn unconnected(&mut self, error: Error) {
        self.results.unconnected = self.results.unconnected.saturating_add(1);
        self.results.connect_error = Some(error);
    }

    /// Starts to send on every connection.
    pub(crate) fn start<P: Platform>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.started = true;
        for number in 0..self.ids.len() {
            if let Some(id) = self.id(number)
                && let Some((net, session)) = sockets.get(id)
            {
                self.send(net, id, session);
            }
        }
    }

    /// Begins no further requests.
    pub(crate) fn stop<P: Platform>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.stopping = true;
        self.closed.clear();
        for number in 0..self.ids.len() {
            if let Some(id) = self.id(number)
                && let Some((net, session)) = sockets.get(id)
                && session.begun.is_empty()
            {
                net.finish(id);
            }
        }
    }

    /// Counts the requests that are still under way as missing.
    pub(crate) fn give_up<P: Platform>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.results.missing = self.results.missing.saturating_add(self.waiting);
        for number in 0..self.ids.len() {
            if let Some(id) = self.id(number) {
                sockets.net().close(id);
            }
        }
    }

    fn id(&self, number: usize) -> Option<SocketId> {
        self.ids.get(number).copied().flatten()
    }

    /// Returns how many connects are under way.
    pub(crate) const fn connecting(&self) -> u32 {
        self.connecting
    }

    /// Returns true if any connection is open or about to be.
    pub(crate) const fn is_connected(&self) -> bool {
        self.open > 0 || self.connecting > 0 || !self.closed.is_empty()
    }

    /// Returns whether any request is under way.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Sends as much as the plan and the server allow.
    fn send<P: Platform>(
        &mut self,
        net: &mut Net<'_, P, usize>,
        id: SocketId,
        session: &mut Session,
    ) {
        if session.state != State::Busy {
            return;
        }
        let now = net.platform_mut().now();
        let message = self.plan.message;
        let mut requests = session.answered.saturating_add(self.plan.pipeline);
        for _ in 0..WRITES_MAX {
            if self.stopping {
                requests = session.sent.div_ceil(message.max(1));
            }
            let end = requests.saturating_mul(message);
            let bytes = self.plan.bytes(session.sent, end);
            if bytes.is_empty() {
                return;
            }
            let count = net.write(id, bytes);
            session.sent = session.sent.saturating_add(widen(count));
            let begun = session.sent.div_ceil(message.max(1));
            let before = session.answered.saturating_add(widen(session.begun.len()));
            for _ in before..begun {
                session.begun.push_back(now);
                self.waiting = self.waiting.saturating_add(1);
            }
            if count < bytes.len() {
                return;
            }
        }
        // More is to be sent, and the server takes it: go on in the next turn.
        net.set_timeout(id, Duration::from_micros(1));
    }

    /// Counts the oldest request under way as answered; whether there was one.
    fn answered(&mut self, session: &mut Session, now: Instant) -> bool {
        let Some(begun) = session.begun.pop_front() else {
            return false;
        };
        let took = now.as_micros().saturating_sub(begun.as_micros());
        let longest = (1_u64 << LATENCY_BITS).saturating_sub(1);
        // In range, so that it cannot fail.
        let _ = self.results.latency.increment(took.min(longest));
        self.results.latency_max = self.results.latency_max.max(took);
        self.results.requests = self.results.requests.saturating_add(1);
        session.answered = session.answered.saturating_add(1);
        self.waiting = self.waiting.saturating_sub(1);
        true
    }

    /// Checks what came back.
    fn check(&mut self, session: &mut Session, data: &[u8], now: Instant) -> Result<(), Wrong> {
        if self.plan.expected == Expected::Echo {
            return self.check_echo(session, data, now);
        }
        let mut rest = data;
        while !rest.is_empty() && session.state == State::Busy {
            let expected = self.plan.expected;
            let Some(complete) = session.responses.read(rest, expected, &mut self.same)? else {
                break;
            };
            rest = complete.rest;
            if !self.answered(session, now) {
                return Err(Wrong::Unasked);
            }
            if complete.closes {
                // What was asked after it is asked again, on the next connection.
                session.state = State::Ending;
                self.drop_requests(session);
            }
        }
        if session.begun.is_empty() && !session.responses.is_between() {
            return Err(Wrong::Unasked);
        }
        Ok(())
    }

    fn check_echo(
        &mut self,
        session: &mut Session,
        mut data: &[u8],
        now: Instant,
    ) -> Result<(), Wrong> {
        let end = session.received.saturating_add(widen(data.len()));
        if end > session.sent {
            return Err(Wrong::Unasked);
        }
        while session.received < end {
            let wanted = self.plan.bytes(session.received, end);
            data = data.strip_prefix(wanted).ok_or(Wrong::Body)?;
            session.received = session.received.saturating_add(widen(wanted.len()));
        }
        let complete = end.checked_div(self.plan.message).unwrap_or(0);
        while session.answered < complete {
            if !self.answered(session, now) {
                return Err(Wrong::Unasked);
            }
        }
        Ok(())
    }

    /// Forgets the requests under way on a connection; returns how many there were.
    fn drop_requests(&mut self, session: &mut Session) -> u64 {
        let count = widen(session.begun.len());
        session.begun.clear();
        self.waiting = self.waiting.saturating_sub(count);
        count
    }

    /// The server has ended a connection, which is right between two answers only.
    fn end(&mut self, session: &mut Session, now: Instant) -> Result<(), Wrong> {
        if session.state != State::Busy {
            return Ok(());
        }
        session.state = State::Ending;
        if session.responses.end(self.plan.expected, &mut self.same)?
            && !self.answered(session, now)
        {
            return Err(Wrong::Unasked);
        }
        let is_echo = self.plan.expected == Expected::Echo;
        if !session.responses.is_between() {
            session.state = State::Failed;
            self.results.cut = self.results.cut.saturating_add(1);
        } else if session.answered == 0 {
            session.state = State::Failed;
            self.results.closed = self.results.closed.saturating_add(1);
        } else if !is_echo || session.begun.is_empty() {
            self.drop_requests(session);
        } else {
            session.state = State::Failed;
        }
        Ok(())
    }

    fn wrong(&mut self, session: &mut Session, wrong: Wrong) {
        session.state = State::Failed;
        self.results.wrong = self.results.wrong.saturating_add(1);
        self.results.wrong_reason = Some(wrong);
    }
}

impl<P: Platform> Handler<P> for Client {
    /// The connection's number.
    type Context = usize;
    type Ext = Session;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<usize>) -> Session {
        self.connecting = self.connecting.saturating_sub(1);
        self.open = self.open.saturating_add(1);
        let pipeline = usize::try_from(self.plan.pipeline).unwrap_or(0);
        let number = opened.context();
        if self.ids.len() <= number {
            self.ids.resize(number.saturating_add(1), None);
        }
        if let Some(id) = self.ids.get_mut(number) {
            *id = Some(socket.id());
        }
        let mut session = Session {
            number,
            sent: 0,
            received: 0,
            begun: VecDeque::with_capacity(pipeline),
            answered: 0,
            responses: Responses::new(),
            state: State::Busy,
        };
        let id = socket.id();
        if self.stopping {
            socket.finish();
        } else if self.started {
            self.send(socket.net(), id, &mut session);
        }
        session
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        session: &mut Session,
        data: &mut [u8],
    ) {
        let now = socket.net().platform_mut().now();
        self.results.received = self.results.received.saturating_add(widen(data.len()));
        if session.state != State::Busy {
            return;
        }
        if let Err(wrong) = self.check(session, data, now) {
            self.wrong(session, wrong);
            return socket.close();
        }
        if session.state == State::Ending {
            socket.set_timeout(CLOSING_MAX);
            return socket.finish();
        }
        if self.stopping && session.begun.is_empty() {
            return socket.finish();
        }
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, session: &mut Session) {
        let now = socket.net().platform_mut().now();
        if let Err(wrong) = self.end(session, now) {
            self.wrong(session, wrong);
        }
        socket.finish();
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, session: &mut Session) {
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, session: &mut Session) {
        if session.state != State::Busy {
            return socket.close();
        }
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, session: &mut Session, closed: Closed) {
        self.open = self.open.saturating_sub(1);
        let missing = self.drop_requests(session);
        self.results.missing = self.results.missing.saturating_add(missing);
        let in_order = matches!(closed, Closed::Local(_) | Closed::Finished);
        match session.state {
            State::Ending if !self.stopping => self.closed.push(session.number),
            State::Busy if !in_order => {
                self.results.broken = self.results.broken.saturating_add(1);
                self.results.break_reason = Some(closed);
            }
            State::Busy | State::Ending | State::Failed => {}
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, _: usize, error: Error) {
        self.connecting = self.connecting.saturating_sub(1);
        self.unconnected(error);
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
