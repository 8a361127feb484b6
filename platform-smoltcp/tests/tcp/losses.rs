//! Losses: how they are found, how fast they are repaired, and what must not be taken for one.

use usockets_smoltcp::tcp::{Block, Flags, Options, Seq, Settings, State, Timestamps};

use crate::host::{Host, Packet};
use crate::script::{MSS, OURS, Script, THEIRS, options};

/// A duplicate acknowledgement that reports blocks, as offsets from our first octet.
fn sack(script: &Script, ack: u32, blocks: &[(u32, u32)]) -> Packet {
    let mut options = Options::NONE;
    for (start, end) in blocks {
        options
            .sack
            .push(Block::new(Seq::new(OURS + start), Seq::new(OURS + end)));
    }
    script.ack(OURS + ack).options(options)
}

fn starts(packets: &[Packet]) -> Vec<u32> {
    packets
        .iter()
        .map(|packet| packet.seq.get().wrapping_sub(OURS))
        .collect()
}

/// RFC 6675, RFC 8985: three segments behind it tell of a loss.
#[test]
fn selective_acknowledgements_tell_of_a_loss() {
    let mut script = Script::established();
    assert_eq!(script.write(14_600).len(), 10);
    script.now += 10_000;
    assert!(script.get(sack(&script, 0, &[(1_460, 2_920)])).is_empty());
    assert!(script.get(sack(&script, 0, &[(1_460, 4_380)])).is_empty());
    let sent = script.get(sack(&script, 0, &[(1_460, 5_840)]));
    assert_eq!(starts(&sent), [0]);
}

/// RFC 5681, section 3.2, and RFC 6582, section 3.2, step 3: a partial acknowledgement tells of the
/// next loss, which is repaired at once.
#[test]
fn partial_acknowledgements_tell_of_the_next_loss() {
    let host = Host::new(65_536, 65_535);
    let mut script = Script::accepted(host, &Script::plain(), options(false));
    assert_eq!(script.write(14_600).len(), 10);
    script.now += 100_000;
    assert!(script.get(script.ack(OURS)).is_empty());
    assert!(script.get(script.ack(OURS)).is_empty());
    let sent = script.get(script.ack(OURS));
    assert_eq!(starts(&sent), [0], "the third duplicate");
    for _ in 0..5 {
        script.get(script.ack(OURS));
    }
    script.now += 100_000;
    let sent = script.get(script.ack(OURS + 5_840));
    assert_eq!(starts(&sent), [5_840]);
    script.now += 100_000;
    script.get(script.ack(OURS + 14_600));
    assert!(script.host.tcp.is_drained());
}

/// RFC 6582, section 3.2, step 1: duplicates of what was sent again are no new loss.
#[test]
fn duplicates_after_a_timeout_are_no_loss() {
    let host = Host::new(65_536, 65_535);
    let mut script = Script::accepted(host, &Script::plain(), options(false));
    script.write(14_600);
    script.wait(230_000);
    script.get(script.ack(OURS + 1_460));
    script.get(script.ack(OURS + 14_600));
    assert!(script.host.tcp.is_drained());
    assert!(script.write(14_600).len() <= 4, "the window is small now");
    for _ in 0..6 {
        let sent = script.get(script.ack(OURS + 14_600));
        assert!(!starts(&sent).contains(&14_600), "sent again: {sent:?}");
    }
}

/// RFC 6582, section 3.2, step 1: what was repaired long ago, or never, holds no repair back,
/// however much has been sent since.
#[test]
fn a_loss_is_found_after_gigabytes_without_one() {
    let mut host = Host::new(1 << 20, 65_535);
    host.segment_max = 65_000;
    let scaled = Options {
        window_scale: Some(14),
        ..options(false)
    };
    let mut script = Script::accepted(host, &Script::plain(), scaled);
    let data = vec![7; 1 << 20];
    let mut sent = 0_u64;
    while sent < (1 << 31) + (1 << 20) || !script.host.tcp.is_drained() {
        if sent < (1 << 31) + (1 << 20) {
            script.host.send(&data);
        }
        while let Some(transmit) = script.host.poll(script.now()) {
            sent += u64::from(transmit.payload_len);
        }
        script.now += 10_000;
        let ack = script.ack(OURS.wrapping_add(sent as u32));
        script.host.on_packet(script.now(), &ack);
    }
    script.host.segment_max = 0;
    let una = OURS.wrapping_add(sent as u32);
    assert_eq!(script.write(14_600).len(), 10);
    for _ in 0..2 {
        assert!(script.get(script.ack(una)).is_empty());
    }
    let again = script.get(script.ack(una));
    assert_eq!(starts(&again), [sent as u32], "the third duplicate");
}

/// RFC 8985, section 7: the last segment is repaired in two round trips.
#[test]
fn the_loss_of_the_last_segment_is_found_by_a_probe() {
    let mut script = Script::established();
    script.write(7_300);
    script.now += 10_000;
    script.get(script.ack(OURS + 4_380));
    let (after, sent) = script.next();
    assert_eq!(starts(&sent), [5_840], "the last");
    assert!(after <= 25_000, "{after} µs");
}

/// RFC 8985, section 6.2: reordering within a quarter of a round trip is no loss.
#[test]
fn a_segment_that_is_overtaken_is_not_lost() {
    let mut script = Script::established();
    script.write(14_600);
    script.now += 10_000;
    script.get(sack(&script, 0, &[(1_460, 2_920)]));
    script.now += 1_000;
    let sent = script.get(script.ack(OURS + 2_920));
    assert!(sent.is_empty());
    let sent = script.wait(0);
    assert!(sent.is_empty(), "{sent:?}");
}

/// RFC 3042: what is selectively acknowledged lets new segments go before a loss is known.
#[test]
fn duplicates_let_new_segments_go() {
    let mut script = Script::established();
    assert_eq!(script.write(20_000).len(), 10, "the initial window");
    script.now += 10_000;
    let sent = script.get(sack(&script, 0, &[(1_460, 2_920)]));
    assert_eq!(starts(&sent), [14_600]);
    let sent = script.get(sack(&script, 0, &[(1_460, 4_380)]));
    assert_eq!(starts(&sent), [16_060]);
}

/// RFC 6937: what goes during a repair is what arrives, and less; never a burst.
#[test]
fn a_repair_sends_no_bursts() {
    let mut script = Script::established();
    script.write(60_000);
    let mut acked = 0;
    for _ in 0..8 {
        script.now += 5_000;
        acked += 2_920;
        script.get(script.ack(OURS + acked).window(0xffff));
    }
    script.now += 10_000;
    let mut most = 0;
    for blocks in 1..12_u32 {
        let from = acked + 1_460;
        let sent = script.get(sack(&script, acked, &[(from, from + 1_460 * blocks)]));
        most = most.max(sent.len());
    }
    assert!((1..=3).contains(&most), "{most} at once");
}

/// RFC 6298, section 5, and RFC 5681, section 3.1: after a timeout one segment goes, not all.
#[test]
fn a_timeout_sends_one_segment() {
    let mut script = Script::established();
    script.write(14_600);
    let sent = script.wait(600_000);
    // A tail loss probe, the first segment at the timeout, and again.
    let starts: Vec<u32> = sent
        .iter()
        .map(|(_, packet)| packet.seq.get() - OURS)
        .collect();
    assert_eq!(starts, [13_140, 0]);
    let sent = script.get(script.ack(OURS + 1_460));
    assert_eq!(sent.len(), 2, "slow start");
}

/// RFC 2018, section 8: a peer that forgets what it acknowledged selectively gets it again.
#[test]
fn what_a_peer_has_forgotten_goes_again() {
    let mut script = Script::established();
    script.write(8_760);
    script.now += 10_000;
    script.get(sack(&script, 0, &[(1_460, 8_760)]));
    // It was all there, and now is not: the acknowledgement ends where the block began.
    script.now += 10_000;
    script.get(script.ack(OURS + 1_460));
    let mut octets = std::collections::BTreeSet::new();
    for _ in 0..40 {
        if script.state() != State::Established || script.host.tcp.is_drained() {
            break;
        }
        let (_, sent) = script.next();
        for packet in sent {
            let start = packet.seq.get() - OURS;
            octets.extend(start..start + packet.payload.len() as u32);
            script.now += 10_000;
            let first = (1_460..8_760).find(|octet| !octets.contains(octet));
            let ack = script.ack(OURS + first.unwrap_or(8_760));
            script.get(ack);
        }
    }
    assert!(script.host.tcp.is_drained());
}

/// RFC 2883: what comes twice is reported, first.
#[test]
fn a_duplicate_is_reported() {
    let mut script = Script::established();
    let text = THEIRS;
    let packet = |seq| Packet::new(Flags::ACK, seq, OURS);
    script.get(packet(text).payload(b"first"));
    script.get(packet(text + 9).payload(b"third"));
    let sent = script.get(packet(text).payload(b"first"));
    let blocks = sent[0].options.sack;
    assert_eq!(
        blocks.as_slice(),
        [
            Block::new(Seq::new(text), Seq::new(text + 5)),
            Block::new(Seq::new(text + 9), Seq::new(text + 14)),
        ]
    );
}

/// RFC 2883, section 5, and RFC 3708: what was sent again without need is told by its duplicates,
/// and then the window is as before.
#[test]
fn a_repair_that_was_not_needed_is_taken_back() {
    let mut script = Script::established();
    assert_eq!(script.write(60_000).len(), 10);
    script.now += 10_000;
    let sent = script.get(sack(&script, 0, &[(1_460, 5_840)]));
    assert!(
        starts(&sent).contains(&0),
        "taken for lost: {:?}",
        starts(&sent)
    );
    // The first has only been late; now its copy comes.
    script.now += 1_000;
    let new = script.get(script.ack(OURS + 14_600)).len();
    let report = sack(&script, 14_600, &[(0, 1_460)]);
    let more = script.get(report).len();
    assert!(
        new + more >= 10,
        "{new} and {more}: the window is as before"
    );
}

/// A duplicate that the network has made of something else says nothing about the repair.
#[test]
fn a_duplicate_of_something_else_takes_nothing_back() {
    let mut script = Script::established();
    script.write(1_460);
    script.now += 10_000;
    script.get(script.ack(OURS + 1_460));
    let first = script.write(60_000);
    script.now += 10_000;
    let lost = sack(&script, 1_460, &[(2_920, 7_300)]);
    let sent = script.get(lost);
    assert!(starts(&sent).contains(&1_460), "{:?}", starts(&sent));
    script.now += 10_000;
    let end = starts(&first).last().unwrap() + 1_460;
    script.get(script.ack(OURS + end));
    let report = sack(&script, end, &[(0, 1_460)]);
    assert!(script.get(report).is_empty(), "the window stays reduced");
}

/// A connection with timestamps.
fn stamped() -> Script {
    let mut offered = options(true);
    offered.timestamps = Some(Timestamps { value: 1, echo: 0 });
    let settings = Settings::new(MSS).nagle(false);
    Script::accepted(Host::new(65_536, 65_535), &settings, offered)
}

/// An acknowledgement that echoes what `packet` said of the time.
fn echo(script: &Script, ack: u32, packet: &Packet) -> Packet {
    let mut answer = script.ack(OURS + ack);
    answer.options.timestamps = Some(Timestamps {
        value: 2,
        echo: packet.options.timestamps.map_or(0, |stamps| stamps.value),
    });
    answer
}

/// RFC 3522 and RFC 4015: an acknowledgement of what was sent first, not of what was sent again,
/// takes the repair back at once, and slow start goes on.
#[test]
fn the_answer_to_the_original_takes_a_repair_back() {
    for spurious in [true, false] {
        let mut script = stamped();
        let first = script.write(60_000);
        assert_eq!(first.len(), 10);
        script.now += 30_000;
        let again = script.get(sack(&script, 0, &[(1_448, 5_792)]));
        assert!(starts(&again).contains(&0), "{:?}", starts(&again));
        script.now += 10_000;
        let which = if spurious { &first[0] } else { &again[0] };
        let sent = script.get(echo(&script, 14_480, which)).len();
        let sent = sent + script.get(script.ack(OURS + 14_480)).len();
        // The initial window is full again or, after a loss, seven tenths of it.
        assert_eq!(sent + again.len() > 10, spurious, "{sent}");
    }
}

/// The same after a timeout: what is still on its way is not sent once more.
#[test]
fn the_answer_to_the_original_takes_a_timeout_back() {
    for spurious in [true, false] {
        let mut script = stamped();
        let first = script.write(14_480);
        script.now += 10_000;
        // The tail loss probe, and then the first segment.
        let again: Vec<Packet> = script
            .wait(300_000)
            .into_iter()
            .map(|(_, sent)| sent)
            .collect();
        assert_eq!(starts(&again), [13_032, 0]);
        let which = if spurious { &first[0] } else { &again[1] };
        let sent = script.get(echo(&script, 1_448, which));
        let repeated = sent
            .iter()
            .filter(|packet| starts(&[(*packet).clone()])[0] < 14_480);
        assert_eq!(repeated.count() == 0, spurious, "{:?}", starts(&sent));
        script.get(echo(&script, 14_480, &first[9]));
        let sent = script.write(40_000).len();
        assert_eq!(sent >= 10, spurious, "{sent}");
    }
}

/// RFC 5682: without timestamps, new segments after the first acknowledgement tell whether a
/// timeout was needed. If the answer to them acknowledges more of what was sent before, it was not,
/// and nothing of that goes again.
#[test]
fn the_answer_to_new_segments_takes_a_timeout_back() {
    for (sacks, spurious) in [(true, true), (true, false), (false, true), (false, false)] {
        let host = Host::new(65_536, 65_535);
        let mut script = Script::accepted(host, &Script::plain(), options(sacks));
        assert_eq!(script.write(60_000).len(), 10);
        let again: Vec<Packet> = script
            .wait(300_000)
            .into_iter()
            .map(|(_, sent)| sent)
            .collect();
        assert_eq!(starts(&again), [14_600, 0], "a probe and the timeout");
        let sent = script.get(script.ack(OURS + 1_460));
        let forward = starts(&sent);
        assert!(forward.iter().all(|start| *start >= 16_060), "{forward:?}");
        assert!((1..=2).contains(&forward.len()), "{forward:?}");
        let answer = if spurious {
            script.ack(OURS + 2_920)
        } else if sacks {
            sack(&script, 1_460, &[(16_060, 17_520)])
        } else {
            script.ack(OURS + 1_460)
        };
        let sent = script.get(answer);
        let first = starts(&sent).first().copied();
        assert_eq!(first == Some(1_460), !spurious, "{:?}", starts(&sent));
        let old = starts(&sent).iter().any(|start| *start < 14_600);
        assert_eq!(old, !spurious, "{:?}", starts(&sent));
        let all = script.get(script.ack(OURS + 14_600)).len();
        assert_eq!(all + sent.len() >= 8, spurious, "{all} and {}", sent.len());
    }
}

/// With nothing new to send, what is taken to be lost goes at once (RFC 5682, section 2.1, step 2).
#[test]
fn a_timeout_with_nothing_new_to_send_is_repaired_at_once() {
    let mut script = Script::established();
    script.write(14_600);
    script.wait(300_000);
    let sent = script.get(script.ack(OURS + 1_460));
    assert_eq!(starts(&sent), [1_460, 2_920]);
}

/// A repair that was needed is not taken back later, when the clock's low bits are those of then.
#[test]
fn a_repair_that_is_over_is_not_taken_back() {
    let mut script = stamped();
    script.write(14_480);
    script.now += 30_000;
    let again = script.get(sack(&script, 0, &[(1_448, 5_792)]));
    assert!(starts(&again).contains(&0), "{:?}", starts(&again));
    let repaired = script.now;
    script.now += 30_000;
    script.get(echo(&script, 14_480, &again[0]));
    // 65,536 ms after it was sent again.
    script.now = repaired + 65_536_000 - 20_000;
    let later = script.write(40_000);
    assert!(later.len() < 10, "the loss counts: {}", later.len());
    script.now += 30_000;
    let end = 14_480 + 1_448 * later.len() as u32;
    let sent = script.get(echo(&script, end, &later[0])).len();
    assert!(sent < 10, "still: {sent}");
}

/// Nor is one that takes so long that the low bits of the clock come round meanwhile.
#[test]
fn a_repair_that_takes_a_minute_is_not_taken_back() {
    let mut script = stamped();
    script.write(14_480);
    script.now += 30_000;
    let again = script.get(sack(&script, 0, &[(1_448, 5_792)]));
    assert!(starts(&again).contains(&0), "{:?}", starts(&again));
    let stamp = again[0].options.timestamps.unwrap().value;
    // The rest comes in drops, each just before the retransmission timeout.
    for drop in 1..=656 {
        script.now += 100_000;
        let acked = if drop < 656 { drop * 20 } else { 14_480 };
        let mut answer = script.ack(OURS + acked);
        // It answers what was sent 5 s before.
        let echo = stamp + (drop * 100).saturating_sub(5_000);
        answer.options.timestamps = Some(Timestamps { value: 2, echo });
        script.get(answer);
    }
    let sent = script.write(40_000).len();
    assert!(sent < 10, "the loss counts: {sent}");
}

/// RFC 5681, section 2: what had text is no duplicate acknowledgement, even if the text could not
/// be kept.
#[test]
fn segments_whose_text_was_cut_off_tell_of_no_loss() {
    let host = Host::new(65_536, 65_535);
    let mut script = Script::accepted(host, &Script::plain(), options(false));
    assert_eq!(script.write(14_600).len(), 10);
    script.now += 10_000;
    for place in 0..6 {
        let text = Packet::new(Flags::ACK, THEIRS + place * 4, OURS).payload(b"text");
        let now = script.now();
        script.host.with(|tcp, buffers| {
            tcp.on_segment(now, &text.segment().without_text(), buffers);
        });
        let sent = script.sent();
        assert!(
            sent.iter().all(|packet| packet.payload.is_empty()),
            "{:?}",
            starts(&sent)
        );
    }
}
