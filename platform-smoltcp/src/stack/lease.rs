//! Control blocks for those connections that have something to do, and what is remembered of the
//! others.
//!
//! A class of slots has either one *set* for each slot (a control block, two buffers, two tables:
//! [`Working`] and what goes with it), for life, or fewer sets than slots, which connections lease
//! (`SizeClass::leased`). Then a connection has a set from the moment
//! at which something happens until nothing is on its way, out of order or waiting to be received;
//! the rest of the time it is remembered in a [`Resting`].
//!
//! A set is leased whole, so no connection waits with one buffer for the other. No more than three
//! quarters of the sets may hold octets that have not been received, however many come, so that the
//! others are left to those that send; and what is sent is acknowledged in time, or given up. What
//! a program receives from one connection only after it has received from another may wait for it
//! in a circle, if both are of one class: `SizeClass::leased` says so.

use crate::pool::links::NONE;
use crate::tcp::{Connection, Quiet};

/// One connection's control block while it has something to do, lent by the caller as
/// [`Working::EMPTY`].
#[derive(Debug)]
pub struct Working {
    pub(super) connection: Connection,
    /// Whose set it is; of a free one, the next that is free. Not used where sets are for life.
    pub(super) slot: u32,
    /// It has octets that its owner has not received, or that are out of order, and is counted so.
    pub(super) holds: bool,
}

impl Working {
    /// A control block that no stack has taken yet.
    pub const EMPTY: Self = Self {
        connection: Connection::CLOSED,
        slot: NONE,
        holds: false,
    };
}

/// What is remembered of one connection of a class whose sets are leased, lent by the caller as
/// [`Resting::EMPTY`].
#[derive(Debug)]
pub struct Resting {
    /// The number in its class of the set it has; [`NONE`] while it is quiet.
    pub(super) set: u32,
    /// What is remembered; meaningful while it is quiet.
    pub(super) quiet: Quiet,
}

impl Resting {
    /// Of no connection.
    pub const EMPTY: Self = Self {
        set: NONE,
        quiet: Quiet::CLOSED,
    };
}
