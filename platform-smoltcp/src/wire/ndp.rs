//! Neighbour discovery (RFC 4861): solicitations and advertisements, as ICMPv6 carries them.

use core::net::Ipv6Addr;

use crate::wire::checksum;
use crate::wire::ethernet::{self, Mac};
use crate::wire::ipv6::Ipv6;
use crate::wire::{WireError, split};

/// Bytes of a message with one link-layer address, as all are that are written here.
pub const MESSAGE_LEN: usize = 32;
/// The hop limit that says that a message comes from the link (section 7.1).
pub const HOP_LIMIT: u8 = 255;

/// Types of messages (section 4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Kinds of options (section 4.6).
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;

/// A neighbour's message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ndp {
    /// Asks for the hardware address of `target` (section 4.3).
    Solicitation {
        /// Who is asked for.
        target: Ipv6Addr,
        /// The hardware address of who asks.
        source_mac: Option<Mac>,
    },
    /// Says where `target` is (section 4.4).
    Advertisement {
        /// Who is told of.
        target: Ipv6Addr,
        /// Its hardware address.
        target_mac: Option<Mac>,
        /// It answers a solicitation.
        solicited: bool,
        /// It replaces what is known.
        overriding: bool,
        /// The target is a router.
        router: bool,
    },
}

impl Ndp {
    /// Reads the message of an ICMPv6 packet, its checksum included; `None` when it is another
    /// ICMPv6 message.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it comes from beyond the link or breaks a rule of section
    /// 7.1, [`WireError::Truncated`] when it is cut short, [`WireError::Checksum`] when its
    /// checksum is wrong.
    pub fn parse(header: &Ipv6, message: &[u8]) -> Result<Option<Self>, WireError> {
        let Some(kind) = message.first().copied() else {
            return Err(WireError::Truncated);
        };
        if !matches!(kind, SOLICITATION | ADVERTISEMENT) {
            return Ok(None);
        }
        let (fixed, rest) = split::<8>(message)?;
        let (target, options) = split::<16>(rest)?;
        let target = Ipv6Addr::from(*target);
        let [_, code, _, _, flags, ..] = *fixed;
        if header.hop_limit != HOP_LIMIT || code != 0 || target.is_multicast() {
            return Err(WireError::Malformed);
        }
        let addresses = checksum::addresses_v6(header.source, header.destination);
        if !checksum::is_right_transport(addresses, Ipv6::ICMP, message) {
            return Err(WireError::Checksum);
        }
        Ok(Some(if kind == SOLICITATION {
            let source_mac = find_mac(options, SOURCE_MAC)?;
            // Duplicate address detection (section 7.1.1).
            let group = solicited_node(target) == header.destination;
            if header.source.is_unspecified() && (source_mac.is_some() || !group) {
                return Err(WireError::Malformed);
            }
            Self::Solicitation { target, source_mac }
        } else {
            let solicited = flags & 0x40 != 0;
            if solicited && header.destination.is_multicast() {
                return Err(WireError::Malformed);
            }
            Self::Advertisement {
                target,
                target_mac: find_mac(options, TARGET_MAC)?,
                solicited,
                overriding: flags & 0x20 != 0,
                router: flags & 0x80 != 0,
            }
        }))
    }

    /// Returns the bytes of the message as it is written: [`MESSAGE_LEN`], or less without a
    /// link-layer address.
    #[must_use]
    pub const fn message_len(&self) -> usize {
        let (Self::Solicitation {
            source_mac: mac, ..
        }
        | Self::Advertisement {
            target_mac: mac, ..
        }) = self;
        if mac.is_some() { MESSAGE_LEN } else { 24 }
    }

    /// Writes the message that an ICMPv6 packet of `header` carries to the front of `message`, with
    /// its checksum, and returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `message` is shorter than [`Self::message_len`].
    pub fn emit(&self, header: &Ipv6, message: &mut [u8]) -> Result<usize, WireError> {
        let (kind, flags, target, mac, option) = match *self {
            Self::Solicitation { target, source_mac } => {
                (SOLICITATION, 0, target, source_mac, SOURCE_MAC)
            }
            Self::Advertisement {
                target,
                target_mac,
                solicited,
                overriding,
                router,
            } => {
                let bit = |set: bool, bit: u8| if set { bit } else { 0 };
                let flags = bit(router, 0x80) | bit(solicited, 0x40) | bit(overriding, 0x20);
                (ADVERTISEMENT, flags, target, target_mac, TARGET_MAC)
            }
        };
        let len = self.message_len();
        let message = message.get_mut(..len).ok_or(WireError::NoRoom)?;
        let bytes = [kind, 0, 0, 0, flags, 0, 0, 0]
            .into_iter()
            .chain(target.octets())
            .chain([option, 1])
            .chain(mac.unwrap_or_default());
        for (to, from) in message.iter_mut().zip(bytes) {
            *to = from;
        }
        let addresses = checksum::addresses_v6(header.source, header.destination);
        checksum::fill_transport(addresses, Ipv6::ICMP, message, 2);
        Ok(len)
    }
}

/// Finds a link-layer address among the options; `None` without a sound one.
fn find_mac(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, WireError> {
    let mut found = None;
    while let [kind, units, ..] = options {
        let len = usize::from(*units).saturating_mul(8);
        // An option without length makes the message invalid (section 4.6).
        if len == 0 {
            return Err(WireError::Malformed);
        }
        let (option, rest) = options.split_at_checked(len).ok_or(WireError::Truncated)?;
        if *kind == wanted
            && let [_, _, a, b, c, d, e, f] = *option
        {
            let mac = [a, b, c, d, e, f];
            found = Some(mac).filter(|mac| ethernet::is_unicast(*mac));
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(WireError::Truncated)
    }
}

/// Returns the group that a solicitation for `target` goes to (RFC 4291, section 2.7.1).
#[must_use]
pub const fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    let (high, low) = (u16::from_be_bytes([0xff, a]), u16::from_be_bytes([b, c]));
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low)
}

/// Returns the hardware address of a group (RFC 2464, section 7).
#[must_use]
pub const fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}
