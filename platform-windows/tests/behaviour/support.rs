//! A loop with a handler that counts its calls.

use usockets::{
    AllSockets, Closed, Handler, Instant, Loop, Opened, Platform, Socket, SocketId, Sockets,
};
use usockets_windows::{Operation, Windows};

/// Slots of the pool.
pub(crate) const SLOTS: usize = 700;

/// What a test wants to know.
#[derive(Default)]
pub(crate) struct Record {
    /// Connections that opened, in order.
    pub(crate) opened: Vec<SocketId>,
    /// Bytes received.
    pub(crate) received: usize,
    /// Connections that closed, and why.
    pub(crate) closed: Vec<(SocketId, Closed)>,
    /// Wake-ups.
    pub(crate) wakes: usize,
    /// Whether accepted connections are paused at once.
    pub(crate) pause: bool,
}

impl<P: Platform> Handler<P> for Record {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<()>) {
        self.opened.push(socket.id());
        if self.pause && matches!(opened, Opened::Accepted { .. }) {
            socket.pause();
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.received += data.len();
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push((socket.id(), closed));
    }

    fn on_wake(&mut self, _: &mut AllSockets<'_, P, Self>) {
        self.wakes += 1;
    }
}

/// A loop with a pool of [`SLOTS`].
pub(crate) type Server = Loop<'static, Windows, Record>;

/// Makes operations that are never given back.
pub(crate) fn operations(count: usize) -> &'static mut [Operation] {
    let operations: Vec<_> = (0..count).map(|_| Operation::new()).collect();
    operations.leak()
}

/// Makes a loop on a platform.
pub(crate) fn server(platform: Windows) -> Server {
    let sockets = Box::leak(Box::new(Sockets::<_, _, SLOTS>::new()));
    Loop::new(platform, sockets, Box::leak(Box::new([0; 4_096])))
}

/// Runs iterations until `done`, for ten seconds at most.
#[track_caller]
pub(crate) fn run_until(
    server: &mut Server,
    record: &mut Record,
    mut done: impl FnMut(&mut Server, &Record) -> bool,
) {
    let end = std::time::Instant::now() + core::time::Duration::from_secs(10);
    while !done(server, record) {
        assert!(std::time::Instant::now() < end, "it did not come about");
        let until = server.platform().now().as_micros() + 10_000;
        server
            .poll(record, Some(Instant::from_micros(until)))
            .unwrap();
    }
}
