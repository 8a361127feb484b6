//! Byte queues for what a peer has not taken yet.

use core::borrow::BorrowMut;

use crate::id::to_index;

/// Which part of some memory is filled: what a byte queue is, apart from its bytes.
///
/// Eight bytes for the data of a socket, while the memory lies in a table beside the pool
/// ([`SocketId::entry`](crate::SocketId::entry)). Memory that nothing was ever held in is never
/// touched then: an idle connection costs these bytes, however long its queue may become.
///
/// ```
/// let mut span = usockets::Span::EMPTY;
/// let mut memory = [0; 8];
/// assert_eq!(span.of(&mut memory).push(b"hello, world"), 8);
/// span.of(&mut memory).consume(5);
/// assert_eq!(span.of(&mut memory).filled(), b", w");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Nothing is filled.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// Joins the span with its memory, which must be the same as long as something is held. Of
    /// memory longer than 4 GiB, the first 4 GiB are used.
    pub const fn of<'a>(&'a mut self, memory: &'a mut [u8]) -> Queue<&'a mut [u8], &'a mut Self> {
        Queue {
            bytes: memory,
            span: self,
        }
    }

    /// Returns the number of bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        to_index(self.end.saturating_sub(self.start))
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// A first-in first-out byte queue that hands out contiguous slices: in memory of its own, which
/// is a [`Buffer`], or in lent memory, by [`Span::of`].
#[derive(Clone, Debug)]
pub struct Queue<B, S> {
    bytes: B,
    span: S,
}

/// A byte queue in `N` bytes of its own.
///
/// ```
/// let mut held = usockets::Buffer::<8>::EMPTY;
/// assert_eq!(held.push(b"hello, world"), 8);
/// held.consume(5);
/// assert_eq!(held.filled(), b", w");
/// ```
pub type Buffer<const N: usize> = Queue<[u8; N], Span>;

impl<const N: usize> Buffer<N> {
    /// A buffer that holds nothing. All zero bytes, so a static of it costs no image space.
    pub const EMPTY: Self = Self {
        bytes: [0; N],
        span: Span::EMPTY,
    };
}

impl<const N: usize> Buffer<N> {
    /// The same queue, borrowed.
    pub(crate) const fn by_ref(&mut self) -> Queue<&mut [u8], &mut Span> {
        self.span.of(&mut self.bytes)
    }
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<B: BorrowMut<[u8]>, S: BorrowMut<Span>> Queue<B, S> {
    /// Returns the free space, after moving what is held to the front. Pair with
    /// [`Self::commit`].
    pub fn spare(&mut self) -> &mut [u8] {
        let bytes = self.bytes.borrow_mut();
        let span = self.span.borrow_mut();
        // Both hold already; stated so that no panic branch is left in `copy_within`.
        let end = to_index(span.end).min(bytes.len());
        let start = to_index(span.start).min(end);
        if start > 0 {
            bytes.copy_within(start..end, 0);
        }
        let held = end.saturating_sub(start);
        *span = Span {
            start: 0,
            end: narrow(held),
        };
        bytes.get_mut(held..).unwrap_or_default()
    }

    /// Keeps the first `count` bytes written into [`Self::spare`]; more than fit means all of it.
    pub fn commit(&mut self, count: usize) {
        let max = self.bytes.borrow().len();
        let span = self.span.borrow_mut();
        span.end = narrow(to_index(span.end).saturating_add(count).min(max));
    }

    /// Drops the oldest `count` bytes; more than held means all of them.
    pub fn consume(&mut self, count: usize) {
        let span = self.span.borrow_mut();
        span.start = span.start.saturating_add(narrow(count)).min(span.end);
        if span.is_empty() {
            *span = Span::EMPTY;
        }
    }

    /// Drops the newest bytes, so that `len` at most are held.
    pub fn truncate(&mut self, len: usize) {
        let span = self.span.borrow_mut();
        span.end = span.end.min(span.start.saturating_add(narrow(len)));
        if span.is_empty() {
            *span = Span::EMPTY;
        }
    }

    /// Drops everything held.
    pub fn clear(&mut self) {
        *self.span.borrow_mut() = Span::EMPTY;
    }

    /// Copies as much of `data` as fits and returns how many bytes that was.
    #[must_use = "bytes that did not fit are lost unless the caller keeps them"]
    pub fn push(&mut self, data: &[u8]) -> usize {
        if data.is_empty() {
            return 0;
        }
        let spare = self.spare();
        let count = data.len().min(spare.len());
        for (to, from) in spare.iter_mut().zip(data) {
            *to = *from;
        }
        self.commit(count);
        count
    }

    /// Returns the bytes held, oldest first, for changing them in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let Span { start, end } = *self.span.borrow();
        let bytes = self.bytes.borrow_mut();
        bytes
            .get_mut(to_index(start)..to_index(end))
            .unwrap_or_default()
    }

    /// Returns the bytes held, oldest first.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        let Span { start, end } = *self.span.borrow();
        let bytes = self.bytes.borrow();
        bytes
            .get(to_index(start)..to_index(end))
            .unwrap_or_default()
    }

    /// Returns the number of bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.borrow().len()
    }

    /// Returns the number of bytes that fit in addition.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.borrow().len().saturating_sub(self.len())
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.borrow().is_empty()
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
