//! Buffers for records, leased as the entries of a pool are.

use core::ops::{Deref, DerefMut};

use crate::tls::crypto::provider::{MESSAGE_MAX, SHARE_MAX};
use crate::tls::layer::pool::{Entry, Index, Pool};
use crate::tls::layer::socket::Wait;
use crate::tls::record::protection::{OVERHEAD, RECORD_MAX};
use crate::tls::wire::{copy, copy_whole, part, part_mut};

/// Bytes of a server's answer before its flight: its hello without the key share, two
/// change-cipher-spec records, and what is left.
const HELLO_MAX: usize = 256;
/// Bytes of a message in the smallest record that a peer may want (RFC 8449, section 4): 64, of
/// which one is the type of its content.
const FRAGMENT_MIN: usize = 63;

/// Buffers of one length, and a pool by which they are leased, whose methods are theirs too.
pub(crate) struct Buffers<'s> {
    pool: Pool<'s, Marks>,
    /// One buffer behind the other.
    bytes: &'s mut [u8],
    /// Bytes of each.
    len: usize,
}

impl<'s> Buffers<'s> {
    /// Makes buffers in the caller's memory, as [`Pool::new`] does its entries.
    pub(crate) fn new<const LEN: usize>(
        entries: &'s mut [Entry<Marks>],
        bytes: &'s mut [[u8; LEN]],
        waiting: &'s mut [u64],
    ) -> Self {
        Self {
            pool: Pool::new(entries, waiting, Marks::reset),
            bytes: bytes.as_flattened_mut(),
            len: LEN,
        }
    }

    /// Returns the record in the buffer at `index`.
    pub(crate) fn record(&mut self, index: Index) -> Option<Record<'_>> {
        let start = index.get()?.saturating_mul(self.len);
        let end = start.saturating_add(self.len);
        Some(Record {
            bytes: self.bytes.get_mut(start..end)?,
            marks: self.pool.get(index)?,
        })
    }

    /// Returns how long the messages of a server's flight may be that fits one of these buffers.
    pub(crate) const fn flight_max(&self) -> usize {
        flight_max(self.len)
    }
}

/// Returns how long the messages of a server's flight may be that fits a buffer of `len` bytes
/// behind the hello, in records as small as a client may want them.
const fn flight_max(len: usize) -> usize {
    let room = len.saturating_sub(SHARE_MAX + HELLO_MAX);
    match room.checked_div(FRAGMENT_MIN + OVERHEAD) {
        Some(records) => records.saturating_mul(FRAGMENT_MIN),
        None => 0,
    }
}

const _: () = assert!(
    flight_max(RECORD_MAX) >= MESSAGE_MAX,
    "a buffer of the largest size has room for any flight"
);

impl<'s> Deref for Buffers<'s> {
    type Target = Pool<'s, Marks>;

    fn deref(&self) -> &Self::Target {
        &self.pool
    }
}

impl DerefMut for Buffers<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.pool
    }
}

/// What is where in a buffer. All zero bytes when it is empty.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Marks {
    start: usize,
    end: usize,
    /// Plaintext not delivered yet, and how many bytes from `start` its record takes.
    plain_start: usize,
    plain_end: usize,
    consumed: usize,
    /// Of an input: how its socket's records come.
    wait: Wait,
}

impl Marks {
    pub(crate) const NONE: Self = Self {
        start: 0,
        end: 0,
        plain_start: 0,
        plain_end: 0,
        consumed: 0,
        wait: Wait::NONE,
    };

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
}

/// A record in its buffer.
///
/// As an input it holds bytes from the transport, of which the front may be plaintext that was
/// opened in place; as an output, records that the transport has not taken.
pub(crate) struct Record<'b> {
    bytes: &'b mut [u8],
    marks: &'b mut Marks,
}

impl Record<'_> {
    /// Returns how the socket's records come.
    pub(crate) const fn wait(&self) -> Wait {
        self.marks.wait
    }

    pub(crate) const fn set_wait(&mut self, wait: Wait) {
        self.marks.wait = wait;
    }

    /// Notes that what is left in it, if anything, is a part of a record.
    pub(crate) const fn note_part(&mut self) {
        if !self.is_empty() {
            self.marks.wait = Wait::PART;
        }
    }

    /// Returns the first `len` bytes of [`Self::spare`], which were written but not committed.
    pub(crate) fn uncommitted(&self, len: usize) -> &[u8] {
        let end = self.marks.end.saturating_add(len);
        part(self.bytes, self.marks.end..end)
    }

    /// Forgets everything in it but what is known of the platform.
    pub(crate) const fn clear(&mut self) {
        self.marks.clear();
    }

    /// Makes it ready for another socket.
    pub(crate) const fn reset(&mut self) {
        self.marks.reset();
    }

    /// Returns true if nothing is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.marks.start == self.marks.end
    }

    /// Returns the bytes not used yet.
    pub(crate) fn filled(&self) -> &[u8] {
        part(self.bytes, self.marks.start..self.marks.end)
    }

    /// Returns the bytes not used yet, for opening in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        part_mut(self.bytes, self.marks.start..self.marks.end)
    }

    /// Marks `count` bytes from the front as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.marks.start = self.marks.start.saturating_add(count).min(self.marks.end);
        if self.marks.start == self.marks.end {
            self.clear();
        }
    }

    /// Returns the room behind the bytes, which are moved to the front for it.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.marks.start > 0
            && self.marks.start <= self.marks.end
            && self.marks.end <= self.bytes.len()
        {
            self.bytes.copy_within(self.marks.start..self.marks.end, 0);
            self.marks.end = self.marks.end.saturating_sub(self.marks.start);
            self.marks.start = 0;
        }
        part_mut(self.bytes, self.marks.end..)
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
        self.marks.end = self.marks.end.saturating_add(count).min(self.bytes.len());
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
        self.marks.plain_start = self.marks.start.saturating_add(start);
        self.marks.plain_end = self.marks.plain_start.saturating_add(len);
        self.marks.consumed = consumed;
    }

    /// Moves plaintext to the front of `target` and returns how much; the record it came from is
    /// used when all of it has moved.
    pub(crate) fn deliver(&mut self, target: &mut [u8]) -> usize {
        let plain = part(self.bytes, self.marks.plain_start..self.marks.plain_end);
        let count = plain.len().min(target.len());
        copy_whole(target, part(plain, ..count));
        self.marks.plain_start = self.marks.plain_start.saturating_add(count);
        if self.marks.plain_start >= self.marks.plain_end {
            let consumed = core::mem::take(&mut self.marks.consumed);
            self.marks.plain_start = 0;
            self.marks.plain_end = 0;
            self.consume(consumed);
        }
        count
    }

    /// Returns true if plaintext waits to be delivered.
    pub(crate) const fn has_plain(&self) -> bool {
        self.marks.plain_start < self.marks.plain_end
    }
}

#[cfg(feature = "search")]
impl core::hash::Hash for Marks {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self {
            start,
            end,
            plain_start,
            plain_end,
            consumed,
            wait,
        } = self;
        // Places count from the front of what is there, and so does the plaintext in it.
        end.saturating_sub(*start).hash(into);
        plain_start.saturating_sub(*start).hash(into);
        plain_end.saturating_sub(*start).hash(into);
        (consumed, wait).hash(into);
    }
}

#[cfg(feature = "search")]
impl core::hash::Hash for Buffers<'_> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        self.pool.hash(into);
        // What was in a buffer before is not read again.
        for (marks, bytes) in self.pool.values().zip(self.bytes.chunks(self.len)) {
            part(bytes, marks.start..marks.end).hash(into);
        }
    }
}

#[cfg(feature = "search")]
impl Buffers<'_> {
    /// Makes these buffers what `other`'s are; false if they are of other lengths.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        use crate::tls::layer::search::copy_all;
        self.pool.copy_from(&other.pool) && copy_all(self.bytes, other.bytes)
    }
}
