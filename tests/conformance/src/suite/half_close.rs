//! The end of one direction.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, pattern};
use usockets::Closed;

/// Both sides finish: both close with `Finished`, and `on_close` comes once (W21).
pub fn both_ends_close_in_order<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.client.finish(pair.connected);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.until(bed, |server, client| {
        server.script.closed(accepted).is_some() && client.script.closed(connected).is_some()
    });
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    assert_eq!(pair.client.script.closed(connected), Some(Closed::Finished));
}

/// Bytes that arrive before or together with the end are delivered before `on_end` (W4).
pub fn bytes_before_the_end_come_first<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let bytes = pattern(bed.plenty());
    pair.client.say(pair.connected, &bytes);
    pair.client.finish(pair.connected);
    let accepted = pair.accepted;
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(
        pair.server.script.received(accepted) == bytes,
        "bytes before the end are missing"
    );
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::End(_))),
        1
    );
}

/// What the peer says after our own end, together with its end, arrives in full (W4).
pub fn we_still_receive_after_our_own_end<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.script.finish_on_end = false;
    pair.client.finish(connected);
    pair.until(bed, |server, _| server.script.talks[&accepted].ended);
    assert!(pair.server.net().is_open(accepted));
    let bytes = pattern(bed.plenty());
    pair.server.say(accepted, &bytes);
    pair.server.finish(accepted);
    pair.until(bed, |_, client| client.script.closed(connected).is_some());
    assert!(pair.client.script.received(connected) == bytes);
    assert_eq!(pair.client.script.closed(connected), Some(Closed::Finished));
}

/// `on_end` comes once, also when there is more to write than fits and room comes back (W11).
pub fn the_end_comes_once<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let bytes = pattern(bed.plenty());
    pair.server.say(accepted, &bytes);
    pair.client.finish(connected);
    pair.until(bed, |_, client| client.script.closed(connected).is_some());
    assert!(pair.client.script.received(connected) == bytes);
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::End(_))),
        1
    );
}
