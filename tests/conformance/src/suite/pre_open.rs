//! Connections that are looked at before they open: kept, refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use usockets::{Closed, Error, Platform, PreOpen};

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Side, run_for, run_until, turns_in};

/// Each connection is asked about once, before it opens, with what it then opens with.
pub fn the_peer_and_the_listener_are_known<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (one, addr) = server.listen(bed, 1);
    let (two, other) = server.listen(bed, 7);
    let asked = Rc::new(RefCell::new(Vec::new()));
    let note = asked.clone();
    let start = server.lp.platform().now();
    server.script.pre_open(move |incoming| {
        let (peer, at) = (incoming.peer().ip(), incoming.local_addr());
        let at = at.and_then(|at| at.ip()).map(|at| at.port());
        note.borrow_mut()
            .push((incoming.listener(), incoming.context(), peer, at));
        assert!(incoming.now() >= start);
        PreOpen::Keep
    });
    client.connect(addr, 2).unwrap();
    client.connect(other, 2).unwrap();
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.lp.stats().open == 2)
    }));
    let mut asked = asked.borrow().clone();
    asked.sort_by_key(|(_, context, ..)| *context);
    let mut opened: Vec<_> = both[0]
        .script
        .events()
        .filter_map(|event| match *event {
            Event::Open(_, context, peer) => Some((context, peer)),
            _ => None,
        })
        .collect();
    opened.sort();
    let [first, second] = asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!((first.0, first.3), (one, Some(addr.port())));
    assert_eq!((second.0, second.3), (two, Some(other.port())));
    assert_eq!(opened, [(first.1, first.2), (second.1, second.2)]);
}

/// Every second one is refused: its peer sees a reset, the others are not disturbed.
pub fn who_is_refused_is_reset_and_takes_no_slot<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (_, addr) = server.listen(bed, 1);
    let mut asked = 0;
    server.script.pre_open(move |_| {
        asked += 1;
        match asked % 2 {
            0 => PreOpen::Refuse,
            _ => PreOpen::Keep,
        }
    });
    for _ in 0..8 {
        client.connect(addr, 2).unwrap();
    }
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    let is_refusal = |event: &Event| match event {
        Event::Close(_, closed) => *closed == Closed::Failed(Error::Reset),
        Event::ConnectError(..) => true,
        _ => false,
    };
    assert!(run_until(bed, both, long, |sides| {
        let stats = sides[0].lp.stats();
        let client = sides[1].lp.stats().open;
        let refusals = sides[1].script.count(is_refusal);
        (stats.refused, stats.open, client, refusals) == (4, 4, 4, 4)
    }));
    let stats = both[0].lp.stats();
    // The listener, and who was kept.
    assert_eq!((stats.accepted, stats.in_use), (4, 5));
    assert_eq!(
        both[0]
            .script
            .count(|event| matches!(event, Event::Open(..))),
        4
    );
    both[0].script.echo = true;
    let talks = both[1].script.talks.iter();
    let open = talks.filter(|(_, talk)| talk.closed.is_none());
    let open: Vec<_> = open.map(|(id, _)| *id).collect();
    assert_eq!(open.len(), 4);
    for &id in &open {
        both[1].say(id, b"hello");
    }
    assert!(run_until(bed, both, long, |sides| {
        open.iter()
            .all(|&id| sides[1].script.received(id) == b"hello")
    }));
}

/// A listener whose every connection is refused goes on, and waits when nobody comes.
pub fn a_refusal_of_all_does_not_spin<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<2>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<64>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen(bed, 1);
    server.script.pre_open(|_| PreOpen::Refuse);
    for _ in 0..40 {
        client.connect(addr, 2).unwrap();
    }
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| sides[0]
        .lp
        .stats()
        .refused
        == 40));
    run_for(bed, both, Duration::from_millis(200));
    let stats = both[0].lp.stats();
    assert_eq!((stats.accepted, stats.open, stats.in_use), (0, 0, 1));
    let turns = turns_in(bed, both[0], Duration::from_secs(1));
    assert!(
        turns <= 30,
        "{turns} iterations while nothing could be done"
    );
}
