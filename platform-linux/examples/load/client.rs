//! The handler: keeps every connection busy, and checks and times what comes back.

use std::collections::VecDeque;

use histogram::Histogram;
use usockets::{
    AllSockets, Closed, Error, Handler, Instant, Net, Opened, Platform, Socket, SocketId,
};

use crate::plan::{Expected, Plan};
use crate::response::Responses;

/// Latencies are told apart to 1 in 2^10, up to 2^30 microseconds.
const LATENCY_PRECISION: u8 = 10;
const LATENCY_BITS: u8 = 30;
/// Writes to one connection in one turn.
const WRITES_MAX: u32 = 16;

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
    /// Connections that got a wrong byte or status, or one too many.
    pub(crate) wrong: u64,
    /// Connections that the server closed, and the last reason.
    pub(crate) broken: u64,
    pub(crate) close_reason: Option<Closed>,
    /// Requests that were never answered.
    pub(crate) missing: u64,
}

impl Results {
    /// Returns how many things went wrong.
    pub(crate) fn failures(&self) -> u64 {
        let nothing = u64::from(self.requests == 0);
        [self.unconnected, self.wrong, self.broken, self.missing]
            .iter()
            .fold(nothing, |sum, count| sum.saturating_add(*count))
    }
}

/// The handler of the load generator.
#[derive(Debug)]
pub(crate) struct Client {
    plan: Plan,
    ids: Vec<SocketId>,
    connecting: u32,
    open: u32,
    /// Requests under way on all connections.
    waiting: u64,
    stopping: bool,
    /// Hash of every body, where all must be the same.
    same: Option<u64>,
    pub(crate) results: Results,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// Bytes of the plan's stream that were sent.
    sent: u64,
    /// Bytes of an echo that came back.
    received: u64,
    /// When each request under way began, oldest first.
    begun: VecDeque<Instant>,
    /// Requests answered.
    answered: u64,
    responses: Responses,
}

impl Client {
    /// Makes a handler that follows `plan`.
    pub(crate) fn new(plan: Plan) -> Self {
        let latency = Histogram::new(LATENCY_PRECISION, LATENCY_BITS);
        Self {
            plan,
            ids: Vec::new(),
            connecting: 0,
            open: 0,
            waiting: 0,
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
                broken: 0,
                close_reason: None,
                missing: 0,
            },
        }
    }

    /// Notes a connect, or that it could not be started.
    pub(crate) fn connect_started(&mut self, started: Result<SocketId, Error>) {
        match started {
            Ok(id) => {
                self.ids.push(id);
                self.connecting = self.connecting.saturating_add(1);
            }
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
        for id in core::mem::take(&mut self.ids) {
            if let Some((net, session)) = sockets.get(id) {
                self.ids.push(id);
                self.send(net, id, session);
            }
        }
    }

    /// Begins no further requests.
    pub(crate) fn stop<P: Platform>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.stopping = true;
        for id in &self.ids {
            if let Some((net, session)) = sockets.get(*id)
                && session.begun.is_empty()
            {
                net.finish(*id);
            }
        }
    }

    /// Counts the requests that are still under way as missing.
    pub(crate) fn give_up<P: Platform>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.results.missing = self.results.missing.saturating_add(self.waiting);
        sockets.net().close_all((), 0);
    }

    /// Returns how many connects are under way.
    pub(crate) const fn connecting(&self) -> u32 {
        self.connecting
    }

    /// Returns whether any connection is open.
    pub(crate) const fn is_connected(&self) -> bool {
        self.open > 0
    }

    /// Returns whether any request is under way.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Sends as much as the plan and the server allow.
    fn send<P: Platform>(&mut self, net: &mut Net<'_, P, ()>, id: SocketId, session: &mut Session) {
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
        net.set_timeout(id, core::time::Duration::from_micros(1));
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

    /// Checks what came back; whether it is right.
    fn check(&mut self, session: &mut Session, data: &[u8], now: Instant) -> bool {
        if self.plan.expected == Expected::Echo {
            return self.check_echo(session, data, now);
        }
        let mut rest = data;
        while !rest.is_empty() {
            let expected = self.plan.expected;
            match session.responses.read(rest, expected, &mut self.same) {
                Ok(Some(after)) => rest = after,
                Ok(None) => return !session.begun.is_empty(),
                Err(_) => return false,
            }
            if !self.answered(session, now) {
                return false;
            }
        }
        true
    }

    fn check_echo(&mut self, session: &mut Session, mut data: &[u8], now: Instant) -> bool {
        let end = session.received.saturating_add(widen(data.len()));
        if end > session.sent {
            return false;
        }
        while session.received < end {
            let wanted = self.plan.bytes(session.received, end);
            let Some(rest) = data.strip_prefix(wanted) else {
                return false;
            };
            data = rest;
            session.received = session.received.saturating_add(widen(wanted.len()));
        }
        let complete = end.checked_div(self.plan.message).unwrap_or(0);
        while session.answered < complete {
            if !self.answered(session, now) {
                return false;
            }
        }
        true
    }
}

impl<P: Platform> Handler<P> for Client {
    type Context = ();
    type Ext = Session;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Session {
        self.connecting = self.connecting.saturating_sub(1);
        self.open = self.open.saturating_add(1);
        let pipeline = usize::try_from(self.plan.pipeline).unwrap_or(0);
        Session {
            sent: 0,
            received: 0,
            begun: VecDeque::with_capacity(pipeline),
            answered: 0,
            responses: Responses::new(),
        }
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        session: &mut Session,
        data: &mut [u8],
    ) {
        let now = socket.net().platform_mut().now();
        self.results.received = self.results.received.saturating_add(widen(data.len()));
        if !self.check(session, data, now) {
            self.results.wrong = self.results.wrong.saturating_add(1);
            return socket.close();
        }
        if self.stopping && session.begun.is_empty() {
            return socket.finish();
        }
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, session: &mut Session) {
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, session: &mut Session) {
        let id = socket.id();
        self.send(socket.net(), id, session);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, session: &mut Session, closed: Closed) {
        self.open = self.open.saturating_sub(1);
        let under_way = widen(session.begun.len());
        self.waiting = self.waiting.saturating_sub(under_way);
        self.results.missing = self.results.missing.saturating_add(under_way);
        let expected = matches!(closed, Closed::Local(_)) || (self.stopping && under_way == 0);
        if !expected {
            self.results.broken = self.results.broken.saturating_add(1);
            self.results.close_reason = Some(closed);
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.connecting = self.connecting.saturating_sub(1);
        self.unconnected(error);
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
