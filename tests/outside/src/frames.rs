//! Frames with their length in front, sent back with their bytes reversed.

use usockets::{Handler, Opened, Platform, Socket};

/// Answers each frame: a byte of length, then as many bytes.
pub struct Reverser;

/// What a connection holds.
#[derive(Default)]
pub struct Frames {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Frames {
    /// Answers the complete frames of the input, as long as the answers are taken.
    fn advance<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        loop {
            let sent = socket.write(&self.output);
            self.output.drain(..sent);
            if !self.output.is_empty() {
                return socket.pause();
            }
            let Some(&len) = self.input.first() else {
                break;
            };
            let end = 1 + usize::from(len);
            if self.input.len() < end {
                break;
            }
            self.output.extend(self.input.drain(..end));
            self.output[1..].reverse();
        }
        socket.resume();
    }
}

impl<P: Platform> Handler<P> for Reverser {
    type Ext = Frames;
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Frames {
        Frames::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, frames: &mut Frames, data: &mut [u8]) {
        frames.input.extend_from_slice(data);
        // Also while it is paused: a connection that broke delivers what came before.
        frames.advance(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, frames: &mut Frames) {
        frames.advance(socket);
    }
}
