//! The stack: everything of TCP over a packet device but the protocol itself.
//!
//! [`platform`] is what a loop calls; it moves frames between the device and [`shell`], the state
//! of all connections. Frames come in through [`input`], which finds their connection and gives the
//! segment to the engine ([`crate::tcp`]); [`events`] is what the engine says, turned into reports
//! and phases; [`output`] lets segments out. [`accept`] and [`connect`] make connections, [`owner`]
//! is an owner's calls on them, [`reply`] answers what belongs to none, and [`pressure`] is what
//! happens when memory is short. [`slot`] is what is kept of one, [`slots`] all of them with their
//! memory, which they keep or [`lease`], and [`look`] one of them as it is; [`crate::listener`] is
//! where they come from, [`demand`] what it takes to start, [`memory`] what the caller lends,
//! [`crate::socket`] what a loop keeps of one, `time_wait` what is left of one in TIME-WAIT, and
//! `view` what is told of it.
//!
//! Of datagrams, whose sockets are `crate::udp`'s, `datagrams` is what a loop calls; `datagrams_in`
//! and `datagrams_out` lead from and to frames; `addresses` changes the stack's while it runs.
//! `dad` probes own addresses before they are used, and `echo` asks whether others are there.
//!
//! Of several stacks that are one host, `queues` is what they share, and `hand_over` which
//! connections are whose.
//!
//! One segment that reports a loss, and what is sent again for it:
//!
//! | step | in |
//! |---|---|
//! | a frame is taken from the device | `Stack::take_burst`, [`platform`] |
//! | its headers are read, its connection is found | `Shell::take`, `segment`, [`input`] |
//! | the connection gets memory to work with | `Shell::lease`, [`pressure`] |
//! | text for which there is none is dropped, and the rest counts | `Shell::cut`, [`pressure`] |
//! | the segment is checked in the order of RFC 9293 | `Connection::on_segment`, `tcp::input` |
//! | its acknowledgement is read | `on_ack`, `tcp::ack` |
//! | losses are found, the repair begins | `detect_losses`, `tcp::ack`, by `tcp::loss` |
//! | the connection is queued for sending | `Shell::after_segment`, [`input`] |
//! | events become reports | `Shell::on_events`, [`events`] |
//! | it is its turn to send | `Shell::serve`, `transmit`, [`output`] |
//! | what goes next is chosen | `Connection::poll_transmit`, `tcp::output` |
//! | the frame is written | `Shell::transmit_next`, `Outgoing::send`, [`output`] |
//! | the device is told to send | `Stack::serve`, [`platform`], by `PollDevice::flush` |
//!
//! If the segment made a report, serving waits for the next `Stack::turn`, so that the owner's
//! answer goes with it. Mostly one SACK block shows no loss yet: then `restart_timers` sets
//! `Main::Reorder`, and the repair begins once that is over (`Shell::expire`, `on_deadline`,
//! `Connection::on_timer`, `on_reorder_timeout`); `Shell::wake` then queues it for `Shell::serve`.
//!
//! [`lease`], [`slot`] and [`slots`] are what [`shell`] is made of. All others but [`platform`] are
//! steps of it, and some have state that it holds; they import it, and from one another only types
//! and what writes frames. What adds calls to `Stack` imports [`platform`]. Nothing in
//! [`crate::pool`], [`crate::ip`], [`crate::wire`] and [`crate::tcp`] imports from here.

mod accept;
#[cfg(feature = "datagrams")]
mod addresses;
mod connect;
#[cfg(feature = "dad")]
mod dad;
#[cfg(feature = "datagrams")]
mod datagrams;
#[cfg(feature = "datagrams")]
mod datagrams_in;
#[cfg(feature = "datagrams")]
mod datagrams_out;
pub(crate) mod demand;
#[cfg(feature = "echo")]
mod echo;
mod events;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
mod hand_over;
mod input;
pub(crate) mod lease;
mod look;
pub(crate) mod memory;
mod output;
mod owner;
pub(crate) mod platform;
mod pressure;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) mod queues;
mod reply;
mod shell;
pub(crate) mod slot;
mod slots;
#[cfg(feature = "leases")]
pub(crate) mod time_wait;
#[cfg(feature = "connections")]
pub(crate) mod view;
