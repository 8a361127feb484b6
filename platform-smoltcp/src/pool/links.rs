//! What a slot gives to the containers it is in.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// A slot that containers link.
pub(crate) trait Node {
    /// What a table finds it by.
    type Key: Copy;

    /// Lends its links.
    fn links(&self) -> &Links;

    /// Lends its links for changing.
    fn links_mut(&mut self) -> &mut Links;

    /// Returns true if the slot is the one with this key.
    fn has_key(&self, key: &Self::Key) -> bool;
}

/// Places in the containers. 36 bytes with padding.
#[derive(Debug)]
pub(crate) struct Links {
    /// The table: next in the bucket.
    pub(super) chain: u32,
    /// The ring it is in.
    pub(super) ring_next: u32,
    /// The ring of those to report.
    pub(super) ready_next: u32,
    /// The list it is in.
    pub(super) prev: u32,
    pub(super) next: u32,
    /// The timing wheel.
    pub(super) timer_due: u32,
    pub(super) timer_prev: u32,
    pub(super) timer_next: u32,
    pub(super) timer_place: u8,
    pub(super) marks: Marks,
}

impl Links {
    /// In no container.
    pub(crate) const NONE: Self = Self {
        chain: NONE,
        ring_next: NONE,
        ready_next: NONE,
        prev: NONE,
        next: NONE,
        timer_due: 0,
        timer_prev: NONE,
        timer_next: NONE,
        timer_place: 0,
        marks: Marks(0),
    };

    /// Returns true if the slot is in a container of the kind that `mark` names.
    #[inline]
    pub(crate) const fn has(&self, mark: u8) -> bool {
        self.marks.has(mark)
    }

    /// Returns the next slot of the list that this one is in.
    pub(crate) const fn next(&self) -> Option<u32> {
        if self.next == NONE {
            None
        } else {
            Some(self.next)
        }
    }

    /// Returns the tick of its deadline, if it has one.
    #[inline]
    pub(crate) const fn due(&self) -> Option<u32> {
        if self.marks.has(Marks::TIMED) {
            Some(self.timer_due)
        } else {
            None
        }
    }
}

/// Which containers a slot is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Marks(u8);

impl Marks {
    /// In a ring.
    pub(crate) const QUEUED: u8 = 1;
    /// That ring is the second of the two that share the links.
    pub(crate) const BLOCKED: u8 = 2;
    /// In the ring of those to report.
    pub(crate) const READY: u8 = 4;
    /// In the timing wheel.
    pub(crate) const TIMED: u8 = 8;
    /// In the table.
    pub(crate) const LISTED: u8 = 16;

    #[inline]
    pub(super) const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    #[inline]
    pub(super) const fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    #[inline]
    pub(super) const fn clear(&mut self, mark: u8) {
        self.0 &= !mark;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A slot with nothing but links, whose key is a number.
    pub(crate) struct Bare {
        pub(crate) links: Links,
        pub(crate) key: u32,
    }

    impl Bare {
        pub(crate) const fn new(key: u32) -> Self {
            Self {
                links: Links::NONE,
                key,
            }
        }
    }

    impl Node for Bare {
        type Key = u32;

        fn links(&self) -> &Links {
            &self.links
        }

        fn links_mut(&mut self) -> &mut Links {
            &mut self.links
        }

        fn has_key(&self, key: &u32) -> bool {
            self.key == *key
        }
    }
}
