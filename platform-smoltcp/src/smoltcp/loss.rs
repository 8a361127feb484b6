//! Sees losses by selective acknowledgements (RFC 2018), which smoltcp 0.14 does not heed.
//!
//! smoltcp retransmits its first unacknowledged segment at the third duplicate acknowledgement.
//! With few segments in flight, or large ones, so many never come, and of several losses in one
//! window only the first is repaired so; the others wait for a timeout. What the peer says it has
//! received beyond the first hole is enough to know (RFC 6675, section 4, `IsLost`; RFC 5827 where
//! only a few are in flight). smoltcp then gets the same acknowledgement three times more, as if
//! the network had duplicated it.

use crate::number::be32;
use crate::smoltcp::frame::{ACK, FIN, RST, SELECTIVE, SYN, Segment};

/// How often an acknowledgement that tells of a loss is repeated for smoltcp.
pub(crate) const COPIES: u8 = 3;

/// Whether `segment`, a plain acknowledgement, tells that the first unacknowledged segment is
/// lost; then how many bytes behind it have arrived, else 0. `next` is the end of what has been
/// sent, `mss` the length of one segment.
pub(crate) fn told(segment: &Segment<'_>, next: u32, mss: u32) -> u32 {
    if segment.control() & (SYN | FIN | RST | ACK) != ACK || segment.payload_len() > 0 {
        return 0;
    }
    let outstanding = next.wrapping_sub(segment.acknowledged());
    let received = beyond(segment, outstanding);
    // More than two segments behind the hole, or all there are: smoltcp sends nothing new before
    // the third duplicate (RFC 3042 would), so that no more can come.
    let many = received > mss.saturating_mul(2);
    let rest = received > 0 && received.saturating_add(mss) >= outstanding;
    if many || rest { received } else { 0 }
}

/// Returns how many of the `outstanding` bytes after the acknowledged ones the peer has received.
fn beyond(segment: &Segment<'_>, outstanding: u32) -> u32 {
    let blocks = segment.option(SELECTIVE).unwrap_or_default();
    sum(blocks, segment.acknowledged(), outstanding)
}

/// Adds up the blocks of an option that lie in what is outstanding; others are duplicates reported
/// (RFC 2883) or lies.
fn sum(blocks: &[u8], acknowledged: u32, outstanding: u32) -> u32 {
    let mut received = 0_u32;
    for at in [0, 8, 16, 24] {
        let (Some(left), Some(right)) = (be32(blocks, at), be32(blocks, at.saturating_add(4)))
        else {
            break;
        };
        let (from, to) = (
            left.wrapping_sub(acknowledged),
            right.wrapping_sub(acknowledged),
        );
        if from > 0 && from < to && to <= outstanding {
            received = received.saturating_add(to.wrapping_sub(from));
        }
    }
    received.min(outstanding)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    use super::*;
    use crate::smoltcp::frame::Addresses;
    use std::vec::Vec;

    extern crate std;

    /// An acknowledgement of 1,000 with the given blocks.
    fn told(blocks: &[(u32, u32)], next: u32) -> bool {
        let mut options = std::vec![1, 1, 5, 2];
        for (left, right) in blocks {
            options.extend(left.to_be_bytes());
            options.extend(right.to_be_bytes());
        }
        let len = options.len() - 2;
        options[3] = u8::try_from(len).unwrap();
        let mut bytes: Vec<u8> = std::vec![0; 20];
        bytes[12] = u8::try_from(5 + options.len() / 4).unwrap() << 4;
        bytes.extend(options);
        bytes[8..12].copy_from_slice(&1_000_u32.to_be_bytes());
        bytes[13] = ACK;
        let segment = Segment::new(Addresses::V4(&[0; 4], &[0; 4]), &bytes).unwrap();
        super::told(&segment, next, 100) > 0
    }

    #[test]
    fn a_hole_is_lost_when_enough_behind_it_came() {
        assert!(!told(&[(1_100, 1_300)], 9_000), "two segments");
        assert!(told(&[(1_100, 1_301)], 9_000), "more than two");
        assert!(told(&[(1_100, 1_200), (1_300, 1_500)], 9_000));
        assert!(!told(&[(500, 900)], 9_000), "a duplicate reported");
        assert!(!told(&[(1_100, 20_000)], 9_000), "never sent");
        assert!(!told(&[(1_500, 1_100)], 9_000), "the wrong way round");
    }

    #[test]
    fn the_last_segments_need_fewer() {
        assert!(told(&[(1_100, 1_150)], 1_150), "all but the first");
        assert!(!told(&[(1_200, 1_250)], 1_350), "others are on the way");
        assert!(!told(&[], 1_050));
    }

    #[test]
    fn options_cut_short_are_none() {
        let mut bytes = [0; 24];
        (bytes[12], bytes[13]) = (0x60, ACK);
        bytes[20..].copy_from_slice(&[8, 1, 5, 9]);
        let segment = Segment::new(Addresses::V4(&[0; 4], &[0; 4]), &bytes).unwrap();
        assert_eq!(super::told(&segment, 1_000, 100), 0);
        for end in 0..bytes.len() {
            assert!(Segment::new(Addresses::V4(&[0; 4], &[0; 4]), &bytes[..end]).is_none());
        }
    }
}
