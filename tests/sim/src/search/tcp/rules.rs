//! What can happen in a configuration of two connections.

/// How the two come to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Start {
    /// One connects to the other, which listens; all that can happen to a handshake happens.
    Handshake,
    /// Both connect.
    Simultaneous,
    /// They are open.
    Open,
}

/// A segment that a third party sends, who sees all and must not be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Forgery {
    /// A reset in the window, but not at its left edge.
    Reset,
    /// An acknowledgement of what was never sent.
    Ack,
    /// Text in the window with a timestamp that is old.
    Old,
    /// A SYN.
    Syn,
    /// A reset at the left edge of the window, to who is in TIME-WAIT.
    ResetOfTimeWait,
}

/// What the owner of a connection does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// What it has written before anything else happens, a segment each.
    pub(super) first: &'static [u32],
    /// Whether it has ended its direction then.
    pub(super) ended: bool,
    /// Octets that it can write later, and how many at a time.
    pub(super) writes: u32,
    pub(super) pieces: &'static [u32],
    /// How many octets it can read at a time; none: it reads at once whatever comes.
    pub(super) reads: &'static [u32],
    pub(super) ends: bool,
    pub(super) closes: bool,
    pub(super) aborts: bool,
}

impl Owner {
    /// Reads at once, writes nothing, and ends its direction at any time.
    pub(super) const READING: Self = Self {
        first: &[],
        ended: false,
        writes: 0,
        pieces: &[1],
        reads: &[],
        ends: true,
        closes: false,
        aborts: false,
    };

    /// Writes as many octets, one at a time, and ends its direction at any time.
    pub(super) const fn writing(octets: u32) -> Self {
        Self {
            writes: octets,
            ..Self::READING
        }
    }

    /// Has written segments, and nothing else happens.
    pub(super) const fn sent(first: &'static [u32]) -> Self {
        Self {
            first,
            ends: false,
            ..Self::READING
        }
    }
}

/// Everything that bounds a configuration. Each field makes it larger, and all are finite.
#[derive(Clone, Copy, Debug)]
pub(in crate::search) struct Rules {
    pub(super) start: Start,
    pub(super) owners: [Owner; 2],
    /// Octets of each send buffer and receive buffer, and entries of each table.
    pub(super) send: usize,
    pub(super) receive: usize,
    pub(super) outstanding: usize,
    pub(super) ranges: usize,
    pub(super) nagle: bool,
    pub(super) timestamps: bool,
    pub(super) sack: bool,
    /// Milliseconds that a segment is on its way at least.
    pub(super) latency: u64,
    /// Segments on their way in each direction, of which any may come next if they are reordered.
    /// A device with so many takes no more.
    pub(super) in_flight: usize,
    pub(super) reorder: bool,
    /// How often a segment is lost, comes twice, or comes in part besides, and how often a deadline
    /// comes while something could come first.
    pub(super) losses: u8,
    pub(super) copies: u8,
    pub(super) cuts: u8,
    pub(super) times: u8,
    pub(super) forgeries: &'static [Forgery],
    pub(super) forged: u8,
    /// What is quiet is kept as such, on other memory.
    pub(super) rests: bool,
    /// The second one's windows are told in units of two octets.
    pub(super) scaled: bool,
}

impl Rules {
    /// Two that are open, a network that does anything once, and one that writes two octets.
    pub(super) const OPEN: Self = Self {
        start: Start::Open,
        owners: [Owner::writing(2), Owner::READING],
        send: 4,
        receive: 4,
        outstanding: 8,
        ranges: 4,
        nagle: false,
        timestamps: false,
        sack: true,
        latency: 0,
        in_flight: 4,
        reorder: true,
        losses: 1,
        copies: 1,
        cuts: 0,
        times: 1,
        forgeries: &[],
        forged: 0,
        rests: false,
        scaled: false,
    };
}
