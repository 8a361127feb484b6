//! Receive-side scaling: how a card with several receive queues chooses one for a frame, in
//! Toeplitz's hash and a table of queues.

use core::net::{IpAddr, SocketAddr};

use crate::number::place;

/// Bytes of a key: as many as the hash of two IPv6 addresses and two ports reaches.
pub const RSS_KEY_LEN: usize = 40;
/// Bytes that a window over the key has beyond the four that a bit of the input adds.
const WINDOW_LEN: usize = 8;

/// The key of a card's hash.
///
/// Cards make one at random when they start, and tell it (`ethtool -x`), or are given one
/// (`ethtool -X … hkey`). Whoever knows it can choose on which queue frames arrive.
#[derive(Clone, Copy)]
pub struct RssKey([u8; RSS_KEY_LEN]);

impl RssKey {
    /// The key that Microsoft's specification of RSS has its examples for, and that many drivers
    /// start with.
    pub const MICROSOFT: Self = Self([
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ]);

    /// Makes a key of these bytes: the first 40, if a card tells of more.
    #[must_use]
    pub const fn new(bytes: [u8; RSS_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the key, as a card or its driver is given them.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; RSS_KEY_LEN] {
        &self.0
    }

    /// Returns the hash of `bytes`, at most 36: what lies beyond the key adds nothing.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u32 {
        self.part(0, bytes)
    }

    /// Returns the hash of a TCP or UDP frame from `source` to `destination`, over both addresses
    /// and both ports. Both are of one family; otherwise it is that of the ports alone.
    #[must_use]
    pub fn hash_ends(&self, source: SocketAddr, destination: SocketAddr) -> u32 {
        let (addresses, at) = self.hash_addresses(source.ip(), destination.ip());
        let [a, b] = source.port().to_be_bytes();
        let [c, d] = destination.port().to_be_bytes();
        addresses ^ self.part(at, &[a, b, c, d])
    }

    /// Returns the 32 bits of the key from bit `at`; what lies beyond its end is zero.
    #[cfg_attr(
        not(all(feature = "packet", target_os = "linux")),
        expect(dead_code, reason = "only a packet socket has the kernel hash")
    )]
    pub(crate) fn word(&self, at: u32) -> u32 {
        let byte = place(at >> 3);
        let mut window = 0_u64;
        for byte in byte..byte.saturating_add(8) {
            window = (window << 8) | u64::from(self.0.get(byte).copied().unwrap_or(0));
        }
        crate::number::high(window << (at & 7))
    }

    /// Returns what two addresses add to a hash, and how many bytes they are.
    fn hash_addresses(&self, source: IpAddr, destination: IpAddr) -> (u32, usize) {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let hash = self.part(0, &source.octets()) ^ self.part(4, &destination.octets());
                (hash, 8)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let hash = self.part(0, &source.octets()) ^ self.part(16, &destination.octets());
                (hash, 32)
            }
            _ => (0, 0),
        }
    }

    /// Returns what `bytes` that stand at `at` add to a hash: each of their bits that is set adds
    /// the 32 bits of the key that begin at its place. So a hash is the sum, without carry, of what
    /// its parts add.
    fn part(&self, at: usize, bytes: &[u8]) -> u32 {
        let mut key = self.0.get(at..).unwrap_or_default().iter();
        let mut next = || u64::from(key.next().copied().unwrap_or(0));
        let mut window = 0_u64;
        for _ in 0..WINDOW_LEN {
            window = (window << 8) | next();
        }
        let mut hash = 0_u64;
        for byte in bytes {
            let mut bits = *byte;
            for _ in 0..u8::BITS {
                if bits & 0x80 != 0 {
                    hash ^= window;
                }
                bits <<= 1;
                window <<= 1;
            }
            window |= next();
        }
        crate::number::high(hash)
    }
}

impl core::fmt::Debug for RssKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RssKey").finish_non_exhaustive()
    }
}

/// How frames are spread over the receive queues of a card: its key, and its indirection table.
///
/// A frame of TCP goes to the queue that the table has at its hash, taken modulo the table's
/// length; cards take the lowest bits, which is the same since their tables are as long as a power
/// of two. `ethtool -x` tells both.
///
/// Where nothing hashes, as behind a TAP or a veth, any key and [`Self::spread`] say which stack a
/// connection belongs to, and the stacks hand over to one another what arrives elsewhere
/// ([`SharedQueues`](crate::SharedQueues)).
///
/// # Example
/// ```
/// use usockets_smoltcp::{Rss, RssKey};
///
/// static KEY: RssKey = RssKey::MICROSOFT;
/// static TABLE: [u16; 128] = Rss::spread(4);
/// let rss = Rss::new(&KEY, &TABLE);
/// let (peer, own) = (([66, 9, 149, 187], 2794).into(), ([161, 142, 100, 80], 1766).into());
/// assert_eq!(KEY.hash_ends(peer, own), 0x51cc_c178);
/// assert_eq!(rss.queue_for(peer, own), Some(0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rss<'a> {
    key: &'a RssKey,
    table: &'a [u16],
}

impl<'a> Rss<'a> {
    /// Makes a description of a card with a key and a table of queues, counted from 0.
    #[must_use]
    pub const fn new(key: &'a RssKey, table: &'a [u16]) -> Self {
        Self { key, table }
    }

    /// Makes a table in which `queues` queues take turns, as cards have it at first.
    #[must_use]
    pub const fn spread<const N: usize>(queues: u16) -> [u16; N] {
        let mut table = [0; N];
        let mut rest: &mut [u16] = &mut table;
        let mut queue = 0_u16;
        while let Some((first, after)) = rest.split_first_mut() {
            *first = queue;
            queue = queue.saturating_add(1);
            if queue >= queues {
                queue = 0;
            }
            rest = after;
        }
        table
    }

    /// Returns the queue on which frames from `source` to `destination` arrive; `None` with an
    /// empty table.
    #[must_use]
    pub fn queue_for(&self, source: SocketAddr, destination: SocketAddr) -> Option<u16> {
        self.queue_of(self.key.hash_ends(source, destination))
    }

    /// Returns true if frames arrive on `queue`, and on none from `count` on.
    pub(crate) fn leads_within(&self, queue: u16, count: u16) -> bool {
        self.table.contains(&queue) && self.table.iter().all(|queue| *queue < count)
    }

    /// Returns what chooses a port by the queue that answers to it arrive on.
    pub(crate) fn ports(&self, remote: SocketAddr, own: IpAddr, queue: u16) -> PortsOf<'a> {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let (_, addresses_len) = self.key.hash_addresses(remote.ip(), own);
        PortsOf {
            rss: *self,
            hash: self.key.hash_ends(remote, SocketAddr::new(own, 0)),
            at: addresses_len.saturating_add(2),
            queue,
        }
    }

    fn queue_of(&self, hash: u32) -> Option<u16> {
        let at = place(hash).checked_rem(self.table.len())?;
        self.table.get(at).copied()
    }
}

/// The local ports of a connection whose frames arrive on one queue.
#[derive(Clone, Copy)]
pub(crate) struct PortsOf<'a> {
    rss: Rss<'a>,
    /// The hash with port 0.
    hash: u32,
    /// Where the port stands in what is hashed.
    at: usize,
    queue: u16,
}

impl PortsOf<'_> {
    /// Returns true if answers to `port` arrive on the queue.
    pub(crate) fn has(&self, port: u16) -> bool {
        let added = self.rss.key.part(self.at, &port.to_be_bytes());
        self.rss.queue_of(self.hash ^ added) == Some(self.queue)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::{format, vec::Vec};

    /// Microsoft's "Verifying the RSS hash calculation": from, to, and the hashes of the addresses
    /// alone and with the ports of TCP.
    const VECTORS: [(&str, &str, u32, u32); 8] = [
        (
            "66.9.149.187:2794",
            "161.142.100.80:1766",
            0x323e_8fc2,
            0x51cc_c178,
        ),
        (
            "199.92.111.2:14230",
            "65.69.140.83:4739",
            0xd718_262a,
            0xc626_b0ea,
        ),
        (
            "24.19.198.95:12898",
            "12.22.207.184:38024",
            0xd2d0_a5de,
            0x5c2b_394a,
        ),
        (
            "38.27.205.30:48228",
            "209.142.163.6:2217",
            0x8298_9176,
            0xafc7_327f,
        ),
        (
            "153.39.163.191:44251",
            "202.188.127.2:1303",
            0x5d18_09c5,
            0x10e8_28a2,
        ),
        (
            "[3ffe:2501:200:1fff::7]:2794",
            "[3ffe:2501:200:3::1]:1766",
            0x2cc1_8cd5,
            0x4020_7d3d,
        ),
        (
            "[3ffe:501:8::260:97ff:fe40:efab]:14230",
            "[ff02::1]:4739",
            0x0f0c_461c,
            0xdde5_1bbf,
        ),
        (
            "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
            "[fe80::200:f8ff:fe21:67cf]:38024",
            0x4b61_e985,
            0x02d1_feef,
        ),
    ];

    fn bytes(source: IpAddr, destination: IpAddr) -> Vec<u8> {
        match (source, destination) {
            (IpAddr::V4(a), IpAddr::V4(b)) => [a.octets(), b.octets()].concat(),
            (IpAddr::V6(a), IpAddr::V6(b)) => [a.octets(), b.octets()].concat(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn hashes_are_those_that_microsoft_published() {
        for (source, destination, addresses, whole) in VECTORS {
            let source: SocketAddr = source.parse().unwrap();
            let destination: SocketAddr = destination.parse().unwrap();
            let key = RssKey::MICROSOFT;
            let both = bytes(source.ip(), destination.ip());
            assert_eq!(key.hash(&both), addresses, "{source}");
            assert_eq!(key.hash_ends(source, destination), whole, "{source}");
        }
    }

    /// Of a few queues, each has its share of the ports, and each port belongs to one.
    #[test]
    fn each_port_belongs_to_one_queue() {
        static KEY: RssKey = RssKey::MICROSOFT;
        static TABLE: [u16; 128] = Rss::spread(3);
        let rss = Rss::new(&KEY, &TABLE);
        for (remote, own) in [
            ("10.0.0.9:80", "10.0.0.1"),
            ("[fd00::9]:443", "fd00::1"),
            ("[::ffff:10.0.0.9]:80", "10.0.0.1"),
        ] {
            let (remote, own): (SocketAddr, IpAddr) =
                (remote.parse().unwrap(), own.parse().unwrap());
            let mut counts = [0_u32; 3];
            for port in 49_152..=u16::MAX {
                let canonical = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                let whole = rss.queue_for(canonical, SocketAddr::new(own, port));
                let queue = whole.unwrap();
                for other in 0..3 {
                    let is_its = rss.ports(remote, own, other).has(port);
                    assert_eq!(is_its, other == queue, "{port}");
                }
                counts[usize::from(queue)] += 1;
            }
            let said: String = format!("{counts:?}");
            assert!(counts.iter().all(|count| *count > 3_000), "{said}");
        }
    }

    #[test]
    fn tables_that_lead_nowhere_are_known() {
        static KEY: RssKey = RssKey::MICROSOFT;
        let own = SocketAddr::from(([10, 0, 0, 1], 80));
        assert_eq!(Rss::new(&KEY, &[]).queue_for(own, own), None);
        assert!(!Rss::new(&KEY, &[]).leads_within(0, 1));
        assert!(!Rss::new(&KEY, &[0, 1]).leads_within(2, 3));
        assert!(!Rss::new(&KEY, &[0, 2]).leads_within(0, 2));
        assert!(Rss::new(&KEY, &[0, 2]).leads_within(0, 3));
        assert_eq!(Rss::spread::<5>(2), [0, 1, 0, 1, 0]);
        assert_eq!(Rss::spread::<2>(0), [0, 0]);
        // Longer than the key reaches: the rest adds nothing.
        let key = RssKey::MICROSOFT;
        assert_eq!(key.hash(&[0xff; 60]), key.hash(&[0xff; 40]));
        assert_eq!(key.hash(&[]), 0);
    }
}
