//! Control messages of datagrams (`cmsg(3)`, `ip(7)`, `ipv6(7)`, `udp(7)`): safe, total, and of
//! bounded time, whatever the bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_raw_sys::net::{
    IP_PKTINFO, IP_RECVERR, IP_TOS, IP_TTL, IPV6_HOPLIMIT, IPV6_PKTINFO, IPV6_RECVERR, IPV6_TCLASS,
    SOL_UDP,
};
use usockets::{Address, DatagramError, Ecn, Error};

/// `SOL_IP`.
pub(super) const IP: u32 = 0;
/// `SOL_IPV6`.
pub(super) const IPV6: u32 = 41;
/// `UDP_SEGMENT` (`linux/udp.h`).
pub(super) const UDP_SEGMENT: u32 = 103;
/// `UDP_GRO` (`linux/udp.h`).
pub(super) const UDP_GRO: u32 = 104;

/// Bytes of a message's header: its length, which counts the header, its level and its type.
const HEADER: usize = size_of::<usize>().saturating_add(8);

/// Bytes for the control messages of one datagram: each kind that is asked for, once.
pub(super) const CONTROL_MAX: usize = 128;

/// What the control messages of a received datagram, or of an error, tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The address it was sent to; an IPv4-mapped one comes as IPv4.
    pub destination: Option<IpAddr>,
    /// The interface that received it; 0 if unknown.
    pub interface: u32,
    /// Its congestion mark.
    pub ecn: Ecn,
    /// Its time to live or hop limit.
    pub hops: Option<u8>,
    /// Bytes of each datagram of a run; 0 if it is one datagram.
    pub segment: u16,
    /// The error that came back, if this is one.
    pub error: Option<ExtendedError>,
}

/// An error of the queue of errors (`struct sock_extended_err`, `ip(7)`), which the network or this
/// host's own route caused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExtendedError {
    /// The error number (`errno(3)`).
    pub errno: u32,
    /// The largest packet that the path takes, for `EMSGSIZE`.
    pub info: u32,
}

impl Received {
    /// Takes control messages apart. Those of other kinds, and those that are cut, are left out.
    #[must_use]
    pub fn parse(control: &[u8]) -> Self {
        let mut received = Self::default();
        let mut rest = control;
        while let Some((level, kind, data, behind)) = next(rest) {
            received.note(level, kind, data);
            rest = behind;
        }
        received
    }

    fn note(&mut self, level: u32, kind: u32, data: &[u8]) {
        match (level, kind) {
            (IP, IP_PKTINFO) => {
                // struct in_pktinfo: interface, local address, destination of the header.
                if let (Some(interface), Some(to)) = (word(data, 0), four(data, 8)) {
                    self.interface = interface;
                    self.destination = Some(IpAddr::V4(Ipv4Addr::from(to)));
                }
            }
            (IPV6, IPV6_PKTINFO) => {
                // struct in6_pktinfo: destination of the header, interface.
                if let (Some(to), Some(interface)) = (data.first_chunk::<16>(), word(data, 16)) {
                    self.interface = interface;
                    self.destination = Some(Ipv6Addr::from(*to).to_canonical());
                }
            }
            (IP, IP_TOS) | (IPV6, IPV6_TCLASS) => {
                if let Some(class) = small(data) {
                    self.ecn = ecn(class);
                }
            }
            (IP, IP_TTL) | (IPV6, IPV6_HOPLIMIT) => self.hops = small(data),
            (SOL_UDP, UDP_GRO) => {
                let segment = word(data, 0).and_then(|segment| u16::try_from(segment).ok());
                self.segment = segment.unwrap_or_default();
            }
            (IP, IP_RECVERR) | (IPV6, IPV6_RECVERR) => self.error = ExtendedError::parse(data),
            _ => {}
        }
    }
}

impl ExtendedError {
    /// Reads `struct sock_extended_err`: number, origin, type, code, padding, information, data.
    fn parse(data: &[u8]) -> Option<Self> {
        // SO_EE_ORIGIN_LOCAL, _ICMP and _ICMP6; others are no errors of a datagram.
        let is_error = matches!(data.get(4)?, 1..=3);
        let (errno, info) = (word(data, 0)?, word(data, 8)?);
        is_error.then_some(Self { errno, info })
    }

    /// Returns the error in the words of every platform.
    #[must_use]
    pub fn to_datagram_error(self, to: Address) -> DatagramError {
        let to = match to {
            Address::Ip(to) => usockets_posix::canonical(to).into(),
            to => to,
        };
        let is = |errno: rustix::io::Errno| {
            u32::try_from(errno.raw_os_error()).is_ok_and(|number| number == self.errno)
        };
        if is(rustix::io::Errno::MSGSIZE) {
            DatagramError::new(to, Error::Invalid, self.info)
        } else if is(rustix::io::Errno::CONNREFUSED) {
            DatagramError::new(to, Error::Refused, 0)
        } else {
            DatagramError::new(to, Error::Unreachable, 0)
        }
    }
}

/// The control messages of a datagram that is sent.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    bytes: [u8; CONTROL_MAX],
    len: usize,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// Makes no messages.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; CONTROL_MAX],
            len: 0,
        }
    }

    /// Returns the messages in the kernel's form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Adds from which address, and through which interface unless that is 0, to send.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that is not of the family of the destination.
    pub fn push_source(
        &mut self,
        is_v4: bool,
        source: Option<IpAddr>,
        interface: u32,
    ) -> Result<(), Error> {
        match source.map(|source| source.to_canonical()) {
            Some(IpAddr::V6(_)) if is_v4 => return Err(Error::Invalid),
            Some(IpAddr::V4(_)) if !is_v4 => return Err(Error::Invalid),
            Some(IpAddr::V4(source)) => self.push_v4_source(source, interface),
            None if is_v4 => self.push_v4_source(Ipv4Addr::UNSPECIFIED, interface),
            Some(IpAddr::V6(source)) => self.push_v6_source(source, interface),
            None => self.push_v6_source(Ipv6Addr::UNSPECIFIED, interface),
        }
        Ok(())
    }

    fn push_v4_source(&mut self, source: Ipv4Addr, interface: u32) {
        let mut data = [0; 12];
        let (first, rest) = data.split_at_mut(4);
        first.copy_from_slice(&interface.to_ne_bytes());
        if let Some(place) = rest.first_chunk_mut::<4>() {
            *place = source.octets();
        }
        self.push(IP, IP_PKTINFO, &data);
    }

    fn push_v6_source(&mut self, source: Ipv6Addr, interface: u32) {
        let mut data = [0; 20];
        let (first, rest) = data.split_at_mut(16);
        first.copy_from_slice(&source.octets());
        rest.copy_from_slice(&interface.to_ne_bytes());
        self.push(IPV6, IPV6_PKTINFO, &data);
    }

    /// Adds a congestion mark, unless it is [`Ecn::NotEct`], which the kernel sets by itself.
    pub fn push_ecn(&mut self, is_v4: bool, mark: Ecn) {
        let bits: u32 = match mark {
            Ecn::NotEct => return,
            Ecn::Ect1 => 1,
            Ecn::Ect0 => 2,
            Ecn::CongestionExperienced => 3,
        };
        let (level, kind) = if is_v4 {
            (IP, IP_TOS)
        } else {
            (IPV6, IPV6_TCLASS)
        };
        self.push(level, kind, &bits.to_ne_bytes());
    }

    /// Adds that the bytes are a run of datagrams of this length.
    pub fn push_segment(&mut self, segment: u16) {
        self.push(SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
    }

    /// Adds a message, if there is room for it.
    fn push(&mut self, level: u32, kind: u32, data: &[u8]) {
        let len = HEADER.saturating_add(data.len());
        let end = self.len.saturating_add(len.next_multiple_of(ALIGN));
        let Some(place) = self.bytes.get_mut(self.len..end) else {
            return;
        };
        let fields: [&[u8]; 4] = [
            &len.to_ne_bytes(),
            &level.to_ne_bytes(),
            &kind.to_ne_bytes(),
            data,
        ];
        for (to, from) in place.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        self.len = end;
    }
}

/// To what a message is aligned (`CMSG_ALIGN`).
const ALIGN: usize = size_of::<usize>();

/// Takes the first of some messages apart: level, type, data, and the messages behind it.
fn next(control: &[u8]) -> Option<(u32, u32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(*control.first_chunk()?);
    let level = word(control, ALIGN)?;
    let kind = word(control, ALIGN.saturating_add(4))?;
    let data = control.get(HEADER..len)?;
    let behind = control.get(len.checked_next_multiple_of(ALIGN)?..);
    Some((level, kind, data, behind.unwrap_or_default()))
}

/// Returns the 32-bit number at `at`.
fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?))
}

/// Returns the four bytes at `at`.
fn four(data: &[u8], at: usize) -> Option<[u8; 4]> {
    data.get(at..)?.first_chunk().copied()
}

/// Returns a number of 8 bits, which the kernel writes as a byte or as an `int`.
fn small(data: &[u8]) -> Option<u8> {
    match word(data, 0) {
        Some(number) => u8::try_from(number).ok(),
        None => data.first().copied(),
    }
}

/// Returns the mark in the low two bits of a traffic class.
const fn ecn(class: u8) -> Ecn {
    match class & 3 {
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        3 => Ecn::CongestionExperienced,
        _ => Ecn::NotEct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_taken_apart() {
        let source: IpAddr = "2001:db8::7".parse().unwrap();
        let mut control = Control::new();
        control.push_source(false, Some(source), 5).unwrap();
        control.push_ecn(false, Ecn::CongestionExperienced);
        control.push_segment(1_200);
        control.push(SOL_UDP, UDP_GRO, &1_300_u32.to_ne_bytes());
        let received = Received::parse(control.as_bytes());
        assert_eq!(received.destination, Some(source));
        assert_eq!(received.interface, 5);
        assert_eq!(received.ecn, Ecn::CongestionExperienced);
        assert_eq!(received.segment, 1_300);
        assert_eq!(received.error, None);
    }

    #[test]
    fn a_mapped_destination_comes_as_ipv4() {
        let mapped: Ipv6Addr = "::ffff:192.0.2.9".parse().unwrap();
        let mut control = Control::new();
        control.push_v6_source(mapped, 2);
        let received = Received::parse(control.as_bytes());
        assert_eq!(received.destination, Some("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn a_source_of_the_other_family_is_refused() {
        let (v4, v6) = ("192.0.2.9".parse().ok(), "2001:db8::7".parse().ok());
        let mut control = Control::new();
        assert_eq!(control.push_source(true, v6, 0), Err(Error::Invalid));
        assert_eq!(control.push_source(false, v4, 0), Err(Error::Invalid));
        assert_eq!(control.as_bytes(), []);
        assert_eq!(control.push_source(true, v4, 0), Ok(()));
    }

    #[test]
    fn a_byte_and_an_int_are_the_same_number() {
        for data in [&[2_u8][..], &2_u32.to_ne_bytes()] {
            let mut control = Control::new();
            control.push(IP, IP_TOS, data);
            control.push(IP, IP_TTL, &64_u32.to_ne_bytes());
            let received = Received::parse(control.as_bytes());
            assert_eq!((received.ecn, received.hops), (Ecn::Ect0, Some(64)));
        }
    }

    #[test]
    fn an_error_tells_the_largest_packet() {
        let mut data = [0; 16];
        data[..4].copy_from_slice(&90_u32.to_ne_bytes()); // EMSGSIZE
        data[4] = 2;
        data[8..12].copy_from_slice(&1_400_u32.to_ne_bytes());
        let mut control = Control::new();
        control.push(IP, IP_RECVERR, &data);
        let error = Received::parse(control.as_bytes()).error.unwrap();
        assert_eq!(error.info, 1_400);
        // A time stamp is no error.
        data[4] = 4;
        let mut control = Control::new();
        control.push(IP, IP_RECVERR, &data);
        assert_eq!(Received::parse(control.as_bytes()).error, None);
    }

    #[test]
    fn cut_and_false_lengths_end_the_list() {
        let mut control = Control::new();
        control
            .push_source(true, "192.0.2.9".parse().ok(), 1)
            .unwrap();
        control.push_ecn(true, Ecn::Ect1);
        let bytes = control.as_bytes();
        for len in 0..bytes.len() {
            let _ = Received::parse(&bytes[..len]);
        }
        for len in [0, 1, HEADER - 1, bytes.len() + 1, usize::MAX] {
            let mut wrong = control;
            wrong.bytes[..ALIGN].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(Received::parse(wrong.as_bytes()), Received::default());
        }
    }
}
