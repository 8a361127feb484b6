//! What the path says through ICMP: smaller segments, and errors.

use usockets::Instant;

use super::connection::{Broken, Connection, Marks, State};
use super::memory::Buffers;
use super::outstanding::Outstanding;
use super::segment::Events;
use super::seq::Seq;

/// No segment is made smaller than this, whatever a peer's MSS or a router says: IPv4's least MTU
/// that anybody runs TCP over, 68 (RFC 791), would leave 28 octets; a peer that asks for so little
/// costs more in headers than it gets.
pub(super) const MSS_MIN: u16 = 88;

/// An ICMP message about a segment of ours, as the shell has parsed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IcmpError {
    /// A segment was too large for the path (RFC 1191, RFC 8201): the MTU that it told less the IP
    /// header and 20 octets, so that it compares with an MSS.
    TooBig {
        /// The MSS that fits.
        mss: u16,
    },
    /// The peer cannot be reached now: network or host unreachable, or time exceeded (RFC 1122,
    /// section 4.2.3.9: soft errors).
    Soft,
    /// The peer will not answer: protocol or port unreachable, or administratively prohibited
    /// (hard errors).
    Hard,
}

impl Connection {
    /// Takes note of an ICMP error about the segment with sequence number `seq`, which stands in
    /// the message. One that quotes nothing that is on its way is ignored, since anybody can send
    /// it (RFC 5927, section 4.1).
    ///
    /// Hard errors end a connection only while it opens: later, the peer has shown that it answers
    /// (RFC 5927, section 5.2). Soft ones are the reason that is given if it is given up.
    pub fn on_icmp(
        &mut self,
        now: Instant,
        error: IcmpError,
        seq: Seq,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        let known = self.state != State::Closed
            && !seq.is_before(self.send.una)
            && seq.is_before(self.send.nxt);
        if !known {
            return Events::NONE;
        }
        self.timers.note_now(now.as_micros());
        match error {
            IcmpError::TooBig { mss } => {
                self.on_too_big(mss, buffers);
                if self.board.lost > 0 {
                    self.start_retransmit(now.as_micros());
                }
            }
            IcmpError::Soft => self.marks.set(Marks::SOFT_ERROR),
            IcmpError::Hard if self.state.is_opening() => {
                self.finish(Broken::Refused);
                return Events::CLOSED;
            }
            IcmpError::Hard => self.marks.set(Marks::SOFT_ERROR),
        }
        Events::NONE
    }

    /// Returns the largest segment that is sent now, options included.
    #[must_use]
    pub const fn send_mss(&self) -> u16 {
        self.send.mss
    }

    /// Makes segments no larger than `mss`, and sends those that were larger again: not because of
    /// congestion, so the window stays (RFC 1191, section 6.5).
    fn on_too_big(&mut self, mss: u16, buffers: &mut Buffers<'_>) {
        let mss = mss.max(MSS_MIN);
        if cfg!(feature = "plpmtud") {
            self.limit_path_probes(mss);
        }
        if mss >= self.send.mss {
            return;
        }
        self.send.mss = mss;
        let most = self.segment_len();
        for index in 0..self.board.len() {
            let large = self
                .board
                .get(buffers.outstanding, index)
                .is_some_and(|entry| u32::from(entry.len) > most);
            if large {
                self.board.mark_lost(buffers.outstanding, index);
            }
        }
        if self
            .board
            .get(buffers.outstanding, 0)
            .is_some_and(|entry| entry.has_any(Outstanding::LOST))
        {
            self.marks.set(Marks::FIRST_AGAIN);
        }
    }
}
