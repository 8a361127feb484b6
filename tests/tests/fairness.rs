//! One peer does not starve the others.

use std::time::Duration;
use usockets_tests::bed::{Bed, on_sim};
use usockets_tests::side::{Side, pattern, run_until};

/// In rough networks every one of many senders is done, whatever the order of reports (W12, W20).
#[test]
fn all_of_many_senders_are_done() {
    on_sim(|bed| {
        let mut server = Side::with::<16>(0, bed.platform(), 32, 0);
        let mut client = Side::new(bed, 1);
        let (_, addr) = server.listen(bed, 1);
        let long = bed.long();
        let both = &mut [&mut server, &mut client];
        let ids: Vec<_> = (0..8).map(|_| both[1].connect(addr, 2).unwrap()).collect();
        assert!(run_until(bed, both, long, |sides| sides[1].lp.stats().open == 8));
        let bytes = pattern(bed.plenty().min(5_000));
        for id in ids {
            both[1].say(id, &bytes);
            both[1].finish(id);
        }
        assert!(run_until(bed, both, long, |sides| sides[1].lp.stats().open == 0));
        assert!(
            both[0]
                .script
                .talks
                .values()
                .all(|talk| talk.received == bytes)
        );
        let stamp = Duration::from_micros(1);
        assert!(bed.now() > stamp);
    });
}
