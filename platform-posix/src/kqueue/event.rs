//! What an event of kqueue says about a socket: pure functions, the same on every system.

use usockets::{Readiness, Ready, SocketId};

/// The filter of an event: what was watched for (`kqueue(2)`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test makes each")]
pub enum KeventFilter {
    /// `EVFILT_READ`: bytes, a waiting connection, or the end.
    Read,
    /// `EVFILT_WRITE`: room to send, or that sending is over.
    Write,
    /// Any other, which nobody asked for.
    Other,
}

/// The flags of an event that say something (`kqueue(2)`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeventFlags(u8);

impl KeventFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// `EV_EOF`: the direction has ended, for whatever reason.
    pub const EOF: Self = Self(1);
    /// `EV_ERROR`: not an event but the answer to a change that failed.
    pub const ERROR: Self = Self(2);
    /// `EV_OOBAND` of Apple's systems: urgent data is among what can be read.
    pub const OOBAND: Self = Self(4);

    /// Returns all of `flags`.
    #[must_use]
    pub const fn of(mut flags: &[Self]) -> Self {
        let mut all = Self::NONE;
        while let Some((first, rest)) = flags.split_first() {
            (all, flags) = (Self(all.0 | first.0), rest);
        }
        all
    }

    /// Returns true if a flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What of a `struct kevent` says something about a socket.
///
/// Neither the count in `data` nor the error in `fflags` is here. The count is of bytes or
/// connections and may be 0 with the end; the error is asked for with `SO_ERROR`, because not
/// every system puts it there and the socket keeps it until asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a test makes it")]
pub struct Kevent {
    /// What was watched for.
    pub filter: KeventFilter,
    /// What came with it.
    pub flags: KeventFlags,
    /// The name that was given when the filter was added.
    pub udata: u64,
}

impl Kevent {
    /// Translates the event; `None` if it says nothing about a socket.
    ///
    /// - The end of reading comes *with* bytes that were not read yet, so that it is never taken
    ///   for more than "there is something to read, and then the end".
    /// - The end of writing comes after the connection broke, and after our own `shutdown` as
    ///   well. So it says only that the loop is to ask: both facts that make it ask are harmless
    ///   where nothing is wrong.
    #[must_use]
    pub const fn ready(&self) -> Option<Ready> {
        if self.flags.intersects(KeventFlags::ERROR) {
            return None;
        }
        let eof = self.flags.intersects(KeventFlags::EOF);
        let readiness = match self.filter {
            KeventFilter::Read => {
                let urgent = self.flags.intersects(KeventFlags::OOBAND);
                let more = Readiness::ENDED
                    .when(eof)
                    .union(Readiness::URGENT.when(urgent));
                Readiness::READABLE.union(more)
            }
            KeventFilter::Write => {
                let over = Readiness::ERROR.union(Readiness::HUNG_UP);
                Readiness::WRITABLE.union(over.when(eof))
            }
            KeventFilter::Other => return None,
        };
        match SocketId::from_bits(self.udata) {
            Some(id) => Some(Ready { id, readiness }),
            None => None,
        }
    }
}
