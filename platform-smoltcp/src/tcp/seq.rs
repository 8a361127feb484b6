//! Sequence numbers, which wrap (RFC 9293, section 3.4).

/// A sequence number: 32 bits, compared modulo 2^32.
///
/// Two of them can be compared only if they lie less than 2^31 apart, which no window exceeds
/// (RFC 7323, section 2.3). There is no order on all of them, hence no `Ord`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Seq(u32);

impl Seq {
    /// Makes a sequence number from the field of a header.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number as it stands in a header.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number `octets` further on.
    #[must_use]
    #[inline]
    pub const fn plus(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }

    /// Returns the number `octets` further back.
    #[must_use]
    #[inline]
    pub const fn minus(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }

    /// Returns how many octets lie between `earlier` and this number. Meaningless when `earlier` is
    /// the later one: then the result is 2^31 or more.
    #[must_use]
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Returns true if this number comes before `other`.
    #[must_use]
    #[inline]
    pub const fn is_before(self, other: Self) -> bool {
        self.since(other) > i32::MAX.cast_unsigned()
    }

    /// Returns true if this number comes after `other`.
    #[must_use]
    #[inline]
    pub const fn is_after(self, other: Self) -> bool {
        other.is_before(self)
    }

    /// Returns the later of two.
    #[must_use]
    #[inline]
    pub const fn later(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }

    /// Returns the earlier of two.
    #[must_use]
    #[inline]
    pub const fn earlier(self, other: Self) -> Self {
        if self.is_before(other) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_wrap() {
        let (last, first) = (Seq::new(u32::MAX), Seq::new(0));
        assert!(last.is_before(first) && first.is_after(last));
        assert_eq!(last.plus(1), first);
        assert_eq!(first.since(last), 1);
        assert_eq!((last.later(first), last.earlier(first)), (first, last));
        assert!(!first.is_before(first) && !first.is_after(first));
    }
}
