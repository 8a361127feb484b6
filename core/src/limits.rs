//! Bounds of what one address may take: connections, and new ones per time.

use core::net::IpAddr;

use crate::time::{Duration, Instant};

/// Entries that one address can be in: so many in each of two places.
const WAYS: usize = 8;

/// What each address may take of a server.
///
/// An IPv4 address stands for itself. IPv6 addresses stand for their network, the first 64 bits
/// (RFC 4291, section 2.5.4), as a single host has all the addresses of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AddressLimit {
    /// Connections at a time.
    pub connections_max: u32,
    /// Connections that may come at once, after none did for a while. At least 1.
    pub burst: u32,
    /// Time in which one connection more may come, on average. Zero is no bound.
    pub interval: Duration,
}

impl AddressLimit {
    /// Makes a limit of connections at a time, without one of their rate.
    #[must_use]
    pub const fn connections(max: u32) -> Self {
        Self {
            connections_max: max,
            burst: 1,
            interval: Duration::ZERO,
        }
    }

    /// Sets a rate: at most `burst` connections at once, and one more each `interval` on average.
    #[must_use]
    pub const fn rate(mut self, burst: u32, interval: Duration) -> Self {
        self.burst = burst;
        self.interval = interval;
        self
    }
}

/// Why a connection of an address is over a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OverLimit {
    /// The address has as many connections as it may.
    Connections,
    /// Too many came of the address within too short a time.
    Rate,
    /// There is no entry left for another address: those that this one could be in are all of
    /// addresses that have connections. With twice as many entries as sockets this is rare, and a
    /// peer that does not know the seed cannot bring it about for others.
    Table,
}

/// Counts connections by address, in memory of a fixed size: 24 bytes for each of `N` entries.
///
/// A policy for [`on_pre_open`](crate::Handler::on_pre_open): [`Self::admit`] says whether a
/// connection may come, [`Self::opened`] and [`Self::closed`] count those that are open. Addresses
/// that have none are forgotten when others need their entry: those first whose rate is within
/// bounds again, then those of which that will be so first. So many addresses together may come
/// faster than the rate lets each.
///
/// `N` is a multiple of 16, twice as many as the pool has sockets or more. All zero bytes but for
/// limit and seed.
///
/// ```
/// use usockets::{
///     AddressLimit, AddressLimits, Closed, Duration, Handler, Incoming, Opened, Platform, PreOpen,
///     Socket,
/// };
/// use core::net::IpAddr;
///
/// struct Server {
///     limits: AddressLimits<2048>,
/// }
///
/// impl<P: Platform> Handler<P> for Server {
///     type Ext = Option<IpAddr>;
///     type Context = ();
///
///     fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, ()>) -> PreOpen {
///         let now = incoming.now();
///         match incoming.peer().ip().map(|peer| self.limits.admit(peer.ip(), now)) {
///             Some(Err(_)) => PreOpen::Refuse,
///             _ => PreOpen::Keep, // Within the limits, or no peer of the Internet.
///         }
///     }
///
///     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, opened: Opened<()>) -> Self::Ext {
///         let peer = opened.peer().and_then(|peer| peer.ip()).map(|peer| peer.ip());
///         peer.inspect(|&peer| self.limits.opened(peer))
///     }
///
///     fn on_close(&mut self, _: &mut Socket<'_, P, Self>, peer: &mut Self::Ext, _: Closed) {
///         peer.inspect(|&peer| self.limits.closed(peer));
///     }
///     # fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Self::Ext, _: &mut [u8]) {}
/// }
///
/// let limit = AddressLimit::connections(32).rate(20, Duration::from_millis(100));
/// let seed = [0x9e37_79b9, 0x7f4a_7c15]; // From a source of random bytes.
/// let server = Server { limits: AddressLimits::new(limit, seed) };
/// ```
///
/// A connection counts from its [`Self::opened`]. Those whose handshake (TLS) is under way do not:
/// the rate bounds them.
#[derive(Clone, Debug)]
pub struct AddressLimits<const N: usize> {
    limit: AddressLimit,
    seed: [u64; 2],
    entries: [Entry; N],
}

/// What is known of one address. Free if it was never used, and as good as free if it has no
/// connection and its time is over.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The address, or the network of an IPv6 one.
    key: u64,
    /// When the rate is as if nobody had ever come: the "theoretical arrival time" of the generic
    /// cell rate algorithm (ITU-T I.371), in microseconds, by which one that comes is early.
    due: u64,
    connections: u32,
    is_v6: bool,
}

/// What an address counts under.
type Key = (u64, bool);

impl<const N: usize> AddressLimits<N> {
    /// Makes a table of nobody. The seed keeps from peers which addresses share a place; it comes
    /// from a source of random bytes.
    #[must_use]
    pub const fn new(limit: AddressLimit, seed: [u64; 2]) -> Self {
        const {
            assert!(
                N > 0 && N.is_multiple_of(2 * WAYS),
                "a multiple of 16 entries"
            );
        }
        Self {
            limit,
            seed,
            entries: [Entry {
                key: 0,
                due: 0,
                connections: 0,
                is_v6: false,
            }; N],
        }
    }

    /// Says whether another connection of `peer` may come at `now`. One that may counts for the
    /// rate; one that may not does not.
    ///
    /// # Errors
    /// Which limit it is over.
    pub fn admit(&mut self, peer: IpAddr, now: Instant) -> Result<(), OverLimit> {
        let (limit, now) = (self.limit, now.as_micros());
        let entry = self.claim(key_of(peer), now).ok_or(OverLimit::Table)?;
        if entry.connections >= limit.connections_max {
            return Err(OverLimit::Connections);
        }
        let interval = micros(limit.interval);
        let ahead = interval.saturating_mul(limit.burst.saturating_sub(1).into());
        if entry.due > now.saturating_add(ahead) {
            return Err(OverLimit::Rate);
        }
        entry.due = entry.due.max(now).saturating_add(interval);
        Ok(())
    }

    /// Counts a connection of `peer` that opened.
    pub fn opened(&mut self, peer: IpAddr) {
        // It was admitted, so it has an entry, unless others have taken it since.
        if let Some(entry) = self.claim(key_of(peer), 0) {
            entry.connections = entry.connections.saturating_add(1);
        }
    }

    /// Counts out a connection of `peer` that closed.
    pub fn closed(&mut self, peer: IpAddr) {
        if let Some(entry) = self.find(key_of(peer)) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }

    /// Returns how many connections `peer` has open, with those of its network.
    #[must_use]
    pub fn connections(&mut self, peer: IpAddr) -> u32 {
        self.find(key_of(peer)).map_or(0, |entry| entry.connections)
    }

    /// Returns the entry of an address, of whoever needs it least if it has none yet.
    fn claim(&mut self, key: Key, now: u64) -> Option<&mut Entry> {
        if let Some(index) = self.position(key) {
            return self.entries.get_mut(index);
        }
        let places = self.places(key);
        let free = places
            .into_iter()
            .flatten()
            .filter_map(|index| Some((self.entries.get(index)?, index)))
            .filter(|(entry, _)| entry.connections == 0)
            // Whose time is over, or will be first.
            .min_by_key(|(entry, _)| entry.due.saturating_sub(now));
        let (_, index) = free?;
        let entry = self.entries.get_mut(index)?;
        *entry = Entry {
            key: key.0,
            is_v6: key.1,
            ..Entry::default()
        };
        Some(entry)
    }

    fn find(&mut self, key: Key) -> Option<&mut Entry> {
        let index = self.position(key)?;
        self.entries.get_mut(index)
    }

    fn position(&self, key: Key) -> Option<usize> {
        let mut places = self.places(key).into_iter().flatten();
        places.find(|&index| {
            let entry = self.entries.get(index);
            let is_used = |entry: &Entry| entry.due > 0 || entry.connections > 0;
            entry.is_some_and(|entry| (entry.key, entry.is_v6) == key && is_used(entry))
        })
    }

    /// Returns the two runs of entries that an address can be in.
    fn places(&self, (key, is_v6): Key) -> [core::ops::Range<usize>; 2] {
        self.seed.map(|seed| {
            let hash = mix(key ^ seed, u64::from(is_v6) ^ seed.rotate_left(32));
            let sets = u64::try_from(N / WAYS).unwrap_or(1);
            let set = usize::try_from(hash.checked_rem(sets).unwrap_or(0)).unwrap_or(0);
            let first = set.saturating_mul(WAYS);
            first..first.saturating_add(WAYS)
        })
    }
}

/// Returns what an address counts under.
fn key_of(peer: IpAddr) -> Key {
    match peer.to_canonical() {
        IpAddr::V4(addr) => (addr.to_bits().into(), false),
        IpAddr::V6(addr) => {
            let [a, b, c, d, e, f, g, h, ..] = addr.octets();
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), true)
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Mixes two numbers to one of which each bit depends on all of theirs (the finalizer of
/// MurmurHash3, twice).
const fn mix(key: u64, more: u64) -> u64 {
    let mut hash = key ^ more.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut round = 0_u8;
    while round < 2 {
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^= (hash >> 33) ^ more;
        round = u8::wrapping_add(round, 1);
    }
    hash
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    /// Numbers that are mixed for a test.
    const NUMBERS: u64 = 1_000;
    /// Nearest to a half, within five standard deviations of as many tosses.
    const HALF: core::ops::RangeInclusive<u64> = 421..=579;

    /// Each bit of either number turns each bit of the result in half of all cases, as if tossed;
    /// and each bit of the result is as often set as not.
    #[test]
    #[cfg_attr(miri, ignore = "sixteen million calls, and nothing unsafe")]
    fn each_bit_depends_on_all() {
        let pairs = || (0..NUMBERS).map(|index| (index << 7, index << 40 | 3));
        let set = |is_set: &dyn Fn(u64, u64) -> u64, bit: u32| {
            let all = pairs().map(|(key, more)| is_set(key, more) >> bit & 1);
            all.sum::<u64>()
        };
        for bit in 0..64 {
            assert!(
                HALF.contains(&set(&|key, more| mix(key, more), bit)),
                "{bit}"
            );
            for turned in (0..64).map(|bit| 1_u64 << bit) {
                let of_key = |key, more| mix(key, more) ^ mix(key ^ turned, more);
                let of_more = |key, more| mix(key, more) ^ mix(key, more ^ turned);
                assert!(HALF.contains(&set(&of_key, bit)), "{turned:x} {bit}");
                assert!(HALF.contains(&set(&of_more, bit)), "{turned:x} {bit}");
            }
        }
    }

    /// Whatever bits a seed has, addresses that are alike do not crowd.
    #[test]
    fn addresses_are_spread_by_any_seed() {
        for seed in [[0xffff_ffff, 0x1_ffff_ffff], [1 << 40, 1 << 41], [0, 7]] {
            let limit = AddressLimit::connections(1);
            let mut limits = AddressLimits::<2_048>::new(limit, seed);
            for index in 0..1_000_u32 {
                let peer = IpAddr::V4(Ipv4Addr::from_bits(index << 8));
                assert_eq!(
                    limits.admit(peer, Instant::from_micros(1)),
                    Ok(()),
                    "{index}"
                );
                limits.opened(peer);
            }
        }
    }
}
