//! Headers of the PROXY protocol, read and written.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::proxy::text;

/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = 16;
/// Longest header of version 1, with its line end ("version 1", section 2.1).
const LINE_MAX: usize = 107;
/// Longest header that is accepted, and written: of version 2, with values beside the addresses.
pub(crate) const HEADER_MAX: usize = 1_024;
/// A value that is a checksum of the header (`PP2_TYPE_CRC32C`).
const TYPE_CRC32C: u8 = 0x03;

/// Which of the two forms a header is written in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProxyVersion {
    /// A line of text.
    One,
    /// Binary.
    #[default]
    Two,
}

/// What a header of the PROXY protocol tells: between whom the connection is that a proxy passes
/// on.
///
/// ```
/// use usockets::proxy::{ProxyHeader, ProxyParsed, ProxyVersion};
///
/// let header = ProxyHeader::between(([192, 0, 2, 1], 56324).into(), ([192, 0, 2, 9], 443).into());
/// let mut bytes = [0; 128];
/// let len = header.write(ProxyVersion::One, &mut bytes).unwrap();
/// assert_eq!(&bytes[..len], b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
/// assert_eq!(ProxyHeader::parse(&bytes[..len]), ProxyParsed::Whole(header, len));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The client, and the address that it connected to. `None` when the proxy speaks for itself
    /// (`LOCAL`), as to see whether the server is alive, or for a connection of another kind
    /// (`UNKNOWN`, `UNSPEC`).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
}

/// What [`ProxyHeader::parse`] found at the front of some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "complete by definition of a prefix"
)]
pub enum ProxyParsed {
    /// A header, of so many bytes.
    Whole(ProxyHeader, usize),
    /// The beginning of one, which has at least so many bytes.
    Partial(usize),
    /// No header, or one that breaks a rule.
    Invalid,
}

impl ProxyHeader {
    /// Makes the header of a connection from `client` to `server`. Both are of the same family.
    #[must_use]
    pub const fn between(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            addresses: Some((client, server)),
        }
    }

    /// Reads the header at the front of `bytes`, of either version. Strict: what the
    /// specification does not allow is invalid, an address with a superfluous zero, a checksum that
    /// is wrong, and a header of more than 1,024 bytes too.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> ProxyParsed {
        let parsed = if bytes.first() == SIGNATURE.first() {
            parse_binary(bytes)
        } else {
            parse_line(bytes)
        };
        parsed.unwrap_or(ProxyParsed::Invalid)
    }

    /// Writes the header to the front of `output`; returns how many bytes it has. `None` if they
    /// do not fit, which 107 always do, or the two addresses are of different families.
    pub fn write(&self, version: ProxyVersion, output: &mut [u8]) -> Option<usize> {
        let mut writer = Writer { output, len: 0 };
        match version {
            ProxyVersion::One => self.write_line(&mut writer)?,
            ProxyVersion::Two => self.write_binary(&mut writer)?,
        }
        Some(writer.len)
    }

    fn write_line(&self, writer: &mut Writer<'_>) -> Option<()> {
        let Some((client, server)) = self.addresses else {
            return writer.put(b"PROXY UNKNOWN\r\n");
        };
        match (client.ip(), server.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                writer.put(b"PROXY TCP4 ")?;
                writer.put_v4(from)?;
                writer.put(b" ")?;
                writer.put_v4(to)?;
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                writer.put(b"PROXY TCP6 ")?;
                writer.put_v6(from)?;
                writer.put(b" ")?;
                writer.put_v6(to)?;
            }
            _ => return None,
        }
        writer.put(b" ")?;
        writer.put_decimal(client.port())?;
        writer.put(b" ")?;
        writer.put_decimal(server.port())?;
        writer.put(b"\r\n")
    }

    fn write_binary(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.put(&SIGNATURE)?;
        let Some((client, server)) = self.addresses else {
            // LOCAL, UNSPEC, no bytes more.
            return writer.put(&[0x20, 0x00, 0, 0]);
        };
        match (client.ip(), server.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                writer.put(&[0x21, 0x11, 0, 12])?;
                writer.put(&from.octets())?;
                writer.put(&to.octets())?;
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                writer.put(&[0x21, 0x21, 0, 36])?;
                writer.put(&from.octets())?;
                writer.put(&to.octets())?;
            }
            _ => return None,
        }
        writer.put(&client.port().to_be_bytes())?;
        writer.put(&server.port().to_be_bytes())
    }
}

/// Reads a header of version 1. `None` if it is invalid.
fn parse_line(bytes: &[u8]) -> Option<ProxyParsed> {
    let start = b"PROXY ";
    let len = bytes.len().min(start.len());
    if bytes.get(..len) != start.get(..len) {
        return None;
    }
    let most = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let Some(end) = most.iter().position(|&byte| byte == b'\n') else {
        let is_over = most.len() == LINE_MAX;
        let need = bytes
            .len()
            .saturating_add(1)
            .max(b"PROXY UNKNOWN\r\n".len());
        return (!is_over).then_some(ProxyParsed::Partial(need));
    };
    let line = bytes.get(start.len()..end)?.strip_suffix(b"\r")?;
    let header = parse_fields(line)?;
    Some(ProxyParsed::Whole(header, end.saturating_add(1)))
}

fn parse_fields(line: &[u8]) -> Option<ProxyHeader> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        // "The receiver must ignore anything presented before the CRLF."
        return (!line.contains(&b'\r')).then_some(ProxyHeader { addresses: None });
    }
    let mut rest = Some(line);
    let [family, from, to, from_port, to_port] = [(); 5].map(|()| text::field(&mut rest, b' '));
    if rest.is_some() {
        return None;
    }
    let (from_port, to_port) = (text::port(from_port?)?, text::port(to_port?)?);
    let (from, to) = match family? {
        b"TCP4" => (IpAddr::V4(text::ipv4(from?)?), IpAddr::V4(text::ipv4(to?)?)),
        b"TCP6" => (IpAddr::V6(text::ipv6(from?)?), IpAddr::V6(text::ipv6(to?)?)),
        _ => return None,
    };
    Some(ProxyHeader::between(
        SocketAddr::new(from, from_port),
        SocketAddr::new(to, to_port),
    ))
}

/// Reads a header of version 2. `None` if it is invalid.
fn parse_binary(bytes: &[u8]) -> Option<ProxyParsed> {
    let len = bytes.len().min(SIGNATURE.len());
    if bytes.get(..len) != SIGNATURE.get(..len) {
        return None;
    }
    let Some(&[version, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Some(ProxyParsed::Partial(FIXED));
    };
    let len = usize::from(u16::from_be_bytes([high, low])).checked_add(FIXED)?;
    if !matches!(version, 0x20 | 0x21) || len > HEADER_MAX {
        return None;
    }
    let (Some(all), Some(body)) = (bytes.get(..len), bytes.get(FIXED..len)) else {
        return Some(ProxyParsed::Partial(len));
    };
    let (addresses, values) = parse_addresses(family, body)?;
    check_values(all, values)?;
    // Of LOCAL, "the receiver must … discard the protocol block".
    let addresses = addresses.filter(|_| version == 0x21);
    Some(ProxyParsed::Whole(ProxyHeader { addresses }, len))
}

/// A client and a server.
type Pair = Option<(SocketAddr, SocketAddr)>;

/// Reads the addresses of a header of version 2; returns them and what follows.
fn parse_addresses(family: u8, body: &[u8]) -> Option<(Pair, &[u8])> {
    match family {
        0x00 => Some((None, body)),
        // TCP over IPv4, and over IPv6.
        0x11 => {
            let (from, body) = body.split_first_chunk::<4>()?;
            let (to, body) = body.split_first_chunk::<4>()?;
            let (ports, body) = body.split_first_chunk::<4>()?;
            let addr = |octets: &[u8; 4], port| {
                SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from_octets(*octets), port))
            };
            Some((
                Some(join(ports, |from_port, to_port| {
                    (addr(from, from_port), addr(to, to_port))
                })),
                body,
            ))
        }
        0x21 => {
            let (from, body) = body.split_first_chunk::<16>()?;
            let (to, body) = body.split_first_chunk::<16>()?;
            let (ports, body) = body.split_first_chunk::<4>()?;
            let addr = |octets: &[u8; 16], port| {
                SocketAddr::V6(SocketAddrV6::new(
                    Ipv6Addr::from_octets(*octets),
                    port,
                    0,
                    0,
                ))
            };
            Some((
                Some(join(ports, |from_port, to_port| {
                    (addr(from, from_port), addr(to, to_port))
                })),
                body,
            ))
        }
        // Datagrams, which this is none of: their addresses have the same lengths.
        0x12 => Some((None, body.get(12..)?)),
        0x22 => Some((None, body.get(36..)?)),
        // Unix sockets.
        0x31 | 0x32 => Some((None, body.get(216..)?)),
        _ => None,
    }
}

/// Hands over two ports.
fn join<T>(&[a, b, c, d]: &[u8; 4], make: impl FnOnce(u16, u16) -> T) -> T {
    make(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Checks that the values behind the addresses fill their place, and the checksum if there is one.
fn check_values(all: &[u8], values: &[u8]) -> Option<()> {
    let at = all.len().checked_sub(values.len())?;
    let mut rest = ProxyValues { bytes: values };
    let mut offset = at;
    while !rest.bytes.is_empty() {
        let before = rest.bytes.len();
        let (kind, value) = rest.next()?;
        if kind == TYPE_CRC32C {
            let sum: &[u8; 4] = value.try_into().ok()?;
            // It is of the header with zeros in its own place.
            let (before, rest) = all.split_at_checked(offset.checked_add(3)?)?;
            let crc = crc32c(crc32c(crc32c(!0, before), &[0; 4]), rest.get(4..)?);
            if !crc != u32::from_be_bytes(*sum) {
                return None;
            }
        }
        offset = offset.checked_add(before.checked_sub(rest.bytes.len())?)?;
    }
    Some(())
}

/// The CRC-32C of RFC 9260, appendix A, bit by bit, going on from `crc`.
fn crc32c(mut crc: u32, bytes: &[u8]) -> u32 {
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = 0_u32.wrapping_sub(crc & 1);
            crc = (crc >> 1) ^ (0x82f6_3b78 & carry);
        }
    }
    crc
}

/// The values behind the addresses of a header of version 2 (section 2.2, "TLV"), by type: `0x01`
/// is the protocol agreed on (ALPN), `0x02` the name that the client asked for, `0x05` a number of
/// the connection, `0x20` what is known of its TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProxyValues<'a> {
    bytes: &'a [u8],
}

impl<'a> ProxyValues<'a> {
    /// Returns the values of a header that [`ProxyHeader::parse`] found whole; none of one of
    /// version 1.
    #[must_use]
    pub fn of(header: &'a [u8]) -> Self {
        let family = header.get(13).copied().unwrap_or_default();
        let body = header.get(FIXED..).unwrap_or_default();
        let is_binary = header.starts_with(&SIGNATURE);
        let parsed = is_binary.then(|| parse_addresses(family, body)).flatten();
        Self {
            bytes: parsed.map_or(&[], |(_, values)| values),
        }
    }
}

impl<'a> Iterator for ProxyValues<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, high, low], rest) = self.bytes.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(len)?;
        self.bytes = rest;
        Some((kind, value))
    }
}

/// Bytes on their way into a slice.
struct Writer<'a> {
    output: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    /// Puts bytes in; `None` if they do not fit.
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        let place = self.output.get_mut(self.len..end)?;
        place.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn put_decimal(&mut self, number: u16) -> Option<()> {
        let mut power = 10_000;
        while power > 1 && number < power {
            power /= 10;
        }
        while power > 0 {
            let digit = number.checked_div(power)?.checked_rem(10)?;
            self.put(&[b'0'.wrapping_add(u8::try_from(digit).ok()?)])?;
            power /= 10;
        }
        Some(())
    }

    fn put_v4(&mut self, addr: Ipv4Addr) -> Option<()> {
        let [a, b, c, d] = addr.octets();
        self.put_decimal(a.into())?;
        for octet in [b, c, d] {
            self.put(b".")?;
            self.put_decimal(octet.into())?;
        }
        Some(())
    }

    /// Puts all eight groups: "the preferred form" of RFC 4291, section 2.2.
    fn put_v6(&mut self, addr: Ipv6Addr) -> Option<()> {
        for (index, group) in addr.segments().into_iter().enumerate() {
            if index > 0 {
                self.put(b":")?;
            }
            let mut shift = 12_u32;
            while shift > 0 && group >> shift == 0 {
                shift = shift.saturating_sub(4);
            }
            loop {
                let digit = u8::try_from(group >> shift & 0xf).ok()?;
                let letter = if digit < 10 {
                    b'0'
                } else {
                    b'a'.wrapping_sub(10)
                };
                self.put(&[letter.wrapping_add(digit)])?;
                if shift == 0 {
                    break;
                }
                shift = shift.saturating_sub(4);
            }
        }
        Some(())
    }
}
