//! Control blocks for those connections that have something to do, and what is remembered of the
//! others.
//!
//! A class of slots has either one *set* for each slot (a control block, two buffers, two tables:
//! [`Working`] and what goes with it), for life, or fewer sets than slots, which connections lease
//! (`SizeClass::leased`), or none at all. Then a connection has a set from the moment
//! at which something happens until nothing is on its way, out of order or waiting to be received.
//!
//! A control block of those is in two parts: [`Resting`], which the connection has for life, and
//! [`InFlight`], which goes with the set. The one that is being worked on is put together in a
//! [`Current`], of which a stack has one; segments come in trains, so mostly it is there already.
//!
//! A set is leased whole, so no connection waits with one buffer for the other. No more than three
//! quarters of the sets may hold octets that have not been received, however many come, so that the
//! others are left to those that send; and what is sent is acknowledged in time, or given up. What
//! a program receives from one connection only after it has received from another may wait for it
//! in a circle, if both are of one class: `SizeClass::leased` says so.

use usockets::{Duration, Instant};

use crate::pool::links::NONE;
use crate::tcp::{Connection, Flight, Quiet};

/// One connection's control block, of a class whose sets are for life, lent by the caller as
/// [`Working::EMPTY`].
#[derive(Debug)]
pub struct Working {
    pub(super) connection: Connection,
}

impl Working {
    /// A control block that no stack has taken yet.
    pub const EMPTY: Self = Self {
        connection: Connection::CLOSED,
    };
}

/// The part of a control block that a connection has only while it has something to do, of a class
/// whose sets are leased, lent by the caller as [`InFlight::EMPTY`].
///
/// | part | bytes |
/// |---|---|
/// | what is on its way or out of order ([`Flight`]) | 180 |
/// | whose set it is, whether it holds octets, rounded up | 8 |
/// | sum | 188 |
#[derive(Debug)]
pub struct InFlight {
    /// Meaningful while the connection has the set and is not the current one.
    pub(super) flight: Flight,
    /// Whose set it is; of a free one, the next that is free.
    pub(super) slot: u32,
    /// It has octets that its owner has not received, or that are out of order, and is counted so.
    pub(super) holds: bool,
}

const _: () = assert!(size_of::<InFlight>() <= 192 + crate::tcp::MODEL_LEN);
// And each segment on its way.
const _: () = assert!(size_of::<crate::tcp::Outstanding>() <= 16);

impl InFlight {
    /// Of no connection.
    pub const EMPTY: Self = Self {
        flight: Flight::EMPTY,
        slot: NONE,
        holds: false,
    };
}

/// The connection with a leased set that is being worked on, put together.
#[derive(Clone, Copy)]
pub(super) struct Current {
    /// Its slot; [`NONE`] while there is none.
    pub(super) slot: u32,
    pub(super) connection: Connection,
}

impl Current {
    /// No connection.
    pub(super) const NONE: Self = Self {
        slot: NONE,
        connection: Connection::CLOSED,
    };
}

/// The part of a control block that a connection has for life, of a class whose sets are leased,
/// lent by the caller as [`Resting::EMPTY`].
#[derive(Debug)]
pub struct Resting {
    /// The number in its class of the set it has; [`NONE`] while it is quiet.
    pub(super) set: u32,
    /// Meaningful while the connection is not the current one.
    pub(super) quiet: Quiet,
}

impl Resting {
    /// Of no connection.
    pub const EMPTY: Self = Self {
        set: NONE,
        quiet: Quiet::CLOSED,
    };
}

/// How long there may be no free set before one is made, and for how long who has found none
/// counts.
const BUSY: Duration = Duration::from_millis(250);
const REFUSED: Duration = Duration::from_secs(8);
/// How long the set that is made free so is kept for others than those that were heard.
pub(super) const KEPT: Duration = Duration::from_secs(1);

/// What is remembered of a class whose sets were too few, so that streams without end do not keep
/// them for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowding {
    /// When a segment or a connection last found no set, if one ever did.
    refused: Option<Instant>,
    /// When the last free set was last taken.
    taken: Instant,
    /// Until then, sets are for those that have been silent.
    kept_until: Instant,
}

impl Crowding {
    /// Nobody has found too few.
    pub(super) const NONE: Self = Self {
        refused: None,
        taken: Instant::ZERO,
        kept_until: Instant::ZERO,
    };

    /// Notes that a segment or a connection has found no set.
    pub(super) const fn on_refusal(&mut self, now: Instant) {
        self.refused = Some(now);
    }

    /// Notes that the last free set is taken now.
    pub(super) const fn on_last_taken(&mut self, now: Instant) {
        (self.taken, self.kept_until) = (now, now);
    }

    /// Notes that a set has been made free for who finds none.
    pub(super) const fn keep(&mut self, now: Instant) {
        self.kept_until = now.saturating_add(KEPT);
    }

    /// Returns true while sets are for those that have been silent.
    pub(super) fn is_kept(&self, now: Instant) -> bool {
        now < self.kept_until
    }

    /// Returns true if there has been no free set for long, and that was one too few lately.
    pub(super) fn is_too_busy(&self, now: Instant) -> bool {
        let refused = self.refused.map(|at| now.saturating_since(at));
        refused.is_some_and(|ago| ago < REFUSED) && now.saturating_since(self.taken) > BUSY
    }
}
