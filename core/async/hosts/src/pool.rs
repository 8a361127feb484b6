//! A small executor: tasks of one kind in a pool, without heap.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use usockets::{Error, Instant};
use usockets_linux::Linux;

use crate::{Connection, SLOTS, Shared};

/// Bits of a word of [`READY`].
const BITS: usize = 64;
/// The place of the task that accepts, behind those of the pool.
const ACCEPTOR: usize = SLOTS;
/// Which tasks were woken since they were polled. One program has one pool.
static READY: [AtomicU64; SLOTS / BITS + 1] = [const { AtomicU64::new(0) }; SLOTS / BITS + 1];

/// What a waker does: its data is the place of its task.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |place| RawWaker::new(place, &VTABLE),
    |place| wake(place.addr()),
    |place| wake(place.addr()),
    |_| {},
);

fn wake(place: usize) {
    READY[place / BITS].fetch_or(1 << (place % BITS), Ordering::Relaxed);
}

fn waker(place: usize) -> Waker {
    // SAFETY: the data of a waker is a number, which needs no memory; every function of the table
    // is safe to call from any thread, with any such number.
    unsafe { Waker::new(std::ptr::without_provenance(place), &VTABLE) }
}

/// Runs a task for each connection of a listener, in a pool of [`SLOTS`] tasks. A connection for
/// which there is no task waits.
///
/// # Errors
/// The platform broke.
pub fn serve<F: Future>(
    reactor: Shared,
    listener: &usockets_async::Listener<'static, 'static, Linux>,
    task: impl Fn(Connection) -> F,
) -> Result<(), Error> {
    let mut pool: Pin<&mut [Option<F>; SLOTS]> = pin!([const { None }; SLOTS]);
    let mut free: Vec<usize> = (0..SLOTS).rev().collect();
    wake(ACCEPTOR);
    loop {
        for (word, ready) in READY.iter().enumerate() {
            let mut bits = ready.swap(0, Ordering::Relaxed);
            while bits != 0 {
                let place = word * BITS + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if place == ACCEPTOR {
                    accept(listener, pool.as_mut(), &mut free, &task);
                } else if poll(pool.as_mut(), place) {
                    free.push(place);
                    wake(ACCEPTOR);
                }
            }
        }
        let is_ready = READY.iter().any(|word| word.load(Ordering::Relaxed) != 0);
        reactor.turn(is_ready.then_some(Instant::ZERO))?;
    }
}

/// Makes tasks of the connections that wait.
fn accept<F: Future>(
    listener: &usockets_async::Listener<'static, 'static, Linux>,
    mut pool: Pin<&mut [Option<F>; SLOTS]>,
    free: &mut Vec<usize>,
    task: &impl Fn(Connection) -> F,
) {
    let waker = waker(ACCEPTOR);
    let mut context = Context::from_waker(&waker);
    while let Some(&place) = free.last() {
        let Poll::Ready(Ok(stream)) = pin!(listener.accept()).poll(&mut context) else {
            return;
        };
        free.pop();
        let task = task(stream);
        // SAFETY: the place is empty, so that nothing pinned is moved or overwritten.
        unsafe { pool.as_mut().get_unchecked_mut()[place] = Some(task) };
        wake(place);
    }
}

/// Polls the task at a place. Returns true if it is done, and its place is empty again.
fn poll<F: Future>(pool: Pin<&mut [Option<F>; SLOTS]>, place: usize) -> bool {
    // SAFETY: the task is neither moved out of its place nor given to anyone.
    let mut slot = unsafe { pool.map_unchecked_mut(|pool| &mut pool[place]) };
    let waker = waker(place);
    let mut context = Context::from_waker(&waker);
    let is_done = match slot.as_mut().as_pin_mut() {
        Some(task) => task.poll(&mut context).is_ready(),
        None => return false,
    };
    if is_done {
        // Drops the task where it is.
        slot.set(None);
    }
    is_done
}
