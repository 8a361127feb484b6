//! The HTTP server of the examples on simulated networks: what it answers must not depend on the
//! pieces in which a request comes, nor on those in which the client takes the answer.

use std::cell::RefCell;
use std::time::Duration;

use usockets::{Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};

use crate::rng::Rng;
use crate::sim::{Faults, Sim};

use self::handler::date::WallClock;
use self::handler::head::{Head, Method};
use self::handler::memory::{Memory, Store};
use self::handler::reply::Reply;
use self::handler::routes::route;
use self::handler::server::{Group, Server};
use self::handler::service::{Limits, Service};

#[path = "../../platform-linux/examples/handlers/http/mod.rs"]
#[allow(
    dead_code,
    clippy::arithmetic_side_effects,
    reason = "going over to another protocol is for an example"
)]
mod handler;

/// Memory per connection, small enough that its ends are met.
const IN: usize = 512;
const OUT: usize = 512;
const SLOTS: usize = 3;
/// Longest body that the server makes.
const PATTERN_MAX: u64 = 3_000;
/// Longer than any run, unless it has come to a stop.
const EVER: Duration = Duration::from_secs(1 << 30);
/// Steps of a run, at most.
const STEPS_MAX: u32 = 200_000;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One response as a client understands it.
#[derive(Debug, Eq, PartialEq)]
struct Response {
    code: u16,
    body: Vec<u8>,
    /// The server ended the connection before the body's end.
    is_cut: bool,
}

/// Sends `bytes`, the stream of a client, to a server twice: at once on a smooth network, and in
/// pieces on a rough one. The responses must be well formed, and the same.
///
/// # Panics
/// They are not, or the connection does not end.
pub fn fuzz_http(bytes: &[u8]) {
    let (seed, stream) = bytes.split_first_chunk().unwrap_or((&[0; 4], bytes));
    let seed = u64::from(u32::from_le_bytes(*seed));
    let wanted = run(seed, Faults::none(), stream);
    let got = run(seed, Faults::rough(seed), stream);
    assert_eq!(wanted, got, "seed {seed}, {}", stream.escape_ascii());
}

/// A stream of requests that are mostly right, for fuzzers and random runs to start from.
#[must_use]
pub fn random_stream(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = (rng.next() as u32).to_le_bytes().to_vec();
    for _ in 0..=rng.below(5) {
        request(rng, &mut bytes);
    }
    for _ in 0..rng.below(3) * rng.below(2) {
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(4) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes.insert(at, rng.next() as u8),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(4)),
        }
    }
    bytes
}

fn request(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const LINES: [&str; 9] = [
        "GET / HTTP/1.1",
        "GET /bytes/700 HTTP/1.1",
        "HEAD /bytes/700 HTTP/1.1",
        "GET /nowhere?x=1 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /bytes/9999999999 HTTP/1.1",
        "DELETE / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET http://a/ HTTP/1.1",
    ];
    const FIELDS: [&str; 5] = [
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Expect: 100-continue\r\n",
        "Host: b\r\n",
        "X: y\r\n",
    ];
    let mut body = Vec::new();
    let mut framing = String::new();
    let line = if rng.below(2) == 0 {
        let data: Vec<u8> = (0..rng.below(900)).map(|_| rng.next() as u8).collect();
        if rng.below(2) == 0 {
            framing = format!("Content-Length: {}\r\n", data.len());
            body = data;
        } else {
            framing = "Transfer-Encoding: chunked\r\n".into();
            for chunk in data.chunks(1 + rng.below(300) as usize) {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
        }
        "POST /echo HTTP/1.1"
    } else {
        LINES[rng.below(LINES.len() as u64) as usize]
    };
    bytes.extend(format!("{line}\r\nHost: a\r\n{framing}").bytes());
    for _ in 0..rng.below(3) * rng.below(2) {
        bytes.extend(FIELDS[rng.below(FIELDS.len() as u64) as usize].bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
}

/// As the example's, with bodies that come to an end and without counters, which differ.
fn bounded(head: &Head<'_>) -> Reply {
    HEADS.with_borrow_mut(|heads| heads.push(head.method == Method::Head));
    match route(head) {
        Reply::Pattern(count) => Reply::Pattern(count.min(PATTERN_MAX)),
        Reply::Stats => Reply::Text("counters\n"),
        reply => reply,
    }
}

/// Serves one client and returns what it got.
fn run(seed: u64, faults: Faults, stream: &[u8]) -> Vec<Response> {
    HEADS.take();
    let mut rng = Rng::new(seed);
    let sim = Sim::new(seed, faults);
    let mut service = Service::new(bounded, WallClock(|| None));
    service.limits = Limits {
        idle: EVER,
        head: EVER,
        body: EVER,
        send: EVER,
        linger: EVER,
        // Small, to go on with a response in later turns.
        turn_max: 600,
        ..Limits::default()
    };
    let mut store = Store::<IN, OUT, SLOTS>::new();
    let mut handler = Server::new(service, &mut store);
    let mut sockets = Sockets::<_, Server<'_, IN, OUT>, SLOTS>::new();
    let mut buffer = [0; Memory::<IN, OUT>::RECEIVE_MAX];
    let buffer = match rng.below(3) {
        0 => &mut buffer[..1 + rng.below(200) as usize],
        _ => &mut buffer[..],
    };
    let mut server = Loop::with_buffer(sim.host(), &mut sockets, buffer).expect("a buffer");
    let mut client_sockets = Sockets::<_, Client<'_>, 2>::new();
    let mut client_buffer = [0; 4_096];
    let mut client = Loop::new(sim.host(), &mut client_sockets, &mut client_buffer);
    let mut asker = Client {
        unsent: stream,
        got: Vec::new(),
        closed: None,
    };
    let at = Endpoint::tcp((sim.addresses(0)[0], 80).into());
    let listener = server
        .net()
        .listen(at, Group::Listener)
        .expect("a listener");
    client.net().connect(at, ()).expect("a connect");
    for _ in 0..STEPS_MAX {
        server.poll(&mut handler, None).expect("a sound host");
        client.poll(&mut asker, None).expect("a sound host");
        if asker.closed.is_some() && server.stats().open == 0 {
            server.net().stop_listening(listener);
            assert_eq!(server.net().stats().in_use, 0, "a slot leaked");
            return responses(&asker.got, &HEADS.take());
        }
        if !sim.is_due(0) && !sim.is_due(1) {
            assert!(sim.step(EVER), "everyone waits: {asker:?}");
        }
    }
    panic!("the connection does not end: {asker:?}");
}

/// Sends all it has, ends its direction, and keeps what it gets.
#[derive(Debug)]
struct Client<'s> {
    unsent: &'s [u8],
    got: Vec<u8>,
    closed: Option<Closed>,
}

impl Client<'_> {
    fn send<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>) {
        let count = socket.write(self.unsent);
        self.unsent = &self.unsent[count..];
        if self.unsent.is_empty() {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Client<'_> {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.send(socket);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.got.extend_from_slice(data);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.send(socket);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed = Some(closed);
    }
}

thread_local! {
    /// Of each request that was routed, whether its response has no body.
    static HEADS: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

/// Takes a stream of responses apart. Responses 100 (Continue) are left out: whether there is one
/// depends on whether the body had come.
fn responses(mut stream: &[u8], heads: &[bool]) -> Vec<Response> {
    let mut found = Vec::new();
    while !stream.is_empty() {
        if let Some(rest) = stream.strip_prefix(CONTINUE) {
            stream = rest;
            continue;
        }
        let has_body = !heads.get(found.len()).is_some_and(|is_head| *is_head);
        let (response, rest) = response(stream, has_body);
        stream = rest;
        assert!(stream.is_empty() || !response.is_cut);
        found.push(response);
    }
    found
}

fn response(stream: &[u8], has_body: bool) -> (Response, &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut head = httparse::Response::new(&mut fields);
    let status = head.parse(stream).expect("a head");
    assert!(status.is_complete(), "{}", stream.escape_ascii());
    let mut rest = &stream[status.unwrap()..];
    let field = |name| {
        let found = head.headers.iter().find(|field| field.name == name);
        found.map(|field| core::str::from_utf8(field.value).expect("text"))
    };
    let (mut body, mut is_cut) = (Vec::new(), false);
    if !has_body {
    } else if field("Transfer-Encoding").is_some() {
        loop {
            let chunk;
            (chunk, rest, is_cut) = next_chunk(rest);
            body.extend_from_slice(chunk);
            if is_cut || chunk.is_empty() {
                break;
            }
        }
    } else if let Some(length) = field("Content-Length") {
        let length: usize = length.parse().expect("a number");
        is_cut = rest.len() < length;
        let whole = length.min(rest.len());
        body.extend_from_slice(&rest[..whole]);
        rest = &rest[whole..];
    }
    let code = head.code.expect("a status");
    let response = Response { code, body, is_cut };
    (response, rest)
}

/// Takes the next chunk (RFC 9112, section 7.1): its data, what follows, and whether it is cut.
fn next_chunk(stream: &[u8]) -> (&[u8], &[u8], bool) {
    let Ok(httparse::Status::Complete((start, len))) = httparse::parse_chunk_size(stream) else {
        return (stream, &[], true);
    };
    let (data, rest) = stream[start..]
        .split_at_checked(len as usize)
        .unwrap_or_default();
    match rest.strip_prefix(b"\r\n") {
        Some(rest) => (data, rest, false),
        None => (data, &[], true),
    }
}
