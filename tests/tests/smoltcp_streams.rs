//! Byte streams between two stacks, on a clean wire and under faults, in virtual time.

use usockets::{Duration, Endpoint, Error, Platform};
use usockets_smoltcp::{Faults, Medium, SizeClass};
use usockets_tests::smoltcp::{Habit, Recipe, World, a4, b4, pattern, secs, seed, v6};

#[test]
fn connect_takes_no_second_for_the_neighbour() {
    let mut world = World::new(Faults::NONE.delay(Duration::from_micros(50)), seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let start = world.wire.now();
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"hello");
    world.run(secs(5), |world| world.a.conn(id).received == b"hello");
    // ARP and its answer, SYN and its answer, data and its echo: three round trips.
    let took = world.wire.now().saturating_since(start);
    assert!(took <= Duration::from_micros(320), "{took:?}");
    assert_eq!(world.b.only().peer.map(|peer| peer.ip()), Some(a4(0).ip()));
}

#[test]
fn echo_over_ipv6_and_without_ethernet() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        for to in [b4(80), v6(2, 80)] {
            let mut recipes = [Recipe::new(1), Recipe::new(2)];
            recipes.iter_mut().for_each(|recipe| recipe.medium = medium);
            let mut world = World::of(Faults::NONE, seed(1), &recipes[0], &recipes[1]);
            let at = Endpoint::tcp(([0_u16; 8], 80).into());
            world.b.listen(&at, Habit::Echo);
            let bytes = pattern(20_000, 3);
            let id = world.a.connect(&Endpoint::tcp(to), &bytes);
            world.a.conn(id).finish = true;
            world.run(secs(5), |world| world.a.conn(id).is_done());
            assert!(world.a.conn(id).received == bytes);
            world.a.close(id);
            world.run(secs(80), |world| {
                world.a.net.free_count() == 64 && world.b.net.free_count() == 64
            });
        }
    }
}

#[test]
fn each_side_may_go_on_after_the_other_finished() {
    let mut world = World::new(Faults::NONE, seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"question");
    world.a.conn(id).finish = true;
    world.run(secs(5), |world| {
        world.b.conns.values().any(|conn| conn.ended)
    });
    let answer = pattern(100_000, 4);
    let other = *world.b.conns.keys().next().unwrap();
    assert_eq!(world.b.only().received, b"question");
    world.b.push(other, &answer, true);
    world.run(secs(20), |world| world.a.conn(id).is_done());
    assert!(world.a.conn(id).received == answer);
    assert_eq!(world.a.conn(id).error, None);
}

#[test]
fn simultaneous_close_ends_in_peace() {
    let mut world = World::new(Faults::NONE.delay(Duration::from_millis(5)), seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"x");
    world.run(secs(5), |world| world.b.conns.len() == 1);
    let other = *world.b.conns.keys().next().unwrap();
    world.a.push(id, b"a", true);
    world.b.push(other, b"b", true);
    world.run(secs(5), |world| {
        world.a.only().is_done() && world.b.only().is_done()
    });
    assert_eq!((world.a.only().error, world.b.only().error), (None, None));
    world.a.close(id);
    world.b.close(other);
    world.run(secs(80), |world| {
        world.a.net.free_count() == 64 && world.b.net.free_count() == 64
    });
}

/// RFC 9293, section 3.5, figure 8: both connect to each other at once (MUST-10).
#[test]
fn simultaneous_open_makes_one_connection() {
    let mut world = World::new(Faults::NONE.delay(Duration::from_millis(5)), seed(1));
    // Neighbours first: the SYNs must cross.
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let first = world.a.connect(&Endpoint::tcp(b4(80)), b"warm");
    world.run(secs(5), |world| world.a.conn(first).received == b"warm");
    let a = world
        .a
        .connect(&Endpoint::tcp(b4(7_000)).source(a4(6_000)), b"from a");
    let b = world
        .b
        .connect(&Endpoint::tcp(a4(6_000)).source(b4(7_000)), b"from b");
    world.run(secs(10), |world| {
        world.a.conn(a).received == b"from b" && world.b.conn(b).received == b"from a"
    });
}

#[test]
fn every_byte_arrives_through_every_fault() {
    let first = seed(100);
    for seed in first..first + 12 {
        let faults = Faults::NONE
            .delay(Duration::from_micros(200 * (seed % 5)))
            .loss(10_000 * (seed % 8) as u32)
            .duplicate(10_000 * (seed % 3) as u32)
            .reorder(20_000 * (seed % 4) as u32)
            .corrupt(5_000 * (seed % 5) as u32)
            .rate([0, 10_000_000][seed as usize % 2]);
        let mut world = World::new(faults, seed);
        world
            .b
            .listen(&Endpoint::tcp(([0_u16; 8], 80).into()), Habit::Echo);
        let all: Vec<_> = (0..4)
            .map(|index| {
                let to = if index % 2 == 0 { b4(80) } else { v6(2, 80) };
                let bytes = pattern(60_000, seed * 10 + index);
                let id = world.a.connect(&Endpoint::tcp(to), &bytes);
                world.a.conn(id).finish = true;
                (id, bytes)
            })
            .collect();
        let done = |world: &mut World| all.iter().all(|(id, _)| world.a.conn(*id).is_done());
        world.run(secs(3_000), done);
        for (id, bytes) in &all {
            assert_eq!(world.a.conn(*id).error, None, "seed {seed}");
            assert!(world.a.conn(*id).received == *bytes, "seed {seed}");
            world.a.close(*id);
        }
        world.run(secs(300), |world| {
            world.a.net.free_count() == 64 && world.b.net.free_count() == 64
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let faults = Faults::NONE.loss(50_000).reorder(50_000).duplicate(20_000);
        let mut world = World::new(faults, 9);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let id = world.a.connect(&Endpoint::tcp(b4(80)), &pattern(30_000, 1));
        world.a.conn(id).finish = true;
        world.run(secs(500), |world| world.a.conn(id).is_done());
        (world.wire.now(), *world.a.net.counters(), world.b.reports)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_deaf_peer_costs_its_window_and_wakes_up() {
    let mut world = World::new(Faults::NONE, seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    let bytes = pattern(50_000, 5);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
    world.a.conn(id).finish = true;
    // Long enough for many zero-window probes, longer than any limit on an answer.
    world.pass(secs(600));
    assert_eq!(world.a.conn(id).error, None);
    assert_eq!(world.a.conn(id).sent, 8_192, "both buffers are full");
    let other = *world.b.conns.keys().next().unwrap();
    world.b.conn(other).habit = Habit::Keep;
    world.b.drain(other);
    world.run(secs(200), |world| world.b.conn(other).ended);
    assert!(world.b.conn(other).received == bytes);
}

/// Windows of a single byte, both ways, clean and with loss.
#[test]
fn one_byte_at_a_time_arrives() {
    for (loss, len) in [(0, 400), (30_000, 100)] {
        let classes = [SizeClass::new(4, 1, 1)];
        let recipes = [1, 2].map(|host| Recipe::new(host).classes(&classes));
        let mut world = World::of(Faults::NONE.loss(loss), seed(2), &recipes[0], &recipes[1]);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let bytes = pattern(len, 8);
        let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
        world.a.conn(id).finish = true;
        world.run(secs(3_000), |world| world.a.conn(id).is_done());
        assert_eq!(world.a.conn(id).error, None);
        assert!(world.a.conn(id).received == bytes);
    }
}

/// Losses are repaired without a timeout.
#[test]
fn a_loss_costs_round_trips_and_no_timeout() {
    let class = SizeClass::new(4, 65_535, 65_535);
    let recipes = [1, 2].map(|host| Recipe::new(host).classes(&[class]));
    let faults = Faults::NONE.delay(Duration::from_micros(200));
    let mut world = World::of(faults, seed(4), &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let bytes = pattern(3_000_000, 9);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
    world.a.conn(id).finish = true;
    world.run(secs(5), |world| world.a.conn(id).open);
    world.wire.set_faults(faults.loss(10_000));
    let start = world.wire.now();
    world.run(secs(100), |world| {
        world
            .b
            .conns
            .values()
            .any(|conn| conn.received.len() == bytes.len())
    });
    assert!(world.b.only().received == bytes);
    let lost = world.wire.lost_count();
    let took = world.wire.now().saturating_since(start);
    println!("{lost} losses, {took:?}");
    assert!(lost >= 10, "{lost}");
    // A timeout takes a quarter of a second, and only a lost retransmission still needs one.
    let timeouts = Duration::from_millis(250) * lost as u32;
    assert!(took * 2 < timeouts, "{took:?} of {timeouts:?}");
}

#[test]
fn closing_at_once_still_delivers_what_was_taken() {
    for loss in [0, 100_000] {
        let mut world = World::new(Faults::NONE.loss(loss), seed(7));
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
        let bytes = pattern(4_000, 6);
        let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
        world.run(secs(60), |world| world.a.conn(id).sent == bytes.len());
        world.a.close(id);
        world.run(secs(300), |world| {
            world.b.conns.values().any(|conn| conn.ended)
        });
        assert!(world.b.only().received == bytes);
        let other = *world.b.conns.keys().next().unwrap();
        world.b.close(other);
        world.run(secs(300), |world| {
            world.a.net.free_count() == 64 && world.b.net.free_count() == 64
        });
    }
}

#[test]
fn abort_resets_and_data_before_it_comes_first() {
    let mut world = World::new(Faults::NONE, seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"last words");
    world.run(secs(5), |world| {
        world.b.conns.len() == 1 && world.a.conn(id).sent == 10
    });
    world.pass(secs(1));
    world.a.abort(id);
    world.pass(secs(1));
    let other = *world.b.conns.keys().next().unwrap();
    world.b.conn(other).habit = Habit::Keep;
    world.b.drain(other);
    assert_eq!(world.b.conn(other).received, b"last words");
    assert_eq!(world.b.conn(other).error, Some(Error::Reset));
    world.b.close(other);
    assert_eq!(world.a.net.free_count(), 64);
    assert_eq!(world.b.net.free_count(), 64);
}

#[test]
fn refused_silent_and_unreachable_connects_say_so() {
    let mut world = World::new(Faults::NONE, seed(1));
    let refused = world.a.connect(&Endpoint::tcp(b4(81)), b"");
    let nobody = world
        .a
        .connect(&Endpoint::tcp(([10, 0, 0, 77], 80).into()), b"");
    let start = world.wire.now();
    world.run(secs(20), |world| {
        world.a.conn(refused).error.is_some() && world.a.conn(nobody).error.is_some()
    });
    assert_eq!(world.a.conn(refused).error, Some(Error::Refused));
    assert_eq!(world.a.conn(nobody).error, Some(Error::Unreachable));
    assert!(world.wire.now().saturating_since(start) < secs(4));
    // The neighbour is known and says nothing.
    world.wire.set_faults(Faults::NONE.loss(1_000_000));
    let silent = world.a.connect(&Endpoint::tcp(b4(80)), b"");
    let start = world.wire.now();
    world.run(secs(20), |world| world.a.conn(silent).error.is_some());
    assert_eq!(world.a.conn(silent).error, Some(Error::TimedOut));
    let took = world.wire.now().saturating_since(start);
    assert!(
        (secs(10)..=secs(10) + Duration::from_millis(70)).contains(&took),
        "{took:?}"
    );
    for id in [refused, nobody, silent] {
        world.a.close(id);
    }
    assert_eq!(world.a.net.free_count(), 64);
}

#[test]
fn keep_alive_finds_a_dead_peer_and_keeps_a_live_one() {
    let mut world = World::new(Faults::NONE, seed(1));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let to = Endpoint::tcp(b4(80)).keepalive(secs(10));
    let id = world.a.connect(&to, b"x");
    let plain = world.a.connect(&Endpoint::tcp(b4(80)), b"y");
    world.pass(secs(1_000));
    assert_eq!(world.a.conn(id).error, None);
    world.wire.set_faults(Faults::NONE.loss(1_000_000));
    let start = world.wire.now();
    world.run(secs(200), |world| world.a.conn(id).error.is_some());
    assert_eq!(world.a.conn(id).error, Some(Error::TimedOut));
    let took = world.wire.now().saturating_since(start);
    assert!((secs(90)..secs(111)).contains(&took), "{took:?}");
    assert_eq!(
        world.a.conn(plain).error,
        None,
        "an idle connection lives on"
    );
}

/// An interval shorter than a second counts as one (as on Linux).
#[test]
fn the_shortest_keep_alive_leaves_time_for_an_answer() {
    for interval in [Duration::ZERO, Duration::from_millis(3)] {
        let faults = Faults::NONE.delay(Duration::from_millis(150));
        let mut world = World::new(faults, seed(1));
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let to = Endpoint::tcp(b4(80)).keepalive(interval);
        let id = world.a.connect(&to, b"x");
        world.pass(secs(60));
        assert_eq!(world.a.conn(id).error, None);
        world.a.push(id, b"y", false);
        world.run(secs(5), |world| world.a.conn(id).received == b"xy");
    }
}

#[test]
fn size_classes_are_chosen_by_what_is_asked_for() {
    let classes = [
        SizeClass::new(4, 512, 256),
        SizeClass::new(2, 60_000, 30_000),
    ];
    let recipes = [
        Recipe::new(1).classes(&classes),
        Recipe::new(2).classes(&classes),
    ];
    let mut world = World::of(Faults::NONE, seed(1), &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    world
        .b
        .listen(&Endpoint::tcp(b4(81)).recv_buffer(50_000), Habit::Deaf);
    let small = world.a.connect(&Endpoint::tcp(b4(80)), &[1; 100_000]);
    let large = world
        .a
        .connect(&Endpoint::tcp(b4(81)).send_buffer(30_000), &[1; 100_000]);
    world.pass(secs(5));
    // Room is only reported when a quarter of the buffer is free.
    let sent = world.a.conn(small).sent;
    assert!((704..=768).contains(&sent), "{sent}");
    let sent = world.a.conn(large).sent;
    assert!((82_500..=90_000).contains(&sent), "{sent}");
    let asked = Endpoint::tcp(b4(81)).recv_buffer(60_001);
    assert_eq!(world.a.try_connect(&asked, b""), Err(Error::Invalid));
    let more = Endpoint::tcp(b4(81)).recv_buffer(30_000);
    assert!(world.a.try_connect(&more, b"").is_ok());
    assert_eq!(world.a.try_connect(&more, b""), Err(Error::Exhausted));
}

#[test]
fn addresses_are_told_and_guarded() {
    let mut world = World::new(Faults::NONE, seed(1));
    let any = world
        .b
        .listen(&Endpoint::tcp(([0, 0, 0, 0], 0).into()), Habit::Echo);
    let at = world
        .b
        .net
        .local_addr(&world.b.listeners[&any].0)
        .unwrap()
        .ip()
        .unwrap();
    assert!(at.port() >= 49_152);
    let id = world.b.id();
    let mut socket = usockets_tests::smoltcp::Net::CLOSED;
    let taken = Endpoint::tcp(b4(at.port()));
    assert_eq!(
        world.b.net.listen(&mut socket, id, &taken),
        Err(Error::AddressInUse)
    );
    let absent = Endpoint::tcp(([10, 0, 0, 9], 80).into());
    assert_eq!(
        world.b.net.listen(&mut socket, id, &absent),
        Err(Error::AddressUnavailable)
    );
    let tls = Endpoint::tls(b4(443), None);
    assert_eq!(
        world.b.net.listen(&mut socket, id, &tls),
        Err(Error::Unsupported)
    );
    for (to, error) in [
        (b4(0), Error::Invalid),
        (a4(80), Error::Unreachable),
        (([127, 0, 0, 1], 80).into(), Error::Unreachable),
        (([10, 0, 0, 255], 80).into(), Error::Unreachable),
        (([224, 0, 0, 1], 80).into(), Error::Unreachable),
        (([0, 0, 0, 0], 80).into(), Error::Unreachable),
    ] {
        assert_eq!(
            world.a.try_connect(&Endpoint::tcp(to), b""),
            Err(error),
            "{to}"
        );
    }
    let id = world
        .a
        .connect(&Endpoint::tcp(b4(at.port())).source(a4(5_000)), b"x");
    world.run(secs(5), |world| world.a.conn(id).received == b"x");
    assert_eq!(
        world.a.net.local_addr(&world.a.conns[&id].socket),
        Ok(a4(5_000).into())
    );
    assert_eq!(
        world.a.net.peer_addr(&world.a.conns[&id].socket),
        Ok(b4(at.port()).into())
    );
    assert_eq!(world.b.only().peer, Some(a4(5_000)));
    let again = Endpoint::tcp(b4(at.port())).source(a4(5_000));
    assert_eq!(world.a.try_connect(&again, b""), Err(Error::AddressInUse));
}
