//! No descriptors left.

use std::time::Duration;

use usockets::{Closed, Error};
use usockets_tests::bed::SimBed;
use usockets_tests::rng::seeds;
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, run_until, turns_in};
use usockets_tests::sim::Faults;

/// `RLIMIT_NOFILE` is reached for real: the loop does not spin, who waits is not lost, and all are
/// served when there are descriptors again (W3). One after the other, as the limit is the
/// process's.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_reached_limit_costs_no_spinning_and_loses_nobody() {
    usockets_tests::bed::on_linux(reach_limit);
    usockets_tests::bed::on_poll(reach_limit);
}

#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn reach_limit<B: usockets_tests::bed::Bed>(bed: &mut B) {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    const PEERS: usize = 20;
    let mut server = Side::with::<64>(0, bed.platform(), 4_096, 0);
    server.script.echo = true;
    let (_, addr) = server.listen(bed, 1);
    let mut peers: Vec<_> = (0..PEERS)
        .map(|_| TcpStream::connect(addr).unwrap())
        .collect();
    let before = limit_to(3);
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut server], long, |sides| sides[0]
        .lp
        .stats()
        .pauses
        > 0));
    let some = server.lp.stats().accepted;
    assert!(some <= 4, "{some} were accepted with 3 descriptors left");
    let turns = turns_in(bed, &mut server, Duration::from_secs(1));
    assert!(
        turns <= 40,
        "{turns} waits in a second in which nothing could be done"
    );
    assert_eq!(server.lp.stats().accepted, some);
    let told = |event: &Event| matches!(event, Event::AcceptError(_, Error::Exhausted));
    assert_eq!(
        server.script.count(told),
        1,
        "told once, not with every attempt"
    );
    // One leaves: its descriptor goes to the next who waits.
    let first = server.script.opened(0).unwrap();
    server.net().close(first);
    assert!(run_until(bed, &mut [&mut server], long, |sides| {
        sides[0].lp.stats().accepted == some + 1
    }));
    let full = server.net().connect(usockets::Endpoint::tcp(addr), 2);
    assert_eq!(full, Err(Error::Exhausted), "a connect says so at once");
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
    assert!(run_until(bed, &mut [&mut server], long, |sides| {
        sides[0].lp.stats().accepted == PEERS as u64
    }));
    for peer in &mut peers {
        let _ = peer.write_all(b"hello");
    }
    let talking = PEERS - 1;
    assert!(run_until(bed, &mut [&mut server], long, |sides| {
        sides[0].lp.stats().received == talking as u64 * 5
    }));
    // One was closed above; its read fails.
    let answers = peers.iter_mut().map(|peer| {
        let mut answer = [0; 5];
        peer.read_exact(&mut answer).is_ok() && answer == *b"hello"
    });
    assert_eq!(answers.filter(|good| *good).count(), talking);
}

/// Leaves this many descriptors, and returns the limit that was.
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn limit_to(left: u64) -> rustix::process::Rlimit {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Nofile);
    // The lowest number that is free, which the next descriptor gets.
    let next = std::fs::File::open("/dev/null").unwrap();
    let next = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
    let limit = Rlimit {
        current: Some(next + left),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    before
}

/// The same on rough simulated networks, with every listener's way to report (W3).
#[test]
fn a_simulated_host_without_descriptors_loses_nobody() {
    for seed in seeds(40) {
        let faults = Faults::rough(seed);
        let bed = &mut SimBed::new(
            seed,
            Faults {
                descriptors: 5,
                ..faults.clone()
            },
        );
        let mut server = Side::with::<64>(0, bed.sim.host(), 4_096, 0);
        let mut client = Side::with::<64>(1, bed.sim.host(), 4_096, 0);
        let (_, addr) = server.listen(bed, 1);
        let both = &mut [&mut server, &mut client];
        for _ in 0..5 {
            both[1].connect(addr, 2).unwrap();
        }
        assert_eq!(both[1].connect(addr, 2), Err(Error::Exhausted));
        let hour = Duration::from_secs(3_600);
        assert!(run_until(bed, both, hour, |sides| sides[0].lp.stats().open == 4));
        run_for(bed, both, Duration::from_millis(300));
        let turns = turns_in(bed, both[0], Duration::from_secs(1));
        assert!(turns <= 60, "SEED={seed}: {turns} iterations in a second");
        bed.sim.set_faults(faults);
        assert!(run_until(bed, both, hour, |sides| sides[0].lp.stats().open == 5));
        assert_eq!(both[0].lp.stats().accepted, 5);
    }
}

/// A listener that stops while the platform is exhausted leaves nothing behind that wakes the
/// loop (W3, W14).
#[test]
fn a_listener_that_stops_while_it_waits_leaves_nothing_due() {
    let bed = &mut SimBed::new(
        1,
        Faults {
            descriptors: 1,
            ..Faults::none()
        },
    );
    let mut server = Side::with::<8>(0, bed.sim.host(), 16, 0);
    let mut client = Side::with::<8>(1, bed.sim.host(), 16, 0);
    let (listener, addr) = server.listen(bed, 1);
    let id = client.connect(addr, 2).unwrap();
    let both = &mut [&mut server, &mut client];
    let minute = Duration::from_secs(60);
    assert!(run_until(bed, both, minute, |sides| sides[0]
        .lp
        .stats()
        .pauses
        == 1));
    both[0].net().stop_listening(listener);
    run_for(bed, both, Duration::from_secs(1));
    assert_eq!(both[0].lp.next_deadline(), None);
    assert!(turns_in(bed, both[0], minute) <= 2);
    // It may have opened before the reset came.
    let told = both[1].script.events().last();
    let reset = Closed::Failed(Error::Reset);
    let either = [
        Event::Close(id, reset),
        Event::ConnectError(id, 2, Error::Reset),
    ];
    assert!(told.is_some_and(|event| either.contains(event)), "{told:?}");
}

/// A listener that waits for a slot, gets its turn and finds no descriptor tells so too, once; and
/// goes on when there is one.
#[test]
fn a_listener_that_waits_for_a_slot_tells_that_there_is_no_descriptor() {
    for level_listeners in [false, true] {
        let faults = Faults {
            level_listeners,
            ..Faults::none()
        };
        let bed = &mut SimBed::new(1, faults.clone());
        let mut server = Side::with::<3>(0, bed.sim.host(), 16, 0);
        let mut client = Side::with::<8>(1, bed.sim.host(), 16, 0);
        let (_, addr) = server.listen(bed, 1);
        for _ in 0..3 {
            client.connect(addr, 2).unwrap();
        }
        let both = &mut [&mut server, &mut client];
        let second = Duration::from_secs(1);
        run_for(bed, both, second);
        let told = |side: &Side<_>| -> Vec<Error> {
            let errors = side.script.events().filter_map(|event| match event {
                Event::AcceptError(_, error) => Some(*error),
                _ => None,
            });
            errors.collect()
        };
        assert_eq!(told(both[0]), [Error::Full]);
        // The listener and one connection are all that the host may have.
        bed.sim.set_faults(Faults {
            descriptors: 2,
            ..faults.clone()
        });
        let first = both[0].script.opened(0).unwrap();
        both[0].net().close(first);
        run_for(bed, both, second);
        assert_eq!(told(both[0]), [Error::Full, Error::Exhausted]);
        assert_eq!(both[0].lp.stats().accepted, 2);
        bed.sim.set_faults(faults);
        assert!(run_until(bed, both, second, |sides| sides[0]
            .lp
            .stats()
            .accepted
            == 3));
    }
}
