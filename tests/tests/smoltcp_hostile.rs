//! Frames that mean harm: none makes a stack panic, lose a slot, or do what a stranger says.

use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, Ipv4Packet, TcpPacket};
use usockets::{Duration, Endpoint, Error};
use usockets_smoltcp::{Random, SizeClass};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage, arp, ip, ping};
use usockets_tests::smoltcp::{Habit, Recipe, a4, b4, mac, secs, seed, v6};

fn stage() -> Stage {
    let mut stage = Stage::new(&Recipe::new(2));
    stage
        .host
        .listen(&Endpoint::tcp(([0_u16; 8], 80).into()), Habit::Keep);
    stage
}

#[test]
fn wrong_checksums_are_as_if_never_sent() {
    let mut stage = stage();
    let syn = Seg::new(a4(5_000), b4(80), SYN, 100, 0).frame(1, 2);
    // Every byte from the IP header's length on that a checksum covers.
    for at in 14..syn.len() {
        if at == 14 + 12 || (26..34).contains(&at) {
            continue;
        }
        let mut broken = syn.clone();
        broken[at] ^= 0x40;
        stage.send(&broken);
        assert!(stage.segs().is_empty(), "byte {at}");
        assert_eq!(stage.host.net.free_count(), 64, "byte {at}");
    }
    let (mine, theirs) = stage.handshake(a4(5_000), b4(80), 100);
    let mut data = Seg::new(a4(5_000), b4(80), ACK | PSH, mine, theirs)
        .payload(b"hello")
        .frame(1, 2);
    data[58] ^= 1;
    stage.send(&data);
    assert!(stage.host.only().received.is_empty());
    data[58] ^= 1;
    stage.send(&data);
    assert_eq!(stage.host.only().received, b"hello");
}

/// A header that says it is shorter than any, or longer than the segment.
#[test]
fn a_wrong_data_offset_makes_no_place() {
    let mut stage = stage();
    let (from, to) = (a4(5_000), b4(80));
    for offset in [0, 4, 6, 15] {
        let mut tcp = Seg::new(from, to, SYN, 100, 0).tcp();
        tcp[12] = offset << 4;
        let (source, target) = (from.ip().into(), to.ip().into());
        TcpPacket::new_unchecked(&mut tcp[..]).fill_checksum(&source, &target);
        stage.send(&ip(from.ip(), to.ip(), 6, &tcp, 1, 2));
        assert!(stage.replies().is_empty(), "{offset}");
        assert_eq!(stage.host.net.free_count(), 64, "{offset}");
    }
    assert_eq!(stage.host.net.counters().malformed, 4);
}

/// The error's own checksums, and that of the header it quotes (RFC 792).
#[test]
fn an_unknown_protocol_is_answered_soundly() {
    let mut stage = stage();
    stage.send(&arp(1, [10, 0, 0, 1], 1, [10, 0, 0, 2]));
    stage.replies();
    stage.send(&ip(a4(0).ip(), b4(0).ip(), 99, &[7; 30], 1, 2));
    let replies = stage.replies();
    let [reply] = &replies[..] else {
        panic!("{replies:?}")
    };
    let header = Ipv4Packet::new_checked(&reply[14..]).unwrap();
    assert!(header.verify_checksum());
    let error = Icmpv4Packet::new_checked(header.payload()).unwrap();
    assert!(error.verify_checksum());
    assert_eq!(error.msg_type(), Icmpv4Message::DstUnreachable);
    assert!(Ipv4Packet::new_unchecked(&reply[42..]).verify_checksum());
}

#[test]
fn frames_cut_short_anywhere_are_dropped() {
    let mut stage = stage();
    let from6 = v6(1, 5_001);
    let frames = [
        Seg::new(a4(5_000), b4(80), SYN, 100, 0).frame(1, 2),
        Seg::new(from6, v6(2, 80), SYN, 100, 0).frame(1, 2),
        arp(1, [10, 0, 0, 1], 1, [10, 0, 0, 2]),
        ping(a4(0).ip(), b4(0).ip(), 1, 2, 40),
    ];
    for frame in &frames {
        for len in 0..frame.len() {
            stage.send(&frame[..len]);
            assert!(stage.replies().is_empty(), "{len} bytes");
        }
    }
    assert_eq!(stage.host.net.free_count(), 64);
    for frame in &frames {
        stage.send(frame);
    }
    assert_eq!(
        stage.replies().len(),
        3 + 1,
        "neighbour question for the one over IPv6"
    );
}

#[test]
fn fragments_are_refused() {
    let mut stage = stage();
    for field in [0x2000_u16, 0x0001, 0x3fff, 0x1000] {
        let mut frame = Seg::new(a4(5_000), b4(80), SYN, 100, 0).frame(1, 2);
        frame[20..22].copy_from_slice(&field.to_be_bytes());
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        stage.send(&frame);
    }
    assert!(stage.replies().is_empty());
    assert_eq!(stage.host.net.counters().fragments, 4);
    assert_eq!(stage.host.net.free_count(), 64);
    // IPv6's fragment header (RFC 8200, section 4.5) before TCP: refused, and told so.
    let mut body = vec![6, 0, 0, 1, 0, 0, 0, 1];
    body.extend(Seg::new(v6(1, 1), v6(2, 80), SYN, 1, 0).tcp());
    stage.send(&ip(v6(1, 0).ip(), v6(2, 0).ip(), 44, &body, 1, 2));
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.net.free_count(), 64);
}

/// What overlapping fragments (RFC 3128, RFC 5722) would put together: neither part is looked at,
/// in whatever order they come.
#[test]
fn overlapping_fragments_are_refused_in_any_order() {
    let syn = Seg::new(a4(5_000), b4(80), SYN, 100, 0).frame(1, 2);
    let part = |from: usize, to: usize, more: bool| {
        let mut frame = ip(a4(0).ip(), b4(0).ip(), 6, &syn[34 + from..34 + to], 1, 2);
        let field = (from / 8) as u16 | if more { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&field.to_be_bytes());
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        frame
    };
    // The whole header; its second half once more; and the first eight bytes alone.
    let parts = [part(0, 20, true), part(8, 20, false), part(0, 8, true)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let mut stage = stage();
        for index in order {
            stage.send(&parts[index]);
        }
        assert!(stage.replies().is_empty());
        assert_eq!(stage.host.net.counters().fragments, 3);
        assert_eq!(stage.host.net.free_count(), 64);
    }
}

#[test]
fn a_segment_from_ourselves_or_from_everybody_is_dropped() {
    let mut stage = stage();
    for from in [
        b4(80),
        ([10, 0, 0, 255], 80).into(),
        ([255, 255, 255, 255], 80).into(),
        ([224, 0, 0, 1], 80).into(),
        ([0, 0, 0, 0], 80).into(),
        ([127, 0, 0, 1], 80).into(),
        a4(0),
    ] {
        stage.seg(&Seg::new(from, b4(80), SYN, 100, 0));
        stage.seg(&Seg::new(from, b4(80), ACK, 100, 100));
    }
    stage.seg(&Seg::new(a4(1), ([10, 0, 0, 255], 80).into(), SYN, 100, 0));
    assert!(stage.segs().is_empty());
    assert_eq!(stage.host.net.counters().impossible, 14);
    assert_eq!(stage.host.net.free_count(), 64);
}

#[test]
fn closed_ports_answer_with_resets_and_never_to_resets() {
    let mut stage = stage();
    stage.seg(&Seg::new(a4(5_000), b4(81), SYN, 100, 0));
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK, 100, 7_777));
    stage.seg(&Seg::new(a4(5_000), b4(81), RST, 100, 0));
    stage.seg(&Seg::new(a4(5_000), b4(80), RST | ACK, 100, 0));
    let all = stage.segs();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((all[0].control, all[0].ack), (RST | ACK, 101));
    assert_eq!((all[1].control, all[1].seq), (RST, 7_777));
}

/// Brings a connection into each state and returns (name, our next, their next).
fn in_state(name: &str) -> (Stage, u32, u32) {
    let mut stage = stage();
    let (from, to) = (a4(5_000), b4(80));
    stage.host.tidy = false;
    if name == "SYN-RECEIVED" {
        stage.seg(&Seg::new(from, to, SYN, 99, 0));
        let theirs = stage.segs()[0].seq + 1;
        return (stage, 100, theirs);
    }
    let (mut mine, mut theirs) = stage.handshake(from, to, 99);
    let id = *stage.host.conns.keys().next().unwrap();
    let finish = |stage: &mut Stage, theirs: &mut u32| {
        stage.host.push(id, b"", true);
        stage.host.step();
        let fin = stage.segs();
        assert!(fin.iter().any(|seg| seg.control & FIN != 0), "{fin:?}");
        *theirs += 1;
    };
    let ack = |mine: u32, theirs: u32| Seg::new(from, to, ACK, mine, theirs);
    let end = |stage: &mut Stage, mine: &mut u32, theirs: u32| {
        stage.seg(&Seg::new(from, to, FIN | ACK, *mine, theirs));
        *mine += 1;
    };
    match name {
        "ESTABLISHED" => {}
        "CLOSE-WAIT" => end(&mut stage, &mut mine, theirs),
        "LAST-ACK" => {
            end(&mut stage, &mut mine, theirs);
            finish(&mut stage, &mut theirs);
        }
        "FIN-WAIT-1" => finish(&mut stage, &mut theirs),
        "FIN-WAIT-2" => {
            finish(&mut stage, &mut theirs);
            stage.seg(&ack(mine, theirs));
        }
        "CLOSING" => {
            finish(&mut stage, &mut theirs);
            end(&mut stage, &mut mine, theirs - 1);
        }
        _ => {
            finish(&mut stage, &mut theirs);
            end(&mut stage, &mut mine, theirs);
        }
    }
    stage.pass(Duration::from_millis(20));
    stage.segs();
    (stage, mine, theirs)
}

const STATES: [&str; 8] = [
    "SYN-RECEIVED",
    "ESTABLISHED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSING",
    "TIME-WAIT",
];

/// RFC 5961, section 3.2: only a reset with just the next number counts.
#[test]
fn blind_resets_fail_in_every_state_and_the_right_one_works() {
    for state in STATES {
        for (off, kills) in [
            (1, false),
            (1_000, false),
            (70_000, false),
            (-1, false),
            (0, true),
        ] {
            let (mut stage, mine, theirs) = in_state(state);
            let seq = mine.wrapping_add_signed(off);
            stage.seg(&Seg::new(a4(5_000), b4(80), RST, seq, 0));
            let replies = stage.segs();
            // What is still there answers a probe from before its window; what is gone resets it.
            stage.pass(secs(2));
            stage.segs();
            stage.seg(&Seg::new(
                a4(5_000),
                b4(80),
                ACK,
                mine.wrapping_sub(1),
                theirs,
            ));
            let alive = !stage.segs().iter().any(|seg| seg.control & RST != 0);
            let kills = kills && state != "TIME-WAIT";
            assert_eq!(alive, !kills, "{state} {off}");
            if (1..60_000).contains(&off) && state != "TIME-WAIT" {
                assert_eq!(replies.len(), 1, "{state} {off}: no challenge");
                assert_eq!(
                    (replies[0].control, replies[0].ack),
                    (ACK, mine),
                    "{state} {off}"
                );
            }
        }
    }
}

/// RFC 5961, section 4.2: a SYN never ends a connection, it is asked back.
#[test]
fn blind_syns_fail_in_every_state() {
    for state in STATES {
        for off in [-1, 0, 1, 1_000, 1_000_000] {
            for control in [SYN, SYN | ACK] {
                let (mut stage, mine, theirs) = in_state(state);
                let mut syn = Seg::new(a4(5_000), b4(80), control, 0, theirs);
                syn.seq = mine.wrapping_add_signed(off);
                stage.seg(&syn);
                if state != "SYN-RECEIVED" && control == SYN && state != "TIME-WAIT" {
                    let replies = stage.segs();
                    assert_eq!(replies.len(), 1, "{state} {off}");
                    assert_eq!((replies[0].control, replies[0].ack), (ACK, mine));
                }
                stage.pass(secs(2));
                stage.segs();
                stage.seg(&Seg::new(
                    a4(5_000),
                    b4(80),
                    ACK,
                    mine.wrapping_sub(1),
                    theirs,
                ));
                let reset = stage.segs().iter().any(|seg| seg.control & RST != 0);
                assert!(!reset, "{state} {off} {control}");
            }
        }
    }
}

#[test]
fn blind_data_outside_the_window_or_with_impossible_acknowledgements_is_dropped() {
    let (mut stage, mine, theirs) = in_state("ESTABLISHED");
    for (seq, ack) in [
        (mine.wrapping_add(5_000), theirs),
        (mine.wrapping_sub(10), theirs),
        (mine, theirs.wrapping_add(1)),
        (mine, theirs.wrapping_sub(100_000)),
    ] {
        stage.seg(&Seg::new(a4(5_000), b4(80), ACK | PSH, seq, ack).payload(b"evil"));
    }
    assert!(stage.host.only().received.is_empty());
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK | PSH, mine, theirs).payload(b"good"));
    assert_eq!(stage.host.only().received, b"good");
}

/// RFC 5961, section 5: data put blindly into the window needs an acknowledgement near ours too;
/// without, and with forged ends, nothing of it comes through.
#[test]
fn blind_data_inside_the_window_needs_the_right_acknowledgement() {
    let (mut stage, mine, theirs) = in_state("ESTABLISHED");
    let mut random = Random::new(seed(8));
    for control in [ACK, ACK | PSH, ACK | FIN, FIN, PSH, 0, ACK | SYN, ACK | RST] {
        for _ in 0..200 {
            let seq = mine.wrapping_add(1 + random.below(4_000) as u32);
            let ack = theirs.wrapping_add(1 + random.below(u64::from(u32::MAX) - 1) as u32);
            stage.seg(&Seg::new(a4(5_000), b4(80), control, seq, ack).payload(b"evil"));
        }
    }
    assert!(stage.host.only().received.is_empty());
    assert_eq!(stage.host.only().error, None);
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK | PSH, mine, theirs).payload(&[b'g'; 4_000]));
    stage.pass(Duration::from_millis(20));
    assert!(!stage.host.only().received.contains(&b'e'));
    assert_eq!(stage.host.only().error, None);
}

/// After a timeout, when the stack shows smoltcp smaller windows than the peer's.
#[test]
fn blind_acknowledgements_after_a_timeout_are_dropped() {
    let (mut stage, mine, theirs) = in_state("ESTABLISHED");
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &[7; 4_000], false);
    stage.pass(secs(2));
    let again = stage.segs().iter().filter(|seg| seg.seq == theirs).count();
    assert!(again >= 2, "sent {again} times");
    let mut random = Random::new(seed(9));
    for _ in 0..20 {
        let seq = mine.wrapping_add(70_000 + random.below(1 << 31) as u32);
        let ack = theirs + 1_000 + random.below(3_000) as u32;
        stage.seg(&Seg::new(a4(5_000), b4(80), ACK, seq, ack));
        stage.pass(secs(2));
    }
    stage.segs();
    stage.pass(secs(60));
    let sent = stage.segs();
    let first = sent.iter().find(|seg| !seg.payload.is_empty());
    assert_eq!(
        first.map(|seg| seg.seq),
        Some(theirs),
        "nothing is taken for known"
    );
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK, mine, theirs + 4_000));
    stage.pass(secs(1));
    assert_eq!(stage.host.conn(id).error, None);
}

#[test]
fn overlapping_segments_give_each_byte_once() {
    let (mut stage, mine, theirs) = in_state("ESTABLISHED");
    let bytes: Vec<u8> = (0..200).collect();
    let mut random = Random::new(seed(3));
    for _ in 0..400 {
        let from = random.below(200) as usize;
        let to = (from + 1 + random.below(60) as usize).min(200);
        let seq = mine + from as u32;
        stage.seg(&Seg::new(a4(5_000), b4(80), ACK, seq, theirs).payload(&bytes[from..to]));
    }
    stage.seg(&Seg::new(a4(5_000), b4(80), ACK, mine, theirs).payload(&bytes));
    assert_eq!(stage.host.only().received, bytes);
}

#[test]
fn a_window_that_closes_shrinks_or_never_opens_holds_nothing_up() {
    let (mut stage, mine, theirs) = in_state("ESTABLISHED");
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &[7; 4_000], false);
    stage.host.step();
    stage.segs();
    for window in [0_u16, 1, 0, 3, 0] {
        stage.seg(&Seg::new(a4(5_000), b4(80), ACK, mine, theirs).window(window));
        stage.pass(secs(3));
        assert_eq!(stage.host.conn(id).error, None);
    }
    let probes = stage.segs();
    assert!(
        probes
            .iter()
            .any(|seg| seg.seq == theirs && !seg.payload.is_empty()),
        "no zero-window probe"
    );
    // The peer is gone for good: the limit on answers ends it.
    stage.pass(secs(130));
    assert_eq!(stage.host.conn(id).error, Some(Error::TimedOut));
}

/// A SYN that meets one of ours which has not left yet: both open, and it leaves once
/// (RFC 9293, section 3.5).
#[test]
fn a_syn_for_a_connect_whose_own_syn_has_not_left_opens_it() {
    let mut stage = stage();
    // Nobody is known as 10.0.0.9, so that the SYN waits for its neighbour.
    let there = ([10, 0, 0, 9], 7_000).into();
    let id = stage
        .host
        .connect(&Endpoint::tcp(there).source(b4(6_000)), b"x");
    stage.host.step();
    stage.seg(&Seg::new(there, b4(6_000), SYN, 1, 0));
    stage.pass(Duration::from_millis(100));
    assert_eq!(stage.host.conn(id).error, None);
    // The device is full when the next one's SYN is due.
    stage.host.net.device_mut().set_room(Some(0));
    let full = stage
        .host
        .connect(&Endpoint::tcp(a4(7_000)).source(b4(6_001)), b"x");
    stage.host.step();
    stage.seg(&Seg::new(a4(7_000), b4(6_001), SYN, 1, 0));
    stage.host.net.device_mut().set_room(None);
    stage.pass(Duration::from_millis(100));
    assert_eq!(stage.host.conn(full).error, None);
    assert_eq!(
        stage
            .segs()
            .iter()
            .filter(|seg| seg.control == SYN | ACK)
            .count(),
        1
    );
}

/// Over both families, with what they carry (RFC 792, RFC 4443).
#[test]
fn pings_are_answered_but_not_for_everybody_and_only_when_sound() {
    for (from, to, group, kind) in [
        (a4(0).ip(), b4(0).ip(), [10, 0, 0, 255].into(), 34),
        (v6(1, 0).ip(), v6(2, 0).ip(), "ff02::1".parse().unwrap(), 54),
    ] {
        let mut stage = stage();
        for len in [0, 1, 56, 1_400] {
            let ping = ping(from, to, 1, 2, len);
            stage.send(&ping);
            let replies = stage.replies();
            assert_eq!(replies.len(), 1, "{from} {len} bytes");
            assert_eq!(replies[0][..6], mac(1), "{from}");
            assert_eq!(replies[0][kind], if from.is_ipv4() { 0 } else { 129 });
            assert_eq!(replies[0][kind + 4..], ping[kind + 4..], "{from} {len}");
        }
        let mut broken = ping(from, to, 1, 2, 56);
        broken[kind + 10] ^= 1;
        stage.send(&broken);
        let mut everybody = ping(from, group, 1, 2, 56);
        everybody[..6].fill(0xff);
        stage.send(&everybody);
        assert!(stage.replies().is_empty(), "{from}");
    }
}

#[test]
fn noise_makes_no_panic_and_costs_no_slot() {
    let mut random = Random::new(seed(11));
    let mut stage = stage();
    stage.host.connect(&Endpoint::tcp(a4(9)), b"x");
    for _ in 0..60_000 {
        let mut frame = match random.below(4) {
            0 => arp(1, [10, 0, 0, random.next() as u8], 1, [10, 0, 0, 2]),
            1 => ping(a4(0).ip(), b4(0).ip(), 1, 2, 30),
            kind => {
                let port = 5_000 + random.below(4) as u16;
                let (seq, ack) = (random.below(50) as u32, random.below(50) as u32);
                let control = random.next() as u8;
                let (from, to) = if kind == 2 {
                    (a4(port), b4(80))
                } else {
                    (v6(1, port), v6(2, 80))
                };
                Seg::new(from, to, control, seq, ack).frame(1, 2)
            }
        };
        for _ in 0..random.below(3) {
            let at = random.below(frame.len() as u64) as usize;
            frame[at] = random.next() as u8;
        }
        frame.truncate(frame.len() - random.below(3).min(frame.len() as u64) as usize);
        stage.send(&frame);
        stage.replies();
    }
    let all: Vec<u64> = stage.host.conns.keys().copied().collect();
    all.into_iter().for_each(|id| stage.host.close(id));
    stage.pass(secs(200));
    assert_eq!(stage.host.net.free_count(), 64);
}

/// smoltcp 0.14 cuts the data at the window and takes the FIN behind it all the same.
#[test]
fn a_fin_beyond_the_window_does_not_end_the_stream() {
    let class = SizeClass::new(4, 100, 100);
    let mut stage = Stage::new(&Recipe::new(2).classes(&[class]));
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let (mine, theirs) = stage.handshake(a4(1), b4(80), 1);
    let all = [9; 150];
    let torn = Seg::new(a4(1), b4(80), ACK | FIN, mine, theirs).payload(&all);
    stage.seg(&torn);
    assert!(!stage.host.only().ended);
    stage.seg(&Seg::new(a4(1), b4(80), ACK, mine, theirs).payload(&all[..100]));
    stage.pass(Duration::from_millis(20));
    stage.seg(&Seg::new(a4(1), b4(80), ACK | FIN, mine + 100, theirs).payload(&all[100..]));
    assert_eq!(stage.host.only().received, all);
    assert!(stage.host.only().ended);
}

/// Buffers are of any size, and of some.
#[test]
fn empty_buffers_are_refused() {
    let caught = |class: SizeClass| {
        std::panic::catch_unwind(|| {
            Stage::new(&Recipe::new(2).classes(&[class]));
        })
        .is_err()
    };
    assert!(!caught(SizeClass::new(1, 65_535, 100)));
    assert!(!caught(SizeClass::new(1, 4 << 20, 4 << 20)));
    assert!(caught(SizeClass::new(1, 0, 100)));
    assert!(caught(SizeClass::new(1, 100, 0)));
}
