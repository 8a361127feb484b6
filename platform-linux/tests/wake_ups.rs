//! Wake-ups by other threads.
#![expect(clippy::std_instead_of_core, reason = "the rest is std's")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use usockets::{AllSockets, Handler, Instant, Loop, Opened, Platform, Socket, Sockets, Waker};
use usockets_linux::{EventFd, Linux};

const THREADS: u64 = 4;
const EACH: u64 = 2_000;

/// Looks at what other threads count, whenever it is woken.
struct Sleeper<'a> {
    stored: &'a AtomicU64,
    seen: u64,
    calls: u64,
}

impl Handler<Linux> for Sleeper<'_> {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_wake(&mut self, _: &mut AllSockets<'_, Linux, Self>) {
        self.seen = self.stored.load(Ordering::Relaxed);
        self.calls = self.calls.saturating_add(1);
    }
}

/// Threads that store and wake, while the loop sleeps, runs or is about to sleep: whatever was
/// stored before a wake-up is seen by an `on_wake` after it.
#[test]
fn no_wake_up_of_any_thread_is_lost() {
    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let stored = AtomicU64::new(0);
    let mut sleeper = Sleeper {
        stored: &stored,
        seen: 0,
        calls: 0,
    };
    let mut sockets = Sockets::<_, Sleeper<'_>, 1>::new();
    let mut buffer = [0; 16];
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut lp = Loop::new(platform, &mut sockets, &mut buffer);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..EACH {
                    stored.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                    if round % 64 == 0 {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            });
        }
        let end = lp.platform().now().saturating_add(Duration::from_secs(60));
        while sleeper.seen < THREADS.saturating_mul(EACH) {
            // It sleeps until it is woken; a lost wake-up shows as the minute that passes.
            lp.poll(&mut sleeper, Some(end)).unwrap();
            assert!(lp.platform().now() < end, "a wake-up was lost");
        }
    });
    lp.poll(&mut sleeper, Some(Instant::ZERO)).unwrap();
    let calls = sleeper.calls;
    lp.poll(&mut sleeper, Some(Instant::ZERO)).unwrap();
    assert_eq!(sleeper.calls, calls, "and none is told twice");
}
