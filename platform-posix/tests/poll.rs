//! `poll(2)`: a waker by a pipe, and a selector that is smaller than the pool.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use usockets::{
    AllSockets, Duration, Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Socket,
    Sockets, Waker,
};
use usockets_posix::{Pipe, Poll, Posix};

/// Threads that wake the loop, and how often each does.
const THREADS: u32 = 4;
const EACH: u32 = 2_000;

/// Takes over what other threads stored, when it is woken.
#[derive(Default)]
struct Seen {
    stored: Arc<AtomicU32>,
    seen: u32,
    wakes: u32,
}

impl<P: Platform> Handler<P> for Seen {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_wake(&mut self, _: &mut AllSockets<'_, P, Self>) {
        self.seen = self.stored.load(Ordering::SeqCst);
        self.wakes += 1;
    }
}

fn waker() -> &'static Waker<Pipe> {
    Box::leak(Box::new(Waker::new(Pipe::new().unwrap())))
}

/// No wake-up is lost, the pipe never fills, and a loop that nobody wakes sleeps.
#[test]
fn no_wake_up_is_lost_and_none_is_left() {
    let waker = waker();
    let mut seen = Seen::default();
    let platform = Posix::new(Poll::<4>::new()).with_waker(waker).unwrap();
    let mut sockets = Sockets::<_, _, 3>::new();
    let mut buffer = [0; 16];
    let mut net = Loop::new(platform, &mut sockets, &mut buffer);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let stored = Arc::clone(&seen.stored);
            std::thread::spawn(move || {
                for round in 0..EACH {
                    stored.fetch_add(1, Ordering::SeqCst);
                    waker.wake();
                    if round % 64 == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect();
    let end = net.net().now().saturating_add(Duration::from_secs(60));
    while seen.seen < THREADS * EACH {
        net.poll(&mut seen, Some(end)).unwrap();
        assert!(net.net().now() < end, "a wake-up was lost");
    }
    for thread in threads {
        thread.join().unwrap();
    }
    net.poll(&mut seen, Some(Instant::ZERO)).unwrap();
    let (wakes, before) = (seen.wakes, net.net().now());
    let until = before.saturating_add(Duration::from_millis(50));
    net.poll(&mut seen, Some(until)).unwrap();
    assert_eq!(seen.wakes, wakes, "none is told twice");
    assert!(net.net().now() >= until, "the pipe was emptied");
}

/// A platform has one waker.
#[test]
fn a_second_waker_is_refused() {
    let platform = Posix::new(Poll::<4>::new()).with_waker(waker()).unwrap();
    assert!(matches!(platform.with_waker(waker()), Err(Error::Invalid)));
}

/// A pool with more slots than the selector watches is told so, and never left deaf.
#[test]
fn a_selector_that_is_too_small_says_so() {
    let platform = Posix::new(Poll::<3>::new()).with_waker(waker()).unwrap();
    let mut sockets = Sockets::<_, Seen, 8>::new();
    let mut buffer = [0; 16];
    let mut net = Loop::new(platform, &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    // The waker takes one of three.
    assert!(net.net().listen(at, ()).is_ok());
    assert!(net.net().listen(at, ()).is_ok());
    assert_eq!(net.net().listen(at, ()).err(), Some(Error::Exhausted));
}
