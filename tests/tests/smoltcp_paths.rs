//! What the network says of a path: packets too big for it, peers that cannot be reached, headers
//! between IP and TCP, and where the stack is.

use usockets::{Duration, Endpoint, Error};
use usockets_smoltcp::wire::checksum;
use usockets_smoltcp::wire::icmp::{Icmp, Unreachable};
use usockets_smoltcp::wire::ipv6::Ipv6;
use usockets_smoltcp::{Faults, Medium};
use usockets_tests::smoltcp::forge::{
    ACK, CWR, ECE, PSH, SYN, Seg, Stage, arp, codepoint, frames, ip, mark, read, solicit,
};
use usockets_tests::smoltcp::{Habit, Host, Recipe, World, a4, b4, pattern, secs, v6, wire};

/// The address of a router that nobody asked.
const ROUTER: [u8; 4] = [10, 0, 0, 254];

fn stage() -> Stage {
    let mut stage = Stage::new(&Recipe::new(2));
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    stage.host.listen(&at, Habit::Keep);
    stage
}

/// The frame of an ICMP error about a segment that the stack has sent.
fn error(make: impl Fn(&[u8]) -> Icmp<'_>, sent: &Seg) -> Vec<u8> {
    let quoted = ip(sent.from.ip(), sent.to.ip(), 6, &sent.tcp(), 2, 1)[14..].to_vec();
    let mut body = vec![0; 1_200];
    let about = &quoted[..quoted.len().min(28)];
    let len = make(about).emit_v4(&mut body).unwrap();
    ip(ROUTER.into(), b4(0).ip(), 1, &body[..len], 1, 2)
}

/// Opens a connection and sends `len` bytes on it; returns what was sent.
fn sending(stage: &mut Stage, len: usize) -> (u32, u32, Vec<Seg>) {
    let (mine, theirs) = stage.handshake(a4(5_000), b4(80), 99);
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &pattern(len, 1), false);
    stage.host.step();
    (mine, theirs, stage.segs())
}

/// RFC 1191: what was too big comes again, smaller, and at once.
#[test]
fn a_segment_that_is_too_big_is_sent_again_in_smaller_ones() {
    let mut stage = stage();
    let (_, theirs, sent) = sending(&mut stage, 4_000);
    assert!(sent.iter().any(|seg| seg.payload.len() > 500));
    let first = sent.iter().find(|seg| seg.seq == theirs).unwrap();
    stage.send(&error(|packet| Icmp::TooBig { mtu: 400, packet }, first));
    stage.pass(Duration::from_millis(5));
    let again = stage.segs();
    assert!(again.iter().any(|seg| seg.seq == theirs), "{again:?}");
    for seg in &again {
        assert!(seg.payload.len() <= 360, "{} bytes", seg.payload.len());
    }
}

/// RFC 5927: about something that was never sent, it is a lie.
#[test]
fn what_icmp_says_of_segments_never_sent_does_nothing() {
    let mut stage = stage();
    let (mine, theirs, sent) = sending(&mut stage, 4_000);
    let mut lie = sent[0].clone();
    for ahead in [4_001, 1 << 20, 1 << 31, u32::MAX - 5] {
        lie.seq = theirs.wrapping_add(ahead);
        stage.send(&error(|packet| Icmp::TooBig { mtu: 400, packet }, &lie));
        let reason = Unreachable::Port;
        stage.send(&error(|packet| Icmp::Unreachable { reason, packet }, &lie));
    }
    // And a truth about a connection in use is no reason to end it (section 5.2).
    let reason = Unreachable::Protocol;
    stage.send(&error(
        |packet| Icmp::Unreachable { reason, packet },
        &sent[0],
    ));
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.only().error, None);
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK | PSH, mine, theirs).payload(b"go on"));
    assert_eq!(stage.host.only().received, b"go on");
}

/// The whole of it, as seen by the other end: a router whose next link takes 300 bytes.
#[test]
fn a_stream_finds_the_path_between_two_links() {
    let mut stage = stage();
    let (mine, theirs, mut sent) = sending(&mut stage, 4_000);
    let whole = pattern(4_000, 1);
    let mut got = vec![None; 4_000];
    for _ in 0..200 {
        for seg in core::mem::take(&mut sent) {
            if seg.payload.len() + 40 > 300 {
                stage.send(&error(|packet| Icmp::TooBig { mtu: 300, packet }, &seg));
            } else {
                let at = seg.seq.wrapping_sub(theirs) as usize;
                for (place, byte) in got[at..].iter_mut().zip(&seg.payload) {
                    *place = Some(*byte);
                }
            }
        }
        let known = got.iter().take_while(|byte| byte.is_some()).count();
        let ack = theirs + known as u32;
        stage.seg(&Seg::new(a4(5_000), b4(80), ACK, mine, ack));
        if known == 4_000 {
            break;
        }
        stage.pass(Duration::from_millis(10));
        sent = stage.segs();
    }
    let got: Option<Vec<u8>> = got.into_iter().collect();
    assert!(got.is_some_and(|got| got == whole));
}

/// RFC 1122, section 4.2.3.9: a hard error ends a connect at once, a soft one when it is given up.
#[test]
fn a_connect_ends_when_icmp_says_that_nobody_is_there() {
    for (reason, at_once) in [
        (Unreachable::Port, true),
        (Unreachable::Protocol, true),
        (Unreachable::Route, false),
        (Unreachable::Prohibited, false),
    ] {
        let mut stage = stage();
        let to = Endpoint::tcp(a4(9)).source(b4(7_000));
        let id = stage.host.connect(&to, b"x");
        stage.host.step();
        let sent = stage.segs();
        stage.send(&error(
            |packet| Icmp::Unreachable { reason, packet },
            &sent[0],
        ));
        let expected = at_once.then_some(Error::Refused);
        assert_eq!(stage.host.conn(id).error, expected, "{reason:?}");
        stage.pass(secs(11));
        assert!(stage.host.conn(id).error.is_some(), "{reason:?}");
        if !at_once {
            let again = stage.segs().iter().filter(|seg| seg.control == SYN).count();
            assert!(again >= 2, "it is tried again: {again}");
        }
    }
}

/// RFC 3168, section 5: text goes as ECT(0), and CE of what comes is echoed.
#[test]
fn congestion_is_told_both_ways_on_ipv4_and_ipv6() {
    for (from, to) in [(a4(5_000), b4(80)), (v6(1, 5_000), v6(2, 80))] {
        let mut stage = stage();
        stage.send(&solicit());
        stage.replies();
        stage.seg(&Seg::new(from, to, SYN | ECE | CWR, 99, 0));
        let answer = stage.replies().remove(0);
        assert_eq!(codepoint(&answer), 0);
        let answer = read(&answer).unwrap();
        assert_eq!(answer.control, SYN | ACK | ECE);
        let theirs = answer.seq.wrapping_add(1);
        stage.seg(&Seg::new(from, to, ACK, 100, theirs));
        let id = *stage.host.conns.keys().next().unwrap();
        stage.host.push(id, b"text", false);
        stage.host.step();
        let text = stage.replies().remove(0);
        assert_eq!(codepoint(&text), 2, "ECT(0)");
        let mut frame = Seg::new(from, to, ACK | PSH, 100, theirs.wrapping_add(4))
            .payload(b"marked")
            .frame(1, 2);
        mark(&mut frame);
        stage.send(&frame);
        let echo = stage.replies().remove(0);
        assert_eq!(codepoint(&echo), 0);
        assert_eq!(read(&echo).unwrap().control, ACK | ECE);
        assert_eq!(stage.host.net.counters().congestion_marks, 1);
    }
}

/// A SYN over IPv6 behind the given headers, the first of which is `first`.
fn behind(headers: &[u8], first: u8) -> Vec<u8> {
    let mut body = headers.to_vec();
    body.extend(Seg::new(v6(1, 5_000), v6(2, 80), SYN, 100, 0).tcp());
    ip(v6(1, 0).ip(), v6(2, 0).ip(), first, &body, 1, 2)
}

/// RFC 8200, section 4.
#[test]
fn extension_headers_are_passed() {
    const PAD: [u8; 8] = [6, 0, 1, 4, 0, 0, 0, 0];
    let accepted: [(&str, &[u8], u8); 6] = [
        ("hop-by-hop", &PAD, 0),
        ("destination options", &PAD, 60),
        (
            "a routing header with nothing left",
            &[6, 0, 0, 0, 0, 0, 0, 0],
            43,
        ),
        ("an atomic fragment", &[6, 0, 0, 0, 1, 2, 3, 4], 44),
        ("an option to skip", &[6, 0, 0x1e, 4, 0, 0, 0, 0], 60),
        (
            "several",
            &[43, 0, 1, 4, 0, 0, 0, 0, 6, 0, 4, 0, 0, 0, 0, 0],
            0,
        ),
    ];
    for (what, headers, first) in accepted {
        let mut stage = stage();
        stage.send(&behind(headers, first));
        assert_eq!(stage.host.net.free_count(), 63, "{what}");
    }
}

/// Headers, the first one's number, and the code and pointer that the sender is told.
type Refused = (&'static str, &'static [u8], u8, Option<(u8, u32)>);

#[test]
fn extension_headers_are_refused_as_they_ask() {
    let tells = [6, 0, 0x9e, 4, 0, 0, 0, 0];
    let later = [0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
    let refused: [Refused; 5] = [
        ("to be routed", &[6, 0, 0, 1, 0, 0, 0, 0], 43, Some((0, 42))),
        ("a first fragment", &[6, 0, 0, 1, 1, 2, 3, 4], 44, None),
        ("to be dropped", &[6, 0, 0x5e, 4, 0, 0, 0, 0], 60, None),
        ("unknown", &[6, 0, 1, 4, 0, 0, 0, 0], 200, Some((1, 6))),
        ("too long", &[6, 0, 0x1e, 9, 0, 0, 0, 0], 60, None),
    ];
    for (what, headers, first, told) in refused {
        refuses(what, &behind(headers, first), told);
    }
    refuses("to be told of", &behind(&tells, 60), Some((2, 42)));
    refuses("hop-by-hop later", &behind(&later, 60), Some((1, 40)));
}

/// Sends a SYN that makes no connection, and sees what its sender is told.
fn refuses(what: &str, frame: &[u8], told: Option<(u8, u32)>) {
    let mut stage = stage();
    stage.send(frame);
    assert_eq!(stage.host.net.free_count(), 64, "{what}");
    let replies = stage.replies();
    let problem = replies.first().map(|frame| {
        let (header, message) = Ipv6::parse(&frame[14..]).unwrap();
        let (from, to) = (header.source.into(), header.destination.into());
        assert_eq!(checksum::transport(from, to, 58, message), 0, "{what}");
        match Icmp::parse_v6(&header, message).unwrap() {
            Icmp::ParameterProblem { code, pointer, .. } => (code, pointer),
            other => panic!("{what}: {other:?}"),
        }
    });
    assert_eq!(problem, told, "{what}");
}

/// Behind a switch that knows a restarted server at another port, nobody would reach it.
#[test]
fn a_stack_says_where_it_is_when_it_starts() {
    let mut recipe = Recipe::new(2);
    recipe.announce = true;
    let (wire, [far, near]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let mut host = Host::new(recipe.build(near));
    host.step();
    assert_eq!(wire.flying_to(0), 2, "one for each family");
    let expected = arp(1, [10, 0, 0, 2], 2, [10, 0, 0, 2]);
    let mut far = far;
    let said = frames(&mut far);
    assert!(said.contains(&expected), "{said:?}");
    let advertised = |frame: &Vec<u8>| frame[..6] == [0x33, 0x33, 0, 0, 0, 1] && frame[54] == 136;
    assert!(said.iter().any(advertised), "{said:?}");
    // Once more, and then never again (RFC 5227, section 2.3).
    for (after, count) in [(1, 0), (2, 2), (2, 0), (60, 0)] {
        wire.pass(secs(after));
        host.step();
        let came = frames(&mut far).len();
        assert_eq!(came, count, "after {after} s");
    }
}

/// Windows above 64 KiB, which would be 45 segments.
#[test]
fn large_buffers_fill_a_long_path() {
    use usockets_smoltcp::SizeClass;
    let class = SizeClass::new(2, 1 << 20, 1 << 20);
    let recipes = [1, 2].map(|host| Recipe::new(host).classes(&[class]));
    let faults = Faults::NONE.delay(Duration::from_millis(50));
    let mut world = World::of(faults, 1, &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let bytes = pattern(8 << 20, 5);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
    let mut most = 0;
    world.run(secs(10), |world| {
        most = most.max(world.wire.flying_to(1));
        world
            .b
            .conns
            .values()
            .any(|conn| conn.received.len() == bytes.len())
    });
    assert!(world.b.only().received == bytes);
    assert_eq!(world.a.conn(id).error, None);
    assert!(most > 400, "{most} segments at once");
}

/// RFC 5227, section 2.4 b: another station that says it has our address is contradicted, but not
/// each time, or two of them would never end.
#[test]
fn an_address_that_another_station_claims_is_defended_now_and_then() {
    let mut stage = stage();
    // An announcement, and an answer to somebody else.
    let claim = arp(1, [10, 0, 0, 2], 9, [10, 0, 0, 2]);
    let reply = arp(2, [10, 0, 0, 2], 9, [10, 0, 0, 1]);
    let defence = arp(1, [10, 0, 0, 2], 2, [10, 0, 0, 2]);
    stage.send(&claim);
    assert_eq!(frames(&mut stage.hand), std::slice::from_ref(&defence));
    stage.send(&claim);
    stage.send(&reply);
    stage.pass(secs(9));
    stage.send(&reply);
    assert!(frames(&mut stage.hand).is_empty());
    stage.pass(secs(1));
    stage.send(&reply);
    assert_eq!(frames(&mut stage.hand), [defence]);
    assert_eq!(stage.host.net.counters().conflicts, 5);
    // Our own announcement, come back, is none.
    stage.send(&arp(1, [10, 0, 0, 2], 2, [10, 0, 0, 2]));
    assert_eq!(stage.host.net.counters().conflicts, 5);
}
