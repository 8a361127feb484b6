//! A byte queue for what a peer has not taken yet.

/// A first-in first-out byte buffer of `N` bytes that hands out contiguous slices.
///
/// ```
/// let mut held = usockets::Buffer::<8>::EMPTY;
/// assert_eq!(held.push(b"hello, world"), 8);
/// held.consume(5);
/// assert_eq!(held.filled(), b", w");
/// ```
#[derive(Clone, Debug)]
pub struct Buffer<const N: usize> {
    bytes: [u8; N],
    start: usize,
    end: usize,
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> Buffer<N> {
    /// A buffer that holds nothing. All zero bytes, so a static of it costs no image space.
    pub const EMPTY: Self = Self {
        bytes: [0; N],
        start: 0,
        end: 0,
    };

    /// Returns the free space, after moving what is held to the front. Pair with
    /// [`Self::commit`].
    pub fn spare(&mut self) -> &mut [u8] {
        // Both hold already; stated so that no panic branch is left in `copy_within`.
        let end = self.end.min(N);
        let start = self.start.min(end);
        self.bytes.copy_within(start..end, 0);
        self.end = end.saturating_sub(start);
        self.start = 0;
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Keeps the first `count` bytes written into [`Self::spare`]; more than fit means all of it.
    pub fn commit(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(N);
    }

    /// Drops the oldest `count` bytes; more than held means all of them.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Drops everything held.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
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
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Returns the bytes held, oldest first.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the number of bytes held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Returns the number of bytes that fit in addition.
    #[must_use]
    pub const fn room(&self) -> usize {
        N.saturating_sub(self.len())
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }
}
