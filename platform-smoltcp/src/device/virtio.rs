//! The header before each frame of a TAP (virtio 1.2, section 5.1.6; `linux/virtio_net.h`), by
//! which checksums and segmentation are left to the kernel.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU16;

use crate::number::{be16, be32, put};
use crate::smoltcp::frame::{self, ETHERNET_LEN, Ethernet, IPV4, IPV6, Packet};
use crate::wire::checksum::{self, TCP};

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 10;
/// The checksum is to be filled in; on reception: need not be right.
const NEEDS_CHECKSUM: u8 = 1;
/// The checksum has been verified.
const VERIFIED: u8 = 2;
const SEGMENT_TCP_V4: u8 = 1;
const SEGMENT_TCP_V6: u8 = 4;

/// Where a frame's TCP segment is.
struct Found {
    from: IpAddr,
    to: IpAddr,
    /// First byte and end of the segment in the frame.
    start: usize,
    end: usize,
}

/// Writes the header for a frame behind it, and leaves its TCP checksum to be finished.
pub(crate) fn describe(memory: &mut [u8], segment: Option<NonZeroU16>) {
    let Some((header, frame)) = memory.split_first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    *header = [0; HEADER_LEN];
    let Some(found) = find(frame) else {
        return;
    };
    let len = found.end.saturating_sub(found.start);
    let sum = checksum::partial(checksum::pseudo(found.from, found.to, TCP, len));
    let offset = frame
        .get(found.start.saturating_add(12))
        .map_or(0, |byte| usize::from(byte >> 4).saturating_mul(4));
    if !put(frame, found.start.saturating_add(16), sum.to_be_bytes()) {
        return;
    }
    let number = |len: usize| u16::try_from(len).unwrap_or(0).to_ne_bytes();
    let [s0, s1] = number(found.start);
    let [o0, o1] = number(16);
    *header = [NEEDS_CHECKSUM, 0, 0, 0, 0, 0, s0, s1, o0, o1];
    if let Some(size) = segment {
        let kind = if found.from.is_ipv4() {
            SEGMENT_TCP_V4
        } else {
            SEGMENT_TCP_V6
        };
        let [h0, h1] = number(found.start.saturating_add(offset));
        let [g0, g1] = size.get().to_ne_bytes();
        *header = [NEEDS_CHECKSUM, kind, h0, h1, g0, g1, s0, s1, o0, o1];
    }
}

/// Whether a received frame's TCP checksum is right, or vouched for by the kernel. True for
/// anything else than TCP.
pub(crate) fn is_sound(header: &[u8], frame: &[u8]) -> bool {
    let flags = header.first().copied().unwrap_or(0);
    if flags & (NEEDS_CHECKSUM | VERIFIED) != 0 {
        return true;
    }
    let packet = frame.get(ETHERNET_LEN..).unwrap_or_default();
    match frame::look(packet) {
        Some(Packet::Tcp(segment)) => checksum::is_right(packet, segment.bytes),
        _ => true,
    }
}

/// Finds the TCP segment right behind an IP header, as all are that smoltcp makes.
fn find(frame: &[u8]) -> Option<Found> {
    let (header, packet) = Ethernet::split(frame)?;
    let (from, to, ip_len, len) = match header.kind {
        IPV4 if packet.get(9) == Some(&TCP) => {
            let from = IpAddr::V4(Ipv4Addr::from_bits(be32(packet, 12)?));
            let to = IpAddr::V4(Ipv4Addr::from_bits(be32(packet, 16)?));
            let ip_len = usize::from(packet.first()? & 15).saturating_mul(4);
            (from, to, ip_len, usize::from(be16(packet, 2)?))
        }
        IPV6 if packet.get(6) == Some(&TCP) => {
            let from = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
            let to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
            let len = usize::from(be16(packet, 4)?).saturating_add(40);
            (IpAddr::V6(from), IpAddr::V6(to), 40, len)
        }
        _ => return None,
    };
    let start = ETHERNET_LEN.saturating_add(ip_len);
    let end = ETHERNET_LEN.saturating_add(len);
    (start <= end && end <= frame.len()).then_some(Found {
        from,
        to,
        start,
        end,
    })
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    use super::*;
    use crate::smoltcp::cookie::Plain;
    use smoltcp::wire::TcpControl;

    fn frame(from: &str, to: &str, memory: &mut [u8; 200]) -> usize {
        let segment = Plain {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            sequence: 1,
            acknowledges: Some(2),
            control: TcpControl::Syn,
            window: 3,
            mss: 1_460,
        };
        let kind = if segment.from.is_ipv4() { IPV4 } else { IPV6 };
        let header = Ethernet {
            to: [2; 6],
            from: [4; 6],
            kind,
        };
        memory[10..24].copy_from_slice(&header.bytes());
        let len = 24 + segment.write(&mut memory[24..]);
        let packet = &mut memory[24..len];
        checksum::fill(packet, frame::tcp_at(packet).unwrap());
        len
    }

    /// smoltcp looks behind a hop-by-hop header, so nothing there goes unchecked either.
    #[test]
    fn a_segment_behind_another_header_is_checked() {
        let mut memory = [0; 200];
        let len = frame("[fd00::1]:80", "[fd00::2]:81", &mut memory);
        memory.copy_within(64..len, 72);
        memory[64..72].copy_from_slice(&[TCP, 0, 1, 4, 0, 0, 0, 0]);
        memory[24 + 5] += 8;
        memory[24 + 6] = 0;
        let len = len + 8;
        assert!(is_sound(&[0; 10], &memory[10..len]));
        memory[len - 1] ^= 1;
        assert!(!is_sound(&[0; 10], &memory[10..len]));
        assert!(is_sound(&[VERIFIED; 10], &memory[10..len]));
    }

    /// Finishing what `describe` leaves, as a kernel does, gives the checksum that was there.
    #[test]
    fn the_kernel_finishes_what_is_left_to_it() {
        for (from, to) in [
            ("10.0.0.1:80", "10.0.0.2:81"),
            ("[fd00::1]:80", "[fd00::2]:81"),
        ] {
            let mut memory = [0; 200];
            let len = frame(from, to, &mut memory);
            assert!(is_sound(&memory[..10], &memory[10..len]));
            let whole = memory;
            describe(&mut memory[..len], NonZeroU16::new(1_400));
            assert_ne!(memory[10..len], whole[10..len]);
            assert!(!is_sound(&[0; 10], &memory[10..len]));
            assert!(is_sound(&memory[..10], &memory[10..len]));
            let number = |at: usize| usize::from(u16::from_ne_bytes([memory[at], memory[at + 1]]));
            let (start, offset) = (10 + number(6), number(8));
            let sum = checksum::finish(checksum::add(0, &memory[start..len]));
            memory[start + offset..start + offset + 2].copy_from_slice(&sum.to_be_bytes());
            assert_eq!(memory[10..len], whole[10..len]);
            assert_eq!(u16::from_ne_bytes([memory[4], memory[5]]), 1_400);
        }
    }
}
