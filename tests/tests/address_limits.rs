//! Limits of what one address may take: connections, rate, memory; many addresses, IPv6 networks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use usockets::{AddressLimit, AddressLimits, Instant, OverLimit, PreOpen};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_until};

on_every_platform!(a_loop_refuses_who_is_over_the_limit);

const SEED: [u64; 2] = [0x2545_f491_4f6c_dd1d, 0x9e37_79b9_7f4a_7c15];

fn millis(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn v6(network: u64, host: u64) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(network) << 64 | u128::from(host)).into()
}

/// A pool's listener refuses the third connection of an address, until one has closed.
fn a_loop_refuses_who_is_over_the_limit<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let limits = AddressLimits::<64>::new(AddressLimit::connections(2), SEED);
    let limits = Rc::new(RefCell::new(limits));
    let (asked, told) = (limits.clone(), limits.clone());
    server.script.pre_open(move |incoming| {
        let (peer, now) = (incoming.peer().ip().unwrap(), incoming.now());
        match asked.borrow_mut().admit(peer.ip(), now) {
            Ok(()) => PreOpen::Keep,
            Err(_) => PreOpen::Refuse,
        }
    });
    let mut peers = HashMap::new();
    server.script.act(move |_, event| match *event {
        Event::Open(id, _, Some(peer)) => {
            peers.insert(id, peer.ip());
            told.borrow_mut().opened(peer.ip());
        }
        Event::Close(id, _) => told.borrow_mut().closed(peers[&id]),
        _ => {}
    });
    let (_, addr) = server.listen(bed, 1);
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    for open in 1..=2 {
        both[1].connect(addr, 2).unwrap();
        assert!(run_until(bed, both, long, |sides| {
            sides.iter().all(|side| side.lp.stats().open == open)
        }));
    }
    both[1].connect(addr, 2).unwrap();
    assert!(run_until(bed, both, long, |sides| {
        sides[0].lp.stats().refused == 1 && sides[1].lp.stats().open == 2
    }));
    let first = both[1].script.opened(0).unwrap();
    both[1].finish(first);
    assert!(run_until(bed, both, long, |sides| sides[0].lp.stats().open == 1));
    both[1].connect(addr, 2).unwrap();
    assert!(run_until(bed, both, long, |sides| sides[0].lp.stats().open == 2));
    assert_eq!(both[0].lp.stats().refused, 1);
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let mut limits = AddressLimits::<16>::new(AddressLimit::connections(3), SEED);
    let (one, other) = (v4(1), v4(2));
    for count in 1..=3 {
        assert_eq!(limits.admit(one, millis(1)), Ok(()));
        limits.opened(one);
        assert_eq!(limits.connections(one), count);
    }
    assert_eq!(limits.admit(one, millis(1)), Err(OverLimit::Connections));
    assert_eq!(limits.admit(other, millis(1)), Ok(()));
    limits.closed(one);
    assert_eq!(limits.admit(one, millis(1)), Ok(()));
    // One that closes without having opened counts nothing below zero.
    limits.closed(other);
    assert_eq!(limits.connections(other), 0);
}

#[test]
fn a_burst_may_come_and_then_one_per_interval() {
    let limit = AddressLimit::connections(u32::MAX).rate(5, Duration::from_millis(100));
    let mut limits = AddressLimits::<16>::new(limit, SEED);
    let peer = v4(7);
    let mut admitted_at = |now: u64| {
        (0..100)
            .filter(|_| limits.admit(peer, millis(now)).is_ok())
            .count()
    };
    assert_eq!(admitted_at(1_000), 5);
    assert_eq!(admitted_at(1_099), 0);
    assert_eq!(admitted_at(1_100), 1);
    assert_eq!(admitted_at(1_350), 2);
    // However long nobody came, it is one burst.
    assert_eq!(admitted_at(1_000_000), 5);
    assert_eq!(admitted_at(1_000_000), 0);
}

#[test]
fn a_refused_attempt_does_not_count_for_the_rate() {
    let limit = AddressLimit::connections(1).rate(1, Duration::from_secs(1));
    let mut limits = AddressLimits::<16>::new(limit, SEED);
    assert_eq!(limits.admit(v4(1), millis(5)), Ok(()));
    for now in 6..1_005 {
        assert_eq!(limits.admit(v4(1), millis(now)), Err(OverLimit::Rate));
    }
    assert_eq!(limits.admit(v4(1), millis(1_005)), Ok(()));
}

#[test]
fn an_ipv6_network_counts_as_one() {
    let mut limits = AddressLimits::<16>::new(AddressLimit::connections(2), SEED);
    for host in 0..2 {
        assert_eq!(limits.admit(v6(0x2001_0db8, host), millis(1)), Ok(()));
        limits.opened(v6(0x2001_0db8, host));
    }
    let third = limits.admit(v6(0x2001_0db8, u64::MAX), millis(1));
    assert_eq!(third, Err(OverLimit::Connections));
    assert_eq!(limits.admit(v6(0x2001_0db9, 0), millis(1)), Ok(()));
    // A network is no IPv4 address of the same bits, but a mapped address is.
    limits.opened(v4(9));
    assert_eq!(limits.connections(v6(9, 0)), 0);
    assert_eq!(
        limits.connections(Ipv4Addr::from_bits(9).to_ipv6_mapped().into()),
        1
    );
}

/// However many addresses come, who has connections stays known.
#[test]
fn a_flood_of_addresses_does_not_make_it_forget_who_is_connected() {
    let limit = AddressLimit::connections(1).rate(1, Duration::from_millis(1));
    let mut limits = AddressLimits::<64>::new(limit, SEED);
    assert_eq!(limits.admit(v4(1), millis(1)), Ok(()));
    limits.opened(v4(1));
    let mut crowded = 0;
    for index in 0..100_000 {
        let peer = v6(0xff00 + u64::from(index), 1);
        match limits.admit(peer, millis(2 + u64::from(index / 50_u32))) {
            Ok(()) => {}
            Err(OverLimit::Table) => crowded += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(crowded, 0, "nobody else is connected");
    assert_eq!(limits.connections(v4(1)), 1);
    assert_eq!(
        limits.admit(v4(1), millis(9_000)),
        Err(OverLimit::Connections)
    );
}

/// With twice as many entries as sockets, as good as everybody finds one, whatever the seed.
#[test]
fn a_pool_full_of_different_addresses_fits() {
    let mut refused = 0;
    for seed in seeds(50) {
        let mut rng = Rng::new(seed);
        let mut limits =
            AddressLimits::<2048>::new(AddressLimit::connections(1), [rng.next(), rng.next()]);
        for index in 0..1_024 {
            let peer = v6(rng.next(), index);
            match limits.admit(peer, millis(1)) {
                Ok(()) => limits.opened(peer),
                Err(error) => {
                    assert_eq!(error, OverLimit::Table);
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} of {} found no entry", 50 * 1_024);
    assert!(refused <= 50, "{refused} of {} found no entry", 50 * 1_024);
}

/// Against a plain model, with fewer addresses than entries.
#[test]
fn it_agrees_with_a_plain_count() {
    for seed in seeds(20) {
        let mut rng = Rng::new(seed);
        let limit = AddressLimit::connections(4).rate(3, Duration::from_millis(10));
        let mut limits = AddressLimits::<1024>::new(limit, [rng.next(), rng.next()]);
        let mut open = HashMap::<IpAddr, u32>::new();
        let mut came = HashMap::<IpAddr, Vec<u64>>::new();
        let mut now = 1;
        for _ in 0..5_000 {
            now += rng.next() % 3;
            let peer = v4(u32::try_from(rng.next() % 20).unwrap());
            let count = open.entry(peer).or_default();
            if rng.next().is_multiple_of(2) {
                if *count > 0 {
                    *count -= 1;
                    limits.closed(peer);
                }
                continue;
            }
            let came = came.entry(peer).or_default();
            // The rate as a bucket that leaks: so many are in it at each time.
            let due = came.iter().fold(0, |due: u64, &at| due.max(at) + 10);
            let expected = if *count >= 4 {
                Err(OverLimit::Connections)
            } else if due > now + 20 {
                Err(OverLimit::Rate)
            } else {
                Ok(())
            };
            assert_eq!(limits.admit(peer, millis(now)), expected, "seed {seed}");
            if expected.is_ok() {
                came.push(now);
                *count += 1;
                limits.opened(peer);
            }
        }
    }
}
