//! Memory of any size works.

use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, Side, pattern};

on_every_platform!(a_buffer_of_one_byte_and_a_pool_of_two_work);

/// A server whose receive buffer is one byte, and whose pool holds its listener and one
/// connection: every byte arrives, one at a time (W26).
fn a_buffer_of_one_byte_and_a_pool_of_two_work<B: Bed>(bed: &mut B) {
    let server = Side::with::<2>(0, bed.platform(), 1, 0);
    let client = Side::with::<1>(1, bed.platform(), 1, 0);
    let mut pair = Pair::of(bed, server, client);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let bytes = pattern(300);
    pair.client.say(connected, &bytes);
    pair.server.say(accepted, &bytes);
    pair.until(bed, |server, client| {
        server.script.received(accepted) == bytes && client.script.received(connected) == bytes
    });
    let longest = pair.server.script.log.iter().map(|(_, event)| match event {
        Event::Data(_, bytes) => bytes.len(),
        _ => 0,
    });
    assert_eq!(longest.max(), Some(1));
}
