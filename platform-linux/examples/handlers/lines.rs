//! A line echo: a protocol to go over to.

use usockets::{Buffer, Duration, Handler, Platform, Socket};

/// Time a peer may neither send anything nor take anything.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Code of a close because a line is too long.
const TOO_LONG: u16 = 1;

/// Sends each line back when it is complete. A line may have up to half of `N` bytes, and the
/// loop's receive buffer the other half.
#[derive(Debug)]
pub(crate) struct Lines<const N: usize> {
    /// Complete lines that the peer has not taken, then the start of the next one.
    held: Buffer<N>,
    ended: bool,
}

impl<const N: usize> Lines<N> {
    const LINE_MAX: usize = N.div_ceil(2);

    /// Takes over a socket, with what it received already: at most `N` bytes.
    pub(crate) fn adopt<P: Platform, H: Handler<P>>(
        socket: &mut Socket<'_, P, H>,
        received: &[u8],
    ) -> Self {
        let mut lines = Self {
            held: Buffer::EMPTY,
            ended: false,
        };
        lines.on_data(socket, received);
        lines
    }

    /// Uses bytes that arrived.
    pub(crate) fn on_data<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        data: &[u8],
    ) {
        if self.held.push(data) < data.len() {
            return socket.close_with(TOO_LONG);
        }
        self.advance(socket);
    }

    /// Goes on with what was held up.
    pub(crate) fn on_writable<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
    ) {
        self.advance(socket);
    }

    /// The peer ended its direction. What it left counts as a line.
    pub(crate) fn on_end<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        self.ended = true;
        self.advance(socket);
    }

    fn advance<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        socket.set_timeout(IDLE_MAX);
        let held = self.held.filled();
        let end = held.iter().rposition(|byte| *byte == b'\n');
        let complete = match end {
            _ if self.ended => held.len(),
            Some(end) => end.saturating_add(1),
            None => 0,
        };
        let count = socket.write(held.get(..complete).unwrap_or_default());
        self.held.consume(count);
        if count < complete {
            return socket.pause();
        }
        if self.ended {
            return socket.finish();
        }
        if self.held.len() >= Self::LINE_MAX {
            return socket.close_with(TOO_LONG);
        }
        socket.resume();
    }
}
