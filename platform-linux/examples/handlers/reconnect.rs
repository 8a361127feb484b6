//! A client that keeps a connection: when it is lost, or cannot be made, it is made again after a
//! time that grows with every failure. For any platform.

use core::net::SocketAddr;

use usockets::{
    AllSockets, Closed, Duration, Endpoint, Error, Handler, Net, Opened, Platform, Socket, TimerId,
};

/// Longest first wait. Each further one may be twice as long, up to [`WAIT_MAX`].
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(200);
/// Longest wait.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
/// Time between two words to the server, and in which it must answer one.
const WORD: Duration = Duration::from_secs(5);

/// What a client has to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The connection is open.
    Connected,
    /// The server said something: so many bytes.
    Heard(usize),
    /// The connection is lost.
    Lost(Closed),
    /// It could not be made.
    Refused(Error),
    /// It will be made again after this time.
    Waits(Duration),
}

/// The connection to one server.
pub(crate) struct Reconnect<F> {
    to: SocketAddr,
    tell: F,
    /// Failures since the server said something: that it accepts is not enough.
    failures: u32,
    /// A sequence that looks random, so that the clients of a server that comes back do not all
    /// come at once.
    random: u32,
    timer: Option<TimerId>,
    stopping: bool,
}

impl<F: FnMut(Event)> Reconnect<F> {
    /// Makes a client of `to`. Two clients should have different seeds.
    pub(crate) const fn new(to: SocketAddr, seed: u32, tell: F) -> Self {
        Self {
            to,
            tell,
            failures: 0,
            random: seed | 1,
            timer: None,
            stopping: false,
        }
    }

    /// Connects.
    pub(crate) fn start<P: Platform>(&mut self, net: &mut Net<'_, P, ()>) {
        if let Err(error) = net.connect(Endpoint::tcp(self.to), ()) {
            self.refused(net, error);
        }
    }

    fn refused<P: Platform>(&mut self, net: &mut Net<'_, P, ()>, error: Error) {
        (self.tell)(Event::Refused(error));
        self.wait(net);
    }

    /// Waits from half to all of what is due by now.
    fn wait<P: Platform>(&mut self, net: &mut Net<'_, P, ()>) {
        if self.stopping {
            return;
        }
        let longest = 2_u32.saturating_pow(self.failures);
        let longest = WAIT_MIN.saturating_mul(longest).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        // Xorshift (Marsaglia, 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let half = u32::try_from(longest.as_millis() / 2).unwrap_or(u32::MAX);
        let more = self.random.checked_rem(half.max(1)).unwrap_or(0);
        let wait = Duration::from_millis(half.saturating_add(more).into());
        (self.tell)(Event::Waits(wait));
        // The connection that is gone had a slot.
        self.timer = net.start_timer(wait, Duration::ZERO).ok();
    }
}

impl<P: Platform, F: FnMut(Event)> Handler<P> for Reconnect<F> {
    type Context = ();
    /// Whether the server owes an answer.
    type Ext = bool;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> bool {
        (self.tell)(Event::Connected);
        let _ = socket.write(b"hello\n");
        socket.set_timeout(WORD);
        true
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, owes: &mut bool, data: &mut [u8]) {
        (self.tell)(Event::Heard(data.len()));
        self.failures = 0;
        *owes = false;
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, owes: &mut bool) {
        if core::mem::replace(owes, true) || socket.write(b"still there?\n") == 0 {
            return socket.abort(0);
        }
        socket.set_timeout(WORD);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut bool, closed: Closed) {
        (self.tell)(Event::Lost(closed));
        self.wait(socket.net());
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: (), error: Error) {
        self.refused(socket.net(), error);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, _: TimerId, _: u32) {
        self.timer = None;
        self.start(sockets.net());
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.stopping = true;
        if let Some(timer) = self.timer.take() {
            sockets.net().stop_timer(timer);
        }
        sockets.net().close_all((), 0);
    }
}
