//! One peer does not starve the others.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side, pattern, run_until};
use std::cell::Cell;
use std::rc::Rc;
use usockets::Endpoint;

/// Deliveries to one socket per iteration: the read budget, and a report that comes with it.
const READS: u64 = 10;

/// A sender that always has more ready waits its turn: of two firehoses and one that says a word
/// now and then, the word is never behind more than a budget of each (W20).
pub fn a_firehose_does_not_starve_another_connection<B: Bed>(bed: &mut B) {
    let server = Side::with::<16>(0, bed.platform(), 64, 0);
    let client = Side::new(bed, 1);
    let mut pair = Pair::of(bed, server, client);
    let word = pair.client.connect(pair.addr, 2).unwrap();
    pair.until(bed, |server, client| {
        server.script.opened(1).is_some() && client.script.talks.contains_key(&word)
    });
    let firehose = pair.connected;
    let bytes = pattern(bed.plenty().min(1 << 16));
    pair.client.say(firehose, &bytes);
    pair.client.say(word, b"word");
    let hose = pair.accepted;
    let reads = Rc::new(Cell::new(0_u64));
    let seen = Rc::clone(&reads);
    pair.server.script.act(move |_, event| {
        if matches!(event, Event::Data(id, _) if *id == hose) {
            seen.set(seen.get() + 1);
        }
    });
    let (mut most, mut turns) = (0, pair.server.lp.stats().iterations);
    pair.until(bed, |server, _| {
        let now = server.lp.stats().iterations;
        if now > turns {
            most = most.max(reads.take() / (now - turns));
        }
        turns = now;
        server.script.received(hose).len() == bytes.len()
            && server
                .script
                .talks
                .values()
                .any(|talk| talk.received == b"word")
    });
    assert!(
        most <= READS,
        "{most} deliveries to one socket in one iteration"
    );
}

/// While connections pour in, each iteration takes a bounded number, and a socket that is open is
/// served in between (W20).
pub fn a_flood_of_connections_does_not_starve_an_open_one<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<200>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<200>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen_at(Endpoint::tcp(bed.addr(0)).backlog(256), 1);
    server.script.echo = true;
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    let talker = both[1].connect(addr, 2).unwrap();
    assert!(run_until(bed, both, long, |sides| sides[1]
        .script
        .opened(0)
        .is_some()));
    for _ in 0..150 {
        both[1].connect(addr, 2).unwrap();
    }
    both[1].say(talker, b"hello");
    let (mut most, mut accepted) = (0, both[0].lp.stats().accepted);
    assert!(run_until(bed, both, long, |sides| {
        let now = sides[0].lp.stats().accepted;
        most = most.max(now - accepted);
        accepted = now;
        sides[0].lp.stats().open == 151 && sides[1].script.received(talker) == b"hello"
    }));
    // A listener that was left over may be reported as well in the same iteration.
    assert!(most <= 64, "{most} connections accepted in one iteration");
}

/// A socket that was read several times in one iteration, and closes before the next, is not
/// asked for again; the loop goes on (W20).
pub fn a_socket_that_was_read_often_may_close_by_itself<B: Bed>(bed: &mut B) {
    let server = Side::with::<16>(0, bed.platform(), 16, 0);
    let client = Side::new(bed, 1);
    let mut pair = Pair::of(bed, server, client);
    for round in 1..20 {
        let id = pair.client.connect(pair.addr, 2).unwrap();
        pair.until(bed, |server, client| {
            server.script.opened(round).is_some() && client.script.talks.contains_key(&id)
        });
        let bytes = pattern(17 + round);
        pair.client.say(id, &bytes);
        let accepted = pair.server.script.opened(round).unwrap();
        pair.until(bed, |server, _| {
            server.script.received(accepted).len() == bytes.len()
        });
        pair.client.say(pair.connected, &pattern(500));
        pair.server.net().close(accepted);
        pair.until(bed, |server, _| {
            server.script.closed(accepted).is_some()
                && server
                    .script
                    .received(server.script.opened(0).unwrap())
                    .len()
                    == 500 * round
        });
    }
}
