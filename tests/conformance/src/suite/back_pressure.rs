//! Writing more than there is room for.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, pattern};
use std::cell::Cell;
use std::rc::Rc;

/// `on_writable` writes until nothing is taken, again and again, and never waits in vain (W5).
pub fn writing_until_full_in_on_writable_never_stalls<B: Bed>(bed: &mut B) {
    transfer(bed, false);
}

/// The same with vectored writes, whose failure must be noted as well (W5, W6).
pub fn writing_vectored_until_full_never_stalls<B: Bed>(bed: &mut B) {
    transfer(bed, true);
}

fn transfer<B: Bed>(bed: &mut B, vectored: bool) {
    let mut pair = Pair::open(bed);
    let bytes = pattern(bed.plenty());
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server
        .script
        .talks
        .get_mut(&accepted)
        .unwrap()
        .vectored = vectored;
    pair.server.say(accepted, &bytes);
    pair.server.finish(accepted);
    pair.until(bed, |_, client| client.script.closed(connected).is_some());
    assert!(pair.client.script.received(connected) == bytes);
    let full = pair
        .server
        .script
        .count(|event| matches!(event, Event::Writable(_)));
    assert!(full > 0, "it was full at least once");
}

/// Two sockets of one loop are full at once; the room of one says nothing of the other (W7).
pub fn a_full_socket_does_not_stall_another<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let second = pair.client.connect(pair.addr, 3).unwrap();
    pair.until(bed, |server, client| {
        server.script.opened(1).is_some() && client.script.opened(1).is_some()
    });
    let (a, b) = (pair.accepted, pair.server.script.opened(1).unwrap());
    let bytes = pattern(bed.plenty());
    for id in [a, b] {
        pair.server.say(id, &bytes);
        pair.server.finish(id);
    }
    let first = pair.connected;
    pair.until(bed, |_, client| {
        [first, second]
            .iter()
            .all(|id| client.script.closed(*id).is_some())
    });
    assert!(pair.client.script.received(first) == bytes);
    assert!(pair.client.script.received(second) == bytes);
}

/// After a short write, `on_writable` comes; without one it never does.
pub fn a_short_write_promises_one_on_writable<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.net().pause(connected);
    let chunk = pattern(10_000);
    let mut taken = Vec::new();
    loop {
        assert!(!pair.server.net().is_blocked(accepted));
        let count = pair.server.net().write(accepted, &chunk);
        taken.extend_from_slice(&chunk[..count]);
        if count < chunk.len() {
            break;
        }
    }
    assert!(pair.server.net().is_blocked(accepted));
    assert!(!pair.client.net().is_blocked(connected));
    assert_eq!(
        pair.server.net().write(accepted, &chunk),
        0,
        "nothing before on_writable"
    );
    pair.client.net().resume(connected);
    let len = taken.len();
    pair.until(bed, |server, client| {
        let writable = server
            .script
            .count(|event| matches!(event, Event::Writable(_)));
        assert!(writable <= 1, "one short write, one on_writable");
        writable == 1 && client.script.received(connected).len() == len
    });
    assert!(pair.client.script.received(connected) == taken);
    pair.for_time(bed, std::time::Duration::from_millis(20));
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::Writable(_))),
        1
    );
    assert!(!pair.server.net().is_blocked(accepted));
    pair.server.net().close(accepted);
    assert!(!pair.server.net().is_blocked(accepted));
}

/// A reader that pauses after every delivery still gets all bytes, in order.
pub fn a_slow_reader_gets_everything<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let pauses = Rc::new(Cell::new(0));
    let seen = Rc::clone(&pauses);
    pair.client.script.act(move |at, event| {
        if let Event::Data(id, _) = event {
            at.net().pause(*id);
            seen.set(seen.get() + 1);
        }
    });
    let bytes = pattern(bed.plenty());
    pair.server.say(accepted, &bytes);
    pair.server.finish(accepted);
    let mut last = 0;
    pair.until(bed, |_, client| {
        assert!(pauses.get() <= last + 1, "a paused socket is not read");
        last = pauses.get();
        client.net().resume(connected);
        client.script.closed(connected).is_some()
    });
    assert!(pair.client.script.received(connected) == bytes);
}
