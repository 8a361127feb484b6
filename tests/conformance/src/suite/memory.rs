//! As little memory as possible, and many sockets.

use crate::bed::Bed;
use crate::script::{Event, Script};
use crate::side::{Pair, Side, pattern};
use usockets::{Error, Loop, Sockets};

/// Every byte comes in a call of its own (W26).
pub fn a_receive_buffer_of_one_byte_works<B: Bed>(bed: &mut B) {
    let server = Side::with::<16>(0, bed.platform(), 1, 0);
    let client = Side::with::<16>(1, bed.platform(), 1, 1);
    let mut pair = Pair::of(bed, server, client);
    pair.server.script.echo = true;
    let bytes = pattern(3_000);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    pair.until(bed, |server, client| {
        server.script.closed(accepted).is_some() && client.script.closed(connected).is_some()
    });
    assert!(pair.server.script.received(accepted) == bytes);
    assert!(pair.client.script.received(connected) == bytes);
    let ones = |event: &Event| matches!(event, Event::Data(_, data) if data.len() == 1);
    assert_eq!(pair.server.script.count(ones), bytes.len());
}

/// A loop without a receive buffer is refused where it is made.
pub fn no_receive_buffer_is_an_error<B: Bed>(bed: &mut B) {
    let mut sockets = Box::new(Sockets::<B::P, Script<B::P>, 1>::new());
    let made = Loop::with_buffer(bed.platform(), &mut sockets, &mut []);
    assert_eq!(made.err(), Some(Error::Invalid));
}
