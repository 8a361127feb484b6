//! A platform that fails, and a network that falls silent.

use std::time::Duration;

use usockets::Error;
use usockets_tests::bed::on_rough_sim;
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, pattern};

/// A failing poll is the loop's error, every time, and no call is made; what came meanwhile is
/// served when the platform works again.
#[test]
fn a_failing_poll_is_told_and_loses_nothing() {
    on_rough_sim(20, |bed| {
        let mut pair = Pair::open(bed);
        let (accepted, connected) = (pair.accepted, pair.connected);
        let sim = bed.sim.clone();
        pair.for_time(bed, Duration::from_secs(1));
        sim.set_broken(pair.server.host, Some(Error::Platform(9)));
        let bytes = pattern(300);
        pair.client.say(connected, &bytes);
        for _ in 0..5 {
            let told = pair.server.lp.poll(&mut pair.server.script, None);
            assert_eq!(told, Err(Error::Platform(9)));
            let told = pair.server.lp.run(&mut pair.server.script);
            assert_eq!(told, Err(Error::Platform(9)));
            sim.step(Duration::from_millis(50));
        }
        assert!(pair.server.script.received(accepted).is_empty());
        assert!(pair.server.net().is_open(accepted));
        sim.set_broken(pair.server.host, None);
        pair.until(bed, |server, _| server.script.received(accepted) == bytes);
    });
}

/// While nothing gets through, an open connection stays open, and a new one fails in time; what
/// was sent arrives when the network is back.
#[test]
fn silence_is_waited_out_by_what_is_open_and_ends_what_is_not() {
    on_rough_sim(20, |bed| {
        let mut pair = Pair::open(bed);
        let (accepted, connected) = (pair.accepted, pair.connected);
        pair.for_time(bed, Duration::from_secs(1));
        bed.sim.set_unplugged(pair.server.host, true);
        let bytes = pattern(300);
        pair.client.say(connected, &bytes);
        let late = pair.client.connect(pair.addr, 3).expect("a connect");
        pair.until(bed, |_, client| {
            let told = Event::ConnectError(late, 3, Error::TimedOut);
            client.script.count(|event| *event == told) == 1
        });
        assert!(pair.server.script.received(accepted).is_empty());
        assert!(pair.server.net().is_open(accepted) && pair.client.net().is_open(connected));
        bed.sim.set_unplugged(pair.server.host, false);
        pair.until(bed, |server, _| server.script.received(accepted) == bytes);
    });
}
