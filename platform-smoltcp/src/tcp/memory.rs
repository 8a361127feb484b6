//! The memory of one connection beside its control block: two rings and two tables.
//!
//! Nothing here is kept between calls. The shell lends the slices with each call, always the same
//! memory with the same lengths for one connection, from the call that opens it until it is CLOSED.

use super::outstanding::Outstanding;
use super::segment::Block;

/// The memory of one connection, lent by the shell for one call.
///
/// The lengths are part of the connection: they must be the same in each call from opening on. So
/// must the memory, except that a [quiet](super::Connection::is_quiet) connection uses none.
/// Contents belong to the engine; nobody else changes them.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the shell makes it with each call"
)]
pub struct Buffers<'m> {
    /// The send buffer: what the owner has sent and the peer has not acknowledged. At least one
    /// octet; up to 1 GiB.
    pub send: &'m mut [u8],
    /// The receive buffer: what the owner has not received yet, and what came out of order. At
    /// least one octet; up to 1 GiB. Its length decides the window scale.
    pub receive: &'m mut [u8],
    /// One entry for each segment that is on its way. At least four; no more segments than that
    /// are sent before an acknowledgement comes. Good measure is a quarter more than the send
    /// buffer holds segments. No more than 65,535 are used.
    pub outstanding: &'m mut [Outstanding],
    /// One entry for each range of octets that came out of order. Without any, what comes out of
    /// order is dropped; 32 are good for large buffers.
    pub ranges: &'m mut [Block],
}

/// Copies `data` into a ring at `position` octets from its start, wrapping; what is longer than the
/// ring is cut.
pub(crate) fn write_ring(ring: &mut [u8], position: u32, data: &[u8]) {
    let at = wrap(ring, position);
    let (low, high) = ring.split_at_mut_checked(at).unwrap_or_default();
    if let Some(place) = high.get_mut(..data.len()) {
        place.copy_from_slice(data);
        return;
    }
    let (first, rest) = data.split_at_checked(high.len()).unwrap_or_default();
    if let Some(place) = high.get_mut(..first.len()) {
        place.copy_from_slice(first);
    }
    let count = rest.len().min(low.len());
    if let (Some(place), Some(rest)) = (low.get_mut(..count), rest.get(..count)) {
        place.copy_from_slice(rest);
    }
}

/// Returns the `len` octets of a ring at `position` as two slices, the second often empty.
pub(crate) fn read_ring(ring: &[u8], position: u32, len: u32) -> [&[u8]; 2] {
    let at = wrap(ring, position);
    let (low, high) = ring.split_at_checked(at).unwrap_or_default();
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(ring.len());
    let first = high.get(..len.min(high.len())).unwrap_or_default();
    let second = low
        .get(..len.saturating_sub(first.len()))
        .unwrap_or_default();
    [first, second]
}

/// Returns the position `octets` further on in a ring.
pub(crate) fn advance(ring: &[u8], position: u32, octets: u32) -> u32 {
    // Once round at most: neither exceeds the ring's length.
    let left = capacity(ring).saturating_sub(position);
    match octets.checked_sub(left) {
        Some(round) => round,
        None => position.saturating_add(octets),
    }
}

/// Returns the length of a ring in octets.
pub(crate) fn capacity(ring: &[u8]) -> u32 {
    u32::try_from(ring.len()).unwrap_or(u32::MAX)
}

fn wrap(ring: &[u8], position: u32) -> usize {
    let at = usize::try_from(position).unwrap_or(usize::MAX);
    if at >= ring.len() {
        at.saturating_sub(ring.len())
    } else {
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_wrap() {
        let mut ring = [0; 5];
        write_ring(&mut ring, 3, &[1, 2, 3, 4]);
        assert_eq!(ring, [3, 4, 0, 1, 2]);
        assert_eq!(read_ring(&ring, 3, 4), [&[1, 2][..], &[3, 4]]);
        assert_eq!(read_ring(&ring, 1, 2), [&[4, 0][..], &[]]);
        assert_eq!(advance(&ring, 3, 4), 2);
        assert_eq!(advance(&ring, 0, 5), 0);
        write_ring(&mut ring, 2, &[9; 8]);
        assert_eq!(ring, [9; 5], "more than the ring is cut");
    }
}
