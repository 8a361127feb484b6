//! Virtual time for a bed whose hosts have nothing but their loops to wait for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use usockets::Instant;

/// A clock that stands still until no host is due, and then goes on to the next deadline.
///
/// For a [`Bed`](crate::Bed) in virtual time: [`Self::is_due`], [`Self::pass`] and [`Self::time`]
/// are what its methods of these names call.
#[derive(Debug, Default)]
pub struct Clock {
    /// The present. The platforms of all hosts return it from
    /// [`Platform::now`](usockets::Platform::now).
    pub now: Rc<Cell<Instant>>,
    /// When each host's loop next has something to do by itself, as it last said.
    deadlines: RefCell<Vec<Option<Instant>>>,
}

impl Clock {
    /// Returns true if the deadline of a host's loop has come, and notes it for [`Self::pass`].
    pub fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        let mut deadlines = self.deadlines.borrow_mut();
        if deadlines.len() <= host {
            deadlines.resize(host + 1, None);
        }
        deadlines[host] = deadline;
        deadline.is_some_and(|deadline| deadline <= self.now.get())
    }

    /// Lets the time go on to the next deadline, but at most by `most`.
    pub fn pass(&self, most: Duration) {
        let now = self.now.get();
        let end = now.saturating_add(most);
        // What is past is of a host that is gone: no host is due.
        let deadlines = self.deadlines.borrow();
        let next = deadlines.iter().flatten().filter(|at| **at > now).min();
        self.now.set(next.map_or(end, |next| *next.min(&end)));
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.now.get().as_micros())
    }
}
