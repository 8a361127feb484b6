//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::wire::ethernet::Mac;
use crate::wire::{WireError, front, split};

/// Bytes of a message.
pub const MESSAGE_LEN: usize = 28;

/// What a message does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 826 has no other")]
pub enum Operation {
    /// Asks who has the target's IP address.
    Request,
    /// Says that the sender has the sender's IP address.
    Reply,
}

/// An ARP message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Arp {
    /// What it does.
    pub operation: Operation,
    /// The sender's hardware address.
    pub sender_mac: Mac,
    /// The sender's IP address; unspecified in a probe (RFC 5227, section 2.1).
    pub sender_ip: Ipv4Addr,
    /// The target's hardware address; zero in a request.
    pub target_mac: Mac,
    /// The target's IP address.
    pub target_ip: Ipv4Addr,
}

/// Hardware type 1 (Ethernet) with 6-byte addresses, protocol IPv4 with 4-byte addresses.
const FIXED: [u8; 6] = [0, 1, 8, 0, 6, 4];

impl Arp {
    /// Makes the request who has `target`, from `(mac, own)`.
    #[must_use]
    pub const fn request((mac, own): (Mac, Ipv4Addr), target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip: own,
            target_mac: [0; 6],
            target_ip: target,
        }
    }

    /// Reads the message that a frame carries; what follows it is padding.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is cut short; [`WireError::Malformed`] when it is for other
    /// hardware, for another protocol, or another operation.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let (message, _) = split::<MESSAGE_LEN>(packet)?;
        let (fixed, rest) = split::<6>(message)?;
        let ([high, low], rest) = split::<2>(rest)?;
        let (sender_mac, rest) = split::<6>(rest)?;
        let (sender_ip, rest) = split::<4>(rest)?;
        let (target_mac, rest) = split::<6>(rest)?;
        let (target_ip, _) = split::<4>(rest)?;
        let operation = match (*fixed, high, low) {
            (FIXED, 0, 1) => Operation::Request,
            (FIXED, 0, 2) => Operation::Reply,
            _ => return Err(WireError::Malformed),
        };
        Ok(Self {
            operation,
            sender_mac: *sender_mac,
            sender_ip: Ipv4Addr::from(*sender_ip),
            target_mac: *target_mac,
            target_ip: Ipv4Addr::from(*target_ip),
        })
    }

    /// Writes the message to the front of `packet` and returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `packet` is shorter than [`MESSAGE_LEN`].
    pub fn emit(&self, packet: &mut [u8]) -> Result<usize, WireError> {
        let message = front::<MESSAGE_LEN>(packet)?;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let [h0, h1, p0, p1, h, p] = FIXED;
        let ([a, b, c, d, e, f], [s0, s1, s2, s3]) = (self.sender_mac, self.sender_ip.octets());
        let ([u, v, w, x, y, z], [t0, t1, t2, t3]) = (self.target_mac, self.target_ip.octets());
        *message = [
            h0, h1, p0, p1, h, p, 0, operation, a, b, c, d, e, f, s0, s1, s2, s3, u, v, w, x, y, z,
            t0, t1, t2, t3,
        ];
        Ok(MESSAGE_LEN)
    }
}
