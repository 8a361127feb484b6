//! The memory that a TLS layer leases to its connections.

use crate::time::Instant;
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::exchange::Handshake;
use crate::tls::layer::pool::{Entry, Pool};
use crate::tls::layer::slab::{ExchangePlace, ParkingPlace, Slab};
use crate::tls::layer::socket::Wait;
use crate::tls::record::protection::RECORD_MAX;
use crate::tls::wire::{copy, copy_whole, part, part_mut};

/// Everything that a [`Tls`](crate::tls::Tls) layer leases, handed over once.
///
/// - `SOCKETS`: connections that may wait for their turn at once. With the pool's number of
///   sockets none is ever turned away; 24 bytes each.
/// - `HANDSHAKES`: hellos that may be answered at once, and handshakes that take longer: of
///   clients, and of servers that wait for a signature or for what has no place to be parked; the
///   others wait. 9,328 bytes each.
/// - `INPUTS`: records that may be read at once. One that has come in part takes an input as long
///   as half of them are free, or of a connection whose last one came as a whole, as long as
///   another is; then it waits in the platform. 16.3 KiB each.
/// - `OUTPUTS`: connections whose peers may be slow to take what was sent at once; the others
///   cannot write meanwhile. 16.3 KiB each.
///
/// Each number is at least 1 and of use up to 65,535. All zero bytes, so a static one takes no
/// space in the image.
pub struct TlsMemory<
    C: Crypto,
    const SOCKETS: usize,
    const HANDSHAKES: usize,
    const INPUTS: usize,
    const OUTPUTS: usize,
> {
    handshakes: [Entry<Handshake<C>>; HANDSHAKES],
    inputs: [Entry<Record>; INPUTS],
    outputs: [Entry<Record>; OUTPUTS],
    waiting: [[u64; SOCKETS]; 3],
}

impl<C: Crypto, const S: usize, const H: usize, const I: usize, const O: usize>
    TlsMemory<C, S, H, I, O>
{
    /// Memory with nothing leased.
    pub const NEW: Self = {
        assert!(
            S > 0 && H > 0 && I > 0 && O > 0,
            "each number is at least 1"
        );
        Self {
            handshakes: [const { Entry::new(Handshake::EMPTY) }; H],
            inputs: [const { Entry::new(Record::EMPTY) }; I],
            outputs: [const { Entry::new(Record::EMPTY) }; O],
            waiting: [[0; S]; 3],
        }
    };

    /// Takes back what was leased before, and makes pools of it all for one layer.
    pub(crate) fn pools(&mut self) -> Pools<'_, C> {
        let Self {
            handshakes,
            inputs,
            outputs,
            waiting,
        } = self;
        let [for_handshakes, for_inputs, for_outputs] = waiting;
        Pools {
            handshakes: Pool::new(handshakes, for_handshakes, Handshake::reset),
            parked: Slab::new(&mut []),
            exchanges: Slab::new(&mut []),
            inputs: Pool::new(inputs, for_inputs, Record::reset),
            outputs: Pool::new(outputs, for_outputs, Record::reset),
        }
    }
}

impl<C: Crypto, const S: usize, const H: usize, const I: usize, const O: usize> Default
    for TlsMemory<C, S, H, I, O>
{
    fn default() -> Self {
        Self::NEW
    }
}

/// What a layer leases.
pub(crate) struct Pools<'s, C: Crypto> {
    pub(crate) handshakes: Pool<'s, Handshake<C>>,
    /// Nobody waits for these: who gets none keeps what it has leased.
    pub(crate) parked: Slab<'s, ParkingPlace>,
    /// Likewise, of which each has more.
    pub(crate) exchanges: Slab<'s, ExchangePlace<C>>,
    pub(crate) inputs: Pool<'s, Record>,
    pub(crate) outputs: Pool<'s, Record>,
}

impl<C: Crypto> Pools<'_, C> {
    /// Sets the time, by which leases end.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.handshakes.set_now(now.as_micros());
        self.inputs.set_now(now.as_micros());
        self.outputs.set_now(now.as_micros());
        self.parked.set_now(now.as_micros());
        self.exchanges.set_now(now.as_micros());
    }

    /// Starts an iteration; returns when the next lease will be over, in microseconds, if others
    /// wait for it.
    pub(crate) fn begin_iteration(&mut self, lease_max: u64) -> Option<u64> {
        let dues = [
            self.handshakes.begin_iteration(lease_max),
            self.inputs.begin_iteration(lease_max),
            self.outputs.begin_iteration(lease_max),
            // Whoever found no place to park in may find one now.
            match self.has_room_to_park() {
                true => self.handshakes.ask_oldest(),
                false => None,
            },
        ];
        dues.into_iter().flatten().min()
    }

    /// Returns when a socket is next to be reported, in microseconds; in the past if one is now.
    pub(crate) fn due(&self, lease_max: u64) -> Option<u64> {
        let dues = [
            self.handshakes.due(lease_max),
            self.inputs.due(lease_max),
            self.outputs.due(lease_max),
            match self.has_room_to_park() {
                true => self.handshakes.ask_due(),
                false => None,
            },
        ];
        dues.into_iter().flatten().min()
    }

    /// Returns true if a handshake may find a place without a lease.
    fn has_room_to_park(&self) -> bool {
        self.parked.has_room() || self.exchanges.has_room()
    }

    /// Returns how many sockets are to be reported.
    pub(crate) fn reports(&self) -> u32 {
        let reports = [
            self.handshakes.reports(),
            self.inputs.reports(),
            self.outputs.reports(),
        ];
        let sum = |sum: u32, count: &u16| sum.saturating_add(u32::from(*count));
        reports.iter().fold(0, sum)
    }
}

/// Room for one record of the largest size.
///
/// As an input it holds bytes from the transport, of which the front may be plaintext that was
/// opened in place; as an output, records that the transport has not taken.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Record {
    bytes: [u8; RECORD_MAX],
    start: usize,
    end: usize,
    /// Plaintext not delivered yet, and how many bytes from `start` its record takes.
    plain_start: usize,
    plain_end: usize,
    consumed: usize,
    /// Of an input: how its socket's records come.
    wait: Wait,
}

impl Record {
    #[expect(
        clippy::large_stack_arrays,
        reason = "a constant, only ever the content of a static or of its caller's memory"
    )]
    const EMPTY: Self = Self {
        bytes: [0; RECORD_MAX],
        start: 0,
        end: 0,
        plain_start: 0,
        plain_end: 0,
        consumed: 0,
        wait: Wait::NONE,
    };

    /// Returns how the socket's records come.
    pub(crate) const fn wait(&self) -> Wait {
        self.wait
    }

    pub(crate) const fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Notes that what is left in it, if anything, is a part of a record.
    pub(crate) const fn note_part(&mut self) {
        if !self.is_empty() {
            self.wait = Wait::PART;
        }
    }

    /// Returns the first `len` bytes of [`Self::spare`], which were written but not committed.
    pub(crate) fn uncommitted(&self, len: usize) -> &[u8] {
        let end = self.end.saturating_add(len);
        part(&self.bytes, self.end..end)
    }

    /// Forgets everything in it but what is known of the platform.
    pub(crate) const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.plain_start = 0;
        self.plain_end = 0;
        self.consumed = 0;
    }

    /// Makes it ready for another socket.
    pub(crate) const fn reset(&mut self) {
        self.clear();
        self.wait = Wait::NONE;
    }

    /// Returns true if nothing is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the bytes not used yet.
    pub(crate) fn filled(&self) -> &[u8] {
        part(&self.bytes, self.start..self.end)
    }

    /// Returns the bytes not used yet, for opening in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        part_mut(&mut self.bytes, self.start..self.end)
    }

    /// Marks `count` bytes from the front as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Returns the room behind the bytes, which are moved to the front for it.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 && self.start <= self.end && self.end <= RECORD_MAX {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        part_mut(&mut self.bytes, self.end..)
    }

    /// Returns as much of that room as makes `most` bytes of those that are there.
    pub(crate) fn spare_up_to(&mut self, most: usize) -> &mut [u8] {
        let room = most.saturating_sub(self.filled().len());
        let spare = self.spare();
        let room = room.min(spare.len());
        part_mut(spare, ..room)
    }

    /// Counts `count` bytes that were written to [`Self::spare`].
    pub(crate) fn commit(&mut self, count: usize) {
        // A platform that breaks its contract may tell of more than there was room for.
        self.end = self.end.saturating_add(count).min(RECORD_MAX);
    }

    /// Adds `bytes` behind those that are there, unless they do not fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if copy(self.spare(), bytes) {
            self.commit(bytes.len());
        }
    }

    /// Notes that the record at the front, `consumed` bytes long, has `len` bytes of plaintext
    /// from its byte `start` on.
    pub(crate) const fn set_plain(&mut self, start: usize, len: usize, consumed: usize) {
        self.plain_start = self.start.saturating_add(start);
        self.plain_end = self.plain_start.saturating_add(len);
        self.consumed = consumed;
    }

    /// Moves plaintext to the front of `target` and returns how much; the record it came from is
    /// used when all of it has moved.
    pub(crate) fn deliver(&mut self, target: &mut [u8]) -> usize {
        let plain = part(&self.bytes, self.plain_start..self.plain_end);
        let count = plain.len().min(target.len());
        copy_whole(target, part(plain, ..count));
        self.plain_start = self.plain_start.saturating_add(count);
        if self.plain_start >= self.plain_end {
            let consumed = core::mem::take(&mut self.consumed);
            self.plain_start = 0;
            self.plain_end = 0;
            self.consume(consumed);
        }
        count
    }

    /// Returns true if plaintext waits to be delivered.
    pub(crate) const fn has_plain(&self) -> bool {
        self.plain_start < self.plain_end
    }
}

#[cfg(feature = "search")]
impl core::hash::Hash for Record {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self {
            bytes,
            start,
            end,
            plain_start,
            plain_end,
            consumed,
            wait,
        } = self;
        // Places count from the front of what is there, and so does the plaintext in it; what was
        // there before is not read again.
        part(bytes, *start..*end).hash(into);
        plain_start.saturating_sub(*start).hash(into);
        plain_end.saturating_sub(*start).hash(into);
        (consumed, wait).hash(into);
    }
}

#[cfg(feature = "search")]
impl<C: Crypto + Clone> Pools<'_, C>
where
    C::Room: Clone,
{
    /// Makes these pools what `other`'s are; false if they are of other lengths.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        self.handshakes.copy_from(&other.handshakes)
            && self.inputs.copy_from(&other.inputs)
            && self.outputs.copy_from(&other.outputs)
            && self.parked.copy_from(&other.parked)
            && self.exchanges.copy_from(&other.exchanges)
    }
}

#[cfg(feature = "search")]
impl<C: Crypto + core::hash::Hash> core::hash::Hash for Pools<'_, C> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self {
            handshakes,
            parked,
            exchanges,
            inputs,
            outputs,
        } = self;
        handshakes.hash(into);
        (parked, exchanges).hash(into);
        (inputs, outputs).hash(into);
    }
}
