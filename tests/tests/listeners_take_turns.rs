//! Who gets a slot when there are too few: listeners that wait take turns, one that evicts takes
//! the slot it freed, and nobody is evicted or refused while a slot is free.

use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::side::{Side, run_until};
use usockets_tests::sim::Faults;

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
