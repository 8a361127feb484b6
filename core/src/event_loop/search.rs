//! Copies of a whole loop, and fingerprints of its state. With the feature `search` only.
//!
//! All state of a loop is fixed memory, so a copy of it is a state to come back to: the explorer of
//! the crate `usockets-sim` searches the shipped loop itself through all that can happen. Each type
//! hashes its own fields, beside itself, and names those that it leaves out with the reason.

use core::hash::{Hash, Hasher};

use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::Handler;
use crate::platform::Platform;
use crate::pool::flags::Phase;
use crate::pool::slot::Slot;

/// What can be made what another is, in its own memory. What is [`Clone`] can.
pub trait CopyFrom {
    /// Makes this what `other` is.
    fn copy_from(&mut self, other: &Self);
}

impl<T: Clone> CopyFrom for T {
    fn copy_from(&mut self, other: &Self) {
        self.clone_from(other);
    }
}

impl<P: Platform + CopyFrom, H: Handler<P>> Loop<'_, P, H>
where
    P::Socket: Clone,
    H::Ext: Clone,
{
    /// Makes this loop what `other` is, in its own memory. What either had is forgotten: nothing is
    /// closed, and no call is made. The receive buffer is not copied, as no call finds in it what
    /// an earlier one left.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the two have pools or corks of different lengths.
    pub fn copy_from(&mut self, other: &Loop<'_, P, H>) -> Result<(), Error> {
        let Loop {
            platform,
            slots,
            exts,
            buffer: _,
            cork,
            state,
            idle,
        } = other;
        if self.slots.len() != slots.len() || self.cork.len() != cork.len() {
            return Err(Error::Invalid);
        }
        self.platform.copy_from(platform);
        for (to, from) in self.slots.iter_mut().zip(slots.iter()) {
            to.clone_from(from);
        }
        for (to, from) in self.exts.iter_mut().zip(exts.iter()) {
            to.clone_from(from);
        }
        for (to, from) in self.cork.iter_mut().zip(cork.iter()) {
            *to = *from;
        }
        self.state.clone_from(state);
        self.idle.clone_from(idle);
        Ok(())
    }
}

impl<P: Platform + Hash, H: Handler<P>> Loop<'_, P, H>
where
    P::Socket: Hash,
    H::Ext: Hash,
    H::Context: Hash,
{
    /// Hashes all that influences the loop's future, between iterations: two loops that write the
    /// same make the same calls if the same happens to them.
    ///
    /// Counters, generations of ids and absolute time are left out; what is compared with them is
    /// hashed as a difference. Whoever keeps ids hashes by itself which of them are stale.
    pub fn fingerprint(&self, into: &mut impl Hasher) {
        let Loop {
            platform,
            slots,
            exts,
            // Is written before it is read.
            buffer: _,
            cork,
            state,
            idle,
        } = self;
        platform.hash(into);
        let now = platform.now().as_micros();
        let iteration = state.iteration();
        for (slot, ext) in slots.iter().zip(exts.iter()) {
            slot.fingerprint(now, rank(slots, slot, iteration), into);
            ext.as_ref().hash(into);
        }
        if let Some(corked) = cork.get(..state.cork.len) {
            corked.hash(into);
        }
        state.fingerprint(slots, now, into);
        idle.fingerprint(slots, into);
    }
}

/// Returns how many open sockets have been idle for longer, and in the lowest bit whether this one
/// received in the iteration that was the last: all that is ever compared.
fn rank<S, C>(slots: &[Slot<S, C>], slot: &Slot<S, C>, iteration: u32) -> u32 {
    if slot.phase() != Phase::Open {
        return 0;
    }
    let idle = iteration.wrapping_sub(slot.received_at());
    let mut rank = u32::from(idle == 0);
    for other in slots {
        let is_idler =
            other.phase() == Phase::Open && iteration.wrapping_sub(other.received_at()) > idle;
        rank = rank.wrapping_add(u32::from(is_idler).wrapping_mul(2));
    }
    rank
}
