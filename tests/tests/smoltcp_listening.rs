//! Accept queues, handshakes, floods, and what makes place for what.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use usockets::{Duration, Endpoint, Error, Platform};
use usockets_smoltcp::{Faults, Limits, Random, SizeClass};
use usockets_tests::smoltcp::forge::{ACK, FIN, RST, SYN, Seg, Stage, arp};
use usockets_tests::smoltcp::{B4, Habit, Recipe, World, a4, b4, pattern, secs, seed};

fn stage(recipe: &Recipe) -> Stage {
    let mut stage = Stage::new(recipe);
    stage
        .host
        .listen(&Endpoint::tcp(b4(80)).backlog(4), Habit::Keep);
    stage
}

fn small(connections: usize) -> Recipe {
    Recipe::new(2).classes(&[SizeClass::new(connections, 512, 512)])
}

#[test]
fn a_full_accept_queue_drops_syns_in_silence_and_resumes() {
    let mut stage = stage(&Recipe::new(2));
    stage.host.accepts_max = 0;
    for port in 1..=4 {
        stage.handshake(a4(port), b4(80), 1);
    }
    stage.seg(&Seg::new(a4(5), b4(80), SYN, 1, 0));
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.net.counters().syns_dropped, 1);
    stage.host.accepts_max = 1;
    let listener = *stage.host.listeners.keys().next().unwrap();
    stage.host.accept(listener);
    stage.handshake(a4(5), b4(80), 1);
    let peers: BTreeSet<_> = stage.host.conns.values().map(|conn| conn.peer).collect();
    assert_eq!(
        peers,
        BTreeSet::from([Some(a4(1))]),
        "first come, first accepted"
    );
}

#[test]
fn a_connection_that_dies_in_the_queue_leaves_it() {
    let mut stage = stage(&Recipe::new(2));
    stage.host.accepts_max = 0;
    let (mine, _) = stage.handshake(a4(1), b4(80), 1);
    stage.handshake(a4(2), b4(80), 1);
    stage.seg(&Seg::new(a4(1), b4(80), RST, mine, 0));
    stage.host.accepts_max = 9;
    let listener = *stage.host.listeners.keys().next().unwrap();
    stage.host.accept(listener);
    assert_eq!(stage.host.only().peer, Some(a4(2)));
    assert_eq!(stage.host.net.free_count(), 63);
}

#[test]
fn refusing_resets_and_takes_from_the_queue() {
    let mut stage = stage(&Recipe::new(2));
    stage.host.accepts_max = 0;
    stage.handshake(a4(1), b4(80), 1);
    let listener = *stage.host.listeners.keys().next().unwrap();
    let (socket, _) = stage.host.listeners.get_mut(&listener).unwrap();
    assert_eq!(stage.host.net.refuse(socket), Ok(true));
    assert_eq!(stage.host.net.refuse(socket), Ok(false));
    stage.host.step();
    assert!(stage.segs().iter().any(|seg| seg.control & RST != 0));
    assert_eq!(stage.host.net.free_count(), 64);
}

#[test]
fn what_a_closed_listener_held_is_reset() {
    let mut stage = stage(&Recipe::new(2));
    stage.host.accepts_max = 0;
    stage.seg(&Seg::new(a4(1), b4(80), SYN, 1, 0));
    stage.seg(&Seg::new(a4(2), b4(80), SYN, 1, 0));
    stage.handshake(a4(3), b4(80), 1);
    stage.segs();
    let listener = *stage.host.listeners.keys().next().unwrap();
    stage.host.unlisten(listener);
    stage.host.step();
    let resets = stage.segs();
    let told: BTreeSet<SocketAddr> = resets.iter().map(|seg| seg.to).collect();
    assert!(resets.iter().all(|seg| seg.control & RST != 0));
    assert_eq!(told, BTreeSet::from([a4(1), a4(2), a4(3)]));
    assert_eq!(stage.host.net.free_count(), 64);
    // The place is good for another listener, and nothing of the old one comes to it.
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    stage.host.accepts_max = 9;
    stage.handshake(a4(4), b4(80), 1);
    assert_eq!(stage.host.only().peer, Some(a4(4)));
}

#[test]
fn half_open_connections_expire_after_their_limit() {
    let mut recipe = Recipe::new(2);
    recipe.limits = Limits::DEFAULT.handshake(secs(2));
    let mut stage = stage(&recipe);
    stage.seg(&Seg::new(a4(1), b4(80), SYN, 1, 0));
    stage.pass(Duration::from_millis(1_900));
    assert_eq!(stage.host.net.free_count(), 63);
    stage.pass(Duration::from_millis(200));
    assert_eq!(stage.host.net.free_count(), 64);
    assert_eq!(stage.host.net.counters().handshakes_expired, 1);
    assert!(stage.segs().iter().all(|seg| seg.control == SYN | ACK));
}

#[test]
fn without_cookies_the_oldest_half_open_makes_place() {
    let mut recipe = Recipe::new(2).classes(&[SizeClass::new(8, 512, 512).half_open(3)]);
    recipe.cookies = false;
    let mut stage = stage(&recipe);
    for port in 1..=5 {
        stage.seg(&Seg::new(a4(port), b4(80), SYN, 1, 0));
    }
    assert_eq!(stage.segs().len(), 5);
    assert_eq!(stage.host.net.free_count(), 5);
    assert_eq!(stage.host.net.counters().half_open_evicted, 2);
}

/// A handshake that found no place for itself is complete all the same, with data in the very
/// segment that completes it, and keeps to what the SYN|ACK promised.
#[test]
fn a_cookie_becomes_a_connection() {
    let recipe = Recipe::new(2).classes(&[SizeClass::new(8, 2_000, 2_000).half_open(0)]);
    let mut stage = stage(&recipe);
    let mut syn = Seg::new(a4(1), b4(80), SYN, 1_000, 0);
    syn.options = vec![2, 4, 5, 0, 1, 3, 3, 7];
    stage.seg(&syn);
    let answer = stage.segs();
    assert_eq!((answer[0].control, answer[0].ack), (SYN | ACK, 1_001));
    assert_eq!(answer[0].window, 2_000);
    assert_eq!(answer[0].options, [2, 4, 5, 180], "an MSS and nothing else");
    assert_eq!(stage.host.net.free_count(), 8);
    let theirs = answer[0].seq + 1;
    // Forged ones first: each wrong by a little.
    for (seq, ack) in [
        (1_001, theirs.wrapping_add(1)),
        (1_002, theirs),
        (1_001, theirs ^ 0x1_0000),
    ] {
        stage.seg(&Seg::new(a4(1), b4(80), ACK, seq, ack));
        assert!(stage.segs().iter().all(|seg| seg.control & RST != 0));
    }
    assert_eq!(stage.host.net.free_count(), 8);
    stage.seg(&Seg::new(a4(1), b4(80), ACK, 1_001, theirs).payload(b"first"));
    assert_eq!(stage.host.only().received, b"first");
    assert_eq!(stage.host.net.counters().cookies_taken, 1);
    // Window and MSS are the ones of the handshake: 1,280 tells of 1,220 in a cookie.
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &[9; 2_000], true);
    stage.host.step();
    let sent = stage.segs();
    assert!(
        sent.iter().all(|seg| seg.payload.len() <= 1_220),
        "{sent:?}"
    );
    assert!(
        sent.iter().any(|seg| seg.payload.len() == 1_220),
        "{sent:?}"
    );
    // Cookies of long ago are not believed.
    stage.pass(secs(200));
    stage.seg(&Seg::new(a4(2), b4(80), ACK, 1_001, theirs));
    assert!(stage.segs().iter().any(|seg| seg.control & RST != 0));
}

/// What overtakes the segment that completes such a handshake opens nothing, since nothing is known
/// of where the stream starts; but it is no stranger's, and a reset would end the connection that
/// is on its way.
#[test]
fn what_overtakes_the_answer_to_a_cookie_is_not_reset() {
    let recipe = Recipe::new(2).classes(&[SizeClass::new(8, 4_000, 4_000).half_open(0)]);
    let mut stage = stage(&recipe);
    stage.seg(&Seg::new(a4(1), b4(80), SYN, 1_000, 0));
    let theirs = stage.segs()[0].seq.wrapping_add(1);
    let from = |port, seq| Seg::new(a4(port), b4(80), ACK, seq, theirs);
    stage.seg(&from(1, 2_461).payload(&[2; 1_460]));
    let mut end = from(1, 3_921);
    end.control |= FIN;
    stage.seg(&end);
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.net.free_count(), 8);
    // Others that hold no cookie, or send what comes later in a connection that is gone, hear so.
    // One in 16 looks as if it held one.
    for port in 1_000..1_064 {
        stage.seg(&from(port, 2_461).payload(&[2; 1_460]));
    }
    let resets = stage.segs();
    assert!(resets.iter().all(|seg| seg.control == RST));
    assert!((45..64).contains(&resets.len()), "{}", resets.len());
    let later = Seg::new(a4(1), b4(80), ACK, 5_000, theirs.wrapping_add(100));
    stage.seg(&later);
    assert_eq!(stage.segs()[0].control, RST);
    // It comes at last, and then again what was dropped.
    stage.seg(&from(1, 1_001).payload(&[1; 1_460]));
    assert_eq!(stage.host.net.counters().cookies_taken, 1);
    stage.seg(&from(1, 2_461).payload(&[2; 1_460]));
    stage.seg(&end);
    let received = &stage.host.only().received;
    assert_eq!((received.len(), received[1_460]), (2_920, 2));
    assert!(stage.host.only().ended);
}

#[test]
fn a_flood_of_invented_sources_keeps_no_client_out() {
    let mut random = Random::new(seed(5));
    // The hand floods through the wire of a world in which a real client works.
    let classes = [SizeClass::new(64, 1_024, 1_024)];
    let recipes = [
        Recipe::new(1).classes(&classes),
        Recipe::new(2).classes(&classes),
    ];
    let mut world = World::of(Faults::NONE, 5, &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let mut served = 0;
    let start = world.wire.now();
    for round in 0..200 {
        for _ in 0..100 {
            let frame = spoofed(&mut random);
            world.a.net.device_mut().inject(&frame);
        }
        let bytes = pattern(300, round);
        let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
        world.a.conn(id).finish = true;
        world.run(secs(30), |world| world.a.conn(id).is_done());
        assert_eq!(world.a.conn(id).error, None);
        assert!(world.a.conn(id).received == bytes);
        served += 1;
        world.a.close(id);
    }
    assert_eq!(served, 200);
    let took = world.wire.now().saturating_since(start);
    assert!(took < secs(5), "clients had to try again: {took:?}");
    let counters = *world.b.net.counters();
    assert!(counters.cookies_sent > 10_000, "{counters:?}");
    world.run(secs(200), |world| world.b.net.free_count() == 64);
}

/// A SYN from an invented source: from the link, where nobody answers ARP, or from beyond it.
fn spoofed(random: &mut Random) -> Vec<u8> {
    let near = random.below(2) == 0;
    let source = if near {
        [10, 0, 0, 3 + random.below(250) as u8]
    } else {
        [99, random.next() as u8, random.next() as u8, 1]
    };
    let from = SocketAddr::new(source.into(), 1 + random.below(60_000) as u16);
    Seg::new(from, b4(80), SYN, random.next() as u32, 0).frame(1, 2)
}

/// How long 2,000 short connections, eight at a time, take while `rate` SYNs a second come from
/// invented sources.
fn churn_under(rate: u64, seed: u64) -> Duration {
    let mut random = Random::new(seed);
    let classes = [SizeClass::new(256, 1_024, 1_024)];
    let recipes = [1, 2].map(|host| Recipe::new(host).classes(&classes));
    let faults = Faults::NONE.delay(Duration::from_micros(100));
    let mut world = World::of(faults, seed, &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let start = world.wire.now();
    let (mut flooded, mut begun, mut done) = (0, 0, 0);
    let mut working = BTreeSet::new();
    world.run(secs(60), |world| {
        let passed = world.wire.now().saturating_since(start).as_micros() as u64;
        while flooded < passed * rate / 1_000_000 {
            flooded += 1;
            let frame = spoofed(&mut random);
            world.a.net.device_mut().inject(&frame);
        }
        while working.len() < 8 && begun < 2_000 {
            begun += 1;
            let id = world.a.connect(&Endpoint::tcp(b4(80)), &pattern(64, begun));
            world.a.conn(id).finish = true;
            working.insert((id, begun));
        }
        working.retain(|&(id, salt)| {
            let conn = world.a.conn(id);
            assert_eq!(conn.error, None, "after {done}");
            if !conn.is_done() {
                return true;
            }
            assert!(conn.received == pattern(64, salt));
            world.a.close(id);
            done += 1;
            false
        });
        done == 2_000
    });
    let took = world.wire.now().saturating_since(start);
    let counters = *world.b.net.counters();
    assert_eq!(counters.cookies_sent > 0, rate > 0, "{counters:?}");
    took
}

/// Real clients have at least 80 % of the rate that they have without the flood, and none fails.
#[test]
fn twenty_thousand_invented_syns_a_second_cost_little() {
    let seed = seed(6);
    let (quiet, flooded) = (churn_under(0, seed), churn_under(20_000, seed));
    println!("{quiet:?} alone, {flooded:?} under the flood");
    assert!(flooded.as_secs_f64() * 0.8 <= quiet.as_secs_f64());
}

/// Connections are told apart however few buckets there are, and go in any order.
#[test]
fn one_bucket_holds_every_connection() {
    for buckets in [1, 3] {
        let mut recipes = [Recipe::new(1), Recipe::new(2)];
        for recipe in &mut recipes {
            recipe.buckets = Some(buckets);
        }
        let mut random = Random::new(seed(3));
        let mut world = World::of(Faults::NONE, 1, &recipes[0], &recipes[1]);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let mut open = Vec::new();
        for round in 0..2_000_u32 {
            if open.len() < 30 && random.below(2) == 0 {
                open.push(
                    world
                        .a
                        .connect(&Endpoint::tcp(b4(80)), &round.to_be_bytes()),
                );
                let id = *open.last().unwrap();
                world.run(secs(5), |world| {
                    world.a.conn(id).received == round.to_be_bytes()
                });
            } else if !open.is_empty() {
                let id = open.swap_remove(random.below(open.len() as u64) as usize);
                world.a.conn(id).received.clear();
                world.a.push(id, b"bye", true);
                world.run(secs(5), |world| world.a.conn(id).is_done());
                assert_eq!(world.a.conn(id).received, b"bye");
                world.a.close(id);
            }
        }
        while let Some(id) = open.pop() {
            world.a.close(id);
        }
        world.run(secs(90), |world| {
            world.a.net.free_count() == 64 && world.b.net.free_count() == 64
        });
    }
}

#[test]
fn ten_thousand_connections_leave_every_slot_free() {
    for server_first in [false, true] {
        let recipes = [small(16), small(16)].map(|mut recipe| {
            recipe.cookies = false;
            recipe
        });
        let mut a = recipes[0].clone();
        a.host = 1;
        let mut world = World::of(Faults::NONE, seed(1), &a, &recipes[1]);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
        for round in 0..10_000_u32 {
            let id = world
                .a
                .connect(&Endpoint::tcp(b4(80)), &round.to_be_bytes());
            world.run(secs(30), |world| {
                world.b.conns.values().any(|conn| conn.received.len() == 4)
            });
            let other = *world.b.conns.keys().next().unwrap();
            assert_eq!(world.b.conn(other).received, round.to_be_bytes());
            if server_first {
                world.b.close(other);
                world.run(secs(30), |world| {
                    world.a.drain(id);
                    world.a.conn(id).ended
                });
                world.a.close(id);
            } else {
                world.a.close(id);
                world.run(secs(30), |world| world.b.conn(other).ended);
                world.b.close(other);
            }
        }
        let evicted =
            world.a.net.counters().time_wait_evicted + world.b.net.counters().time_wait_evicted;
        assert!(
            evicted > 9_000,
            "without eviction TIME-WAIT allows 16 in 10 s: {evicted}"
        );
        world.run(secs(80), |world| {
            world.a.net.free_count() == 16 && world.b.net.free_count() == 16
        });
    }
}

/// Closed by their owner, the peer silent: FIN-WAIT-1, FIN-WAIT-2, CLOSING and LAST-ACK all end.
#[test]
fn silence_after_the_owner_closed_ends_every_state() {
    for state in [
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "CLOSING",
        "LAST-ACK",
        "TIME-WAIT",
    ] {
        let mut recipe = Recipe::new(2);
        recipe.limits = Limits::DEFAULT
            .closing(secs(20))
            .answer(secs(30))
            .time_wait(secs(20));
        let mut stage = stage(&recipe);
        let (from, to) = (a4(1), b4(80));
        let (mine, theirs) = stage.handshake(from, to, 1);
        let id = *stage.host.conns.keys().next().unwrap();
        if state == "LAST-ACK" {
            stage.seg(&Seg::new(from, to, FIN | ACK, mine, theirs));
        }
        stage.host.close(id);
        stage.host.step();
        let (ours, acked) = match state {
            "FIN-WAIT-2" => (ACK, theirs + 1),
            "TIME-WAIT" => (FIN | ACK, theirs + 1),
            "CLOSING" => (FIN | ACK, theirs),
            _ => (0, 0),
        };
        if ours != 0 {
            stage.seg(&Seg::new(from, to, ours, mine, acked));
        }
        assert_eq!(stage.host.net.free_count(), 63, "{state}");
        stage.pass(secs(31));
        assert_eq!(stage.host.net.free_count(), 64, "{state}");
    }
}

#[test]
fn data_for_a_closed_owner_is_taken_until_ours_is_through_then_reset() {
    let mut stage = stage(&Recipe::new(2));
    let (from, to) = (a4(1), b4(80));
    let (mine, theirs) = stage.handshake(from, to, 1);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, b"bye", false);
    stage.host.close(id);
    stage.host.step();
    stage.seg(&Seg::new(from, to, ACK, mine, theirs).payload(b"more"));
    assert!(stage.segs().iter().all(|seg| seg.control & RST == 0));
    stage.seg(&Seg::new(from, to, ACK, mine + 4, theirs + 4).payload(b"still more"));
    assert!(stage.segs().iter().any(|seg| seg.control & RST != 0));
    assert_eq!(stage.host.net.free_count(), 64);
}

/// What both have ended waits for its owner, even beyond TIME-WAIT.
#[test]
fn an_owner_late_by_minutes_still_finds_what_came() {
    let mut stage = stage(&Recipe::new(2));
    let (from, to) = (a4(1), b4(80));
    let (mine, theirs) = stage.handshake(from, to, 1);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.conn(id).habit = Habit::Deaf;
    stage.host.push(id, b"", true);
    stage.host.step();
    stage.seg(&Seg::new(from, to, FIN | ACK, mine, theirs + 1).payload(b"treasure"));
    stage.pass(secs(300));
    stage.host.conn(id).habit = Habit::Keep;
    stage.host.drain(id);
    assert_eq!(stage.host.conn(id).received, b"treasure");
    assert!(stage.host.conn(id).ended);
    stage.host.close(id);
    stage.pass(secs(11));
    assert_eq!(stage.host.net.free_count(), 64);
}

#[test]
fn a_new_syn_over_time_wait_is_taken_at_once() {
    let mut stage = stage(&Recipe::new(2));
    let (from, to) = (a4(1), b4(80));
    let (mine, theirs) = stage.handshake(from, to, 1);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.close(id);
    stage.host.step();
    stage.seg(&Seg::new(from, to, FIN | ACK, mine, theirs + 1));
    stage.handshake(from, to, 50_000);
    assert_eq!(stage.host.net.free_count(), 63);
}

/// RFC 6528: numbers of one pair of addresses go up with the clock, others tell nothing of them.
#[test]
fn initial_sequence_numbers_follow_the_clock_for_one_pair_only() {
    let isn = |stage: &mut Stage, port: u16| {
        stage.seg(&Seg::new(a4(port), b4(80), SYN, 1, 0));
        let number = stage.segs()[0].seq;
        stage.seg(&Seg::new(a4(port), b4(80), RST, 2, 0));
        number
    };
    let mut stage = stage(&Recipe::new(2));
    let first = isn(&mut stage, 1);
    stage.pass(Duration::from_millis(400));
    let second = isn(&mut stage, 1);
    let step = second.wrapping_sub(first);
    assert!((100_000..101_000).contains(&step), "{step}: 4 µs each");
    let others: BTreeSet<u32> = (2..200).map(|port| isn(&mut stage, port) >> 24).collect();
    assert!(others.len() > 100, "{}", others.len());
}

/// RFC 6056: ports are in range, never twice for one peer, and not in order for different peers.
#[test]
fn ephemeral_ports_are_unique_and_unforeseeable() {
    let classes = [SizeClass::new(300, 64, 64)];
    let mut stage = Stage::new(&Recipe::new(2).classes(&classes));
    let mut ports = BTreeSet::new();
    for _ in 0..300 {
        let id = stage.host.connect(&Endpoint::tcp(a4(9)), b"");
        let port = stage
            .host
            .net
            .local_addr(&stage.host.conns[&id].socket)
            .unwrap()
            .ip()
            .unwrap()
            .port();
        assert!(port >= 49_152);
        assert!(ports.insert(port), "port {port} twice");
    }
    assert_eq!(
        stage.host.try_connect(&Endpoint::tcp(a4(9)), b""),
        Err(Error::Exhausted)
    );
    let mut stage = Stage::new(&Recipe::new(2).classes(&classes));
    let mut steps = BTreeSet::new();
    let mut last = 0_u16;
    for peer in 0..200 {
        let id = stage
            .host
            .connect(&Endpoint::tcp(([99, 0, 0, peer], 9).into()), b"");
        let port = stage
            .host
            .net
            .local_addr(&stage.host.conns[&id].socket)
            .unwrap()
            .ip()
            .unwrap()
            .port();
        steps.insert(port.wrapping_sub(last));
        last = port;
    }
    assert!(steps.len() > 150, "{}", steps.len());
}

#[test]
fn listeners_that_share_a_port_share_its_connections() {
    let mut stage = Stage::new(&Recipe::new(2));
    let at = Endpoint::tcp(b4(80)).reuse_port(true);
    let listeners = [0, 1].map(|_| stage.host.listen(&at, Habit::Keep));
    stage.host.accepts_max = 0;
    for port in 1..=40 {
        stage.handshake(a4(port), b4(80), 1);
    }
    stage.host.accepts_max = 40;
    stage.host.accept(listeners[0]);
    let first = stage.host.conns.len();
    assert!((5..=35).contains(&first), "{first}");
    stage.host.accept(listeners[1]);
    assert_eq!(stage.host.conns.len(), 40);
}

/// All ports once around, and the one in use is passed over.
#[test]
fn a_port_in_use_is_never_chosen_again_for_the_same_peer() {
    let mut stage = Stage::new(&Recipe::new(2).classes(&[SizeClass::new(2, 64, 64)]));
    let port = |stage: &Stage, id: u64| {
        let socket = &stage.host.conns[&id].socket;
        stage
            .host
            .net
            .local_addr(socket)
            .unwrap()
            .ip()
            .unwrap()
            .port()
    };
    let held = stage.host.connect(&Endpoint::tcp(a4(9)), b"");
    let held = port(&stage, held);
    let mut seen = BTreeSet::new();
    for _ in 0..16_390 {
        let id = stage.host.connect(&Endpoint::tcp(a4(9)), b"");
        assert_ne!(port(&stage, id), held);
        seen.insert(port(&stage, id));
        stage.host.abort(id);
    }
    assert_eq!(seen.len(), 16_383);
}

/// A burst beyond the backlog is dropped as long as the handshakes before it may still complete;
/// when they hang, there is a flood, and who answers a cookie gets through.
#[test]
fn a_backlog_full_of_handshakes_drops_first_and_bakes_cookies_when_they_hang() {
    let mut stage = stage(&Recipe::new(2));
    for port in 1..=6 {
        stage.seg(&Seg::new(a4(port), b4(80), SYN, 1, 0));
    }
    assert_eq!(stage.segs().len(), 4, "backlog of 4");
    assert_eq!(stage.host.net.counters().syns_dropped, 2);
    stage.pass(Duration::from_millis(400));
    stage.segs();
    stage.handshake(a4(7), b4(80), 1);
    assert_eq!(stage.host.net.counters().cookies_taken, 1);
    assert_eq!(stage.host.only().peer, Some(a4(7)));
}

/// smoltcp would ask for one neighbour a second and wait a second for each.
#[test]
fn many_neighbours_are_found_at_once_and_slots_inherit_no_wait() {
    let mut stage = Stage::new(&Recipe::new(2).classes(&[SizeClass::new(4, 64, 64)]));
    let ids: Vec<u64> = (0..4)
        .map(|host| {
            stage
                .host
                .connect(&Endpoint::tcp(([10, 0, 0, 100 + host], 9).into()), b"")
        })
        .collect();
    stage.host.step();
    let asked = stage.replies();
    assert_eq!(
        asked.iter().filter(|frame| frame[12..14] == [8, 6]).count(),
        4
    );
    // Nobody answers; the slots go to a neighbour that is known and must not wait.
    ids.into_iter().for_each(|id| stage.host.abort(id));
    for _ in 0..4 {
        stage.host.connect(&Endpoint::tcp(a4(9)), b"");
    }
    stage.host.step();
    assert_eq!(
        stage.segs().iter().filter(|seg| seg.control == SYN).count(),
        4
    );
}

/// The question waits for room, not for the second that lies between two questions, and goes once.
#[test]
fn a_full_device_swallows_no_question_for_a_neighbour() {
    let mut stage = Stage::new(&Recipe::new(2));
    let there = ([10, 0, 0, 9], 9).into();
    stage.host.net.device_mut().set_room(Some(0));
    let id = stage.host.connect(&Endpoint::tcp(there), b"");
    stage.pass(Duration::from_millis(100));
    assert!(stage.replies().is_empty());
    stage.host.net.device_mut().set_room(None);
    stage.pass(Duration::from_millis(100));
    let asked = stage.replies();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0][12..14], [8, 6], "it is ARP");
    stage.send(&arp(2, [10, 0, 0, 9], 9, B4));
    let sent = stage.segs();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].control, sent[0].to), (SYN, there));
    assert_eq!(stage.host.conn(id).error, None);
}

/// A neighbour that has not been heard of for long is asked again, and what was to go to it waits
/// for room if that question takes the last.
#[test]
fn a_question_that_takes_the_last_room_delays_a_segment_and_loses_none() {
    let mut stage = stage(&Recipe::new(2));
    stage.handshake(a4(1), b4(80), 1);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.pass(secs(40));
    assert!(stage.replies().is_empty());
    stage.host.net.device_mut().set_room(Some(1));
    stage.host.push(id, b"text", false);
    stage.host.step();
    let asked = stage.replies();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0][12..14], [8, 6], "it is ARP");
    stage.host.net.device_mut().set_room(None);
    stage.pass(Duration::from_millis(5));
    let sent = stage.segs();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].payload, b"text");
}

#[test]
fn a_full_device_delays_and_loses_nothing() {
    let mut stage = stage(&Recipe::new(2));
    let (mine, theirs) = stage.handshake(a4(1), b4(80), 1);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &[5; 4_000], false);
    stage.host.net.device_mut().set_room(Some(1));
    let reports = stage.host.reports;
    for _ in 0..100 {
        stage.host.step();
    }
    let mut came = BTreeSet::new();
    let mut note = |segs: Vec<Seg>| {
        for seg in segs {
            came.extend(seg.seq..seg.seq + seg.payload.len() as u32);
        }
        came.len()
    };
    assert_eq!(note(stage.segs()), 536);
    assert!(stage.host.net.counters().device_full > 0);
    assert_eq!(stage.host.reports, reports);
    stage.host.net.device_mut().set_room(None);
    stage.pass(Duration::from_millis(5));
    for _ in 0..8 {
        let sum = note(stage.segs());
        stage.seg(&Seg::new(a4(1), b4(80), ACK, mine, theirs + sum as u32));
        stage.pass(Duration::from_millis(5));
    }
    assert_eq!(note(stage.segs()), 4_000);
    assert_eq!(stage.host.conn(id).error, None);
}
