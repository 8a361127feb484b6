//! A loop whose next deadline is far away does nothing until then.

use std::time::Duration;

use usockets_tests::bed::{Bed, on_sim};
use usockets_tests::side::{Pair, turns_in};

/// With a listener, an open connection and a timeout an hour away, the loop is not polled for ten
/// seconds (W14).
#[test]
fn an_idle_loop_is_not_polled() {
    on_sim(|bed| {
        let mut pair = Pair::open(bed);
        pair.client
            .net()
            .set_timeout(pair.connected, Duration::from_secs(3_600));
        // The time that the connect had is over as well.
        pair.for_time(bed, Duration::from_secs(20));
        let polls = pair.client.lp.platform().counts().polls;
        let turns = turns_in(bed, &mut pair.client, Duration::from_secs(10));
        // A false report may wake it; by itself it has no reason to.
        assert!(turns == 0 || !bed.is_smooth(), "{turns} iterations");
        assert!(turns <= 20, "{turns} iterations");
        assert_eq!(pair.client.lp.platform().counts().polls - polls, turns);
    });
}

/// On Linux the loop's thread does not run at all for ten seconds: every system call that returned
/// would have let it (W14).
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn an_idle_loop_makes_no_system_call() {
    use std::sync::mpsc::channel;
    use usockets::Waker;
    use usockets_linux::{EventFd, Linux};
    use usockets_tests::bed::LinuxBed;
    use usockets_tests::side::Side;

    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || {
        let bed = &mut LinuxBed::default();
        let platform = Linux::new().unwrap().with_waker(waker).unwrap();
        let mut side = Side::with::<8>(0, platform, 4_096, 0);
        let (_, addr) = side.listen(bed, 1);
        let peer = std::net::TcpStream::connect(addr).unwrap();
        while side.lp.stats().open < 1 {
            side.turn(bed);
        }
        let id = side.script.opened(0).unwrap();
        side.net().set_timeout(id, Duration::from_secs(3_600));
        let before = side.lp.stats().iterations;
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        tell.send(thread).unwrap();
        while side.script.log.len() < 2 {
            side.lp.poll(&mut side.script, None).unwrap();
        }
        drop(peer);
        side.lp.stats().iterations - before
    });
    let status = format!("/proc/self/task/{}/status", told.recv().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    let before = switches(&status);
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(switches(&status), before, "the loop's thread ran");
    waker.wake();
    let turns = thread.join().unwrap();
    assert!(turns <= 3, "{turns} iterations");
}

/// How often a thread gave up the processor, or lost it.
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn switches(status: &str) -> Vec<String> {
    let text = std::fs::read_to_string(status).unwrap();
    let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(str::to_owned).collect()
}
