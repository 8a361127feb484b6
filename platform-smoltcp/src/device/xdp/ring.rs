//! The four rings of an AF_XDP socket, each with one producer and one consumer, of which the kernel
//! is the other (`linux/if_xdp.h`; the kernel's `Documentation/networking/af_xdp.rst`).
//!
//! Who produces writes entries, then releases its index; who consumes acquires that index, reads,
//! and releases its own. Indices run on through all 32 bits.

use rustix::net::xdp::XdpRingOffset;

use crate::device::region::Region;
use crate::number::place;

/// Bytes of an address of the fill and the completion ring, and of a descriptor of the other two
/// (`struct xdp_desc`).
pub(crate) const ADDRESS_LEN: usize = 8;
pub(crate) const DESCRIPTOR_LEN: usize = 16;
/// `XDP_RING_NEED_WAKEUP`.
const NEED_WAKEUP: u32 = 1;
/// `XDP_PKT_CONTD`: the frame goes on in the next descriptor.
const CONTINUED: u32 = 1;
/// `XDP_TX_METADATA`: before the frame stands what is to be done with it.
const HAS_METADATA: u32 = 1 << 1;

/// A part of a frame, or all of it: where in the shared memory, and whether more follows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Descriptor {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) continued: bool,
}

/// Where in the region of a ring is what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    pub(crate) flags: Option<usize>,
    pub(crate) entries: usize,
}

impl Layout {
    /// Returns what the kernel says; `None` for offsets that no region has.
    pub(crate) fn new(offsets: &XdpRingOffset) -> Option<Self> {
        let at = |offset: u64| usize::try_from(offset).ok();
        Some(Self {
            producer: at(offsets.producer)?,
            consumer: at(offsets.consumer)?,
            flags: offsets.flags.and_then(at),
            entries: at(offsets.desc)?,
        })
    }
}

/// One side of a ring.
pub(crate) struct Ring {
    region: Region,
    layout: Layout,
    entry_len: usize,
    size: u32,
    /// Our index: as the producer what is written, as the consumer what is read.
    own: u32,
}

impl Ring {
    /// Makes our side of a ring of `size` entries, a power of two, nothing in it.
    pub(crate) const fn new(region: Region, layout: Layout, entry_len: usize, size: u32) -> Self {
        Self {
            region,
            layout,
            entry_len,
            size,
            own: 0,
        }
    }

    fn entry(&self, index: u32) -> usize {
        let place = place(index & self.size.wrapping_sub(1)).saturating_mul(self.entry_len);
        self.layout.entries.saturating_add(place)
    }

    /// As the producer, returns how many entries the consumer has not taken.
    pub(crate) fn pending(&self) -> u32 {
        let taken = self.region.acquire(self.layout.consumer);
        self.own.wrapping_sub(taken.unwrap_or(self.own))
    }

    /// As the producer, returns how many entries there is room for.
    pub(crate) fn room(&self) -> u32 {
        self.size.saturating_sub(self.pending())
    }

    /// As the producer, writes an address behind the last entry. There has to be room.
    pub(crate) fn put_address(&mut self, address: u64) {
        let at = self.entry(self.own);
        self.region.store_u64(at, address);
        self.own = self.own.wrapping_add(1);
    }

    /// As the producer, writes a frame or a part of one behind the last entry, before which stands
    /// what is to be done with it or not. There has to be room.
    pub(crate) fn put_part(&mut self, part: Descriptor, has_metadata: bool) {
        let at = self.entry(self.own);
        let metadata = if has_metadata { HAS_METADATA } else { 0 };
        let continued = if part.continued { CONTINUED } else { 0 };
        self.region.store_u64(at, part.address);
        self.region.store(at.saturating_add(8), part.len);
        self.region
            .store(at.saturating_add(12), metadata | continued);
        self.own = self.own.wrapping_add(1);
    }

    /// As the producer, lets the consumer see all entries.
    pub(crate) fn publish(&mut self) {
        self.region.release(self.layout.producer, self.own);
    }

    /// As the consumer, returns how many entries there are.
    pub(crate) fn ready(&self) -> u32 {
        let written = self.region.acquire(self.layout.producer);
        let ready = written.unwrap_or(self.own).wrapping_sub(self.own);
        ready.min(self.size)
    }

    /// As the consumer, takes an address. There has to be one.
    pub(crate) fn take_address(&mut self) -> Option<u64> {
        let address = self.region.load_u64(self.entry(self.own));
        self.own = self.own.wrapping_add(1);
        address
    }

    /// As the consumer, reads the descriptor after `skip` others. There has to be one.
    pub(crate) fn peek(&self, skip: u32) -> Option<Descriptor> {
        let at = self.entry(self.own.wrapping_add(skip));
        let options = self.region.load(at.saturating_add(12))?;
        Some(Descriptor {
            address: self.region.load_u64(at)?,
            len: self.region.load(at.saturating_add(8))?,
            continued: options & CONTINUED != 0,
        })
    }

    /// Returns our index: as the consumer, up to where entries were taken.
    pub(crate) const fn position(&self) -> u32 {
        self.own
    }

    /// As the consumer, goes on by so many descriptors.
    pub(crate) fn skip(&mut self, count: u32) {
        self.own = self.own.wrapping_add(count);
    }

    /// As the consumer, lets the producer have the places of all entries taken.
    pub(crate) fn release(&mut self) {
        self.region.release(self.layout.consumer, self.own);
    }

    /// Returns true if the kernel has to be called to go on with the ring.
    pub(crate) fn needs_wakeup(&self) -> bool {
        let flags = self.layout.flags.and_then(|at| self.region.load(at));
        // Kernels without such flags always want to be called.
        flags.is_none_or(|flags| flags & NEED_WAKEUP != 0)
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "ordinary memory stands for what is shared")]
mod tests {
    use core::ptr::NonNull;

    use super::*;

    const SIZE: u32 = 8;
    const LAYOUT: Layout = Layout {
        producer: 0,
        consumer: 64,
        flags: Some(128),
        entries: 192,
    };
    const LEN: usize = 192 + 8 * DESCRIPTOR_LEN;

    const fn part(address: u64, len: u32, continued: bool) -> Descriptor {
        Descriptor {
            address,
            len,
            continued,
        }
    }

    /// Both sides of a ring, whose indices stand shortly before they wrap.
    fn sides(memory: &mut [u64; LEN / 8]) -> [Ring; 2] {
        let start = 0_u32.wrapping_sub(3);
        let base = NonNull::new(memory.as_mut_ptr().cast()).unwrap();
        [(), ()].map(|()| {
            // SAFETY: the memory outlives both, and the test does not use it otherwise.
            let region = unsafe { Region::of(base, LEN) };
            let mut ring = Ring::new(region, LAYOUT, DESCRIPTOR_LEN, SIZE);
            ring.own = start;
            ring.publish();
            ring.release();
            ring
        })
    }

    #[test]
    fn entries_come_in_order_across_the_wrap_of_the_indices() {
        let mut memory = [0; LEN / 8];
        let [mut producer, mut consumer] = sides(&mut memory);
        let (mut sent, mut seen) = (0, 0);
        for burst in [3, 8, 1, 5, 7, 2, 8] {
            assert_eq!(producer.room(), SIZE);
            for _ in 0..burst {
                producer.put_part(part(u64::from(sent) << 33, sent, sent % 3 == 0), false);
                sent += 1;
            }
            assert_eq!(consumer.ready(), 0, "not published");
            producer.publish();
            assert_eq!((producer.room(), consumer.ready()), (SIZE - burst, burst));
            for skip in 0..burst {
                let descriptor = consumer.peek(skip).unwrap();
                let address = u64::from(seen) << 33;
                assert_eq!((descriptor.address, descriptor.len), (address, seen));
                assert_eq!(descriptor.continued, seen % 3 == 0);
                seen += 1;
            }
            consumer.skip(burst);
            assert_eq!(producer.pending(), burst, "not released");
            consumer.release();
        }
    }

    /// Over threads, so that Miri and ThreadSanitizer see what orders the memory.
    #[test]
    fn entries_are_seen_whole_by_another_thread() {
        extern crate std;
        let mut memory = [0; LEN / 8];
        let [mut producer, mut consumer] = sides(&mut memory);
        let rounds = if cfg!(miri) { 50 } else { 10_000 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..rounds {
                    while producer.room() == 0 {
                        std::thread::yield_now();
                    }
                    producer.put_part(part(u64::from(number), number, false), true);
                    producer.publish();
                }
            });
            let mut next = 0;
            while next < rounds {
                for skip in 0..consumer.ready() {
                    let descriptor = consumer.peek(skip).unwrap();
                    assert_eq!((descriptor.address, descriptor.len), (next.into(), next));
                    next += 1;
                }
                let ready = next.wrapping_sub(consumer.own.wrapping_add(3));
                consumer.skip(ready);
                consumer.release();
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn a_producer_that_lies_does_no_harm() {
        let mut memory = [0; LEN / 8];
        let [mut producer, consumer] = sides(&mut memory);
        producer.own = producer.own.wrapping_add(1_000_000);
        producer.publish();
        assert_eq!(consumer.ready(), SIZE);
        assert_eq!(producer.room(), 0);
    }
}
