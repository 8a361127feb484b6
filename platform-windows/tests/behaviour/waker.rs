//! Waking a loop that waits.

use core::time::Duration;
use std::time::Instant;

use crate::support::{Record, operations, server};
use usockets::{Error, Waker};
use usockets_windows::{Port, Windows};

/// A loop that waits for ever goes on when another thread wakes it, as often as that happens.
#[test]
fn a_wake_up_ends_the_wait() {
    let waker: &'static Waker<Port> = Box::leak(Box::new(Waker::new(Port::new().unwrap())));
    let platform = Windows::new(operations(3)).unwrap();
    let mut server = server(platform.with_waker(waker).unwrap());
    let mut record = Record::default();
    for round in 1..=3 {
        let start = Instant::now();
        let thread = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        server.poll(&mut record, None).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(40), "it waited");
        assert_eq!(record.wakes, round);
        thread.join().unwrap();
    }
}

/// A second waker is refused, and so is one that comes after the first socket.
#[test]
fn a_waker_comes_first_and_alone() {
    let waker: &'static Waker<Port> = Box::leak(Box::new(Waker::new(Port::new().unwrap())));
    let platform = Windows::new(operations(3)).unwrap();
    let platform = platform.with_waker(waker).unwrap();
    assert_eq!(platform.with_waker(waker).err(), Some(Error::Invalid));
}
