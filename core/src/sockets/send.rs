//! Handing bytes to the platform, and what follows when it does not take them all.

use crate::error::Error;
use crate::id::SocketId;
use crate::platform::Platform;
use crate::pool::flags::{Flags, Phase};
use crate::pool::{Lists, Slot, named};
use crate::stats::widen;

/// Sends the bytes of `parts`, past the cork. Returns how many were taken.
pub(crate) fn send_parts<P: Platform, C>(
    platform: &mut P,
    slots: &mut [Slot<P::Socket, C>],
    lists: &mut Lists,
    id: SocketId,
    parts: &[&[u8]],
) -> usize {
    let Some(slot) = writable(slots, id) else {
        return 0;
    };
    let all = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if all == 0 {
        return 0;
    }
    match platform.send_vectored(&mut slot.socket, parts) {
        Ok(count) => sent(slot, lists, count, all),
        Err(error) => failed(slot, lists, id, error),
    }
}

/// The platform took `count` of `all` bytes.
#[inline]
pub(crate) fn sent<S, C>(
    slot: &mut Slot<S, C>,
    lists: &mut Lists,
    count: usize,
    all: usize,
) -> usize {
    if count < all {
        return sent_part(slot, lists, count);
    }
    lists.stats.sent = lists.stats.sent.wrapping_add(widen(all));
    all
}

#[cold]
#[inline(never)]
fn sent_part<S, C>(slot: &mut Slot<S, C>, lists: &mut Lists, count: usize) -> usize {
    slot.flags.set(Flags::BLOCKED);
    lists.stats.sent = lists.stats.sent.wrapping_add(widen(count));
    count
}

/// The platform could not send: what arrived before is read first, then the socket closes.
#[cold]
#[inline(never)]
pub(crate) fn failed<S, C>(
    slot: &mut Slot<S, C>,
    lists: &mut Lists,
    id: SocketId,
    error: Error,
) -> usize {
    slot.set_phase(Phase::Broken);
    slot.payload = error.to_bits();
    slot.flags.set(Flags::READABLE.with(Flags::HUNG_UP));
    lists.enqueue_slot(slot, id);
    0
}

/// The slot of a socket that can be written to without waiting.
#[inline]
pub(crate) fn writable<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    named(slots, id).filter(|slot| slot.flags.without(Flags::CORKED).are_writable())
}
