//! A handler for tests: it writes down every call, keeps conversations going, and does what the
//! test says.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use usockets::{
    AllSockets, Closed, Error, Handler, Incoming, Instant, ListenerId, Net, Opened, Platform,
    PreOpen, Socket, SocketId, TimerId,
};

/// One call to the handler.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `on_open`, with the context and, if it was accepted, the peer's address.
    Open(SocketId, u8, Option<SocketAddr>),
    /// `on_data`, with the bytes.
    Data(SocketId, Vec<u8>),
    /// `on_readable`.
    Readable(SocketId),
    /// `on_writable`.
    Writable(SocketId),
    /// `on_end`.
    End(SocketId),
    /// `on_timeout`.
    Timeout(SocketId),
    /// `on_drain`.
    Drain(SocketId),
    /// `on_close`.
    Close(SocketId, Closed),
    /// `on_connect_error`, with the context.
    ConnectError(SocketId, u8, Error),
    /// `on_accept_error`.
    AcceptError(ListenerId, Error),
    /// `on_timer`, with the repeats missed.
    Timer(TimerId, u32),
    /// `on_wake`.
    Wake,
}

impl Event {
    /// Returns the socket that the call was about.
    #[must_use]
    pub const fn id(&self) -> Option<SocketId> {
        match self {
            Self::Open(id, ..)
            | Self::Data(id, _)
            | Self::Readable(id)
            | Self::Writable(id)
            | Self::End(id)
            | Self::Drain(id)
            | Self::Timeout(id)
            | Self::Close(id, _)
            | Self::ConnectError(id, ..) => Some(*id),
            Self::AcceptError(..) | Self::Timer(..) | Self::Wake => None,
        }
    }
}

/// What a call was lent: its socket, or everyone.
pub enum At<'x, 'a, P: Platform> {
    /// The socket the call is about.
    Socket(&'x mut Socket<'a, P, Script<P>>),
    /// No socket.
    AllSockets(&'x mut AllSockets<'a, P, Script<P>>),
}

impl<'a, P: Platform> At<'_, 'a, P> {
    /// Returns every socket, by name.
    pub fn net(&mut self) -> &mut Net<'a, P, u8> {
        match self {
            Self::Socket(socket) => socket.net(),
            Self::AllSockets(sockets) => sockets.net(),
        }
    }
}

/// What was said on one connection.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// Everything received so far.
    pub received: Vec<u8>,
    /// What is to be written; goes out as room comes.
    pub to_send: Vec<u8>,
    /// How much of it was taken.
    pub sent: usize,
    /// Whether our end is to follow.
    pub finishing: bool,
    /// Whether writes are to be vectored.
    pub vectored: bool,
    /// Whether `on_end` came.
    pub ended: bool,
    /// Why it closed, if it did.
    pub closed: Option<Closed>,
}

/// A handler that writes down every call and does what a test says. It also checks, in every
/// test, what always holds: the order of calls, and that each socket gets its own data.
pub struct Script<P: Platform> {
    /// Every call so far, with the iteration's time.
    pub log: Vec<(Instant, Event)>,
    /// Every connection that ever opened.
    pub talks: HashMap<SocketId, Talk>,
    /// Whether `on_end` finishes our direction, after what is unsent.
    pub finish_on_end: bool,
    /// Whether what is received is sent back.
    pub echo: bool,
    /// Whether `on_timeout` leaves the socket open.
    pub keep_on_timeout: bool,
    #[expect(clippy::type_complexity, reason = "said once")]
    pre_open: Option<Box<dyn FnMut(&mut Incoming<'_, P, u8>) -> PreOpen>>,
    #[expect(clippy::type_complexity, reason = "said once")]
    act: Option<Box<dyn FnMut(&mut At<'_, '_, P>, &Event)>>,
}

impl<P: Platform> fmt::Debug for Script<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("log", &self.log).finish()
    }
}

impl<P: Platform> Default for Script<P> {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            talks: HashMap::new(),
            finish_on_end: true,
            echo: false,
            keep_on_timeout: false,
            pre_open: None,
            act: None,
        }
    }
}

/// A socket's own data: its name, so that a mix-up shows.
#[derive(Clone, Copy, Debug)]
pub struct Own(SocketId);

impl<P: Platform> Script<P> {
    /// Does this in every call from now on, besides keeping the log.
    pub fn act(&mut self, act: impl FnMut(&mut At<'_, '_, P>, &Event) + 'static) {
        self.act = Some(Box::new(act));
    }

    /// Asks this about every connection that is accepted from now on.
    pub fn pre_open(&mut self, ask: impl FnMut(&mut Incoming<'_, P, u8>) -> PreOpen + 'static) {
        self.pre_open = Some(Box::new(ask));
    }

    /// Returns the calls so far, without their times.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.log.iter().map(|(_, event)| event)
    }

    /// Returns how many calls so far are as asked.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events().filter(|event| is(event)).count()
    }

    /// Returns the name of the connection that opened `nth`.
    #[must_use]
    pub fn opened(&self, nth: usize) -> Option<SocketId> {
        let mut opens = self.events().filter_map(|event| match event {
            Event::Open(id, ..) => Some(*id),
            _ => None,
        });
        opens.nth(nth)
    }

    /// Returns what was received on a connection.
    #[must_use]
    pub fn received(&self, id: SocketId) -> &[u8] {
        self.talks.get(&id).map_or(&[], |talk| &talk.received)
    }

    /// Returns why a connection closed, if it did.
    #[must_use]
    pub fn closed(&self, id: SocketId) -> Option<Closed> {
        self.talks.get(&id)?.closed
    }

    /// Returns the last calls, a line each, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let from = self.log.len().saturating_sub(20);
        let line = |(at, event): &(Instant, Event)| match event {
            Event::Data(id, bytes) => format!("{} Data({id:?}, {})\n", at.as_micros(), bytes.len()),
            event => format!("{} {event:?}\n", at.as_micros()),
        };
        self.log[from..].iter().map(line).collect()
    }

    /// Writes as much as goes of what a connection still has to say.
    pub fn pump(&mut self, net: &mut Net<'_, P, u8>, id: SocketId) {
        let Some(talk) = self.talks.get_mut(&id) else {
            return;
        };
        while talk.sent < talk.to_send.len() {
            let rest = &talk.to_send[talk.sent..];
            let count = if talk.vectored {
                let (a, b) = rest.split_at(rest.len() / 3);
                net.write_vectored(id, &[a, &[], b])
            } else {
                net.write(id, rest)
            };
            if count == 0 {
                return;
            }
            talk.sent += count;
        }
        if talk.finishing {
            net.finish(id);
        }
    }

    fn call(&mut self, mut at: At<'_, '_, P>, event: Event) {
        let now = at.net().now();
        if let Some(mut act) = self.act.take() {
            act(&mut at, &event);
            self.act = Some(act);
        }
        self.log.push((now, event));
    }

    fn talk(&mut self, id: SocketId, own: Own) -> &mut Talk {
        assert_eq!(own.0, id, "a socket got another one's data");
        let talk = self.talks.get_mut(&id).expect("the socket opened before");
        assert_eq!(talk.closed, None, "on_close was the last call");
        talk
    }
}

impl<P: Platform> Handler<P> for Script<P> {
    type Ext = Own;
    type Context = u8;

    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, u8>) -> PreOpen {
        let ask = self.pre_open.as_mut();
        ask.map_or(PreOpen::Keep, |ask| ask(incoming))
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<u8>) -> Own {
        let id = socket.id();
        let peer = match opened {
            Opened::Accepted { peer, .. } => Some(peer),
            _ => None,
        };
        let fresh = self.talks.insert(id, Talk::default());
        assert!(fresh.is_none(), "a name opened twice");
        let event = Event::Open(id, opened.context(), peer.and_then(|peer| peer.ip()));
        self.call(At::Socket(socket), event);
        Own(id)
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own, data: &mut [u8]) {
        let id = socket.id();
        let echo = self.echo;
        let talk = self.talk(id, *own);
        assert!(!talk.ended, "data after the end");
        assert!(!data.is_empty(), "no data at all");
        talk.received.extend_from_slice(data);
        if echo {
            talk.to_send.extend_from_slice(data);
        }
        self.call(At::Socket(socket), Event::Data(id, data.to_vec()));
        if echo {
            self.pump(socket.net(), id);
        }
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own) {
        let id = socket.id();
        self.talk(id, *own);
        self.call(At::Socket(socket), Event::Readable(id));
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own) {
        let id = socket.id();
        self.talk(id, *own);
        self.pump(socket.net(), id);
        self.call(At::Socket(socket), Event::Writable(id));
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own) {
        let id = socket.id();
        let finish = self.finish_on_end;
        let talk = self.talk(id, *own);
        assert!(!talk.ended, "a second end");
        talk.ended = true;
        talk.finishing |= finish;
        self.call(At::Socket(socket), Event::End(id));
        self.pump(socket.net(), id);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own) {
        let id = socket.id();
        self.talk(id, *own);
        if !self.keep_on_timeout {
            socket.close_with(TIMEOUT_CODE);
        }
        self.call(At::Socket(socket), Event::Timeout(id));
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own) {
        let id = socket.id();
        self.talk(id, *own).finishing = true;
        self.call(At::Socket(socket), Event::Drain(id));
        self.pump(socket.net(), id);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Own, closed: Closed) {
        let id = socket.id();
        self.talk(id, *own).closed = Some(closed);
        assert_eq!(socket.write(b"late"), 0, "a closed socket takes nothing");
        self.call(At::Socket(socket), Event::Close(id, closed));
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, context: u8, error: Error) {
        let id = socket.id();
        assert!(!self.talks.contains_key(&id), "it was open");
        let event = Event::ConnectError(id, context, error);
        self.call(At::Socket(socket), event);
    }

    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        listener: ListenerId,
        error: Error,
    ) {
        self.call(At::AllSockets(sockets), Event::AcceptError(listener, error));
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, missed: u32) {
        self.call(At::AllSockets(sockets), Event::Timer(timer, missed));
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.call(At::AllSockets(sockets), Event::Wake);
    }
}

/// The code that [`Script`] closes with when a timeout passes.
pub const TIMEOUT_CODE: u16 = 777;
