//! More connections than the pool has slots.

use std::time::Duration;
use usockets::{Closed, Endpoint, Error, WhenFull};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, turns_in};
use usockets_tests::sim::{Faults, Host};

/// In a pool with more sockets than one search remembers, too, whichever slots they are in, and
/// whoever receives between one search and the use of what it found (W21).
#[test]
fn the_idlest_of_many_goes_first() {
    const OPEN: usize = 40;
    for seed in seeds(4) {
        let rng = &mut Rng::new(seed);
        let bed = &mut SimBed::new(seed, Faults::none());
        let mut server = Side::with::<{ OPEN + 1 }>(0, bed.platform(), 4_096, 0);
        let mut client = Side::with::<256>(1, bed.platform(), 4_096, 0);
        let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::EvictIdle);
        let (_, addr) = server.listen_at(at, 1);
        let both = &mut [&mut server, &mut client];
        let a_while = Duration::from_millis(50);
        // The connections by when they opened, the idlest first.
        let mut idlest: Vec<usize> = Vec::new();
        for number in 0..4 * OPEN {
            both[1].connect(addr, 2).unwrap();
            run_for(bed, both, a_while);
            idlest.push(number);
            if number >= OPEN {
                let victim = both[0].script.opened(idlest.remove(0)).unwrap();
                let closed = both[0].script.closed(victim);
                assert_eq!(closed, Some(Closed::Evicted), "SEED={seed}: {number}");
            }
            assert_eq!(both[0].lp.stats().open as usize, idlest.len());
            for _ in 0..rng.below(3) {
                let talker = idlest.remove(rng.index(idlest.len()));
                idlest.push(talker);
                let id = both[1].script.opened(talker).unwrap();
                both[1].say(id, b"awake");
                run_for(bed, both, a_while);
            }
        }
        assert_eq!(both[0].lp.stats().evicted as usize, 3 * OPEN);
    }
}

/// A pool that is full of sockets which are not open yet: the first that opens makes room.
#[test]
fn who_opens_later_can_be_evicted() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::with::<3>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::EvictIdle);
    let (_, addr) = server.listen_at(at, 1);
    let (_, other) = client.listen(bed, 1);
    for _ in 0..2 {
        server.connect(other, 2).unwrap();
    }
    client.connect(addr, 3).unwrap();
    let both = &mut [&mut server, &mut client];
    run_for(bed, both, Duration::from_secs(1));
    let stats = both[0].lp.stats();
    assert_eq!((stats.accepted, stats.evicted, stats.open), (1, 1, 2));
    assert_eq!(stats.connected, 2);
    assert_eq!(stats.pauses, 1, "it came when none was open");
}

/// Refusing that always fails, for whatever reason, makes no loop spin.
#[test]
fn refusing_in_vain_does_not_spin() {
    for error in [Error::Invalid, Error::Exhausted] {
        let faults = Faults {
            refusal: Some(error),
            level_listeners: true,
            ..Faults::none()
        };
        let bed = &mut SimBed::new(0, faults);
        let mut server = Side::with::<2>(0, bed.platform(), 4_096, 0);
        let mut client = Side::new(bed, 1);
        let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::Refuse);
        let (_, addr) = server.listen_at(at, 1);
        for _ in 0..2 {
            client.connect(addr, 2).unwrap();
        }
        let both = &mut [&mut server, &mut client];
        run_for(bed, both, Duration::from_millis(50));
        let turns = turns_in(bed, both[0], Duration::from_secs(1));
        assert!(turns <= 30, "{turns} iterations in a second");
        let told = |event: &Event| matches!(event, Event::AcceptError(_, why) if *why == error);
        assert_eq!(both[0].script.count(told), 1);
    }
}

/// A platform that cannot stop reporting a listener, and then can, is asked at its next report, and
/// not when the time has come to try and accept again.
#[test]
fn reports_that_could_not_be_stopped_are_stopped_at_the_next() {
    for seed in seeds(20) {
        let faults = Faults {
            set_accepting_error: 5_000,
            level_listeners: true,
            ..Faults::none()
        };
        let bed = &mut SimBed::new(seed, faults);
        let mut server = Side::with::<2>(0, bed.platform(), 4_096, 0);
        let mut client = Side::new(bed, 1);
        let (_, addr) = server.listen(bed, 1);
        for _ in 0..4 {
            client.connect(addr, 2).unwrap();
        }
        let both = &mut [&mut server, &mut client];
        run_for(bed, both, Duration::from_millis(50));
        let turns = turns_in(bed, both[0], Duration::from_secs(1));
        assert!(turns <= 30, "SEED={seed}: {turns} iterations in a second");
        let told = |event: &Event| matches!(event, Event::AcceptError(..));
        assert_eq!(both[0].script.count(told), 1, "SEED={seed}");
    }
}

/// A platform that can never stop reporting a listener costs one more call in an iteration at most;
/// the others are served meanwhile, and the listener goes on when there is a slot.
#[test]
fn reports_that_cannot_be_stopped_hold_up_nobody() {
    let faults = Faults {
        set_accepting_error: 10_000,
        level_listeners: true,
        ..Faults::none()
    };
    let bed = &mut SimBed::new(0, faults);
    let mut server = Side::with::<2>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    server.script.echo = true;
    let (_, addr) = server.listen(bed, 1);
    let first = client.connect(addr, 2).unwrap();
    client.connect(addr, 2).unwrap();
    let mut turns = |server: &mut Side<Host>, client: &mut Side<Host>| {
        let before = server.lp.platform().counts().switches;
        for _ in 0..100 {
            server.turn(bed);
            client.turn(bed);
            bed.pass(Duration::from_micros(10));
        }
        server.lp.platform().counts().switches - before
    };
    turns(&mut server, &mut client);
    client.say(first, b"still served");
    let switches = turns(&mut server, &mut client);
    assert!(
        (1..=100).contains(&switches),
        "{switches} calls in 100 iterations"
    );
    assert_eq!(client.script.received(first), b"still served");
    let told = |event: &Event| matches!(event, Event::AcceptError(..));
    assert_eq!(server.script.count(told), 1);
    client.net().close(first);
    turns(&mut server, &mut client);
    assert_eq!(server.lp.stats().accepted, 2);
}

/// Some connections die while they wait: the others are taken all the same, and the listener is
/// not at fault.
#[test]
fn dead_connections_do_not_pause_a_listener() {
    for seed in seeds(200) {
        let faults = Faults {
            accept_error: 300,
            ..Faults::none()
        };
        let bed = &mut SimBed::new(seed, faults);
        let mut server = Side::with::<128>(0, bed.platform(), 64, 0);
        let mut client = Side::with::<128>(1, bed.platform(), 64, 0);
        let (_, addr) = server.listen(bed, 1);
        for _ in 0..80 {
            client.connect(addr, 2).unwrap();
        }
        run_for(bed, &mut [&mut client], Duration::from_millis(50));
        let both = &mut [&mut server, &mut client];
        run_for(bed, both, Duration::from_secs(1));
        let blamed =
            |event: &Event| matches!(event, Event::AcceptError(_, why) if *why != Error::Exhausted);
        assert_eq!(both[0].script.count(blamed), 0, "SEED={seed}");
        let stats = both[0].lp.stats();
        assert_eq!(stats.accepted + stats.failed, 80, "SEED={seed}");
    }
}
