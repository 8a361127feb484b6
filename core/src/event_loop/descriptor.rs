//! The descriptor of a loop, for the event loops of other libraries. With the feature `std` only.

extern crate std;

use std::os::fd::{AsFd, BorrowedFd};

use crate::event_loop::Loop;
use crate::handler::Handler;
use crate::platform::Platform;

impl<P: Platform + AsFd, H: Handler<P>> AsFd for Loop<'_, P, H> {
    /// Returns the platform's descriptor: readable when [`Loop::poll`] has something to do that
    /// came from outside. When it next has something to do by itself,
    /// [`next_deadline`](Self::next_deadline) tells.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.platform.as_fd()
    }
}
