//! Bounds-checked reading and writing of TLS's presentation language (RFC 8446, section 3).

use core::slice::SliceIndex;

use crate::invariant::{impossible, invariant};
use crate::tls::alert::Alert;

/// What is left to read of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes `len` bytes. Like every method here it fails with `decode_error` if there are fewer.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Alert> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Alert::DECODE_ERROR)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Alert> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Alert::DECODE_ERROR)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Alert> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Alert> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Alert> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Alert> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<usize, Alert> {
        let [a, b, c] = self.array()?;
        length(u32::from_be_bytes([0, a, b, c]))
    }

    /// Takes a vector with a one-byte length.
    pub(crate) fn vector8(&mut self) -> Result<&'a [u8], Alert> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// Takes a vector with a two-byte length.
    pub(crate) fn vector16(&mut self) -> Result<&'a [u8], Alert> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Takes a vector with a three-byte length.
    pub(crate) fn vector24(&mut self) -> Result<&'a [u8], Alert> {
        let len = self.u24()?;
        self.take(len)
    }

    /// Takes a non-empty list of two-byte numbers that fills the rest of the message.
    pub(crate) fn numbers16(&mut self) -> Result<&'a [u8], Alert> {
        let list = self.vector16()?;
        self.end()?;
        even(list)
    }

    /// Takes all that is left.
    pub(crate) fn all(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Checks that everything has been read.
    pub(crate) const fn end(&self) -> Result<(), Alert> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Alert::DECODE_ERROR)
        }
    }
}

/// Checks that a list of two-byte numbers is whole and not empty.
pub(crate) const fn even(list: &[u8]) -> Result<&[u8], Alert> {
    if list.is_empty() || !list.len().is_multiple_of(2) {
        return Err(Alert::DECODE_ERROR);
    }
    Ok(list)
}

/// Iterates over a list of two-byte numbers.
pub(crate) fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + '_ {
    list.as_chunks()
        .0
        .iter()
        .map(|pair| u16::from_be_bytes(*pair))
}

fn length(len: u32) -> Result<usize, Alert> {
    usize::try_from(len).map_err(|_| Alert::DECODE_ERROR)
}

/// Copies `source` to the front of `target`; `false`, and nothing happened, if it does not fit.
#[must_use]
pub(crate) fn copy(target: &mut [u8], source: &[u8]) -> bool {
    let Some(front) = target.get_mut(..source.len()) else {
        return false;
    };
    front.copy_from_slice(source);
    true
}

/// Returns a part of `items`, all of which the caller knows to be there.
///
/// Inlined like the others of its kind, so that callers see its length: or else a copy of it would
/// check that, and a panic could be reached.
#[inline(always)]
#[track_caller]
pub(crate) fn part<T, I: SliceIndex<[T], Output = [T]>>(items: &[T], range: I) -> &[T] {
    match items.get(range) {
        Some(part) => part,
        None => {
            impossible!("a part is beyond the end");
            &[]
        }
    }
}

/// As [`part`], for writing.
#[inline(always)]
#[track_caller]
pub(crate) fn part_mut<T, I: SliceIndex<[T], Output = [T]>>(items: &mut [T], range: I) -> &mut [T] {
    match items.get_mut(range) {
        Some(part) => part,
        None => {
            impossible!("a part is beyond the end");
            &mut []
        }
    }
}

/// Splits `bytes` at a place that the caller knows to be there.
#[inline(always)]
#[track_caller]
pub(crate) fn split(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    match bytes.split_at_checked(at) {
        Some(parts) => parts,
        None => {
            impossible!("bytes are split beyond their end");
            (&[], &[])
        }
    }
}

/// As [`split`], for writing.
#[inline(always)]
#[track_caller]
pub(crate) fn split_mut(bytes: &mut [u8], at: usize) -> (&mut [u8], &mut [u8]) {
    match bytes.split_at_mut_checked(at) {
        Some(parts) => parts,
        None => {
            impossible!("bytes are split beyond their end");
            (&mut [], &mut [])
        }
    }
}

/// Copies `source` to the front of `target`, where the caller knows that it fits.
#[inline(always)]
#[track_caller]
pub(crate) fn copy_whole(target: &mut [u8], source: &[u8]) {
    let fits = copy(target, source);
    invariant!(fits, "a copy does not fit");
}

/// Returns a number that the caller knows to fit its type.
#[inline(always)]
#[track_caller]
pub(crate) fn fit<T: Default + TryFrom<usize>>(number: usize) -> T {
    match T::try_from(number) {
        Ok(number) => number,
        Err(_) => {
            impossible!("a number does not fit its type");
            T::default()
        }
    }
}

/// Bytes on their way out, in a buffer of the caller's.
///
/// Every method that adds fails with `internal_error` when the buffer is full.
#[derive(Debug)]
pub struct Output<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Output<'a> {
    /// Starts an output that writes from the front of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Goes on with an output that has `len` bytes in `buffer`, which has at least as many.
    pub(crate) const fn behind(buffer: &'a mut [u8], len: usize) -> Self {
        Self { buffer, len }
    }

    /// Returns the number of bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether nothing has been written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what has been written.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        part(self.buffer, ..self.len)
    }

    /// Returns how many more bytes fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// Returns what has been written from `start` on.
    pub(crate) fn written(&self, start: usize) -> Result<&[u8], Alert> {
        self.buffer
            .get(start..self.len)
            .ok_or(Alert::INTERNAL_ERROR)
    }

    pub(crate) fn written_mut(&mut self, start: usize, len: usize) -> Result<&mut [u8], Alert> {
        self.buffer
            .get_mut(start..)
            .and_then(|tail| tail.get_mut(..len))
            .ok_or(Alert::INTERNAL_ERROR)
    }

    /// Returns the unused rest of the buffer; [`Self::commit`] tells how much was used.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        part_mut(self.buffer, self.len..)
    }

    pub(crate) fn commit(&mut self, len: usize) -> Result<(), Alert> {
        if len > self.room() {
            return Err(Alert::INTERNAL_ERROR);
        }
        self.len = self.len.saturating_add(len);
        Ok(())
    }

    /// Adds what `body` writes, or nothing if it fails.
    pub(crate) fn all_or_nothing<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, Alert>,
    ) -> Result<T, Alert> {
        let len = self.len;
        let written = body(self);
        if written.is_err() {
            self.len = len;
        }
        written
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Alert> {
        if !copy(self.spare(), bytes) {
            return Err(Alert::INTERNAL_ERROR);
        }
        self.commit(bytes.len())
    }

    pub(crate) fn u8(&mut self, number: u8) -> Result<(), Alert> {
        self.put(&[number])
    }

    pub(crate) fn u16(&mut self, number: u16) -> Result<(), Alert> {
        self.put(&number.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, number: u32) -> Result<(), Alert> {
        self.put(&number.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, number: u64) -> Result<(), Alert> {
        self.put(&number.to_be_bytes())
    }

    /// Adds a vector with a one-byte length, whose content `body` writes.
    pub(crate) fn vector8(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        self.vector::<1>(body)
    }

    /// Adds a vector with a two-byte length, whose content `body` writes.
    pub(crate) fn vector16(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        self.vector::<2>(body)
    }

    /// Adds a vector with a three-byte length, whose content `body` writes.
    pub(crate) fn vector24(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        self.vector::<3>(body)
    }

    fn vector<const W: usize>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        let at = self.len;
        self.put(&[0; W])?;
        let start = self.len;
        body(self)?;
        let len = u32::try_from(self.len.saturating_sub(start))
            .map_err(|_| Alert::INTERNAL_ERROR)?
            .to_be_bytes();
        let (high, low) = len.split_last_chunk::<W>().ok_or(Alert::INTERNAL_ERROR)?;
        if high.iter().any(|byte| *byte != 0) {
            return Err(Alert::INTERNAL_ERROR);
        }
        self.written_mut(at, W)?.copy_from_slice(low);
        Ok(())
    }
}
/// A number that tells byte strings apart which a program itself has made or verified (FNV-1a). All
/// zero bytes if there are none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) const NONE: Self = Self(0);
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

    /// Adds bytes behind those before.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut sum = self.0 ^ Self::BASIS;
        for byte in bytes {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.0 = sum ^ Self::BASIS;
    }

    pub(crate) const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(pieces: &[&[u8]]) -> Sum {
        let mut sum = Sum::NONE;
        for piece in pieces {
            sum.add(piece);
        }
        sum
    }

    #[test]
    fn a_sum_is_of_the_bytes_and_not_of_their_pieces() {
        assert_eq!(sum(&[]), sum(&[&[], &[]]));
        assert_eq!(sum(&[b"ab", b"c"]), sum(&[b"a", b"", b"bc"]));
        assert_ne!(sum(&[b"ab"]), sum(&[b"ba"]));
        // Of FNV-1a (`draft-eastlake-fnv`), but for where it starts from.
        let [a, basis] = [0xaf63_dc4c_8601_ec8c, Sum::BASIS];
        assert_eq!(sum(&[b"a"]), Sum(a ^ basis));
    }
}
