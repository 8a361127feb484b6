//! Coalescing writes.

use std::time::Duration;
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, Side};
use usockets_tests::sim::Faults;

/// What a cork holds when the loop is given other memory for it goes out all the same, whether the
/// memory is long enough or not.
#[test]
fn other_memory_takes_over_what_is_held() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let mut said = Vec::new();
    for len in [0, 3, 1_000, 4, 100] {
        let mut net = pair.server.net();
        net.cork(accepted);
        assert_eq!(net.write(accepted, b"held back, "), 11);
        said.extend_from_slice(b"held back, ");
        let Side { host, lp, script } = pair.server;
        let sent = lp.stats().sent;
        let lp = lp.with_cork(vec![0; len].leak());
        assert_eq!(lp.stats().sent, sent, "it is still held");
        pair.server = Side { host, lp, script };
        assert_eq!(pair.server.net().write(accepted, b"and more. "), 10);
        said.extend_from_slice(b"and more. ");
        pair.until(bed, |_, client| {
            client.script.received(connected).len() >= said.len()
        });
        assert_eq!(pair.client.script.received(connected), said, "{len} bytes");
    }
}

/// What the last call of another socket corks goes out before the loop waits: the peer's answer to
/// it is what ends the wait.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn what_on_close_corks_goes_out_before_the_wait() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use usockets::Platform;
    use usockets_tests::bed::LinuxBed;
    use usockets_tests::side::{run_for, run_until};

    let bed = &mut LinuxBed::default();
    let mut server = Side::with::<8>(0, bed.platform(), 4_096, 256);
    let (_, addr) = server.listen(bed, 1);
    let mut peers = [addr, addr].map(|addr| TcpStream::connect(addr).unwrap());
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut server], long, |sides| {
        sides[0].lp.stats().open == 2
    }));
    let [first, second] = [0, 1].map(|nth| server.script.opened(nth).unwrap());
    server.script.act(move |at, event| {
        if matches!(event, Event::Close(..)) {
            at.net().cork(second);
            assert_eq!(at.net().write(second, b"farewell"), 8);
        }
    });
    // Nothing else is left to report.
    run_for(bed, &mut [&mut server], Duration::from_millis(20));
    server.net().close(first);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            peers[1].read_exact(&mut [0; 8]).unwrap();
            peers[1].write_all(b"answer").unwrap();
        });
        let until = server.lp.platform().now().saturating_add(long);
        server.lp.poll(&mut server.script, Some(until)).unwrap();
    });
    assert_eq!(server.script.received(second), b"answer");
}
