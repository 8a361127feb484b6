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
