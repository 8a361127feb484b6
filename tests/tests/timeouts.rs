//! Timeouts of sockets: never early, at most one tick late.

use std::time::Duration;
use usockets::Instant;
use usockets_conformance::suite::timeouts::TICK;
use usockets_tests::bed::{SimBed, on_sim};
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, run_for};
use usockets_tests::sim::Faults;

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
