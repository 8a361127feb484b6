//! Timeouts of sockets: never early, at most one tick late.

use std::time::Duration;

use usockets::Instant;
use usockets_tests::bed::{Bed, SimBed, on_sim};
use usockets_tests::on_every_platform;
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, run_for};
use usockets_tests::sim::Faults;

on_every_platform!(
    short_timeouts_are_never_early,
    putting_off_costs_no_list_work,
    a_timeout_comes_once_and_zero_disarms,
);

/// A tick of the timing wheel, in microseconds.
const TICK: u64 = 1_024;

/// A millisecond and less, on the real clock too (W13).
fn short_timeouts_are_never_early<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.client.script.keep_on_timeout = true;
    let id = pair.connected;
    for micros in [1, 999, 1_000, 1_023, 1_024, 1_025, 20_000] {
        let set = pair.client.net().now();
        pair.client
            .net()
            .set_timeout(id, Duration::from_micros(micros));
        let before = pair.client.script.log.len();
        pair.until(bed, |_, client| client.script.log.len() > before);
        let (at, event) = &pair.client.script.log[before];
        assert_eq!(*event, Event::Timeout(id));
        let took = at.saturating_since(set).as_micros() as u64;
        assert!(took >= micros, "{micros} µs came after {took}");
        if bed.is_virtual() {
            assert!(took <= micros + TICK, "{micros} µs came after {took}");
        }
    }
}

/// 1 ms, 1 s, 4 s, 961 s, 240 min, 60 days and many others (W13).
#[test]
fn every_length_is_never_early_and_at_most_a_tick_late() {
    let lengths = [
        Duration::from_millis(1),
        Duration::from_secs(1),
        Duration::from_secs(4),
        Duration::from_secs(961),
        Duration::from_secs(240 * 60),
        Duration::from_secs(60 * 86_400),
        Duration::from_secs(1_000 * 86_400),
    ];
    for seed in seeds(40) {
        println!("SEED={seed}");
        let rng = &mut Rng::new(seed);
        let bed = &mut SimBed::new(seed, Faults::none());
        let mut pair = Pair::open(bed);
        pair.client.script.keep_on_timeout = true;
        let random = (0..20).map(|_| Duration::from_micros(rng.next() >> rng.between(20, 60)));
        for length in lengths.into_iter().chain(random.collect::<Vec<_>>()) {
            let length = length.max(Duration::from_micros(1));
            run_for(
                bed,
                &mut [&mut pair.client],
                Duration::from_micros(rng.below(5_000)),
            );
            exactly(bed, &mut pair, length);
        }
    }
}

fn exactly(bed: &mut SimBed, pair: &mut Pair<usockets_tests::sim::Host>, length: Duration) {
    let id = pair.connected;
    let set = pair.client.net().now();
    pair.client.net().set_timeout(id, length);
    let before = pair.client.script.log.len();
    let turns = pair.client.lp.stats().iterations;
    run_for(
        bed,
        &mut [&mut pair.client],
        length + Duration::from_millis(2),
    );
    let [(at, event)] = &pair.client.script.log[before..] else {
        panic!("{length:?}: {}", pair.client.script.tail());
    };
    assert_eq!(*event, Event::Timeout(id));
    let took = at.saturating_since(set);
    assert!(took >= length, "{length:?} came after {took:?}");
    assert!(
        took <= length + Duration::from_micros(TICK),
        "{length:?} came after {took:?}"
    );
    let turns = pair.client.lp.stats().iterations - turns;
    // The wheel goes round once in 12.7 days.
    let rounds = length.as_secs() / (12 * 86_400);
    assert!(
        turns < 40 + rounds,
        "{turns} iterations for one timeout of {length:?}"
    );
}

/// A loop that stood still tells every timeout that passed, none early, none twice (W13).
#[test]
fn timeouts_are_right_after_a_stall() {
    on_sim(|bed| {
        let mut pair = Pair::open(bed);
        pair.client.script.keep_on_timeout = true;
        let second = pair.client.connect(pair.addr, 2).unwrap();
        pair.until(bed, |_, client| client.script.opened(1).is_some());
        let (start, log) = (pair.client.net().now(), pair.client.script.log.len());
        pair.client
            .net()
            .set_timeout(pair.connected, Duration::from_millis(5));
        pair.client
            .net()
            .set_timeout(second, Duration::from_secs(7));
        let mut net = pair.client.net();
        let timer = net.start_timer(Duration::from_millis(100), Duration::from_millis(100));
        let timer = timer.unwrap();
        bed.sim.stall(1, Duration::from_millis(5_050));
        run_for(bed, &mut [&mut pair.client], Duration::from_millis(5_060));
        let told: Vec<_> = pair.client.script.log[log..].to_vec();
        let after = |at: Instant| at.saturating_since(start).as_millis();
        let timeouts: Vec<_> = told
            .iter()
            .filter(|(_, event)| matches!(event, Event::Timeout(_)))
            .collect();
        assert_eq!(timeouts.len(), 1);
        assert!(after(timeouts[0].0) >= 5_050);
        let timers: Vec<_> = told
            .iter()
            .filter(|(_, event)| matches!(event, Event::Timer(..)))
            .collect();
        assert_eq!(timers.len(), 1, "repeats that were missed come as one");
        assert_eq!(timers[0].1, Event::Timer(timer, 49));
        run_for(bed, &mut [&mut pair.client], Duration::from_secs(3));
        let (at, _) = *pair
            .client
            .script
            .log
            .iter()
            .rev()
            .find(|(_, event)| *event == Event::Timeout(second))
            .unwrap();
        assert!((7_000..=7_002).contains(&after(at)));
    });
}

/// Putting a timeout off leaves the loop's next wake-up where it was: one store, no list (W13).
fn putting_off_costs_no_list_work<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let id = pair.client.script.opened(0).unwrap();
    pair.client.net().set_timeout(id, Duration::from_secs(100));
    let place = pair.client.lp.next_deadline();
    assert!(place.is_some());
    for secs in 101..5_000 {
        pair.client.net().set_timeout(id, Duration::from_secs(secs));
        assert_eq!(pair.client.lp.next_deadline(), place);
    }
    pair.client.net().set_timeout(id, Duration::from_secs(1));
    let due = pair
        .client
        .net()
        .now()
        .saturating_add(Duration::from_secs(2));
    let next = pair.client.lp.next_deadline();
    // The place of a far timeout is where the wheel turns next, which may be before a second is
    // over.
    assert!(
        next <= place && next.is_some_and(|next| next <= due),
        "bringing it forward does move it"
    );
}

/// `on_timeout` disarms; zero disarms; re-arming replaces (W13).
fn a_timeout_comes_once_and_zero_disarms<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let id = pair.connected;
    pair.client.script.keep_on_timeout = true;
    let timeouts = |event: &Event| matches!(event, Event::Timeout(_));
    pair.client.net().set_timeout(id, Duration::from_millis(3));
    pair.client.net().set_timeout(id, Duration::ZERO);
    pair.for_time(bed, Duration::from_millis(20));
    assert_eq!(pair.client.script.count(timeouts), 0);
    pair.client.net().set_timeout(id, Duration::from_millis(30));
    pair.client.net().set_timeout(id, Duration::from_millis(3));
    pair.for_time(bed, Duration::from_millis(60));
    assert_eq!(pair.client.script.count(timeouts), 1);
}
