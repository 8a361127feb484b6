//! Coalescing the writes of one socket at a time.

use crate::id::SocketId;
use crate::net::Net;
use crate::platform::Platform;
use crate::pool::{Flags, named};

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Coalesces what is written to the socket from now on into one send, at the end of the
    /// iteration, at [`Self::uncork`], or when another socket is corked, whichever is first.
    ///
    /// The loop's cork buffer ([`Loop::with_cork`](crate::Loop::with_cork)) holds the bytes. It
    /// is one for all sockets, so a peer that takes nothing keeps it until it does or the socket
    /// closes; meanwhile, and without a buffer, corking does nothing and writes go out one by one.
    pub fn cork(&mut self, id: SocketId) {
        if self.cork.is_empty() || self.lists.corked == Some(id) {
            return;
        }
        if let Some(holder) = self.lists.corked
            && !self.uncorked(holder)
        {
            return;
        }
        if self.is_open(id) {
            self.lists.corked = Some(id);
            self.lists.unsettled = true;
        }
    }

    /// Sends what [`Self::cork`] held back.
    pub fn uncork(&mut self, id: SocketId) {
        if self.lists.corked == Some(id) {
            let _ = self.uncorked(id);
        }
    }

    /// Sends what the cork holds; whether it holds nothing any more.
    pub(crate) fn uncorked(&mut self, id: SocketId) -> bool {
        let left = self.flush_cork(id, &[]).0;
        if left == 0 {
            self.lists.corked = None;
        }
        left == 0
    }

    /// Writes to the socket that has the cork.
    pub(crate) fn write_corked(&mut self, parts: &[&[u8]]) -> usize {
        let Some(id) = self.lists.corked else {
            return 0;
        };
        let held_up = Flags::BLOCKED.with(Flags::FINISHED);
        if !named(self.slots, id).is_some_and(|slot| !slot.flags.any(held_up)) {
            return 0;
        }
        let mut sum = 0_usize;
        for part in parts {
            sum = sum.saturating_add(self.cork_part(id, part));
        }
        sum
    }

    /// Holds one part back or, if it does not fit, sends it together with what is held.
    fn cork_part(&mut self, id: SocketId, part: &[u8]) -> usize {
        let room = self.cork.get_mut(self.lists.cork_len..).unwrap_or_default();
        if let Some(room) = room.get_mut(..part.len()) {
            room.copy_from_slice(part);
            self.lists.cork_len = self.lists.cork_len.saturating_add(part.len());
            return part.len();
        }
        self.flush_cork(id, part).1
    }

    /// Sends what the cork holds, then `more`. Returns how many bytes the cork still holds, and
    /// how many of `more` were taken.
    fn flush_cork(&mut self, id: SocketId, more: &[u8]) -> (usize, usize) {
        let held = self.lists.cork_len;
        let cork = core::mem::take(&mut self.cork);
        let parts = [cork.get(..held).unwrap_or_default(), more];
        // Our end may be waiting for the cork, which must not keep the cork from going out.
        let finished = self.lift(id, Flags::FINISHED);
        let count = self.send_parts(id, &parts);
        if finished && let Some(slot) = named(self.slots, id) {
            slot.flags.set(Flags::FINISHED);
        }
        let sent = count.min(held);
        let left = match self.lists.corked {
            Some(_) => held.saturating_sub(sent),
            // The send failed and closed the socket, and the cork with it.
            None => 0,
        };
        // Both hold already; stated so that no panic branch is left in `copy_within`.
        let end = held.min(cork.len());
        cork.copy_within(sent.min(end)..end, 0);
        self.cork = cork;
        self.lists.cork_len = left;
        (left, count.saturating_sub(sent))
    }

    /// Clears a flag; whether it was set.
    fn lift(&mut self, id: SocketId, flag: Flags) -> bool {
        named(self.slots, id).is_some_and(|slot| {
            let was = slot.flags.any(flag);
            slot.flags.clear(flag);
            was
        })
    }

    /// Carries on with a cork whose socket has room again; whether the socket is free to write.
    pub(crate) fn resume_cork(&mut self, id: SocketId) -> bool {
        if self.lists.corked != Some(id) {
            return true;
        }
        if !self.uncorked(id) {
            return false;
        }
        if self.lift(id, Flags::FINISHING) {
            self.finish_now(id);
        }
        true
    }
}
