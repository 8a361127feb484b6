//! Names of servers: DNS names and IP addresses as text.

use pki_types::{DnsName, IpAddr, Ipv4Addr, Ipv6Addr, ServerName};

/// Returns the DNS name or IP address that `name` is.
pub(crate) fn parse(name: &[u8]) -> Option<ServerName<'_>> {
    if let Some(name) = parse_dns(name) {
        return Some(ServerName::DnsName(name));
    }
    // Not by the parsers of other crates and of the core library, in which the linker finds
    // panics.
    let address = match parse_v4(name) {
        Some(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        None => IpAddr::V6(Ipv6Addr::from(parse_v6(name)?)),
    };
    Some(ServerName::IpAddress(address))
}

/// Returns the DNS name that `name` is.
pub(crate) fn parse_dns(name: &[u8]) -> Option<DnsName<'_>> {
    let name = core::str::from_utf8(name).ok()?;
    DnsName::try_from(name).ok()
}

/// Reads four decimal numbers with dots between, without leading zeros.
fn parse_v4(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() > 1 && part.first() == Some(&b'0') {
            return None;
        }
        *octet = u8::try_from(number(part, 10, 3)?).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// Reads eight hexadecimal numbers with colons between, of which `::` leaves out one or more that
/// are 0 (RFC 4291, section 2.2).
fn parse_v6(text: &[u8]) -> Option<[u16; 8]> {
    let mut groups = [0; 8];
    let gap = text.windows(2).position(|pair| pair == b"::");
    let Some((front, rest)) = gap.and_then(|gap| text.split_at_checked(gap)) else {
        return (read_groups(text, true, &mut groups)? == 8).then_some(groups);
    };
    let mut behind = [0; 8];
    let before = read_groups(front, false, &mut groups)?;
    let after = read_groups(rest.get(2..)?, true, &mut behind)?;
    let start = 8_usize.checked_sub(after).filter(|start| before < *start)?;
    for (group, behind) in groups.iter_mut().skip(start).zip(behind) {
        *group = behind;
    }
    Some(groups)
}

/// Reads numbers with colons between and returns how many; the last two may be an IPv4 address,
/// where one may end.
fn read_groups(text: &[u8], may_end: bool, groups: &mut [u16; 8]) -> Option<usize> {
    let mut count = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        let colon = rest.iter().position(|byte| *byte == b':');
        let (part, after) = match colon.and_then(|colon| rest.split_at_checked(colon)) {
            Some((part, after)) => (part, after.get(1..).filter(|after| !after.is_empty())?),
            None => (rest, &[][..]),
        };
        rest = after;
        if rest.is_empty()
            && may_end
            && let Some([a, b, c, d]) = parse_v4(part)
        {
            *groups.get_mut(count)? = u16::from_be_bytes([a, b]);
            *groups.get_mut(count.saturating_add(1))? = u16::from_be_bytes([c, d]);
            return Some(count.saturating_add(2));
        }
        *groups.get_mut(count)? = number(part, 16, 4)?;
        count = count.saturating_add(1);
    }
    Some(count)
}

/// Reads a number of one to `digits` digits.
fn number(text: &[u8], radix: u16, digits: usize) -> Option<u16> {
    if text.is_empty() || text.len() > digits {
        return None;
    }
    text.iter().try_fold(0_u16, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
            _ => return None,
        };
        let digit = u16::from(digit);
        (digit < radix).then(|| sum.wrapping_mul(radix).wrapping_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the core library makes of it.
    fn expected(text: &str) -> Option<core::net::IpAddr> {
        text.parse().ok()
    }

    fn read(text: &str) -> Option<core::net::IpAddr> {
        match parse(text.as_bytes())? {
            ServerName::IpAddress(IpAddr::V4(address)) => Some((*address.as_ref()).into()),
            ServerName::IpAddress(IpAddr::V6(address)) => Some((*address.as_ref()).into()),
            _ => None,
        }
    }

    #[test]
    fn addresses_are_read_as_the_core_library_reads_them() {
        let texts = [
            "0.0.0.0",
            "127.0.0.1",
            "255.255.255.255",
            "256.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.04",
            "::1.2.3.a",
            "+1.2.3.4",
            "1.2.3.",
            ".1.2.3",
            "",
            ":",
            "::",
            ":::",
            "::1",
            "1::",
            "1::2::3",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4::5:6:7:8",
            "1:2:3::4:5:6:7:8:9",
            "fe80::1%eth0",
            "::ffff:1.2.3.4",
            "1.2.3.4::",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "::1.2.3.4:5",
            "12345::",
            "::g",
            "::AbCd",
            "[::1]",
            " ::1",
            "1:",
            ":1",
            "1::2:",
            ":1::2",
            "::1.2.3",
            "::00001",
            "::0001",
            "a.b",
        ];
        for text in texts {
            assert_eq!(read(text), expected(text), "{text:?}");
        }
    }

    #[test]
    fn any_text_is_read_as_the_core_library_reads_it() {
        let mut state = 1_u64;
        let mut draw = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 40).unwrap() % below
        };
        let parts = [
            "0", "1", "f", "ab", "ffff", "12", "255", ":", ":", ":", "::", ".", ".", "0.",
        ];
        let mut good = 0;
        for _ in 0..200_000 {
            let mut text = [0; 64];
            let mut len = 0;
            for _ in 0..draw(16) {
                let part = parts[draw(parts.len())].as_bytes();
                text[len..len + part.len()].copy_from_slice(part);
                len += part.len();
            }
            let text = core::str::from_utf8(&text[..len]).unwrap();
            assert_eq!(read(text), expected(text), "{text:?}");
            good += usize::from(read(text).is_some());
        }
        assert!(good > 1_000, "only {good} addresses among them");
    }
}
