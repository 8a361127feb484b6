//! How much may be sent while losses are repaired: proportional rate reduction (RFC 6937).

use crate::tcp::segment::Block;
use crate::tcp::seq::Seq;

/// What a connection does about losses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(in crate::tcp) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Nor then, but the peer has echoed congestion, and the window does not grow until what was on
    /// its way is acknowledged (RFC 3168, section 6.1.2).
    #[cfg(feature = "ecn")]
    Reduced,
    /// Fast recovery: losses that acknowledgements told of are repaired (RFC 6675, section 5).
    Repair,
    /// After a retransmission timeout: everything outstanding is taken to be lost.
    Timeout,
}

impl Phase {
    /// Returns true if nothing is known to be lost.
    #[inline]
    pub(in crate::tcp) const fn is_open(self) -> bool {
        #[cfg(feature = "ecn")]
        if matches!(self, Self::Reduced) {
            return true;
        }
        matches!(self, Self::Open)
    }
}

/// The repair of losses, from finding the first to the acknowledgement of everything that was on
/// its way then.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Recovery {
    /// RecoveryPoint: SND.NXT when it began.
    pub(in crate::tcp) point: Seq,
    /// RecoverFS: octets on their way when it began.
    flight: u32,
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    sent: u32,
}

impl Recovery {
    /// Nothing is lost.
    pub(in crate::tcp) const fn new(start: Seq) -> Self {
        Self {
            point: start,
            flight: 0,
            delivered: 0,
            sent: 0,
        }
    }

    /// Begins to repair, with everything up to `point` on its way: `flight` octets.
    pub(in crate::tcp) const fn begin(&mut self, point: Seq, flight: u32) {
        *self = Self {
            point,
            flight: if flight == 0 { 1 } else { flight },
            delivered: 0,
            sent: 0,
        };
    }

    /// Returns SND.UNA when it began.
    pub(in crate::tcp) const fn start(&self) -> Seq {
        self.point.minus(self.flight)
    }

    /// Returns true if a block was on its way when the repair began, so that it may have been sent
    /// again in it.
    pub(in crate::tcp) const fn covers(&self, block: Block) -> bool {
        !block.start.is_before(self.point.minus(self.flight)) && !block.end.is_after(self.point)
    }

    /// Notes that `octets` are sent.
    pub(in crate::tcp) const fn on_sent(&mut self, octets: u32) {
        self.sent = self.sent.saturating_add(octets);
    }

    /// Returns the congestion window after an acknowledgement that says that `delivered` octets
    /// more have arrived, with `pipe` octets on their way. `progress`: SND.UNA has advanced and
    /// nothing new is lost, so that more may be sent than has arrived (PRR-SSRB).
    pub(in crate::tcp) fn window(
        &mut self,
        (delivered, pipe): (u32, u32),
        ssthresh: u32,
        mss: u32,
        progress: bool,
    ) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let may = if pipe > ssthresh {
            let share = u64::from(self.delivered)
                .saturating_mul(u64::from(ssthresh))
                .div_ceil(u64::from(self.flight.max(1)));
            let share = u32::try_from(share).unwrap_or(u32::MAX);
            share.saturating_sub(self.sent)
        } else {
            let owed = self.delivered.saturating_sub(self.sent).max(delivered);
            let owed = if progress {
                owed.saturating_add(mss)
            } else {
                owed
            };
            ssthresh.saturating_sub(pipe).min(owed)
        };
        // The first segment goes at once (RFC 6937, section 3: the fast retransmit).
        let may = if self.sent == 0 { may.max(mss) } else { may };
        // With nothing on its way no acknowledgement comes that would let more go.
        pipe.saturating_add(may).max(mss)
    }
}

#[cfg(feature = "search")]
impl Recovery {
    /// Hashes all of it, counted from our initial sequence number.
    pub(in crate::tcp) fn fingerprint(&self, iss: Seq, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            point,
            flight,
            delivered,
            sent,
        } = self;
        (point.since(iss), flight, delivered, sent).hash(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6937, section 4: halving sends one segment for two that arrive.
    #[test]
    fn the_window_shrinks_in_proportion() {
        let mut recovery = Recovery::new(Seq::new(0));
        recovery.begin(Seq::new(20_000), 20_000);
        let (mut pipe, mut sent) = (19_000_u32, 0);
        for _ in 0..19 {
            pipe = pipe.saturating_sub(1_000);
            let window = recovery.window((1_000, pipe), 10_000, 1_000, false);
            while pipe + 1_000 <= window {
                (pipe, sent) = (pipe + 1_000, sent + 1);
                recovery.on_sent(1_000);
            }
        }
        assert!((9..=10).contains(&sent), "{sent} sent");
        assert!((9_000..=10_000).contains(&pipe), "{pipe} on their way");
    }

    /// RFC 6937, section 3: what may be sent, for what has arrived, is on its way and was sent.
    #[test]
    fn the_window_is_that_of_the_rfc() {
        let window = |flight, sent, told, progress| {
            let mut recovery = Recovery::new(Seq::new(0));
            recovery.begin(Seq::new(9), flight);
            recovery.on_sent(sent);
            recovery.window(told, 1_000, 100, progress)
        };
        // Above ssthresh: of what has arrived its share, less what was sent; rounded up.
        assert_eq!(window(2_000, 50, (500, 1_500), false), 1_500 + 200);
        assert_eq!(window(2_000, 50, (501, 1_500), true), 1_500 + 201);
        assert_eq!(window(2_000, 300, (500, 1_001), false), 1_001);
        // Up to it: what has arrived and was not sent, and at least what has arrived now.
        assert_eq!(
            window(2_000, 50, (500, 600), false),
            600 + 400,
            "up to ssthresh"
        );
        assert_eq!(window(2_000, 50, (200, 600), false), 600 + 200);
        assert_eq!(window(2_000, 500, (200, 600), false), 600 + 200);
        assert_eq!(
            window(2_000, 500, (200, 600), true),
            600 + 300,
            "a segment more"
        );
        assert_eq!(window(2_000, 500, (200, 1_000), true), 1_000);
        // The first segment goes at once, and the window lets at least one go.
        assert_eq!(window(2_000, 0, (0, 1_500), false), 1_500 + 100);
        assert_eq!(window(2_000, 1, (0, 1_500), false), 1_500);
        assert_eq!(window(2_000, 1, (0, 0), false), 100);
        assert_eq!(
            window(0, 1, (1, 1_001), false),
            1_001 + 999,
            "with nothing on its way"
        );
    }

    /// What was on its way when it began may have been sent again; nothing else may.
    #[test]
    fn a_recovery_covers_what_was_on_its_way() {
        let mut recovery = Recovery::new(Seq::new(0));
        recovery.begin(Seq::new(50), 100);
        let start = Seq::new(0).minus(50);
        assert_eq!(recovery.start(), start);
        let covers = |start: Seq, end| recovery.covers(Block::new(start, Seq::new(end)));
        assert!(covers(start, 50) && covers(start.plus(1), 49));
        assert!(!covers(start.minus(1), 50) && !covers(start, 51));
    }
}
