//! What came before an end, a hang-up or a reset is delivered first.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, pattern, run_until};
use std::time::Duration;
use usockets::{Closed, Error};

/// The peer writes and closes at once: the bytes, then `on_end`, then `on_close` (W4, W21).
pub fn bytes_and_end_of_a_peer_that_closed_come_in_order<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let accepted = pair.accepted;
    let mut sent = pattern(1_000);
    let count = pair.client.net().write(pair.connected, &sent);
    sent.truncate(count);
    pair.client.net().close(pair.connected);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(pair.server.script.received(accepted), sent);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::End(_))),
        1
    );
}

/// The peer is slow to read; we close when it and everything in between is full: all that was
/// taken arrives (W4, W21).
pub fn what_was_taken_before_a_close_arrives<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let accepted = pair.accepted;
    let bytes = pattern(bed.plenty().min(2_000_000));
    let sent = fill_and_close(bed, &mut pair, &bytes);
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == &bytes[..sent]);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    pair.until(bed, |_, client| client.lp.stats().in_use == 0);
}

/// Lets the server not read, sends the front of `bytes` until nothing takes more, and closes.
/// Returns how much was taken.
fn fill_and_close<B: Bed>(bed: &mut B, pair: &mut Pair<B::P>, bytes: &[u8]) -> usize {
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    let mut sent = 0;
    for _ in 0..10 {
        sent += pair.client.net().write(connected, &bytes[sent..]);
        pair.for_time(bed, Duration::from_millis(10));
    }
    assert!(sent > 0);
    pair.client.net().close(connected);
    sent
}

/// The peer never reads, and we close with everything full: the slot comes back in bounded time.
/// Where time is real, the peer reads in the end.
pub fn a_peer_that_reads_nothing_keeps_no_slot<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let bytes = pattern(bed.plenty().min(2_000_000));
    fill_and_close(bed, &mut pair, &bytes);
    if bed.is_virtual() {
        pair.for_time(bed, Duration::from_secs(31));
        assert_eq!(pair.client.lp.stats().in_use, 0);
    }
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().resume(accepted);
    pair.until(bed, |_, client| client.lp.stats().in_use == 0);
    assert_eq!(pair.client.script.closed(connected), Some(Closed::Local(0)));
}

/// We have finished; the peer's bytes and its end arrive together while nobody looks (W4, W11).
pub fn bytes_with_the_end_after_our_own_end<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.script.finish_on_end = false;
    pair.server.finish(accepted);
    pair.until(bed, |_, client| client.script.talks[&connected].ended);
    let bytes = pattern(3_000);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    // The server is not polled until everything is there.
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(30),
        |_| false,
    );
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == bytes);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
}

/// The peer wrote, then reset: our failing write does not keep its bytes from us, and the reason
/// is the reset (W4, W6, W21). Linux may have thrown the bytes away by then.
pub fn a_failed_write_still_delivers_what_came_before<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let mut sent = pattern(500);
    let count = pair.client.net().write(connected, &sent);
    sent.truncate(count);
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(100),
        |_| false,
    );
    pair.client.net().abort(connected, 1);
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(100),
        |_| false,
    );
    // The platform knows; the loop does not yet.
    let taken = pair.server.net().write(accepted, b"anyone there?");
    let vectored = pair
        .server
        .net()
        .write_vectored(accepted, &[b"any", b"one?"]);
    if bed.learns_unasked() {
        assert_eq!((taken, vectored), (0, 0));
    }
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    let reset = Closed::Failed(Error::Reset);
    assert_eq!(pair.server.script.closed(accepted), Some(reset));
    let received = pair.server.script.received(accepted);
    if bed.is_virtual() {
        // What was under way when the reset was sent is lost with it; nothing is out of order.
        assert!(sent.starts_with(received));
        assert!(!bed.is_smooth() || received == sent);
    } else {
        assert!(received == sent || received.is_empty());
    }
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::Close(..))),
        1
    );
}
