//! Timers of the program.

use std::time::Duration;
use usockets::{AllSockets, Handler, Loop, Opened, Socket, Sockets, TimerId};
use usockets_conformance::suite::timers::fired;
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::side::{Side, run_for};
use usockets_tests::sim::{Faults, Host, Sim};

/// Many timers of random lengths against a sorted list; a stalled loop counts what it missed.
#[test]
fn random_timers_match_a_sorted_list() {
    for seed in seeds(60) {
        println!("SEED={seed}");
        let rng = &mut Rng::new(seed);
        let bed = &mut SimBed::new(seed, Faults::none());
        let mut side = Side::with::<300>(0, bed.platform(), 16, 0);
        let start = side.net().now().as_micros();
        let mut expected = Vec::new();
        for _ in 0..300 {
            let micros = rng.next() >> rng.between(24, 60);
            let after = Duration::from_micros(micros);
            let timer = side.net().start_timer(after, Duration::ZERO).unwrap();
            expected.push((start + micros, timer));
        }
        if rng.chance(5_000) {
            bed.sim
                .stall(0, Duration::from_micros(rng.next() >> rng.between(24, 60)));
        }
        let stalled_until = bed.sim.now_micros();
        run_for(bed, &mut [&mut side], Duration::from_micros(1 << 41));
        assert!(stalled_until >= start);
        expected.sort_unstable();
        let mut fired = fired::<SimBed>(&side);
        assert_eq!(fired.len(), expected.len());
        fired.sort_unstable_by_key(|(_, timer, _)| *timer);
        expected.sort_unstable_by_key(|(_, timer)| *timer);
        for ((due, timer), (at, told, missed)) in expected.iter().zip(&fired) {
            assert_eq!((told, missed), (timer, &0));
            assert!(at >= due, "never early");
        }
    }
}

/// Starts a timer before the next wait.
#[derive(Default)]
struct Late {
    wanted: bool,
    fired: usize,
}

impl Handler<Host> for Late {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Host, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, Host, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timer(&mut self, _: &mut AllSockets<'_, Host, Self>, _: TimerId, _: u32) {
        self.fired += 1;
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, Host, Self>) {
        if core::mem::take(&mut self.wanted) {
            let five = Duration::from_secs(5);
            sockets.net().start_timer(five, Duration::ZERO).unwrap();
        }
    }
}

/// A program that waited elsewhere for long: what is started before the loop's own wait counts
/// from now, not from when the loop last looked at the clock.
#[test]
fn a_timer_started_before_the_wait_is_not_early() {
    let sim = Sim::new(0, Faults::none());
    let (memory, buffer) = (&mut Sockets::<Host, Late, 2>::new(), &mut [0; 8]);
    let mut lp = Loop::new(sim.host(), memory, buffer);
    let mut late = Late::default();
    // The loop looks at the clock.
    lp.net()
        .start_timer(Duration::ZERO, Duration::ZERO)
        .unwrap();
    while late.fired == 0 {
        sim.expect(0, lp.next_deadline());
        sim.step(Duration::from_millis(10));
        lp.poll(&mut late, None).unwrap();
    }
    let minute = sim.now_micros() + 60_000_000;
    while sim.now_micros() < minute {
        sim.expect(0, None);
        sim.step(Duration::from_secs(60));
    }
    late.wanted = true;
    lp.poll(&mut late, None).unwrap();
    assert_eq!(late.fired, 1, "five seconds are not over");
}
