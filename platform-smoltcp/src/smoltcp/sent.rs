//! Gives acknowledgements the sequence number that RFC 9293 asks for.
//!
//! When a retransmission is due smoltcp 0.14 goes back to the first unacknowledged byte and from
//! there on puts that place, not the end of what it has sent, into plain acknowledgements too.
//! A peer has received past it and throws such a segment away, acknowledgement included (RFC
//! 9293, section 3.10.7.4). If both ends do so at once, they repeat themselves until both give
//! up. So what goes out is looked at, and a plain acknowledgement from behind is moved up to
//! SND.NXT as the RFC means it: after everything sent so far.

use crate::number::{be16, be32, put};
use crate::smoltcp::frame::{ACK, FIN, RST, SYN};

/// What one connection has sent and acknowledged so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sent {
    /// After the last byte sent; meaningful with [`Self::any`].
    pub(crate) next: u32,
    /// The number last acknowledged.
    pub(crate) acknowledged: u32,
    /// The window that went with it; never scaled, since no buffer needs it.
    pub(crate) window: u16,
    /// Where the segment starts that has just left, if its bytes had left before.
    pub(crate) again: Option<u32>,
    pub(crate) any: bool,
    /// The peer's window is closed: a single byte is a probe, which the peer may not have taken.
    pub(crate) shut: bool,
}

impl Sent {
    /// Whether `len` bytes at `first` go beyond the window that the peer has been told.
    #[inline]
    pub(crate) const fn is_beyond(&self, first: u32, len: u32) -> bool {
        let end = first.wrapping_add(len).wrapping_sub(self.acknowledged);
        let [a, b] = self.window.to_le_bytes();
        self.any && end > u32::from_le_bytes([a, b, 0, 0]) && end < u32::MAX / 2
    }

    /// Looks at one of the connection's segments that is about to leave, without its checksum yet,
    /// and corrects its sequence number if need be.
    #[inline]
    pub(crate) fn correct(&mut self, segment: &mut [u8]) {
        self.try_correct(segment);
    }

    #[inline]
    fn try_correct(&mut self, segment: &mut [u8]) -> Option<()> {
        let len = segment.len();
        let segment = segment.first_chunk_mut::<20>()?;
        let (first, control) = (be32(segment, 4)?, segment[13]);
        let offset = usize::from(segment[12] >> 4).saturating_mul(4);
        let payload = u32::try_from(len.saturating_sub(offset)).ok()?;
        if control & ACK != 0 && control & RST == 0 {
            self.acknowledged = be32(segment, 8)?;
            self.window = be16(segment, 14)?;
        }
        if control & SYN != 0 {
            self.next = first.wrapping_add(1);
            self.any = true;
            return None;
        }
        if control & RST != 0 {
            return None;
        }
        let end = first
            .wrapping_add(payload)
            .wrapping_add(u32::from(control & FIN));
        let behind = self.any && self.next.wrapping_sub(end).wrapping_sub(1) < u32::MAX / 2;
        if behind && end == first {
            put(segment, 4, self.next.to_be_bytes());
            return None;
        }
        let probe = self.shut && payload == 1;
        if first != self.next && payload > 0 && self.next.wrapping_sub(first) < u32::MAX / 2 {
            self.again = Some(first).filter(|_| self.any && !probe);
        }
        if !behind && !probe {
            self.next = end;
            self.any = true;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoltcp::cookie::Plain;
    use smoltcp::wire::{IpAddress, TcpControl, TcpPacket};

    /// A plain acknowledgement with the given sequence number.
    fn plain(sequence: u32, memory: &mut [u8]) -> usize {
        let syn = Plain {
            from: ([10, 0, 0, 1], 80).into(),
            to: ([10, 0, 0, 2], 81).into(),
            sequence,
            acknowledges: Some(77),
            control: TcpControl::Syn,
            window: 9,
            mss: 536,
        };
        let len = syn.write(memory);
        memory[20 + 13] = 16;
        len
    }

    #[test]
    fn acknowledgements_move_up_and_stay_sound() {
        let (from, to) = (IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2));
        for (next, first, expected) in [
            (1_000, 400, 1_000),
            (1_000, 1_000, 1_000),
            (5, u32::MAX - 5, 5),
            (0x0001_0000, 0xffff, 0x0001_0000),
        ] {
            let mut sent = Sent {
                next,
                acknowledged: 0,
                window: 0,
                again: None,
                any: true,
                shut: false,
            };
            let mut memory = [0; 64];
            let len = plain(first, &mut memory);
            sent.correct(&mut memory[20..len]);
            crate::wire::checksum::fill(&mut memory[..len], 20);
            let segment = TcpPacket::new_checked(&memory[20..len]).unwrap();
            assert_eq!(segment.seq_number().0.cast_unsigned(), expected);
            assert!(segment.verify_checksum(&from, &to));
            assert_eq!(sent.next, next);
        }
    }
}
