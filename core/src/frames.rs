//! Two byte queues for a protocol of frames.

use crate::buffer::{Buffer, Queue, Span};
use crate::handler::Handler;
use crate::id::SocketId;
use crate::platform::Platform;
use crate::sockets::Net;
use crate::sockets::socket::Socket;

/// What became of the bytes that a program was shown by [`Frames`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Frame {
    /// So many of them, at least 1, were a frame, which has been acted on.
    Used(usize),
    /// They are the start of a frame.
    Incomplete,
    /// They are a frame, but the output has not enough room for what is to be sent. They are shown
    /// again when the peer has taken some of it. What was pushed meanwhile is taken back.
    NoRoom,
    /// So many of them were the last frame: the connection ends after what is held.
    Last(usize),
}

/// Why a connection cannot go on as a stream of frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than the input, or its answer is longer than the output. The peer's
    /// fault, unless the program's memory is too short.
    TooLong,
    /// The peer ended its direction inside a frame.
    Cut,
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a frame is too long",
            Self::Cut => "the stream ended inside a frame",
        })
    }
}

impl core::error::Error for FrameError {}

/// What a connection's peer has sent and the program not used, and what the program has sent and
/// the peer not taken: two queues, and the rule by which reading is paused and resumed.
///
/// A protocol of frames has this rule to keep: a frame is acted on when all of it is there and its
/// answer has room. As long as an answer has none, nothing is read, so that the peer is held up by
/// its own window; when there is room again, the frames that wait are acted on *before* reading
/// goes on, as no call comes for bytes that were received already. The peer's end shows when
/// everything before it was used, and our end follows when everything was sent.
///
/// The program's part is a function from the bytes at the front of the input to a [`Frame`]: it
/// looks for one frame, acts on it, and pushes what is to be sent. It may do anything with the
/// socket but write, pause, resume and finish, which is done for it. The handler's methods call
/// the methods of the same names:
///
/// ```
/// use usockets::{Buffer, Frame, Frames, Handler, Opened, Output, Platform, Socket};
///
/// /// Sends each line back. A line has at most 128 bytes.
/// struct Lines;
///
/// fn line<P: Platform>(
///     _: &mut Socket<'_, P, Lines>,
///     bytes: &mut [u8],
///     output: &mut Output<'_>,
/// ) -> Frame {
///     let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
///         return Frame::Incomplete;
///     };
///     let line = &bytes[..=end];
///     if output.push_all(line) { Frame::Used(line.len()) } else { Frame::NoRoom }
/// }
///
/// impl<P: Platform> Handler<P> for Lines {
///     type Context = ();
///     /// A line, and as much as the receive buffer brings at once; some lines to send.
///     type Ext = Frames<{ 128 + 1024 }, 512>;
///
///     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
///         Frames::EMPTY
///     }
///
///     fn on_data(
///         &mut self,
///         socket: &mut Socket<'_, P, Self>,
///         frames: &mut Self::Ext,
///         data: &mut [u8],
///     ) {
///         if frames.on_data(socket, data, line).is_err() {
///             socket.close();
///         }
///     }
///
///     fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, frames: &mut Self::Ext) {
///         if frames.on_writable(socket, line).is_err() {
///             socket.close();
///         }
///     }
///
///     fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, frames: &mut Self::Ext) {
///         // What is left of a line is dropped.
///         let _ = frames.on_end(socket, line);
///     }
/// }
/// ```
///
/// `IN` must have room for the longest frame and, besides, for the loop's whole receive buffer;
/// `OUT` for the longest answer to one frame. Where the memory is to lie in a table beside the
/// pool, [`FrameSpans`] is the same without it.
#[derive(Clone, Debug)]
pub struct Frames<const IN: usize, const OUT: usize> {
    input: Buffer<IN>,
    output: Buffer<OUT>,
    state: State,
}

impl<const IN: usize, const OUT: usize> Default for Frames<IN, OUT> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The same as [`Frames`] with its memory elsewhere, joined by [`Self::of`]: 20 bytes for the data
/// of a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FrameSpans {
    input: Span,
    output: Span,
    state: State,
}

/// [`Frames`] whose memory is borrowed for one call.
#[derive(Debug)]
pub struct FramesRef<'a> {
    input: Queue<&'a mut [u8], &'a mut Span>,
    output: Output<'a>,
    state: &'a mut State,
}

/// How the stream stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct State {
    /// Nothing more is received: the peer's end or the last frame was read.
    ended: bool,
    /// A frame waits for room in the output.
    waits: bool,
    /// The peer did not take all that was written: a call comes when it takes more.
    blocked: bool,
}

impl State {
    const START: Self = Self {
        ended: false,
        waits: false,
        blocked: false,
    };
}

/// What is to be sent.
#[derive(Debug)]
pub struct Output<'a> {
    queue: Queue<&'a mut [u8], &'a mut Span>,
}

impl Output<'_> {
    /// Returns the number of bytes that there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.queue.room()
    }

    /// Appends all of `part` or nothing, and returns true if it was appended.
    #[must_use = "what does not fit is not sent"]
    pub fn push_all(&mut self, part: &[u8]) -> bool {
        part.len() <= self.queue.room() && self.queue.push(part) == part.len()
    }
}

impl<const IN: usize, const OUT: usize> Frames<IN, OUT> {
    /// Nothing is held. All zero bytes, so that a static of it costs no image space.
    pub const EMPTY: Self = Self {
        input: Buffer::EMPTY,
        output: Buffer::EMPTY,
        state: State::START,
    };

    /// Uses bytes that arrived. See [`FramesRef::on_data`].
    ///
    /// # Errors
    /// As there.
    pub fn on_data<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        data: &mut [u8],
        frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        self.by_ref().on_data(socket, data, frame)
    }

    /// Goes on with what had no room. See [`FramesRef::on_writable`].
    ///
    /// # Errors
    /// As there.
    pub fn on_writable<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        self.by_ref().on_writable(socket, frame)
    }

    /// Ends after what is held. See [`FramesRef::on_end`].
    ///
    /// # Errors
    /// As there.
    pub fn on_end<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        self.by_ref().on_end(socket, frame)
    }

    /// Sends what answers no frame. See [`FramesRef::send`].
    #[must_use = "what does not fit is not sent"]
    pub fn send<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
        parts: &[&[u8]],
    ) -> bool {
        self.by_ref().send(net, id, parts)
    }

    /// Returns the bytes that the peer has not taken.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    fn by_ref(&mut self) -> FramesRef<'_> {
        FramesRef {
            input: self.input.by_ref(),
            output: Output {
                queue: self.output.by_ref(),
            },
            state: &mut self.state,
        }
    }
}

impl FrameSpans {
    /// Nothing is held.
    pub const EMPTY: Self = Self {
        input: Span::EMPTY,
        output: Span::EMPTY,
        state: State::START,
    };

    /// Joins it with its memory, which must be the same as long as something is held.
    pub const fn of<'a>(&'a mut self, input: &'a mut [u8], output: &'a mut [u8]) -> FramesRef<'a> {
        FramesRef {
            input: self.input.of(input),
            output: Output {
                queue: self.output.of(output),
            },
            state: &mut self.state,
        }
    }
}

impl FramesRef<'_> {
    /// Uses bytes that arrived: acts on the frames that are complete and have room for their
    /// answers, and keeps the rest.
    ///
    /// A frame that is complete in `data` is shown where it lies and never copied.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]; the connection is of no use any more.
    pub fn on_data<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        data: &mut [u8],
        mut frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        if self.state.ended {
            return Ok(());
        }
        let mut rest = data;
        let is_first = self.input.is_empty();
        if is_first {
            let used = self.run(socket, rest, &mut frame)?;
            rest = rest.get_mut(used..).unwrap_or_default();
        }
        if !self.state.ended {
            if self.input.push(rest) < rest.len() {
                return Err(FrameError::TooLong);
            }
            if !is_first {
                self.use_input(socket, &mut frame)?;
            }
            if !self.state.waits && self.input.room() == 0 {
                return Err(FrameError::TooLong);
            }
        }
        self.go_on(socket);
        Ok(())
    }

    /// Sends what the peer takes, and then goes on with the frames that had no room.
    ///
    /// # Errors
    /// As [`Self::on_data`].
    pub fn on_writable<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        mut frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        self.state.blocked = false;
        let id = socket.id();
        self.flush(socket.net(), id);
        if self.state.waits {
            self.use_input(socket, &mut frame)?;
        }
        self.go_on(socket);
        Ok(())
    }

    /// Ends our direction after what is held, now that the peer has ended its own.
    ///
    /// # Errors
    /// [`FrameError::Cut`] if the peer ended it inside a frame. The connection ends in order all
    /// the same.
    pub fn on_end<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        mut frame: impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        self.use_input(socket, &mut frame)?;
        let is_cut = !self.state.ended && !self.state.waits && !self.input.is_empty();
        self.state.ended = true;
        self.go_on(socket);
        if is_cut { Err(FrameError::Cut) } else { Ok(()) }
    }

    /// Sends what answers no frame, at once or when the peer takes it: all of `parts`, one behind
    /// the other, or nothing. Returns true if it is sent.
    #[must_use = "what does not fit is not sent"]
    pub fn send<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
        parts: &[&[u8]],
    ) -> bool {
        let sum = parts
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        if self.state.ended || sum > self.output.room() {
            return false;
        }
        for part in parts {
            let _ = self.output.queue.push(part);
        }
        self.flush(net, id);
        true
    }

    /// Acts on the frames that the input holds.
    fn use_input<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        frame: &mut impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<(), FrameError> {
        let mut used = 0_usize;
        while let Some(bytes) = self.input.filled_mut().get_mut(used..) {
            match step(&mut self.output, self.state, socket, bytes, frame)? {
                Step::Used(count) => used = used.saturating_add(count),
                Step::Enough => break,
                Step::NoRoom if self.make_room(socket) => {}
                Step::NoRoom => break,
            }
        }
        self.input.consume(used);
        Ok(())
    }

    /// Acts on the frames at the front of `bytes` as long as their answers have room; returns how
    /// many bytes they were.
    fn run<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &mut Socket<'_, P, H>,
        bytes: &mut [u8],
        frame: &mut impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
    ) -> Result<usize, FrameError> {
        let mut used = 0_usize;
        while let Some(rest) = bytes.get_mut(used..) {
            match step(&mut self.output, self.state, socket, rest, frame)? {
                Step::Used(count) => used = used.saturating_add(count),
                Step::Enough => break,
                Step::NoRoom if self.make_room(socket) => {}
                Step::NoRoom => break,
            }
        }
        Ok(used)
    }

    /// Returns true if the peer took something; otherwise the frame waits for it.
    fn make_room<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) -> bool {
        let id = socket.id();
        let has_room = self.flush(socket.net(), id);
        self.state.waits = !has_room;
        has_room
    }

    /// Sends what is held, as far as the peer takes it. Returns true if it took something.
    fn flush<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
    ) -> bool {
        let queue = &mut self.output.queue;
        if self.state.blocked || queue.is_empty() {
            return false;
        }
        let count = net.write(id, queue.filled());
        queue.consume(count);
        self.state.blocked = !queue.is_empty();
        count > 0
    }

    /// Sends what is held, and then reads on, or not, or ends.
    fn go_on<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        let id = socket.id();
        self.flush(socket.net(), id);
        if self.state.waits {
            return socket.pause();
        }
        if self.state.ended && self.output.queue.is_empty() {
            socket.finish();
        }
        socket.resume();
    }
}

/// What became of the front of some bytes.
enum Step {
    /// So many of them were used.
    Used(usize),
    /// Nothing is to be done with them now.
    Enough,
    /// They wait for room in the output.
    NoRoom,
}

/// Acts on the frame at the front of `bytes`, if it is complete and its answer has room.
fn step<P: Platform, H: Handler<P>>(
    output: &mut Output<'_>,
    state: &mut State,
    socket: &mut Socket<'_, P, H>,
    bytes: &mut [u8],
    frame: &mut impl FnMut(&mut Socket<'_, P, H>, &mut [u8], &mut Output<'_>) -> Frame,
) -> Result<Step, FrameError> {
    state.waits = false;
    if state.ended || bytes.is_empty() {
        return Ok(Step::Enough);
    }
    let held = output.queue.len();
    match frame(socket, bytes, output) {
        Frame::Used(0) | Frame::Incomplete => Ok(Step::Enough),
        Frame::Used(count) => Ok(Step::Used(count.min(bytes.len()))),
        Frame::Last(count) => {
            state.ended = true;
            Ok(Step::Used(count.min(bytes.len())))
        }
        Frame::NoRoom => {
            output.queue.truncate(held);
            if held == 0 {
                return Err(FrameError::TooLong);
            }
            Ok(Step::NoRoom)
        }
    }
}
