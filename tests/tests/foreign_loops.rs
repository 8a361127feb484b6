//! A loop inside another one that is edge-triggered and knows only the platform's wait handle and
//! `next_deadline`: nothing is forgotten, nothing comes late, and nothing spins.

use std::time::Duration;
use usockets::{Closed, Error};
use usockets_conformance::suite::foreign_loops::{Inner, run};
use usockets_tests::bed::Bed;
use usockets_tests::script::Event;
use usockets_tests::side::Side;

/// A wake-up from another thread reaches a loop inside another one.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_wake_up_is_an_edge_too() {
    use usockets::Waker;
    use usockets_linux::{EventFd, Linux};
    use usockets_tests::bed::LinuxBed;

    let waker: &'static _ = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let bed = &mut LinuxBed::default();
    let platform: Linux = bed.platform().with_waker(waker).unwrap();
    let side = Side::with::<1>(0, platform, 16, 0);
    let mut inner = Inner { side, polls: 0 };
    run(bed, &mut [&mut inner], Duration::from_millis(20), |_| false);
    for wakes in 1..=3 {
        let thread = std::thread::spawn(|| waker.wake());
        let long = Duration::from_secs(10);
        let told = |event: &Event| *event == Event::Wake;
        assert!(run(bed, &mut [&mut inner], long, |inner| {
            inner[0].side.script.count(told) == wakes
        }));
        thread.join().unwrap();
    }
}

/// Nobody answers a connect: its deadline is the outer loop's too.
#[test]
fn a_connect_that_nobody_answers_ends_in_time() {
    usockets_tests::bed::on_user_space(|bed| {
        let mut client = Inner::new(bed, 0);
        let _silent = bed.platform();
        let addr = bed.addr(1);
        let id = client.side.connect((addr.ip(), 80).into(), 2).unwrap();
        let minute = Duration::from_secs(60);
        assert!(run(bed, &mut [&mut client], minute, |inner| {
            inner[0].side.script.events().next().is_some()
        }));
        let events: Vec<_> = client.side.script.events().cloned().collect();
        let [Event::ConnectError(told, 2, error)] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(told, id);
        assert!(matches!(error, Error::TimedOut | Error::Unreachable));
        assert_eq!(client.side.script.closed(id), None::<Closed>);
        let took = bed.now();
        assert!(took < Duration::from_secs(13), "{took:?}");
    });
}
