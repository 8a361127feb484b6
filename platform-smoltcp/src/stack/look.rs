//! A connection as it is, whether it has memory to work with or not.

use usockets::{Error, Instant};

use crate::tcp::{Connection, Quiet, Seq, State};

/// Whether any class may lease its sets.
pub(super) const LEASES: bool = cfg!(feature = "leases");

/// A connection as it is: with a set, or without.
pub(super) enum Look<'s> {
    Working(&'s Connection),
    Quiet(&'s Quiet),
}

impl Look<'_> {
    #[inline]
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Working(connection) => connection.state(),
            Self::Quiet(quiet) if LEASES => quiet.state(),
            Self::Quiet(_) => State::Closed,
        }
    }

    pub(super) const fn error(&self) -> Option<Error> {
        match self {
            Self::Working(connection) => connection.error(),
            Self::Quiet(quiet) if LEASES => quiet.error(),
            Self::Quiet(_) => None,
        }
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Working(connection) => connection.deadline(),
            Self::Quiet(quiet) if LEASES => quiet.deadline(),
            Self::Quiet(_) => None,
        }
    }

    /// Returns true unless there is something to deliver.
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Self::Working(connection) => connection.is_drained(),
            Self::Quiet(quiet) => !LEASES || quiet.is_drained(),
        }
    }

    /// Returns true if there may be something to send.
    #[inline]
    pub(super) fn may_transmit(&self) -> bool {
        match self {
            Self::Working(connection) => connection.may_transmit(),
            Self::Quiet(quiet) => LEASES && quiet.may_transmit(),
        }
    }

    /// Returns SND.NXT.
    pub(super) const fn send_next(&self) -> Seq {
        match self {
            Self::Working(connection) => connection.send_next(),
            Self::Quiet(quiet) => quiet.send_next(),
        }
    }

    /// Returns the control block; `None` of a connection without a set, which has no text to send
    /// or to receive.
    pub(super) const fn working(&self) -> Option<&Connection> {
        match self {
            Self::Working(connection) => Some(connection),
            Self::Quiet(_) => None,
        }
    }
}
