//! An echo server with back-pressure, for any platform.

use usockets::{Buffer, Duration, Handler, Opened, Peers, Platform, Socket};

/// Time a peer may neither send anything nor take anything.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Sends back what each connection sends, holding at most `N` bytes for it.
///
/// While bytes are held, nothing is read from that connection: its peer is held up by its own
/// window, and no other connection notices. Since reading is what would fill the slot, `N` must
/// be at least the length of the loop's receive buffer.
#[derive(Debug, Default)]
pub(crate) struct EchoServer<const N: usize>;

impl<P: Platform, const N: usize> Handler<P> for EchoServer<N> {
    type Context = ();
    /// What the peer has not taken yet.
    type Ext = Buffer<N>;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Buffer<N> {
        socket.set_timeout(IDLE_MAX);
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<N>, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        let sent = if held.is_empty() {
            socket.write(data)
        } else {
            0
        };
        let rest = data.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        if held.push(rest) < rest.len() {
            // Only a receive buffer longer than `N` gets here: better no echo than a wrong one.
            return socket.abort(1);
        }
        socket.pause();
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<N>) {
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
    fn on_wake(&mut self, peers: &mut Peers<'_, P, Self>) {
        peers.net().close_all((), 0);
    }
}
