//! Fuzz bodies: what arbitrary bytes make of stacks. None may panic, and every slot comes back.

use std::fmt;
use std::net::SocketAddr;

use ::smoltcp::wire::TcpPacket;
use usockets::{Arrival, Datagrams, Departure, Duration, Endpoint, Platform};
use usockets_smoltcp::{Faults, SizeClass, Socket, Stack};

use super::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage, arp, ping};
use super::{Device, Habit, Recipe, World, a4, b4, pattern, reclaim, secs, stock, v6};

/// Decisions out of bytes; zeros when they are used up.
struct Script<'b> {
    bytes: &'b [u8],
}

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    const fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.byte()) % from.len().max(1);
        from.get(at).copied()
    }
}

/// What the hand knows of a connection: enough to hit it.
#[derive(Clone, Copy)]
struct Known {
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    ack: u32,
}

/// Frames into a stack with listeners, connects and open sockets, with calls in between.
pub fn fuzz_frames(bytes: &[u8]) {
    frames(bytes);
    // SAFETY: all that was made on this thread lived in that call.
    unsafe { reclaim() };
}

fn frames(bytes: &[u8]) {
    let mut script = Script { bytes };
    let setup = script.byte();
    let class = SizeClass::new(6, 700, 900).half_open(usize::from(setup & 3));
    let mut recipe = Recipe::new(2).classes(&[class]);
    recipe.cookies = setup & 4 != 0;
    recipe.datagrams = (2, 500, 200);
    let mut stage = Stage::new(&recipe);
    stage.host.tidy = setup & 8 != 0;
    let mut mail = Stack::<Device>::CLOSED;
    let port = SocketAddr::from(([0_u16; 8], 80));
    let id = stage.host.id();
    let bound = stage.host.net.bind(&mut mail, id, port.into());
    bound.expect("a free socket");
    let at = Endpoint::tcp(([0_u16; 8], 80).into()).backlog(3);
    let habit = if setup & 16 != 0 {
        Habit::Echo
    } else {
        Habit::Keep
    };
    stage.host.listen(&at, habit);
    let mut known: Vec<Known> = Vec::new();
    while !script.is_over() {
        step(&mut stage, &mut script, &mut known);
        answer_datagrams(&mut stage, &mut mail);
        for seg in stage.segs() {
            let next = seg
                .seq
                .wrapping_add(seg.payload.len() as u32)
                .wrapping_add(u32::from(seg.control & (SYN | FIN) != 0));
            let few = known.len() < 32;
            match known
                .iter_mut()
                .find(|known| known.from == seg.to && known.to == seg.from)
            {
                Some(known) => {
                    known.ack = next;
                    if seg.control & ACK != 0 {
                        known.seq = seg.ack;
                    }
                }
                None if few => known.push(Known {
                    from: seg.to,
                    to: seg.from,
                    seq: seg.ack,
                    ack: next,
                }),
                None => {}
            }
        }
    }
    stage.host.net.device_mut().set_room(None);
    let listeners: Vec<u64> = stage.host.listeners.keys().copied().collect();
    listeners.into_iter().for_each(|id| stage.host.unlisten(id));
    let conns: Vec<u64> = stage.host.conns.keys().copied().collect();
    conns.into_iter().for_each(|id| stage.host.close(id));
    for _ in 0..300 {
        stage.wire.pass(secs(1));
        stage.host.step();
        stage.host.step();
        stage.replies();
        if stage.host.net.free_count() == 6 {
            return;
        }
    }
    panic!("a slot is lost: {:?}", stage.host.net);
}

/// Sends back what has come, and takes the errors of that.
fn answer_datagrams(stage: &mut Stage, mail: &mut Socket) {
    let net = &mut stage.host.net;
    let (mut memory, mut arrivals) = ([0; 100], [Arrival::default(); 2]);
    let got = net.recv_batch(mail, &mut memory, &mut arrivals);
    let count = got.expect("a bound socket").count;
    for (turn, arrival) in arrivals.iter().take(count).enumerate() {
        assert!(arrival.len <= 50);
        let departure = Departure {
            start: turn * 50,
            len: arrival.len,
            to: arrival.peer,
            ..Departure::default()
        };
        // Some come from ports or stations that nothing can be sent to.
        let _ = net.send_batch(mail, &memory, &[departure]);
    }
    while net.next_error(mail).is_some() {}
}

fn step(stage: &mut Stage, script: &mut Script<'_>, known: &mut [Known]) {
    match script.byte() % 16 {
        0 => {
            let len = usize::from(script.byte());
            let mut frame = script.take(len);
            if let Some(start) = frame.get_mut(..12) {
                start.copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
            }
            stage.send(&frame);
        }
        1 => {
            let port = 1 + u16::from(script.byte() % 8);
            let v6_too = script.byte() & 1 != 0;
            let (from, to) = if v6_too {
                (v6(1, port), v6(2, 80))
            } else {
                (a4(port), b4(80))
            };
            let mut syn = Seg::new(from, to, SYN, u32::from(script.word()), 0);
            if script.byte() & 1 != 0 {
                syn.options = script.take(8);
            }
            stage.seg(&syn);
        }
        2..=7 => segment(stage, script, known),
        8 => {
            let millis = u64::from(script.word());
            stage.wire.pass(Duration::from_millis(millis));
            stage.host.step();
            stage.host.step();
        }
        9 => {
            let to = [
                a4(7_000),
                v6(1, 7_000),
                ([10, 0, 0, 9], 1).into(),
                ([99, 0, 0, 1], 1).into(),
            ];
            let to = script.pick(&to).unwrap();
            let mut endpoint = Endpoint::tcp(to);
            if script.byte() & 1 != 0 {
                endpoint = endpoint.keepalive(Duration::from_millis(1 + u64::from(script.word())));
            }
            let _ = stage.host.try_connect(&endpoint, &[1; 100]);
        }
        10..=12 => call(stage, script),
        13 => {
            let room = script.byte();
            let room = (room < 4).then_some(usize::from(room));
            stage.host.net.device_mut().set_room(room);
        }
        14 => {
            let host = script.byte();
            let operation = 1 + (script.byte() & 1);
            stage.send(&arp(operation, [10, 0, 0, host], host, [10, 0, 0, 2]));
        }
        _ => {
            let len = usize::from(script.byte());
            stage.send(&ping(a4(0).ip(), b4(0).ip(), 1, 2, len));
        }
    }
    stage.host.step();
}

/// A segment for a connection there is, right or a little beside.
fn segment(stage: &mut Stage, script: &mut Script<'_>, known: &mut [Known]) {
    let Some(conn) = script.pick(known) else {
        return;
    };
    let beside = |script: &mut Script<'_>| match script.byte() {
        0..=199 => 0_u32,
        200..=219 => 1,
        220..=229 => u32::MAX,
        230..=239 => u32::from(script.word()),
        240..=249 => u32::from(script.word()).wrapping_neg(),
        _ => u32::from(script.word()) << 16,
    };
    let controls = [
        ACK,
        ACK,
        ACK | PSH,
        FIN | ACK,
        RST,
        RST | ACK,
        SYN,
        SYN | ACK,
        SYN | FIN,
        0,
    ];
    let control = script.pick(&controls).unwrap();
    let seq = conn.seq.wrapping_add(beside(script));
    let ack = conn.ack.wrapping_add(beside(script));
    let mut seg = Seg::new(conn.from, conn.to, control, seq, ack);
    seg.window = script.pick(&[8_192, 0, 1, 100, u16::MAX, 500]).unwrap();
    let len = usize::from(script.word()) % 900;
    seg.payload = vec![7; if script.byte() & 1 == 0 { len } else { 0 }];
    if script.byte() > 220 {
        let len = 4 * usize::from(1 + script.byte() % 9);
        seg.options = script.take(len);
    }
    stage.seg(&seg);
}

/// A call of the owner's.
fn call(stage: &mut Stage, script: &mut Script<'_>) {
    let ids: Vec<u64> = stage.host.conns.keys().copied().collect();
    let what = script.byte() % 8;
    let len = usize::from(script.word() % 2_000);
    let Some(id) = script.pick(&ids) else {
        return;
    };
    match what {
        0 => stage.host.close(id),
        1 => stage.host.abort(id),
        2 => stage.host.push(id, b"", true),
        3 => stage.host.drain(id),
        4 => stage.host.conn(id).habit = Habit::Deaf,
        5 => stage.host.conn(id).habit = Habit::Keep,
        _ => stage.host.push(id, &vec![3; len], false),
    }
}

/// Streams both ways between two stacks across a faulty wire, against what was written.
pub fn fuzz_two_stacks(bytes: &[u8]) {
    two_stacks(bytes);
    // SAFETY: all that was made on this thread lived in that call.
    unsafe { reclaim() };
}

/// Whether smoltcp takes every checksum for right, as `cargo fuzz` builds it unless told
/// `--no-cfg-fuzzing`.
fn is_blind() -> bool {
    let (from, to) = (a4(0).ip().into(), b4(0).ip().into());
    TcpPacket::new_unchecked(&[0; 20][..]).verify_checksum(&from, &to)
}

/// Sizes of buffers.
const SIZES: [usize; 5] = [64, 700, 3_000, 20_000, 65_535];

fn faults(script: &mut Script<'_>) -> Faults {
    let mut ppm = || u32::from(script.byte()) * 600;
    let faults = Faults::NONE
        .loss(ppm())
        .duplicate(ppm())
        .reorder(ppm())
        .corrupt(ppm())
        .delay(Duration::from_micros(u64::from(ppm()) / 20));
    if is_blind() {
        return faults.corrupt(0);
    }
    faults
}

fn two_stacks(bytes: &[u8]) {
    let mut script = Script { bytes };
    let faults = faults(&mut script);
    let mut size = || script.pick(&SIZES).unwrap();
    let mut recipes =
        [1, 2].map(|host| Recipe::new(host).classes(&[SizeClass::new(4, size(), size())]));
    recipes[0].cookies = script.byte() & 1 == 0;
    let mut world = World::of(faults, u64::from(script.word()), &recipes[0], &recipes[1]);
    let pairs = exchange(&mut world, &mut script);
    let world = finish(world, &pairs);
    assert_eq!((world.a.net.free_count(), world.b.net.free_count()), (4, 4));
}

/// Streams both ways between our stack and smoltcp's across a faulty wire, against what was
/// written. The first bit says which of them connects.
pub fn fuzz_stock(bytes: &[u8]) {
    against_stock(bytes);
    // SAFETY: all that was made on this thread lived in that call.
    unsafe { reclaim() };
}

fn against_stock(bytes: &[u8]) {
    let mut script = Script { bytes };
    let connects = script.byte() & 1 == 0;
    let faults = faults(&mut script);
    let mut size = || script.pick(&SIZES).unwrap();
    let (class, buffer) = (SizeClass::new(4, size(), size()), size());
    let seed = u64::from(script.word());
    let ours = |host| move |port| Recipe::new(host).classes(&[class]).build_on(port);
    let stock = |host| move |port| stock::build_on(host, 5, buffer, port);
    if connects {
        let mut world = World::mixed(faults, seed, (ours(1), stock(2)));
        let pairs = exchange(&mut world, &mut script);
        let world = finish(world, &pairs);
        assert_eq!((world.a.net.free_count(), world.b.net.free_count()), (4, 5));
    } else {
        let mut world = World::mixed(faults, seed, (stock(1), ours(2)));
        let pairs = exchange(&mut world, &mut script);
        let world = finish(world, &pairs);
        assert_eq!((world.a.net.free_count(), world.b.net.free_count()), (5, 4));
    }
}

/// A connection of the first host's, and how many octets of which pattern went forth and back.
type Exchanged = (u64, u64, usize, usize);

/// Opens connections and sends on them as the script says, through faults.
fn exchange<A, B>(world: &mut World<A, B>, script: &mut Script<'_>) -> Vec<Exchanged>
where
    A: Platform + fmt::Debug,
    B: Platform + fmt::Debug,
{
    world.b.tidy = false;
    world
        .b
        .listen(&Endpoint::tcp(([0_u16; 8], 80).into()), Habit::Keep);
    let count = 1 + u64::from(script.byte()) % 3;
    let mut pairs = Vec::new();
    for salt in 0..count {
        let to = if script.byte() & 1 == 0 {
            b4(80)
        } else {
            v6(2, 80)
        };
        let id = world
            .a
            .connect(&Endpoint::tcp(to).nodelay(script.byte() & 1 == 0), b"");
        pairs.push((id, salt, 0, 0));
    }
    while !script.is_over() {
        let (id, salt, forth, back) = &mut pairs[usize::from(script.byte()) % count as usize];
        let len = usize::from(script.word()) % 5_000;
        match script.byte() % 4 {
            0 if world.a.conn(*id).error.is_none() => {
                let all = pattern(*forth + len, *salt);
                world.a.push(*id, &all[*forth..], false);
                *forth += len;
            }
            1 => {
                let from = world.a.net_addr(*id);
                let other = world.b.conns.iter().find(|(_, conn)| conn.peer == from);
                if let Some((&other, _)) = other {
                    let all = pattern(*back + len, *salt + 100);
                    world.b.push(other, &all[*back..], false);
                    *back += len;
                }
            }
            _ => world.pass(Duration::from_micros(len as u64 * 40)),
        }
    }
    world.wire.set_faults(Faults::NONE);
    for (id, ..) in &pairs {
        world.a.push(*id, b"", true);
    }
    pairs
}

/// Ends all streams and compares.
fn finish<A, B>(mut world: World<A, B>, pairs: &[Exchanged]) -> World<A, B>
where
    A: Platform + fmt::Debug,
    B: Platform + fmt::Debug,
{
    world.pass(secs(400));
    let others: Vec<u64> = world.b.conns.keys().copied().collect();
    others
        .into_iter()
        .for_each(|id| world.b.push(id, b"", true));
    world.pass(secs(400));
    for (id, salt, forth, back) in pairs {
        let mine = world.a.conn(*id);
        let whole = mine.error.is_none();
        assert!(pattern(*back, salt + 100).starts_with(&mine.received));
        assert!(!whole || mine.received.len() == *back, "{:?}", world.wire);
        assert!(mine.is_done());
        let from = world.a.net_addr(*id);
        if let Some(conn) = world.b.conns.values().find(|conn| conn.peer == from) {
            assert!(pattern(*forth, *salt).starts_with(&conn.received));
            assert!(!whole || conn.received.len() == *forth);
        }
    }
    world.a.close_all();
    world.b.close_all();
    world.pass(secs(300));
    world
}
