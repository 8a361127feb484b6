//! Rooms in which all hear what one says, line by line, for any platform and beside any other
//! protocol.
#![no_std]
#![forbid(unsafe_code)]

use usockets::compose::{PartSocket, PartSockets, Protocol, Scope};
use usockets::{Duration, Frame, FrameError, Frames, Opened, TimerId};

/// Longest line.
const LINE_MAX: usize = 512;
/// Bytes that a member may be behind; one that is further is dropped.
const BEHIND_MAX: usize = 2_048;
/// How often members are told how many they are.
const EVERY: Duration = Duration::from_secs(60);

/// Longest receive buffer of the loop.
const RECEIVE_MAX: usize = 4_096;

/// A member's lines, in and out.
pub type Member = Frames<{ LINE_MAX + RECEIVE_MAX }, BEHIND_MAX>;

/// Sends each line to all others in the same room, which is the context.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    said: u64,
    /// The rooms that have a timer.
    timed: [bool; 256],
}

impl Talk {
    /// Nobody is in any room.
    pub const NEW: Self = Self {
        said: 0,
        timed: [false; 256],
    };

    /// Returns how many lines were said so far.
    #[must_use]
    pub const fn said(&self) -> u64 {
        self.said
    }
}

impl Protocol for Talk {
    type Data = Member;
    type Context = u8;

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<u8>,
    ) -> Member {
        let room = opened.context();
        if let Some(is_timed) = self.timed.get_mut(usize::from(room))
            && !*is_timed
        {
            // In a full pool there is none.
            *is_timed = socket.all().start_timer(EVERY, EVERY, room).is_ok();
        }
        Frames::EMPTY
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        member: &mut Member,
        bytes: &mut [u8],
    ) {
        let result = member.on_data(&mut **socket, bytes, |socket, bytes, _| {
            self.line(&mut PartSocket::<Self, S>::new(socket), bytes)
        });
        give_up(socket, result);
    }

    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        member: &mut Member,
    ) {
        let result = member.on_writable(&mut **socket, |socket, bytes, _| {
            self.line(&mut PartSocket::<Self, S>::new(socket), bytes)
        });
        give_up(socket, result);
    }

    fn on_end<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        member: &mut Member,
    ) {
        // What is left is no line, and nobody hears it.
        let _ = member.on_end(&mut **socket, |socket, bytes, _| {
            self.line(&mut PartSocket::<Self, S>::new(socket), bytes)
        });
    }

    fn on_timer<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: TimerId,
        context: Option<u8>,
        _: u32,
    ) {
        let Some(room) = context else {
            return; // Not ours.
        };
        let count = sockets.count_where(|other| *other == room);
        let mut line = *b"000 here\n";
        let digits = [count / 100 % 10, count / 10 % 10, count % 10];
        for (place, digit) in line.iter_mut().zip(digits) {
            *place = place.saturating_add(u8::try_from(digit).unwrap_or(0));
        }
        say(sockets, room, &line);
    }
}

impl Talk {
    /// Acts on a line, if it is complete.
    fn line<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        bytes: &[u8],
    ) -> Frame {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let Some(line) = end.and_then(|end| bytes.get(..=end)) else {
            return Frame::Incomplete;
        };
        self.said = self.said.saturating_add(1);
        if let Some(room) = socket.context() {
            say(&mut socket.all(), room, line);
        }
        Frame::Used(line.len())
    }
}

/// Sends a line to all of a room but the one that the running call is about, and drops those that
/// are too far behind.
fn say<S: Scope<Talk>>(sockets: &mut PartSockets<'_, '_, Talk, S>, room: u8, line: &[u8]) {
    sockets.visit(
        |other| *other == room,
        |net, id, member| {
            if !member.send(net, id, &[line]) {
                net.abort(id, 1);
            }
        },
    );
}

fn give_up<S: Scope<Talk>>(
    socket: &mut PartSocket<'_, '_, Talk, S>,
    result: Result<(), FrameError>,
) {
    if result.is_err() {
        // A line without an end.
        socket.close_with(1);
    }
}
