//! The Internet checksum (RFC 1071): sums of 64-bit words in the machine's byte order, which come
//! to the same 16 bits as any other way (section 2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::number::{low, put};

/// Adds the bytes to a running sum, the last word padded with zeros. Only the last of several
/// pieces may be of odd length.
#[cfg(target_pointer_width = "64")]
#[inline]
pub(crate) fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // The upper half counts the carries.
    let sum = words.iter().fold(u128::from(sum), |sum, bytes| {
        sum.wrapping_add(u128::from(u64::from_ne_bytes(*bytes)))
    });
    let (fours, rest) = rest.as_chunks::<4>();
    let sum = fours.iter().fold(sum, |sum, bytes| {
        sum.wrapping_add(u128::from(u32::from_ne_bytes(*bytes)))
    });
    let [carries, sum] = [sum >> 64, sum].map(low_half);
    plus(plus(sum, carries), padded(rest))
}

/// The same by words of 32 bits. Four billion of them do not overflow.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(sum, |sum, bytes| {
        sum.wrapping_add(u64::from(u32::from_ne_bytes(*bytes)))
    });
    plus(sum, padded(rest))
}

/// Returns less than four bytes as a word.
fn padded(rest: &[u8]) -> u64 {
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from(u32::from_ne_bytes(last))
}

/// Adds with the carry brought round to the other end.
const fn plus(a: u64, b: u64) -> u64 {
    let (sum, carries) = a.overflowing_add(b);
    if carries { sum.wrapping_add(1) } else { sum }
}

#[cfg(target_pointer_width = "64")]
const fn low_half(bits: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = bits.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Adds what follows the addresses in the pseudo header (RFC 9293, section 3.1; RFC 8200, section
/// 8.1).
#[inline]
pub(crate) fn add_rest(sum: u64, protocol: u8, len: usize) -> u64 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let rest = word(len.to_be_bytes()).wrapping_add(word(u32::from(protocol).to_be_bytes()));
    plus(sum, rest)
}

/// Returns four bytes as they are added.
#[inline]
fn word(bytes: [u8; 4]) -> u64 {
    u32::from_ne_bytes(bytes).into()
}

/// Adds up the addresses of the pseudo header; 0 if they are not of one family.
pub(crate) fn addresses(from: IpAddr, to: IpAddr) -> u64 {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => addresses_v4(from, to),
        (IpAddr::V6(from), IpAddr::V6(to)) => addresses_v6(from, to),
        _ => 0,
    }
}

/// The same over IPv4.
#[inline]
pub(crate) fn addresses_v4(from: Ipv4Addr, to: Ipv4Addr) -> u64 {
    word(from.octets()).wrapping_add(word(to.octets()))
}

/// The same over IPv6.
#[inline]
pub(crate) fn addresses_v6(from: Ipv6Addr, to: Ipv6Addr) -> u64 {
    add(add(0, &from.octets()), &to.octets())
}

/// Returns the sum as it stands in a header: complemented, never carried over.
pub(crate) fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// Returns the sum without the complement, as devices that finish it themselves want it.
pub(crate) fn partial(sum: u64) -> u16 {
    fold(sum)
}

fn fold(sum: u64) -> u16 {
    let half = (sum >> 32).wrapping_add(sum & 0xffff_ffff);
    let once = (half >> 16).wrapping_add(half & 0xffff);
    let twice = (once >> 16).wrapping_add(once & 0xffff);
    let [a, b, ..] = low((twice >> 16).wrapping_add(twice & 0xffff)).to_le_bytes();
    // The bytes are in the order in which they were added.
    u16::from_be(u16::from_le_bytes([a, b]))
}

/// Returns the checksum of `bytes`, as it stands in a header where the field was zero before.
#[must_use]
pub fn data(bytes: &[u8]) -> u16 {
    finish(add(0, bytes))
}

/// Returns the checksum of a TCP segment, UDP datagram or ICMPv6 message between two addresses of
/// one family, pseudo header included (RFC 9293, section 3.1; RFC 8200, section 8.1). It is 0 when
/// the one in `bytes` is right. (UDP writes a computed 0 as 0xffff.)
#[must_use]
pub fn transport(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &[u8]) -> u16 {
    between(addresses(source, destination), protocol, bytes)
}

/// The same with the sum of the addresses.
#[inline(never)]
fn between(addresses: u64, protocol: u8, bytes: &[u8]) -> u16 {
    finish(add(add_rest(addresses, protocol, bytes.len()), bytes))
}

/// Returns true if the checksum in a message without pseudo header is right.
pub(crate) fn is_right_plain(message: &[u8]) -> bool {
    cfg!(fuzzing) || data(message) == 0
}

/// Returns true if the checksum in a message with a pseudo header is right, whose addresses come to
/// this sum.
#[inline]
pub(crate) fn is_right_transport(addresses: u64, protocol: u8, bytes: &[u8]) -> bool {
    cfg!(fuzzing) || between(addresses, protocol, bytes) == 0
}

/// Fills in the checksum of a message with a pseudo header, whose addresses come to this sum; it
/// stands at `at`.
#[inline]
pub(crate) fn fill_transport(addresses: u64, protocol: u8, bytes: &mut [u8], at: usize) {
    if put(bytes, at, [0; 2]) {
        let sum = between(addresses, protocol, bytes);
        put_at(bytes, at, sum);
    }
}

/// Writes a checksum at its place.
pub(crate) fn put_at(bytes: &mut [u8], at: usize, sum: u16) {
    put(bytes, at, sum.to_be_bytes());
}

/// Returns true if the checksum in an IPv4 header is right. A fuzzer's are all taken for right, as
/// are its segments': it would hardly guess one.
#[inline]
pub(crate) fn is_right_header(fixed: &[u8; 20], options: &[u8]) -> bool {
    let sum = add(0, fixed);
    let sum = match options {
        [] => sum,
        options => add(sum, options),
    };
    cfg!(fuzzing) || finish(sum) == 0
}

#[cfg(test)]
#[expect(clippy::as_conversions, reason = "small numbers of tests")]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3.
    #[test]
    fn agrees_with_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(add(0, &bytes)), !0xddf2);
        assert_eq!(fold(add(0, &bytes[..7])), 0xddf2 - 0xf7);
        assert_eq!(fold(add(add(0, &bytes[..2]), &bytes[2..])), 0xddf2);
    }

    /// Whatever the length and wherever carries come from.
    #[test]
    fn agrees_with_smoltcp() {
        let mut random = crate::random::Random::new(7);
        let mut bytes = [0; 300];
        for round in 0..2_000_u64 {
            let full = round % 3 == 0;
            for byte in &mut bytes {
                *byte = if full { 0xff } else { random.below(256) as u8 };
            }
            let len = random.below(300) as usize;
            let right = smoltcp::wire::checksum::data(&bytes[..len]);
            assert_eq!(fold(add(0, &bytes[..len])), right, "{:?}", &bytes[..len]);
        }
    }
}
