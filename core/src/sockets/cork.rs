//! Coalescing the writes of one socket at a time.

use crate::id::SocketId;
use crate::injected_bug::injected_bug;
use crate::platform::Platform;
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::find;
use crate::sockets::Net;
use crate::sockets::send::{is_writable, send_parts};

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Coalesces what is written to the socket from now on into one send, at the end of the
    /// iteration, at [`Self::uncork`], or when another socket is corked, whichever is first.
    ///
    /// The loop's cork buffer ([`Loop::with_cork`](crate::Loop::with_cork)) holds the bytes. It
    /// is one for all sockets, so a peer that takes nothing keeps it until it does or the socket
    /// closes; meanwhile, and without a buffer, corking does nothing and writes go out one by one.
    /// Nor does it for a socket of which our direction has ended.
    pub fn cork(&mut self, id: SocketId) {
        if self.cork.bytes().is_empty() || self.state.cork.holder == Some(id) {
            return;
        }
        if find(self.slots, id).is_none_or(|slot| slot.flags.any(Flags::FINISHED)) {
            return;
        }
        if let Some(holder) = self.state.cork.holder
            && !self.flush_and_uncork(holder)
        {
            return;
        }
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Open
        {
            slot.flags.set(Flags::CORKED);
            self.state.cork.holder = Some(id);
            self.state.has_end_work = true;
        }
    }

    /// Sends what [`Self::cork`] held back.
    pub fn uncork(&mut self, id: SocketId) {
        if self.state.cork.holder == Some(id) {
            let _ = self.flush_and_uncork(id);
        }
    }

    /// Sends what the cork holds. Returns true, and the socket has the cork no more, if that was
    /// all.
    pub(crate) fn flush_and_uncork(&mut self, id: SocketId) -> bool {
        let left = self.flush_cork(id, &[]).0;
        if left == 0 {
            self.state.cork.holder = None;
            self.lift(id, Flags::CORKED);
        }
        left == 0
    }

    /// Forgets what the cork holds of a socket that closes.
    pub(crate) fn discard_cork(&mut self, id: SocketId) {
        if self.state.cork.holder == Some(id) {
            self.state.cork.holder = None;
            self.state.cork.len = 0;
            self.lift(id, Flags::CORKED);
        }
    }

    /// Writes to the socket that has the cork.
    pub(crate) fn write_corked(&mut self, parts: &[&[u8]]) -> usize {
        let mut sum = 0_usize;
        for part in parts {
            let count = self.cork_part(part);
            sum = sum.saturating_add(count);
            if count < part.len() {
                break;
            }
        }
        sum
    }

    /// Holds one part back or, if it does not fit, sends it together with what is held.
    fn cork_part(&mut self, part: &[u8]) -> usize {
        let Some(id) = self.state.cork.holder else {
            return 0;
        };
        if !is_writable(self.slots, id) {
            return 0;
        }
        let room = self.cork.bytes().get_mut(self.state.cork.len..);
        if let Some(room) = room.and_then(|room| room.get_mut(..part.len())) {
            room.copy_from_slice(part);
            self.state.cork.len = self.state.cork.len.saturating_add(part.len());
            return part.len();
        }
        self.flush_cork(id, part).1
    }

    /// Sends what the cork holds, then `more`. Returns how many bytes the cork still holds, and
    /// how many of `more` were taken.
    fn flush_cork(&mut self, id: SocketId, more: &[u8]) -> (usize, usize) {
        // Our end may be waiting for the cork, which must not keep the cork from going out.
        let finished = self.lift(id, Flags::FINISHED);
        let held = self.state.cork.len;
        let cork = self.cork.bytes();
        let mut parts = [cork.get(..held).unwrap_or_default(), more];
        if injected_bug!(ReorderedBytes) {
            parts.reverse();
        }
        let count = send_parts(self.platform, self.slots, self.state, id, &parts);
        let sent = count.min(held);
        // Both hold already; stated so that no panic branch is left in `copy_within`.
        let end = held.min(cork.len());
        cork.copy_within(sent.min(end)..end, 0);
        self.state.cork.len = held.saturating_sub(sent);
        if finished && let Some(slot) = find(self.slots, id) {
            slot.flags.set(Flags::FINISHED);
        }
        (self.state.cork.len, count.saturating_sub(sent))
    }

    /// Clears a flag. Returns true if it was set.
    fn lift(&mut self, id: SocketId, flag: Flags) -> bool {
        find(self.slots, id).is_some_and(|slot| {
            let was = slot.flags.any(flag);
            slot.flags.clear(flag);
            was
        })
    }

    /// Carries on with a cork whose socket has room again. Returns true if the socket is free to
    /// write.
    pub(crate) fn resume_cork(&mut self, id: SocketId) -> bool {
        if self.state.cork.holder != Some(id) {
            return true;
        }
        if !self.flush_and_uncork(id) {
            return false;
        }
        if self.lift(id, Flags::FINISHING) {
            self.finish_now(id);
        }
        true
    }
}
