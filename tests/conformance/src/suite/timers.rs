//! Timers of the program.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Side, run_for, run_until};
use std::time::Duration;
use usockets::{Error, TimerId};

const TICK: u64 = 1_024;

/// Returns when which timer fired, with the repeats missed.
pub fn fired<B: Bed>(side: &Side<B::P>) -> Vec<(u64, TimerId, u32)> {
    let all = side.script.log.iter();
    all.filter_map(|(at, event)| match event {
        Event::Timer(timer, missed) => Some((at.as_micros(), *timer, *missed)),
        _ => None,
    })
    .collect()
}

/// Without repeat: once, not early, and its slot is free again (W9, W15).
pub fn a_timer_fires_once<B: Bed>(bed: &mut B) {
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
pub fn a_repeating_timer_does_not_drift<B: Bed>(bed: &mut B) {
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
pub fn a_stopped_timer_never_fires<B: Bed>(bed: &mut B) {
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
pub fn timers_take_slots_and_give_them_back<B: Bed>(bed: &mut B) {
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
