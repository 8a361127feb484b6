//! The wheel against a plain table of deadlines.

use super::std::vec::Vec;
use super::*;

const SLOTS: u32 = 200;
/// Miri takes a thousand times as long.
const STEPS: u32 = if cfg!(miri) { 200 } else { 3_000 };
/// Miri is too slow for as many.
const SEEDS: u64 = if cfg!(miri) { 3 } else { 60 };
const TICK: u64 = 1 << TICK_SHIFT;

fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A span whose magnitude is random too, up to about 2^46 µs (2 years).
fn span(state: &mut u64) -> u64 {
    let bits = next_random(state) % 46;
    next_random(state) % (1 << bits) + 1
}

/// A plain table of deadlines beside the wheel, under random arming, re-arming, disarming,
/// removal and jumps of time: each fires once, never early, and late by a tick at most.
fn run(seed: u64, budget_max: u64) {
    let mut random = seed;
    let mut slots: Vec<Slot<(), ()>> = (0..SLOTS).map(|_| Slot::free(())).collect();
    let mut now = next_random(&mut random) % (1 << 50);
    let mut wheel = Wheel::new(now);
    let mut model: Vec<Option<u64>> = (0..SLOTS).map(|_| None).collect();
    for _ in 0..STEPS {
        let index = u32::try_from(next_random(&mut random) % u64::from(SLOTS)).unwrap();
        let entry = &mut model[to_index(index)];
        match next_random(&mut random) % 8 {
            0..4 => {
                let deadline = now + span(&mut random);
                wheel.set(&mut slots, index, deadline);
                *entry = Some(deadline);
            }
            4 => {
                wheel.set(&mut slots, index, 0);
                *entry = None;
            }
            5 => {
                wheel.remove(&mut slots, index);
                slots[to_index(index)].deadline = Deadline::NEVER;
                *entry = None;
            }
            _ => {
                let earliest = model.iter().flatten().min();
                if let Some(&earliest) = earliest {
                    let due = earliest.div_ceil(TICK) * TICK;
                    assert!(wheel.next_micros() <= due, "seed {seed}: would oversleep");
                }
                now = if next_random(&mut random).is_multiple_of(2) && wheel.next_micros() != NEVER
                {
                    now.max(wheel.next_micros())
                } else {
                    now + span(&mut random)
                };
                expire(&mut wheel, &mut slots, &mut model, now, budget_max, seed);
            }
        }
    }
}

fn expire(
    wheel: &mut Wheel,
    slots: &mut [Slot<(), ()>],
    model: &mut [Option<u64>],
    now: u64,
    budget_max: u64,
    seed: u64,
) {
    let mut rounds = 0;
    while wheel.advance(now) {
        let mut budget = u32::try_from(budget_max).unwrap();
        while let Some(Due {
            index, deadline, ..
        }) = wheel.expire(slots, now, &mut budget)
        {
            assert_eq!(model[to_index(index)].take(), Some(deadline), "seed {seed}");
            assert!(deadline <= now, "seed {seed}: early");
        }
        rounds += 1;
        assert!(rounds < 100_000, "seed {seed}: no progress");
    }
    for deadline in model.iter().flatten() {
        assert!(deadline + TICK > now, "seed {seed}: late");
    }
}

#[test]
fn deadlines_fire_once_never_early_and_a_tick_late_at_most() {
    for seed in 1..SEEDS {
        run(seed, u64::from(u32::MAX));
    }
}

#[test]
fn a_budget_only_puts_expiries_off() {
    for seed in 1..SEEDS {
        run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3);
    }
}

#[test]
fn putting_a_deadline_off_leaves_the_lists_alone() {
    let mut slots: Vec<Slot<(), ()>> = (0..2).map(|_| Slot::free(())).collect();
    let mut wheel = Wheel::new(0);
    wheel.set(&mut slots, 0, 30_000_000);
    let bucket = slots[0].bucket;
    for deadline in 30_000_001..30_001_000 {
        wheel.set(&mut slots, 0, deadline);
        assert_eq!(slots[0].bucket, bucket);
    }
}
