//! Connections of a class that has no sets of memory at all, beside a class that has, or in a stack
//! whose whole pool is none: they open, stay, and end; octets find no place.

use usockets::{Closed, Duration, Endpoint, Error, Handler, Instant, Loop, Opened, Platform};
use usockets::{Socket, Sockets};
use usockets_smoltcp::{Faults, Medium, SizeClass, Stack};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage, arp};
use usockets_tests::smoltcp::{
    A4, B4, Habit, Host, Recipe, World, a4, b4, pattern, secs, seed, wire,
};

const NONE: SizeClass = SizeClass::new(64, 4_096, 4_096).leased(0);
const MILLI: Duration = Duration::from_millis(1);

/// A stack with a class of no sets alone, or with such a one first.
fn recipes(host: u8) -> [Recipe; 3] {
    let beside = [
        SizeClass::new(8, 16_384, 16_384),
        SizeClass::new(8, 16_384, 16_384).leased(2),
    ];
    [
        Recipe::new(host).classes(&[NONE]),
        Recipe::new(host).classes(&[NONE, beside[0]]),
        Recipe::new(host).classes(&[NONE, beside[1]]),
    ]
}

/// Passes many seconds in which the hand stays known as a neighbour.
fn pass(stage: &mut Stage, seconds: u64) {
    for _ in 0..seconds {
        stage.send(&arp(1, A4, 1, B4));
        stage.pass(secs(1));
    }
}

/// So many clients whose connections to port 80 of the other are open.
fn connected(world: &mut World, clients: usize) -> Vec<u64> {
    let ids: Vec<u64> = (0..clients)
        .map(|_| world.a.connect(&Endpoint::tcp(b4(80)), b""))
        .collect();
    world.run(secs(60), |world| {
        let open = ids.iter().all(|id| world.a.conn(*id).open);
        open && world.b.conns.len() == clients
    });
    ids
}

#[test]
fn connections_open_stay_and_close_without_any_memory() {
    let first = seed(1);
    for seed in first..first + 12 {
        for recipe in recipes(2) {
            let loss = [0, 100_000][(seed % 2) as usize];
            let faults = Faults::NONE.delay(Duration::from_millis(3));
            let mut world = World::of(faults, seed, &Recipe::new(1), &recipe);
            let free = world.b.net.free_count();
            world
                .b
                .listen(&Endpoint::tcp(b4(80)).backlog(64), Habit::Echo);
            let ids = connected(&mut world, 30);
            world.pass(secs(300));
            assert_eq!(world.b.net.free_count(), free - 30, "seed {seed}");
            world.wire.set_faults(faults.loss(loss));
            // A third is closed there, a third here, a third by both at once.
            let there: Vec<u64> = world.b.conns.keys().copied().collect();
            for (place, (id, other)) in ids.iter().zip(&there).enumerate() {
                if place % 3 != 1 {
                    world.b.close(*other);
                }
                let port = world.a.net_addr(*id).unwrap().port();
                if place % 3 != 0 {
                    assert!(port > 0);
                    world.a.push(*id, b"", true);
                }
            }
            world.run(secs(110), |world| {
                ids.iter().all(|id| world.a.conn(*id).ended)
            });
            for id in &ids {
                assert_eq!(world.a.conn(*id).error, None, "seed {seed}");
                world.a.push(*id, b"", true);
            }
            world.pass(secs(240));
            assert!(world.b.conns.is_empty(), "seed {seed}");
            assert_eq!(world.b.net.free_count(), free, "seed {seed}");
        }
    }
}

/// What is sent there is as lost, and a send takes nothing; nobody is told that he may send, and
/// the stack has nothing to do.
#[test]
fn octets_find_no_place() {
    for recipe in recipes(2) {
        let mut world = World::of(Faults::NONE, 1, &Recipe::new(1), &recipe);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
        let ids = connected(&mut world, 2);
        let there: Vec<u64> = world.b.conns.keys().copied().collect();
        let reports = world.b.reports;
        world.b.push(there[1], b"never", false);
        assert_eq!(world.b.conn(there[1]).sent, 0);
        world.pass(secs(10));
        assert_eq!(world.b.net.next_deadline(), None, "nothing is waited for");
        world.a.push(ids[0], b"hello", false);
        world.pass(secs(60));
        assert_eq!(world.b.reports, reports, "none is told anything");
        assert!(world.b.net.counters().starved >= 3, "it has come again");
        assert_eq!(world.a.conn(ids[0]).error, None);
        // The sender gives up in the end, as on a path that loses everything.
        world.pass(secs(120));
        world.a.drain(ids[0]);
        assert_eq!(world.a.conn(ids[0]).error, Some(Error::TimedOut));
        world.b.drain(there[0]);
        assert_eq!(world.b.conn(there[0]).error, Some(Error::Reset));
        assert_eq!(world.b.conn(there[0]).received, b"");
        assert_eq!(world.a.conn(ids[1]).received, b"");
    }
}

/// The others of the stack work as ever.
#[test]
fn another_class_is_not_touched() {
    for recipe in &recipes(2)[1..] {
        let mut world = World::of(Faults::NONE, 1, &Recipe::new(1), recipe);
        let large = Endpoint::tcp(b4(81)).recv_buffer(16_384);
        world.b.listen(&large, Habit::Echo);
        world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let (free, sets) = (world.b.net.free_count(), world.b.net.free_sets());
        let idle = connected(&mut world, 3);
        world.a.push(idle[0], b"in vain", false);
        let data = pattern(50_000, 5);
        let ids: Vec<u64> = (0..3)
            .map(|_| world.a.connect(&Endpoint::tcp(b4(81)), &data))
            .collect();
        world.run(secs(200), |world| {
            ids.iter().all(|id| world.a.conn(*id).received == data)
        });
        for id in ids.iter().chain(&idle) {
            world.a.abort(*id);
        }
        world.pass(secs(200));
        assert_eq!(world.b.net.free_sets(), sets);
        assert_eq!(world.b.net.free_count(), free);
    }
}

/// Both sides ask for a sign of life, and get one.
#[test]
fn keep_alives_are_answered_and_sent() {
    for recipe in recipes(2) {
        for (asks, answers) in [(true, false), (false, true), (true, true)] {
            let mut world = World::of(Faults::NONE, 1, &Recipe::new(1), &recipe);
            let every = |on: bool, to: Endpoint<'static>| {
                if on { to.keepalive(secs(2)) } else { to }
            };
            let listen = every(answers, Endpoint::tcp(b4(80)));
            world.b.listen(&listen, Habit::Keep);
            let id = world.a.connect(&every(asks, Endpoint::tcp(b4(80))), b"");
            world.run(secs(5), |world| world.b.conns.len() == 1);
            let before = world.b.net.counters().received;
            world.pass(secs(100));
            let frames = world.b.net.counters().received - before;
            assert!((45..120).contains(&frames), "{frames}");
            assert_eq!(world.a.conn(id).error, None);
            assert_eq!(world.b.only().error, None);
        }
    }
}

/// A peer that is gone is noticed by keep-alives, as ever, and a probe with an octet is answered.
#[test]
fn a_peer_that_is_gone_is_noticed() {
    let mut stage = Stage::new(&recipes(2)[0]);
    stage.host.tidy = false;
    let at = Endpoint::tcp(b4(80)).keepalive(secs(2));
    stage.host.listen(&at, Habit::Keep);
    let (mine, theirs) = stage.handshake(a4(1_000), b4(80), 100);
    stage.pass(secs(1));
    for octets in [&[][..], &[0]] {
        let probe = Seg::new(a4(1_000), b4(80), ACK, mine - 1, theirs).payload(octets);
        stage.seg(&probe);
        let answer = stage.segs();
        assert_eq!(answer.len(), 1, "{answer:?}");
        let numbers = (answer[0].control, answer[0].seq, answer[0].ack);
        assert_eq!(numbers, (ACK, theirs, mine));
    }
    let id = *stage.host.conns.keys().next().unwrap();
    stage.pass(secs(30));
    assert_eq!(stage.host.conn(id).error, Some(Error::TimedOut));
    let sent = stage.segs();
    let probes = sent.iter().filter(|seg| seg.seq == theirs - 1);
    assert_eq!(probes.count(), 9, "{sent:?}");
    assert!(sent.last().is_some_and(|seg| seg.control & RST != 0));
    stage.host.close(id);
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_count(), 64);
}

/// A FIN that nobody answers goes again, more and more seldom, and the peer is told of the end.
#[test]
fn an_end_is_sent_until_it_is_answered() {
    let mut stage = Stage::new(&recipes(2)[0]);
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    for (port, closes) in [(1_000, true), (1_001, false)] {
        let (_, theirs) = stage.handshake(a4(port), b4(80), 100);
        stage.pass(secs(1));
        let id = *stage.host.conns.keys().next_back().unwrap();
        stage.segs();
        if closes {
            stage.host.close(id);
        } else {
            stage.host.push(id, b"", true);
        }
        pass(&mut stage, 130);
        let sent = stage.segs();
        let fins = sent.iter().filter(|seg| seg.control == ACK | FIN);
        let numbers: Vec<u32> = fins.map(|seg| seg.seq).collect();
        assert!((6..12).contains(&numbers.len()), "{sent:?}");
        assert!(numbers.iter().all(|seq| *seq == theirs), "{sent:?}");
        let last = sent.last().unwrap();
        assert_eq!(last.control, RST | ACK, "{sent:?}");
        if !closes {
            assert_eq!(stage.host.conn(id).error, Some(Error::TimedOut));
            stage.host.close(id);
        }
        stage.pass(secs(1));
        assert_eq!(stage.host.net.free_count(), 64);
    }
}

/// Who has ended his direction still hears the peer's end, in either order, and both at once.
#[test]
fn ends_meet_in_any_order() {
    let mut stage = Stage::new(&recipes(2)[0]);
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    for (port, order) in [(1_000, 0), (1_001, 1), (1_002, 2), (1_003, 3)] {
        let (mine, theirs) = stage.handshake(a4(port), b4(80), 100);
        stage.pass(MILLI);
        let id = *stage.host.conns.keys().next_back().unwrap();
        let seg = |control, seq, ack| Seg::new(a4(port), b4(80), control, seq, ack);
        stage.segs();
        match order {
            0 => {
                stage.seg(&seg(ACK | FIN, mine, theirs));
                assert_eq!(stage.segs()[0].ack, mine + 1);
                stage.host.push(id, b"", true);
                stage.pass(MILLI);
                stage.seg(&seg(ACK, mine + 1, theirs + 1));
            }
            1 => {
                stage.host.push(id, b"", true);
                stage.pass(MILLI);
                stage.seg(&seg(ACK, mine, theirs + 1));
                pass(&mut stage, 100);
                stage.seg(&seg(ACK | FIN, mine, theirs + 1));
            }
            2 => {
                stage.host.push(id, b"", true);
                stage.pass(MILLI);
                stage.seg(&seg(ACK | FIN, mine, theirs + 1));
            }
            _ => {
                stage.host.push(id, b"", true);
                stage.pass(MILLI);
                stage.seg(&seg(ACK | FIN, mine, theirs));
                stage.pass(MILLI);
                stage.seg(&seg(ACK, mine + 1, theirs + 1));
            }
        }
        stage.pass(MILLI);
        let sent = stage.segs();
        let fins = sent.iter().filter(|seg| seg.control & FIN != 0);
        assert_eq!(fins.count(), 1, "order {order}: {sent:?}");
        assert!(sent.iter().all(|seg| seg.control & RST == 0), "{sent:?}");
        assert!(stage.host.conn(id).ended, "order {order}");
        // What comes again is answered for as long as TIME-WAIT lasts.
        stage.seg(&seg(ACK | FIN, mine, theirs + 1));
        let answer = stage.segs()[0].control;
        assert_eq!(answer, if order == 0 { RST } else { ACK }, "order {order}");
        stage.host.close(id);
        pass(&mut stage, 130);
        assert_eq!(stage.host.net.free_count(), 64, "order {order}");
    }
}

/// A stage with a connection of the given endpoint, what is next of both sides, and who it is.
fn staged(at: &Endpoint<'static>) -> (Stage, (u32, u32), u64) {
    let mut stage = Stage::new(&recipes(2)[0]);
    stage.host.tidy = false;
    stage.host.listen(at, Habit::Keep);
    let numbers = stage.handshake(a4(1_000), b4(80), 100);
    stage.pass(MILLI);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.segs();
    (stage, numbers, id)
}

fn from_peer(control: u8, seq: u32, ack: u32) -> Seg {
    Seg::new(a4(1_000), b4(80), control, seq, ack)
}

fn fins(stage: &mut Stage) -> usize {
    let sent = stage.segs();
    sent.iter().filter(|seg| seg.control & FIN != 0).count()
}

/// What lies outside of the window acknowledges no end, whether the peer has ended before or not:
/// it goes again until it is acknowledged.
#[test]
fn what_is_out_of_the_window_acknowledges_no_end() {
    for peer_first in [false, true] {
        let (mut stage, (mut mine, theirs), id) = staged(&Endpoint::tcp(b4(80)));
        if peer_first {
            stage.seg(&from_peer(ACK | FIN, mine, theirs));
            mine += 1;
        }
        stage.host.push(id, b"", true);
        stage.pass(MILLI);
        assert_eq!(fins(&mut stage), 1);
        stage.seg(&from_peer(ACK, mine + 70_000, theirs + 1));
        assert_eq!(stage.segs()[0].ack, mine, "a challenge");
        pass(&mut stage, 5);
        assert!(fins(&mut stage) >= 2, "peer first: {peer_first}");
        stage.seg(&from_peer(ACK, mine, theirs + 1));
        if !peer_first {
            stage.seg(&from_peer(ACK | FIN, mine, theirs + 1));
            assert_eq!(stage.segs()[0].ack, mine + 1);
        }
        pass(&mut stage, 5);
        assert_eq!(fins(&mut stage), 0);
        assert!(stage.host.conn(id).ended);
    }
}

/// After our end the peer is asked whether it is there, but FIN-WAIT-2 of who has closed lasts as
/// long as ever, and no longer.
#[test]
fn keep_alive_goes_on_after_our_end() {
    let at = Endpoint::tcp(b4(80)).keepalive(secs(2));
    for closes in [false, true] {
        let (mut stage, (mine, theirs), id) = staged(&at);
        if closes {
            stage.host.close(id);
        } else {
            stage.host.push(id, b"", true);
        }
        stage.pass(MILLI);
        assert_eq!(fins(&mut stage), 1);
        stage.seg(&from_peer(ACK, mine, theirs + 1));
        pass(&mut stage, 11);
        let sent = stage.segs();
        let probes = sent.iter().filter(|seg| seg.seq == theirs);
        assert_eq!(probes.count(), if closes { 0 } else { 5 }, "{sent:?}");
        stage.seg(&from_peer(ACK | FIN, mine, theirs + 1));
        assert_eq!(stage.segs()[0].control, ACK);
    }
}

/// An acknowledgement of what was never sent is answered, and the peer asked as before.
#[test]
fn an_acknowledgement_ahead_does_not_end_keep_alive() {
    let at = Endpoint::tcp(b4(80)).keepalive(secs(2));
    let (mut stage, (mine, theirs), id) = staged(&at);
    stage.seg(&from_peer(ACK, mine, theirs + 1));
    assert_eq!(stage.segs()[0].control, ACK);
    stage.pass(secs(30));
    assert_eq!(stage.host.conn(id).error, Some(Error::TimedOut));
}

/// Neither a segment that comes before our end has gone holds that up, nor does closing let it go
/// again before its time.
#[test]
fn an_end_goes_in_its_time() {
    let at = Endpoint::tcp(b4(80)).keepalive(secs(2));
    let (mut stage, (mine, theirs), id) = staged(&at);
    stage.host.push(id, b"", true);
    stage.seg(&from_peer(ACK, mine - 1, theirs));
    stage.pass(MILLI);
    assert_eq!(fins(&mut stage), 1);
    stage.host.close(id);
    stage.pass(Duration::from_millis(100));
    assert_eq!(fins(&mut stage), 0);
}

/// Resets come and go.
#[test]
fn resets_need_no_memory() {
    let mut stage = Stage::new(&recipes(2)[0]);
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let (mine, theirs) = stage.handshake(a4(1_000), b4(80), 100);
    stage.pass(secs(1));
    let id = *stage.host.conns.keys().next().unwrap();
    stage.seg(&Seg::new(a4(1_000), b4(80), RST, mine, theirs));
    assert_eq!(stage.host.conn(id).error, Some(Error::Reset));
    stage.host.close(id);
    let (mine, theirs) = stage.handshake(a4(1_001), b4(80), 100);
    stage.pass(secs(1));
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.abort(id);
    stage.pass(secs(1));
    let sent = stage.segs();
    let reset = sent.last().unwrap();
    let numbers = (reset.control, reset.seq, reset.ack);
    assert_eq!(numbers, (RST | ACK, theirs, mine));
    // Text that comes once the owner has closed is no reason for memory: it is refused.
    let (mine, theirs) = stage.handshake(a4(1_002), b4(80), 100);
    stage.pass(MILLI);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.close(id);
    stage.pass(MILLI);
    stage.seg(&Seg::new(a4(1_002), b4(80), ACK, mine, theirs + 1));
    stage.segs();
    stage.seg(&Seg::new(a4(1_002), b4(80), ACK | PSH, mine, theirs + 1).payload(b"more"));
    assert_eq!(stage.segs()[0].control & RST, RST);
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_count(), 64);
}

/// Nobody connects from there, and without cookies nobody opens.
#[test]
fn what_needs_memory_is_refused() {
    let mut world = World::of(Faults::NONE, 1, &recipes(1)[0], &Recipe::new(2));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let refused = world.a.try_connect(&Endpoint::tcp(b4(80)), b"");
    assert_eq!(refused, Err(Error::Exhausted));
    assert_eq!(world.a.net.free_count(), 64);
    let mut recipe = recipes(2)[0].clone();
    recipe.cookies = false;
    let mut stage = Stage::new(&recipe);
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    stage.seg(&Seg::new(a4(1_000), b4(80), SYN, 100, 0));
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.net.counters().syns_dropped, 1);
    assert_eq!(stage.host.net.free_count(), 64);
}

/// Where there are sets, but none is free, what needs none goes on: probes are answered, and ends
/// and resets are heard.
#[test]
fn what_needs_no_set_goes_on_without_a_free_one() {
    let class = SizeClass::new(16, 4_096, 4_096).leased(1);
    let mut stage = Stage::new(&Recipe::new(2).classes(&[class]));
    stage.host.tidy = false;
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    let mut peers = Vec::new();
    for port in 1_000..1_004 {
        peers.push(stage.handshake(a4(port), b4(80), 100));
        stage.pass(MILLI);
    }
    let ids: Vec<u64> = stage.host.conns.keys().copied().collect();
    let seg = |place: usize, control, back: u32| {
        let (mine, theirs) = peers[place];
        let from = a4(1_000 + u16::try_from(place).unwrap());
        Seg::new(from, b4(80), control, mine - back, theirs)
    };
    stage.seg(&seg(0, ACK | PSH, 0).payload(b"held"));
    stage.pass(secs(1));
    stage.segs();
    assert_eq!(stage.host.net.free_sets(), 0);
    stage.seg(&seg(1, ACK, 1));
    assert_eq!(stage.segs()[0].control, ACK, "a probe");
    stage.seg(&seg(2, ACK | FIN, 0));
    assert_eq!(stage.segs()[0].ack, peers[2].0 + 1, "an end");
    stage.host.drain(ids[2]);
    assert!(stage.host.conn(ids[2]).ended);
    stage.seg(&seg(3, RST, 0));
    stage.host.drain(ids[3]);
    assert_eq!(stage.host.conn(ids[3]).error, Some(Error::Reset));
    stage.seg(&seg(1, ACK | PSH, 0).payload(b"no place"));
    assert!(stage.segs().is_empty());
    let mut end = seg(1, ACK | FIN, 0);
    end.seq += 8;
    stage.seg(&end);
    // Once there is a set, all that was put off is done.
    stage.host.conn(ids[0]).habit = Habit::Keep;
    stage.host.drain(ids[0]);
    stage.pass(secs(1));
    stage.seg(&seg(1, ACK | PSH, 0).payload(b"no place"));
    stage.host.drain(ids[1]);
    assert_eq!(stage.host.conn(ids[1]).received, b"no place");
    stage.pass(secs(1));
    assert_eq!(stage.host.net.free_sets(), 1, "the end is forgotten");
    stage.seg(&end);
    stage.host.drain(ids[1]);
    assert!(stage.host.conn(ids[1]).ended);
}

/// Says hello, and gives up after three seconds.
#[derive(Default)]
struct Impatient {
    opened: u32,
    told: u32,
    late: u32,
    closed: Vec<Closed>,
}

impl<P: Platform> Handler<P> for Impatient {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
        assert_eq!(socket.write(b"hello"), 0);
        socket.set_timeout(secs(3));
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        panic!("{data:?} has come");
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.told += 1;
        assert_eq!(socket.write(b"hello"), 0);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.late += 1;
        socket.close();
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }
}

/// A program's handler is not told that it may send, and its timeout ends the connection.
#[test]
fn a_program_is_not_told_in_vain() {
    let (wire, [here, there]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let (mut here, mut there) = (Stack::idle(here), Stack::idle(there));
    recipes(1)[0].start(&mut here).unwrap();
    Recipe::new(2).start(&mut there).unwrap();
    let (mut sockets, mut buffer) = (Sockets::<_, Impatient, 2>::new(), [0; 64]);
    let mut server = Loop::new(&mut here, &mut sockets, &mut buffer);
    server.net().listen(Endpoint::tcp(a4(80)), ()).unwrap();
    let mut peer = Host::new(there);
    let id = peer.connect(&Endpoint::tcp(a4(80)), b"in vain");
    let mut handler = Impatient::default();
    for _ in 0..20_000 {
        peer.step();
        server.poll(&mut handler, Some(Instant::ZERO)).unwrap();
        wire.pass(MILLI);
    }
    assert_eq!((handler.opened, handler.told, handler.late), (1, 0, 1));
    assert_eq!(handler.closed.len(), 1);
    assert!(peer.conn(id).ended);
    // What it had sent comes again, and is refused now.
    assert_eq!(server.platform().free_count(), 64);
}
