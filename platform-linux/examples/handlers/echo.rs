//! An echo server with back-pressure, for any platform.

use usockets::{AllSockets, Duration, Handler, Opened, Platform, Socket, Span};

/// Time a peer may neither send anything nor take anything.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Sends back what each connection sends, holding at most `N` bytes for it.
///
/// While bytes are held, nothing is read from that connection: its peer is held up by its own
/// window, and no other connection notices. Since reading is what would fill the memory, `N` must
/// be at least the length of the loop's receive buffer.
#[derive(Debug)]
pub(crate) struct EchoServer<'m, const N: usize> {
    /// For each slot of the pool, what its peer has not taken yet.
    held: &'m mut [[u8; N]],
}

impl<'m, const N: usize> EchoServer<'m, N> {
    /// Makes a server with memory for each slot of the pool.
    pub(crate) const fn new(held: &'m mut [[u8; N]]) -> Self {
        Self { held }
    }
}

impl<P: Platform, const N: usize> Handler<P> for EchoServer<'_, N> {
    type Context = ();
    /// Which part of its memory is held.
    type Ext = Span;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Span {
        socket.set_timeout(IDLE_MAX);
        Span::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, span: &mut Span, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        let sent = if span.is_empty() {
            socket.write(data)
        } else {
            0
        };
        let rest = data.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let memory = socket.id().entry(self.held);
        if memory.map_or(0, |memory| span.of(memory).push(rest)) < rest.len() {
            // Only a receive buffer longer than `N` gets here, or too little memory: better no
            // echo than a wrong one.
            return socket.abort(1);
        }
        socket.pause();
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, span: &mut Span) {
        let Some(memory) = socket.id().entry(self.held) else {
            return;
        };
        let mut held = span.of(memory);
        let sent = socket.write(held.filled());
        held.consume(sent);
        if sent > 0 {
            socket.set_timeout(IDLE_MAX);
        }
        if held.is_empty() {
            // The peer's end, if it has come, shows only now.
            socket.resume();
        }
    }

    // `on_end` finishes our direction, as it does by default: nothing is held when it comes.

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all((), 0);
    }
}
