//! Datagrams of one socket in one direction, first in, first out, in a ring of the caller's bytes.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::number::{count, place};

/// Bytes before each datagram's own: both addresses, the peer's port, the length, and three more.
pub(crate) const HEAD_LEN: usize = 40;

/// What is kept of a datagram beside its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// The peer: who sent it, or who it is for.
    pub(crate) remote: SocketAddr,
    /// The address here: where it came, or from which it is sent.
    pub(crate) local: IpAddr,
    /// Bytes that follow.
    pub(crate) len: u16,
    /// The two bits of its congestion mark.
    pub(crate) ecn: u8,
    /// Its time to live or hop limit.
    pub(crate) hops: u8,
    /// It has been sent or given up, and only takes room until those before it have.
    pub(crate) gone: bool,
}

/// Returns the 16 bytes of an address; one of IPv4 is mapped (RFC 4291, section 2.5.5.2).
pub(crate) const fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Returns the address of 16 bytes.
pub(crate) fn address(octets: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_octets(octets)).to_canonical()
}

impl Head {
    fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let ([p0, p1], [l0, l1]) = (self.remote.port().to_be_bytes(), self.len.to_be_bytes());
        let (addresses, rest) = bytes.split_at_mut(32);
        let (remote, local) = addresses.split_at_mut(16);
        remote.copy_from_slice(&octets(self.remote.ip()));
        local.copy_from_slice(&octets(self.local));
        let last = [p0, p1, l0, l1, self.ecn, self.hops, u8::from(self.gone), 0];
        rest.copy_from_slice(&last);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        let (remote, rest) = bytes.split_first_chunk::<16>()?;
        let (local, rest) = rest.split_first_chunk::<16>()?;
        let [p0, p1, l0, l1, ecn, hops, gone, _] = *rest.first_chunk()?;
        Some(Self {
            remote: SocketAddr::new(address(*remote), u16::from_be_bytes([p0, p1])),
            local: address(*local),
            len: u16::from_be_bytes([l0, l1]),
            ecn,
            hops,
            gone: gone != 0,
        })
    }
}

/// Where the datagrams of a ring are. The ring's bytes are given to each call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Queue {
    start: u32,
    used: u32,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self { start: 0, used: 0 };

    pub(crate) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Adds a datagram in pieces at the end; returns false if there is no room for it.
    pub(crate) fn push(&mut self, ring: &mut [u8], head: Head, bytes: [&[u8]; 2]) -> bool {
        let [first, second] = bytes;
        let len = first.len().saturating_add(second.len());
        let whole = len.saturating_add(HEAD_LEN);
        let room = ring.len().saturating_sub(place(self.used));
        let Ok(len) = u16::try_from(len) else {
            return false;
        };
        if whole > room {
            return false;
        }
        let at = place(self.used);
        let body = at.saturating_add(HEAD_LEN);
        self.write(ring, at, &Head { len, ..head }.to_bytes());
        self.write(ring, body, first);
        self.write(ring, body.saturating_add(first.len()), second);
        self.used = self.used.saturating_add(count(whole));
        true
    }

    /// Returns the datagram that starts `at` bytes behind the first, with its bytes in at most two
    /// pieces; `None` at the end.
    pub(crate) fn at<'r>(&self, ring: &'r [u8], at: u32) -> Option<(Head, [&'r [u8]; 2])> {
        if at >= self.used {
            return None;
        }
        let mut bytes = [0; HEAD_LEN];
        let [first, second] = self.pieces(ring, place(at), HEAD_LEN);
        let (low, high) = bytes.split_at_mut_checked(first.len())?;
        low.copy_from_slice(first);
        if high.len() != second.len() {
            return None;
        }
        high.copy_from_slice(second);
        let head = Head::from_bytes(&bytes)?;
        let body = place(at).saturating_add(HEAD_LEN);
        Some((head, self.pieces(ring, body, usize::from(head.len))))
    }

    /// Returns where the datagram behind one with `head` at `at` starts.
    pub(crate) fn after(at: u32, head: &Head) -> u32 {
        at.saturating_add(count(HEAD_LEN))
            .saturating_add(u32::from(head.len))
    }

    /// Marks the datagram that starts at `at` as gone.
    pub(crate) fn mark_gone(&self, ring: &mut [u8], at: u32, head: &Head) {
        let head = Head {
            gone: true,
            ..*head
        };
        self.write(ring, place(at), &head.to_bytes());
    }

    /// Takes the first datagram, whose head is given, out.
    pub(crate) fn pop(&mut self, ring: &[u8], head: &Head) {
        let len = Self::after(0, head).min(self.used);
        self.used = self.used.saturating_sub(len);
        let start = place(self.start).saturating_add(place(len));
        self.start = count(start.checked_rem(ring.len()).unwrap_or(0));
        if self.used == 0 {
            self.start = 0;
        }
    }

    /// Returns `len` bytes that start `at` bytes behind the first of the queue.
    fn pieces<'r>(&self, ring: &'r [u8], at: usize, len: usize) -> [&'r [u8]; 2] {
        let from = place(self.start).saturating_add(at);
        let from = from.checked_rem(ring.len()).unwrap_or(0);
        let tail = ring.get(from..).unwrap_or_default();
        let first = tail.get(..len).unwrap_or(tail);
        let left = len.saturating_sub(first.len());
        [first, ring.get(..left).unwrap_or_default()]
    }

    /// Writes bytes `at` bytes behind the first of the queue.
    fn write(&self, ring: &mut [u8], at: usize, bytes: &[u8]) {
        let from = place(self.start).saturating_add(at);
        let from = from.checked_rem(ring.len()).unwrap_or(0);
        let (front, tail) = ring.split_at_mut_checked(from).unwrap_or_default();
        let (first, second) = bytes.split_at_checked(tail.len()).unwrap_or((bytes, &[]));
        if let Some(to) = tail.get_mut(..first.len()) {
            to.copy_from_slice(first);
        }
        if let Some(to) = front.get_mut(..second.len()) {
            to.copy_from_slice(second);
        }
    }
}

#[cfg(test)]
#[expect(clippy::as_conversions, reason = "small numbers of tests")]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// Against a plain queue, with rings that wrap everywhere.
    #[test]
    fn agrees_with_a_plain_queue() {
        for seed in 1..=60_u64 {
            let mut random = crate::random::Random::new(seed);
            let mut ring = std::vec![0; 41 + random.below(400) as usize];
            let (mut queue, mut model) = (Queue::EMPTY, VecDeque::new());
            for turn in 0..600_u16 {
                let bytes: Vec<u8> = (0..random.below(90)).map(|_| turn as u8).collect();
                let head = Head {
                    remote: SocketAddr::from(([10, 0, 0, 1], turn)),
                    local: IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, turn]),
                    len: bytes.len() as u16,
                    ecn: 1,
                    hops: 7,
                    gone: false,
                };
                let cut = bytes.len() / 3;
                let used: usize = model
                    .iter()
                    .map(|(_, b): &(Head, Vec<u8>)| b.len() + 40)
                    .sum();
                let fits = used + bytes.len() + HEAD_LEN <= ring.len();
                let pieces = [&bytes[..cut], &bytes[cut..]];
                assert_eq!(queue.push(&mut ring, head, pieces), fits, "seed {seed}");
                if fits {
                    model.push_back((head, bytes));
                }
                let mut at = 0;
                for (index, (head, bytes)) in model.iter_mut().enumerate() {
                    let (found, [low, high]) = queue.at(&ring, at).unwrap();
                    assert_eq!(found, *head, "seed {seed}");
                    assert_eq!([low, high].concat(), *bytes, "seed {seed}");
                    if index == 1 {
                        queue.mark_gone(&mut ring, at, head);
                        head.gone = true;
                    }
                    at = Queue::after(at, head);
                }
                assert!(queue.at(&ring, at).is_none());
                if random.chance(500_000)
                    && let Some((head, _)) = model.pop_front()
                {
                    queue.pop(&ring, &head);
                }
                assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
