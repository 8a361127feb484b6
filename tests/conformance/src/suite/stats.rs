//! What the loop counts.

use crate::bed::Bed;
use crate::side::{Pair, pattern};

/// Connections, bytes, slots and iterations are counted (W34: and nothing is printed).
pub fn everything_is_counted<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let bytes = pattern(2_000);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    pair.until(bed, |server, client| {
        server.script.closed(accepted).is_some() && client.script.closed(connected).is_some()
    });
    let (server, client) = (pair.server.lp.stats(), pair.client.lp.stats());
    assert_eq!(
        (server.accepted, server.connected, server.received),
        (1, 0, 2_000)
    );
    assert_eq!(
        (client.accepted, client.connected, client.sent),
        (0, 1, 2_000)
    );
    assert_eq!((server.sent, client.received), (0, 0));
    assert_eq!((server.open, client.open), (0, 0));
    assert_eq!(
        (server.in_use, client.in_use),
        (1, 0),
        "the listener is left"
    );
    let rest = [
        server.failed,
        server.refused,
        server.evicted,
        server.pauses,
        client.failed,
    ];
    assert_eq!(rest, [0; 5]);
    assert!(server.iterations > 1 && client.iterations > 1);
    assert_eq!(pair.client.net().stats(), client);
}

/// A paused socket is not read: its peer fills what lies between, and no more; `resume` delivers
/// everything, then the end.
pub fn pausing_holds_the_peer_up<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    let bytes = pattern(bed.plenty());
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    pair.for_time(bed, std::time::Duration::from_millis(200));
    assert_eq!(pair.server.script.received(accepted), []);
    assert!(!pair.server.script.talks[&accepted].ended);
    let sent = pair.client.lp.stats().sent;
    assert!(sent < bytes.len() as u64, "{sent} bytes lie between");
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == bytes);
}
