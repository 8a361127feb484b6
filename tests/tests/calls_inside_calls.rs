//! Everything may be done to everyone from inside every call.

use usockets::Closed;
use usockets_tests::bed::Bed;
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_until};

/// A socket closed inside its own `on_open` gets its `on_close`, once, with our code (W10, W21).
#[test]
fn closed_inside_on_open_closes_once() {
    usockets_tests::bed::on_sim(|bed| {
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        let (_, addr) = server.listen(bed, 1);
        server.script.act(|at, event| {
            if let Event::Open(id, ..) = event {
                at.net().close_with(*id, 42);
            }
        });
        client.connect(addr, 2).unwrap();
        let long = bed.long();
        assert!(run_until(
            bed,
            &mut [&mut server, &mut client],
            long,
            |sides| { sides[0].lp.stats().accepted == 1 && sides[0].lp.stats().in_use == 1 }
        ));
        let events: Vec<_> = server.script.events().cloned().collect();
        let id = server.script.opened(0).unwrap();
        assert_eq!(events.last(), Some(&Event::Close(id, Closed::Local(42))));
        assert_eq!(events.len(), 2);
    });
}
