//! Using a connection before it is open.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side, run_for, run_until};
use usockets::{Closed, Endpoint};

/// A write to a connecting socket takes 0 bytes, and `on_open` comes all the same (W8).
pub fn a_write_before_open_takes_nothing_and_open_still_comes<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (_, addr) = server.listen(bed, 1);
    let id = client.connect(addr, 2).unwrap();
    assert_eq!(client.net().write(id, b"early"), 0);
    assert_eq!(client.net().write_vectored(id, &[b"ear", b"ly"]), 0);
    assert!(!client.net().is_open(id));
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides.iter().all(|side| side.script.opened(0).is_some()) }
    ));
    client.say(id, b"hello");
    let accepted = server.script.opened(0).unwrap();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides[0].script.received(accepted) == b"hello" }
    ));
    let iterations = client.lp.stats().iterations;
    assert!(
        bed.patience(client.lp.platform()).is_some() || iterations < bed.opening_turns(),
        "no spinning"
    );
}

/// A connecting socket that is closed gets no call at all; the server sees it come and go (W10).
pub fn closing_before_open_makes_no_call<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (_, addr) = server.listen(bed, 1);
    let id = client.connect(addr, 2).unwrap();
    client.net().close(id);
    let time = std::time::Duration::from_millis(200);
    run_for(bed, &mut [&mut server, &mut client], time);
    assert_eq!(client.script.log, []);
    assert_eq!(client.lp.stats().in_use, 0);
    let open = server
        .script
        .count(|event| matches!(event, Event::Open(..)));
    let close = server
        .script
        .count(|event| matches!(event, Event::Close(..)));
    assert_eq!(open, close, "who came and went does not close");
}

/// Finishing, pausing, corking, aborting a socket that connects: nothing, or as documented (W8).
pub fn other_calls_before_open_do_no_harm<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let id = pair.client.connect(pair.addr, 2).unwrap();
    let gone = pair
        .client
        .net()
        .connect(Endpoint::tcp(pair.addr), 2)
        .unwrap();
    let mut net = pair.client.net();
    net.finish(id);
    net.pause(id);
    net.resume(id);
    net.cork(id);
    net.uncork(id);
    net.abort(gone, 5);
    assert_eq!(net.context(id), Some(2));
    assert_eq!(net.context(gone), None);
    pair.until(bed, |_, client| client.script.opened(1) == Some(id));
    pair.client.say(id, b"still here");
    pair.until(bed, |server, _| {
        server
            .script
            .talks
            .values()
            .any(|talk| talk.received == b"still here")
    });
    assert!(!pair.client.script.talks.contains_key(&gone));
    let other = pair.client.script.closed(id);
    assert_ne!(other, Some(Closed::Local(5)));
}
