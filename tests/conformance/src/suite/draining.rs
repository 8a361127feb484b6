//! A loop that drains serves what has arrived, and ends everything in order and in time.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side, run_for, run_until, turns_in};
use std::time::Duration;
use usockets::{Closed, Endpoint};

/// Time that the server is given.
pub const WITHIN: Duration = Duration::from_secs(5);

/// Requests that had arrived are answered although nothing was read yet, and every connection
/// ends by the peer's FIN and ours, never by a reset.
pub fn what_has_arrived_is_answered<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<40>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<40>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen_at(Endpoint::tcp(bed.addr(0)).backlog(64), 1);
    server.script.echo = true;
    let long = bed.long();
    let names: Vec<_> = (0..20).map(|_| client.connect(addr, 2).unwrap()).collect();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.lp.stats().open == 20)
    }));
    for id in &names[..15] {
        both[1].say(*id, b"?");
    }
    // One byte, as the smallest receive buffer of a simulated network holds no more.
    let arrives = if bed.is_virtual() { 3_000 } else { 300 };
    run_for(bed, &mut both[1..], Duration::from_millis(arrives));
    both[0].net().drain(WITHIN);
    assert!(both[0].net().is_draining());
    assert!(run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.lp.stats().in_use == 0)
    }));
    for (nth, id) in names.iter().enumerate() {
        let said: &[u8] = if nth < 15 { b"?" } else { b"" };
        assert_eq!(both[1].script.received(*id), said);
        assert_eq!(both[1].script.closed(*id), Some(Closed::Finished));
    }
    let drained = |event: &Event| matches!(event, Event::Drain(_));
    assert_eq!(both[0].script.count(drained), 20);
}

/// Nobody gets in any more.
pub fn listeners_stop<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.server.net().drain(WITHIN);
    pair.until(bed, |server, client| {
        server.lp.stats().in_use == 0 && client.lp.stats().open == 0
    });
    pair.client.connect(pair.addr, 7).unwrap();
    let refused = |event: &Event| matches!(event, Event::ConnectError(_, 7, _));
    pair.until(bed, |_, client| client.script.count(refused) == 1);
}

/// A peer that does not end is closed when the time is over; one that is served meanwhile is
/// not.
pub fn the_time_is_bounded<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.client.script.finish_on_end = false;
    let near = pair.server.script.opened(0).unwrap();
    let start = bed.now();
    pair.server.net().drain(Duration::from_secs(1));
    pair.until(bed, |server, _| server.script.closed(near).is_some());
    assert_eq!(pair.server.script.closed(near), Some(Closed::TimedOut));
    let took = bed.now() - start;
    assert!(took >= Duration::from_millis(999), "{took:?}");
    assert!(took < bed.long() / 2, "{took:?}");
    assert_eq!(pair.server.lp.stats().in_use, 0);
}

/// Asked for again with no time left, it closes everything at once.
pub fn it_can_be_cut_short<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.client.script.finish_on_end = false;
    pair.server.net().drain(Duration::from_secs(3_600));
    pair.for_time(bed, Duration::from_millis(50));
    assert_eq!(pair.server.lp.stats().open, 1);
    pair.server.net().drain(Duration::ZERO);
    pair.until(bed, |server, _| server.lp.stats().in_use == 0);
}

/// Until the time is over nothing is to be done, so the loop sleeps.
pub fn it_sleeps_meanwhile<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.client.script.finish_on_end = false;
    pair.server.net().drain(Duration::from_secs(3_600));
    pair.for_time(bed, Duration::from_secs(1));
    let turns = turns_in(bed, &mut pair.server, Duration::from_secs(1));
    assert!(turns < 20, "{turns} iterations in a second");
}
