//! The way from a call of the program to the core, and the one argument why that is sound.
//!
//! A program calls the library from its callbacks, which the core's calls make, and between
//! iterations. In the first case the core runs further down the stack, and what it handed to the
//! running call, a [`Net`], is the only way to the sockets; in the second the loop itself is.
//!
//! # Soundness
//!
//! 1. At most one `&mut Net` or `&mut Loop` that came from a [`Reach`] is in use at any time.
//!    [`Reach::inside`] takes the pointer out for as long as its closure runs, so that a call made
//!    inside the closure finds none and does nothing.
//! 2. The pointer that [`Reach::during`] stores is made of the core's own `&mut Net`, which
//!    `during` reborrows until its closure returned. While the closure runs nobody uses the
//!    borrow but through the pointer; when it returned, or unwinds, the pointer is gone.
//! 3. The loop is borrowed by [`Held::poll`] until the iteration is over. `polling` is true as long
//!    as there is a [`Held`], of which there is one at a time, so that `with` does not borrow the
//!    loop a second time.
//! 4. One thread uses a `Reach`, as it is neither `Send` nor `Sync`.
//!
//! The tests below run under Miri, with Stacked Borrows and with Tree Borrows.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use usockets::{Error, Handler, Instant, Loop, Net, Platform};

/// The core of one loop, reachable from inside its own calls.
pub(crate) struct Reach<P: Platform + 'static, H: Handler<P> + 'static> {
    inner: UnsafeCell<Loop<'static, P, H>>,
    /// What the running call was given; null outside of calls and while it is in use.
    net: Cell<*mut Net<'static, P, H::Context>>,
    /// Whether there is a [`Held`], or the loop is in use between iterations.
    polling: Cell<bool>,
}

impl<P: Platform, H: Handler<P>> Reach<P, H> {
    pub(crate) const fn new(inner: Loop<'static, P, H>) -> Self {
        Self {
            inner: UnsafeCell::new(inner),
            net: Cell::new(ptr::null_mut()),
            polling: Cell::new(false),
        }
    }

    /// Calls `f` with every socket: those of the running call, or the loop's own between
    /// iterations. `None`, without a call, where there is no way: inside of the platform.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Net<'_, P, H::Context>) -> R) -> Option<R> {
        if self.net.get().is_null() {
            return self.between(f);
        }
        self.inside(f)
    }

    /// Calls `f` with the sockets of the running call; `None`, without a call, between iterations.
    #[inline]
    pub(crate) fn inside<R>(&self, f: impl FnOnce(&mut Net<'_, P, H::Context>) -> R) -> Option<R> {
        let mut net = NonNull::new(self.net.replace(ptr::null_mut()))?;
        // SAFETY: the pointer is of the `during` that runs (2), and nobody else has it (1).
        let result = f(unsafe { net.as_mut() });
        self.net.set(net.as_ptr());
        Some(result)
    }

    /// As [`Self::inside`], without the two steps that refuse a call inside of `f`.
    ///
    /// # Safety
    /// `f` calls nothing of the program's, nor any other method of this `Reach` (1).
    #[inline(always)]
    pub(crate) unsafe fn leaf<R>(
        &self,
        f: impl FnOnce(&mut Net<'_, P, H::Context>) -> R,
    ) -> Option<R> {
        let mut net = NonNull::new(self.net.get())?;
        // SAFETY: the pointer is of the `during` that runs (2), and by the caller's promise nobody
        // else uses it meanwhile.
        Some(f(unsafe { net.as_mut() }))
    }

    #[cold]
    #[inline(never)]
    fn between<R>(&self, f: impl FnOnce(&mut Net<'_, P, H::Context>) -> R) -> Option<R> {
        if self.polling.replace(true) {
            return None;
        }
        let _end = End(&self.polling);
        // SAFETY: no iteration runs, and none starts before `_end` is dropped (3).
        let inner = unsafe { &mut *self.inner.get() };
        Some(f(&mut inner.net()))
    }

    /// Calls `f`, which may call the program, and lets [`Self::with`] use `net` meanwhile.
    #[inline]
    pub(crate) fn during<R>(&self, net: &mut Net<'_, P, H::Context>, f: impl FnOnce() -> R) -> R {
        // Of a copy, so that only this is in memory.
        let mut net = net.reborrow();
        self.net.set(ptr::from_mut(&mut net).cast());
        let _over = Over(self);
        f()
    }

    /// Begins to run iterations. `None` where one runs, or the loop is in use.
    pub(crate) fn hold(&self) -> Option<Held<'_, P, H>> {
        if self.polling.replace(true) {
            return None;
        }
        Some(Held(self))
    }

    /// Returns what `f` says of the loop, between iterations.
    pub(crate) fn peek<R>(&self, f: impl FnOnce(&Loop<'static, P, H>) -> R) -> Option<R> {
        if self.polling.replace(true) {
            return None;
        }
        let _end = End(&self.polling);
        // SAFETY: as in `between`.
        Some(f(unsafe { &*self.inner.get() }))
    }
}

/// The right to run iterations, one after the other. While there is one, the loop is reached from
/// inside of them only.
pub(crate) struct Held<'a, P: Platform + 'static, H: Handler<P> + 'static>(&'a Reach<P, H>);

impl<P: Platform, H: Handler<P>> Held<'_, P, H> {
    /// Runs one iteration.
    ///
    /// # Errors
    /// As [`Loop::poll`].
    #[inline(always)]
    pub(crate) fn poll(&mut self, handler: &mut H, until: Option<Instant>) -> Result<(), Error> {
        // SAFETY: no other iteration runs, as there is no other `Held`, and `with` borrows nothing
        // meanwhile (3).
        let inner = unsafe { &mut *self.0.inner.get() };
        inner.poll(handler, until)
    }
}

impl<P: Platform, H: Handler<P>> Drop for Held<'_, P, H> {
    fn drop(&mut self) {
        self.0.polling.set(false);
    }
}

/// Ends the use of the loop, also when a callback threw.
struct End<'a>(&'a Cell<bool>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Takes the way to the running call's sockets back, also when a callback threw.
struct Over<'a, P: Platform + 'static, H: Handler<P> + 'static>(&'a Reach<P, H>);

impl<P: Platform, H: Handler<P>> Drop for Over<'_, P, H> {
    #[inline]
    fn drop(&mut self) {
        self.0.net.set(ptr::null_mut());
    }
}

#[cfg(test)]
mod tests;
