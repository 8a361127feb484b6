//! Whose turn it is to get a free slot, as the calls that a loop makes of its listeners show.
//!
//! A listener that pauses on a full pool waits for a slot: first come, first served. It goes behind
//! the others when it has had its turn, and nobody who did not wait takes a slot that is free for
//! one who does.

use usockets::{SocketId, WhenFull};

use crate::sim::{ListenerCall, ListenerCallKind};

/// Iterations in a row with a free slot in which each listener that waits gets its turn.
const ROUNDS_MAX: u32 = 5;

/// A listener that the platform was told not to report.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    listener: SocketId,
    /// It waits for nothing but a slot.
    for_slot: bool,
    /// It has waited since it was put behind the others, and not for longer.
    in_order: bool,
    /// Iterations with a free slot since its last turn.
    rounds: u32,
}

/// The listeners of one loop that wait for a slot.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// First come, first served.
    waiting: Vec<Waiting>,
    /// Those of which a call failed, so that what they wait for cannot be told.
    unclear: Vec<SocketId>,
    /// Whose turn it is in this iteration.
    turn: Option<SocketId>,
    /// Whether a call failed since a listener that waited was given a connection. If the platform
    /// is exhausted, nobody is asked until some time has passed.
    exhausted: bool,
}

impl Turns {
    /// Takes in one call, of a listener with this policy. With `free`, it is the last that was made
    /// and so many slots were free before it. Returns what is wrong with it.
    pub(super) fn note(
        &mut self,
        call: ListenerCall,
        policy: WhenFull,
        free: Option<usize>,
    ) -> Option<String> {
        let ListenerCall { listener, what, .. } = call;
        let mut wrong;
        match what {
            ListenerCallKind::SetAccepting { accepting, worked } => {
                self.switch(listener, policy, accepting, worked);
                return None;
            }
            ListenerCallKind::Failed => {
                wrong = self.begin_turn(listener);
                self.exhausted = true;
                self.doubt(listener);
            }
            ListenerCallKind::Accepted => {
                wrong = self.begin_turn(listener);
                if let Some(free) = free.filter(|_| policy != WhenFull::EvictIdle) {
                    wrong = wrong.or_else(|| self.taken(listener, free));
                }
                if let Some(own) = self.find(listener) {
                    // If it has to wait again, it is for a slot, and behind all others.
                    own.for_slot = policy == WhenFull::Pause;
                    own.in_order = true;
                    self.exhausted = false;
                }
            }
            _ => wrong = self.begin_turn(listener),
        }
        wrong
    }

    fn find(&mut self, listener: SocketId) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|it| it.listener == listener)
    }

    /// The platform was told to report a listener, or not to.
    fn switch(&mut self, listener: SocketId, policy: WhenFull, accepting: bool, worked: bool) {
        let place = self.waiting.iter().position(|it| it.listener == listener);
        if !worked {
            self.exhausted = true;
            return self.doubt(listener);
        }
        let was_unclear = self.unclear.contains(&listener);
        self.unclear.retain(|it| *it != listener);
        match (accepting, place) {
            (true, Some(place)) => {
                self.waiting.remove(place);
            }
            (false, None) => self.waiting.push(Waiting {
                listener,
                for_slot: policy == WhenFull::Pause && !was_unclear,
                in_order: !was_unclear,
                rounds: 0,
            }),
            _ => {}
        }
    }

    /// A call failed: what this listener waits for, and since when, is not known any more.
    fn doubt(&mut self, listener: SocketId) {
        if let Some(waiting) = self.find(listener) {
            (waiting.for_slot, waiting.in_order) = (false, false);
        } else if !self.unclear.contains(&listener) {
            self.unclear.push(listener);
        }
    }

    /// A listener was asked for a connection. If it waited it is its turn, which must not come
    /// before that of another who has waited for longer.
    fn begin_turn(&mut self, listener: SocketId) -> Option<String> {
        if self.turn == Some(listener) {
            return None;
        }
        let place = self.waiting.iter().position(|it| it.listener == listener)?;
        self.turn = Some(listener);
        let mut own = self.waiting.remove(place);
        let ahead = self.waiting.iter().take(place).find(|it| it.for_slot);
        let wrong = ahead
            .filter(|_| own.for_slot && own.in_order)
            .map(|ahead| format!("{listener:?} got its turn before {:?}", ahead.listener));
        own.rounds = 0;
        own.in_order = own.for_slot;
        self.waiting.push(own);
        wrong
    }

    /// A connection was taken. One who did not wait leaves a slot to each that did.
    fn taken(&self, listener: SocketId, free: usize) -> Option<String> {
        let in_turn = self.waiting.iter().any(|it| it.listener == listener);
        if in_turn || self.unclear.contains(&listener) {
            return None;
        }
        let ahead = self.waiting.iter().filter(|it| it.for_slot).count();
        (free <= ahead).then(|| {
            format!("{listener:?} took one of {free} free slots that {ahead} listeners wait for")
        })
    }

    /// An iteration ended, in which so many slots were free at the least. Returns what is wrong:
    /// a listener that waits is passed over.
    pub(super) fn end_iteration(&mut self, free: usize) -> Option<String> {
        self.turn = None;
        let skipped = self.exhausted || free == 0;
        for waiting in &mut self.waiting {
            waiting.rounds = if skipped { 0 } else { waiting.rounds + 1 };
        }
        let late = |it: &&Waiting| it.for_slot && it.rounds > ROUNDS_MAX;
        let late = self.waiting.iter().find(late)?;
        let listener = late.listener;
        Some(format!(
            "{listener:?} gets no turn although {free} slots are free"
        ))
    }

    /// A listener is gone.
    pub(super) fn forget(&mut self, listener: SocketId) {
        self.waiting.retain(|it| it.listener != listener);
        self.unclear.retain(|it| *it != listener);
    }
}
