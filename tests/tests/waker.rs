//! Waking a loop from elsewhere.

use std::time::Duration;

use usockets_tests::bed::{SimBed, on_sim};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for};

fn wakes<P: usockets::Platform + 'static>(side: &Side<P>) -> usize {
    side.script.count(|event| *event == Event::Wake)
}

/// A wake-up leads to one `on_wake`; several before it are one; without one it does not come.
#[test]
fn several_wake_ups_are_one_call() {
    on_sim(|bed: &mut SimBed| {
        let mut side = Side::new(bed, 0);
        run_for(bed, &mut [&mut side], Duration::from_secs(1));
        assert_eq!(wakes(&side), 0);
        for round in 1..5 {
            bed.sim.wake(0);
            bed.sim.wake(0);
            run_for(bed, &mut [&mut side], Duration::from_secs(1));
            assert_eq!(wakes(&side), round);
        }
    });
}

/// Threads that store and wake, while the loop sleeps, runs or is about to sleep: whatever was
/// stored before a wake-up is seen by an `on_wake` after it.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn no_wake_up_of_any_thread_is_lost() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use usockets::{Instant, Platform, Waker};
    use usockets_linux::{EventFd, Linux};

    const THREADS: u64 = 4;
    const EACH: u64 = 2_000;
    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let stored = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let stored = Arc::clone(&stored);
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
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut side = Side::with::<1>(0, platform, 16, 0);
    let (from, to) = (Arc::clone(&stored), Arc::clone(&seen));
    side.script.act(move |_, event| {
        if *event == Event::Wake {
            to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    let end = side
        .lp
        .platform()
        .now()
        .saturating_add(Duration::from_secs(60));
    while seen.load(Ordering::SeqCst) < THREADS * EACH {
        // It sleeps until it is woken; a lost wake-up shows as the minute that passes.
        side.lp.poll(&mut side.script, Some(end)).unwrap();
        assert!(side.lp.platform().now() < end, "a wake-up was lost");
    }
    for thread in threads {
        thread.join().unwrap();
    }
    side.lp.poll(&mut side.script, Some(Instant::ZERO)).unwrap();
    let calls = wakes(&side);
    side.lp.poll(&mut side.script, Some(Instant::ZERO)).unwrap();
    assert_eq!(wakes(&side), calls, "and none is told twice");
}

/// A loop with nothing left but a wake-up to come runs on while the program asks for it, and no
/// longer.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_loop_runs_on_while_a_wake_up_is_awaited() {
    use usockets::Waker;
    use usockets_linux::{EventFd, Linux};

    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut side = Side::with::<1>(0, platform, 16, 0);
    side.lp.run(&mut side.script).unwrap();
    assert_eq!(wakes(&side), 0, "nothing was left");
    side.script.act(|at, event| {
        if *event == Event::Wake {
            at.net().keep_alive(false);
        }
    });
    side.net().keep_alive(true);
    let thread = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(30));
        waker.wake();
    });
    side.lp.run(&mut side.script).unwrap();
    assert_eq!(wakes(&side), 1);
    thread.join().unwrap();
}
