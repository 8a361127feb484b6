//! What is open in a step, and the walk through all of it.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// Decides what is open in a step: each [`Self::pick`] takes the next of its options whenever the
/// step is taken again, until all have been seen. Clones decide together.
///
/// What a world keeps of it influences nothing, so it hashes as nothing.
#[derive(Clone, Debug, Default)]
pub struct Choices(Rc<RefCell<Walk>>);

#[derive(Debug, Default)]
struct Walk {
    /// Of each choice of the step: which option, and how many there are.
    picks: Vec<(u8, u8)>,
    /// How many the running step has made.
    made: usize,
    /// What happens, a line each, while it is written down.
    trace: Option<Vec<String>>,
}

impl Hash for Choices {
    fn hash<S: Hasher>(&self, _: &mut S) {}
}

impl Choices {
    /// Picks one of `count` options, which is at least 1. The first is the calm one: it is what
    /// [`Searched::finish`](super::Searched::finish) gets.
    ///
    /// # Panics
    /// There are no options, more than 255, or another number than when the step was last taken:
    /// the world is not deterministic.
    #[must_use]
    pub fn pick(&self, count: usize) -> usize {
        assert!(count > 0, "a choice has options");
        if count == 1 {
            return 0;
        }
        let count = u8::try_from(count).expect("at most 255 options");
        let walk = &mut *self.0.borrow_mut();
        let made = walk.made;
        walk.made += 1;
        match walk.picks.get(made) {
            Some((option, before)) => {
                assert_eq!(*before, count, "a step taken again has the same choices");
                usize::from(*option)
            }
            None => {
                walk.picks.push((0, count));
                0
            }
        }
    }

    /// Picks one of `actions`, as [`Self::pick`] does, and notes it; `None` if there are none.
    pub fn choose<A: Copy + std::fmt::Debug>(&self, actions: &[A]) -> Option<A> {
        if actions.is_empty() {
            return None;
        }
        let action = actions[self.pick(actions.len())];
        self.note(|| format!("{action:?}"));
        Some(action)
    }

    /// Picks yes or no; no is the calm one.
    #[must_use]
    pub fn flip(&self) -> bool {
        self.pick(2) == 1
    }

    /// Writes down what happens, if the run is one that is shown.
    pub fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.0.borrow_mut().trace {
            trace.push(what());
        }
    }

    /// Starts a step in which every choice is the calm one.
    pub(super) fn begin(&self) {
        self.begin_with(&[]);
    }

    /// Starts a step whose first choices are given.
    pub(super) fn begin_with(&self, options: &[(u8, u8)]) {
        let walk = &mut *self.0.borrow_mut();
        walk.made = 0;
        walk.picks.clear();
        walk.picks.extend_from_slice(options);
    }

    /// Returns the choices that the step made.
    pub(super) fn made(&self) -> Vec<(u8, u8)> {
        self.0.borrow().picks.clone()
    }

    /// Moves choices on to the next that have not been seen. Returns false if all have been.
    pub(super) fn advance(picks: &mut Vec<(u8, u8)>) -> bool {
        while let Some((option, count)) = picks.pop() {
            if option + 1 < count {
                picks.push((option + 1, count));
                return true;
            }
        }
        false
    }

    pub(super) fn start_trace(&self) {
        self.0.borrow_mut().trace = Some(Vec::new());
    }

    pub(super) fn take_trace(&self) -> Vec<String> {
        self.0.borrow_mut().trace.take().unwrap_or_default()
    }
}
