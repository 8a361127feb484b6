//! What goes with a frame: what the device knows of a received one, and what it has to do with one
//! to send.

use core::num::NonZeroU16;

use usockets::Instant;

use crate::number::{be16, put};
use crate::wire::checksum;
use crate::wire::ipv4::Ipv4;

/// Where in a TCP header its length and its checksum stand.
const OFFSET_AT: usize = 12;
const CHECKSUM_AT: usize = 16;

/// What a device knows of the TCP checksum of a received frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RxChecksum {
    /// Nothing: the stack verifies it.
    #[default]
    Unknown,
    /// It is right. The device has verified it.
    Verified,
    /// It holds the sum of the pseudo header only, and the frame has not been on a link where it
    /// could have changed: another system on the same machine has sent it.
    Partial,
}

/// What a device knows of a received frame. What it does not know stays as in [`Self::NONE`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RxMeta {
    /// Whether the TCP checksum needs to be verified.
    pub checksum: RxChecksum,
    /// The hash by which the card chose the queue (RSS).
    pub hash: Option<u32>,
    /// The number of the queue that the frame came on.
    pub queue: u16,
    /// The control information of a VLAN tag that the device has taken out of the frame.
    pub vlan: Option<u16>,
    /// When the frame came, on the clock of [`PollDevice::now`](super::PollDevice::now).
    pub timestamp: Option<Instant>,
}

impl RxMeta {
    /// Nothing is known.
    pub const NONE: Self = Self {
        checksum: RxChecksum::Unknown,
        hash: None,
        queue: 0,
        vlan: None,
        timestamp: None,
    };

    /// Sets [`Self::checksum`].
    #[must_use]
    pub const fn checksum(mut self, checksum: RxChecksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Sets [`Self::hash`].
    #[must_use]
    pub const fn hash(mut self, hash: u32) -> Self {
        self.hash = Some(hash);
        self
    }

    /// Sets [`Self::queue`].
    #[must_use]
    pub const fn queue(mut self, number: u16) -> Self {
        self.queue = number;
        self
    }

    /// Sets [`Self::vlan`].
    #[must_use]
    pub const fn vlan(mut self, tag: u16) -> Self {
        self.vlan = Some(tag);
        self
    }

    /// Sets [`Self::timestamp`].
    #[must_use]
    pub const fn timestamp(mut self, at: Instant) -> Self {
        self.timestamp = Some(at);
        self
    }
}

/// What a device has to do with a frame, and where in it what is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TxMeta {
    /// Bytes of the link's header: 14, or 0 on a device without Ethernet.
    pub link_len: u8,
    /// Bytes of the IP header; the TCP header follows. 0 when the frame carries no TCP segment.
    pub ip_len: u8,
    /// Bytes of the TCP header; the payload follows.
    pub tcp_len: u8,
    /// The segment is IPv6's.
    pub v6: bool,
    /// The checksum is to be finished: from the TCP header to the end of the frame. In its place
    /// stands the sum of the pseudo header, as virtio, AF_XDP and Linux want it.
    pub checksum: bool,
    /// That sum with the length left out, which is what DPDK and some cards want there when they
    /// cut segments to size.
    pub pseudo_sum: u16,
    /// The frame is a TCP segment to be cut into several with at most so many bytes of payload
    /// each.
    pub segment_size: Option<NonZeroU16>,
}

impl TxMeta {
    /// Nothing is to be done.
    pub const NONE: Self = Self {
        link_len: 0,
        ip_len: 0,
        tcp_len: 0,
        v6: false,
        checksum: false,
        pseudo_sum: 0,
        segment_size: None,
    };

    /// Returns where in the frame the TCP header starts.
    #[must_use]
    pub fn tcp_at(&self) -> usize {
        usize::from(self.link_len).saturating_add(usize::from(self.ip_len))
    }

    /// Returns where in the frame the TCP checksum stands.
    #[must_use]
    pub fn checksum_at(&self) -> usize {
        self.tcp_at().saturating_add(CHECKSUM_AT)
    }

    /// Returns where in the frame the payload starts.
    #[must_use]
    pub fn payload_at(&self) -> usize {
        self.tcp_at().saturating_add(usize::from(self.tcp_len))
    }

    /// Leaves the checksum of the TCP segment in `packet` to a device: writes the sum of the
    /// pseudo header in its place and says where what is. The packet comes behind `link_len` bytes
    /// and is one of ours, without IPv6 extension headers; of any other nothing is left.
    #[must_use]
    pub(crate) fn leave_checksum(link_len: u8, packet: &mut [u8]) -> Self {
        Self::describe(link_len, packet).unwrap_or(Self {
            link_len,
            ..Self::NONE
        })
    }

    fn describe(link_len: u8, packet: &mut [u8]) -> Option<Self> {
        let v6 = packet.first()? >> 4 == 6;
        let (ip_len, protocol, addresses) = if v6 {
            (40, *packet.get(6)?, packet.get(8..40)?)
        } else {
            let words = packet.first()? & 15;
            (words << 2, *packet.get(9)?, packet.get(12..20)?)
        };
        if protocol != Ipv4::TCP {
            return None;
        }
        let addresses = checksum::add(0, addresses);
        let segment = packet.get_mut(usize::from(ip_len)..)?;
        let tcp_len = (*segment.get(OFFSET_AT)? >> 4) << 2;
        let sums = [segment.len(), 0].map(|len| {
            let sum = checksum::add_rest(addresses, Ipv4::TCP, len);
            checksum::partial(sum)
        });
        let [with_len, without_len] = sums;
        if !put(segment, CHECKSUM_AT, with_len.to_be_bytes()) {
            return None;
        }
        Some(Self {
            link_len,
            ip_len,
            tcp_len,
            v6,
            checksum: true,
            pseudo_sum: without_len,
            segment_size: None,
        })
    }

    /// Sets [`Self::segment_size`].
    #[must_use]
    pub(crate) const fn segment_size(mut self, size: Option<NonZeroU16>) -> Self {
        self.segment_size = size;
        self
    }
}

/// Finishes, in software, the checksum that a frame leaves to a device: for devices that can only
/// do so for some frames, and for tests of those that do.
pub fn finish_checksum(frame: &mut [u8], meta: &TxMeta) {
    let at = meta.checksum_at();
    if !meta.checksum {
        return;
    }
    let Some(segment) = frame.get(meta.tcp_at()..) else {
        return;
    };
    let sum = checksum::data(segment);
    if be16(frame, at).is_some() {
        checksum::put_at(frame, at, sum);
    }
}
