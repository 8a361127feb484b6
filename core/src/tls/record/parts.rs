//! Bytes that lie in several places.

use crate::tls::wire::split;

/// The rest of several slices, read as if they were one.
pub(crate) struct Parts<'a> {
    first: &'a [u8],
    rest: &'a [&'a [u8]],
}

impl<'a> Parts<'a> {
    pub(crate) const fn new(parts: &'a [&'a [u8]]) -> Self {
        Self {
            first: &[],
            rest: parts,
        }
    }

    /// Takes at most `max` bytes that lie together; an empty slice only when none are left.
    pub(crate) fn take(&mut self, max: usize) -> &'a [u8] {
        if self.is_empty() {
            return &[];
        }
        let (taken, first) = split(self.first, max.min(self.first.len()));
        self.first = first;
        taken
    }

    /// Returns whether no bytes are left.
    pub(crate) fn is_empty(&mut self) -> bool {
        while self.first.is_empty() {
            let Some((first, rest)) = self.rest.split_first() else {
                return true;
            };
            self.first = first;
            self.rest = rest;
        }
        false
    }
}
