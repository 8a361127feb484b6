//! Addresses and ports as text. The standard library's parsers do the same, but panics can be
//! reached in them as far as a linker knows.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Takes the field before the next `separator`, or all that is left; `None` after the last.
pub(super) fn field<'a>(rest: &mut Option<&'a [u8]>, separator: u8) -> Option<&'a [u8]> {
    let text = rest.take()?;
    let end = text.iter().position(|&byte| byte == separator);
    let (field, behind) = text.split_at_checked(end.unwrap_or(text.len()))?;
    *rest = behind.split_first().map(|(_, behind)| behind);
    Some(field)
}

/// Reads a decimal number up to `most`, without a sign or superfluous zeros.
fn decimal(text: &[u8], most: u32) -> Option<u32> {
    if text.is_empty() || text.len() > 5 || (text.len() > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    let mut number = 0_u32;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
    }
    (number <= most).then_some(number)
}

/// Reads a port: decimal, without a sign or superfluous zeros.
pub(super) fn port(text: &[u8]) -> Option<u16> {
    u16::try_from(decimal(text, 65_535)?).ok()
}

/// Reads four decimal numbers with dots between them (RFC 6943, section 3.1.1).
pub(super) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut rest = Some(text);
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = u8::try_from(decimal(field(&mut rest, b'.')?, 255)?).ok()?;
    }
    rest.is_none().then(|| Ipv4Addr::from(octets))
}

/// Reads 16 bits as one to four hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 4 {
        return None;
    }
    let mut number = 0_u16;
    for &byte in text {
        let digit = char::from(byte).to_digit(16)?;
        number = number << 4 | u16::try_from(digit).ok()?;
    }
    Some(number)
}

/// Reads an address of IPv6 in any form of RFC 4291, section 2.2.
pub(super) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let gap = text.windows(2).position(|pair| pair == b"::");
    let Some(gap) = gap else {
        let (words, count) = groups(text)?;
        return (count == 8).then(|| Ipv6Addr::from(words));
    };
    let (before, after) = text.split_at_checked(gap)?;
    if before.contains(&b'.') {
        return None;
    }
    let (front, front_count) = groups(before)?;
    let (back, back_count) = groups(after.get(2..)?)?;
    // The gap stands for one group at least.
    let shift = 8_usize.checked_sub(back_count)?;
    if front_count >= shift {
        return None;
    }
    let mut words = front;
    for (to, from) in words.iter_mut().skip(shift).zip(back) {
        *to = from;
    }
    Some(Ipv6Addr::from(words))
}

/// Reads groups with colons between them, of which the last two may be an address of IPv4; returns
/// them and how many they are.
fn groups(text: &[u8]) -> Option<([u16; 8], usize)> {
    let mut words = [0; 8];
    let mut count = 0_usize;
    let mut rest = Some(text).filter(|text| !text.is_empty());
    let mut places = words.iter_mut();
    while let Some(group) = field(&mut rest, b':') {
        if rest.is_none() && group.contains(&b'.') {
            let bits = ipv4(group)?.to_bits();
            *places.next()? = u16::try_from(bits >> 16).ok()?;
            *places.next()? = u16::try_from(bits & 0xffff).ok()?;
            count = count.saturating_add(2);
        } else {
            *places.next()? = hexadecimal(group)?;
            count = count.saturating_add(1);
        }
    }
    Some((words, count))
}
