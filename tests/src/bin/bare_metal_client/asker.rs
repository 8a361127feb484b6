//! Many connections of one loop, each of which asks and is answered.

use std::time::{Duration, Instant};

use usockets::{Closed, Endpoint, Error, Handler, Net, Opened, Platform, Socket, SocketId};

use crate::client::{Head, Outcome};

/// Octets of each connection's receive buffer, as far as the kernel goes so low: so a server soon
/// notices a client that reads nothing.
const RECEIVE: usize = 4_096;

/// A part of a request, and a request for more than any buffer holds.
const HALF: &[u8] = b"GET / HTTP/1.1\r\nHos";
const MUCH: &[u8] = b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n";

/// What is sent, and what must come back for it.
#[derive(Default)]
pub(crate) struct Question {
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Question {
    /// Asks for a page.
    pub(crate) fn get(path: &str, body: &[u8]) -> Self {
        Self {
            request: format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
            status: 200,
            body: body.to_vec(),
        }
    }
}

/// How a connection behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Habit {
    /// It sends whole requests, and reads.
    #[default]
    Honest,
    /// It has sent a part of a request, and waits to be told that this took too long.
    Half,
    /// It asks for much and reads nothing, and may lose its connection.
    Deaf,
    /// It asks for much, and resets when some of it comes.
    Fickle,
}

impl Habit {
    /// What somebody like that sends.
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Honest => b"",
            Self::Half => HALF,
            Self::Deaf | Self::Fickle => MUCH,
        }
    }
}

/// One connection.
#[derive(Default)]
struct Session {
    id: Option<SocketId>,
    habit: Habit,
    /// When it asked, while it waits for the answer.
    asked: Option<Instant>,
    /// What has come of the answer.
    answer: Vec<u8>,
}

/// All connections, and what they do.
pub(crate) struct Asker {
    to: Endpoint<'static>,
    sessions: Vec<Session>,
    question: Question,
    /// Who is still to ask, last first, and how many may wait for an answer at once.
    queue: Vec<usize>,
    at_once: usize,
    waiting: usize,
    /// Who is still to take up another habit: one for each answer that comes.
    troublesome: Vec<(usize, Habit)>,
    /// Longest time until an answer was there, from when its connection was begun if it was.
    pub(crate) slowest: Duration,
    /// Connections that sent a part of a request and were told that it took too long.
    pub(crate) told: usize,
    /// Connections that were broken and deserved it: they did not send or read what they had to.
    pub(crate) broken: usize,
    /// The first thing that went wrong.
    pub(crate) fault: Option<String>,
}

impl Asker {
    /// Makes so many connections' state; none is open.
    pub(crate) fn new(to: std::net::SocketAddr, count: usize) -> Self {
        let mut sessions = Vec::new();
        sessions.resize_with(count, Session::default);
        Self {
            to: Endpoint::tcp(to).recv_buffer(RECEIVE),
            sessions,
            question: Question::default(),
            queue: Vec::new(),
            at_once: 0,
            waiting: 0,
            troublesome: Vec::new(),
            slowest: Duration::ZERO,
            told: 0,
            broken: 0,
            fault: None,
        }
    }

    /// Returns whether all have been answered.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.waiting == 0
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        let open = self.sessions.iter().filter(|one| one.id.is_some());
        open.count()
    }

    /// Has the given connections ask, at most so many at once; those that are not open are opened.
    pub(crate) fn ask<P: Platform>(
        &mut self,
        net: &mut Net<'_, P, usize>,
        numbers: Vec<usize>,
        (question, at_once): (Question, usize),
    ) {
        (self.queue, self.question, self.at_once) = (numbers, question, at_once);
        self.slowest = Duration::ZERO;
        self.start(net);
    }

    /// Has each of the given connections take up a habit when an answer has come to another, so
    /// that this goes as fast as the server does.
    pub(crate) fn annoy_by_turns(&mut self, troublesome: Vec<(usize, Habit)>) {
        self.troublesome = troublesome;
    }

    /// Has a connection behave as `habit` says from now on.
    pub(crate) fn annoy<P: Platform>(
        &mut self,
        net: &mut Net<'_, P, usize>,
        number: usize,
        habit: Habit,
    ) {
        let session = &mut self.sessions[number];
        let Some(id) = session.id else {
            return;
        };
        session.habit = habit;
        if habit == Habit::Deaf {
            net.pause(id);
        }
        if net.write(id, habit.bytes()) < habit.bytes().len() {
            self.fail(format!("{number} cannot send"));
        }
    }

    /// Ends the given connections.
    pub(crate) fn close<P: Platform>(&mut self, net: &mut Net<'_, P, usize>, numbers: &[usize]) {
        for number in numbers {
            if let Some(id) = self.sessions[*number].id {
                net.close(id);
            }
        }
    }

    fn start<P: Platform>(&mut self, net: &mut Net<'_, P, usize>) {
        while self.waiting < self.at_once
            && let Some(number) = self.queue.pop()
        {
            self.waiting += 1;
            self.sessions[number].asked = Some(Instant::now());
            match self.sessions[number].id {
                Some(id) => self.send(net, id, number),
                None => {
                    if let Err(error) = net.connect(self.to, number) {
                        self.fail(format!("{number} cannot connect: {error}"));
                    }
                }
            }
        }
    }

    fn send<P: Platform>(&mut self, net: &mut Net<'_, P, usize>, id: SocketId, number: usize) {
        if net.write(id, &self.question.request) < self.question.request.len() {
            self.fail(format!("{number} cannot send"));
        }
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Uses what came of an answer.
    fn receive(&mut self, number: usize, data: &[u8]) -> Outcome<bool> {
        let session = &mut self.sessions[number];
        session.answer.extend(data);
        let Some((status, body)) = parse(&session.answer)? else {
            return Ok(false);
        };
        if session.habit == Habit::Half {
            return match status {
                408 => Ok(true),
                _ => Err(format!("half a request got {status}")),
            };
        }
        let Question {
            status: wanted,
            body: whole,
            ..
        } = &self.question;
        if session.asked.is_none() {
            return Err(format!("an answer {status} that nobody asked for"));
        }
        if status != *wanted || !whole.is_empty() && whole != body {
            return Err(format!("{status} and {} bytes", body.len()));
        }
        Ok(true)
    }
}

/// Splits a whole answer into status and body; `None` while some of it is missing.
fn parse(answer: &[u8]) -> Outcome<Option<(u16, &[u8])>> {
    let Some(head) = Head::read(answer)? else {
        return Ok(None);
    };
    let body = &answer[head.len..];
    let length = head.body_len.ok_or("the head tells no length")?;
    Ok((body.len() >= length).then_some((head.status, body)))
}

impl<P: Platform> Handler<P> for Asker {
    /// The connection's number.
    type Context = usize;
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<usize>) -> usize {
        let (number, id) = (opened.context(), socket.id());
        self.sessions[number].id = Some(id);
        self.send(socket.net(), id, number);
        number
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, number: &mut usize, data: &mut [u8]) {
        match self.sessions[*number].habit {
            Habit::Deaf => return,
            Habit::Fickle => return socket.abort(1),
            Habit::Honest | Habit::Half => {}
        }
        match self.receive(*number, data) {
            Ok(false) => {}
            Ok(true) => {
                let session = &mut self.sessions[*number];
                session.answer.clear();
                if session.habit == Habit::Half {
                    self.told += 1;
                } else if let Some(asked) = session.asked.take() {
                    self.slowest = self.slowest.max(asked.elapsed());
                    self.waiting -= 1;
                    if let Some((other, habit)) = self.troublesome.pop() {
                        self.annoy(socket.net(), other, habit);
                    }
                }
                self.start(socket.net());
            }
            Err(fault) => self.fail(format!("{number}: {fault}")),
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, number: &mut usize, closed: Closed) {
        let session = &mut self.sessions[*number];
        (session.id, session.asked) = (None, None);
        session.answer.clear();
        let habit = core::mem::take(&mut session.habit);
        match (habit, closed) {
            (_, Closed::Local(_)) | (Habit::Half, Closed::Finished) => {}
            (Habit::Half | Habit::Deaf | Habit::Fickle, _) => self.broken += 1,
            _ => self.fail(format!("{number} was closed: {closed}")),
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, number: usize, error: Error) {
        self.fail(format!("{number} was not connected: {error}"));
    }
}
