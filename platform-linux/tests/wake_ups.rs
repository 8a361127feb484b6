//! Wake-ups by other threads.
#![expect(clippy::std_instead_of_core, reason = "the rest is std's")]

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use usockets::{
    AllSockets, Closed, Endpoint, Handler, Instant, Loop, Opened, Platform, Socket, Sockets, Waker,
};
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

/// Closes everything when it is woken and another thread wants that.
struct Closer<'a> {
    is_over: &'a AtomicBool,
    closed: usize,
}

impl Handler<Linux> for Closer<'_> {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_close(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), closed: Closed) {
        assert_eq!(closed, Closed::Local(7));
        self.closed = self.closed.saturating_add(1);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
        if self.is_over.load(Ordering::Relaxed) {
            sockets.net().close_all((), 7);
        }
    }
}

/// Another thread has a loop that sleeps close its listener and all connections, which their peers
/// see end.
#[test]
fn another_thread_has_everything_closed() {
    const CONNECTIONS: u32 = 20;
    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let is_over = AtomicBool::new(false);
    let mut closer = Closer {
        is_over: &is_over,
        closed: 0,
    };
    let mut sockets = Sockets::<_, Closer<'_>, 32>::new();
    let mut buffer = [0; 16];
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut lp = Loop::new(platform, &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = lp.net().listen(at, ()).unwrap();
    let addr = lp.net().listening_addr(listener).unwrap();
    let mut peers: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(addr).unwrap())
        .collect();
    let end = lp.platform().now().saturating_add(Duration::from_secs(60));
    while lp.stats().open < CONNECTIONS {
        lp.poll(&mut closer, Some(end)).unwrap();
        assert!(lp.platform().now() < end, "a connection was not accepted");
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            is_over.store(true, Ordering::Relaxed);
            waker.wake();
        });
        while lp.stats().in_use > 0 {
            lp.poll(&mut closer, Some(end)).unwrap();
            assert!(lp.platform().now() < end, "not everything was closed");
        }
    });
    assert_eq!(closer.closed, peers.len());
    for peer in &mut peers {
        peer.set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
    assert!(TcpStream::connect(addr).is_err());
}
