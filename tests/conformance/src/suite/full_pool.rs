//! More connections than the pool has slots.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Side, run_for, run_until, turns_in};
use std::time::Duration;
use usockets::{Closed, Endpoint, Error, WhenFull};

/// Connections beyond the pool wait in the platform's queue at no cost; each is served once a
/// slot is free (W3).
pub fn a_full_pool_pauses_the_listener_and_loses_nobody<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let (_, addr) = server.listen(bed, 1);
    for _ in 0..9 {
        client.connect(addr, 2).unwrap();
    }
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| {
        sides[0].lp.stats().open == 3 && sides[1].lp.stats().open == 9
    }));
    run_for(bed, both, Duration::from_millis(200));
    let turns = turns_in(bed, both[0], Duration::from_secs(1));
    assert!(
        turns <= 30,
        "{turns} iterations while nothing could be done"
    );
    assert_eq!(both[0].lp.stats().open, 3);
    let full = |event: &Event| matches!(event, Event::AcceptError(_, Error::Full));
    assert_eq!(both[0].script.count(full), 1);
    assert_eq!(both[0].lp.stats().pauses, 1);
    // Served one by one as those before leave.
    both[0].script.echo = true;
    both[1].script.act(|at, event| {
        if let Event::Data(id, _) = event {
            at.net().finish(*id);
        }
    });
    let clients: Vec<_> = both[1].script.talks.keys().copied().collect();
    for id in clients {
        both[1].say(id, b"x");
    }
    assert!(run_until(bed, both, long, |sides| {
        sides[1]
            .script
            .talks
            .values()
            .all(|talk| talk.closed == Some(Closed::Finished))
    }));
    assert_eq!(both[0].lp.stats().accepted, 9);
    assert!(
        both[1]
            .script
            .talks
            .values()
            .all(|talk| talk.received == b"x")
    );
}

/// `WhenFull::Refuse`: those beyond the pool are reset at once, the others are not disturbed.
pub fn a_full_pool_refuses_if_asked_to<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<3>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::Refuse);
    let (_, addr) = server.listen_at(at, 1);
    for _ in 0..5 {
        client.connect(addr, 2).unwrap();
    }
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| sides[0]
        .lp
        .stats()
        .refused
        == 3));
    assert!(run_until(bed, both, long, |sides| {
        let script = &sides[1].script;
        let gone = script.count(|event| {
            matches!(
                event,
                Event::Close(_, Closed::Failed(Error::Reset))
                    | Event::ConnectError(_, 2, Error::Reset)
            )
        });
        // Over a layer, they may open here before they do there.
        gone == 3 && sides.iter().all(|side| side.lp.stats().open == 2)
    }));
    assert_eq!(both[0].lp.stats().refused, 3);
}

/// `WhenFull::EvictIdle`: who received nothing for the longest time makes room (W21).
pub fn a_full_pool_evicts_the_idlest_if_asked_to<B: Bed>(bed: &mut B) {
    if !bed.is_smooth() {
        return;
    }
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::EvictIdle);
    let (_, addr) = server.listen_at(at, 1);
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    let mut ids = Vec::new();
    for index in 0..3 {
        ids.push(both[1].connect(addr, 2).unwrap());
        assert!(run_until(bed, both, long, |sides| {
            sides[0].script.opened(index).is_some() && sides[1].script.opened(index).is_some()
        }));
    }
    let first = both[0].script.opened(0).unwrap();
    both[1].say(ids[0], b"still awake");
    assert!(run_until(bed, both, long, |sides| {
        sides[0].script.received(first) == b"still awake"
    }));
    both[1].connect(addr, 2).unwrap();
    assert!(run_until(bed, both, long, |sides| sides[0]
        .script
        .opened(3)
        .is_some()));
    let second = both[0].script.opened(1).unwrap();
    assert_eq!(both[0].script.closed(second), Some(Closed::Evicted));
    assert_eq!(both[0].script.closed(first), None);
    assert_eq!(both[0].lp.stats().evicted, 1);
    assert!(run_until(bed, both, long, |sides| {
        sides[1].script.closed(ids[1]).is_some()
    }));
}

/// A pool of one slot holds one connection after the other.
pub fn a_pool_of_one_slot_works<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::with::<1>(1, bed.platform(), 1, 0);
    let (_, addr) = server.listen(bed, 1);
    server.script.echo = true;
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    for round in 0..5 {
        let id = both[1].connect(addr, 2).unwrap();
        assert_eq!(both[1].connect(addr, 2), Err(Error::Full));
        assert!(run_until(bed, both, long, |sides| sides[1]
            .script
            .opened(round)
            .is_some()));
        both[1].say(id, b"!");
        assert!(run_until(bed, both, long, |sides| sides[1]
            .script
            .received(id)
            == b"!"));
        both[1].finish(id);
        assert!(run_until(bed, both, long, |sides| sides[1]
            .script
            .closed(id)
            .is_some()));
        assert_eq!(both[1].script.closed(id), Some(Closed::Finished));
        assert_eq!(both[1].lp.stats().in_use, 0);
    }
}
