//! DHCP (RFC 2131) and those of its options (RFC 2132) that a client needs.

use core::net::Ipv4Addr;

use crate::number::chunk;
use crate::wire::ethernet::Mac;
use crate::wire::{WireError, front, split};

/// Bytes of the fixed part, before the options, with the magic cookie.
pub const HEADER_LEN: usize = 240;
/// Bytes of the longest message that is written: one with every option.
pub const MESSAGE_MAX: usize = 336;
/// Bytes of the shortest: BOOTP's (RFC 1542, section 2.1), which some servers insist on.
const MESSAGE_MIN: usize = 300;
/// Most servers of one kind that a message is read for.
pub const SERVERS_MAX: usize = 3;

/// The port of servers.
pub const SERVER_PORT: u16 = 67;
/// The port of clients.
pub const CLIENT_PORT: u16 = 68;

/// What begins the options (RFC 2131, section 3).
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where names of a server and of a file stand that may hold options instead (section 4.1).
const SNAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;

/// Numbers of options (RFC 2132).
const PAD: u8 = 0;
const MASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const NTP: u8 = 42;
const REQUESTED: u8 = 50;
const LEASE: u8 = 51;
const OVERLOAD: u8 = 52;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const SIZE_MAX: u8 = 57;
const RENEW: u8 = 58;
const REBIND: u8 = 59;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// What a message says (RFC 2132, section 9.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 2131 names all")]
pub enum Kind {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer,
    /// A client asks for an address that was offered, or for more time.
    Request,
    /// A client has found that an address is in use.
    Decline,
    /// A server gives what was asked for.
    Ack,
    /// A server refuses it.
    Nak,
    /// A client gives an address back.
    Release,
    /// A client that has an address asks for the rest.
    Inform,
}

impl Kind {
    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
        }
    }

    /// Returns true if servers send it.
    const fn is_reply(self) -> bool {
        matches!(self, Self::Offer | Self::Ack | Self::Nak)
    }
}

/// A message. Options that are not known here are passed over, and of one that comes twice the
/// first counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a client needs, and no more"
)]
pub struct Dhcp {
    /// What it says.
    pub kind: Kind,
    /// The number that a question and its answer share.
    pub transaction: u32,
    /// Seconds since the client began.
    pub seconds: u16,
    /// The answer is to go to everybody: the client cannot be reached by its address yet.
    pub broadcast: bool,
    /// The client's address, if it has one and answers for it.
    pub client: Ipv4Addr,
    /// The address that the client gets.
    pub yours: Ipv4Addr,
    /// The client's hardware address.
    pub mac: Mac,
    /// The address that the client asks for.
    pub requested: Option<Ipv4Addr>,
    /// Which server it is from or for.
    pub server: Option<Ipv4Addr>,
    /// The link's mask.
    pub mask: Option<Ipv4Addr>,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// The first servers of names.
    pub dns: [Option<Ipv4Addr>; SERVERS_MAX],
    /// The first servers of time.
    pub ntp: [Option<Ipv4Addr>; SERVERS_MAX],
    /// Seconds for which the address is given; `u32::MAX` for ever.
    pub lease: Option<u32>,
    /// Seconds after which the client asks its server for more (T1).
    pub renew: Option<u32>,
    /// Seconds after which it asks any server (T2).
    pub rebind: Option<u32>,
}

impl Dhcp {
    /// Makes a message of a client, without options.
    #[must_use]
    pub const fn new(kind: Kind, mac: Mac, transaction: u32) -> Self {
        Self {
            kind,
            transaction,
            seconds: 0,
            broadcast: false,
            client: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            mac,
            requested: None,
            server: None,
            mask: None,
            router: None,
            dns: [None; SERVERS_MAX],
            ntp: [None; SERVERS_MAX],
            lease: None,
            renew: None,
            rebind: None,
        }
    }

    /// Reads a message for or from a client on an Ethernet.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is shorter than its fixed part, [`WireError::Malformed`]
    /// when it is no DHCP of an Ethernet, has no kind, or one that contradicts its direction, or
    /// an option runs out of it.
    pub fn parse(message: &[u8]) -> Result<Self, WireError> {
        let (header, rest) = split::<HEADER_LEN>(message)?;
        let [op, link, mac_len, _, x0, x1, x2, x3, s0, s1, f0, ..] = *header;
        let address = |at| chunk::<4>(header, at).map(|octets| Ipv4Addr::from(*octets));
        let cookie = chunk::<4>(header, 236).is_some_and(|found| *found == COOKIE);
        if !matches!(op, 1 | 2) || link != 1 || mac_len != 6 || !cookie {
            return Err(WireError::Malformed);
        }
        let mac = chunk::<6>(header, 28).ok_or(WireError::Truncated)?;
        let mut read = Self::new(Kind::Discover, *mac, u32::from_be_bytes([x0, x1, x2, x3]));
        read.seconds = u16::from_be_bytes([s0, s1]);
        read.broadcast = f0 & 0x80 != 0;
        read.client = address(12).ok_or(WireError::Truncated)?;
        read.yours = address(16).ok_or(WireError::Truncated)?;
        let (mut kind, mut overload) = (None, 0);
        read.options(rest, &mut kind, &mut overload)?;
        // The file comes first (RFC 2131, section 4.1). Neither may name the other again.
        for (bit, place) in [(1, FILE), (2, SNAME)] {
            if overload & bit != 0 {
                let place = header.get(place).unwrap_or_default();
                read.options(place, &mut kind, &mut 0)?;
            }
        }
        read.kind = kind.ok_or(WireError::Malformed)?;
        if read.kind.is_reply() == (op == 1) {
            return Err(WireError::Malformed);
        }
        Ok(read)
    }

    /// Reads options up to their end.
    fn options(
        &mut self,
        mut rest: &[u8],
        kind: &mut Option<Kind>,
        overload: &mut u8,
    ) -> Result<(), WireError> {
        loop {
            let (number, after) = match rest.split_first() {
                None | Some((&END, _)) => return Ok(()),
                Some((&PAD, after)) => {
                    rest = after;
                    continue;
                }
                Some((number, after)) => (*number, after),
            };
            let (len, after) = after.split_first().ok_or(WireError::Malformed)?;
            let parts = after.split_at_checked(usize::from(*len));
            let (value, after) = parts.ok_or(WireError::Malformed)?;
            rest = after;
            match number {
                KIND if kind.is_none() => *kind = value.first().and_then(|one| Kind::of(*one)),
                OVERLOAD => *overload |= value.first().copied().unwrap_or(0),
                _ => self.option(number, value),
            }
        }
    }

    /// Reads one option; what is too short for its kind is passed over.
    fn option(&mut self, number: u8, value: &[u8]) {
        let address = chunk::<4>(value, 0).map(|octets| Ipv4Addr::from(*octets));
        let word = chunk::<4>(value, 0).map(|octets| u32::from_be_bytes(*octets));
        match number {
            MASK => self.mask = self.mask.or(address),
            ROUTER => self.router = self.router.or(address),
            REQUESTED => self.requested = self.requested.or(address),
            SERVER => self.server = self.server.or(address),
            DNS => servers(&mut self.dns, value),
            NTP => servers(&mut self.ntp, value),
            LEASE => self.lease = self.lease.or(word),
            RENEW => self.renew = self.renew.or(word),
            REBIND => self.rebind = self.rebind.or(word),
            _ => {}
        }
    }

    /// Writes the message to the front of `message`, and returns its length. A client's asks for
    /// what [`Self`] has room for.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when it has less than [`MESSAGE_MAX`] bytes.
    pub fn emit(&self, message: &mut [u8]) -> Result<usize, WireError> {
        let whole = front::<MESSAGE_MAX>(message)?;
        whole.fill(0);
        let mut writer = Writer {
            bytes: whole,
            len: 0,
        };
        let reply = self.kind.is_reply();
        writer.put(&[if reply { 2 } else { 1 }, 1, 6, 0]);
        writer.put(&self.transaction.to_be_bytes());
        writer.put(&self.seconds.to_be_bytes());
        writer.put(&[if self.broadcast { 0x80 } else { 0 }, 0]);
        writer.put(&self.client.octets());
        writer.put(&self.yours.octets());
        writer.put(&[0; 8]);
        writer.put(&self.mac);
        writer.len = 236;
        writer.put(&COOKIE);
        writer.put(&[KIND, 1, self.kind.number()]);
        if !reply {
            let [a, b, c, d, e, f] = self.mac;
            writer.put(&[CLIENT, 7, 1, a, b, c, d, e, f]);
        }
        if matches!(self.kind, Kind::Discover | Kind::Request) {
            writer.put(&[PARAMETERS, 7, MASK, ROUTER, DNS, NTP, LEASE, RENEW, REBIND]);
            // What every host takes (RFC 2131, section 2).
            writer.put(&[SIZE_MAX, 2, 2, 64]);
        }
        for (number, address) in [
            (REQUESTED, self.requested),
            (SERVER, self.server),
            (MASK, self.mask),
            (ROUTER, self.router),
        ] {
            writer.addresses(number, &[address]);
        }
        writer.addresses(DNS, &self.dns);
        writer.addresses(NTP, &self.ntp);
        for (number, word) in [
            (LEASE, self.lease),
            (RENEW, self.renew),
            (REBIND, self.rebind),
        ] {
            if let Some(word) = word {
                writer.put(&[number, 4]);
                writer.put(&word.to_be_bytes());
            }
        }
        writer.put(&[END]);
        Ok(writer.len.max(MESSAGE_MIN))
    }
}

/// Reads a list of addresses, unless one was read before.
fn servers(list: &mut [Option<Ipv4Addr>; SERVERS_MAX], value: &[u8]) {
    if matches!(list, [Some(_), ..]) {
        return;
    }
    let (octets, _) = value.as_chunks::<4>();
    for (place, octets) in list.iter_mut().zip(octets) {
        *place = Some(Ipv4Addr::from(*octets));
    }
}

/// Writes one piece after the other.
struct Writer<'m> {
    bytes: &'m mut [u8; MESSAGE_MAX],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, piece: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        if let Some(place) = room.get_mut(..piece.len()) {
            place.copy_from_slice(piece);
            self.len = self.len.saturating_add(piece.len());
        }
    }

    fn addresses(&mut self, number: u8, all: &[Option<Ipv4Addr>]) {
        let add = |len: u8, _: &Ipv4Addr| len.saturating_add(4);
        let len = all.iter().flatten().fold(0, add);
        if len == 0 {
            return;
        }
        self.put(&[number, len]);
        for address in all.iter().flatten() {
            self.put(&address.octets());
        }
    }
}

// A message with every option fits.
const _: () = {
    let options = 3 + 9 + 9 + 4 + 4 * 6 + 2 * (2 + 4 * SERVERS_MAX) + 3 * 6 + 1;
    assert!(HEADER_LEN + options <= MESSAGE_MAX);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Dhcp {
        let ip = |last| Some(Ipv4Addr::new(10, 0, 0, last));
        Dhcp {
            seconds: 7,
            broadcast: true,
            client: Ipv4Addr::new(10, 0, 0, 1),
            yours: Ipv4Addr::new(10, 0, 0, 2),
            server: ip(3),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            router: ip(4),
            dns: [ip(5), ip(6), ip(7)],
            ntp: [ip(8), None, None],
            lease: Some(3_600),
            renew: Some(1_800),
            rebind: Some(3_150),
            ..Dhcp::new(Kind::Ack, [2, 0, 0, 0, 0, 1], 0x0102_0304)
        }
    }

    #[test]
    fn what_was_written_reads_the_same() {
        let mut bytes = [0; MESSAGE_MAX];
        let len = full().emit(&mut bytes).unwrap();
        assert_eq!(Dhcp::parse(&bytes[..len]), Ok(full()));
        let request = Dhcp {
            requested: Some(Ipv4Addr::new(10, 0, 0, 9)),
            ..Dhcp::new(Kind::Request, [2; 6], 9)
        };
        let len = request.emit(&mut bytes).unwrap();
        assert_eq!(len, MESSAGE_MIN);
        assert_eq!(Dhcp::parse(&bytes[..len]), Ok(request));
        assert_eq!(
            full().emit(&mut bytes[..MESSAGE_MAX - 1]),
            Err(WireError::NoRoom)
        );
        for cut in 0..HEADER_LEN {
            assert_eq!(Dhcp::parse(&bytes[..cut]), Err(WireError::Truncated));
        }
    }

    #[test]
    fn options_lie_in_the_names_fields_too() {
        let mut bytes = [0; MESSAGE_MAX];
        full().emit(&mut bytes).unwrap();
        bytes[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&[OVERLOAD, 1, 3, END]);
        bytes[108..112].copy_from_slice(&[KIND, 1, 5, END]);
        bytes[44..51].copy_from_slice(&[LEASE, 4, 0, 0, 0, 60, END]);
        let read = Dhcp::parse(&bytes).unwrap();
        assert_eq!((read.kind, read.lease), (Kind::Ack, Some(60)));
        // One that runs out of its field is malformed, not the field behind it.
        bytes[45] = 255;
        assert_eq!(Dhcp::parse(&bytes), Err(WireError::Malformed));
    }

    #[test]
    fn directions_and_kinds_agree() {
        let mut bytes = [0; MESSAGE_MAX];
        full().emit(&mut bytes).unwrap();
        for (at, value) in [(0, 1), (0, 3), (1, 6), (2, 8), (236, 0), (242, 9), (242, 3)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(
                Dhcp::parse(&wrong),
                Err(WireError::Malformed),
                "{at} {value}"
            );
        }
    }
}
