//! SYN cookies: handshakes that cost no memory until they are complete.
//!
//! The SYN|ACK's sequence number carries all there is to know: five bits say when, three bits the
//! peer's MSS, 24 bits are a keyed hash of these, the addresses and the peer's own number. A
//! connection made this way has neither window scaling nor selective acknowledgement.

use core::net::SocketAddr;

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
use usockets::Instant;

use crate::hash::Secret;
use crate::number::low;

/// The segment sizes that three bits can tell, ascending.
pub(crate) const SIZES: [u16; 8] = [216, 536, 1_220, 1_340, 1_400, 1_440, 1_460, 8_940];

/// Returns the number to answer a SYN with.
pub(crate) fn bake(
    secret: Secret,
    (local, remote): (SocketAddr, SocketAddr),
    theirs: u32,
    mss: u16,
    now: Instant,
) -> u32 {
    let size = u32::from(fitting(mss));
    let period = period(now);
    (period << 27) | (size << 24) | stamp(secret, (local, remote), theirs, period, size)
}

/// Returns the place in [`SIZES`] of the largest that is not above `mss`, or of the smallest.
pub(crate) fn fitting(mss: u16) -> u8 {
    let fits = SIZES.iter().take_while(|size| **size <= mss).count();
    u8::try_from(fits.saturating_sub(1)).unwrap_or(0)
}

/// Returns the peer's MSS if `cookie` is one of ours from this period of 64 s or the last.
pub(crate) fn taste(
    secret: Secret,
    pair: (SocketAddr, SocketAddr),
    theirs: u32,
    cookie: u32,
    now: Instant,
) -> Option<u16> {
    let (then, size) = (cookie >> 27, (cookie >> 24) & 7);
    let age = period(now).wrapping_sub(then) & 31;
    let right = cookie & 0xff_ffff == stamp(secret, pair, theirs, then, size);
    let size = usize::try_from(size).ok()?;
    SIZES.get(size).copied().filter(|_| right && age < 2)
}

fn period(now: Instant) -> u32 {
    low(now.as_micros() >> 26) & 31
}

fn stamp(
    secret: Secret,
    (local, remote): (SocketAddr, SocketAddr),
    theirs: u32,
    period: u32,
    size: u32,
) -> u32 {
    let rest = (u64::from(theirs) << 32) | (u64::from(period) << 8) | u64::from(size);
    secret.hash_pair32(&local, &remote, rest) & 0xff_ffff
}

/// A segment without payload that this module writes.
pub(crate) struct Plain {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledges: Option<u32>,
    pub(crate) control: TcpControl,
    pub(crate) window: u16,
    /// 0 for none.
    pub(crate) mss: u16,
}

impl Plain {
    /// Writes the IP packet, without TCP's checksum; returns its length, 0 when it does not fit.
    pub(crate) fn write(&self, memory: &mut [u8]) -> usize {
        let mut checksums = ChecksumCapabilities::default();
        checksums.tcp = Checksum::None;
        let tcp = TcpRepr {
            src_port: self.from.port(),
            dst_port: self.to.port(),
            control: self.control,
            seq_number: sequence(self.sequence),
            ack_number: self.acknowledges.map(sequence),
            window_len: self.window,
            window_scale: None,
            max_seg_size: (self.mss > 0).then_some(self.mss),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let (from, to) = (self.from.ip().into(), self.to.ip().into());
        let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let Some(packet) = memory.get_mut(..ip.buffer_len()) else {
            return 0;
        };
        ip.emit(&mut *packet, &checksums);
        let Some(segment) = packet.get_mut(ip.header_len()..) else {
            return 0;
        };
        let mut segment = TcpPacket::new_unchecked(segment);
        tcp.emit(&mut segment, &from, &to, &checksums);
        ip.buffer_len()
    }
}

/// Returns smoltcp's form of a sequence number.
pub(crate) const fn sequence(number: u32) -> TcpSeqNumber {
    TcpSeqNumber(number.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_and_fresh_cookies_are_taken() {
        let secret = Secret::new([3; 16]);
        let pair: (SocketAddr, SocketAddr) =
            (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 5_000).into());
        let at = |seconds: u64| Instant::from_micros(seconds << 20);
        let cookie = bake(secret, pair, 77, 1_460, at(640));
        assert_eq!(taste(secret, pair, 77, cookie, at(640)), Some(1_460));
        assert_eq!(taste(secret, pair, 77, cookie, at(700)), Some(1_460));
        assert_eq!(taste(secret, pair, 77, cookie, at(770)), None, "too old");
        assert_eq!(taste(secret, pair, 78, cookie, at(640)), None);
        assert_eq!(taste(Secret::new([4; 16]), pair, 77, cookie, at(640)), None);
        let other = (pair.0, ([10, 0, 0, 3], 5_000).into());
        assert_eq!(taste(secret, other, 77, cookie, at(640)), None);
        let flipped =
            (0..32).filter(|bit| taste(secret, pair, 77, cookie ^ (1 << bit), at(640)).is_some());
        assert_eq!(flipped.count(), 0);
        let mss = |mss| taste(secret, pair, 1, bake(secret, pair, 1, mss, at(1)), at(1));
        assert_eq!(mss(1_459), Some(1_440));
        assert_eq!(mss(10), Some(216));
        assert_eq!(mss(u16::MAX), Some(8_940));
    }
}
