//! A name outlives its socket and reaches nobody else.

use crate::bed::Bed;
use crate::side::{Pair, Side, run_until};
use std::time::Duration;
use usockets::{Closed, SocketId};

/// The slot is used again by another connection; every call by the old name leaves it alone
/// (W2, W16).
pub fn a_stale_name_reaches_nobody<B: Bed>(bed: &mut B) {
    let server = Side::new(bed, 0);
    let client = Side::with::<1>(1, bed.platform(), 4_096, 256);
    let mut pair = Pair::of(bed, server, client);
    let old = pair.connected;
    pair.client.net().close_with(old, 7);
    // A layer may still be sending a farewell when the socket has closed.
    pair.until(bed, |_, client| {
        client.script.closed(old).is_some() && client.lp.stats().in_use == 0
    });
    let new = pair.client.connect(pair.addr, 5).unwrap();
    assert_eq!((new.index(), new == old), (old.index(), false));
    pair.until(bed, |server, client| {
        client.script.talks.contains_key(&new) && server.script.opened(1).is_some()
    });
    let mut net = pair.client.net();
    assert_eq!(net.write(old, b"lost"), 0);
    assert_eq!(net.write_vectored(old, &[b"lo", b"st"]), 0);
    net.cork(old);
    net.uncork(old);
    net.finish(old);
    net.pause(old);
    net.resume(old);
    net.adopt(old, 9);
    net.set_timeout(old, Duration::from_micros(1));
    net.abort(old, 1);
    net.close_with(old, 2);
    assert!(!net.is_open(old));
    assert_eq!(
        (net.context(old), net.peer_addr(old), net.local_addr(old)),
        (None, None, None)
    );
    assert_eq!((net.context(new), net.is_open(new)), (Some(5), true));
    assert!(net.peer_addr(new).is_some());
    assert!(pair.client.lp.all_sockets().get(old).is_none());
    assert!(pair.client.lp.all_sockets().get(new).is_some());
    let sender = pair.server.script.opened(1).unwrap();
    pair.server.say(sender, b"hello");
    pair.client.say(new, b"hello");
    pair.until(bed, |server, client| {
        client.script.received(new) == b"hello" && server.script.received(sender) == b"hello"
    });
    pair.for_time(bed, Duration::from_millis(5));
    assert_eq!(pair.client.script.closed(new), None);
    assert_eq!(pair.client.script.closed(old), Some(Closed::Local(7)));
    let bits = SocketId::from_bits(old.to_bits());
    assert_eq!(bits, Some(old));
    assert_eq!(SocketId::from_bits(u64::from(old.index())), None);
}

/// Listeners and timers have names of their own; an old one does nothing (W32).
pub fn stale_names_of_listeners_and_timers_do_nothing<B: Bed>(bed: &mut B) {
    let mut side = Side::with::<1>(0, bed.platform(), 16, 0);
    let (old, _) = side.listen(bed, 1);
    side.net().stop_listening(old);
    let (new, addr) = side.listen(bed, 1);
    side.net().stop_listening(old);
    assert_eq!(side.net().listening_addr(old), None);
    assert_eq!(side.net().listening_addr(new), Some(addr));
    side.net().stop_listening(new);
    let first = side
        .net()
        .start_timer(Duration::from_millis(5), Duration::ZERO)
        .unwrap();
    side.net().stop_timer(first);
    let second = side
        .net()
        .start_timer(Duration::from_millis(1), Duration::ZERO)
        .unwrap();
    side.net().stop_timer(first);
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut side], long, |sides| !sides[0]
        .script
        .log
        .is_empty()));
    let events: Vec<_> = side.script.events().cloned().collect();
    assert_eq!(events, [crate::script::Event::Timer(second, 0)]);
    assert_eq!(side.net().stats().in_use, 0);
}
