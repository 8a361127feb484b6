//! How often the loop calls its platform: no call that could be avoided, none too few.
//!
//! On the simulator, where each call is counted; `budget` counts the system calls on Linux.

use std::time::Duration;

use usockets::{Closed, Endpoint, Error, WhenFull};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::{At, Event};
use usockets_tests::side::{Pair, Side, pattern, run_for};
use usockets_tests::sim::{Counts, Faults, Host};

/// Long enough for anything that is under way.
const A_WHILE: Duration = Duration::from_millis(50);

type On = Side<Host>;

fn bed() -> SimBed {
    SimBed::new(0, Faults::none())
}

fn counts(side: &On) -> Counts {
    side.lp.platform().counts()
}

/// A small listener, with what connects to it.
fn listening<const N: usize>(bed: &mut SimBed, policy: WhenFull, clients: usize) -> (On, On) {
    let mut server = Side::with::<N>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).when_full(policy);
    let (_, addr) = server.listen_at(at, 1);
    run_for(bed, &mut [&mut server], A_WHILE);
    for _ in 0..clients {
        client.connect(addr, 2).unwrap();
    }
    // Only the client runs: its connections wait.
    run_for(bed, &mut [&mut client], A_WHILE);
    (server, client)
}

/// A request and its answer are one receive and one send; a wait that ends with a report is one
/// poll.
#[test]
fn an_echo_is_one_receive_and_one_send() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    pair.server.script.echo = true;
    let connected = pair.connected;
    pair.for_time(bed, A_WHILE);
    for _ in 0..3 {
        let before = counts(&pair.server);
        pair.client.say(connected, b"to and fro");
        pair.for_time(bed, A_WHILE);
        let after = counts(&pair.server);
        assert_eq!(after.polls - before.polls, 1);
        assert_eq!(after.receives - before.receives, 1);
        assert_eq!(after.sends - before.sends, 1);
        assert_eq!((after.opens, after.flushes), (before.opens, before.flushes));
    }
    assert_eq!(pair.client.script.received(connected).len(), 30);
}

/// Connections that wait together are taken by one call each, and none asks for more.
#[test]
fn each_connection_is_accepted_by_one_call() {
    let bed = &mut bed();
    for clients in [1, 5] {
        let (mut server, _client) = listening::<16>(bed, WhenFull::Pause, clients);
        let before = counts(&server);
        run_for(bed, &mut [&mut server], A_WHILE);
        let after = counts(&server);
        assert_eq!(server.lp.stats().open as usize, clients);
        assert_eq!(after.accepts - before.accepts, clients as u64);
        assert_eq!(after.switches, before.switches, "nothing to pause for");
        *bed = self::bed();
    }
}

/// A connection that ends is closed by one call, which also ends our direction.
#[test]
fn closing_after_the_end_is_one_call() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    pair.for_time(bed, A_WHILE);
    let before = counts(&pair.server);
    pair.client.finish(pair.connected);
    pair.for_time(bed, A_WHILE);
    let after = counts(&pair.server);
    assert_eq!(after.receives - before.receives, 1);
    assert_eq!(after.finishes, before.finishes);
    assert_eq!(after.closes - before.closes, 1);
    assert_eq!(pair.server.lp.stats().open, 0);
}

/// Corked writes are one send, however often the same socket is corked; uncorking sends at once.
#[test]
fn what_is_corked_is_one_send() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    let connected = pair.connected;
    pair.for_time(bed, A_WHILE);
    let before = counts(&pair.client);
    let mut net = pair.client.net();
    for _ in 0..5 {
        net.cork(connected);
        assert_eq!(net.write(connected, b"piece"), 5);
    }
    assert_eq!(counts(&pair.client).sends, before.sends);
    pair.client.net().uncork(connected);
    assert_eq!(counts(&pair.client).sends, before.sends + 1);
    pair.client.net().uncork(connected);
    pair.for_time(bed, A_WHILE);
    assert_eq!(counts(&pair.client).sends, before.sends + 1);
    assert_eq!(
        pair.server.script.received(pair.accepted),
        b"piecepiecepiecepiecepiece"
    );
}

/// A socket with more to read than the budget is read so often, per iteration, exactly.
#[test]
fn the_read_budget_is_exact() {
    let bed = &mut bed();
    let server = Side::with::<16>(0, bed.platform(), 10, 0);
    let client = Side::new(bed, 1);
    let mut pair = Pair::of(bed, server, client);
    pair.for_time(bed, A_WHILE);
    let bytes = pattern(200);
    pair.client.say(pair.connected, &bytes);
    run_for(bed, &mut [&mut pair.client], A_WHILE);
    for round in 1..5 {
        let before = counts(&pair.server);
        pair.server.turn(bed);
        assert_eq!(counts(&pair.server).receives - before.receives, 4);
        let received = pair.server.script.received(pair.accepted);
        assert_eq!(received, &bytes[..round * 40]);
    }
}

/// What the pool has no place for is refused in the very iteration.
#[test]
fn refusing_does_not_wait_for_another_report() {
    let bed = &mut bed();
    let (mut server, _client) = listening::<3>(bed, WhenFull::Refuse, 5);
    let before = counts(&server);
    server.turn(bed);
    let after = counts(&server);
    let stats = server.lp.stats();
    assert_eq!((stats.accepted, stats.refused), (2, 3));
    assert_eq!(after.accepts - before.accepts, 2);
    // The last finds that nobody is left.
    assert_eq!(after.refusals - before.refusals, 4);
}

/// A pool filled by the last connection that waited evicts nobody, although the platform could
/// not say that it was the last.
#[test]
fn nobody_is_evicted_for_nobody() {
    let faults = Faults {
        undrained: 10_000,
        ..Faults::none()
    };
    let bed = &mut SimBed::new(0, faults);
    let (mut server, _client) = listening::<2>(bed, WhenFull::EvictIdle, 1);
    run_for(bed, &mut [&mut server], A_WHILE);
    let stats = server.lp.stats();
    assert_eq!((stats.open, stats.accepted, stats.evicted), (1, 1, 0));
}

/// A listener that was muted listens again once nobody waits any more.
#[test]
fn a_listener_that_paused_takes_those_who_come_later() {
    let faults = Faults {
        level_listeners: true,
        ..Faults::none()
    };
    let bed = &mut SimBed::new(0, faults);
    let (mut server, mut client) = listening::<2>(bed, WhenFull::Pause, 2);
    let both = &mut [&mut server, &mut client];
    run_for(bed, both, A_WHILE);
    assert_eq!(both[0].lp.stats().open, 1, "the other waits");
    let first = both[1].script.opened(0).unwrap();
    let addr = both[1].net().peer_addr(first).unwrap().ip().unwrap();
    for client in 0..4 {
        // Both leave, then two more come, of which one has to wait again.
        let open = both[1].script.opened(client).unwrap();
        both[1].finish(open);
        run_for(bed, both, A_WHILE);
        if client % 2 == 1 {
            assert_eq!(both[0].lp.stats().open, 0);
            for _ in 0..2 {
                both[1].connect(addr, 2).unwrap();
                run_for(bed, both, A_WHILE);
            }
        }
        assert_eq!(both[0].lp.stats().accepted as usize, client + 2);
        assert_eq!(both[0].lp.stats().open, 1);
    }
}

/// A paused socket whose connection breaks is read once, to find what came before, and one that is
/// only told of room is left alone.
#[test]
fn a_paused_socket_is_asked_only_when_it_broke() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.for_time(bed, A_WHILE);
    // More than fits, so that room is told of later.
    let bytes = pattern(300_000);
    pair.server.net().pause(accepted);
    pair.client.script.act(|_, _| {});
    let taken = pair.server.net().write(accepted, &bytes);
    assert!(taken < bytes.len());
    let before = counts(&pair.server);
    pair.until(bed, |server, _| {
        server
            .script
            .count(|event| matches!(event, Event::Writable(_)))
            > 0
    });
    let after = counts(&pair.server);
    assert_eq!((after.opens, after.flushes), (before.opens, before.flushes));
    pair.client.net().abort(connected, 0);
    pair.for_time(bed, A_WHILE);
    let reset = Event::Close(accepted, Closed::Failed(Error::Reset));
    assert_eq!(pair.server.script.count(|event| *event == reset), 1);
    assert_eq!(counts(&pair.server).receives, before.receives + 1);
}

/// What is received counts as a sign of life also of a socket that waits for room.
#[test]
fn a_blocked_socket_that_receives_is_not_the_idlest() {
    let bed = &mut bed();
    let (mut server, mut client) = listening::<3>(bed, WhenFull::EvictIdle, 2);
    let both = &mut [&mut server, &mut client];
    run_for(bed, both, A_WHILE);
    let blocked = both[0].script.opened(0).unwrap();
    let idle = both[0].script.opened(1).unwrap();
    let (first, addr) = {
        let first = both[1].script.opened(0).unwrap();
        (first, both[1].net().peer_addr(first).unwrap().ip().unwrap())
    };
    both[1].net().pause(first);
    let bytes = pattern(300_000);
    assert!(both[0].net().write(blocked, &bytes) < bytes.len());
    run_for(bed, both, A_WHILE);
    both[1].say(first, b"awake");
    run_for(bed, both, A_WHILE);
    both[1].connect(addr, 2).unwrap();
    run_for(bed, both, A_WHILE);
    let evicted = Event::Close(idle, Closed::Evicted);
    assert_eq!(both[0].script.count(|event| *event == evicted), 1);
    assert!(both[0].net().is_open(blocked));
}

/// Resuming a socket that nothing came for, and writing nothing, are no calls.
#[test]
fn what_changes_nothing_is_no_call() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    let connected = pair.connected;
    pair.for_time(bed, A_WHILE);
    let before = counts(&pair.client);
    pair.client.net().pause(connected);
    pair.for_time(bed, A_WHILE);
    pair.client.net().resume(connected);
    assert_eq!(pair.client.net().write(connected, b""), 0);
    // More than there is room for, so that the socket is no usual one.
    let bytes = pattern(300_000);
    assert!(pair.client.net().write(connected, &bytes) < bytes.len());
    assert_eq!(pair.client.net().write(connected, b""), 0);
    pair.client.turn(bed);
    let after = counts(&pair.client);
    assert_eq!(after.receives, before.receives);
    assert_eq!(after.sends, before.sends + 1);
}

/// A call's own socket corks and uncorks as any, and reaches the others.
#[test]
fn a_calls_own_socket_can_cork_and_reach_others() {
    let bed = &mut bed();
    let mut pair = Pair::open(bed);
    let second = pair.client.connect(pair.addr, 2).unwrap();
    pair.for_time(bed, A_WHILE);
    let other = pair.server.script.opened(1).unwrap();
    pair.server.script.act(move |at, event| {
        if let (At::Socket(socket), Event::Data(id, _)) = (at, event) {
            socket.cork();
            assert_eq!(socket.write(b"one ") + socket.write(b"send"), 8);
            socket.uncork();
            assert_eq!(socket.write(b", another"), 9);
            let reached = socket.other(other);
            let (net, _) = reached.expect("another open socket");
            assert_eq!(net.write(other, b"a third"), 7);
            assert!(socket.other(*id).is_none(), "its data is lent already");
        }
    });
    let before = counts(&pair.server).sends;
    pair.client.say(pair.connected, b"go");
    pair.for_time(bed, A_WHILE);
    assert_eq!(counts(&pair.server).sends, before + 3);
    let received = pair.client.script.received(pair.connected);
    assert_eq!(received, b"one send, another");
    assert_eq!(pair.client.script.received(second), b"a third");
}
