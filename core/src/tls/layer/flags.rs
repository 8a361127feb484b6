//! What is to be remembered of a secured socket.

/// Facts about a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const NONE: Self = Self(0);
    /// The endpoint is TLS's.
    pub(crate) const SECURE: Self = Self(1);
    /// A client's connection, whose hello has not been written.
    pub(crate) const STARTING: Self = Self(1 << 1);
    /// The platform's connection is open.
    pub(crate) const CONNECTED: Self = Self(1 << 2);
    pub(crate) const WAITS_FOR_HANDSHAKE: Self = Self(1 << 3);
    pub(crate) const WAITS_FOR_INPUT: Self = Self(1 << 4);
    pub(crate) const WAITS_FOR_OUTPUT: Self = Self(1 << 5);
    pub(crate) const WAITS: Self =
        Self(Self::WAITS_FOR_HANDSHAKE.0 | Self::WAITS_FOR_INPUT.0 | Self::WAITS_FOR_OUTPUT.0);
    /// Our end is to be sent.
    pub(crate) const FINISHING: Self = Self(1 << 6);
    /// `close_notify` has been written.
    pub(crate) const NOTIFIED: Self = Self(1 << 7);
    /// The platform's end has been sent.
    pub(crate) const FINISHED: Self = Self(1 << 8);
    /// Sending has failed, and the program knows why.
    pub(crate) const BROKEN: Self = Self(1 << 9);
    /// A client's hello, or an alert that ends a handshake, has been written and not sent yet.
    pub(crate) const MESSAGE_UNSENT: Self = Self(1 << 10);
    /// What came of the handshake has been counted.
    pub(crate) const COUNTED: Self = Self(1 << 11);

    /// Its handshake, what belongs to one, or the end of a record is parked.
    pub(crate) const PARKED: Self = Self(1 << 14);
    /// No input is leased, and in its place is what is known of how records come, see
    /// [`Wait`](super::socket::Wait).
    pub(crate) const WAIT_KNOWN: Self = Self(1 << 12);
    /// The platform's receive buffer was made small: it may never hold a whole record.
    pub(crate) const NARROW: Self = Self(1 << 15);
    /// The peer's end or an error was reported: what has come of a record is all there will be.
    pub(crate) const ENDING: Self = Self(1 << 13);

    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// Returns true if the socket waits for a lease.
    pub(crate) const fn waits(self) -> bool {
        self.0 & Self::WAITS.0 != 0
    }

    pub(crate) const fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    pub(crate) const fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}
