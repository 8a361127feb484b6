//! Datagrams on the stack in user space, against frames made by hand: what the suite of all
//! platforms cannot see.

use std::net::{IpAddr, SocketAddr};

use usockets::{
    Address, Arrival, DatagramError, DatagramOption, Datagrams, Departure, Ecn, Error, Platform,
    Readiness, SocketId,
};
use usockets_smoltcp::wire::checksum;
use usockets_smoltcp::{DatagramMemory, DatagramSlot, Socket, Stack};
use usockets_tests::smoltcp::forge::{Stage, arp, ip, udp, udp_frame as frame};
use usockets_tests::smoltcp::{A4, Device, Net, Recipe, a4, b4, leak, mac, secs, v6};

fn id(number: u64) -> SocketId {
    SocketId::from_bits((1 << 32) | number).unwrap()
}

/// A stack with four datagram sockets of so many bytes for what comes and for what it holds.
fn stage_with(received: usize, held: usize) -> Stage {
    let mut recipe = Recipe::new(2);
    recipe.datagrams = (4, received, held);
    Stage::new(&recipe)
}

fn stage() -> Stage {
    stage_with(4_096, 4_096)
}

fn try_bind(net: &mut Net, number: u64, at: impl Into<Address>) -> Result<Socket, Error> {
    let mut socket = Stack::<Device>::CLOSED;
    net.bind(&mut socket, id(number), at.into())?;
    Ok(socket)
}

fn bind(net: &mut Net, number: u64, at: SocketAddr) -> Socket {
    try_bind(net, number, at).unwrap()
}

fn receive(net: &mut Net, socket: &mut Socket) -> Vec<(Arrival, Vec<u8>)> {
    let (mut memory, mut arrivals) = (vec![0; 8 * 1_500], [Arrival::default(); 8]);
    let mut all = Vec::new();
    loop {
        let got = net.recv_batch(socket, &mut memory, &mut arrivals).unwrap();
        let parts = memory.chunks(1_500).zip(&arrivals).take(got.count);
        all.extend(parts.map(|(bytes, one)| (*one, bytes[..one.len].to_vec())));
        if got.drained {
            return all;
        }
    }
}

fn send(net: &mut Net, socket: &mut Socket, to: SocketAddr, bytes: &[u8]) -> Result<usize, Error> {
    let departure = Departure {
        len: bytes.len(),
        to: to.into(),
        ..Departure::default()
    };
    net.send_batch(socket, bytes, &[departure])
}

/// The reports of one poll.
fn reports(net: &mut Net) -> Vec<(u64, Readiness)> {
    net.poll(None).unwrap();
    let mut all = Vec::new();
    while let Some(ready) = net.next_ready() {
        all.push((ready.id.to_bits() & 0xffff, ready.readiness));
    }
    all
}

fn errors(net: &mut Net, socket: &mut Socket) -> Vec<DatagramError> {
    std::iter::from_fn(|| net.next_error(socket)).collect()
}

/// Everything that is told of a datagram, over both families.
#[test]
fn source_destination_mark_and_hops_are_told() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, ([0_u16; 8], 53).into());
    for (from, to) in [(a4(7), b4(53)), (v6(1, 7), v6(2, 53))] {
        let mut bytes = frame(from, to, b"hello", None);
        if from.is_ipv4() {
            // CE and 9 hops; the header's checksum follows.
            bytes[15] = 3;
            bytes[22] = 9;
            bytes[24..26].copy_from_slice(&[0; 2]);
            let sum = checksum::data(&bytes[14..34]);
            bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            bytes[15] = 0x30;
            bytes[21] = 9;
        }
        stage.send(&bytes);
        let got = receive(&mut stage.host.net, &mut socket);
        let [(arrival, bytes)] = &got[..] else {
            panic!("{got:?}")
        };
        assert_eq!(bytes, b"hello");
        assert_eq!(arrival.peer, from);
        assert_eq!(arrival.destination, Some(to.ip()));
        assert_eq!((arrival.interface, arrival.hops), (1, Some(9)));
        assert_eq!(arrival.ecn, Ecn::CongestionExperienced);
    }
}

/// What goes out is right to the last byte: checksums, marks, hops, addresses.
#[test]
fn what_is_sent_is_right() {
    let mut stage = stage();
    let net = &mut stage.host.net;
    let mut socket = bind(net, 1, b4(53));
    let option = DatagramOption::Hops(7);
    net.set_datagram_option(&mut socket, option).unwrap();
    let departure = Departure {
        len: 5,
        to: a4(7).into(),
        ecn: Ecn::Ect0,
        ..Departure::default()
    };
    assert_eq!(net.send_batch(&mut socket, b"hello", &[departure]), Ok(1));
    let replies = stage.replies();
    let [sent] = &replies[..] else {
        panic!("{replies:?}")
    };
    assert_eq!((sent[15], sent[22], sent[23]), (2, 7, 17));
    assert_eq!(checksum::data(&sent[14..34]), 0);
    assert_eq!(sent[34..], udp(b4(53), a4(7), b"hello", None));
    // A sum of none is written as all ones (RFC 768).
    let two = (0..=u16::MAX)
        .find(|two| {
            let bytes = udp(b4(53), a4(7), &two.to_be_bytes(), None);
            bytes[6..8] == [0; 2]
        })
        .unwrap();
    send(&mut stage.host.net, &mut socket, a4(7), &two.to_be_bytes()).unwrap();
    assert_eq!(stage.replies()[0][40..42], [0xff; 2]);
}

/// IPv4 allows none, IPv6 does not (RFC 8200, section 8.1), and a wrong one is as if never sent.
#[test]
fn checksums_are_verified_where_there_is_one() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, ([0_u16; 8], 53).into());
    for (from, to, sum, taken) in [
        (a4(7), b4(53), Some(0), true),
        (a4(7), b4(53), Some(0x1234), false),
        (v6(1, 7), v6(2, 53), Some(0), false),
        (v6(1, 7), v6(2, 53), Some(0x1234), false),
    ] {
        let before = stage.host.net.counters().malformed;
        stage.send(&frame(from, to, b"x", sum));
        assert!(stage.replies().is_empty());
        let got = receive(&mut stage.host.net, &mut socket);
        assert_eq!(got.len() == 1, taken, "{from} {sum:?}");
        let malformed = stage.host.net.counters().malformed - before;
        assert_eq!(malformed == 0, taken);
    }
}

/// A port that nobody has: ICMP says so, but not for ever; and not to what was for everybody.
#[test]
fn a_port_of_nobody_is_answered_within_bounds() {
    let mut stage = stage();
    for (from, to, at, kind) in [
        (a4(7), b4(99), 34, [3, 3]),
        (v6(1, 7), v6(2, 99), 54, [1, 4]),
    ] {
        stage.send(&arp(1, A4, 1, [10, 0, 0, 2]));
        stage.replies();
        stage.send(&frame(from, to, b"x", None));
        let replies = stage.replies();
        let error = replies.iter().find(|reply| reply.len() > at + 8);
        if from.is_ipv4() {
            assert_eq!(error.unwrap()[at..at + 2], kind);
        } else {
            // The answer waits for nobody: it goes to the station that the frame came from.
            assert_eq!(error.unwrap()[at..at + 2], kind, "{replies:?}");
        }
    }
    let mut sent = 0;
    for _ in 0..1_000 {
        stage.send(&frame(a4(7), b4(99), b"x", None));
        sent += stage.replies().len();
    }
    assert!((1..=64).contains(&sent), "{sent}");
    stage.pass(secs(1));
    let all = SocketAddr::from(([10, 0, 0, 255], 99));
    stage.send(&frame(a4(7), all, b"x", None));
    assert!(stage.replies().is_empty());
}

/// What is sent before the neighbour has answered is held, in order, as much as there is memory
/// for: the oldest make place.
#[test]
fn a_bounded_number_waits_for_a_neighbour() {
    let mut stage = stage_with(4_096, 5 * (100 + DatagramMemory::HEAD_LEN));
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    let there = SocketAddr::from(([10, 0, 0, 9], 7));
    for byte in 0..8 {
        let net = &mut stage.host.net;
        assert_eq!(send(net, &mut socket, there, &[byte; 100]), Ok(1));
    }
    let asked = stage.replies();
    assert_eq!(asked.len(), 1, "one question");
    assert_eq!(stage.host.net.counters().datagrams_displaced, 3);
    stage.send(&arp(2, [10, 0, 0, 9], 9, [10, 0, 0, 2]));
    let sent = stage.replies();
    let bytes: Vec<u8> = sent.iter().map(|frame| frame[42]).collect();
    assert_eq!(bytes, [3, 4, 5, 6, 7]);
    assert!(sent.iter().all(|frame| frame[..6] == mac(9)));
    // From now on they go at once.
    send(&mut stage.host.net, &mut socket, there, &[8; 100]).unwrap();
    assert_eq!(stage.replies().len(), 1);
}

/// A neighbour that does not answer is told of as an error of each datagram, and others still go.
#[test]
fn a_dead_neighbour_is_told_and_holds_up_nobody() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    let dead = SocketAddr::from(([10, 0, 0, 9], 7));
    send(&mut stage.host.net, &mut socket, dead, b"a").unwrap();
    send(&mut stage.host.net, &mut socket, dead, b"b").unwrap();
    send(&mut stage.host.net, &mut socket, a4(7), b"c").unwrap();
    let sent = stage.replies();
    assert_eq!(sent.len(), 2, "a question, and the one that can go");
    assert_eq!(sent[1][42..43], *b"c");
    stage.pass(secs(5));
    let told = errors(&mut stage.host.net, &mut socket);
    let expected = DatagramError::new(dead.into(), Error::Unreachable, 0);
    assert_eq!(told, [expected, expected]);
    send(&mut stage.host.net, &mut socket, a4(7), b"d").unwrap();
    let last = stage.replies().pop().unwrap();
    assert_eq!(last[42..43], *b"d");
}

/// A full device blocks, and room is reported once.
#[test]
fn room_is_reported_once_after_a_full_device() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    let net = &mut stage.host.net;
    net.device_mut().set_room(Some(3));
    let one = Departure {
        len: 1,
        to: a4(7).into(),
        ..Departure::default()
    };
    assert_eq!(net.send_batch(&mut socket, b"x", &[one; 5]), Ok(3));
    assert_eq!(net.send_batch(&mut socket, b"x", &[one; 2]), Ok(0));
    for _ in 0..5 {
        assert_eq!(reports(net), []);
        assert!(net.next_deadline().is_some(), "it looks again");
    }
    net.device_mut().set_room(Some(2));
    stage.wire.pass(secs(1));
    let net = &mut stage.host.net;
    assert_eq!(reports(net), [(1, Readiness::WRITABLE)]);
    assert_eq!(reports(net), []);
    assert_eq!(net.send_batch(&mut socket, b"x", &[one; 2]), Ok(2));
    assert_eq!(reports(net), []);
}

/// So does one whose last room goes to a question for the neighbour, to hear of it again.
#[test]
fn a_question_that_takes_the_last_room_blocks_a_datagram() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    send(&mut stage.host.net, &mut socket, a4(7), b"a").unwrap();
    assert_eq!(stage.replies().len(), 1);
    stage.pass(secs(40));
    stage.host.net.device_mut().set_room(Some(1));
    let one = Departure {
        len: 1,
        to: a4(7).into(),
        ..Departure::default()
    };
    assert_eq!(stage.host.net.send_batch(&mut socket, b"b", &[one]), Ok(0));
    let asked = stage.replies();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0][12..14], [8, 6], "it is ARP");
    stage.host.net.device_mut().set_room(None);
    assert_eq!(stage.host.net.send_batch(&mut socket, b"b", &[one]), Ok(1));
    assert_eq!(stage.replies()[0][42..43], *b"b");
}

/// What is held while the device is full goes when it has room, in order.
#[test]
fn held_datagrams_wait_for_room_too() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    let there = SocketAddr::from(([10, 0, 0, 9], 7));
    for byte in 0..4 {
        send(&mut stage.host.net, &mut socket, there, &[byte]).unwrap();
    }
    stage.replies();
    stage.host.net.device_mut().set_room(Some(1));
    stage.send(&arp(2, [10, 0, 0, 9], 9, [10, 0, 0, 2]));
    assert_eq!(stage.replies().len(), 1);
    stage.host.net.device_mut().set_room(None);
    stage.pass(secs(1));
    let rest: Vec<u8> = stage.replies().iter().map(|frame| frame[42]).collect();
    assert_eq!(rest, [1, 2, 3]);
}

/// An ICMP error, of the given type and code, that quotes a datagram from `from` to `to`.
fn icmp(kind: [u8; 2], word: u32, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let quoted = ip(from.ip(), to.ip(), 17, &udp(from, to, b"x", None), 2, 1);
    let mut body = vec![kind[0], kind[1], 0, 0];
    body.extend(word.to_be_bytes());
    body.extend(&quoted[14..]);
    if from.is_ipv4() {
        let sum = checksum::data(&body);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        return ip(to.ip(), from.ip(), 1, &body, 1, 2);
    }
    let sum = checksum::transport(to.ip(), from.ip(), 58, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(to.ip(), from.ip(), 58, &body, 1, 2)
}

/// Each kind of ICMP error is that of its datagram; what concerns no socket here is no event.
#[test]
fn errors_are_of_the_datagram_that_they_quote() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, ([0_u16; 8], 53).into());
    for (from, to, kind, word, error, mtu) in [
        (b4(53), a4(7), [3, 3], 0, Error::Refused, 0),
        (b4(53), a4(7), [3, 1], 0, Error::Unreachable, 0),
        (b4(53), a4(7), [3, 4], 1_400, Error::Invalid, 1_400),
        (b4(53), a4(7), [11, 0], 0, Error::Unreachable, 0),
        (v6(2, 53), v6(1, 7), [1, 4], 0, Error::Refused, 0),
        (v6(2, 53), v6(1, 7), [2, 0], 1_280, Error::Invalid, 1_280),
    ] {
        stage.hand.inject(&icmp(kind, word, from, to));
        let net = &mut stage.host.net;
        assert_eq!(reports(net), [(1, Readiness::ERROR)]);
        let expected = DatagramError::new(to.into(), error, mtu);
        assert_eq!(errors(net, &mut socket), [expected]);
    }
    // Of another port, from another host's address, and of a peer that is not the fixed one.
    let net = &mut stage.host.net;
    net.set_peer(&mut socket, a4(7).into()).unwrap();
    for (from, to) in [(b4(54), a4(7)), (a4(53), b4(7)), (b4(53), a4(8))] {
        stage.send(&icmp([3, 3], 0, from, to));
        assert_eq!(errors(&mut stage.host.net, &mut socket), []);
    }
    // More than are kept do no harm.
    for _ in 0..100 {
        stage.send(&icmp([3, 3], 0, b4(53), a4(7)));
    }
    assert_eq!(errors(&mut stage.host.net, &mut socket).len(), 4);
}

#[test]
fn what_finds_no_memory_is_counted() {
    let mut stage = stage_with(3 * (10 + DatagramMemory::HEAD_LEN), 0);
    let mut socket = bind(&mut stage.host.net, 1, b4(53));
    for _ in 0..5 {
        stage.send(&frame(a4(7), b4(53), &[1; 10], None));
    }
    assert_eq!(receive(&mut stage.host.net, &mut socket).len(), 3);
    assert_eq!(stage.host.net.counters().datagrams_dropped, 2);
    stage.send(&frame(a4(7), b4(53), &[1; 10], None));
    assert_eq!(receive(&mut stage.host.net, &mut socket).len(), 1);
    // Without memory to hold it, what waits for a neighbour is lost, and counted.
    let there = SocketAddr::from(([10, 0, 0, 9], 7));
    assert_eq!(send(&mut stage.host.net, &mut socket, there, b"x"), Ok(1));
    assert_eq!(stage.host.net.counters().datagrams_displaced, 1);
}

/// Broadcasts go only if the option says so, and come to who is bound to all addresses.
#[test]
fn broadcasts_go_and_come() {
    let mut stage = stage();
    let mut socket = bind(&mut stage.host.net, 1, ([0; 4], 53).into());
    for all in [[255; 4], [10, 0, 0, 255]] {
        let to = SocketAddr::from((all, 53));
        let net = &mut stage.host.net;
        let option = |on| DatagramOption::Broadcast(on);
        net.set_datagram_option(&mut socket, option(false)).unwrap();
        assert_eq!(send(net, &mut socket, to, b"x"), Err(Error::Denied));
        net.set_datagram_option(&mut socket, option(true)).unwrap();
        assert_eq!(send(net, &mut socket, to, b"x"), Ok(1));
        assert_eq!(stage.replies()[0][..6], [0xff; 6]);
        let mut bytes = frame(a4(7), to, b"y", None);
        bytes[..6].fill(0xff);
        stage.send(&bytes);
        let got = receive(&mut stage.host.net, &mut socket);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].0.destination, Some(to.ip()));
    }
    // For one station, in a frame for all (RFC 1122, section 3.3.6).
    let mut bytes = frame(a4(7), b4(53), b"y", None);
    bytes[..6].fill(0xff);
    stage.send(&bytes);
    assert!(receive(&mut stage.host.net, &mut socket).is_empty());
}

/// Groups are heard once they are joined, for the source asked for, until they are left.
#[test]
fn groups_are_heard_while_they_are_joined() {
    let mut stage = stage();
    let any = SocketAddr::from(([0_u16; 8], 5_353));
    let mut socket = bind(&mut stage.host.net, 1, any);
    let groups: [(IpAddr, SocketAddr, [u8; 6]); 2] = [
        ([224, 0, 0, 251].into(), a4(7), [1, 0, 0x5e, 0, 0, 251]),
        (
            "ff02::fb".parse().unwrap(),
            v6(1, 7),
            [0x33, 0x33, 0, 0, 0, 0xfb],
        ),
    ];
    for (group, from, mac) in groups {
        let to = SocketAddr::new(group, 5_353);
        let mut bytes = frame(from, to, b"y", None);
        bytes[..6].copy_from_slice(&mac);
        let heard = |stage: &mut Stage, socket: &mut Socket| {
            stage.send(&bytes);
            assert!(stage.replies().is_empty());
            receive(&mut stage.host.net, socket).len()
        };
        assert_eq!(heard(&mut stage, &mut socket), 0);
        for (source, count) in [(None, 1), (Some(from.ip()), 1), (Some(b4(0).ip()), 0)] {
            let (join, leave) = (
                DatagramOption::Join {
                    group,
                    source,
                    interface: 0,
                },
                DatagramOption::Leave {
                    group,
                    source,
                    interface: 0,
                },
            );
            let set = |stage: &mut Stage, socket: &mut Socket, option| {
                stage.host.net.set_datagram_option(socket, option)
            };
            set(&mut stage, &mut socket, join).unwrap();
            assert_eq!(set(&mut stage, &mut socket, join), Err(Error::AddressInUse));
            assert_eq!(heard(&mut stage, &mut socket), count, "{group} {source:?}");
            set(&mut stage, &mut socket, leave).unwrap();
            let gone = set(&mut stage, &mut socket, leave);
            assert_eq!(gone, Err(Error::AddressUnavailable));
            assert_eq!(heard(&mut stage, &mut socket), 0);
        }
        // Sent to, with one hop, and heard here as well if it is joined.
        let join = DatagramOption::Join {
            group,
            source: None,
            interface: 1,
        };
        stage
            .host
            .net
            .set_datagram_option(&mut socket, join)
            .unwrap();
        send(&mut stage.host.net, &mut socket, to, b"z").unwrap();
        let sent = stage.replies().remove(0);
        assert_eq!(sent[..6], mac);
        assert_eq!(if from.is_ipv4() { sent[22] } else { sent[21] }, 1);
        assert_eq!(receive(&mut stage.host.net, &mut socket).len(), 1);
    }
}

/// Sockets are found by port and address; a closed one's port is free and its slot another's.
#[test]
fn every_socket_gets_its_own() {
    let mut stage = stage();
    let net = &mut stage.host.net;
    let mut all = bind(net, 1, ([0; 4], 53).into());
    let mut own = bind(net, 2, b4(54));
    let mut six = bind(net, 3, v6(2, 53));
    for taken in [
        b4(53),
        ([0; 4], 54).into(),
        ([0_u16; 8], 54).into(),
        v6(2, 53),
    ] {
        let again = try_bind(net, 9, taken);
        assert_eq!(again.err(), Some(Error::AddressInUse), "{taken}");
    }
    let mut last = bind(net, 4, b4(0));
    let full = try_bind(net, 9, b4(0));
    assert_eq!(full.err(), Some(Error::Exhausted));
    let unnamed = try_bind(net, 9, Address::Unnamed);
    assert_eq!(unnamed.err(), Some(Error::Unsupported));
    for (from, to) in [(a4(1), b4(53)), (a4(2), b4(54)), (v6(1, 3), v6(2, 53))] {
        stage.send(&frame(from, to, b"x", None));
    }
    for (socket, port) in [(&mut all, 1), (&mut own, 2), (&mut six, 3)] {
        let got = receive(&mut stage.host.net, socket);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].0.peer.ip().unwrap().port(), port);
    }
    // What was queued for a socket that closes is nobody else's, report and all.
    stage.hand.inject(&frame(a4(1), b4(53), b"x", None));
    let net = &mut stage.host.net;
    net.poll(None).unwrap();
    net.close(&mut all);
    net.close(&mut last);
    let mut again = bind(net, 5, ([0; 4], 53).into());
    assert_eq!(reports(net), []);
    assert_eq!(receive(net, &mut again), []);
    stage.hand.inject(&frame(a4(1), b4(53), b"x", None));
    assert_eq!(reports(&mut stage.host.net), [(5, Readiness::READABLE)]);
}

/// Every datagram of many to many sockets comes to its own, whatever is bound and closed meanwhile.
#[test]
fn many_sockets_are_told_apart() {
    let mut recipe = Recipe::new(2);
    recipe.datagrams = (500, 256, 0);
    let mut stage = Stage::new(&recipe);
    let mut random = usockets_smoltcp::Random::new(usockets_tests::smoltcp::seed(3));
    let mut sockets: Vec<Option<Socket>> = (0..500).map(|_| None).collect();
    for _ in 0..20_000 {
        let which = random.below(500) as usize;
        let port = 1_000 + which as u16;
        let net = &mut stage.host.net;
        match (&mut sockets[which], random.below(4)) {
            (place @ None, 0..3) => *place = Some(bind(net, which as u64 + 1, b4(port))),
            (place @ Some(_), 0) => net.close(&mut place.take().unwrap()),
            (place, _) => {
                stage.send(&frame(a4(7), b4(port), &port.to_be_bytes(), None));
                stage.replies();
                if let Some(socket) = place {
                    let got = receive(&mut stage.host.net, socket);
                    assert_eq!(got.len(), 1);
                    assert_eq!(got[0].1, port.to_be_bytes());
                }
            }
        }
    }
}

/// A stack that was given no memory for them has no datagram sockets, and says so.
#[test]
fn without_memory_there_are_none() {
    let mut stage = Stage::new(&Recipe::new(2));
    let net = &mut stage.host.net;
    let none = try_bind(net, 1, b4(53));
    assert_eq!(none.err(), Some(Error::Exhausted));
    let memory = |sockets: usize, buckets: usize| DatagramMemory {
        sockets: leak(sockets, || DatagramSlot::EMPTY),
        buckets: leak(buckets, || 0),
        received: leak(100, || 0),
        held: leak(100, || 0),
    };
    assert_eq!(net.start_datagrams(memory(0, 1)), Err(Error::Invalid));
    assert_eq!(net.start_datagrams(memory(1, 0)), Err(Error::Invalid));
    assert_eq!(net.start_datagrams(memory(1, 1)), Ok(()));
    assert_eq!(net.start_datagrams(memory(1, 1)), Err(Error::Invalid));
    bind(net, 1, b4(53));
}
