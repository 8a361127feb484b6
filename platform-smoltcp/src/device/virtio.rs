//! The header before each frame of a TAP or of a virtual machine's card (virtio 1.2, section 5.1.6;
//! `linux/virtio_net.h`), by which checksums and segmentation are left to the other side.

use crate::device::{RxChecksum, RxMeta, TxMeta};

/// Bytes of the header, or of its front.
pub(crate) const HEADER_LEN: usize = 10;
/// The checksum is to be filled in; on reception: need not be right.
const NEEDS_CHECKSUM: u8 = 1;
/// The checksum has been verified.
const VERIFIED: u8 = 2;
const SEGMENT_TCP_V4: u8 = 1;
const SEGMENT_TCP_V6: u8 = 4;

/// Writes the header for the frame behind it, whose numbers `bytes` puts in the other side's order.
pub(crate) fn describe(memory: &mut [u8], meta: &TxMeta, bytes: impl Fn(u16) -> [u8; 2]) {
    let Some(header) = memory.first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    *header = [0; HEADER_LEN];
    if !meta.checksum {
        return;
    }
    let number = |len: usize| bytes(u16::try_from(len).unwrap_or(0));
    let [s0, s1] = number(meta.tcp_at());
    let [o0, o1] = number(meta.checksum_at().saturating_sub(meta.tcp_at()));
    *header = [NEEDS_CHECKSUM, 0, 0, 0, 0, 0, s0, s1, o0, o1];
    if let Some(size) = meta.segment_size {
        let kind = if meta.v6 {
            SEGMENT_TCP_V6
        } else {
            SEGMENT_TCP_V4
        };
        let [h0, h1] = number(meta.payload_at());
        let [g0, g1] = bytes(size.get());
        *header = [NEEDS_CHECKSUM, kind, h0, h1, g0, g1, s0, s1, o0, o1];
    }
}

/// Returns what the header of a received frame says.
#[cfg_attr(
    not(any(feature = "tap", feature = "virtio-net", test)),
    expect(dead_code, reason = "a packet socket says it elsewhere")
)]
pub(crate) fn rx_meta(header: &[u8]) -> RxMeta {
    let flags = header.first().copied().unwrap_or(0);
    RxMeta::NONE.checksum(if flags & NEEDS_CHECKSUM != 0 {
        RxChecksum::Partial
    } else if flags & VERIFIED != 0 {
        RxChecksum::Verified
    } else {
        RxChecksum::Unknown
    })
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    use super::*;
    use crate::device::finish_checksum;
    use crate::tcp::{Flags, Seq};
    use crate::wire::checksum;
    use crate::wire::ethernet::Ethernet;
    use crate::wire::ipv4::Ipv4;
    use crate::wire::ipv6::Ipv6;
    use crate::wire::tcp::Tcp;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use core::num::NonZeroU16;

    /// Writes a frame of a SYN behind a virtio header, its checksum zero; returns its end and where
    /// the segment starts.
    fn frame(v6: bool, memory: &mut [u8; 200]) -> (usize, usize) {
        let kind = if v6 { Ethernet::IPV6 } else { Ethernet::IPV4 };
        Ethernet::new([2; 6], [4; 6], kind)
            .emit(&mut memory[10..])
            .unwrap();
        let tcp = Tcp {
            source_port: 80,
            destination_port: 81,
            seq: Seq::new(1),
            flags: Flags::SYN,
            ..Tcp::default()
        };
        let at = if v6 {
            let (from, to) = (Ipv6Addr::LOCALHOST, Ipv6Addr::from_bits(7));
            let header = Ipv6::new(from, to, Ipv6::TCP);
            24 + header.emit(&mut memory[24..], 20).unwrap()
        } else {
            let (from, to) = (Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
            let header = Ipv4::new(from, to, Ipv4::TCP);
            24 + header.emit(&mut memory[24..], 20).unwrap()
        };
        let len = tcp.emit(&mut memory[at..]).unwrap();
        (at + len, at)
    }

    /// Finishing what is left, as a kernel does, gives the right checksum.
    #[test]
    fn the_kernel_finishes_what_is_left_to_it() {
        for v6 in [false, true] {
            let mut memory = [0; 200];
            let (end, at) = frame(v6, &mut memory);
            let meta = TxMeta::leave_checksum(14, &mut memory[24..end])
                .segment_size(NonZeroU16::new(1_400));
            describe(&mut memory[..end], &meta, u16::to_ne_bytes);
            let number = |at: usize| usize::from(u16::from_ne_bytes([memory[at], memory[at + 1]]));
            assert_eq!(number(6), at - 10);
            assert_eq!((number(4), number(8)), (1_400, 16));
            assert_eq!(number(2), at - 10 + 20, "all headers");
            let partial = memory[at + 16..at + 18].to_vec();
            finish_checksum(&mut memory[10..end], &meta);
            assert_ne!(memory[at + 16..at + 18], partial[..]);
            let segment = &memory[at..end];
            let sum = if v6 {
                let (from, to) = (Ipv6Addr::LOCALHOST, Ipv6Addr::from_bits(7));
                checksum::transport(from.into(), to.into(), 6, segment)
            } else {
                let (from, to) = (Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
                checksum::transport(from.into(), to.into(), 6, segment)
            };
            assert_eq!(sum, 0, "v6: {v6}");
        }
    }

    #[test]
    fn what_the_kernel_vouches_for_is_said() {
        for (flags, said) in [
            (0, RxChecksum::Unknown),
            (NEEDS_CHECKSUM, RxChecksum::Partial),
            (VERIFIED, RxChecksum::Verified),
        ] {
            assert_eq!(rx_meta(&[flags; HEADER_LEN]).checksum, said);
        }
        assert_eq!(rx_meta(&[]), RxMeta::NONE);
    }
}
