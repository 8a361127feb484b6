//! The order of requests and responses on one connection.

use usockets::{Handler, Platform, Socket};

use super::chunked::{Chunked, Next};
use super::head::{Framing, Head, Method, Pieces, is_past_first_line};
use super::memory::{Replying, Work};
use super::outgoing::{Manner, Outgoing, Produced};
use super::reply::{Reply, Status};
use super::service::Limits;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a request's body.
    Body,
    /// The client to take what it was sent.
    Send,
    /// Its next turn.
    Turn,
    /// The client to end its direction.
    Linger,
    /// Nothing: it goes on as something else.
    Over,
}

/// Where in an exchange the connection is.
#[derive(Debug)]
enum Phase {
    /// Before or in a head.
    Head,
    /// In a request's body.
    Body(Source, Reply),
    /// In a response's body.
    Response,
    /// The request is refused, and the connection ends after the response.
    Refuse(Status),
    /// 101 is on its way, then the connection is another protocol's.
    Upgrade,
    /// The last response is on its way.
    Close,
    /// All is sent, and our direction has ended. So that no reset destroys what the client has
    /// not read, it may still send so many bytes, which are dropped (RFC 9112, section 9.6).
    Linger(u64),
}

/// Where a request's body ends.
#[derive(Debug)]
enum Source {
    Length(u64),
    /// With the bytes of data it may still have.
    Chunked(Chunked, u64),
}

/// What one step did.
enum Step {
    /// It used so many bytes, or changed the phase.
    Used(usize),
    /// There are too few bytes for the next step.
    Starved,
    /// The client has to take bytes first.
    Blocked,
    /// Other sockets come first.
    Turn,
}

/// The order of requests and responses on one connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    outgoing: Outgoing,
    pieces: Pieces,
    phase: Phase,
    manner: Manner,
    blocked: bool,
    turn: bool,
    /// A request was answered since this was last cleared.
    pub(crate) renewed: bool,
    /// Bytes of bodies that came or went since this was last cleared.
    pub(crate) moved: u64,
}

impl Exchange {
    /// Starts before the first request.
    pub(crate) fn new() -> Self {
        Self {
            outgoing: Outgoing::new(),
            pieces: Pieces::default(),
            phase: Phase::Head,
            manner: Manner::default(),
            blocked: false,
            turn: false,
            renewed: false,
            moved: 0,
        }
    }

    /// Whether the client took everything so far, so that any memory will do for what follows.
    pub(crate) const fn is_sent(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Goes on as far as `bytes` and the client allow. Returns how many bytes were used; the
    /// others must come again at the front of the next call's.
    pub(crate) fn advance<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        reply: &mut Replying<'_>,
        bytes: &[u8],
    ) -> usize {
        let is_draft = self.outgoing.is_empty();
        let mut work = Work {
            service: reply.service,
            head_max: reply.head_max,
            output: if is_draft { reply.draft } else { reply.memory },
        };
        let used = self.steps(socket, &mut work, bytes);
        if is_draft && !self.outgoing.keep(reply.draft, reply.memory) {
            // The program's fault: the connection has no memory.
            socket.abort(1);
        }
        used
    }

    fn steps<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        bytes: &[u8],
    ) -> usize {
        let mut used = 0_usize;
        let mut budget = work.service.limits.turn_max;
        self.turn = false;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.step(socket, work, rest, &mut budget) {
                Step::Used(count) => used = used.saturating_add(count),
                Step::Starved | Step::Blocked => break,
                Step::Turn => {
                    self.turn = true;
                    break;
                }
            }
        }
        self.blocked = !self.outgoing.flush(socket, work) || self.outgoing.has_body();
        self.moved = self.moved.saturating_add(self.outgoing.take_moved());
        used
    }

    /// The client ended its direction and left these bytes, which make no request.
    pub(crate) fn end(&mut self, bytes: &[u8]) {
        match &self.phase {
            Phase::Head if bytes.is_empty() => self.phase = Phase::Close,
            Phase::Head => {
                // What came in pieces was not read as far as it goes.
                let status = Head::read(bytes).err();
                self.refuse_head(status.unwrap_or(Status::BadRequest));
            }
            Phase::Body(_, reply) => {
                let begun = matches!(reply, Reply::Echo);
                self.fail(Status::BadRequest, begun);
            }
            _ => self.manner.closes = true,
        }
    }

    /// The time for `wait` is over. Whether the connection is to be given up at once.
    pub(crate) fn time_out(&mut self, wait: Wait, limits: &Limits) -> bool {
        let moves = self.moved >= limits.progress_min;
        match (wait, &self.phase) {
            (Wait::Idle, _) => self.phase = Phase::Close,
            (Wait::Head, _) => {
                self.refuse_head(Status::RequestTimeout);
            }
            (Wait::Body, Phase::Body(_, reply)) if !moves => {
                let begun = matches!(reply, Reply::Echo);
                self.fail(Status::RequestTimeout, begun);
            }
            (Wait::Send, _) => return !moves,
            (Wait::Linger, _) => return true,
            (Wait::Body | Wait::Turn | Wait::Over, _) => {}
        }
        false
    }

    /// What the client had sent of a head is gone, as is what it has not taken. Returns whether
    /// there is an answer to that.
    pub(crate) fn lose_memory(&mut self) -> bool {
        let is_before = self.is_before_response();
        if is_before {
            self.refuse_head(Status::RequestTimeout);
        }
        is_before
    }

    /// Returns whether nothing of an answer to the bytes at hand is made.
    pub(crate) const fn is_before_response(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.outgoing.is_empty()
    }

    /// Ends the connection after what is held.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Close;
    }

    /// Only drops what the client still sends, as our direction has ended.
    pub(crate) const fn linger(&mut self, limits: &Limits) {
        self.phase = Phase::Linger(limits.linger_bytes);
    }

    /// Returns what the connection waits for; `is_used_up` unless bytes wait to be used.
    pub(crate) fn wait(&self, is_used_up: bool) -> Wait {
        match self.phase {
            _ if self.turn => Wait::Turn,
            Phase::Linger(_) => Wait::Linger,
            _ if self.blocked => Wait::Send,
            Phase::Head if is_used_up => Wait::Idle,
            Phase::Head => Wait::Head,
            Phase::Body(..) => Wait::Body,
            Phase::Upgrade => Wait::Over,
            Phase::Response | Phase::Refuse(_) | Phase::Close => Wait::Send,
        }
    }

    /// Returns whether no request is under way, as far as its bytes were used.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && !self.blocked
    }

    /// Returns whether the client was told that another protocol follows.
    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.phase, Phase::Upgrade) && !self.blocked
    }

    fn step<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        bytes: &[u8],
        budget: &mut usize,
    ) -> Step {
        match &mut self.phase {
            Phase::Head => self.head(socket, work, bytes),
            Phase::Body(..) => self.body(socket, work, bytes),
            Phase::Response => match self.outgoing.produce(socket, work, budget) {
                Produced::All => self.complete(),
                Produced::Blocked => Step::Blocked,
                Produced::Enough => Step::Turn,
            },
            Phase::Refuse(status) => {
                let status = *status;
                self.manner.closes = true;
                self.answer(socket, work, Reply::Status(status), Framing::Length(0))
            }
            Phase::Upgrade => {
                self.outgoing.flush(socket, work);
                Step::Blocked
            }
            Phase::Close => {
                if !self.outgoing.flush(socket, work) {
                    return Step::Blocked;
                }
                socket.finish();
                self.linger(&work.service.limits);
                Step::Used(0)
            }
            Phase::Linger(left) => match left.checked_sub(widen(bytes.len())) {
                Some(_) if bytes.is_empty() => Step::Starved,
                Some(rest) => {
                    *left = rest;
                    Step::Used(bytes.len())
                }
                None => {
                    socket.close_with(2);
                    Step::Used(bytes.len())
                }
            },
        }
    }

    fn head<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        bytes: &[u8],
    ) -> Step {
        if bytes.is_empty() {
            return Step::Starved;
        }
        if bytes.starts_with(b"\r\n") {
            // RFC 9112, section 2.2: some clients send one too many after a body.
            self.pieces.restart();
            return Step::Used(2);
        }
        if !self.outgoing.has_room(socket, work) {
            return Step::Blocked;
        }
        // What lies beyond the longest head does not count, so that the answer does not depend on
        // the pieces in which a head comes.
        let view = bytes.get(..work.head_max).unwrap_or(bytes);
        let is_longest = view.len() == work.head_max;
        if !self.pieces.are_worth_reading(view) && !is_longest {
            return Step::Starved;
        }
        let (head, len) = match Head::read(view) {
            Ok(Some(found)) => found,
            Ok(None) if !is_longest => return Step::Starved,
            Ok(None) if is_past_first_line(view) => {
                return self.refuse_head(Status::HeaderFieldsTooLarge);
            }
            Ok(None) => return self.refuse_head(Status::UriTooLong),
            Err(status) => return self.refuse_head(status),
        };
        self.pieces.restart();
        work.service.requests = work.service.requests.wrapping_add(1);
        self.begin(socket, work, &head, bytes.len() == len);
        Step::Used(len)
    }

    /// Acts on a head. There is room for the response's.
    fn begin<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        head: &Head<'_>,
        body_is_awaited: bool,
    ) {
        self.manner = Manner {
            closes: !head.keep_alive || work.service.stopping,
            is_1_0: !head.is_1_1,
            is_head: head.method == Method::Head,
        };
        let limit = work.service.limits.body_max;
        let source = match head.framing {
            Framing::Length(length) if length > limit => {
                self.refuse(Status::ContentTooLarge);
                return;
            }
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Chunked::new(), limit),
        };
        let reply = (work.service.route)(head);
        let refused = matches!(reply, Reply::Status(_) | Reply::Allow(_));
        if refused && head.expects_continue {
            // Nobody knows whether the body follows now, so nothing can follow it.
            self.manner.closes = true;
            self.answer(socket, work, reply, head.framing);
            return;
        }
        if head.expects_continue && body_is_awaited {
            self.outgoing.go_on(work);
        }
        if matches!(reply, Reply::Echo) {
            self.outgoing
                .respond(socket, work, reply, head.framing, self.manner);
        } else if head.framing == Framing::Length(0) {
            self.answer(socket, work, reply, head.framing);
            return;
        }
        self.phase = Phase::Body(source, reply);
    }

    /// Uses bytes of a request's body.
    fn body<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        bytes: &[u8],
    ) -> Step {
        let Phase::Body(source, reply) = &mut self.phase else {
            return Step::Used(0);
        };
        let reply = *reply;
        let echoes = matches!(reply, Reply::Echo);
        let (skip, left, framing) = match source {
            Source::Length(left) => (0, *left, Framing::Length(0)),
            Source::Chunked(chunked, limit) => match chunked.read(bytes) {
                Ok((skip, Next::End)) => (skip, 0, Framing::Chunked),
                Ok((skip, Next::Data(left))) if left <= *limit => (skip, left, Framing::Chunked),
                Ok((0, Next::Framing)) => return Step::Starved,
                Ok((skip, Next::Framing)) => return Step::Used(skip),
                Ok((_, Next::Data(_))) => return self.fail(Status::ContentTooLarge, echoes),
                Err(status) => return self.fail(status, echoes),
            },
        };
        if left == 0 {
            return self.body_end(socket, work, reply, framing, skip);
        }
        let data = bytes.get(skip..).unwrap_or_default();
        let data = usize::try_from(left).map_or(data, |left| data.get(..left).unwrap_or(data));
        if data.is_empty() {
            return if skip > 0 {
                Step::Used(skip)
            } else {
                Step::Starved
            };
        }
        let count = match framing {
            _ if !echoes => data.len(),
            Framing::Length(_) => self.outgoing.echo(socket, work, data),
            Framing::Chunked => self.outgoing.echo_chunk(socket, work, data),
        };
        self.moved = self.moved.saturating_add(widen(count));
        match source {
            Source::Length(left) => *left = left.saturating_sub(widen(count)),
            Source::Chunked(chunked, limit) => {
                chunked.took(widen(count));
                *limit = limit.saturating_sub(widen(count));
            }
        }
        match count.saturating_add(skip) {
            0 => Step::Blocked,
            used => Step::Used(used),
        }
    }

    /// The request is complete.
    fn body_end<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        reply: Reply,
        framing: Framing,
        skip: usize,
    ) -> Step {
        if !self.outgoing.has_room(socket, work) {
            return if skip > 0 {
                Step::Used(skip)
            } else {
                Step::Blocked
            };
        }
        if !matches!(reply, Reply::Echo) {
            self.answer(socket, work, reply, Framing::Length(0));
        } else {
            if framing == Framing::Chunked {
                self.outgoing.last_chunk(work);
            }
            self.complete();
        }
        Step::Used(skip)
    }

    /// Starts a response that does not depend on the request's body.
    fn answer<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        reply: Reply,
        framing: Framing,
    ) -> Step {
        if !self.outgoing.has_room(socket, work) {
            return Step::Blocked;
        }
        self.outgoing
            .respond(socket, work, reply, framing, self.manner);
        self.phase = match reply {
            Reply::Upgrade(_) => Phase::Upgrade,
            _ => Phase::Response,
        };
        Step::Used(0)
    }

    /// The response is complete.
    fn complete(&mut self) -> Step {
        self.renewed = true;
        self.phase = if self.manner.closes {
            Phase::Close
        } else {
            Phase::Head
        };
        Step::Used(0)
    }

    /// Answers with an error, after which the connection cannot be used.
    fn refuse(&mut self, status: Status) -> Step {
        self.phase = Phase::Refuse(status);
        Step::Used(0)
    }

    /// As [`Self::refuse`], for a head that could not be read: what the one before it asked for
    /// does not count.
    fn refuse_head(&mut self, status: Status) -> Step {
        self.manner = Manner::default();
        self.refuse(status)
    }

    /// As [`Self::refuse`], unless the response has begun: then it stays incomplete, which the
    /// client sees by the framing.
    fn fail(&mut self, status: Status, begun: bool) -> Step {
        if begun {
            self.phase = Phase::Close;
            return Step::Used(0);
        }
        self.refuse(status)
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
