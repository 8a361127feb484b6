//! Explicit congestion notification (RFC 3168): routers mark what they would otherwise drop.
//!
//! Both ends agree in the handshake. Then the sender's new text goes out as ECT(0), a router that
//! has too much to do makes that CE, the receiver sets ECE on all that it sends until it hears CWR,
//! and the sender reduces its window once for a window of text and says so by CWR.
//!
//! | mark | set when | cleared when |
//! |---|---|---|
//! | `ECN` | we ask, or the peer does | the peer's SYN, or SYN and ACK, says otherwise |
//! | `ECE_DUE` | text came with CE | text came with CWR |
//! | `CWR_DUE` | the window was reduced | new text carries CWR |
//!
//! It costs no memory: which window was reduced is known from `recovery`, since a loss and an echo
//! in the same window are one sign of congestion.
//!
//! BBR (feature `bbr`) does not go by marks, so its text is not ECT and routers drop it. What is
//! echoed all the same leaves its window as it is; CWR tells the peer that it was heard.
//!
//! Not kept: a sender whose window is one segment should wait for a timeout after an echo (RFC
//! 3168, section 6.1.2; RFC 9438, section 4.6). Ours sends one segment a round trip.

use super::connection::{Connection, Marks};
use super::injected_bug::injected_bug;
use super::segment::{Flags, Segment};
use super::seq::Seq;

/// What a segment may say of congestion.
pub(super) const SIGNS: Flags = Flags::ECE.with(Flags::CWR).with(Flags::CE);

/// Returns true if these are the flags of a SYN that asks for ECN, or of a SYN and ACK that agrees
/// (section 6.1.1). A peer that only reflects what it does not know sends both bits with its ACK.
pub(super) const fn is_setup(flags: Flags) -> bool {
    let echo = flags.has(Flags::ECE);
    echo && flags.has(Flags::CWR) != flags.has(Flags::ACK)
}

impl Connection {
    /// Returns true if both ends have agreed on ECN (RFC 3168).
    #[must_use]
    pub const fn has_ecn(&self) -> bool {
        self.marks.has(Marks::ECN) && !self.state.is_opening()
    }

    /// Takes note of the peer's SYN, whether it is the first or comes again.
    pub(super) const fn learn_ecn(&mut self, flags: Flags) {
        if !is_setup(flags) {
            self.marks.clear(Marks::ECN);
        }
    }

    /// Returns true if ECN is agreed on, or may be, as far as we have asked with every SYN: one
    /// without it, after no answer came, forbids ECT (section 6.1.1).
    const fn is_capable(&self) -> bool {
        let fell_back = self.marks.has(Marks::SYN_AGAIN) && !self.marks.has(Marks::PASSIVE);
        self.marks.has(Marks::ECN) && !fell_back
    }

    /// Returns the flags with which our SYN goes, or SYN and ACK. A SYN that goes again does not
    /// ask any more: somebody on the path may have dropped it for that (section 6.1.1.1).
    pub(super) fn sign_syn(&self, flags: Flags) -> Flags {
        if !self.is_capable() {
            flags
        } else if flags.has(Flags::ACK) {
            flags | Flags::ECE
        } else {
            flags | Flags::ECE | Flags::CWR
        }
    }

    /// Returns the flags with which a segment with `len` octets of text goes: all that acknowledges
    /// echoes, and new text is ECT and says that the window was reduced. Nothing else is ECT: no
    /// acknowledgement, nothing that is sent again, no probe of a window (sections 6.1.4 to 6.1.6).
    #[cold]
    pub(super) fn sign(&mut self, flags: Flags, (seq, len): (Seq, u32)) -> Flags {
        let mut flags = flags;
        if self.marks.has(Marks::ECE_DUE) {
            flags = flags | Flags::ECE;
        }
        let new = len > 0 && seq == self.send.nxt;
        if !new || !self.is_capable() {
            return flags;
        }
        if self.marks.has(Marks::CWR_DUE) {
            self.marks.clear(Marks::CWR_DUE);
            flags = flags | Flags::CWR;
        }
        // ECT promises that marks slow us down as losses do (section 5), and neither does BBR.
        if self.algorithm.is_model() {
            return flags;
        }
        flags | Flags::ECT
    }

    /// Takes what an acceptable segment says of congestion, before its acknowledgement and its text
    /// are taken.
    #[cold]
    pub(super) fn on_congestion(&mut self, segment: &Segment<'_>) {
        if !self.marks.has(Marks::ECN) {
            return;
        }
        if segment.flags.has(Flags::ECE) {
            self.on_echo(segment.ack);
        }
        if segment.payload.is_empty() {
            return;
        }
        let echoed = self.marks.has(Marks::ECE_DUE);
        if segment.flags.has(Flags::CWR) {
            self.marks.clear(Marks::ECE_DUE);
            // The peer may have but one segment on its way.
            self.marks.set(Marks::ACK_DUE);
        }
        if segment.flags.has(Flags::CE) {
            self.marks.set(Marks::ECE_DUE);
            if !echoed {
                self.marks.set(Marks::ACK_DUE);
            }
        }
    }

    /// The peer echoes congestion: reduces the window, unless that was done for what is on its way
    /// (section 6.1.2). Until what was is acknowledged, and more, the window does not grow.
    fn on_echo(&mut self, ack: Seq) {
        let idle = self.flight() == 0 || ack.is_before(self.send.una);
        if idle || !self.phase.is_open() {
            return;
        }
        if !self.is_reduced(ack) || injected_bug!(EveryEchoReduces) {
            let mss = self.segment_len();
            self.congestion.on_echo(self.algorithm, self.flight(), mss);
            self.recovery.point = self.send.nxt;
            self.marks.set(Marks::CWR_DUE);
        }
        #[cfg(feature = "ecn")]
        {
            self.phase = super::loss::recovery::Phase::Reduced;
        }
    }

    /// Returns true if the window was reduced when what `ack` acknowledges next was on its way.
    fn is_reduced(&self, ack: Seq) -> bool {
        // The point may be so old that it seems to lie ahead.
        self.recovery.point.since(ack) <= self.send.nxt.since(ack)
    }

    /// Returns true if the reduction is over: the peer has heard of it, or nothing is on its way.
    #[cfg(feature = "ecn")]
    pub(super) fn is_reduction_over(&self) -> bool {
        self.flight() == 0 || !self.is_reduced(self.send.una)
    }

    /// Notes that the window was reduced, whatever for: the peer is told with new text (section
    /// 6.1.2).
    pub(super) const fn note_reduced(&mut self) {
        if self.marks.has(Marks::ECN) {
            self.marks.set(Marks::CWR_DUE);
        }
    }
}
