//! Peers that break the rules, and strangers who guess.

use usockets_smoltcp::Random;
use usockets_smoltcp::tcp::{
    Block, Events, Flags, IcmpError, Options, Seq, Settings, State, Timestamps,
};

use crate::host::{Host, Packet};
use crate::script::{IRS, ISS, OURS, Script, THEIRS, options};

/// A number near one that matters, or anywhere.
fn near(random: &mut Random, number: u32) -> u32 {
    match random.below(10) {
        0 => random.below(1 << 32) as u32,
        1 => number.wrapping_add(0x7fff_ffff),
        2 => number.wrapping_sub(random.below(70_000) as u32),
        3 => number.wrapping_add(random.below(70_000) as u32),
        4..6 => number.wrapping_add(random.below(3) as u32).wrapping_sub(1),
        _ => number,
    }
}

/// A segment that makes some sense and breaks some rule.
fn segment(random: &mut Random, (seq, ack): (u32, u32), una: u32) -> Packet {
    let usual = [Flags::ACK, Flags::ACK | Flags::FIN, Flags::SYN | Flags::ACK];
    let flags = match random.below(12) {
        0 => Flags::from_bits(random.below(64) as u8),
        1 => Flags::RST | Flags::ACK,
        2 => usual[random.below(3) as usize],
        _ => Flags::ACK,
    };
    let mut packet = Packet::new(flags, near(random, seq), near(random, ack));
    packet.window = [0, 1, 100, 0x7fff, 0xffff][random.below(5) as usize];
    if random.below(2) == 0 {
        let lens = [0, 1, 100, 1_460, 9_000];
        packet.payload = vec![7; lens[random.below(5) as usize]];
    }
    if random.below(2) == 0 {
        packet.options.timestamps = Some(Timestamps {
            value: near(random, 1_000),
            echo: near(random, 10_000),
        });
    }
    for _ in 0..random.below(5) {
        let around = una.wrapping_add(random.below(20_000) as u32);
        let start = near(random, around);
        let end = near(random, start.wrapping_add(1_460));
        packet
            .options
            .sack
            .push(Block::new(Seq::new(start), Seq::new(end)));
    }
    packet
}

/// What [`Host::with`] checks holds after whatever comes, and nothing panics or sends without end.
#[test]
fn no_segment_breaks_a_connection() {
    let count = std::env::var("TCP_SEEDS").ok();
    let count = count.and_then(|text| text.parse().ok()).unwrap_or(400_u64);
    for seed in 1..=count {
        let mut random = Random::new(seed);
        let mut pick = |values: &[u64]| values[random.below(values.len() as u64) as usize];
        let host = Host::new(
            pick(&[10, 3_000, 60_000]) as usize,
            pick(&[10, 3_000, 200_000]) as usize,
        )
        .tables(pick(&[4, 6, 64]) as usize, pick(&[0, 1, 8]) as usize);
        let mut script = Script::with(host);
        let settings = Settings::new(1_460);
        let now = script.now();
        let stamps = (pick(&[0, 1]) == 1).then_some(Timestamps {
            value: 1_000,
            echo: 0,
        });
        let syn = Options {
            mss: Some(pick(&[0, 1, 100, 1_460, 65_535]) as u16),
            window_scale: (pick(&[0, 1]) == 1).then_some(pick(&[0, 7, 14, 255]) as u8),
            sack_permitted: pick(&[0, 1]) == 1,
            timestamps: stamps,
            ..Options::NONE
        };
        if pick(&[0, 1]) == 1 {
            script.host.connect(now, &settings, ISS);
        } else {
            let syn = Packet::new(Flags::SYN, IRS, 0).options(syn);
            script.host.accept(now, &settings, ISS, &syn);
        }
        let (mut highest, mut una) = (OURS, OURS);
        for _ in 0..300 {
            if script.state() == State::Closed {
                break;
            }
            match random.below(10) {
                0 => {
                    let len = random.below(5_000) as usize;
                    script.host.send(&vec![1; len]);
                }
                1 => {
                    script.host.receive(random.below(5_000) as usize);
                }
                2 => {
                    script.wait(random.below(3_000_000));
                }
                3 if random.below(20) == 0 => script.host.tcp.shutdown(),
                4 if random.below(5) == 0 => {
                    let (mss, seq) = (near(&mut random, 500) as u16, near(&mut random, highest));
                    let now = script.now();
                    script.host.with(|tcp, buffers| {
                        tcp.on_icmp(now, IcmpError::TooBig { mss }, Seq::new(seq), buffers)
                    });
                }
                _ => {
                    let packet = segment(&mut random, (THEIRS, highest), una);
                    una = una.max(packet.ack.get().min(highest));
                    script.get(packet);
                }
            }
            for packet in script.sent() {
                let end = packet.seq.plus(packet.payload.len() as u32).get();
                highest = highest.max(end);
            }
        }
    }
}

/// Acknowledgements of what was not sent gain nothing (Savage et al., 1999: optimistic ACKs).
#[test]
fn acknowledging_what_was_not_sent_gains_nothing() {
    let mut script = Script::established();
    assert_eq!(script.write(60_000).len(), 10);
    for ahead in 1..100 {
        let sent = script.get(script.ack(OURS + 14_600 + ahead));
        assert!(sent.iter().all(|packet| packet.payload.is_empty()));
    }
}

/// Many small acknowledgements grow the window no faster than one (RFC 3465).
#[test]
fn dividing_acknowledgements_gains_nothing() {
    let grown = |step: u32| {
        let mut script = Script::established();
        script.write(60_000);
        script.now += 10_000;
        let mut sent = 0;
        for acked in (step..=14_600).step_by(step as usize) {
            sent += script.get(script.ack(OURS + acked)).len();
        }
        sent
    };
    assert_eq!(grown(14_600), 20);
    assert!(grown(20) <= 20, "{} for 730 acknowledgements", grown(20));
}

/// Two ends that both answer what they take for wrong do not answer each other for ever (RFC 5961,
/// section 7).
#[test]
fn wrong_segments_are_answered_a_few_times_a_second() {
    let mut script = Script::established();
    let mut answers = 0;
    for _ in 0..1_000 {
        answers += script
            .get(Packet::new(Flags::ACK, THEIRS + 90_000, OURS))
            .len();
        script.now += 1_000;
    }
    assert!((1..=20).contains(&answers), "{answers}");
}

/// RFC 5961, section 3.2: a reset is believed only with just the next number.
#[test]
fn blind_resets_do_nothing() {
    let mut script = Script::established();
    for seq in (1..60_000).step_by(997) {
        script.get(Packet::new(Flags::RST, THEIRS + seq, 0));
        assert_eq!(script.state(), State::Established);
    }
    script.get(Packet::new(Flags::RST, THEIRS, 0));
    assert_eq!(script.state(), State::Closed);
}

/// RFC 5961, section 5.2: text is taken only with an acknowledgement that can be.
#[test]
fn blind_text_is_not_taken() {
    let mut script = Script::established();
    for ack in [OURS + 1, OURS + 0x10_0000, OURS.wrapping_sub(0x10_0000)] {
        script.get(Packet::new(Flags::ACK, THEIRS, ack).payload(b"forged"));
        assert_eq!(script.host.tcp.receive_len(), 0);
    }
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"meant"));
    assert_eq!(script.host.receive(9), b"meant");
}

/// Octets far apart take no more than the table of ranges.
#[test]
fn holes_without_end_take_no_memory() {
    let mut script = Script::accepted(
        Host::new(9_000, 65_535).tables(16, 4),
        &Script::plain(),
        options(true),
    );
    for hole in (1..60_000).step_by(2) {
        let sent = script.get(Packet::new(Flags::ACK, THEIRS + hole, OURS).payload(b"x"));
        assert_eq!(sent[0].ack.get(), THEIRS);
        assert!(sent[0].options.sack.as_slice().len() <= 4);
    }
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(&vec![b'x'; 60_000]));
    assert_eq!(script.host.tcp.receive_len(), 60_000);
}

/// Old text with a new acknowledgement number that was sent first: the text still counts (RFC 9293,
/// section 3.10.7.4).
#[test]
fn new_text_with_an_old_acknowledgement_is_taken() {
    let mut script = Script::established();
    script.write(500);
    script.get(Packet::new(Flags::ACK, THEIRS + 100, OURS + 500));
    let first = Packet::new(Flags::ACK, THEIRS, OURS).payload(&[5; 100]);
    script.get(first);
    assert!(script.events.has(Events::READABLE));
    assert_eq!(script.host.receive(200), [5; 100]);
}

/// A window of 2^14 units and one octet at a time: one segment at a timeout, no more.
#[test]
fn a_scale_of_14_does_no_harm() {
    let options = Options {
        mss: Some(1_460),
        sack_permitted: true,
        window_scale: Some(14),
        ..Options::NONE
    };
    let mut script = Script::accepted(Host::new(65_536, 65_535), &Script::plain(), options);
    script.get(script.ack(OURS).window(10));
    assert_eq!(script.write(14_600).len(), 10);
    let sent = script.wait(700_000);
    assert!(sent.len() <= 3, "{} segments", sent.len());
}

/// A tiny MSS is not taken at its word.
#[test]
fn a_tiny_mss_is_raised() {
    let tiny = Options {
        mss: Some(1),
        ..Options::NONE
    };
    let mut script = Script::accepted(Host::new(65_536, 65_535), &Script::plain(), tiny);
    let sent = script.write(1_000);
    assert!(
        sent.iter().all(|packet| packet.payload.len() >= 20),
        "{sent:?}"
    );
}

/// Text behind a FIN is none: it is forgotten with the FIN.
#[test]
fn text_behind_a_fin_is_forgotten() {
    let mut script = Script::established();
    script.get(Packet::new(Flags::ACK, THEIRS + 1, OURS).payload(b"behind"));
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS));
    assert_eq!(script.state(), State::CloseWait);
    assert_eq!(script.host.tcp.receive_len(), 0);
}
