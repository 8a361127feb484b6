//! A TCP engine without input and output of its own: segments in, segments out, a clock given.
//!
//! It is written from the RFCs, with the terms of RFC 9293 as names, and knows neither addresses
//! nor frames, devices or other connections. Around it stands a *shell*, which finds the control
//! block that a segment is for, lends it the connection's memory, writes what comes out into
//! frames, and keeps one deadline for each connection. It allocates nothing, and no segment, call
//! or order of them makes it panic.
//!
//! [`Stack`](crate::Stack) is its shell here. The engine is tested without it, too: two of ours
//! over networks in virtual time, and peers written by hand (`tests/tcp` of this package).
//!
//! # How a shell drives it
//!
//! A connection is a [`Connection`], a control block of plain numbers in a table of the shell's;
//! nothing in it refers to anything. Its memory comes with each call ([`Buffers`]).
//!
//! | when | the shell calls | and then |
//! |---|---|---|
//! | the owner connects | [`Connection::connect`] | transmits |
//! | a SYN meets a listener ([`Listen`]) | [`Connection::accept`] | transmits |
//! | an ACK returns a cookie | [`cookies::check`], [`Connection::accept_cookie`] | reports |
//! | a segment arrives | [`Connection::on_segment`] | reports, transmits |
//! | the deadline has come | [`Connection::on_timer`] | reports, transmits |
//! | ICMP says something | [`Connection::on_icmp`] | reports, transmits |
//! | the owner sends | [`Connection::send`] | transmits |
//! | the owner receives | [`Connection::receive`] | transmits |
//! | the owner is done | [`Connection::shutdown`], `close` or `abort` | transmits |
//!
//! *Reports* means that the call returns [`Events`].
//!
//! *Transmits* means that while the device has room, [`Connection::poll_transmit`] is called and
//! returns a [`Transmit`] whose bytes are where [`Connection::payload`] says. When it returns
//! `None`, [`Connection::deadline`] says when `on_timer` is due.
//!
//! A shell with many connections may keep a connection that [is quiet](Connection::is_quiet) as a
//! [`Quiet`], in less than half of the memory and without buffers and tables, and
//! [resume](Quiet::resume) it, on other memory of the same lengths, before the next call. While it
//! is not quiet, it may [split](Connection::split) it and keep a [`Flight`] beside that. One in
//! TIME-WAIT it may keep as a [`TimeWait`], in 16 octets.
//!
//! Time is the shell's monotonic clock in microseconds and must not go backwards for a connection.
//!
//! What RFC 9293 demands, and which test shows each, stands in `RFC9293.md` beside this file; how
//! fast bulk data gets through, in `PATHS.md`, and with pacing in `PACING.md`; what a lost, late or
//! doubled frame costs a short transfer, in `TRANSFERS.md`.
//!
//! # Reading order
//!
//! `seq`, `segment`, `memory`, `outstanding` and `settings` are the types at the border;
//! `connection` is the control block, `owner` its owner's calls. `input` checks a segment in the
//! order of RFC 9293, `ack` draws the consequences of its acknowledgement, `reassembly` those of
//! its text; `output` chooses what goes next, `pacing` when, and `timers` waits. `loss` finds and
//! repairs losses, `congestion` is the policy beside it, `path` is what ICMP says. `ecn` is what
//! routers say of congestion, and `plpmtud` finds out what a path does not say. `quiet` is the
//! connection while nothing is on its way, `flight` what it has beside that at other times, `bare`
//! what it does while there is no memory for it, and `info` what it tells of itself. `listen`,
//! `cookies` and `time_wait` are the connection before and after it costs anything; `invariants` is
//! what always holds, `injected_bug` what the tests must find, and `search` what tells two states
//! apart. What a connection is made of, as `loss` and `timers`, is imported by it; the steps of a
//! connection are all methods of it, and import what they work on.
#![forbid(unsafe_code)]

mod ack;
mod bare;
mod congestion;
mod connection;
pub mod cookies;
mod ecn;
mod flight;
#[cfg(feature = "connections")]
mod info;
mod injected_bug;
mod input;
mod invariants;
mod listen;
mod loss;
mod memory;
mod output;
mod outstanding;
mod owner;
mod pacing;
mod path;
mod plpmtud;
mod quiet;
mod reassembly;
#[cfg(feature = "search")]
mod search;
mod segment;
mod seq;
mod settings;
mod time_wait;
mod timers;

pub(crate) use congestion::MODEL_LEN;
pub use connection::{CONNECTION_LEN, Connection, State};
pub use flight::{FLIGHT_LEN, Flight};
#[cfg(feature = "connections")]
pub use info::Info;
#[cfg(feature = "injected-bugs")]
pub use injected_bug::{InjectedBug, inject};
pub use listen::Listen;
pub use memory::Buffers;
pub use outstanding::Outstanding;
pub(crate) use pacing::PACE_LEN;
pub use path::IcmpError;
pub use quiet::{QUIET_LEN, Quiet};
pub use segment::{
    Block, Events, Flags, HEADER_LEN, Options, SACK_BLOCKS_MAX, SackBlocks, Segment, Timestamps,
    Transmit,
};
pub use seq::Seq;
#[cfg(feature = "ecn")]
pub use settings::Ecn;
pub use settings::{Algorithm, Settings};
pub use time_wait::{TimeWait, TimeWaitAnswer};
