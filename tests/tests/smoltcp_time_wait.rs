//! TIME-WAIT, in a table of its own and in slots: what is answered is the same.

use std::net::{IpAddr, SocketAddr};

use smoltcp::wire::Icmpv6Packet;
use usockets::{Endpoint, Error};
use usockets_smoltcp::{Faults, SizeClass, TimeWaitSlot};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage, arp, ip};
use usockets_tests::smoltcp::{A4, B4, Habit, Recipe, World, a4, b4, leak, pattern, secs, v6};

/// A stack with 16 slots, which two listeners share, and so many places for TIME-WAIT.
fn recipe(places: usize) -> Recipe {
    let mut recipe = Recipe::new(2).classes(&[SizeClass::new(16, 4_096, 4_096)]);
    recipe.time_waits = places;
    recipe
}

fn stage(recipe: &Recipe) -> Stage {
    let mut stage = Stage::new(recipe);
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    stage.host.listen(&Endpoint::tcp(v6(2, 80)), Habit::Keep);
    stage
}

/// The option, as most systems write it.
fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    let mut option = vec![1, 1, 8, 10];
    option.extend(value.to_be_bytes());
    option.extend(echo.to_be_bytes());
    option
}

/// What a segment of the stack says in that option: its clock, and ours.
fn clocks(seg: &Seg) -> Option<(u32, u32)> {
    let [1, 1, 8, 10, a, b, c, d, e, f, g, h] = seg.options[..] else {
        return None;
    };
    let value = u32::from_be_bytes([a, b, c, d]);
    Some((value, u32::from_be_bytes([e, f, g, h])))
}

/// The hand's end of a connection.
#[derive(Clone, Copy)]
struct Peer {
    from: SocketAddr,
    to: SocketAddr,
    /// The next numbers of both.
    mine: u32,
    theirs: u32,
    /// Our clock, if timestamps are in use.
    clock: Option<u32>,
}

impl Peer {
    /// Opens a connection and has the stack's owner end it first, so that it is in TIME-WAIT.
    fn ended(stage: &mut Stage, from: SocketAddr, clock: Option<u32>) -> Self {
        Self::open(stage, from, clock).end(stage, b"")
    }

    fn open(stage: &mut Stage, from: SocketAddr, clock: Option<u32>) -> Self {
        let to = if from.is_ipv4() { b4(80) } else { v6(2, 80) };
        let (mine, theirs) = (1_000, 0);
        let mut peer = Self {
            from,
            to,
            mine,
            theirs,
            clock,
        };
        stage.segs();
        let answer = peer.say(stage, SYN, 0);
        assert_eq!(answer[0].control, SYN | ACK, "{answer:?}");
        (peer.mine, peer.theirs) = (mine + 1, answer[0].seq.wrapping_add(1));
        peer.say(stage, ACK, 0);
        peer
    }

    /// Ends what the stack's owner has ended after some octets, both in order.
    fn end(mut self, stage: &mut Stage, octets: &[u8]) -> Self {
        let id = *stage.host.conns.keys().next().unwrap();
        stage.host.push(id, octets, false);
        stage.host.close(id);
        stage.host.step();
        let sent: usize = stage.segs().iter().map(|seg| seg.payload.len()).sum();
        assert_eq!(sent, octets.len());
        self.theirs = self.theirs.wrapping_add(1 + octets.len() as u32);
        let answer = self.say(stage, FIN | ACK, 0);
        assert_eq!(answer[0].control, ACK, "{answer:?}");
        self.mine += 1;
        assert_eq!(answer[0].ack, self.mine);
        self
    }

    fn seg(&self, control: u8, ahead: i32) -> Seg {
        let seq = self.mine.wrapping_add_signed(ahead);
        let ack = if control & ACK == 0 { 0 } else { self.theirs };
        let mut seg = Seg::new(self.from, self.to, control, seq, ack);
        seg.options = self
            .clock
            .map_or_else(Vec::new, |clock| timestamps(clock, 0));
        seg
    }

    /// Sends a segment so many octets ahead of the next, and returns what answers it.
    fn say(&self, stage: &mut Stage, control: u8, ahead: i32) -> Vec<Seg> {
        know(stage, self.from);
        stage.seg(&self.seg(control, ahead));
        stage.segs()
    }

    /// Returns true if a segment is the acknowledgement of everything.
    fn is_acknowledged(&self, answer: &[Seg]) -> bool {
        let [only] = answer else {
            return false;
        };
        let echo = clocks(only).map(|(_, echo)| echo);
        (only.control, only.seq, only.ack) == (ACK, self.theirs, self.mine)
            && echo == self.clock
            && only.payload.is_empty()
    }
}

/// Keeps the hand known as a neighbour.
fn know(stage: &mut Stage, from: SocketAddr) {
    if from.is_ipv4() {
        stage.send(&arp(1, A4, 1, B4));
    } else {
        stage.send(&solicitation());
    }
    stage.replies();
}

/// Everything is asked of both: in a table, and in slots.
const PLACES: [usize; 2] = [8, 0];

#[test]
fn what_has_ended_takes_no_slot() {
    for leased in [false, true] {
        let class = SizeClass::new(16, 4_096, 4_096);
        let class = if leased { class.leased(4) } else { class };
        let mut stage = stage(&recipe(100).classes(&[class]));
        for port in 1..=100 {
            Peer::ended(&mut stage, a4(port), None);
            assert_eq!(stage.host.net.free_count(), 16);
        }
        assert_eq!(stage.host.net.time_wait_count(), 100);
        assert_eq!(stage.host.net.counters().time_wait_evicted, 0);
        if leased {
            assert_eq!(stage.host.net.free_sets(), 4);
        }
        stage.pass(secs(61));
        assert_eq!(stage.host.net.time_wait_count(), 0);
    }
    assert_eq!(size_of::<TimeWaitSlot>(), 32);
}

/// RFC 9293, section 3.10.7.4: the peer's FIN again is acknowledged, and TIME-WAIT starts anew.
#[test]
fn the_peers_end_again_starts_time_wait_anew() {
    for places in PLACES {
        for (from, clock) in [(a4(7), None), (a4(7), Some(5)), (v6(1, 7), Some(5))] {
            let mut stage = stage(&recipe(places));
            let peer = Peer::ended(&mut stage, from, clock);
            for _ in 0..3 {
                stage.pass(secs(50));
                let answer = peer.say(&mut stage, FIN | ACK, -1);
                assert!(peer.is_acknowledged(&answer), "{places} {from}: {answer:?}");
            }
            stage.pass(secs(59));
            // A duplicate from before is acknowledged, too, but starts nothing.
            let answer = peer.say(&mut stage, ACK, -1);
            assert!(peer.is_acknowledged(&answer), "{places} {from}: {answer:?}");
            stage.pass(secs(2));
            let answer = peer.say(&mut stage, FIN | ACK, -1);
            assert_eq!(answer[0].control & RST, RST, "{places} {from}: it is over");
        }
    }
}

/// The hand's question where the stack is, which says where the hand is.
fn solicitation() -> Vec<u8> {
    let (IpAddr::V6(own), IpAddr::V6(to)) = (v6(1, 0).ip(), v6(2, 0).ip()) else {
        unreachable!("both are of IPv6")
    };
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend(to.octets());
    body.extend([1, 1, 2, 0, 0, 0, 0, 1]);
    Icmpv6Packet::new_unchecked(&mut body[..]).fill_checksum(&own, &to);
    let mut frame = ip(own.into(), to.into(), 58, &body, 1, 2);
    frame[21] = 255;
    frame
}

/// RFC 1337: no reset ends TIME-WAIT, and what is old is acknowledged.
#[test]
fn resets_end_nothing_and_old_segments_are_acknowledged() {
    for places in PLACES {
        let mut stage = stage(&recipe(places));
        let peer = Peer::ended(&mut stage, a4(7), Some(100));
        for ahead in [-1, 0, 1, 100] {
            assert!(peer.say(&mut stage, RST, ahead).is_empty());
            assert!(peer.say(&mut stage, RST | ACK, ahead).is_empty());
        }
        // The end, with a clock that has gone back (PAWS).
        let mut old = peer;
        old.clock = Some(99);
        let answer = old.say(&mut stage, FIN | ACK, -1);
        assert!(peer.is_acknowledged(&answer), "{places}: {answer:?}");
        for ahead in [-1, -500, -1_000_000] {
            let answer = peer.say(&mut stage, ACK, ahead);
            assert!(
                peer.is_acknowledged(&answer),
                "{places} {ahead}: {answer:?}"
            );
        }
        // The acknowledgement of the acknowledgement needs none.
        assert!(peer.say(&mut stage, ACK, 0).is_empty());
        assert!(peer.say(&mut stage, SYN | ACK, -500).len() == 1);
    }
}

/// RFC 5961, section 7: who forges segments gets ten answers a second.
#[test]
fn forged_segments_are_answered_in_bounds() {
    for places in PLACES {
        let mut stage = stage(&recipe(places));
        let peer = Peer::ended(&mut stage, a4(7), None);
        stage.pass(secs(2));
        let mut answers = 0;
        for _ in 0..100 {
            answers += peer.say(&mut stage, ACK | PSH, -9).len();
        }
        assert!((10..=20).contains(&answers), "{places}: {answers}");
        stage.pass(secs(1));
        assert_eq!(peer.say(&mut stage, ACK, -9).len(), 1, "{places}");
    }
}

/// RFC 6191, section 2, case by case; where a SYN is not taken, RFC 5961 has it acknowledged.
#[test]
fn a_syn_opens_a_new_connection_if_it_cannot_be_old() {
    // The old connection's clock, the SYN's, how far its number is ahead, and whether it opens.
    let cases = [
        (Some(100), Some(101), -500, true),
        (Some(100), Some(100), 500, true),
        (Some(100), Some(100), -500, false),
        (Some(100), Some(99), 500, false),
        (Some(u32::MAX), Some(3), -500, true),
        (Some(100), None, 500, true),
        (Some(100), None, -500, false),
        (None, Some(1), -500, true),
        (None, Some(1), 500, true),
        (None, None, 1, true),
        (None, None, 0, false),
        (None, None, -1, false),
    ];
    for places in PLACES {
        for (old, new, ahead, opens) in cases {
            let mut stage = stage(&recipe(places));
            let peer = Peer::ended(&mut stage, a4(7), old);
            let mut next = peer;
            next.clock = new;
            let answer = next.say(&mut stage, SYN, ahead);
            let case = format!("{places} {old:?} {new:?} {ahead}: {answer:?}");
            if !opens {
                assert!(peer.is_acknowledged(&answer), "{case}");
                assert_eq!(stage.host.conns.len(), 0);
                continue;
            }
            assert_eq!(answer[0].control, SYN | ACK, "{case}");
            next.theirs = answer[0].seq.wrapping_add(1);
            let behind = answer[0].seq.wrapping_sub(peer.theirs).cast_signed();
            assert!(behind > 0, "{case}");
            next.say(&mut stage, ACK, ahead + 1);
            assert_eq!(stage.host.conns.len(), 1, "{case}");
            assert_eq!(stage.host.net.time_wait_count(), 0);
        }
    }
}

/// RFC 1122, section 4.2.2.13: the new numbers lie behind the old ones, however fast those went.
#[test]
fn a_connection_starts_behind_the_one_before() {
    for places in PLACES {
        let mut stage = stage(&recipe(places));
        let mut peer = Peer::open(&mut stage, a4(7), None);
        let id = *stage.host.conns.keys().next().unwrap();
        for round in 0..400 {
            stage.host.push(id, &pattern(1_000, round), false);
            stage.host.step();
            peer.theirs = peer.theirs.wrapping_add(1_000);
            peer.say(&mut stage, ACK, 0);
        }
        let peer = peer.end(&mut stage, b"bye");
        let answer = peer.say(&mut stage, SYN, 50_000);
        assert_eq!(answer[0].control, SYN | ACK);
        let behind = answer[0].seq.wrapping_sub(peer.theirs).cast_signed();
        assert!(behind > 0, "{places}: {behind}");
    }
}

/// Who has been in a full table longest makes place; its peer learns that nobody is there.
#[test]
fn in_a_full_table_the_oldest_gives_way() {
    let mut stage = stage(&recipe(8));
    let peers: Vec<Peer> = (1..=11)
        .map(|port| Peer::ended(&mut stage, a4(port), None))
        .collect();
    assert_eq!(stage.host.net.time_wait_count(), 8);
    assert_eq!(stage.host.net.counters().time_wait_evicted, 3);
    for (place, peer) in peers.iter().enumerate() {
        let answer = peer.say(&mut stage, FIN | ACK, -1);
        if place < 3 {
            assert_eq!(answer[0].control & RST, RST);
        } else {
            assert!(peer.is_acknowledged(&answer), "{place}: {answer:?}");
        }
    }
    // What is over gives way without being counted.
    stage.pass(secs(61));
    for port in 1..=8 {
        Peer::ended(&mut stage, a4(port), None);
    }
    assert_eq!(stage.host.net.counters().time_wait_evicted, 3);
    assert_eq!(stage.host.net.time_wait_count(), 8);
}

/// An owner that comes after the end of both, with octets unread, leaves TIME-WAIT all the same.
#[test]
fn an_owner_that_closes_late_moves_what_is_left_of_its_time() {
    let mut stage = stage(&recipe(8));
    let mut peer = Peer::open(&mut stage, a4(7), None);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.conn(id).habit = Habit::Deaf;
    stage.host.push(id, b"", true);
    stage.host.step();
    peer.theirs = peer.theirs.wrapping_add(1);
    stage.seg(&peer.seg(FIN | ACK | PSH, 0).payload(b"unread"));
    peer.mine += 7;
    stage.pass(secs(40));
    assert_eq!(stage.host.net.free_count(), 15, "its owner has it");
    stage.host.close(id);
    stage.host.step();
    assert_eq!(stage.host.net.free_count(), 16);
    assert_eq!(stage.host.net.time_wait_count(), 1);
    stage.segs();
    let answer = peer.say(&mut stage, ACK, -3);
    assert!(peer.is_acknowledged(&answer), "{answer:?}");
    stage.pass(secs(21));
    assert_eq!(stage.host.net.time_wait_count(), 0);
}

/// Own connections do not take ends that are in TIME-WAIT, until it is over.
#[test]
fn own_connections_take_other_ends() {
    for places in PLACES {
        let mut left = recipe(places);
        left.host = 1;
        let mut world = World::of(Faults::NONE, 1, &left, &recipe(0));
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let mut to = Endpoint::tcp(b4(80));
        to.source = Some(a4(40_000));
        let id = world.a.connect(&to, b"hello");
        world.a.conn(id).finish = true;
        world.run(secs(10), |world| world.a.conn(id).ended);
        world.a.close(id);
        world.pass(secs(1));
        assert_eq!(
            world.a.try_connect(&to, b"").unwrap_err(),
            Error::AddressInUse
        );
        world.pass(secs(61));
        let id = world.a.connect(&to, b"again");
        world.run(secs(10), |world| world.a.conn(id).received == b"again");
    }
}

/// Without the table, 16 slots would serve 16 connections a minute.
#[test]
fn sixteen_slots_serve_a_thousand_connections() {
    let mut left = recipe(2_000);
    left.host = 1;
    let mut world = World::of(Faults::NONE.loss(10_000), 3, &left, &recipe(2_000));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let start = world.wire.now();
    for round in 0..1_000 {
        let data = pattern(1 + round as usize % 300, round);
        let id = world.a.connect(&Endpoint::tcp(b4(80)), &data);
        world.a.conn(id).finish = true;
        world.run(secs(60), |world| world.a.conn(id).ended);
        assert!(world.a.conn(id).received == data);
        world.a.close(id);
    }
    let evicted = world.a.net.counters().time_wait_evicted;
    assert_eq!(evicted, 0);
    assert!(world.a.net.time_wait_count() > 100);
    let time = world.wire.now().saturating_since(start);
    println!(
        "{} in TIME-WAIT after {time:?}",
        world.a.net.time_wait_count()
    );
}

#[test]
fn a_table_is_given_once_to_a_stack_that_has_started() {
    let table = || leak(4, || TimeWaitSlot::EMPTY);
    let mut stage = stage(&recipe(0));
    assert_eq!(stage.host.net.start_time_wait(&mut []), Err(Error::Invalid));
    assert_eq!(stage.host.net.start_time_wait(table()), Ok(()));
    assert_eq!(stage.host.net.start_time_wait(table()), Err(Error::Invalid));
    let (_, [device, _]) =
        usockets_tests::smoltcp::wire(Faults::NONE, 1, usockets_smoltcp::Medium::Ethernet);
    let mut idle = usockets_smoltcp::Stack::idle(device);
    assert_eq!(idle.start_time_wait(table()), Err(Error::Invalid));
    assert_eq!(idle.time_wait_count(), 0);
}
