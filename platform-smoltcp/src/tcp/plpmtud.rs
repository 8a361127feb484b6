//! The path's MTU without ICMP (RFC 4821, with the terms of RFC 8899): segments that are too large
//! for a path which does not say so are noticed, and larger ones are tried later.
//!
//! *Black holes.* When the first segment on its way runs into its timeout for the third time and is
//! larger than [`BASE`], segments have that size from then on. It may have been an outage instead,
//! which the probes tell.
//!
//! *Probes.* From then on `Send::probe_max` is the largest of [`SIZES`] that may fit: what the
//! handshake and ICMP had left, and less once a probe of that was lost. While segments are smaller,
//! some new text goes out in a larger one, if the windows have room for it and enough follows that
//! selective acknowledgements tell of its loss. If it arrives, segments have its size. If it alone
//! is lost, that is no sign of congestion (RFC 4821, section 7.6.2), and the next smaller size is
//! tried. When none is left, that is the end of it: a path that grows later is not noticed.

use super::connection::{Connection, Marks};
use super::injected_bug::injected_bug;
use super::loss::recovery::Phase;
use super::memory::Buffers;
use super::outstanding::Outstanding;
use super::segment::Transmit;
use crate::number::low16;

/// Segment sizes of common links and tunnels, for IPv4 and IPv6, ascending from [`BASE`] on.
const SIZES: [u16; 8] = [BASE, 1_340, 1_400, 1_440, 1_460, 2_960, 4_312, 8_940];
/// BASE_PLPMTU less headers: what IPv6 promises to carry (RFC 8200, section 5), and tunnels for
/// IPv4 do.
const BASE: u16 = 1_220;
/// Timeouts before the one that makes a black hole of it.
const TIMEOUTS: u8 = 2;
/// Beside the place in `Send::probe_max`: a probe is on its way.
const OUT: u8 = 1 << 7;
/// Segments that follow a probe, so that its loss shows.
const FOLLOWERS: u32 = 4;

/// Returns the place in [`SIZES`] of the largest that is not above `mss`.
fn fitting(mss: u16) -> u8 {
    let fits = SIZES.iter().take_while(|size| **size <= mss).count();
    u8::try_from(fits.saturating_sub(1)).unwrap_or(0)
}

impl Connection {
    /// Makes segments smaller if those that go again after a timeout seem to vanish for their size
    /// (RFC 4821, section 7.7; RFC 8899, section 4.3).
    pub(super) fn suspect_black_hole(&mut self, buffers: &mut Buffers<'_>) {
        self.forget_path_probe(buffers);
        let Some(first) = self.board.get(buffers.outstanding, 0) else {
            return;
        };
        let large = self.send.mss > BASE && u32::from(first.len) > self.segment_len_of(BASE);
        // None of them is enough: what was doubled stays so until a round trip is measured, and a
        // segment is sent again for other reasons, too.
        let stalled = self.phase == Phase::Timeout && self.recovery.start() == self.send.una;
        let sent = first.transmissions > TIMEOUTS;
        let often = stalled && sent && self.rtt.backoff >= TIMEOUTS;
        if large && often && !injected_bug!(BlackHole) {
            self.send.probe_max = fitting(self.send.mss);
            self.send.mss = BASE;
        }
    }

    /// Returns true if a probe is on its way.
    pub(super) const fn is_path_probed(&self) -> bool {
        self.send.probe_max & OUT != 0
    }

    /// Probes no sizes above `mss`, which ICMP has told.
    pub(super) fn limit_path_probes(&mut self, mss: u16) {
        let out = self.send.probe_max & OUT;
        self.send.probe_max = (self.send.probe_max & !OUT).min(fitting(mss)) | out;
    }

    /// Sends new text as a probe of the path if one may go (RFC 4821, section 7.4): `most` is what
    /// the peer takes of what there is, `room` what congestion control does.
    #[cold]
    pub(super) fn transmit_path_probe(
        &mut self,
        now: u64,
        (most, room): (u32, u32),
        buffers: &mut Buffers<'_>,
    ) -> Option<Transmit> {
        let may = self.phase == Phase::Open
            && self.rtt.backoff == 0
            && self.board.lost == 0
            && self.marks.has(Marks::SACK)
            && !self.is_path_probed();
        if !may {
            return None;
        }
        let len = self.path_probe_len(room)?;
        let follow = self.segment_len().saturating_mul(FOLLOWERS);
        let enough = len.saturating_add(follow);
        if most < enough || self.congestion.window < enough {
            return None;
        }
        let mut probe = self.send_new(now, len, buffers);
        // Not for the device to cut.
        probe.segment_size = None;
        if let Some(last) = self.board.last()
            && let Some(entry) = self.board.get_mut(buffers.outstanding, last)
        {
            entry.marks |= Outstanding::PATH_PROBE;
            self.send.probe_max |= OUT;
        }
        Some(probe)
    }

    /// Returns the octets of text of the largest probe that congestion control has room for.
    fn path_probe_len(&mut self, room: u32) -> Option<u32> {
        let sizes = SIZES.get(..=usize::from(self.send.probe_max & !OUT));
        let mut sizes = sizes.unwrap_or_default().iter().rev();
        let larger = |size: &&u16| **size > self.send.mss;
        if !sizes.clone().any(|size| larger(&size)) {
            self.send.probe_max = 0;
            return None;
        }
        let fits = |size: &&u16| larger(size) && self.segment_len_of(**size) <= room;
        sizes.find(fits).map(|size| self.segment_len_of(*size))
    }

    /// Takes note that a probe has arrived, or a piece of one, which says nothing.
    #[cold]
    pub(super) fn on_path_probe_acked(&mut self, entry: &Outstanding) {
        self.send.probe_max &= !OUT;
        let options = u32::from(self.send.mss).saturating_sub(self.segment_len());
        let size = u32::from(entry.len).saturating_add(options);
        self.send.mss = self.send.mss.max(low16(size.into()));
    }

    /// Takes note of a probe among what is lost, if there is one; returns true if nothing else is.
    #[cold]
    pub(super) fn on_path_probe_lost(&mut self, buffers: &mut Buffers<'_>) -> bool {
        for index in 0..self.board.len() {
            let Some(entry) = self.board.get_mut(buffers.outstanding, index) else {
                break;
            };
            if !entry.has_any(Outstanding::PATH_PROBE) || !entry.has_any(Outstanding::LOST) {
                continue;
            }
            entry.marks &= !Outstanding::PATH_PROBE;
            let len = u32::from(entry.len);
            self.send.probe_max &= !OUT;
            let smaller = |size: &&u16| self.segment_len_of(**size) < len;
            let count = SIZES.iter().take_while(smaller).count();
            let below = u8::try_from(count.saturating_sub(1)).unwrap_or(0);
            self.send.probe_max = self.send.probe_max.min(below);
            return self.board.lost == len;
        }
        false
    }

    /// Forgets that a probe is on its way: what becomes of it says nothing any more.
    fn forget_path_probe(&mut self, buffers: &mut Buffers<'_>) {
        if !self.is_path_probed() {
            return;
        }
        self.send.probe_max &= !OUT;
        for index in 0..self.board.len() {
            if let Some(entry) = self.board.get_mut(buffers.outstanding, index) {
                entry.marks &= !Outstanding::PATH_PROBE;
            }
        }
    }
}
