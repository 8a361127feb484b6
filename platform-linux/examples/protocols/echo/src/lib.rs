//! Echo (RFC 862) as a protocol of its own, for any platform and beside any other protocol.
#![no_std]
#![forbid(unsafe_code)]

use usockets::compose::{PartSocket, Protocol, Scope};
use usockets::{Buffer, Duration, Opened};

/// Time a peer may neither send anything nor take anything.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Sends back what comes. Holds at most `HELD` bytes for a peer that does not take them, as long
/// as which it reads nothing from it, so that `HELD` is the length of the loop's receive buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo<const HELD: usize>;

impl<const HELD: usize> Protocol for Echo<HELD> {
    /// What the peer has not taken.
    type Data = Buffer<HELD>;
    type Context = ();

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: Opened<()>,
    ) -> Buffer<HELD> {
        socket.set_timeout(IDLE_MAX);
        Buffer::EMPTY
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        held: &mut Buffer<HELD>,
        bytes: &mut [u8],
    ) {
        socket.set_timeout(IDLE_MAX);
        let sent = if held.is_empty() {
            socket.write(bytes)
        } else {
            0
        };
        let rest = bytes.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        if held.push(rest) < rest.len() {
            return socket.abort(1);
        }
        socket.pause();
    }

    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        held: &mut Buffer<HELD>,
    ) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }
}
