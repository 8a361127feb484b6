//! Connections that lease their memory: an idle one holds none, and when there is too little for
//! all that are busy, every stream still arrives whole, whoever else holds on to what he has.

use usockets::{Duration, Endpoint, Error};
use usockets_smoltcp::{Faults, Random, SizeClass};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, SYN, Seg, Stage};
use usockets_tests::smoltcp::{Habit, Recipe, World, a4, b4, drawn_faults, pattern, secs, seed};

/// A stack whose connections share so many sets of memory.
fn leased(host: u8, connections: usize, sets: usize) -> Recipe {
    Recipe::new(host).classes(&[SizeClass::new(connections, 4_096, 4_096).leased(sets)])
}

fn world(faults: Faults, seed: u64, connections: usize, sets: usize) -> World {
    let clients = Recipe::new(1).classes(&[SizeClass::new(64, 4_096, 4_096)]);
    let mut world = World::of(faults, seed, &clients, &leased(2, connections, sets));
    let at = Endpoint::tcp(b4(80)).backlog(64);
    world.b.listen(&at, Habit::Echo);
    world
}

#[test]
fn an_idle_connection_holds_no_memory() {
    let mut world = world(Faults::NONE, 1, 64, 4);
    let clients: Vec<u64> = (0..40)
        .map(|_| {
            let id = world.a.connect(&Endpoint::tcp(b4(80)), b"");
            world.run(secs(10), |world| world.a.conn(id).open);
            id
        })
        .collect();
    world.run(secs(10), |world| world.b.conns.len() == 40);
    world.pass(secs(1));
    assert_eq!(
        world.b.net.free_sets(),
        4,
        "forty are open, and hold nothing"
    );
    for round in 0..3 {
        for id in &clients {
            // Long enough for the acknowledgement of what came back.
            world.pass(Duration::from_millis(100));
            world.a.push(*id, &pattern(100, *id), false);
            world.run(secs(10), |world| {
                world.a.conn(*id).received.len() == 100 * (round + 1)
            });
        }
    }
    for id in &clients {
        let conn = world.a.conn(*id);
        assert_eq!(conn.received, conn.outgoing);
    }
    world.pass(secs(1));
    assert_eq!(world.b.net.free_sets(), 4);
    assert_eq!(world.b.net.counters().starved, 0);
    // They end as others do, and give back everything.
    for id in clients {
        world.a.push(id, b"", true);
    }
    world.run(secs(200), |world| world.b.conns.is_empty());
    world.pass(secs(130));
    assert_eq!(world.b.net.free_count(), 64);
    assert_eq!(world.b.net.free_sets(), 4);
}

/// With one set for all, two, three, four, or eight; over good wires and bad ones.
#[test]
fn streams_arrive_whole_however_little_memory_there_is() {
    let first = seed(1);
    for seed in first..first + 20 {
        let mut random = Random::new(seed);
        let faults = drawn_faults(&mut random);
        let sets = [1, 2, 3, 4, 8][(seed % 5) as usize];
        let mut world = world(faults, seed, 64, sets);
        let clients: Vec<u64> = (0..16)
            .map(|place| {
                let data = pattern(1 + random.below(20_000) as usize, seed + place);
                let id = world.a.connect(&Endpoint::tcp(b4(80)), &data);
                world.a.conn(id).finish = true;
                world.pass(Duration::from_millis(random.below(300)));
                id
            })
            .collect();
        let whole = |world: &mut World| {
            clients.iter().all(|id| {
                let conn = world.a.conn(*id);
                assert_eq!(conn.error, None, "seed {seed}, {sets} sets");
                conn.ended
            })
        };
        world.run(secs(3_600), whole);
        for id in &clients {
            let conn = world.a.conn(*id);
            assert!(conn.received == conn.outgoing, "seed {seed}, {sets} sets");
        }
        world.pass(secs(130));
        assert_eq!(world.b.net.free_sets(), sets, "seed {seed}");
        assert_eq!(world.b.net.free_count(), 64, "seed {seed}");
    }
}

/// All sets but one are busy with long streams at first.
#[test]
fn no_stream_waits_for_ever_behind_another() {
    let mut world = World::of(Faults::NONE, 3, &leased(1, 16, 8), &leased(2, 16, 2));
    world
        .b
        .listen(&Endpoint::tcp(b4(80)).backlog(16), Habit::Echo);
    let long = pattern(3_000_000, 9);
    let first = world.a.connect(&Endpoint::tcp(b4(80)), &long);
    world.run(secs(60), |world| {
        world.a.conn(first).received.len() > 20_000
    });
    let others: Vec<u64> = (0..5)
        .map(|_| world.a.connect(&Endpoint::tcp(b4(80)), b"short"))
        .collect();
    world.run(secs(600), |world| {
        others
            .iter()
            .all(|id| world.a.conn(*id).received == b"short")
    });
    world.run(secs(3_600), |world| {
        world.a.conn(first).received.len() == long.len()
    });
    assert!(world.a.conn(first).received == long);
}

/// One stream keeps the only set busy for ever, by what it receives or by what it sends; the
/// others get theirs all the same, and it goes on.
#[test]
fn one_set_is_shared_with_a_stream_that_never_ends() {
    let first = seed(1);
    for seed in first..first + 6 {
        for pushes in [false, true] {
            let faults = Faults::NONE.delay(Duration::from_micros(50 + (seed % 3) * 1_000));
            let clients = Recipe::new(1).classes(&[SizeClass::new(64, 4_096, 4_096)]);
            let mut world = World::of(faults, seed, &clients, &leased(2, 64, 1));
            let at = Endpoint::tcp(b4(80)).backlog(64);
            world.b.listen(&at, Habit::Echo);
            let start = world.wire.now();
            let endless = world.a.connect(&Endpoint::tcp(b4(80)), b"first");
            world.run(secs(60), |world| world.a.conn(endless).received == b"first");
            let id = *world.b.conns.keys().next().unwrap();
            // More than can go in the time.
            let bulk = pattern(1 << 26, seed);
            if pushes {
                world.b.push(id, &bulk, false);
            } else {
                world.a.push(endless, &bulk, false);
            }
            world.pass(secs(1));
            let others: Vec<u64> = (0..3)
                .map(|_| world.a.connect(&Endpoint::tcp(b4(80)), b"short"))
                .collect();
            world.run(secs(110), |world| {
                others
                    .iter()
                    .all(|id| world.a.conn(*id).received == b"short")
            });
            let time = world.wire.now().saturating_since(start);
            let before = world.a.conn(endless).received.len();
            world.pass(secs(5));
            let after = world.a.conn(endless).received.len();
            println!("seed {seed}, pushes {pushes}: {time:?}, {before} and {after} octets");
            assert!(after > before, "seed {seed}: it goes on");
        }
    }
}

/// The only set is gone for ten seconds, since its owner does not receive; then it is back, and
/// nothing of anybody's stream is missing.
#[test]
fn streams_outlive_a_time_without_any_set() {
    let first = seed(1);
    for seed in first..first + 4 {
        let faults = Faults::NONE.loss([0, 20_000][(seed % 2) as usize]);
        let mut world = world(faults, seed, 64, 1);
        world.b.listen(&Endpoint::tcp(b4(81)), Habit::Deaf);
        let holder = world
            .a
            .connect(&Endpoint::tcp(b4(81)), &pattern(1_000, seed));
        world.run(secs(60), |world| world.b.net.free_sets() == 0);
        world.run(secs(60), |world| world.b.conns.len() == 1);
        world.pass(secs(1));
        let clients: Vec<u64> = (0..5)
            .map(|place| {
                let data = pattern(1 + 3_000 * place as usize, seed + place);
                let id = world.a.connect(&Endpoint::tcp(b4(80)), &data);
                world.a.conn(id).finish = true;
                id
            })
            .collect();
        world.pass(secs(10));
        assert_eq!(world.b.net.free_sets(), 0, "seed {seed}");
        let deaf = *world.b.conns.keys().next().unwrap();
        world.b.conn(deaf).habit = Habit::Keep;
        world.b.drain(deaf);
        world.run(secs(600), |world| {
            clients.iter().all(|id| {
                let conn = world.a.conn(*id);
                let (sent, came) = (conn.outgoing.len(), conn.received.len());
                assert_eq!(conn.error, None, "seed {seed}: {came} of {sent}");
                conn.ended
            })
        });
        for id in &clients {
            let conn = world.a.conn(*id);
            assert!(conn.received == conn.outgoing, "seed {seed}");
        }
        assert_eq!(world.b.conn(deaf).received, world.a.conn(holder).outgoing);
    }
}

/// Peers that read nothing hold all sets; they lose them when others want one, and no sooner.
#[test]
fn who_takes_nothing_gives_place() {
    let mut world = world(Faults::NONE, 5, 64, 4);
    world.b.tidy = false;
    let deaf: Vec<u64> = (0..4)
        .map(|_| {
            let id = world.a.connect(&Endpoint::tcp(b4(80)), b"");
            world.a.conn(id).habit = Habit::Deaf;
            world.run(secs(10), |world| world.a.conn(id).open);
            id
        })
        .collect();
    for id in &deaf {
        world.a.push(*id, &pattern(12_000, *id), false);
    }
    world.pass(secs(100));
    assert_eq!(world.b.net.free_sets(), 0, "their windows are closed");
    assert_eq!(
        world.b.net.counters().stalled_evicted,
        0,
        "nobody else wants one"
    );
    let honest = world.a.connect(&Endpoint::tcp(b4(80)), b"hello");
    world.run(secs(15), |world| world.a.conn(honest).received == b"hello");
    assert!(world.b.net.counters().stalled_evicted >= 1);
    let broken = world
        .b
        .conns
        .values()
        .filter(|conn| conn.error == Some(Error::TimedOut));
    assert_eq!(
        broken.count() as u64,
        world.b.net.counters().stalled_evicted
    );
}

/// Peers that are sent octets and never acknowledge them hold all sets; they lose them when another
/// wants one, and no sooner.
#[test]
fn who_never_acknowledges_gives_place() {
    let mut stage = Stage::new(&leased(2, 16, 2));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    for port in 1_000..1_002 {
        let (mine, theirs) = stage.handshake(a4(port), b4(80), 100);
        stage.seg(&Seg::new(a4(port), b4(80), ACK | PSH, mine, theirs).payload(b"hello"));
    }
    stage.pass(secs(30));
    assert_eq!(stage.host.net.free_sets(), 0);
    assert_eq!(stage.host.net.counters().stalled_evicted, 0);
    // An honest one sends again what is not answered.
    let from = a4(2_000);
    let (mut seg, mut is_served) = (Seg::new(from, b4(80), SYN, 500, 0), false);
    for _ in 0..15 {
        stage.seg(&seg);
        stage.pass(secs(1));
        for answer in stage.segs().iter().filter(|answer| answer.to == from) {
            if answer.control & SYN != 0 {
                let ack = answer.seq.wrapping_add(1);
                seg = Seg::new(from, b4(80), ACK | PSH, 501, ack).payload(b"news");
            }
            is_served |= answer.payload == b"news";
        }
        if is_served {
            break;
        }
    }
    assert!(is_served, "it found no memory");
    assert!(stage.host.net.counters().stalled_evicted >= 1);
}

/// What only came out of order is forgotten at once when others want the memory.
#[test]
fn what_is_out_of_order_gives_place() {
    let mut stage = Stage::new(&leased(2, 16, 3));
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let mut peers = Vec::new();
    for port in 1_000..1_002 {
        let (mine, theirs) = stage.handshake(a4(port), b4(80), 100);
        peers.push((port, mine, theirs));
    }
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_sets(), 3);
    for (port, mine, theirs) in &peers {
        let ahead = Seg::new(a4(*port), b4(80), ACK | PSH, mine + 5, *theirs).payload(b"world");
        stage.seg(&ahead);
    }
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_sets(), 1);
    // Another needs one for its handshake and its octets.
    let (mine, theirs) = stage.handshake(a4(2_000), b4(80), 500);
    stage.seg(&Seg::new(a4(2_000), b4(80), ACK | PSH, mine, theirs).payload(b"hello"));
    let answer = stage.segs();
    assert!(
        answer.iter().any(|seg| seg.payload == b"hello"),
        "{answer:?}"
    );
    assert!(stage.host.net.counters().reneged >= 1);
    // Those that lost theirs send it again, and nothing is missing.
    stage.seg(&Seg::new(a4(2_000), b4(80), ACK, mine + 5, theirs + 5));
    for (port, mine, theirs) in &peers {
        let whole = Seg::new(a4(*port), b4(80), ACK | PSH, *mine, *theirs).payload(b"helloworld");
        stage.seg(&whole);
        let answer = stage.segs();
        assert!(
            answer.iter().any(|seg| seg.payload == b"helloworld"),
            "{answer:?}"
        );
        stage.seg(&Seg::new(a4(*port), b4(80), ACK, mine + 10, theirs + 10));
    }
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_sets(), 3);
}

/// An owner that ends, closes or sends while there is no memory for it gets its way later.
#[test]
fn what_an_owner_asked_for_is_done_once_there_is_memory() {
    let mut stage = Stage::new(&leased(2, 16, 2));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let mut ids = Vec::new();
    let mut peers = Vec::new();
    for port in 1_000..1_005 {
        peers.push(stage.handshake(a4(port), b4(80), 100));
        stage.pass(Duration::from_millis(10));
        let known: Vec<u64> = stage.host.conns.keys().copied().collect();
        ids.push(known.into_iter().find(|id| !ids.contains(id)).unwrap());
    }
    // Two send what their peers do not acknowledge.
    stage.host.push(ids[0], &[1; 100], false);
    stage.host.push(ids[1], &[2; 100], false);
    stage.pass(Duration::from_millis(10));
    assert_eq!(stage.host.net.free_sets(), 0);
    stage.host.push(ids[2], b"late", false);
    stage.host.push(ids[3], b"", true);
    stage.host.close(ids[4]);
    stage.pass(Duration::from_millis(100));
    let from = |segs: &[Seg], port: u16| -> Vec<Seg> {
        segs.iter()
            .filter(|seg| seg.to.port() == port)
            .cloned()
            .collect()
    };
    let segs = stage.segs();
    for port in 1_002..1_005 {
        assert!(from(&segs, port).is_empty(), "{port}: {segs:?}");
    }
    // One of the two is acknowledged, and the others have their turn, in their order.
    let (mine, theirs) = peers[0];
    stage.seg(&Seg::new(a4(1_000), b4(80), ACK, mine, theirs + 100));
    stage.pass(Duration::from_millis(5));
    let segs = stage.segs();
    assert_eq!(from(&segs, 1_002)[0].payload, b"late");
    let (mine, theirs) = peers[2];
    stage.seg(&Seg::new(a4(1_002), b4(80), ACK, mine, theirs + 4));
    stage.pass(Duration::from_millis(5));
    let segs = stage.segs();
    assert_eq!(from(&segs, 1_003)[0].control, ACK | FIN);
    let (mine, theirs) = peers[3];
    stage.seg(&Seg::new(a4(1_003), b4(80), ACK, mine, theirs + 1));
    stage.pass(Duration::from_millis(5));
    assert_eq!(from(&stage.segs(), 1_004)[0].control, ACK | FIN);
}

/// A program that receives nothing before it has sent elsewhere, as one that passes octets on, can
/// always send: not all of the memory is taken by what it has not received.
#[test]
fn what_is_not_received_leaves_memory_to_send() {
    let clients = Recipe::new(1).classes(&[SizeClass::new(64, 4_096, 4_096)]);
    let mut world = World::of(Faults::NONE, 7, &clients, &leased(2, 64, 4));
    let (deaf, other) = (Endpoint::tcp(b4(80)), Endpoint::tcp(b4(81)));
    let deaf = deaf.backlog(32);
    world.b.listen(&deaf, Habit::Deaf);
    world.b.listen(&other, Habit::Keep);
    let to = world.a.connect(&Endpoint::tcp(b4(81)), b"");
    world.run(secs(10), |world| world.b.conns.len() == 1);
    let onwards = *world.b.conns.keys().next().unwrap();
    for place in 0..12 {
        world
            .a
            .connect(&Endpoint::tcp(b4(80)), &pattern(1_000, place));
    }
    world.run(secs(300), |world| world.b.conns.len() == 13);
    world.pass(secs(20));
    assert!(world.b.net.free_sets() >= 1, "of four");
    let data = pattern(20_000, 77);
    world.b.push(onwards, &data, false);
    world.run(secs(30), |world| {
        world.a.conn(to).received.len() == data.len()
    });
    // What waits is received at last, all of it.
    let waiting: Vec<u64> = world
        .b
        .conns
        .keys()
        .copied()
        .filter(|id| *id != onwards)
        .collect();
    for id in &waiting {
        world.b.conn(*id).habit = Habit::Keep;
        world.b.drain(*id);
    }
    world.run(secs(300), |world| {
        waiting
            .iter()
            .all(|id| world.b.conn(*id).received.len() == 1_000)
    });
}

/// Half-open connections leave half of the sets to others.
#[test]
fn handshakes_leave_half_of_the_memory() {
    let mut stage = Stage::new(&leased(2, 100, 10));
    stage
        .host
        .listen(&Endpoint::tcp(b4(80)).backlog(100), Habit::Echo);
    for port in 0..50 {
        let syn = Seg::new(a4(1_000 + port), b4(80), SYN, 1, 0);
        stage.seg(&syn);
    }
    assert_eq!(stage.host.net.free_sets(), 5);
    assert_eq!(stage.host.net.counters().cookies_sent, 45);
    let (mine, theirs) = stage.handshake(a4(3_000), b4(80), 7);
    stage.seg(&Seg::new(a4(3_000), b4(80), ACK | PSH, mine, theirs).payload(b"in time"));
    assert!(stage.segs().iter().any(|seg| seg.payload == b"in time"));
}

/// Accepts connections of so many peers; returns the owner's ids, and where each side's octets go
/// on, by the peer's port from 1,000 on.
fn accepted(stage: &mut Stage, peers: u16) -> (Vec<u64>, Vec<(u32, u32)>) {
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    for port in 1_000..1_000 + peers {
        numbers.push(stage.handshake(a4(port), b4(80), 100));
        stage.pass(Duration::from_millis(10));
        let known: Vec<u64> = stage.host.conns.keys().copied().collect();
        ids.push(known.into_iter().find(|id| !ids.contains(id)).unwrap());
    }
    (ids, numbers)
}

/// What has been idle for long and sends now is not taken for what has waited for long.
#[test]
fn a_broadcast_to_idle_connections_ends_none() {
    let mut stage = Stage::new(&leased(2, 16, 2));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let (ids, peers) = accepted(&mut stage, 5);
    stage.pass(secs(20));
    stage.segs();
    for id in &ids {
        stage.host.push(*id, b"news", false);
    }
    let mut came = [0; 5];
    for _ in 0..20 {
        stage.pass(Duration::from_millis(5));
        for seg in stage.segs() {
            let place = usize::from(seg.to.port() - 1_000);
            assert_eq!(seg.control & ACK, ACK, "{seg:?}");
            if seg.payload == b"news" {
                came[place] += 1;
                let (mine, theirs) = peers[place];
                stage.seg(&Seg::new(a4(seg.to.port()), b4(80), ACK, mine, theirs + 4));
            }
        }
    }
    assert_eq!(came, [1; 5]);
    assert_eq!(stage.host.net.counters().stalled_evicted, 0);
    assert!(stage.host.conns.values().all(|conn| conn.error.is_none()));
}

/// Where the machine itself stands still for long, nobody is taken for a peer that does not answer:
/// what it has sent meanwhile was not read yet.
#[test]
fn a_machine_that_stood_still_ends_no_connection() {
    let mut stage = Stage::new(&leased(2, 16, 2));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let (ids, peers) = accepted(&mut stage, 3);
    for id in &ids[..2] {
        stage.host.push(*id, b"news", false);
    }
    stage.pass(Duration::from_millis(5));
    stage.segs();
    assert_eq!(stage.host.net.free_sets(), 0);
    stage.wire.pass(secs(15));
    stage.host.push(ids[2], b"news", false);
    stage.pass(Duration::from_millis(5));
    // One set comes free by the first acknowledgement, and goes to who waits for it.
    for (port, (mine, theirs)) in (1_000..).zip(&peers[..2]) {
        stage.seg(&Seg::new(a4(port), b4(80), ACK, *mine, theirs + 4));
    }
    stage.pass(Duration::from_millis(5));
    assert_eq!(stage.host.net.counters().stalled_evicted, 0);
    assert!(stage.host.conns.values().all(|conn| conn.error.is_none()));
    let came = stage.segs();
    assert!(
        came.iter()
            .any(|seg| seg.to == a4(1_002) && seg.payload == b"news"),
        "{came:?}"
    );
}

/// Who loses its memory since its peer takes nothing still gets what that peer had sent, and is
/// not told that the stream ended in order before all of it.
#[test]
fn what_was_received_outlives_the_loss_of_memory() {
    let mut stage = Stage::new(&leased(2, 16, 2));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    let (ids, peers) = accepted(&mut stage, 3);
    // One has sent its request and its end, the other nothing; neither acknowledges the answer.
    let (mine, theirs) = peers[0];
    let request = Seg::new(a4(1_000), b4(80), ACK | PSH | FIN, mine, theirs);
    stage.seg(&request.payload(b"request"));
    stage.host.push(ids[0], &[1; 100], false);
    stage.host.push(ids[1], &[2; 100], false);
    stage.pass(secs(15));
    stage.segs();
    // The other gives place, since its memory comes free at once.
    stage.host.push(ids[2], b"news", false);
    stage.pass(Duration::from_millis(5));
    assert!(stage.segs().iter().any(|seg| seg.payload == b"news"));
    assert_eq!(stage.host.net.counters().stalled_evicted, 1);
    // Nothing else is left to give place for another.
    stage.pass(secs(15));
    stage.handshake(a4(2_000), b4(80), 9);
    stage.pass(secs(1));
    stage.host.conn(ids[0]).habit = Habit::Keep;
    stage.host.drain(ids[0]);
    assert_eq!(stage.host.conn(ids[0]).received, b"request");
}

/// A segment that comes again with the end of a handshake does not keep memory for ever.
#[test]
fn a_syn_twice_in_a_burst_keeps_no_memory() {
    let mut stage = Stage::new(&leased(2, 16, 4));
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let syn = Seg::new(a4(1_000), b4(80), SYN, 100, 0);
    stage.seg(&syn);
    let answer = stage.segs();
    let theirs = answer[0].seq + 1;
    stage.hand.inject(&syn.frame(1, 2));
    let ack = Seg::new(a4(1_000), b4(80), ACK, 101, theirs);
    stage.hand.inject(&ack.frame(1, 2));
    stage.pass(secs(1));
    assert_eq!(stage.host.conns.len(), 1);
    assert_eq!(stage.host.net.free_sets(), 4);
}
