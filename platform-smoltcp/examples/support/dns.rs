//! A question for the IPv4 address of a name (RFC 1035).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use usockets_smoltcp::dhcp::Lease;

use super::station::Question;

/// Bytes of the header of a message, and the port of servers.
const HEADER: usize = 12;
const PORT: u16 = 53;
/// The record of an IPv4 address, of the Internet.
const A: [u8; 4] = [0, 1, 0, 1];
/// Most records of an answer that are looked at, and labels of a name.
const RECORDS_MAX: u16 = 64;
const LABELS_MAX: usize = 128;

/// The question, and what the answer says.
#[derive(Debug)]
pub(crate) struct Dns<'n> {
    name: &'n str,
    /// A random number, which an answer repeats.
    id: [u8; 2],
    /// The address; `None` if the name has none.
    pub(crate) address: Option<Ipv4Addr>,
}

impl<'n> Dns<'n> {
    pub(crate) const fn new(name: &'n str, id: [u8; 2]) -> Self {
        Self {
            name,
            id,
            address: None,
        }
    }

    /// Writes the header and the name; `None` if it is no name.
    fn write(&self, message: &mut [u8]) -> Option<usize> {
        let [a, b] = self.id;
        // Recursion is desired; one question.
        let header = [a, b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        *message.first_chunk_mut::<HEADER>()? = header;
        let mut at = HEADER;
        for label in self.name.trim_end_matches('.').split('.') {
            let len = u8::try_from(label.len())
                .ok()
                .filter(|len| (1..64).contains(len))?;
            *message.get_mut(at)? = len;
            let end = at.checked_add(1)?.checked_add(label.len())?;
            message
                .get_mut(at.checked_add(1)?..end)?
                .copy_from_slice(label.as_bytes());
            at = end;
        }
        let end = at.checked_add(5)?;
        let [_, rest @ ..] = message.get_mut(at..end)? else {
            return None;
        };
        rest.copy_from_slice(&A);
        Some(end)
    }

    /// Reads an answer; `None` if it is not one to this question.
    fn parse(&self, message: &[u8]) -> Option<Option<Ipv4Addr>> {
        let [a, b, flags, code, q0, q1, n0, n1, ..] = *message.first_chunk::<HEADER>()?;
        let answer = flags & 0x80 != 0 && [q0, q1] == [0, 1] && [a, b] == self.id;
        // It repeats the question as it was asked.
        let mut asked = [0; 512];
        let end = self.write(&mut asked)?;
        if !answer || message.get(HEADER..end)? != asked.get(HEADER..end)? {
            return None;
        }
        if code & 15 != 0 {
            return Some(None);
        }
        let mut rest = message.get(end..)?;
        for _ in 0..u16::from_be_bytes([n0, n1]).min(RECORDS_MAX) {
            let (record, after) = pass_name(rest)?.split_first_chunk::<10>()?;
            let [kind @ .., _, _, _, _, l0, l1] = *record;
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            let (data, after) = after.split_at_checked(len)?;
            if let (A, Ok(octets)) = (kind, <[u8; 4]>::try_from(data)) {
                return Some(Some(octets.into()));
            }
            rest = after;
        }
        Some(None)
    }
}

/// Passes a name, which may end in a pointer to one before.
fn pass_name(mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..LABELS_MAX {
        let (len, after) = rest.split_first()?;
        match *len {
            0 => return Some(after),
            192.. => return after.get(1..),
            len @ 1..64 => rest = after.get(usize::from(len)..)?,
            _ => return None,
        }
    }
    None
}

impl Question for Dns<'_> {
    fn server(&self, lease: &Lease) -> Option<SocketAddr> {
        let [first, ..] = lease.dns;
        Some(SocketAddr::new(IpAddr::V4(first?), PORT))
    }

    fn ask(&mut self, message: &mut [u8]) -> usize {
        self.write(message).unwrap_or(0)
    }

    fn read(&mut self, message: &[u8]) -> bool {
        let answer = self.parse(message);
        self.address = answer.flatten();
        answer.is_some()
    }
}
