//! Neighbours that several stacks on one link know together: one stack for each receive queue of a
//! card, which hands an answer to one of them only.

use core::net::{IpAddr, Ipv6Addr};
use core::sync::atomic::{AtomicU32, Ordering, fence};

use usockets::{Duration, Instant};

use crate::ip::FRESH_MAX;
use crate::number::{low, place};
use crate::wire::ethernet::Mac;

/// Places where one neighbour may stand.
const WAYS: usize = 4;
/// In the upper word of a hardware address: it is known.
const KNOWN: u32 = 1 << 16;
/// There as well: the entry is in use.
const USED: u32 = 1 << 17;

/// One entry of [`SharedNeighbours`]. 32 bytes.
///
/// Its words are read and written one by one. The first is odd while one of the stacks writes, and
/// goes up by two with each change: who reads the same even number before and after has read what
/// belongs together.
#[derive(Debug)]
pub struct SharedNeighbour {
    version: AtomicU32,
    /// IPv4 addresses are mapped (RFC 4291, section 2.5.5.2).
    ip: [AtomicU32; 4],
    mac: [AtomicU32; 2],
    /// When it was confirmed or, while not known, first asked for: seconds, wrapping.
    at: AtomicU32,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    pub(crate) mac: Mac,
    /// How long ago the neighbour was heard, in whole seconds.
    pub(crate) age: Duration,
}

/// What was read of an entry.
#[derive(Clone, Copy)]
struct Entry {
    ip: [u32; 4],
    mac: [u32; 2],
    at: u32,
}

impl SharedNeighbour {
    /// Makes an entry that no stack has filled.
    const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            ip: [const { AtomicU32::new(0) }; 4],
            mac: [const { AtomicU32::new(0) }; 2],
            at: AtomicU32::new(0),
        }
    }

    /// Reads the entry; `None` while another stack writes it.
    fn read(&self) -> Option<Entry> {
        let before = self.version.load(Ordering::Acquire);
        let entry = Entry {
            ip: self.ip.each_ref().map(|word| word.load(Ordering::Relaxed)),
            mac: self.mac.each_ref().map(|word| word.load(Ordering::Relaxed)),
            at: self.at.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        let whole = before & 1 == 0 && self.version.load(Ordering::Relaxed) == before;
        whole.then_some(entry)
    }

    /// Replaces the entry; leaves it to another stack that writes at the same time.
    fn write(&self, entry: &Entry) -> bool {
        let before = self.version.load(Ordering::Relaxed) & !1;
        let odd = before | 1;
        let (ordering, failure) = (Ordering::Acquire, Ordering::Relaxed);
        let version = &self.version;
        if version
            .compare_exchange(before, odd, ordering, failure)
            .is_err()
        {
            return false;
        }
        fence(Ordering::Release);
        for (word, value) in self.ip.iter().zip(entry.ip) {
            word.store(value, Ordering::Relaxed);
        }
        for (word, value) in self.mac.iter().zip(entry.mac) {
            word.store(value, Ordering::Relaxed);
        }
        self.at.store(entry.at, Ordering::Relaxed);
        version.store(odd.wrapping_add(1), Ordering::Release);
        true
    }
}

/// A table of neighbours for all stacks on one link, each perhaps on a processor of its own.
///
/// A card with several receive queues hands ARP to one of them, since there are no addresses and
/// ports to choose by, and answers of IPv6 to any. With this table a neighbour that one stack asks
/// for is known to it whichever of them hears the answer, and one that has moved is known to have
/// moved to all ([`Stack::share_neighbours`](crate::Stack::share_neighbours)). It is read when a
/// stack's own table has no fresh answer, so a neighbour in use costs nothing more.
///
/// It is the caller's: in a static, or wherever it outlives the stacks. Their clocks must be one,
/// as `CLOCK_MONOTONIC` is on all processors. Its length is a matter of taste: what it has no place
/// for pushes out what was confirmed longest ago. It is there on targets whose atomics can compare
/// and exchange 32 bits.
///
/// # Example
/// ```
/// use usockets_smoltcp::SharedNeighbours;
///
/// static NEIGHBOURS: SharedNeighbours<[usockets_smoltcp::SharedNeighbour; 64]> =
///     SharedNeighbours::new();
/// let shared: &'static SharedNeighbours = &NEIGHBOURS;
/// assert_eq!(size_of_val(shared), 8 + 64 * 32);
/// ```
#[derive(Debug)]
pub struct SharedNeighbours<T: ?Sized = [SharedNeighbour]> {
    /// How often a neighbour became known.
    learnt: AtomicU32,
    /// How often a known one was found elsewhere.
    moved: AtomicU32,
    entries: T,
}

impl<const N: usize> SharedNeighbours<[SharedNeighbour; N]> {
    /// Makes a table in which nobody is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            learnt: AtomicU32::new(0),
            moved: AtomicU32::new(0),
            entries: [const { SharedNeighbour::new() }; N],
        }
    }
}

impl<const N: usize> Default for SharedNeighbours<[SharedNeighbour; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedNeighbours {
    /// Returns how often a neighbour became known, and how often one moved, wrapping.
    pub(crate) fn changes(&self) -> (u32, u32) {
        let moved = self.moved.load(Ordering::Acquire);
        (self.learnt.load(Ordering::Acquire), moved)
    }

    /// Returns what is known of a neighbour.
    pub(crate) fn find(&self, ip: IpAddr, now: Instant) -> Option<Known> {
        let (_, entry) = self.entry(octets(ip))?;
        let [low, high] = entry.mac;
        let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
        let age = age(seconds(now), entry.at);
        (high & KNOWN != 0).then_some(Known {
            mac: [a, b, c, d, e, f],
            age: Duration::from_secs(u64::from(age)),
        })
    }

    /// Returns true if one of the stacks has asked for a neighbour or knows it.
    pub(crate) fn is_wanted(&self, ip: IpAddr) -> bool {
        self.entry(octets(ip)).is_some()
    }

    /// Notes that a stack asks for a neighbour.
    pub(crate) fn on_ask(&self, ip: IpAddr, now: Instant) {
        let ip = octets(ip);
        if self.entry(ip).is_none() {
            self.put(ip, [0, USED], now);
        }
    }

    /// Notes where a neighbour is.
    pub(crate) fn on_heard(&self, ip: IpAddr, [a, b, c, d, e, f]: Mac, now: Instant) {
        let ip = octets(ip);
        let mac = [
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, 0, 0]) | KNOWN | USED,
        ];
        let before = self.entry(ip);
        let is_fresh = |entry: &Entry| {
            let age = age(seconds(now), entry.at);
            Duration::from_secs(u64::from(age)) < FRESH_MAX
        };
        self.put(ip, mac, now);
        match before {
            Some((_, entry)) if entry.mac == mac && is_fresh(&entry) => {}
            Some((_, entry)) if entry.mac != mac && entry.mac != [0, USED] => {
                self.moved.fetch_add(1, Ordering::Release);
            }
            // What had become old enough to be asked for is news, too, to those that wait for it.
            _ => {
                self.learnt.fetch_add(1, Ordering::Release);
            }
        }
    }

    fn put(&self, ip: [u32; 4], mac: [u32; 2], now: Instant) {
        let at = seconds(now);
        let Some(entry) = self.entry(ip).map(|(entry, _)| entry).or_else(|| {
            // An empty place, or the one that was confirmed longest ago.
            self.ways(ip).max_by_key(|entry| match entry.read() {
                Some(entry) if entry.mac != [0; 2] => age(at, entry.at),
                Some(_) => u32::MAX,
                None => 0,
            })
        }) else {
            return;
        };
        // Who writes there at the same time has won: this neighbour is asked for again.
        let _ = entry.write(&Entry { ip, mac, at });
    }

    fn entry(&self, ip: [u32; 4]) -> Option<(&SharedNeighbour, Entry)> {
        self.ways(ip).find_map(|place| {
            let entry = place.read()?;
            (entry.mac != [0; 2] && entry.ip == ip).then_some((place, entry))
        })
    }

    fn ways(&self, ip: [u32; 4]) -> impl Iterator<Item = &SharedNeighbour> {
        let mixed = ip.iter().fold(0_u32, |sum, word| {
            (sum ^ word).wrapping_mul(0x9e37_79b1).rotate_left(15)
        });
        let count = self.entries.len();
        let start = place(mixed).checked_rem(count).unwrap_or(0);
        let (before, after) = self.entries.split_at_checked(start).unwrap_or_default();
        after.iter().chain(before).take(WAYS)
    }
}

/// Returns an address as it stands in an entry.
fn octets(ip: IpAddr) -> [u32; 4] {
    let ip: Ipv6Addr = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let bits = ip.to_bits();
    [0, 32, 64, 96].map(|shift| {
        let word = bits.wrapping_shr(shift) & u128::from(u32::MAX);
        u32::try_from(word).unwrap_or(0)
    })
}

/// Returns the clock in seconds, wrapping.
fn seconds(now: Instant) -> u32 {
    low(now.as_micros().checked_div(1_000_000).unwrap_or(0))
}

/// Returns how long ago `at` was; another stack's clock may be ahead by a little.
fn age(now: u32, at: u32) -> u32 {
    now.wrapping_sub(at).cast_signed().max(0).cast_unsigned()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    extern crate std;
    use super::*;

    type Table<const N: usize> = SharedNeighbours<[SharedNeighbour; N]>;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn one_asks_another_hears() {
        let table = Table::<8>::new();
        let table: &SharedNeighbours = &table;
        assert!(!table.is_wanted(ip(1)));
        table.on_ask(ip(1), at(1));
        assert!(table.is_wanted(ip(1)));
        assert_eq!((table.find(ip(1), at(1)), table.changes()), (None, (0, 0)));
        table.on_heard(ip(1), [2; 6], at(2));
        let known = |mac, seconds| {
            let age = Duration::from_secs(seconds);
            Some(Known { mac, age })
        };
        assert_eq!(table.find(ip(1), at(5)), known([2; 6], 3));
        assert_eq!(table.changes(), (1, 0));
        // Questions change nothing that is known, and what is confirmed is no news.
        table.on_ask(ip(1), at(6));
        table.on_heard(ip(1), [2; 6], at(7));
        assert_eq!(table.find(ip(1), at(7)), known([2; 6], 0));
        assert_eq!(table.changes(), (1, 0));
        table.on_heard(ip(1), [3; 6], at(8));
        assert_eq!(table.changes(), (1, 1));
        // What is confirmed after it had to be asked for is news: others wait for it.
        table.on_heard(ip(1), [3; 6], at(60));
        assert_eq!(table.changes(), (2, 1));
        // Of the same numbers, another family.
        assert!(!table.is_wanted(IpAddr::V6(Ipv6Addr::from_bits(0x0a00_0001))));
    }

    #[test]
    fn what_was_confirmed_longest_ago_makes_place() {
        let table = Table::<4>::new();
        let table: &SharedNeighbours = &table;
        for last in 0..6 {
            table.on_heard(ip(last), [2; 6], at(100 + u64::from(last)));
        }
        // 4 took the place of 0, and 5 that of 1.
        let there = |last: &u8| table.is_wanted(ip(*last));
        let all: std::vec::Vec<u8> = (0..6).filter(there).collect();
        assert_eq!(all, [2, 3, 4, 5]);
        let none: &SharedNeighbours = &Table::<0>::new();
        none.on_heard(ip(1), [2; 6], at(1));
        assert_eq!(none.find(ip(1), at(1)), None);
    }

    /// Threads write and read the same few entries: whatever is found belongs together.
    #[test]
    fn nothing_is_found_by_halves() {
        static TABLE: Table<2> = Table::new();
        let table: &SharedNeighbours = &TABLE;
        let threads: std::vec::Vec<_> = (0..4_u8)
            .map(|thread| {
                std::thread::spawn(move || {
                    let mut found = 0;
                    for turn in 0..20_000_u32 {
                        let last = (turn.to_le_bytes()[0] ^ thread) % 8;
                        table.on_heard(ip(last), [last; 6], at(1 + u64::from(last)));
                        let other = (last + 3) % 8;
                        if let Some(known) = table.find(ip(other), at(1 + u64::from(other))) {
                            assert_eq!((known.mac, known.age), ([other; 6], Duration::ZERO));
                            found += 1;
                        }
                    }
                    found
                })
            })
            .collect();
        let found: u32 = threads.into_iter().map(|one| one.join().unwrap_or(0)).sum();
        assert!(found > 0);
    }
}
