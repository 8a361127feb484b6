//! Who gets a slot when there are too few: listeners that wait take turns, one that evicts takes
//! the slot it freed, and nobody is evicted or refused while a slot is free.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::Platform;
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_until};
use usockets_tests::sim::{Faults, Sim};

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
