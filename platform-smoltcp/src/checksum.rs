//! The Internet checksum (RFC 1071).

use core::net::IpAddr;

/// Adds the bytes to a running sum, in 16-bit words, the last one padded with zero.
pub(crate) fn add(sum: u32, bytes: &[u8]) -> u32 {
    // Of 65,535 bytes the sum of words stays below 2^31; the carry is folded in at the end.
    let (words, rest) = bytes.as_chunks::<2>();
    let mut sum = words.iter().fold(sum, |sum, word| {
        sum.wrapping_add(u32::from(u16::from_be_bytes(*word)))
    });
    if let Some(last) = rest.first() {
        sum = sum.wrapping_add(u32::from(u16::from_be_bytes([*last, 0])));
    }
    fold(sum)
}

/// Adds the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(crate) fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let sum = add(u32::from(protocol), &len.to_be_bytes());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => add(add(sum, &from.octets()), &to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => add(add(sum, &from.octets()), &to.octets()),
        _ => sum,
    }
}

/// Returns the sum as it stands in a header: complemented, never carried over.
pub(crate) fn finish(sum: u32) -> u16 {
    !low(fold(sum))
}

/// Returns the sum without the complement, as devices that finish it themselves want it.
#[cfg(feature = "tap")]
pub(crate) fn partial(sum: u32) -> u16 {
    low(fold(sum))
}

fn fold(sum: u32) -> u32 {
    let once = (sum >> 16).wrapping_add(sum & 0xffff);
    (once >> 16).wrapping_add(once & 0xffff)
}

const fn low(sum: u32) -> u16 {
    let [a, b, ..] = sum.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3.
    #[test]
    fn agrees_with_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(add(0, &bytes)), !0xddf2);
        assert_eq!(add(0, &bytes[..7]), fold(0xddf2_u32.wrapping_sub(0xf7)));
    }
}
