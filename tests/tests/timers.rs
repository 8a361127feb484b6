//! Timers of the program.

use std::time::Duration;

use usockets::{AllSockets, Error, Handler, Loop, Opened, Socket, Sockets, TimerId};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::on_every_platform;
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, run_until};
use usockets_tests::sim::{Faults, Host, Sim};

on_every_platform!(
    a_timer_fires_once,
    a_repeating_timer_does_not_drift,
    a_stopped_timer_never_fires,
    timers_take_slots_and_give_them_back,
);

const TICK: u64 = 1_024;

fn fired<B: Bed>(side: &Side<B::P>) -> Vec<(u64, TimerId, u32)> {
    let all = side.script.log.iter();
    all.filter_map(|(at, event)| match event {
        Event::Timer(timer, missed) => Some((at.as_micros(), *timer, *missed)),
        _ => None,
    })
    .collect()
}

/// Without repeat: once, not early, and its slot is free again (W9, W15).
fn a_timer_fires_once<B: Bed>(bed: &mut B) {
    let mut side = Side::new(bed, 0);
    let start = side.net().now().as_micros();
    let timer = side
        .net()
        .start_timer(Duration::from_millis(7), Duration::ZERO)
        .unwrap();
    run_for(bed, &mut [&mut side], Duration::from_millis(50));
    let [(at, told, 0)] = fired::<B>(&side)[..] else {
        panic!("{}", side.script.tail());
    };
    assert_eq!(told, timer);
    assert!(at >= start + 7_000);
    assert!(!bed.is_virtual() || at <= start + 7_000 + TICK);
    assert_eq!(side.net().stats().in_use, 0);
}

/// Each repeat is due a whole number of periods after the first, however late those before were.
fn a_repeating_timer_does_not_drift<B: Bed>(bed: &mut B) {
    let mut side = Side::new(bed, 0);
    let start = side.net().now().as_micros();
    let millis = Duration::from_millis(3);
    let timer = side.net().start_timer(millis, millis).unwrap();
    run_for(bed, &mut [&mut side], Duration::from_millis(100));
    side.net().stop_timer(timer);
    let fired = fired::<B>(&side);
    let mut count = 0;
    for (at, told, missed) in &fired {
        count += 1 + u64::from(*missed);
        assert_eq!(*told, timer);
        assert!(*at >= start + count * 3_000, "never early");
        assert!(*at < start + count * 3_000 + 3_000 + TICK, "counted right");
    }
    assert!(count >= 20);
    if bed.is_virtual() {
        assert_eq!((fired.len(), count), (33, 33), "none missed in time");
    }
}

/// Stopped from outside, and inside its own call; neither comes again.
fn a_stopped_timer_never_fires<B: Bed>(bed: &mut B) {
    let mut side = Side::new(bed, 0);
    let millis = Duration::from_millis(2);
    let gone = side.net().start_timer(millis, millis).unwrap();
    side.net().stop_timer(gone);
    let kept = side.net().start_timer(millis, millis).unwrap();
    side.script.act(|at, event| {
        if let Event::Timer(timer, _) = event {
            at.net().stop_timer(*timer);
        }
    });
    run_for(bed, &mut [&mut side], Duration::from_millis(30));
    let fired = fired::<B>(&side);
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].1, kept);
    assert_eq!(side.net().stats().in_use, 0);
}

/// A full pool has no room for a timer, and says so.
fn timers_take_slots_and_give_them_back<B: Bed>(bed: &mut B) {
    let mut side = Side::with::<3>(0, bed.platform(), 16, 0);
    let millis = Duration::from_millis(1);
    for _ in 0..3 {
        side.net().start_timer(millis, Duration::ZERO).unwrap();
    }
    let full = side.net().start_timer(millis, millis);
    assert_eq!(full, Err(Error::Full));
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut side], long, |sides| sides[0]
        .script
        .log
        .len()
        == 3));
    side.net().start_timer(millis, Duration::ZERO).unwrap();
}

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
