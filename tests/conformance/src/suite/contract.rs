//! Rules of the contract between the loop and a platform that no other test would notice broken.
//! Every platform is watched while the loop runs on it ([`StrictBed`]): what the loop may call of a
//! socket in which stage, that it takes every report before it waits again, and that what could not
//! be opened is closed again.

use std::time::Duration;

use crate::bed::Bed;
use crate::script::TIMEOUT_CODE;
use crate::side::{Pair, Side, pattern, run_for, run_until};
use crate::strict::{Strict, StrictBed};
use crate::suite::broken_connections::ends;
use usockets::{Closed, Endpoint, Platform, SocketId};

/// Connections of the first test.
const WAYS: usize = 8;

/// Long enough for what is under way to arrive.
fn a_while(bed: &impl Bed) -> Duration {
    if bed.is_virtual() {
        Duration::from_secs(2)
    } else {
        Duration::from_millis(50)
    }
}

/// `linger` comes once, of an open socket; `abort` of one that is not closed; nothing else after
/// either but `flush` and `close`.
pub fn sockets_end_in_every_way<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
    let mut pair = Pair::open(bed);
    for count in 1..WAYS {
        pair.client.connect(pair.addr, 2).unwrap();
        pair.until(bed, |server, client| {
            server.script.opened(count).is_some() && client.script.opened(count).is_some()
        });
    }
    let accepted: Vec<_> = (0..WAYS)
        .map(|at| pair.server.script.opened(at).unwrap())
        .collect();
    let connected: Vec<_> = (0..WAYS)
        .map(|at| pair.client.script.opened(at).unwrap())
        .collect();
    // Something is under way, so that a layer has something to hold.
    for id in &accepted {
        pair.server.say(*id, &pattern(20_000));
    }
    let mut net = pair.server.net();
    net.close(accepted[0]);
    net.close(accepted[0]);
    net.abort(accepted[1], 1);
    net.abort(accepted[1], 1);
    net.abort(accepted[2], 2);
    net.close(accepted[2]);
    net.close(accepted[3]);
    net.abort(accepted[3], 3);
    net.finish(accepted[4]);
    net.close(accepted[4]);
    net.finish(accepted[5]);
    net.abort(accepted[5], 5);
    net.set_timeout(accepted[6], Duration::from_millis(1));
    net.pause(accepted[7]);
    net.close(accepted[7]);
    // Two that do not get as far as to open.
    let early = [0, 1].map(|_| pair.client.net().connect(Endpoint::tcp(pair.addr), 3));
    pair.client.net().abort(early[0].unwrap(), 0);
    pair.client.net().close(early[1].unwrap());
    pair.until(bed, |server, client| {
        accepted
            .iter()
            .all(|id| server.script.closed(*id).is_some())
            && connected
                .iter()
                .all(|id| client.script.closed(*id).is_some())
    });
    let closed = pair.server.script.closed(accepted[6]);
    assert_eq!(closed, Some(Closed::Local(TIMEOUT_CODE)));
}

/// The slot is closed after an accept that brought nothing, so that it can be used for something
/// else.
pub fn an_accept_that_finds_none_leaves_the_slot_closed<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
    let mut pair = Pair::open(bed);
    pair.for_time(bed, a_while(bed));
    let (id, accepted) = (SocketId::from(pair.listener), pair.accepted);
    let mut net = pair.server.net();
    let (platform, listener) = net.platform_socket(id).unwrap();
    let mut slot = Strict::<B::P>::CLOSED;
    assert_eq!(platform.accept(listener, &mut slot, accepted), Ok(None));
    assert!(platform.local_addr(&slot).is_err());
}

/// A connection that waits is reported once more when the loop is to accept again, though it was
/// reported before.
pub fn who_waits_is_reported_when_accepting_goes_on<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
    let (mut server, mut client) = (Side::new(bed, 0), Side::new(bed, 1));
    let (listener, addr) = server.listen(bed, 1);
    let id = SocketId::from(listener);
    server.net().pause_listening(listener);
    client.connect(addr, 2).unwrap();
    let both = &mut [&mut server, &mut client];
    run_for(bed, both, a_while(bed));
    for round in ["first", "second"] {
        let mut net = both[0].net();
        let (platform, socket) = net.platform_socket(id).unwrap();
        let _ = platform.take_readable();
        platform.set_accepting(socket, id, true).unwrap();
        let long = bed.long();
        let told = run_until(bed, both, long, |sides| {
            sides[0].lp.platform_mut().take_readable() == Some(id)
        });
        assert!(told, "who waits is not reported, the {round} time");
        assert_eq!(both[0].script.opened(0), None);
    }
    both[0].net().resume_listening(listener);
    let long = bed.long();
    let opened = run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.script.opened(0).is_some())
    });
    assert!(opened, "who waited does not open");
}

/// Only the peer's own end is an end, though everything before the reset was read.
pub fn a_reset_is_no_end<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.say(connected, b"half of a mess");
    pair.until(bed, |server, _| {
        server.script.received(accepted) == b"half of a mess"
    });
    pair.client.net().abort(connected, 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    let closed = pair.server.script.closed(accepted);
    assert!(matches!(closed, Some(Closed::Failed(_))), "{closed:?}");
    assert_eq!(ends(&pair.server, accepted), 0);
}

/// A connection that opened, was spoken to and reset before the loop looked did open, and what was
/// said is delivered.
pub fn what_came_before_an_error_while_connecting_is_delivered<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
    let (mut server, mut client) = (Side::new(bed, 0), Side::new(bed, 1));
    let (_, addr) = server.listen(bed, 1);
    let id = client.connect(addr, 2).unwrap();
    let time = a_while(bed);
    let opened = run_until(bed, &mut [&mut server], time, |sides| {
        sides[0].script.opened(0).is_some()
    });
    if !opened {
        println!("skipped: here a connection opens only while its own loop is polled");
        return;
    }
    let accepted = server.script.opened(0).unwrap();
    // One byte, as the smallest receive buffer of a simulated network holds no more.
    server.say(accepted, b"!");
    run_for(bed, &mut [&mut server], time);
    server.net().abort(accepted, 0);
    run_for(bed, &mut [&mut server], time);
    let long = bed.long();
    let closed = run_until(bed, &mut [&mut server, &mut client], long, |sides| {
        sides[1].script.closed(id).is_some()
    });
    assert!(closed, "{}", client.script.tail());
    let closed = client.script.closed(id);
    assert!(matches!(closed, Some(Closed::Failed(_))), "{closed:?}");
    assert_eq!(client.script.received(id), b"!");
}
