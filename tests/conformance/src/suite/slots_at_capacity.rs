//! What a full pool still can do: whoever gives a slot up can take it again in the same call, and
//! listeners leave what is reserved.

use crate::bed::Bed;
use crate::script::{At, Event};
use crate::side::{Side, run_for, run_until};
use std::time::Duration;
use usockets::{Endpoint, Error, WhenFull};

const A_WHILE: Duration = Duration::from_millis(50);

/// An address of a host at which nobody listens.
fn nowhere<B: Bed>(bed: &mut B, side: &mut Side<B::P>) -> std::net::SocketAddr {
    let (listener, addr) = side.listen(bed, 9);
    side.net().stop_listening(listener);
    addr
}

/// `on_connect_error` may connect again in the very slot that failed.
pub fn a_failed_connect_can_be_tried_elsewhere_in_a_full_pool<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::with::<1>(1, bed.platform(), 4_096, 0);
    let closed = nowhere(bed, &mut server);
    let (_, open) = server.listen(bed, 1);
    client.script.act(move |at, event| {
        if let (At::Socket(socket), Event::ConnectError(..)) = (at, event) {
            let again = socket.net().connect(Endpoint::tcp(open), 3);
            assert!(again.is_ok(), "{again:?}");
        }
    });
    client.connect(closed, 2).unwrap();
    assert_eq!(client.connect(closed, 2), Err(Error::Full));
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides[1].script.opened(0).is_some() }
    ));
}

/// `on_close` may connect in the slot that it frees.
pub fn the_last_call_of_a_socket_can_connect_in_its_slot<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::with::<1>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen(bed, 1);
    client.script.act(move |at, event| {
        if let (At::Socket(socket), Event::Close(..)) = (at, event) {
            let again = socket.net().connect(Endpoint::tcp(addr), 3);
            assert!(again.is_ok(), "{again:?}");
        }
    });
    client.connect(addr, 2).unwrap();
    let both = &mut [&mut server, &mut client];
    let long = bed.long();
    assert!(run_until(bed, both, long, |sides| sides[0]
        .script
        .opened(0)
        .is_some()));
    let first = both[0].script.opened(0).unwrap();
    both[0].net().abort(first, 0);
    assert!(run_until(bed, both, long, |sides| sides[0]
        .script
        .opened(1)
        .is_some()));
    let ids = [0, 1].map(|nth| both[1].script.opened(nth));
    assert_ne!(ids[0], ids[1], "the old id is stale");
}

/// `on_timer` may start a timer in the slot of the one that has fired.
pub fn a_one_shot_timer_restarts_itself_in_a_pool_of_one<B: Bed>(bed: &mut B) {
    let mut side = Side::with::<1>(0, bed.platform(), 4_096, 0);
    side.script.act(|at, event| {
        if let (At::AllSockets(sockets), Event::Timer(..)) = (at, event) {
            let again = sockets.net().start_timer(A_WHILE, Duration::ZERO);
            assert!(again.is_ok(), "{again:?}");
        }
    });
    side.net().start_timer(A_WHILE, Duration::ZERO).unwrap();
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0]
            .script
            .count(|event| matches!(event, Event::Timer(..)))
            >= 3
    }));
}

/// A timer that is moved keeps its slot and its id.
pub fn a_moved_timer_takes_no_other_slot<B: Bed>(bed: &mut B) {
    let mut side = Side::with::<1>(0, bed.platform(), 4_096, 0);
    let timer = side.net().start_timer(A_WHILE * 4, Duration::ZERO).unwrap();
    assert!(side.net().move_timer(timer, A_WHILE, A_WHILE));
    let start = side.net().now();
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0]
            .script
            .count(|event| matches!(event, Event::Timer(..)))
            >= 2
    }));
    let first = side.script.log[0].0;
    assert!(first.saturating_since(start) >= A_WHILE);
    side.net().stop_timer(timer);
    assert!(
        !side.net().move_timer(timer, A_WHILE, A_WHILE),
        "it is gone"
    );
}

/// However many want in, the slots that connects need stay free.
pub fn accepting_leaves_the_reserve<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<6>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).reserve(2);
    let (_, addr) = server.listen_at(at, 1);
    let (_, upstream) = client.listen(bed, 7);
    for _ in 0..8 {
        client.connect(addr, 2).unwrap();
    }
    run_for(bed, &mut [&mut server, &mut client], A_WHILE * 4);
    assert_eq!(
        server.lp.stats().in_use,
        4,
        "a listener and three connections"
    );
    for _ in 0..2 {
        server.connect(upstream, 3).unwrap();
    }
    assert_eq!(server.connect(upstream, 3), Err(Error::Full));
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides[0].lp.stats().connected == 2 }
    ));
}

/// A server whose listener may have two connections, and a client of which five want in, one after
/// the other.
fn capped<B: Bed>(bed: &mut B, policy: WhenFull) -> (Side<B::P>, Side<B::P>) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0))
        .connections_max(2)
        .when_full(policy);
    let (_, addr) = server.listen_at(at, 1);
    for _ in 0..5 {
        client.connect(addr, 2).unwrap();
        run_for(bed, &mut [&mut server, &mut client], A_WHILE);
        assert!(server.lp.stats().open <= 2);
    }
    (server, client)
}

/// One that goes makes room for one that waits.
pub fn a_listener_has_no_more_connections_than_it_may<B: Bed>(bed: &mut B) {
    let (mut server, mut client) = capped(bed, WhenFull::Pause);
    let long = bed.long();
    let sides = &mut [&mut server, &mut client];
    assert!(run_until(bed, sides, long, |sides| sides[0]
        .script
        .opened(1)
        .is_some()));
    let first = sides[0].script.opened(0).unwrap();
    sides[0].net().close(first);
    assert!(run_until(bed, sides, long, |sides| sides[0]
        .script
        .opened(2)
        .is_some()));
}

/// A listener at its cap evicts a connection of its own, and nobody else's.
pub fn a_listener_at_its_cap_evicts_its_own<B: Bed>(bed: &mut B) {
    let (mut server, mut client) = capped(bed, WhenFull::EvictIdle);
    let long = bed.long();
    let sides = &mut [&mut server, &mut client];
    assert!(run_until(bed, sides, long, |sides| sides[0]
        .lp
        .stats()
        .evicted
        > 0));
}

/// Who connects while a listener is paused is served when it goes on.
pub fn a_paused_listener_loses_nobody<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (listener, addr) = server.listen(bed, 1);
    server.net().pause_listening(listener);
    client.connect(addr, 2).unwrap();
    run_for(bed, &mut [&mut server, &mut client], A_WHILE);
    assert_eq!(server.lp.stats().accepted, 0);
    server.net().resume_listening(listener);
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides[0].script.opened(0).is_some() }
    ));
}
