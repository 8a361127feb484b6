//! One connection: requests in, responses out, in order.

use usockets::{Duration, Handler, Instant, Net, Platform, Socket, SocketId, Span};

use super::exchange::{Exchange, Wait};
use super::memory::{Desk, Kept};
use super::service::{Limits, Service};

/// Time that a client without a request has to see that the server stops: more than a round trip
/// round the world takes.
const STOP_LINGER: Duration = Duration::from_secs(1);

/// One connection of an HTTP server: what it has received but not used yet, and what the client
/// has not taken yet. Part of the socket's data; its methods are called from the handler's.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Starts with the next byte to use.
    input: Span,
    exchange: Exchange,
    wait: Wait,
    /// Since when it waits for that.
    since: Instant,
}

impl Connection {
    /// Starts with a new connection.
    pub(crate) fn open<P: Platform, H: Handler<P>>(
        socket: &mut Socket<'_, P, H>,
        service: &Service,
    ) -> Self {
        socket.set_timeout(service.limits.idle);
        Self {
            input: Span::EMPTY,
            exchange: Exchange::new(),
            wait: Wait::Idle,
            since: socket.net().now(),
        }
    }

    /// Uses bytes that arrived.
    pub(crate) fn on_data<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
        data: &[u8],
    ) {
        // The usual request is used where it lies; only what is left of it is kept.
        let fresh = self.input.is_empty();
        let used = if fresh {
            self.exchange.advance(socket, &mut desk.reply, data)
        } else {
            0
        };
        let rest = data.get(used..).unwrap_or_default();
        if self.input.of(desk.input).push(rest) < rest.len() {
            // The program's fault: the receive buffer is longer than it may be.
            return socket.abort(1);
        }
        if fresh {
            self.settle(socket, desk);
        } else {
            self.advance(socket, desk);
        }
    }

    /// Goes on with what was held up.
    pub(crate) fn on_writable<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
    ) {
        self.advance(socket, desk);
    }

    /// The client ended its direction.
    pub(crate) fn on_end<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
    ) {
        self.exchange.end(self.input.of(desk.input).filled());
        self.advance(socket, desk);
    }

    /// The time for what the connection waits for is over.
    pub(crate) fn on_timeout<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
    ) {
        let wait = core::mem::replace(&mut self.wait, Wait::Over);
        if self.exchange.time_out(wait, &desk.reply.service.limits) {
            return match wait {
                // What is still on its way reaches the client all the same.
                Wait::Linger => socket.close(),
                // More of it would only keep memory, here and in the platform.
                _ => socket.abort(1),
            };
        }
        self.advance(socket, desk);
    }

    /// The server stops: ends the connection unless a request is under way. What the client sends
    /// until it has seen the end is read and dropped.
    pub(crate) fn stop<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
        limits: &Limits,
    ) {
        if self.is_idle() {
            self.exchange.linger(limits);
            self.wait = Wait::Linger;
            net.finish(id);
            net.set_timeout(id, limits.linger.min(STOP_LINGER));
        }
    }

    /// Returns what is in the connection's memory.
    pub(crate) const fn kept(&self) -> Kept {
        match (self.exchange.is_sent(), self.input.is_empty()) {
            (true, true) => Kept::Nothing,
            (true, false) if self.exchange.is_before_response() => Kept::Request,
            _ => Kept::Response,
        }
    }

    /// The connection's memory is another's from now on. A client of which only the beginning of a
    /// request was there is told that it took too long; others could not go on.
    pub(crate) fn lose_memory<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
    ) {
        self.input = Span::EMPTY;
        if self.exchange.lose_memory() {
            // At the next tick of the clock.
            net.set_timeout(id, Duration::from_micros(1));
        } else {
            net.abort(id, 3);
        }
    }

    fn advance<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
    ) {
        let mut input = self.input.of(desk.input);
        let used = self
            .exchange
            .advance(socket, &mut desk.reply, input.filled());
        input.consume(used);
        self.settle(socket, desk);
    }

    /// Reads on or not, and sets the timeout for what the connection waits for now.
    fn settle<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        desk: &mut Desk<'_>,
    ) {
        if self.is_idle() && desk.reply.service.stopping {
            self.exchange.close();
            self.exchange.advance(socket, &mut desk.reply, &[]);
        }
        let wait = self.exchange.wait(self.input.is_empty());
        if matches!(wait, Wait::Send | Wait::Turn) {
            socket.pause();
        } else {
            socket.resume();
        }
        let renewed = core::mem::take(&mut self.exchange.renewed);
        if wait == self.wait && !(renewed && matches!(wait, Wait::Idle | Wait::Head)) {
            return;
        }
        self.wait = wait;
        self.since = socket.net().now();
        self.exchange.moved = 0;
        let limits = &desk.reply.service.limits;
        socket.set_timeout(match wait {
            Wait::Idle => limits.idle,
            Wait::Head => limits.head,
            Wait::Body => limits.body,
            Wait::Send => limits.send,
            Wait::Linger => limits.linger,
            // The next tick of the clock: other sockets come first.
            Wait::Turn => Duration::from_micros(1),
            Wait::Over => Duration::ZERO,
        });
    }

    /// Returns which part of the input came after a request that upgraded the connection; `None` as
    /// long as none did. The client has been told.
    pub(crate) fn upgraded(&self) -> Option<Span> {
        self.exchange.is_upgraded().then_some(self.input)
    }

    /// Returns since when no request is under way; `None` if one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.wait == Wait::Idle && self.is_idle()).then_some(self.since)
    }

    /// Returns whether no request is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchange.is_idle() && self.input.is_empty()
    }
}
