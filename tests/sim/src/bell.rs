//! How a simulated host is woken: by the core's own waker.

use std::cell::Cell;

use usockets::{Notify, Waker};

/// A host's waker.
#[derive(Debug)]
pub(super) struct Bell(pub(super) Waker<Rung>);

/// Whether a wait is to end.
#[derive(Debug, Default)]
pub(super) struct Rung(pub(super) Cell<bool>);

impl Notify for Rung {
    fn notify(&self) {
        self.0.set(true);
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self(Waker::new(Rung::default()))
    }
}

impl Bell {
    /// Whether a wait is to end.
    pub(super) fn is_rung(&self) -> bool {
        self.0.notifier().0.get()
    }

    /// Takes the wake-up; whether there was one.
    pub(super) fn take(&self) -> bool {
        self.0.notifier().0.set(false);
        self.0.take()
    }
}
