//! Who gets a slot when there are too few: listeners that wait take turns, one that evicts takes
//! the slot it freed, and nobody is evicted or refused while a slot is free.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Endpoint, Error, Platform, WhenFull};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, run_until};
use usockets_tests::sim::{Faults, Host, Sim};

const A_WHILE: Duration = Duration::from_millis(50);

/// Whatever a platform reports, a listener has its share once in an iteration.
#[test]
fn a_listener_that_is_reported_again_and_again_is_served_once() {
    let mut faults = Faults::none();
    faults.repeated = 10_000;
    let bed = &mut SimBed::new(0, faults);
    let mut server = Side::with::<256>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<256>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen(bed, 1);
    for _ in 0..200 {
        client.connect(addr, 2).unwrap();
    }
    let both = &mut [&mut server, &mut client];
    let mut before = 0;
    let long = bed.long();
    assert!(run_until(bed, both, long, |sides| {
        let stats = sides[0].lp.stats();
        assert!(stats.accepted - before <= 32, "at most its share");
        before = stats.accepted;
        stats.accepted == 200
    }));
}

/// Polls a side if it is due.
fn turn<P: Platform + 'static>(sim: &Sim, side: &mut Side<P>, host: usize) {
    sim.expect(host, side.lp.next_deadline());
    if sim.is_due(host) {
        side.lp.poll(&mut side.script, None).unwrap();
    }
}

/// On a layer connections open some time after they are accepted, in slots that are taken already.
/// That an opening gives those who wait for a slot nothing to take does not cost them their place.
#[test]
fn listeners_of_a_layer_take_turns() {
    let faults = Faults {
        handshake: 10_000,
        ..Faults::none()
    };
    let sim = Sim::new(0, faults);
    let mut server = Side::with::<3>(0, sim.add_host::<true>(), 4_096, 0);
    let mut client = Side::with::<64>(1, sim.host(), 4_096, 0);
    for context in [1, 2] {
        let at = SocketAddr::new(sim.addresses(0)[0], 0);
        let (_, addr) = server.listen_at(usockets::Endpoint::tcp(at).backlog(20), context);
        for _ in 0..12 {
            client.connect(addr, 3).unwrap();
        }
    }
    let (mut closed, mut open_for) = (0, 0);
    for _ in 0..5_000 {
        turn(&sim, &mut server, 0);
        turn(&sim, &mut client, 1);
        sim.step(Duration::from_millis(1));
        // The only connection is closed when it has been open for some time.
        if let Some(open) = server.script.opened(closed) {
            open_for += 1;
            if open_for == 10 {
                server.net().abort(open, 0);
                (closed, open_for) = (closed + 1, 0);
            }
        }
        if closed == 12 {
            break;
        }
    }
    let of = |context: u8| {
        let opened = |event: &Event| matches!(event, Event::Open(_, at, _) if *at == context);
        server.script.count(opened)
    };
    let (one, other) = (of(1), of(2));
    assert_eq!(one + other, 12);
    assert!(one.abs_diff(other) <= 2, "{one} and {other}");
}

/// How many connections of listeners with this context opened.
fn opened(server: &Side<Host>, context: u8) -> usize {
    let of = |event: &Event| matches!(event, Event::Open(_, at, _) if *at == context);
    server.script.count(of)
}

/// One that waits until more slots are free than it must leave to others holds nobody back: who
/// refuses when the pool is full, and may use the slot that is free, refuses nobody.
#[test]
fn one_whose_reserve_forbids_the_free_slot_holds_nobody_back() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let (_, modest) = server.listen_at(Endpoint::tcp(bed.addr(0)).reserve(1), 1);
    let refusing = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::Refuse);
    let (_, refusing) = server.listen_at(refusing, 2);
    for _ in 0..2 {
        client.connect(modest, 3).unwrap();
    }
    let both = &mut [&mut server, &mut client];
    run_for(bed, both, A_WHILE);
    let stats = both[0].lp.stats();
    assert_eq!((stats.open, stats.pauses), (1, 1), "one waits");
    both[1].connect(refusing, 3).unwrap();
    run_for(bed, both, A_WHILE);
    let stats = both[0].lp.stats();
    assert_eq!((stats.open, stats.refused), (2, 0));
}

/// A turn that brings nothing, since somebody else took the slot, costs a listener no place, and
/// gains it none before another that could not use that slot.
#[test]
fn a_turn_in_vain_leaves_the_order_as_it_was() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let (_, modest) = server.listen_at(Endpoint::tcp(bed.addr(0)).reserve(1), 1);
    let (_, plain) = server.listen(bed, 2);
    let (_, away) = client.listen(bed, 3);
    let own: Vec<_> = (0..2).map(|_| server.connect(away, 4).unwrap()).collect();
    for (to, count) in [(modest, 1), (plain, 2)] {
        for _ in 0..count {
            client.connect(to, 5).unwrap();
        }
        run_for(bed, &mut [&mut server, &mut client], A_WHILE);
    }
    assert_eq!(server.lp.stats().pauses, 2, "both wait");
    // The peer ends one, so that the slot is free when an iteration is over.
    let first = client.script.opened(0).unwrap();
    client.net().close(first);
    while server.lp.stats().in_use == 4 {
        client.turn(bed);
        bed.pass(Duration::from_micros(10));
        server.turn(bed);
    }
    let other = server.connect(away, 4).unwrap();
    run_for(bed, &mut [&mut server, &mut client], A_WHILE);
    assert_eq!(server.lp.stats().accepted, 0, "a turn in vain");
    for id in own {
        server.net().abort(id, 0);
    }
    server.net().abort(other, 0);
    run_for(bed, &mut [&mut server, &mut client], A_WHILE);
    assert_eq!((opened(&server, 1), opened(&server, 2)), (1, 1));
}

/// What goes wrong at one listener in its turn keeps the next from nothing.
#[test]
fn a_listener_that_fails_leaves_the_others_their_turns() {
    let faults = Faults {
        refusal: Some(Error::Denied),
        ..Faults::none()
    };
    let bed = &mut SimBed::new(0, faults);
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).connections_max(1);
    let (_, failing) = server.listen_at(at.when_full(WhenFull::Refuse), 1);
    let (_, plain) = server.listen(bed, 2);
    let both = &mut [&mut server, &mut client];
    for (to, count) in [(plain, 1), (failing, 2), (plain, 1)] {
        for _ in 0..count {
            both[1].connect(to, 3).unwrap();
        }
        run_for(bed, both, Duration::from_millis(5));
    }
    assert_eq!((opened(both[0], 1), opened(both[0], 2)), (1, 1));
    assert_eq!(both[0].lp.stats().pauses, 2, "both wait, the failing first");
    let first = both[0].script.opened(0).unwrap();
    both[0].net().abort(first, 0);
    run_for(bed, both, Duration::from_millis(5));
    assert_eq!(opened(both[0], 2), 2);
}
