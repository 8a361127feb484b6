//! An accept of the platform that unwinds, as one does that asks a program in C++ about each
//! connection, and a program that goes on with the loop: the connection is reset, and its slot is
//! free again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use usockets::Endpoint;
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::Event;
use usockets_tests::side::Side;
use usockets_tests::unwinding::Unwinding;

on_every_platform!(the_slot_of_an_accept_that_unwound_is_free_again);

/// Accepts that unwind: more than the pool has slots.
const UNWOUND: u32 = 5;

/// Runs one iteration. Returns true if an accept unwound out of it.
fn turn<B: Bed>(bed: &B, server: &mut Side<Unwinding<B::P>>) -> bool {
    let until = bed.patience(&server.lp.platform().0);
    let (lp, script) = (&mut server.lp, &mut server.script);
    match catch_unwind(AssertUnwindSafe(|| lp.poll(script, until))) {
        Ok(polled) => polled.expect("a sound platform"),
        Err(unwound) if unwound.is::<&'static str>() => {
            assert_eq!(unwound.downcast_ref(), Some(&"accept"));
            return true;
        }
        Err(unwound) => resume_unwind(unwound),
    }
    false
}

/// There is room for the listener and one connection. Those whose accepts unwind come one by one,
/// and then one that opens.
fn the_slot_of_an_accept_that_unwound_is_free_again<B: Bed>(bed: &mut B) {
    let platform = Unwinding(bed.platform(), UNWOUND);
    let mut server = Side::with::<2>(0, platform, 4_096, 0);
    let mut client = Side::with::<16>(1, bed.platform(), 4_096, 0);
    let at = Endpoint::tcp(bed.addr(0));
    let (_, addr) = server.listen_at(at, 1);
    let mut unwound = 0;
    for _ in 0..=UNWOUND {
        client.connect(addr, 2).expect("a slot");
        let is_last = unwound == UNWOUND;
        let end = bed.now() + bed.long();
        let over = |client: &Side<B::P>| {
            client
                .script
                .count(|event| matches!(event, Event::Close(..) | Event::ConnectError(..)))
        };
        let before = over(&client);
        loop {
            if bed.is_due(0, server.lp.next_deadline()) && turn(bed, &mut server) {
                unwound += 1;
            }
            if client.is_due(bed) {
                client.turn(bed);
            }
            let is_done = match is_last {
                true => server.script.opened(0).is_some(),
                false => over(&client) > before,
            };
            if is_done {
                break;
            }
            assert!(bed.now() < end, "after {unwound} accepts that unwound");
            if !bed.is_due(0, server.lp.next_deadline()) && !client.is_due(bed) {
                bed.pass(end - bed.now());
            }
        }
    }
    assert_eq!(unwound, UNWOUND);
    let stats = server.lp.stats();
    assert_eq!((stats.open, stats.in_use, stats.breaches), (1, 2, 0));
}
