//! Writes down every frame of a device, for Wireshark and tcpdump.

use usockets::{Error, Instant};

use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, RxMeta, TxMeta};
use crate::number::count;

/// Link types (`pcap-linktype(7)`): Ethernet, and IP of either version without a link.
const ETHERNET: u32 = 1;
const RAW_IP: u32 = 101;
/// Most bytes of a frame that are written, as tcpdump has it.
const BYTES_MAX: usize = 262_144;

/// A device around another, whose frames are written to `sink` in pcap's format.
///
/// `sink` is called with the parts of the file in order. Checksums that the device fills in
/// afterwards are not in the file yet.
pub struct Pcap<D, S> {
    device: D,
    sink: S,
}

impl<D: PollDevice, S: FnMut(&[u8])> Pcap<D, S> {
    /// Wraps `device` and writes the file's header.
    pub fn new(device: D, mut sink: S) -> Self {
        let link = match device.capabilities().medium {
            Medium::Ethernet => ETHERNET,
            Medium::Ip => RAW_IP,
        };
        // Magic number of microseconds, version 2.4, no time zone, no accuracy, longest, link.
        let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, count(BYTES_MAX), link];
        for word in header {
            sink(&u32::to_le_bytes(word));
        }
        Self { device, sink }
    }

    /// Returns the device inside.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    fn record(sink: &mut S, now: Instant, frame: &[u8]) {
        let micros = now.as_micros();
        let taken = frame.get(..BYTES_MAX).unwrap_or(frame);
        let words = [
            u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX),
            u32::try_from(micros % 1_000_000).unwrap_or(0),
            count(taken.len()),
            count(frame.len()),
        ];
        for word in words {
            sink(&word.to_le_bytes());
        }
        sink(taken);
    }
}

impl<D: PollDevice, S: FnMut(&[u8])> PollDevice for Pcap<D, S> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let taken = self.device.receive(frames_max);
        let now = self.device.now();
        for index in 0..taken {
            Self::record(&mut self.sink, now, self.device.frame(index));
        }
        taken
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.device.frame(index)
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.device.chained(index, place)
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.device.rx_meta(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.device.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        let now = self.device.now();
        if let Some(frame) = self.device.slot(len) {
            Self::record(&mut self.sink, now, frame);
        }
        self.device.commit(len, meta);
    }

    fn flush(&mut self) {
        self.device.flush();
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.device.wait(until);
    }

    fn woken(&mut self) -> bool {
        self.device.woken()
    }

    fn fault(&self) -> Option<Error> {
        self.device.fault()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.device.counters()
    }
}

impl<D: core::fmt::Debug, S> core::fmt::Debug for Pcap<D, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pcap")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
