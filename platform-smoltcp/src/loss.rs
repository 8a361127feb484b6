//! Sees losses by selective acknowledgements (RFC 2018), which smoltcp 0.14 does not heed.
//!
//! smoltcp retransmits its first unacknowledged segment at the third duplicate acknowledgement.
//! With few segments in flight, or large ones, so many never come, and of several losses in one
//! window only the first is repaired so; the others wait for a timeout. What the peer says it has
//! received beyond the first hole is enough to know (RFC 6675, section 4, `IsLost`; RFC 5827 where
//! only a few are in flight). smoltcp then gets the same acknowledgement three times more, as if
//! the network had duplicated it.

use crate::frame::{ACK, FIN, RST, SYN, Segment};
use crate::number::be32;

/// Bytes of a TCP header without options.
const HEADER_LEN: usize = 20;
/// Options (RFC 9293, section 3.2; RFC 2018, section 3).
const END: u8 = 0;
const PADDING: u8 = 1;
const SELECTIVE: u8 = 5;

/// How often an acknowledgement that tells of a loss is repeated for smoltcp.
pub(crate) const COPIES: u8 = 3;

/// Whether `segment`, a plain acknowledgement, tells that the first unacknowledged segment is
/// lost. `next` is the end of what has been sent, `mss` the length of one segment.
pub(crate) fn is_told(segment: &Segment<'_>, next: u32, mss: u32) -> bool {
    if segment.control & (SYN | FIN | RST | ACK) != ACK || segment.payload_len() > 0 {
        return false;
    }
    let outstanding = next.wrapping_sub(segment.acknowledged);
    let received = beyond(segment, outstanding);
    // More than two segments behind the hole, or all there are: smoltcp sends nothing new before
    // the third duplicate (RFC 3042 would), so that no more can come.
    let many = received > mss.saturating_mul(2);
    let rest = received > 0 && received.saturating_add(mss) >= outstanding;
    many || rest
}

/// Returns how many of the `outstanding` bytes after the acknowledged ones the peer has received.
fn beyond(segment: &Segment<'_>, outstanding: u32) -> u32 {
    let end = segment
        .bytes
        .get(12)
        .map_or(0, |byte| usize::from(byte >> 4));
    let mut options = segment
        .bytes
        .get(HEADER_LEN..end.saturating_mul(4))
        .unwrap_or_default();
    while let [kind, rest @ ..] = options {
        match *kind {
            END => return 0,
            PADDING => options = rest,
            kind => {
                let len = rest.first().map_or(0, |len| usize::from(*len));
                let Some((option, after)) = options.split_at_checked(len.max(2)) else {
                    return 0;
                };
                if kind == SELECTIVE {
                    return sum(option, segment.acknowledged, outstanding);
                }
                options = after;
            }
        }
    }
    0
}

/// Adds up the blocks of an option that lie in what is outstanding; others are duplicates reported
/// (RFC 2883) or lies.
fn sum(option: &[u8], acknowledged: u32, outstanding: u32) -> u32 {
    let mut received = 0_u32;
    for at in [2, 10, 18, 26] {
        let (Some(left), Some(right)) = (be32(option, at), be32(option, at.saturating_add(4)))
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
        let segment = Segment {
            local: ([10, 0, 0, 1], 1).into(),
            remote: ([10, 0, 0, 2], 2).into(),
            control: ACK,
            sequence: 7,
            acknowledged: 1_000,
            bytes: &bytes,
        };
        is_told(&segment, next, 100)
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
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 0, 8, 1, 5, 9,
        ];
        for end in 0..bytes.len() {
            let segment = Segment {
                local: ([10, 0, 0, 1], 1).into(),
                remote: ([10, 0, 0, 2], 2).into(),
                control: ACK,
                sequence: 0,
                acknowledged: 0,
                bytes: &bytes[..end],
            };
            assert!(!is_told(&segment, 1_000, 100));
        }
    }
}
