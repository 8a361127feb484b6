//! Who gets a slot when there are too few: listeners that wait take turns, one that evicts takes
//! the slot it freed, and nobody is evicted or refused while a slot is free.

use crate::bed::Bed;
use crate::script::{At, Event};
use crate::side::{Side, run_for, run_until};
use std::time::Duration;
use usockets::{Endpoint, Platform, WhenFull};

const A_WHILE: Duration = Duration::from_millis(50);

/// Two listeners, both with many who wait, and slots that become free one by one. (On a rough
/// network those who want in arrive too unevenly, and a layer's handshakes take slots.)
pub fn paused_listeners_get_free_slots_in_turn<B: Bed>(bed: &mut B) {
    if !bed.is_smooth() || B::P::HOLDS_OUTPUT {
        return;
    }
    let mut server = Side::with::<4>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<64>(1, bed.platform(), 4_096, 0);
    let addrs = [1, 2].map(|context| server.listen(bed, context).1);
    let both = &mut [&mut server, &mut client];
    for _ in 0..12 {
        for addr in addrs {
            both[1].connect(addr, 3).unwrap();
        }
    }
    let long = bed.long();
    for turn in 2..16 {
        assert!(
            run_until(bed, both, long, |sides| sides[0]
                .script
                .opened(turn - 1)
                .is_some()),
            "{turn}"
        );
        let oldest = both[0].script.opened(turn - 2).unwrap();
        both[0].net().close(oldest);
        run_for(bed, both, A_WHILE);
    }
    let of = |context: u8| {
        both[0]
            .script
            .count(|event| matches!(event, Event::Open(_, other, _) if *other == context))
    };
    let (one, other) = (of(1), of(2));
    assert!(one.abs_diff(other) <= 2, "{one} and {other}");
}

/// One that waits at the evicting listener costs one victim and gets in, although a pausing
/// listener has many who wait.
pub fn an_evicting_listener_gets_the_slot_it_freed<B: Bed>(bed: &mut B) {
    if !bed.is_smooth() {
        return;
    }
    let mut server = Side::with::<6>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<64>(1, bed.platform(), 4_096, 0);
    let pausing = server.listen(bed, 1).1;
    let evicting = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::EvictIdle);
    let evicting = server.listen_at(evicting, 2).1;
    let both = &mut [&mut server, &mut client];
    for _ in 0..10 {
        both[1].connect(pausing, 3).unwrap();
        run_for(bed, both, A_WHILE);
    }
    assert_eq!(both[0].lp.stats().open, 4);
    both[1].connect(evicting, 3).unwrap();
    run_for(bed, both, A_WHILE * 10);
    let got_in = |event: &Event| matches!(event, Event::Open(_, 2, _));
    assert_eq!(both[0].script.count(got_in), 1);
    assert_eq!(both[0].lp.stats().evicted, 1);
}

/// The socket that just closed in the same call made room. (Under a layer the handshake that runs
/// takes the only slot.)
pub fn nobody_is_refused_while_a_slot_is_free<B: Bed>(bed: &mut B) {
    if B::P::HOLDS_OUTPUT {
        return;
    }
    let mut server = Side::with::<2>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::Refuse);
    let (_, addr) = server.listen_at(at, 1);
    server.script.act(|at, event| {
        if let (At::Socket(socket), Event::Open(..)) = (at, event) {
            socket.abort(0);
        }
    });
    for _ in 0..5 {
        client.connect(addr, 2).unwrap();
    }
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| {
        let stats = sides[0].lp.stats();
        stats.accepted + stats.failed >= 5
    }));
    assert_eq!(both[0].lp.stats().refused, 0);
}
