//! A connection with something on its way, in two parts: [`Quiet`], which it always has, and
//! [`Flight`], which it needs only now.
//!
//! A shell that lends control blocks keeps the second part beside buffers and tables, and makes a
//! [`Connection`] of both where it works on one ([`Quiet::join`]). Neither part repeats the other
//! but for the windows of congestion control.
//!
//! # Byte by byte
//!
//! | part | bytes |
//! |---|---|
//! | SND.NXT, place and octets of the send buffer | 12 |
//! | RCV.NXT, the right edge, Last.ACK.sent, the peer's FIN, place and octets of the buffer | 24 |
//! | what came once more, ranges, MSS, what counts as full, shift | 16 |
//! | cwnd, ssthresh, growth, the window before the last reduction | 16 |
//! | CUBIC: W_max; epoch, K, W_est and its growth, or what the first slow start has seen | 20 |
//! | scoreboard: the ring, octets and entries SACKED and LOST, where to look | 28 |
//! | RACK: the last delivery, the highest number, reordering | 24 |
//! | recovery: its point, what was on its way, PRR | 16 |
//! | main timer, delayed acknowledgement, limit of the handshake | 12 |
//! | tail loss probe, MSS of a silent peer, sent again, duplicates, phase, probes | 12 |
//! | sum | 180 |
//!
//! The feature `pacing` adds 4: when what was sent would have left at the rate; and `bbr` the 152
//! of its model, `congestion::bbr`.

use usockets::Instant;

use super::congestion::{Congestion, MODEL_LEN};
use super::connection::{Connection, Send};
use super::loss::rack::Rack;
use super::loss::recovery::{Phase, Recovery};
use super::loss::scoreboard::Scoreboard;
use super::quiet::Quiet;
use super::reassembly::Receive;
use super::seq::Seq;
use super::timers::RunningTimers;

/// What a connection takes beside its [`Quiet`], buffers and tables while something is on its way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    send_next: Seq,
    send_head: u32,
    send_queued: u32,
    receive: Receive,
    congestion: Congestion,
    board: Scoreboard,
    rack: Rack,
    recovery: Recovery,
    timers: RunningTimers,
    probe_end: Seq,
    mss_default: u16,
    resent_unreported: u16,
    duplicates: u8,
    phase: Phase,
    probe_max: u8,
}

/// What a connection takes beside what is [always kept](super::QUIET_LEN), its buffers and tables
/// while something is on its way.
pub const FLIGHT_LEN: usize = size_of::<Flight>();
const _: () = assert!(FLIGHT_LEN <= 180 + super::pacing::PACE_LEN + MODEL_LEN);

impl Flight {
    /// Of no connection: what a table is filled with.
    pub const EMPTY: Self = Connection::CLOSED.split().1;

    /// Returns true if there are octets that have not been received, or that came out of order, as
    /// [`Connection::holds_received`].
    #[must_use]
    pub const fn holds_received(&self) -> bool {
        self.receive.queued > 0 || self.receive.has_ranges()
    }

    /// Returns false if [`Connection::renege`] would.
    #[must_use]
    pub const fn may_renege(&self) -> bool {
        self.receive.queued == 0 && self.send_queued == 0
    }
}

impl Connection {
    /// Takes the connection apart, with nothing lost.
    #[must_use]
    pub const fn split(&self) -> (Quiet, Flight) {
        let flight = Flight {
            send_next: self.send.nxt,
            send_head: self.send.head,
            send_queued: self.send.queued,
            receive: self.receive,
            congestion: self.congestion,
            board: self.board,
            rack: self.rack,
            recovery: self.recovery,
            timers: self.timers.running(),
            probe_end: self.probe_end,
            mss_default: self.mss_default,
            resent_unreported: self.resent_unreported,
            duplicates: self.duplicates,
            phase: self.phase,
            probe_max: self.send.probe_max,
        };
        (self.kept(), flight)
    }
}

impl Quiet {
    /// Returns the microseconds since there was progress: no less than [`Connection::stalled`].
    #[must_use]
    pub fn since_progress(&self, now: Instant) -> u64 {
        self.resume().timers.since_progress(now.as_micros())
    }

    /// Makes the connection again of what [`Connection::split`] has returned.
    #[must_use]
    pub const fn join(&self, flight: &Flight) -> Connection {
        let resumed = self.resume();
        Connection {
            send: Send {
                nxt: flight.send_next,
                head: flight.send_head,
                queued: flight.send_queued,
                probe_max: flight.probe_max,
                ..resumed.send
            },
            receive: flight.receive,
            congestion: flight.congestion,
            board: flight.board,
            rack: flight.rack,
            recovery: flight.recovery,
            timers: resumed.timers.with_running(&flight.timers),
            probe_end: flight.probe_end,
            mss_default: flight.mss_default,
            resent_unreported: flight.resent_unreported,
            duplicates: flight.duplicates,
            phase: flight.phase,
            ..resumed
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::tcp::{Block, Buffers, Flags, Options, Outstanding, Segment, Settings};
    use std::format;

    fn check(connection: &Connection) {
        let (kept, flight) = connection.split();
        let joined = kept.join(&flight);
        assert_eq!(format!("{joined:?}"), format!("{connection:?}"));
    }

    /// Every field of a connection is in one of its two parts.
    #[test]
    fn nothing_is_lost_between_the_parts() {
        let mut buffers = Buffers {
            send: &mut [0; 4_096],
            receive: &mut [0; 4_096],
            outstanding: &mut [Outstanding::EMPTY; 8],
            ranges: &mut [Block::EMPTY; 4],
        };
        let mut connection = Connection::CLOSED;
        let mut now = Instant::from_micros(7_654_321_987);
        connection.connect(now, &Settings::new(1_460), Seq::new(9), &mut buffers);
        check(&connection);
        let text = [1; 100];
        let mut segment = Segment {
            seq: Seq::new(500),
            ack: Seq::new(10),
            window: 3_000,
            flags: Flags::SYN | Flags::ACK,
            options: Options::NONE,
            payload: &[],
        };
        for (ahead, acked) in [(0, 0), (1, 0), (301, 90), (301, 90), (201, 90), (101, 9)] {
            while connection.poll_transmit(now, 0, &mut buffers).is_some() {
                check(&connection);
            }
            now = Instant::from_micros(now.as_micros() + 654_321);
            segment.seq = Seq::new(500 + ahead);
            segment.ack = Seq::new(10 + acked);
            connection.on_segment(now, &segment, &mut buffers);
            check(&connection);
            connection.send(&[2; 1_000], &mut buffers);
            connection.on_timer(now, &mut buffers);
            check(&connection);
            (segment.flags, segment.payload) = (Flags::ACK, &text);
        }
        assert!(connection.holds_received() && connection.flight() > 0);
    }
}
