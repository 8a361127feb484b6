//! The load: connections that each send a request and wait for the answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;
use rustix::time::Timespec;

use crate::Failure;

/// Connections made before the last one must answer, so that no server's queue overflows.
const BATCH: usize = 64;
/// How long a server may take for an answer, however slow the machine is.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// Bytes received at once, more than any answer has.
const RECEIVE_MAX: usize = 262_144;

/// What each connection sends, and how long the answer is.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The requests that are sent together.
    request: Vec<u8>,
    /// Bytes that answer them.
    reply: usize,
    /// How many there are.
    depth: u64,
}

impl Exchange {
    /// Asks a server once, to see that it answers rightly and how long the answer is; then the
    /// same `depth` times at once.
    ///
    /// # Errors
    /// The answer is wrong.
    pub(crate) fn probe(
        server: SocketAddr,
        request: &[u8],
        depth: usize,
        answer: Answer,
    ) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(request)?;
        let reply = match answer {
            Answer::Same => {
                let mut reply = vec![0; request.len()];
                stream.read_exact(&mut reply)?;
                if reply != request {
                    return Err("not an echo".into());
                }
                reply.len()
            }
            Answer::Http => http_reply(&mut stream)?,
        };
        Ok(Self {
            request: request.repeat(depth),
            reply: reply * depth,
            depth: depth.try_into()?,
        })
    }
}

/// What makes an answer right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It is the request.
    Same,
    /// It is a response with status 200 and a body.
    Http,
}

/// Reads one response, which ends with a line break; returns its length.
fn http_reply(stream: &mut TcpStream) -> Result<usize, Failure> {
    let mut reply = Vec::new();
    let mut byte = [0];
    let mut body = None;
    while body.is_none_or(|end| reply.len() < end) {
        stream.read_exact(&mut byte)?;
        reply.extend_from_slice(&byte);
        if body.is_none() && reply.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(reply.clone())?;
            let field = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            body = Some(reply.len() + field.ok_or("no length")?.parse::<usize>()?);
        }
    }
    if !reply.starts_with(b"HTTP/1.1 200 OK\r\n") || !reply.ends_with(b"!\n") {
        return Err("not the response that was asked for".into());
    }
    Ok(reply.len())
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the requests that were sent.
    sent: usize,
    /// Bytes of the answers that came.
    received: usize,
    since: Instant,
}

/// What a run brought.
#[derive(Debug)]
pub(crate) struct Run {
    /// Requests sent and answered.
    pub(crate) requests: u64,
    /// How long it took, until the last answer.
    pub(crate) elapsed: Duration,
    /// Nanoseconds from sending requests to having all their answers.
    pub(crate) latency: Histogram<u64>,
}

impl Run {
    /// Starts without anything.
    ///
    /// # Errors
    /// None that can be.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            requests: 0,
            elapsed: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, 100_000_000_000, 3)?,
        })
    }
}

/// Connections to one server. They are reset when this is dropped, so that none of them keeps its
/// port waiting.
pub(crate) struct Client {
    epoll: OwnedFd,
    exchange: Exchange,
    connections: Vec<Connection>,
    received: Vec<u8>,
}

impl Client {
    /// Connects `count` times.
    ///
    /// # Errors
    /// The server does not accept or answer, or the system has no more descriptors.
    pub(crate) fn connect(
        server: SocketAddr,
        count: usize,
        exchange: Exchange,
    ) -> Result<Self, Failure> {
        let mut client = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            exchange,
            connections: Vec::with_capacity(count),
            received: vec![0; RECEIVE_MAX],
        };
        for index in 0..count {
            let mut stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            if index % BATCH == BATCH - 1 {
                // The server accepts in order: once this one is answered, none waits.
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.write_all(&client.exchange.request)?;
                stream.read_exact(&mut client.received[..client.exchange.reply])?;
            }
            stream.set_nonblocking(true)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            let data = EventData::new_u64(index.try_into()?);
            epoll::add(&client.epoll, &stream, data, flags)?;
            client.connections.push(Connection {
                stream,
                sent: client.exchange.request.len(),
                received: client.exchange.reply,
                since: Instant::now(),
            });
        }
        Ok(client)
    }

    /// Lets every connection send requests, one after the other is answered, for this long; then
    /// waits for the last answers, so that what the server did is what was counted.
    ///
    /// # Errors
    /// The server closed a connection, or nothing is answered any more.
    pub(crate) fn run(&mut self, window: Duration) -> Result<Run, Failure> {
        let mut run = Run::new()?;
        let start = Instant::now();
        for connection in &mut self.connections {
            begin(connection, &self.exchange, start)?;
        }
        let mut waiting = self.connections.len();
        while waiting > 0 {
            let again = run.elapsed < window;
            let answered = self.wait(&mut run, again)?;
            if !again {
                waiting -= answered;
            }
            run.elapsed = start.elapsed();
            if run.elapsed > window + ANSWER_MAX {
                return Err("not everything was answered".into());
            }
        }
        Ok(run)
    }

    /// Lets every connection send once, and waits until all are answered.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn once(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let mut run = Run::new()?;
        let depth = self.exchange.depth;
        let all = depth * u64::try_from(self.connections.len())?;
        // Some at a time, as it is in life: all at once would be one large wave.
        let batches = self.connections.len().div_ceil(BATCH);
        for batch in 0..batches {
            let first = batch * BATCH;
            let last = self.connections.len().min(first + BATCH);
            for connection in &mut self.connections[first..last] {
                begin(connection, &self.exchange, Instant::now())?;
            }
            let wanted = all.min(depth * u64::try_from(last)?);
            while run.requests < wanted {
                self.wait(&mut run, false)?;
                if start.elapsed() > ANSWER_MAX {
                    return Err("not everything was answered".into());
                }
            }
        }
        Ok(())
    }

    /// Serves what is ready. Does not sleep: the load has a processor for itself.
    ///
    /// Returns how many connections have all their answers. They send again, if wanted.
    fn wait(&mut self, run: &mut Run, again: bool) -> Result<usize, Failure> {
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        let mut events = [empty; EVENTS_MAX];
        let at_once = Timespec::default();
        let count = match epoll::wait(&self.epoll, &mut events[..], Some(&at_once)) {
            Err(rustix::io::Errno::INTR) => 0,
            result => result?,
        };
        let mut answered = 0;
        for event in &events[..count] {
            let data = event.data;
            let connection = &mut self.connections[usize::try_from(data.u64())?];
            let exchange = &self.exchange;
            send(connection, exchange)?;
            if !receive(connection, exchange, &mut self.received)? {
                continue;
            }
            let now = Instant::now();
            let nanos = now.duration_since(connection.since).as_nanos();
            run.latency.saturating_record(nanos.try_into()?);
            run.requests += exchange.depth;
            answered += 1;
            if again {
                begin(connection, exchange, now)?;
            }
        }
        Ok(answered)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for connection in &self.connections {
            let _ = set_socket_linger(&connection.stream, Some(Duration::ZERO));
        }
    }
}

fn begin(connection: &mut Connection, exchange: &Exchange, now: Instant) -> Result<(), Failure> {
    connection.sent = 0;
    connection.received = 0;
    connection.since = now;
    send(connection, exchange)
}

/// Sends what the server takes of the requests.
fn send(connection: &mut Connection, exchange: &Exchange) -> Result<(), Failure> {
    while connection.sent < exchange.request.len() {
        match connection
            .stream
            .write(&exchange.request[connection.sent..])
        {
            Ok(count) => connection.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Receives what there is of the answers; whether the last of them came.
fn receive(
    connection: &mut Connection,
    exchange: &Exchange,
    buffer: &mut [u8],
) -> Result<bool, Failure> {
    if connection.received == exchange.reply {
        // Room to send was reported, long after everything was sent.
        return Ok(false);
    }
    match connection.stream.read(buffer) {
        Ok(0) => Err("the server closed a connection".into()),
        Ok(count) => {
            connection.received += count;
            if connection.received > exchange.reply {
                return Err("the answer is too long".into());
            }
            Ok(connection.received == exchange.reply)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
