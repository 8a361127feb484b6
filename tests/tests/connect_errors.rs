//! Connections that do not come about.

use std::time::Duration;
use usockets::{Endpoint, Error};
use usockets_conformance::suite::connect_errors::errors;
use usockets_tests::bed::{Bed, SimBed, on_sim};
use usockets_tests::rng::seeds;
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, run_until};
use usockets_tests::sim::Faults;

/// A host that is not there: `Unreachable`, once (W19).
#[test]
fn unreachable_is_told_once() {
    on_sim(|bed| {
        let mut client = Side::new(bed, 0);
        let id = client.connect(([203, 0, 113, 7], 80).into(), 2).unwrap();
        let long = bed.long();
        assert!(run_until(bed, &mut [&mut client], long, |sides| {
            !sides[0].script.log.is_empty()
        }));
        let events: Vec<_> = client.script.events().cloned().collect();
        assert_eq!(events, [Event::ConnectError(id, 2, Error::Unreachable)]);
    });
}

/// The same on Linux: no route leads to a broadcast address, or the network is unreachable.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn unreachable_on_linux() {
    let bed = &mut usockets_tests::bed::LinuxBed::default();
    let mut client = Side::new(bed, 0);
    // No host has an address of the discard prefix (RFC 6666); it may be unknown at once.
    let id = client.connect("[100::1]:80".parse().unwrap(), 2);
    let Ok(id) = id else {
        assert_eq!(id, Err(Error::AddressUnavailable), "no IPv6 at all");
        return;
    };
    client.net().set_timeout(id, Duration::from_secs(2));
    let long = Duration::from_secs(10);
    assert!(run_until(bed, &mut [&mut client], long, |sides| {
        !sides[0].script.log.is_empty()
    }));
    let events: Vec<_> = client.script.events().cloned().collect();
    let [Event::ConnectError(told, 2, error)] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(told, id);
    assert!(
        matches!(error, Error::Unreachable | Error::TimedOut),
        "{error}"
    );
}

/// A connection of this host that gets the very port that it goes to, where nobody listens, meets
/// itself (RFC 9293, section 3.5): it is refused and not opened, and the port is free again.
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn one_that_meets_itself_is_refused<B: Bed>(bed: &mut B) {
    use std::net::TcpListener;

    for at in ["127.0.0.1:0", "[::1]:0"] {
        // Nobody listens there any more, and it is free.
        let Ok(listener) = TcpListener::bind(at) else {
            continue;
        };
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let mut client = Side::new(bed, 0);
        let to_itself = Endpoint::tcp(addr).source(addr);
        let id = client.net().connect(to_itself, 2).unwrap();
        let long = bed.long();
        assert!(run_until(bed, &mut [&mut client], long, |sides| {
            !sides[0].script.log.is_empty()
        }));
        let events: Vec<_> = client.script.events().cloned().collect();
        assert_eq!(events, [Event::ConnectError(id, 2, Error::Refused)]);
        TcpListener::bind(addr).expect("the port is free");
    }
}

#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn one_that_meets_itself_is_refused_on_every_system() {
    usockets_tests::bed::on_linux(one_that_meets_itself_is_refused);
    usockets_tests::bed::on_poll(one_that_meets_itself_is_refused);
}

/// Without an answer a connect ends after 10 s, with `TimedOut`, once, never early (W13, W19).
#[test]
fn no_answer_times_out_after_ten_seconds() {
    for seed in seeds(20) {
        let faults = Faults {
            connect_hang: 10_000,
            ..Faults::rough(seed)
        };
        let bed = &mut SimBed::new(seed, faults);
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        let (_, addr) = server.listen(bed, 1);
        let asked = client.net().now();
        let id = client.connect(addr, 2).unwrap();
        run_for(
            bed,
            &mut [&mut server, &mut client],
            Duration::from_secs(60),
        );
        let [(at, ref event)] = client.script.log[..] else {
            panic!("{}", client.script.tail());
        };
        assert_eq!(*event, Event::ConnectError(id, 2, Error::TimedOut));
        let took = at.saturating_since(asked).as_micros();
        assert!((10_000_000..10_001_100).contains(&took), "{took} µs");
    }
}

/// Every failure of the network comes as `on_connect_error`, once, with its own reason (W19).
#[test]
fn each_failure_has_its_own_reason() {
    let mut seen = std::collections::HashSet::new();
    let all = seeds(60);
    for &seed in &all {
        let faults = Faults {
            connect_fail: 10_000,
            ..Faults::rough(seed)
        };
        let bed = &mut SimBed::new(seed, faults);
        let mut client = Side::new(bed, 0);
        let (_, addr) = client.listen(bed, 1);
        client.connect(addr, 2).unwrap();
        run_for(bed, &mut [&mut client], Duration::from_secs(1));
        let events = errors::<SimBed>(&client);
        let [Event::ConnectError(_, 2, error)] = events[..] else {
            panic!("{events:?}");
        };
        seen.insert(error);
    }
    assert!(all.len() == 1 || seen.len() == 5, "{seen:?}");
}
