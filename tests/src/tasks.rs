//! Hosts whose sockets are read and written by tasks, and an executor that runs those.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use usockets::{Instant, Platform, Sockets};
use usockets_async::{Reactor, Waiters};

use crate::bed::Bed;
use crate::rng::Rng;

/// Slots of each host's pool.
pub const SLOTS: usize = 16;

/// A reactor that lives as long as the test program.
pub type Shared<P> = &'static Reactor<'static, P>;

/// Makes the reactor of a further host of a bed. Its memory is never given back, as in a program
/// that keeps it in statics.
pub fn reactor<B: Bed>(bed: &mut B) -> Shared<B::P> {
    let sockets = Box::leak(Box::new(Sockets::<_, _, SLOTS>::new()));
    let waiters = Box::leak(Box::new([const { Waiters::new() }; SLOTS]));
    let reactor = Reactor::new(bed.platform(), sockets, waiters, Box::leak(Box::new([0])));
    Box::leak(Box::new(reactor))
}

/// Whether a task was woken since it was polled.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task, and its flag.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// Tasks of one thread. Each is polled only when it was woken, so that a wake-up that is lost
/// shows.
#[derive(Default)]
pub struct Executor {
    tasks: Vec<Task>,
}

impl Executor {
    /// Adds a task.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        self.tasks.push(Task {
            future: Box::pin(future),
            flag,
            waker,
        });
    }

    /// Polls each task that was woken, once, and drops those that are done. Returns true if there
    /// was any.
    pub fn poll(&mut self) -> bool {
        let mut any = false;
        self.tasks.retain_mut(|task| {
            if !task.flag.0.swap(false, Ordering::Relaxed) {
                return true;
            }
            any = true;
            let mut context = Context::from_waker(&task.waker);
            task.future.as_mut().poll(&mut context).is_pending()
        });
        any
    }

    /// Drops every task, wherever it waits.
    pub fn cancel_all(&mut self) {
        self.tasks.clear();
    }

    /// Returns how many tasks are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns true if no task is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn is_ready(&self) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|task| task.flag.0.load(Ordering::Relaxed))
    }

    /// Runs tasks and hosts until all tasks are done, for at most `limit` of the bed's time.
    /// Returns true if they are.
    pub fn run<B: Bed>(&mut self, bed: &mut B, hosts: &[Shared<B::P>], limit: Duration) -> bool {
        let end = bed.now() + limit;
        loop {
            self.poll();
            let mut is_idle = true;
            for (host, reactor) in hosts.iter().enumerate() {
                if bed.is_due(host, reactor.next_deadline()) {
                    self.turn(bed, reactor);
                    is_idle = false;
                }
            }
            if self.is_empty() {
                return true;
            }
            if bed.now() >= end {
                return false;
            }
            if is_idle && !self.is_ready() {
                bed.pass(end - bed.now());
            }
        }
    }

    fn turn<B: Bed>(&self, bed: &B, reactor: Shared<B::P>) {
        let patience = reactor.with_net(|net| bed.patience(net.platform_mut()));
        let until = if self.is_ready() {
            Some(Instant::ZERO)
        } else {
            patience.expect("no call is under way")
        };
        reactor.turn(until).expect("a sound platform");
    }
}

/// A generator that several tasks draw from.
#[derive(Clone)]
pub struct Dice(Rc<Cell<u64>>);

impl Dice {
    /// Makes the generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed)))
    }

    /// Returns a number below `bound`.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        let mut rng = Rng::new(self.0.get());
        self.0.set(rng.next());
        rng.below(bound)
    }
}

/// Polls a future, and drops it at a random poll at which it waits. `None` if it was dropped.
pub async fn cancelled_at_random<F: Future>(dice: &Dice, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let output = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if dice.below(3) == 0 => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    output.await
}

/// Awaits two futures at the same time.
pub async fn join<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (Box::pin(one), Box::pin(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

/// Lets every other task have a turn.
pub async fn yield_now() {
    let mut is_first = true;
    poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Awaits an expression as often as it takes, dropping its future at random in between.
#[macro_export]
macro_rules! again_and_again {
    ($dice:expr, $future:expr) => {
        loop {
            match $crate::tasks::cancelled_at_random($dice, $future).await {
                Some(output) => break output,
                None => $crate::tasks::yield_now().await,
            }
        }
    };
}

/// Returns true if the platform of a reactor holds nothing any more: no connection and no timer.
#[must_use]
pub fn is_at_rest<P: Platform>(reactor: &Reactor<'_, P>) -> bool {
    reactor.stats().is_ok_and(|stats| stats.in_use == 0)
}
