//! The bytes of responses on their way to the client.

use usockets::{Handler, Platform, Socket, Span, Stats};

use super::head::Framing;
use super::memory::Work;
use super::pattern::PATTERN;
use super::reply::{Reply, Status};
use super::service::Fact;
use super::text::Text;

/// Room that the head of every response fits in, small bodies included.
pub(crate) const ROOM: usize = 512;
/// Longest page of numbers; with the longest head it fits [`ROOM`].
const PAGE_MAX: usize = 352;
/// Slices of one vectored write.
const PARTS_MAX: usize = 16;
/// What surrounds the data of a chunk: 16 digits and two line breaks.
const CHUNK_FRAME_MAX: usize = 20;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What of a response's body is still to be made.
#[derive(Clone, Copy, Debug)]
enum Body {
    Text(&'static [u8]),
    /// The first `sent` bytes of the pattern have been taken, `left` have not.
    Pattern {
        sent: u64,
        left: u64,
    },
}

const NOTHING: Body = Body::Text(&[]);

/// What a response depends on, apart from its status.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Manner {
    /// The connection closes after it.
    pub(crate) closes: bool,
    /// The request is of HTTP/1.0.
    pub(crate) is_1_0: bool,
    /// The request is a HEAD request: the body is left out.
    pub(crate) is_head: bool,
}

/// How far [`Outgoing::produce`] came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Produced {
    /// To the end of the body.
    All,
    /// As far as the client takes it now; `on_writable` follows.
    Blocked,
    /// As far as this turn goes.
    Enough,
}

/// Which bytes of the output the client has not taken yet, and the body they come from.
#[derive(Debug)]
pub(crate) struct Outgoing {
    held: Span,
    body: Body,
    /// Bytes that the client took, or the platform for it, since [`Self::take_moved`].
    moved: u64,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self {
            held: Span::EMPTY,
            body: NOTHING,
            moved: 0,
        }
    }

    /// Whether every byte put in so far was taken.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Moves what is held from `draft` to `memory`; whether it fits.
    pub(crate) fn keep(&mut self, draft: &mut [u8], memory: &mut [u8]) -> bool {
        let mut kept = Span::EMPTY;
        let fits = kept.of(memory).push(self.held.of(draft).filled()) == self.held.len();
        self.held = kept;
        fits
    }

    /// Sends what is held; whether nothing is held any more.
    pub(crate) fn flush<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
    ) -> bool {
        if !self.held.is_empty() {
            let count = socket.write(self.held.of(work.output).filled());
            self.sent(work, count);
        }
        self.held.is_empty()
    }

    /// Makes room for the head of a response; whether there is.
    pub(crate) fn has_room<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
    ) -> bool {
        self.held.of(work.output).room() >= ROOM || {
            self.flush(socket, work);
            self.held.of(work.output).room() >= ROOM
        }
    }

    /// Tells the client to send its body. There must be room.
    pub(crate) fn go_on(&mut self, work: &mut Work<'_>) {
        self.hold(work, CONTINUE);
    }

    /// Ends a chunked body. There must be room.
    pub(crate) fn last_chunk(&mut self, work: &mut Work<'_>) {
        self.hold(work, b"0\r\n\r\n");
    }

    /// Starts the response to a request, for which there must be room. Its body comes by
    /// [`Self::produce`] or, for [`Reply::Echo`], from the request's.
    pub(crate) fn respond<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        reply: Reply,
        echo: Framing,
        manner: Manner,
    ) {
        let now = socket.net().now();
        let service = &mut *work.service;
        let mut output = self.held.of(work.output);
        let page = match reply {
            Reply::Text(text) if manner == Manner::default() => Some(text),
            _ => None,
        };
        if let Some(response) = page.and_then(|text| service.page.get(text, now)) {
            let count = output.push(response);
            debug_assert_eq!(count, response.len(), "`ROOM` is enough");
            self.body = NOTHING;
            return;
        }
        let mut text = Text::new(output.spare());
        text.put(b"HTTP/1.1 ");
        text.put(status(reply).line().as_bytes());
        if let Reply::Upgrade(protocol) = reply {
            text.put(b"Connection: Upgrade\r\nUpgrade: ");
            text.put(protocol.as_bytes());
            text.put(b"\r\n\r\n");
        } else {
            if let Some(date) = service.date.text(now) {
                text.put(b"Date: ");
                text.put(date);
                text.put(b"\r\n");
            }
            put_connection(&mut text, manner, service.limits.keep_alive_secs());
            let counters = (socket.net().stats(), service.requests, service.facts);
            let body = put_content(&mut text, reply, echo, manner, counters);
            self.body = if manner.is_head { NOTHING } else { body };
        }
        debug_assert!(text.fits(), "`ROOM` is enough");
        let len = text.len();
        if let Some(page) = page {
            let head = output.spare().get(..len).unwrap_or_default();
            service.page.set(page, head, service.date.until());
        }
        output.commit(len);
    }

    /// Sends what is held and then the body, up to `budget` bytes, which counts down.
    pub(crate) fn produce<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        budget: &mut usize,
    ) -> Produced {
        loop {
            if !self.has_body() {
                return Produced::All;
            }
            if let Body::Text(text) = self.body
                && text.len() <= self.held.of(work.output).room()
            {
                self.hold(work, text);
                self.body = NOTHING;
                return Produced::All;
            }
            if *budget == 0 {
                return Produced::Enough;
            }
            let held = self.held.len();
            let output = self.held.of(work.output);
            let mut parts: [&[u8]; PARTS_MAX] = [&[]; PARTS_MAX];
            let len = self
                .body
                .fill(parts.get_mut(1..).unwrap_or_default(), *budget);
            if let Some(first) = parts.first_mut() {
                *first = output.filled();
            }
            let count = socket.write_vectored(&parts);
            self.sent(work, count.min(held));
            let count_body = count.saturating_sub(held);
            self.moved = self.moved.saturating_add(widen(count_body));
            self.body.advance(count_body);
            *budget = budget.saturating_sub(count);
            if count < held.saturating_add(len) {
                return Produced::Blocked;
            }
        }
    }

    /// Sends bytes of a request's body back. Returns how many were taken or are held.
    pub(crate) fn echo<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        data: &[u8],
    ) -> usize {
        let mut output = self.held.of(work.output);
        if data.len() <= output.room() {
            return output.push(data);
        }
        let held = output.len();
        let count = socket.write_vectored(&[output.filled(), data]);
        self.sent(work, count.min(held));
        let count = count.saturating_sub(held);
        self.moved = self.moved.saturating_add(widen(count));
        count
    }

    /// Sends bytes of a request's body back, as a chunk. Returns how many are held.
    pub(crate) fn echo_chunk<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        work: &mut Work<'_>,
        data: &[u8],
    ) -> usize {
        if self.held.of(work.output).room() < data.len().saturating_add(CHUNK_FRAME_MAX) {
            self.flush(socket, work);
        }
        let mut output = self.held.of(work.output);
        let room = output.room().saturating_sub(CHUNK_FRAME_MAX);
        let data = data.get(..room).unwrap_or(data);
        if data.is_empty() {
            return 0;
        }
        let mut text = Text::new(output.spare());
        text.put_hex(widen(data.len()));
        text.put(b"\r\n");
        text.put(data);
        text.put(b"\r\n");
        let len = text.len();
        output.commit(len);
        data.len()
    }

    /// Whether some of the body is still to be made.
    pub(crate) const fn has_body(&self) -> bool {
        match self.body {
            Body::Text(text) => !text.is_empty(),
            Body::Pattern { left, .. } => left > 0,
        }
    }

    /// Returns the bytes that went out since the last call.
    pub(crate) fn take_moved(&mut self) -> u64 {
        core::mem::take(&mut self.moved)
    }

    /// Puts bytes in, for which there is room.
    fn hold(&mut self, work: &mut Work<'_>, bytes: &[u8]) {
        let count = self.held.of(work.output).push(bytes);
        debug_assert_eq!(count, bytes.len(), "there is room");
    }

    /// Drops what went out of what is held.
    fn sent(&mut self, work: &mut Work<'_>, count: usize) {
        self.held.of(work.output).consume(count);
        self.moved = self.moved.saturating_add(widen(count));
    }
}

impl Body {
    /// Points `parts` at the next bytes of the body, at most `len_max`; how many they are.
    fn fill<'p>(&self, parts: &mut [&'p [u8]], len_max: usize) -> usize {
        let (sent, mut left) = match *self {
            Self::Text(text) => {
                let text = text.get(..len_max).unwrap_or(text);
                if let Some(part) = parts.first_mut() {
                    *part = text;
                }
                return text.len();
            }
            Self::Pattern { sent, left } => (sent, left.min(widen(len_max))),
        };
        let mut sum = 0_usize;
        let from = sent.checked_rem(widen(PATTERN.len())).unwrap_or(0);
        let mut from = usize::try_from(from).unwrap_or(0);
        for part in parts {
            let whole: &'p [u8] = PATTERN.get(from..).unwrap_or_default();
            let end = usize::try_from(left).unwrap_or(usize::MAX);
            *part = whole.get(..end).unwrap_or(whole);
            sum = sum.saturating_add(part.len());
            left = left.saturating_sub(widen(part.len()));
            from = 0;
        }
        sum
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Text(text) => *text = text.get(count..).unwrap_or_default(),
            Self::Pattern { sent, left } => {
                *sent = sent.saturating_add(widen(count));
                *left = left.saturating_sub(widen(count));
            }
        }
    }
}

const fn status(reply: Reply) -> Status {
    match reply {
        Reply::Text(_) | Reply::Pattern(_) | Reply::Echo | Reply::Stats | Reply::Report => {
            Status::Ok
        }
        Reply::Options(_) => Status::NoContent,
        Reply::Allow(_) => Status::MethodNotAllowed,
        Reply::Status(status) => status,
        Reply::Upgrade(_) => Status::SwitchingProtocols,
    }
}

/// Puts the fields about the connection.
fn put_connection(text: &mut Text<'_>, manner: Manner, keep_alive_secs: Option<u64>) {
    match (manner.closes, keep_alive_secs) {
        (true, _) => text.put(b"Connection: close\r\n"),
        (false, Some(secs)) => {
            // RFC 2068, section 19.7.1.1; RFC 9110, section 7.6.1, has Connection name it.
            text.put(b"Connection: keep-alive\r\nKeep-Alive: timeout=");
            text.put_decimal(secs);
            text.put(b"\r\n");
        }
        (false, None) if manner.is_1_0 => text.put(b"Connection: keep-alive\r\n"),
        (false, None) => {}
    }
}

/// Ends the head with the fields about the content. Returns the body that is to follow.
fn put_content(
    text: &mut Text<'_>,
    reply: Reply,
    echo: Framing,
    manner: Manner,
    counters: Counters,
) -> Body {
    match (reply, echo) {
        (Reply::Options(methods), _) => {
            text.put(b"Allow: ");
            text.put(methods.as_bytes());
            text.put(b"\r\n\r\n");
            return NOTHING;
        }
        (Reply::Echo, Framing::Chunked) => {
            text.put(b"Transfer-Encoding: chunked\r\n\r\n");
            return NOTHING;
        }
        (Reply::Echo, Framing::Length(length)) => {
            put_length(text, length);
            return NOTHING;
        }
        (Reply::Pattern(left), _) => {
            text.put(b"Content-Type: text/plain\r\n");
            put_length(text, left);
            return Body::Pattern { sent: 0, left };
        }
        (Reply::Allow(methods), _) => {
            text.put(b"Allow: ");
            text.put(methods.as_bytes());
            text.put(b"\r\n");
        }
        _ => {}
    }
    text.put(b"Content-Type: text/plain\r\n");
    let body = match reply {
        Reply::Text(body) => body,
        Reply::Stats => {
            put_stats(text, counters, manner.is_head);
            return NOTHING;
        }
        Reply::Report => {
            put_report(text, counters, manner.is_head);
            return NOTHING;
        }
        reply => status(reply).line(),
    };
    put_length(text, widen(body.len()));
    Body::Text(body.as_bytes())
}

fn put_length(text: &mut Text<'_>, length: u64) {
    text.put(b"Content-Length: ");
    text.put_decimal(length);
    text.put(b"\r\n\r\n");
}

/// What pages of numbers are made of: the loop's, the requests, and the machine's.
type Counters = (Stats, u64, &'static [Fact]);

/// Puts the loop's counters.
fn put_stats(text: &mut Text<'_>, (stats, requests, _): Counters, is_head: bool) {
    let lines = [
        ("requests", requests),
        ("iterations", stats.iterations),
        ("accepted", stats.accepted),
        ("failed", stats.failed),
        ("pauses", stats.pauses),
        ("received", stats.received),
        ("sent", stats.sent),
        ("open", stats.open.into()),
        ("in_use", stats.in_use.into()),
    ];
    put_page(text, &mut lines.into_iter(), is_head);
}

/// Puts the loop's state and what the machine tells of itself.
fn put_report(text: &mut Text<'_>, (stats, requests, facts): Counters, is_head: bool) {
    let lines = [
        ("requests", requests),
        ("accepted", stats.accepted),
        ("open", stats.open.into()),
        ("in_use", stats.in_use.into()),
    ];
    let facts = facts.iter().map(|(name, find)| (*name, find()));
    put_page(text, &mut lines.into_iter().chain(facts), is_head);
}

/// Puts the length of a page of names and numbers and, unless it is a HEAD request, the page.
fn put_page(
    text: &mut Text<'_>,
    lines: &mut dyn Iterator<Item = (&'static str, u64)>,
    is_head: bool,
) {
    let mut bytes = [0_u8; PAGE_MAX];
    let mut body = Text::new(&mut bytes);
    for (name, number) in lines {
        let mut line = [0_u8; 64];
        let mut words = Text::new(&mut line);
        words.put(name.as_bytes());
        words.put(b" ");
        words.put_decimal(number);
        words.put(b"\n");
        let len = words.len();
        body.put(line.get(..len).unwrap_or_default());
    }
    let len = body.len();
    put_length(text, widen(len));
    if !is_head {
        text.put(bytes.get(..len).unwrap_or_default());
    }
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
