//! The loop, shared by every task of one thread.

use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use usockets::{
    Closed, Duration, Endpoint, Error, Instant, Loop, Net, Platform, SocketId, Sockets, Stats,
};

use crate::error::IoError;
use crate::listener::Listener;
use crate::stream::Stream;
use crate::timer::Sleep;
use crate::waiters::{ListenerKey, State, Tasks, Waiters};

/// A loop whose sockets are read and written by tasks.
///
/// All tasks of one thread share it by reference; nothing in it waits but [`Self::turn`]. The
/// executor is the program's own: it polls the tasks that were woken, and then calls
/// [`Self::turn`], which waits, if no task is ready, until one is.
///
/// # Example
///
/// ```
/// use embedded_io_async::{Read, Write};
/// use usockets::{Endpoint, Error, Sockets};
/// use usockets_async::{IoError, Reactor, Waiters};
/// use usockets_linux::Linux;
///
/// # fn main() -> Result<(), Error> {
/// let mut sockets = Sockets::<_, _, 4>::new();
/// let mut waiters = [const { Waiters::new() }; 4];
/// let mut buffer = [0; 1];
/// let reactor = Reactor::new(Linux::new()?, &mut sockets, &mut waiters, &mut buffer);
/// let answer = reactor.block_on(async {
///     let listener = reactor.listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()))?;
///     let addr = listener.local_addr().ok_or(Error::Invalid)?;
///     let mut client = reactor.connect(Endpoint::tcp(addr)).await?;
///     let mut server = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     client.finish();
///     let mut answer = [0; 8];
///     let len = server.read(&mut answer).await?;
///     assert_eq!(server.read(&mut answer).await?, 0, "the client has finished");
///     Ok::<_, IoError>(answer[..len].to_vec())
/// })?;
/// assert_eq!(answer.as_deref(), Ok(&b"hello"[..]));
/// # Ok(())
/// # }
/// ```
pub struct Reactor<'s, P: Platform> {
    inner: RefCell<Inner<'s, P>>,
}

/// What the tasks share.
pub(crate) struct Inner<'s, P: Platform> {
    pub(crate) net: Loop<'s, P, Tasks<'s>>,
    pub(crate) tasks: Tasks<'s>,
    /// The task that calls [`Reactor::turn`] when something has changed.
    driver: Option<Waker>,
}

impl<P: Platform> fmt::Debug for Reactor<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl<'s, P: Platform> Reactor<'s, P> {
    /// Makes a reactor of the caller's memory: a pool, an entry of `waiters` for each of its
    /// slots, and a receive buffer of at least one byte. Nothing is received into that buffer, as
    /// each task has its own, but a loop demands one. A pool of no sockets and a buffer of no bytes
    /// do not compile.
    #[must_use]
    pub fn new<const N: usize, const B: usize>(
        platform: P,
        sockets: &'s mut Sockets<P, Tasks<'s>, N>,
        waiters: &'s mut [Waiters; N],
        buffer: &'s mut [u8; B],
    ) -> Self {
        Self::over(Loop::new(platform, sockets, buffer), waiters)
    }

    /// Makes a reactor of a loop. If `waiters` is shorter than the pool, slots beyond it are not
    /// used: what would need one is [`Error::Full`], and an accepted connection is reset.
    #[must_use]
    pub fn over(net: Loop<'s, P, Tasks<'s>>, waiters: &'s mut [Waiters]) -> Self {
        let tasks = Tasks::new(waiters);
        Self {
            inner: RefCell::new(Inner {
                net,
                tasks,
                driver: None,
            }),
        }
    }

    /// Listens at `at`.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free, else what [`Platform::listen`] says.
    pub fn listen(&self, at: Endpoint<'_>) -> Result<Listener<'_, 's, P>, IoError> {
        let (id, key) = self.with(|inner| {
            let key = inner.tasks.next_key();
            let id = inner.net.net().listen(at, key)?;
            Ok((id, key))
        })?;
        Ok(Listener::new(self, id, key))
    }

    /// Connects to `to`. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Why the connection did not open; [`Error::TimedOut`] after 10 s.
    pub async fn connect(&self, to: Endpoint<'_>) -> Result<Stream<'_, 's, P>, IoError> {
        let id = self.with(|inner| {
            let id = inner.net.net().connect(to, ListenerKey::default())?;
            if let Err(error) = inner.tasks.begin(id, State::Pending) {
                inner.net.net().close(id);
                return Err(error);
            }
            Ok(id)
        })?;
        // From here on dropping it closes the socket.
        let stream = Stream::new(self, id);
        poll_fn(|context| self.poll_connect(id, context)).await?;
        Ok(stream)
    }

    fn poll_connect(&self, id: SocketId, context: &Context<'_>) -> Poll<Result<(), IoError>> {
        self.poll_with(|inner| match inner.tasks.state(id) {
            Some(State::Pending) => {
                inner.tasks.wait_to_write(id, context);
                Poll::Pending
            }
            Some(State::Closed(closed)) => Poll::Ready(Err(error_of(closed))),
            Some(_) => Poll::Ready(Ok(())),
            // Another socket has the slot, so that the reason is gone.
            None => Poll::Ready(Err(Error::Reset)),
        })
    }

    /// Returns a future that is ready `after` this call, never earlier, and late by one tick of
    /// 1.024 ms at most while the loop keeps up. It takes a slot of the pool as long as it waits.
    ///
    /// It fails with [`Error::Full`] when no slot is free.
    pub const fn sleep(&self, after: Duration) -> Sleep<'_, 's, P> {
        Sleep::new(self, after)
    }

    /// Runs a future for this long at most, and then drops it.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when the time was over first, [`Error::Full`] when there is no slot for
    /// the timer.
    pub async fn with_timeout<F: Future>(
        &self,
        after: Duration,
        future: F,
    ) -> Result<F::Output, IoError> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep(after));
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            match sleep.as_mut().poll(context) {
                Poll::Ready(Ok(())) => Poll::Ready(Err(IoError(Error::TimedOut))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Runs one iteration of the loop: waits until a task may go on, but not past `until`, and
    /// wakes it. `Some(Instant::ZERO)` does not wait, which is right while tasks are ready.
    ///
    /// # Errors
    /// As [`Loop::poll`].
    pub fn turn(&self, until: Option<Instant>) -> Result<(), Error> {
        let mut inner = self.inner.try_borrow_mut().map_err(|_| Error::Invalid)?;
        let Inner { net, tasks, .. } = &mut *inner;
        net.poll(tasks, until)
    }

    /// Returns when [`Self::turn`] next has something to do by itself, as [`Loop::next_deadline`]
    /// does. For executors that wait elsewhere.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.inner.try_borrow().ok()?.net.next_deadline()
    }

    /// Returns a future that is ready when a task has done something, so that
    /// [`Self::next_deadline`] may be another. For a task of the host that calls [`Self::turn`]
    /// among other tasks; there is one such task.
    pub async fn changed(&self) {
        let mut is_first = true;
        poll_fn(|context| {
            let is_done = !core::mem::take(&mut is_first);
            match self.inner.try_borrow_mut() {
                Ok(mut inner) if !is_done || inner.driver.is_some() => {
                    inner.driver = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Runs a future to its end, and the loop with it: the simplest executor, for one task and
    /// what it joins. It polls the future after each iteration.
    ///
    /// # Errors
    /// As [`Self::turn`].
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            self.turn(None)?;
        }
    }

    /// Calls `f` with every socket by id, for what has no method here.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a call of the reactor, which wakers must not make.
    pub fn with_net<R>(
        &self,
        f: impl FnOnce(&mut Net<'_, P, ListenerKey>) -> R,
    ) -> Result<R, IoError> {
        self.with(|inner| Ok(f(&mut inner.net.net())))
    }

    /// Returns what the loop did so far.
    ///
    /// # Errors
    /// As [`Self::with_net`].
    pub fn stats(&self) -> Result<Stats, IoError> {
        self.with(|inner| Ok(inner.net.stats()))
    }

    #[inline]
    pub(crate) fn with<R>(
        &self,
        f: impl FnOnce(&mut Inner<'s, P>) -> Result<R, Error>,
    ) -> Result<R, IoError> {
        let Ok(mut inner) = self.inner.try_borrow_mut() else {
            return Err(IoError(Error::Invalid));
        };
        let result = f(&mut inner);
        if let Some(driver) = inner.driver.take() {
            driver.wake();
        }
        result.map_err(IoError)
    }

    #[inline]
    pub(crate) fn poll_with<R>(
        &self,
        f: impl FnOnce(&mut Inner<'s, P>) -> Poll<Result<R, Error>>,
    ) -> Poll<Result<R, IoError>> {
        let mut poll = Poll::Pending;
        let result = self.with(|inner| {
            poll = f(inner);
            Ok(())
        });
        match result {
            Ok(()) => poll.map_err(IoError),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Returns the error that a task sees when its connection is closed.
pub(crate) const fn error_of(closed: Closed) -> Error {
    match closed {
        Closed::Failed(error) => error,
        Closed::TimedOut => Error::TimedOut,
        _ => Error::BrokenPipe,
    }
}
