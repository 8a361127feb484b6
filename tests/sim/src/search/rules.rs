//! What can happen in a configuration.

use usockets::WhenFull;

/// What the program may do in a call, or between two iterations. What makes no sense is left out
/// where it would be chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    /// Nothing.
    Nothing,
    /// Sends back what came, and pauses while something of it is left.
    Echo,
    /// Writes as many bytes.
    Write(u8),
    Pause,
    Resume,
    /// Turns to reading on demand, or back.
    Pull,
    Unpull,
    /// Reads one byte.
    Read,
    /// Reads until nothing is left.
    ReadAll,
    Finish,
    Close,
    Abort,
    Cork,
    Uncork,
    /// Sets a timeout, in microseconds.
    Timeout(u32),
    /// Starts a timer, in microseconds.
    Timer(u32),
    /// Connects the next line that is ours to connect.
    Connect,
    /// Writes to the socket that closed last, which must do nothing.
    WriteStale,
    /// Has the loop end in order.
    Drain,
}

/// Who makes a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Maker {
    /// The peer, to this listener.
    Peer(u8),
    /// The program.
    Program,
}

/// A listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening {
    pub(super) when_full: WhenFull,
    pub(super) reserve: u32,
}

/// Everything that bounds a configuration. Each field makes it larger, and all are finite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Slots of the pool, bytes of the receive buffer and of the cork.
    pub(super) slots: usize,
    pub(super) buffer: usize,
    pub(super) cork: usize,
    pub(super) listeners: &'static [Listening],
    /// One for each connection that can come to be.
    pub(super) lines: &'static [Maker],
    /// Bytes that each peer can send, and that can wait in either direction.
    pub(super) bytes: u8,
    pub(super) inbox: u8,
    pub(super) outbox: u8,
    /// Bytes that the program can write to each, beside what it sends back.
    pub(super) writes: u8,
    /// Peers may end their direction, reset, refuse.
    pub(super) peers_end: bool,
    pub(super) peers_reset: bool,
    /// Reports come in any order, and any of them later.
    pub(super) any_order: bool,
    /// Sends may take less than fits, receives say that there may be more, and accepts that there
    /// is no more.
    pub(super) partial: bool,
    /// Bytes may come while a socket is read.
    pub(super) midway: bool,
    /// An error is told once, and what comes then is an end, as on Linux.
    pub(super) error_once: bool,
    /// Times at which a call may fail or a report be untrue.
    pub(super) faults: u8,
    /// Times at which the clock moves on.
    pub(super) times: u8,
    /// Whether listeners must get slots in the order in which they began to wait.
    pub(super) turns: bool,
    pub(super) on_open: &'static [Act],
    pub(super) on_data: &'static [Act],
    pub(super) on_readable: &'static [Act],
    pub(super) on_writable: &'static [Act],
    pub(super) on_end: &'static [Act],
    pub(super) on_close: &'static [Act],
    pub(super) on_timeout: &'static [Act],
    pub(super) on_timer: &'static [Act],
    pub(super) on_drain: &'static [Act],
    /// Between two iterations, as often as there are tries.
    pub(super) between: &'static [Act],
    pub(super) tries: u8,
}

impl Rules {
    /// One peer that sends two bytes, which come back.
    pub(super) const ECHO: Self = Self {
        slots: 3,
        buffer: 1,
        cork: 0,
        listeners: &[Listening {
            when_full: WhenFull::Pause,
            reserve: 0,
        }],
        lines: &[Maker::Peer(0)],
        bytes: 2,
        inbox: 2,
        outbox: 1,
        writes: 0,
        peers_end: true,
        peers_reset: true,
        any_order: true,
        partial: true,
        midway: false,
        error_once: false,
        faults: 0,
        times: 0,
        turns: false,
        on_open: &[Act::Nothing],
        on_data: &[Act::Echo],
        on_readable: &[Act::ReadAll],
        on_writable: &[Act::Nothing],
        on_end: &[Act::Finish],
        on_close: &[Act::Nothing],
        on_timeout: &[Act::Close],
        on_timer: &[Act::Nothing],
        on_drain: &[Act::Finish],
        between: &[],
        tries: 0,
    };
}

/// The number of a byte in the stream of a line, with the line's own, so that none passes for
/// another.
pub(super) const fn byte(line: usize, number: u8) -> u8 {
    (line as u8) << 5 | number & 0x1f
}
