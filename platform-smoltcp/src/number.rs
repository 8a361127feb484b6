//! Conversions between widths that neither panic nor use `as`.

/// Returns a place in a slice for a 32-bit index. On a 16-bit machine an index that does not fit
/// becomes one that no slice has.
#[inline]
pub(crate) fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Returns a length or place as 32 bits, at most `u32::MAX`.
#[inline]
pub(crate) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Returns the low half.
#[inline]
pub(crate) fn low(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0)
}

/// Returns the lowest 16 bits.
#[inline]
pub(crate) fn low16(bits: u64) -> u16 {
    u16::try_from(bits & u64::from(u16::MAX)).unwrap_or(0)
}

/// Returns the high half.
#[inline]
pub(crate) fn high(bits: u64) -> u32 {
    low(bits >> 32)
}

/// Lends the `N` bytes at `at`; `None` past the end.
#[inline]
pub(crate) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// Returns the big-endian number in the two bytes at `at`; `None` past the end.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    chunk(bytes, at).map(|pair| u16::from_be_bytes(*pair))
}

/// Writes `value` at `at` if it fits, and returns whether it did.
#[inline]
pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> bool {
    let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
        return false;
    };
    *place = value;
    true
}

/// Writes two pieces to the front, one behind the other, if both fit. Mostly the second is empty,
/// since they are what a ring holds.
#[inline]
pub(crate) fn put_pieces(bytes: &mut [u8], [first, second]: [&[u8]; 2]) {
    if let Some((low, high)) = bytes.split_at_mut_checked(first.len()) {
        low.copy_from_slice(first);
        if !second.is_empty()
            && let Some(high) = high.get_mut(..second.len())
        {
            high.copy_from_slice(second);
        }
    }
}
