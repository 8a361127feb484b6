//! Fingerprints of a connection, for a search through all that can happen to it.
//!
//! Each type hashes its own fields, and names those that it leaves out with the reason, so that a
//! field which is added does not compile before it is one or the other.

use core::hash::{Hash, Hasher};

use usockets::Instant;

use super::connection::{Clock, Connection, Marks, Send, State};
use super::input::age_unit;
use super::memory::read_ring;
use super::outstanding::Outstanding;
use super::segment::Block;
use super::seq::Seq;
use super::timers::{micros32, millis, seconds};
use crate::number::low16;

impl Connection {
    /// Hashes all that influences the connection's future, and nothing else: two connections that
    /// write the same do the same if the same happens to them.
    ///
    /// The rings and tables are those of [`Buffers`](super::Buffers): for sending and receiving,
    /// outstanding segments and ranges. Sequence numbers are counted from `iss`, our initial one,
    /// and `irs`, the peer's, and times from `now`, which is whole milliseconds in every call.
    /// Where in its second a challenge acknowledgement went is left out, so a search whose
    /// challenges come to their limit has its clock stand still.
    pub fn fingerprint(
        &self,
        now: Instant,
        (iss, irs): (Seq, Seq),
        [sending, receiving]: [&[u8]; 2],
        (outstanding, ranges): (&[Outstanding], &[Block]),
        into: &mut impl Hasher,
    ) {
        let Self {
            timers,
            send,
            receive,
            rtt,
            congestion,
            board,
            rack,
            recovery,
            clock,
            marks,
            probe_end,
            mss_default,
            resent_unreported,
            duplicates,
            challenges,
            challenge_second,
            algorithm,
            phase,
            state,
            broken,
            // What was sent again is counted for operators, and nothing goes by it.
            #[cfg(feature = "connections")]
                retransmissions: _,
        } = self;
        let now = now.as_micros();
        (state, broken, marks, phase, algorithm).hash(into);
        if *state == State::Closed && !marks.has(Marks::RESET_DUE) {
            // What was received can still be read; of all else, nothing is looked at again.
            return read_ring(receiving, receive.head, receive.queued).hash(into);
        }
        timers.fingerprint(now, send.window == 0, into);
        self.fingerprint_pace(now, into);
        send.fingerprint(sending, (iss, irs), into);
        let fin_known = marks.has(Marks::PEER_FIN_KNOWN);
        receive.fingerprint((receiving, ranges), irs, fin_known, into);
        rtt.fingerprint(now, into);
        congestion.fingerprint((micros32(now), millis(now)), iss, into);
        board.fingerprint(outstanding, now, iss, into);
        rack.fingerprint(now, iss, into);
        recovery.fingerprint(iss, into);
        clock.fingerprint(now, *resent_unreported > 0, into);
        let probe = marks.has(Marks::TAIL_PROBE_OUT);
        probe.then(|| probe_end.since(iss)).hash(into);
        (mss_default, resent_unreported, duplicates).hash(into);
        let [second, ..] = seconds(now).to_le_bytes();
        (second == *challenge_second)
            .then_some(challenges)
            .hash(into);
    }

    /// Returns the least round trip that was measured in the last minutes, in microseconds; 0
    /// before the first.
    #[must_use]
    pub const fn least_round_trip(&self) -> u32 {
        self.rtt.least
    }
}

impl Send {
    /// Hashes all of it and what the buffer holds.
    fn fingerprint(&self, buffer: &[u8], (iss, irs): (Seq, Seq), into: &mut impl Hasher) {
        let Self {
            una,
            nxt,
            wl1,
            head,
            queued,
            window,
            window_max,
            mss,
            shift,
            probe_max,
        } = self;
        probe_max.hash(into);
        (una.since(iss), nxt.since(iss), wl1.since(irs)).hash(into);
        (head, queued, window, window_max, mss, shift).hash(into);
        read_ring(buffer, *head, *queued).hash(into);
    }
}

impl Clock {
    /// Hashes how old each time is.
    fn fingerprint(&self, now: u64, repairing: bool, into: &mut impl Hasher) {
        let Self {
            recent,
            recent_at,
            again_at,
            offset,
        } = self;
        // Nothing came yet.
        let age = millis(now).wrapping_sub(*recent);
        (*recent != 0).then_some(age).hash(into);
        let age = age_unit(now).wrapping_sub(*recent_at);
        (*recent != 0).then_some(age).hash(into);
        let again = low16(u64::from(self.value(now))).wrapping_sub(*again_at);
        repairing.then_some(again).hash(into);
        offset.hash(into);
    }
}
