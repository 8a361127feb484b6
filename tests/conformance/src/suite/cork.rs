//! Coalescing writes.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side, pattern};
use std::time::Duration;

fn corked<B: Bed>(bed: &mut B, cork: usize) -> Pair<B::P> {
    let server = Side::new(bed, 0);
    let client = Side::with::<16>(1, bed.platform(), 4_096, cork);
    Pair::of(bed, server, client)
}

/// Nothing goes out before the end of the iteration, then all of it.
pub fn corked_writes_go_out_together_at_the_end<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 1_000);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let sent = pair.client.lp.stats().sent;
    let mut net = pair.client.net();
    net.cork(connected);
    for _ in 0..10 {
        assert_eq!(net.write(connected, b"0123456789"), 10);
    }
    assert_eq!(net.stats().sent, sent, "held back");
    pair.until(bed, |server, _| {
        server.script.received(accepted).len() == 100
    });
    assert!(
        pair.server
            .script
            .received(accepted)
            .chunks(10)
            .all(|part| part == b"0123456789")
    );
    let mut net = pair.client.net();
    net.cork(connected);
    assert_eq!(net.write(connected, b"more"), 4);
    net.uncork(connected);
    pair.until(bed, |server, _| {
        server.script.received(accepted).len() == 104
    });
}

/// More than the cork holds goes out in order, through short writes and full buffers.
pub fn a_cork_that_is_full_keeps_the_order<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 64);
    let bytes = pattern(bed.plenty().min(300_000));
    stream(bed, &mut pair, &bytes, |net, id, rest| {
        let len = rest.len().min(7 + rest.len() % 100);
        net.write(id, &rest[..len])
    });
}

/// A slice that does not fit the cork, followed by one that would: the second must not overtake
/// what the platform did not take of the first.
pub fn vectored_writes_larger_than_the_cork_keep_the_order<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 64);
    let bytes = pattern(bed.plenty().min(1 << 21));
    stream(bed, &mut pair, &bytes, |net, id, rest| {
        let large = rest.len().saturating_sub(20).min(100_000);
        let (a, b) = rest.split_at(large);
        let b = &b[..b.len().min(20)];
        net.write_vectored(id, &[a, &b[..b.len() / 2], &b[b.len() / 2..]])
    });
}

/// Writes all bytes through a cork in every iteration, by `write`.
fn stream<B: Bed>(
    bed: &mut B,
    pair: &mut Pair<B::P>,
    bytes: &[u8],
    write: impl Fn(&mut usockets::Net<'_, B::P, u8>, usockets::SocketId, &[u8]) -> usize,
) {
    let (accepted, connected) = (pair.accepted, pair.connected);
    let mut done = 0;
    pair.until(bed, |server, client| {
        let mut net = client.net();
        if done < bytes.len() {
            net.cork(connected);
        }
        while done < bytes.len() {
            let count = write(&mut net, connected, &bytes[done..]);
            done += count;
            if count == 0 {
                break;
            }
        }
        server.script.received(accepted).len() >= bytes.len()
    });
    assert!(pair.server.script.received(accepted) == bytes);
}

/// Our end comes after what the cork holds, also when the peer takes nothing for a while (W11).
pub fn finish_waits_for_the_cork<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 1_000);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    let chunk = pattern(5_000);
    let mut sent = Vec::new();
    loop {
        let count = pair.client.net().write(connected, &chunk);
        sent.extend_from_slice(&chunk[..count]);
        if count < chunk.len() {
            break;
        }
    }
    pair.server.net().resume(accepted);
    pair.until(bed, |_, client| {
        client
            .script
            .count(|event| matches!(event, Event::Writable(_)))
            == 1
    });
    let mut net = pair.client.net();
    net.cork(connected);
    let count = net.write(connected, &chunk[..900]);
    sent.extend_from_slice(&chunk[..count]);
    net.finish(connected);
    assert_eq!(net.write(connected, b"after the end"), 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == sent);
}

/// There is one cork: taking it for another socket sends what it holds.
pub fn another_cork_sends_the_first<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 1_000);
    let second = pair.client.connect(pair.addr, 2).unwrap();
    pair.until(bed, |server, client| {
        client.script.talks.contains_key(&second) && server.script.opened(1).is_some()
    });
    let first = pair.connected;
    let mut net = pair.client.net();
    net.cork(first);
    let a = net.write(first, b"one");
    net.cork(second);
    let b = net.write(second, b"two");
    net.cork(first);
    assert_eq!(a, 3);
    pair.until(bed, |server, _| {
        let mut all: Vec<_> = server
            .script
            .talks
            .values()
            .map(|talk| talk.received.clone())
            .collect();
        all.sort();
        all == [b"one".to_vec(), b"two"[..b].to_vec()]
            || all == [b"two"[..b].to_vec(), b"one".to_vec()]
    });
    pair.for_time(bed, Duration::from_millis(5));
}

/// Closing sends what the cork holds, as far as there is room.
pub fn closing_sends_the_cork_first<B: Bed>(bed: &mut B) {
    let mut pair = corked(bed, 1_000);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let mut net = pair.client.net();
    net.cork(connected);
    assert_eq!(net.write(connected, b"farewell"), 8);
    net.close(connected);
    assert_eq!(net.write(connected, b"!"), 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    let received = pair.server.script.received(accepted);
    assert!(b"farewell".starts_with(received));
    assert!(!bed.is_smooth() || received == b"farewell");
}
