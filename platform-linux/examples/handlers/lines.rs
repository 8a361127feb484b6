//! A line echo: a protocol to go over to.

use usockets::{Duration, Handler, Platform, Socket, Span};

/// Time a peer may neither send anything nor take anything.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Code of a close because a line is too long.
const TOO_LONG: u16 = 1;

/// Sends each line back when it is complete. A line may have up to half as many bytes as the
/// memory lent to each call, and the loop's receive buffer the other half.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Complete lines that the peer has not taken, then the start of the next one.
    held: Span,
    ended: bool,
}

impl Lines {
    /// Takes over a socket, with what it received already: `held` of `memory`.
    pub(crate) fn adopt<P: Platform, H: Handler<P>>(
        socket: &mut Socket<'_, P, H>,
        memory: &mut [u8],
        held: Span,
    ) -> Self {
        let mut lines = Self { held, ended: false };
        lines.advance(socket, memory);
        lines
    }

    /// Uses bytes that arrived.
    pub(crate) fn on_data<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        memory: &mut [u8],
        data: &[u8],
    ) {
        if self.held.of(memory).push(data) < data.len() {
            return socket.close_with(TOO_LONG);
        }
        self.advance(socket, memory);
    }

    /// Goes on with what was held up.
    pub(crate) fn on_writable<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        memory: &mut [u8],
    ) {
        self.advance(socket, memory);
    }

    /// The peer ended its direction. What it left counts as a line.
    pub(crate) fn on_end<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        memory: &mut [u8],
    ) {
        self.ended = true;
        self.advance(socket, memory);
    }

    fn advance<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        memory: &mut [u8],
    ) {
        socket.set_timeout(IDLE_MAX);
        let line_max = memory.len().div_ceil(2);
        let mut queue = self.held.of(memory);
        let held = queue.filled();
        let end = held.iter().rposition(|byte| *byte == b'\n');
        let complete = match end {
            _ if self.ended => held.len(),
            Some(end) => end.saturating_add(1),
            None => 0,
        };
        let count = socket.write(held.get(..complete).unwrap_or_default());
        queue.consume(count);
        if count < complete {
            return socket.pause();
        }
        if self.ended {
            return socket.finish();
        }
        if queue.len() >= line_max {
            return socket.close_with(TOO_LONG);
        }
        socket.resume();
    }
}
