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

/// A reset that comes with the peer's end, in one report, closes a socket that stays half open:
/// reading shows the end only.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_reset_behind_the_end_is_told() {
    use std::net::{Shutdown, TcpStream};
    use usockets::Closed;
    use usockets_tests::bed::{Bed, LinuxBed};
    use usockets_tests::side::{Side, run_until};

    let bed = &mut LinuxBed::default();
    let mut server = Side::with::<8>(0, bed.platform(), 4_096, 0);
    server.script.finish_on_end = false;
    let (_, addr) = server.listen(bed, 1);
    let peer = TcpStream::connect(addr).unwrap();
    let long = bed.long();
    let sides = &mut [&mut server];
    assert!(run_until(bed, sides, long, |sides| {
        sides[0].lp.stats().open == 1
    }));
    peer.shutdown(Shutdown::Write).unwrap();
    let none = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&peer, none).unwrap();
    drop(peer);
    let id = sides[0].script.opened(0).unwrap();
    assert!(run_until(bed, sides, long, |sides| {
        matches!(sides[0].script.closed(id), Some(Closed::Failed(_)))
    }));
    assert!(sides[0].script.talks[&id].ended);
}
