//! A connection with nothing on its way, in as few octets as remember it.
//!
//! Most connections of a large server are silent most of the time. What repairs losses, measures
//! deliveries and keeps octets is of no use to them then: [`Connection::quiet`] leaves it out, and
//! [`Quiet::resume`] makes the control block again when something happens. A shell that keeps its
//! connections so lends a control block, buffers and tables only to those that have something to
//! do.
//!
//! What is not kept, and what that costs:
//!
//! | not kept | instead |
//! |---|---|
//! | scoreboard, recovery, tail loss probe | nothing is on its way, so nothing is lost |
//! | RACK's last delivery | RACK begins with the next one; that the path reorders is kept |
//! | where CUBIC was on its curve | W_max is kept; a new epoch begins (RFC 9438, section 4.8) |
//! | round trips of the first slow start | its rounds begin anew (RFC 9406) |
//! | what segments may yet become (RFC 4821) | after a black hole they stay as they are |
//! | the window before the last reduction | a duplicate reported later takes nothing back |
//!
//! # Byte by byte
//!
//! | part | bytes |
//! |---|---|
//! | clock, end of a phase or interval, last progress, last sign of the peer | 16 |
//! | user timeout, keep-alive interval, TIME-WAIT, probes, whether one runs | 8 |
//! | SRTT, RTTVAR, least round trip and when, back-off | 16 |
//! | TS.Recent and when, our clock's offset, RetransmitTS | 12 |
//! | SND.UNA, SND.WL1, RCV.NXT, right edge of the window | 16 |
//! | cwnd, ssthresh, W_max | 12 |
//! | marks | 4 |
//! | SND.WND, Max(SND.WND), MSS both ways, largest segment | 10 |
//! | window shifts, challenges and their second, reordering (3), algorithm, state, end | 10 |
//! | sum | 104 |
//!
//! The feature `connections` adds 4: how many segments were sent again.

use usockets::{Error, Instant};

use super::congestion::Congestion;
use super::connection::{Broken, Clock, Connection, Marks, Send, State, error_of};
use super::loss::rack::{Rack, Reordering};
use super::loss::recovery::{Phase, Recovery};
use super::loss::rtt::Rtt;
use super::loss::scoreboard::Scoreboard;
use super::reassembly::Receive;
use super::seq::Seq;
use super::settings::Algorithm;
use super::timers::{Main, QuietTimers, Timers};

/// What is remembered of a connection with nothing on its way.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    pub(super) timers: QuietTimers,
    rtt: Rtt,
    clock: Clock,
    /// SND.UNA; SND.NXT is the same.
    pub(super) una: Seq,
    wl1: Seq,
    /// RCV.NXT; Last.ACK.sent is the same.
    pub(super) nxt: Seq,
    edge: Seq,
    window: u32,
    threshold: u32,
    /// W_max, or what else [`Congestion::kept`] returns.
    kept: u32,
    pub(super) marks: Marks,
    send_window: u16,
    send_window_max: u16,
    send_mss: u16,
    receive_mss: u16,
    receive_full: u16,
    send_shift: u8,
    receive_shift: u8,
    challenges: u8,
    challenge_second: u8,
    reordering: Reordering,
    algorithm: Algorithm,
    pub(super) state: State,
    broken: Broken,
    #[cfg(feature = "connections")]
    retransmissions: u32,
}

/// What a connection with nothing on its way takes.
pub const QUIET_LEN: usize = size_of::<Quiet>();
const _: () = assert!(QUIET_LEN <= 104 || cfg!(feature = "connections"));

impl Quiet {
    /// No connection: state CLOSED.
    pub const CLOSED: Self = Self {
        timers: QuietTimers::NONE,
        rtt: Rtt::NEW,
        clock: Clock::NONE,
        una: Seq::new(0),
        wl1: Seq::new(0),
        nxt: Seq::new(0),
        edge: Seq::new(0),
        window: 0,
        threshold: 0,
        kept: 0,
        marks: Marks::NONE,
        send_window: 0,
        send_window_max: 0,
        send_mss: 0,
        receive_mss: 0,
        receive_full: 0,
        send_shift: 0,
        receive_shift: 0,
        challenges: 0,
        challenge_second: 0,
        reordering: Reordering::NONE,
        algorithm: Algorithm::Cubic,
        state: State::Closed,
        broken: Broken::Not,
        #[cfg(feature = "connections")]
        retransmissions: 0,
    };

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns SND.NXT, as [`Connection::send_next`].
    #[must_use]
    pub const fn send_next(&self) -> Seq {
        self.una
    }

    /// Returns why the connection broke, as [`Connection::error`].
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        error_of(self.broken)
    }

    /// Returns when [`Connection::on_timer`] is due, as [`Connection::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline().map(Instant::from_micros)
    }

    /// Returns how long the peer has not been heard, in microseconds.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> u64 {
        self.timers.since_heard(now.as_micros())
    }

    /// Makes the control block again, with empty buffers as long as they were.
    #[must_use]
    pub const fn resume(&self) -> Connection {
        Connection {
            timers: Timers::resumed(&self.timers),
            send: Send {
                una: self.una,
                nxt: self.una,
                wl1: self.wl1,
                head: 0,
                queued: 0,
                window: self.send_window,
                window_max: self.send_window_max,
                mss: self.send_mss,
                shift: self.send_shift,
                probe_max: 0,
            },
            receive: Receive::resumed(
                (self.nxt, self.edge),
                (self.receive_mss, self.receive_full, self.receive_shift),
            ),
            rtt: self.rtt,
            congestion: Congestion::resumed(
                self.algorithm,
                (self.window, self.threshold),
                self.kept,
            ),
            board: Scoreboard::EMPTY,
            rack: Rack::resumed(self.una, self.reordering),
            recovery: Recovery::new(self.una.minus(1)),
            clock: self.clock,
            marks: self.marks,
            probe_end: self.una,
            mss_default: 0,
            resent_unreported: 0,
            duplicates: 0,
            challenges: self.challenges,
            challenge_second: self.challenge_second,
            algorithm: self.algorithm,
            phase: Phase::Open,
            state: self.state,
            broken: self.broken,
            #[cfg(feature = "connections")]
            retransmissions: self.retransmissions,
        }
    }
}

/// Timeouts after which a peer that does not answer is taken for one that will not. Of those that
/// are over when a machine that stood still goes on, one comes at once, the next after its time.
const ASKED_AGAIN: u8 = 2;

impl Connection {
    /// Returns true if nothing is on its way, waits to be sent, received or told, or is being
    /// waited for but the end of an interval.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        let empty = self.send.queued == 0 && self.receive.is_empty();
        match self.state {
            State::Closed => !self.marks.has(Marks::RESET_DUE) && self.receive.queued == 0,
            State::Established | State::CloseWait | State::FinWait2 | State::TimeWait => {
                let fin_due = self.marks.has(Marks::FIN_WANTED) && !self.marks.has(Marks::FIN_SENT);
                let fin_ahead = self.marks.has(Marks::PEER_FIN_KNOWN) && !self.state.has_peer_fin();
                empty
                    && self.flight() == 0
                    && self.board.is_empty()
                    && self.receive.is_acknowledged()
                    && !self.marks.has(Marks::DUE)
                    && !self.waits_for_pace()
                    && !fin_due
                    && !fin_ahead
            }
            State::SynSent
            | State::SynReceived
            | State::FinWait1
            | State::Closing
            | State::LastAck => false,
        }
    }

    /// Returns what is to be remembered of a connection that [is quiet](Self::is_quiet); `None` of
    /// another.
    #[must_use]
    pub const fn quiet(&self) -> Option<Quiet> {
        if !self.is_quiet() {
            return None;
        }
        let mut quiet = self.kept();
        quiet.marks.clear(Marks::OF_FLIGHT);
        Some(quiet)
    }

    /// Returns what is kept of the connection whatever it does.
    pub(super) const fn kept(&self) -> Quiet {
        Quiet {
            timers: self.timers.quiet(),
            rtt: self.rtt,
            clock: self.clock,
            una: self.send.una,
            wl1: self.send.wl1,
            nxt: self.receive.nxt,
            edge: self.receive.edge,
            window: self.congestion.window,
            threshold: self.congestion.threshold,
            kept: self.congestion.kept(self.algorithm),
            marks: self.marks,
            send_window: self.send.window,
            send_window_max: self.send.window_max,
            send_mss: self.send.mss,
            receive_mss: self.receive.mss,
            receive_full: self.receive.full(),
            send_shift: self.send.shift,
            receive_shift: self.receive.shift,
            challenges: self.challenges,
            challenge_second: self.challenge_second,
            reordering: self.rack.reordering(),
            algorithm: self.algorithm,
            state: self.state,
            broken: self.broken,
            #[cfg(feature = "connections")]
            retransmissions: self.retransmissions,
        }
    }

    /// Sends a delayed acknowledgement at the next chance, so that the connection may be quiet
    /// sooner. Returns true if one was waiting.
    pub const fn hurry(&mut self) -> bool {
        let waits = self.timers.stop_ack();
        if waits {
            self.marks.set(Marks::ACK_DUE);
        }
        waits
    }

    /// Forgets what came out of order, which the peer keeps until it is acknowledged (RFC 2018,
    /// section 8), if that is all that keeps the connection from being quiet. Returns true if it is
    /// quiet now.
    pub const fn renege(&mut self) -> bool {
        let kept = (self.receive, self.marks);
        self.receive.forget_out_of_order();
        if !self.state.has_peer_fin() {
            self.marks.clear(Marks::PEER_FIN_KNOWN);
        }
        if self.is_quiet() {
            return true;
        }
        (self.receive, self.marks) = kept;
        false
    }

    /// Returns true if there are octets that have not been received, or that came out of order.
    #[must_use]
    pub const fn holds_received(&self) -> bool {
        self.receive.queued > 0 || self.receive.has_ranges()
    }

    /// Returns how long the peer has owed an acknowledgement, or room for more, without any
    /// progress, in microseconds; 0 if it owes none. What has not been sent yet for another reason
    /// is not its debt; nor is what it was asked for less than three times, since where a machine
    /// has stood still its answer may be there and not have been read. Those times count, too, when
    /// it was asked for an earlier text and its answers could not be timed (RFC 6298, section 3).
    #[must_use]
    pub fn stalled(&self, now: Instant) -> u64 {
        let owes = self.flight() > 0 || matches!(self.timers.main, Main::Persist);
        if self.state == State::Closed || !owes || self.rtt.backoff < ASKED_AGAIN {
            return 0;
        }
        self.timers.since_progress(now.as_micros())
    }

    /// Asks for [`Events::WRITABLE`](super::Events::WRITABLE) as after a send that was cut short.
    pub const fn note_short(&mut self) {
        self.marks.set(Marks::SEND_SHORT);
    }
}
