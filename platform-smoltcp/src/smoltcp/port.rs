//! smoltcp's view of the device: one frame in with at most one reply, or frames out to one place.

use core::num::NonZeroU16;

use smoltcp::phy::{self, Checksum, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;

use crate::device::{Capabilities, PollDevice, TxMeta};
use crate::smoltcp::frame::{self, ETHERNET_LEN, Ethernet};
use crate::smoltcp::sent::Sent;
use crate::wire::checksum;

/// Says in smoltcp's words what the device can do. Ethernet is handled outside of smoltcp.
pub(crate) fn describe(device: &Capabilities) -> DeviceCapabilities {
    let mut said = DeviceCapabilities::default();
    said.medium = phy::Medium::Ip;
    said.max_transmission_unit = device.mtu;
    // What comes in is checked before anything heeds it, and TCP's are filled in last.
    said.checksum.ipv4 = Checksum::Tx;
    said.checksum.tcp = Checksum::None;
    // smoltcp drops IPv6 packets above the MTU even when they are to be segmented.
    said.segmentation.tcpv4 = device.segment_max.and_then(core::num::NonZeroUsize::new);
    said
}

/// One received packet, and memory for the one reply that smoltcp may make to it.
pub(crate) struct Inward<'f> {
    pub(crate) packet: Option<&'f [u8]>,
    pub(crate) reply: &'f mut [u8],
    /// Bytes of the reply; 0 without one.
    pub(crate) reply_len: usize,
    pub(crate) described: &'f DeviceCapabilities,
}

impl<'f> Inward<'f> {
    #[inline]
    pub(crate) const fn new(
        packet: &'f [u8],
        reply: &'f mut [u8],
        described: &'f DeviceCapabilities,
    ) -> Self {
        Self {
            packet: Some(packet),
            reply,
            reply_len: 0,
            described,
        }
    }
}

pub(crate) struct Whole<'f>(&'f [u8]);

impl phy::RxToken for Whole<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct Reply<'t> {
    memory: &'t mut [u8],
    len: &'t mut usize,
}

impl phy::TxToken for Reply<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // The memory holds the largest packet (checked when the stack was made), and smoltcp
        // drops larger ones itself.
        let len = len.min(self.memory.len());
        *self.len = len;
        f(self.memory.get_mut(..len).unwrap_or_default())
    }
}

impl phy::Device for Inward<'_> {
    type RxToken<'t>
        = Whole<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Reply<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let packet = self.packet.take()?;
        let reply = Reply {
            memory: self.reply,
            len: &mut self.reply_len,
        };
        Some((Whole(packet), reply))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.described.clone()
    }
}

/// Where one connection's packets go out.
pub(crate) struct Outward<'d, D> {
    pub(crate) device: &'d mut D,
    /// The header of every frame; `None` on a device without Ethernet.
    pub(crate) header: Option<&'d Ethernet>,
    /// What the connection has sent.
    pub(crate) sent: &'d mut Sent,
    /// Whether the device fills in checksums.
    pub(crate) fills: bool,
    /// Memory for a frame the device breaks its word about.
    pub(crate) spare: &'d mut [u8],
    pub(crate) described: &'d DeviceCapabilities,
}

pub(crate) struct Out<'t, D> {
    device: &'t mut D,
    header: Option<&'t Ethernet>,
    sent: &'t mut Sent,
    fills: bool,
    spare: &'t mut [u8],
    segment: Option<NonZeroU16>,
}

impl<D: PollDevice> phy::TxToken for Out<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let above = if self.header.is_some() {
            ETHERNET_LEN
        } else {
            0
        };
        let whole = len.saturating_add(above);
        let mut meta = TxMeta::NONE;
        let result = match self.device.slot(whole) {
            Some(slot) if slot.len() >= whole => {
                let (front, packet) = slot.split_at_mut_checked(above).unwrap_or_default();
                if let (Some(header), Some(front)) = (self.header, front.first_chunk_mut()) {
                    *front = header.bytes();
                }
                let packet = packet.get_mut(..len).unwrap_or_default();
                let result = f(&mut *packet);
                if let Some(start) = frame::tcp_at(packet) {
                    self.sent
                        .correct(packet.get_mut(start..).unwrap_or_default());
                    if self.fills {
                        let link_len = u8::try_from(above).unwrap_or(0);
                        meta = TxMeta::leave_checksum(link_len, packet);
                    } else {
                        checksum::fill(packet, start);
                    }
                }
                result
            }
            _ => return f(self.spare.get_mut(..len).unwrap_or_default()),
        };
        self.device.commit(whole, &meta.segment_size(self.segment));
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}

impl<D: PollDevice> phy::Device for Outward<'_, D> {
    type RxToken<'t>
        = Whole<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Out<'t, D>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.device.slot(0)?;
        Some(Out {
            device: self.device,
            header: self.header,
            sent: self.sent,
            fills: self.fills,
            spare: self.spare,
            segment: None,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.described.clone()
    }
}

/// Sends a frame made elsewhere, whose packet starts at `packet_at`, if the device has room. With
/// `fills` it leaves the device to finish a TCP checksum.
pub(crate) fn send_copy<D: PollDevice>(
    device: &mut D,
    frame: &[u8],
    (packet_at, fills): (u8, bool),
) {
    if frame.is_empty() {
        return;
    }
    if let Some(slot) = device.slot(frame.len())
        && let Some(slot) = slot.get_mut(..frame.len())
    {
        slot.copy_from_slice(frame);
        let packet = slot.get_mut(usize::from(packet_at)..).unwrap_or_default();
        let meta = if fills {
            TxMeta::leave_checksum(packet_at, packet)
        } else {
            TxMeta::NONE
        };
        device.commit(frame.len(), &meta);
    }
}

/// A device that swallows what is sent: for a SYN|ACK that went out without us.
pub(crate) struct Nowhere<'f> {
    pub(crate) spare: &'f mut [u8],
    pub(crate) described: &'f DeviceCapabilities,
}

pub(crate) struct Swallow<'t>(&'t mut [u8]);

impl phy::TxToken for Swallow<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        f(self.0.get_mut(..len).unwrap_or_default())
    }
}

impl phy::Device for Nowhere<'_> {
    type RxToken<'t>
        = Whole<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Swallow<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Some(Swallow(self.spare))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.described.clone()
    }
}
