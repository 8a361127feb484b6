//! Waiting for time to pass.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use usockets::{Duration, Error, Platform, TimerId};

use crate::error::IoError;
use crate::reactor::Reactor;
use crate::waiters::State;

/// A future that is ready when its time is over. Made by [`Reactor::sleep`].
#[must_use = "it does nothing unless it is awaited"]
pub struct Sleep<'r, 's, P: Platform> {
    reactor: &'r Reactor<'s, P>,
    after: Duration,
    timer: Option<TimerId>,
}

impl<P: Platform> fmt::Debug for Sleep<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl<'r, 's, P: Platform> Sleep<'r, 's, P> {
    pub(crate) const fn new(reactor: &'r Reactor<'s, P>, after: Duration) -> Self {
        Self {
            reactor,
            after,
            timer: None,
        }
    }

    fn start(&mut self) -> Result<TimerId, IoError> {
        if let Some(timer) = self.timer {
            return Ok(timer);
        }
        let after = self.after;
        let timer = self.reactor.with(|inner| {
            let timer = inner.net.net().start_timer(after, Duration::ZERO)?;
            if let Err(error) = inner.tasks.begin(timer.into(), State::Pending) {
                inner.net.net().stop_timer(timer);
                return Err(error);
            }
            Ok(timer)
        })?;
        self.timer = Some(timer);
        Ok(timer)
    }
}

impl<P: Platform> Future for Sleep<'_, '_, P> {
    type Output = Result<(), IoError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let timer = match self.start() {
            Ok(timer) => timer,
            Err(error) => return Poll::Ready(Err(error)),
        };
        self.reactor
            .poll_with(|inner| match inner.tasks.state(timer.into()) {
                Some(State::Pending) => {
                    inner.tasks.wait_to_read(timer.into(), context);
                    Poll::Pending
                }
                // Expired, or so long ago that another has the slot.
                _ => Poll::Ready(Ok::<_, Error>(())),
            })
    }
}

impl<P: Platform> Drop for Sleep<'_, '_, P> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // Only inside a call of the reactor it fails, and then the timer expires unheard.
            let _ = self.reactor.with(|inner| {
                inner.net.net().stop_timer(timer);
                inner.tasks.end(timer.into());
                Ok(())
            });
        }
    }
}
