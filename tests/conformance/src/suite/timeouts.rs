//! Timeouts of sockets: never early, at most one tick late.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::Pair;
use std::time::Duration;

/// A tick of the timing wheel, in microseconds.
pub const TICK: u64 = 1_024;

/// A millisecond and less, on the real clock too (W13).
pub fn short_timeouts_are_never_early<B: Bed>(bed: &mut B) {
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

/// Putting a timeout off leaves the loop's next wake-up where it was: one store, no list (W13).
pub fn putting_off_costs_no_list_work<B: Bed>(bed: &mut B) {
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
pub fn a_timeout_comes_once_and_zero_disarms<B: Bed>(bed: &mut B) {
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
