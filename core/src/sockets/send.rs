//! Handing bytes to the platform, and what follows when it does not take them all.

use crate::error::Error;
use crate::event_loop::state::State;
use crate::id::{SocketId, to_index};
use crate::invariant::breach;
use crate::platform::Platform;
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Slot, find, id_of};
use crate::sockets::Net;
use crate::stats::widen;

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Writes to an open socket and returns how many bytes were taken.
    ///
    /// Less than `data.len()` promises an `on_writable`, unless the socket is not open or our
    /// direction is finished. A failure shows as 0 here; `on_close` follows, with the reason,
    /// after what the peer sent before has been delivered.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write(&mut self, id: SocketId, data: &[u8]) -> usize {
        let Some(slot) = find(self.slots, id) else {
            return 0;
        };
        if !slot.flags.are_usual() || data.is_empty() {
            return self.write_rare(id, data);
        }
        match self.platform.send(&mut slot.socket, data) {
            Ok(count) if count == data.len() => {
                self.state.stats.sent = self.state.stats.sent.wrapping_add(widen(count));
                count
            }
            Ok(count) => self.note_part(to_index(id.index()), count, data.len()),
            Err(error) => self.note_broken(to_index(id.index()), error),
        }
    }

    /// Returns true if a write of the socket's came back short, and its `on_writable` is still due.
    #[must_use]
    pub fn is_blocked(&mut self, id: SocketId) -> bool {
        find(self.slots, id).is_some_and(|slot| slot.is_writing() && slot.flags.any(Flags::BLOCKED))
    }

    /// Notes that the platform did not take all of `all` bytes; returns how many. Finds the slot
    /// again by its index, so that the usual path of [`Self::write`] keeps nothing else for it.
    #[cold]
    #[inline(never)]
    fn note_part(&mut self, index: usize, count: usize, all: usize) -> usize {
        match self.slots.get_mut(index) {
            Some(slot) => sent_part(slot, self.state, count, all),
            None => 0,
        }
    }

    /// Notes that the connection broke. Returns the bytes taken, 0.
    #[cold]
    #[inline(never)]
    fn note_broken(&mut self, index: usize, error: Error) -> usize {
        let id = u32::try_from(index)
            .ok()
            .and_then(|index| id_of(self.slots, index));
        match id.zip(self.slots.get_mut(index)) {
            Some((id, slot)) => mark_broken(slot, self.state, id, error),
            None => 0,
        }
    }

    /// Writes to the socket that the running call is about.
    ///
    /// Its index is enough in the usual case: the slot may have a new socket since, but none that
    /// is open before the call returns.
    ///
    /// Always inlined: a handler with several behaviours has several callers, and a call costs 62
    /// instructions, as everything that it could reach has to be in memory (callgrind, 64-byte
    /// echo).
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(crate) fn write_own(&mut self, id: SocketId, data: &[u8]) -> usize {
        let Some(slot) = self.slots.get_mut(to_index(id.index())) else {
            return 0;
        };
        if !slot.flags.are_usual() || data.is_empty() {
            return self.reborrow().write_rare(id, data);
        }
        match self.platform.send(&mut slot.socket, data) {
            Ok(count) if count == data.len() => {
                self.state.stats.sent = self.state.stats.sent.wrapping_add(widen(count));
                count
            }
            Ok(count) => sent_part(slot, self.state, count, data.len()),
            Err(error) => mark_broken(slot, self.state, id, error),
        }
    }

    /// Writes the bytes of `parts` in order, in one system call where the platform can. As
    /// [`Self::write`] otherwise.
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write_vectored(&mut self, id: SocketId, parts: &[&[u8]]) -> usize {
        if self.state.cork.holder == Some(id) {
            return self.write_corked(parts);
        }
        send_parts(self.platform, self.slots, self.state, id, parts)
    }

    /// Writes to a socket of which there is more to say than that it is open.
    fn write_rare(&mut self, id: SocketId, data: &[u8]) -> usize {
        if self.state.cork.holder == Some(id) {
            return self.write_corked(&[data]);
        }
        match find_writable(self.slots, id) {
            Some(slot) if !data.is_empty() => match self.platform.send(&mut slot.socket, data) {
                Ok(count) => sent(slot, self.state, count, data.len()),
                Err(error) => mark_broken(slot, self.state, id, error),
            },
            _ => 0,
        }
    }
}

/// Sends the bytes of `parts`, past the cork. Returns how many were taken.
pub(crate) fn send_parts<P: Platform, C>(
    platform: &mut P,
    slots: &mut [Slot<P::Socket, C>],
    state: &mut State,
    id: SocketId,
    parts: &[&[u8]],
) -> usize {
    let Some(slot) = find_writable(slots, id) else {
        return 0;
    };
    let all = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if all == 0 {
        return 0;
    }
    match platform.send_vectored(&mut slot.socket, parts) {
        Ok(count) => sent(slot, state, count, all),
        Err(error) => mark_broken(slot, state, id, error),
    }
}

/// Notes that the platform took `count` of `all` bytes; returns how many.
#[inline]
pub(crate) fn sent<S, C>(
    slot: &mut Slot<S, C>,
    state: &mut State,
    count: usize,
    all: usize,
) -> usize {
    if count != all {
        return sent_part(slot, state, count, all);
    }
    state.stats.sent = state.stats.sent.wrapping_add(widen(all));
    all
}

/// Notes that the platform did not take all bytes; returns how many.
#[cold]
#[inline(never)]
fn sent_part<S, C>(slot: &mut Slot<S, C>, state: &mut State, count: usize, all: usize) -> usize {
    if count > all {
        breach!(state.stats);
        return sent(slot, state, all, all);
    }
    slot.flags.set(Flags::BLOCKED);
    state.stats.sent = state.stats.sent.wrapping_add(widen(count));
    count
}

/// Notes that the connection broke: what arrived before is read in the next iteration, even if the
/// socket is paused, and then it closes. Returns the bytes taken, 0.
#[cold]
#[inline(never)]
pub(crate) fn mark_broken<S, C>(
    slot: &mut Slot<S, C>,
    state: &mut State,
    id: SocketId,
    error: Error,
) -> usize {
    slot.enter(Phase::Broken, error.to_bits());
    slot.flags.set(Flags::READABLE.with(Flags::READ_TO_END));
    state.run_queue.push_slot(slot, id);
    0
}

/// Returns the slot of a socket that can be written to without waiting.
#[inline]
pub(crate) fn find_writable<S, C>(
    slots: &mut [Slot<S, C>],
    id: SocketId,
) -> Option<&mut Slot<S, C>> {
    find(slots, id).filter(|slot| slot.flags.without(Flags::CORKED).are_writable())
}

/// Returns true if the socket can be written to without waiting, past the cork.
pub(crate) fn is_writable<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> bool {
    find_writable(slots, id).is_some()
}
