//! Explicit congestion notification (RFC 3168): what is agreed, what is marked, what is echoed, and
//! what a sender makes of it.

use core::net::SocketAddr;

use usockets_smoltcp::Secret;
use usockets_smoltcp::tcp::cookies::{self, Answer};
use usockets_smoltcp::tcp::{
    Algorithm, Block, Ecn, Events, Flags, Options, Seq, Settings, State, Timestamps,
};

use crate::host::{Host, Packet};
use crate::net::{Link, Net};
use crate::script::{IRS, ISS, MSS, OURS, Script, THEIRS, options};

const NONE: Flags = Flags::NONE;
const ECE: Flags = Flags::ECE;
const CWR: Flags = Flags::CWR;
const BOTH: Flags = Flags::ECE.with(Flags::CWR);
const ACK: Flags = Flags::ACK;
/// Octets of a segment.
const LEN: u32 = MSS as u32;

/// The bits of a packet that are about congestion.
fn signs(packet: &Packet) -> Flags {
    let others = Flags::from_bits(0x3f);
    packet.flags.without(others)
}

fn settings(ecn: Ecn) -> Settings {
    Script::plain().ecn(ecn)
}

/// A connection whose peer has asked for ECN.
fn accepted_with(host: Host, settings: &Settings) -> Script {
    let mut script = Script::with(host);
    let syn = Packet::new(Flags::SYN | BOTH, IRS, 0).options(options(true));
    let now = script.now();
    script.host.accept(now, settings, ISS, &syn);
    assert_eq!(signs(&script.sent()[0]), ECE);
    script.now += 10_000;
    script.get(script.ack(OURS));
    assert!(script.host.tcp.has_ecn());
    script
}

fn accepted() -> Script {
    accepted_with(Host::new(1 << 20, 65_535), &settings(Ecn::Accept))
}

/// A bare acknowledgement of so many octets, with an echo of congestion.
fn echo(octets: u32) -> Packet {
    Packet::new(ACK | ECE, THEIRS, OURS + octets)
}

/// An acknowledgement of so many octets.
fn acks(script: &Script, octets: u32) -> Packet {
    script.ack(OURS + octets)
}

/// RFC 3168, section 6.1.1: a SYN with both bits asks, an answer with ECE alone agrees, and no
/// other pair of them does.
#[test]
fn a_peer_that_asks_is_answered() {
    for ecn in [Ecn::Off, Ecn::Accept, Ecn::Request] {
        for asked in [NONE, ECE, CWR, BOTH] {
            let mut script = Script::new();
            let syn = Packet::new(Flags::SYN | asked, IRS, 0).options(options(true));
            let now = script.now();
            script.host.accept(now, &settings(ecn), ISS, &syn);
            let agreed = ecn != Ecn::Off && asked == BOTH;
            let answer = script.sent().remove(0);
            let expected = if agreed { ECE } else { NONE };
            assert_eq!(signs(&answer), expected, "{ecn:?} to {asked:?}");
            script.get(script.ack(OURS));
            assert_eq!(script.host.tcp.has_ecn(), agreed);
            let text = script.write(10).remove(0);
            let expected = if agreed { Flags::ECT } else { NONE };
            assert_eq!(signs(&text), expected, "{ecn:?} to {asked:?}");
        }
    }
}

/// RFC 3168, section 6.1.1: an answer that reflects both bits is of a peer that does not know them.
#[test]
fn we_ask_if_we_are_to() {
    for ecn in [Ecn::Off, Ecn::Accept, Ecn::Request] {
        for answered in [NONE, ECE, CWR, BOTH] {
            let mut script = Script::new();
            let now = script.now();
            script.host.connect(now, &settings(ecn), ISS);
            let asks = ecn == Ecn::Request;
            let syn = script.sent().remove(0);
            assert_eq!(signs(&syn), if asks { BOTH } else { NONE });
            let answer = Packet::new(Flags::SYN | ACK | answered, IRS, OURS);
            let sent = script.get(answer.options(options(true)));
            assert_eq!(signs(&sent[0]), NONE, "the acknowledgement is no data");
            let agreed = asks && answered == ECE;
            assert_eq!(script.host.tcp.has_ecn(), agreed);
            let text = script.write(10).remove(0);
            let expected = if agreed { Flags::ECT } else { NONE };
            assert_eq!(signs(&text), expected, "{ecn:?} to {answered:?}");
        }
    }
}

/// RFC 3168, section 6.1.1.1: a SYN that nobody answers goes again without the bits. Who has sent
/// one like that sends no ECT; but a peer that had the first may, and is told of CE.
#[test]
fn without_an_answer_we_ask_no_more() {
    for answered in [NONE, ECE] {
        let mut script = Script::new();
        let now = script.now();
        script.host.connect(now, &settings(Ecn::Request), ISS);
        assert_eq!(signs(&script.sent()[0]), BOTH);
        for _ in 0..3 {
            let (_, again) = script.next();
            assert_eq!((again.len(), signs(&again[0])), (1, NONE));
        }
        script.get(Packet::new(Flags::SYN | ACK | answered, IRS, OURS));
        assert_eq!(script.state(), State::Established);
        assert_eq!(signs(&script.write(10)[0]), NONE);
        let met = Packet::new(ACK | Flags::CE, THEIRS, OURS + 10).payload(b"text");
        let sent = script.get(met);
        let echoed = sent.first().map_or(NONE, signs);
        assert_eq!(echoed, answered);
    }
}

/// A peer that asks no more has not heard our answer, and does not get it again.
#[test]
fn a_peer_that_asks_no_more_is_not_answered() {
    let mut script = Script::new();
    let now = script.now();
    let syn = Packet::new(Flags::SYN | BOTH, IRS, 0).options(options(true));
    script.host.accept(now, &settings(Ecn::Accept), ISS, &syn);
    assert_eq!(signs(&script.sent()[0]), ECE);
    let (_, again) = script.next();
    assert_eq!(signs(&again[0]), ECE, "lost on the way, perhaps");
    let again = script.get(Packet::new(Flags::SYN, IRS, 0));
    assert_eq!(signs(&again[0]), NONE);
    script.get(script.ack(OURS));
    assert!(!script.host.tcp.has_ecn());
    assert_eq!(signs(&script.write(10)[0]), NONE);
}

/// Both open at once: each asks, and each agrees.
#[test]
fn both_may_ask_at_once() {
    for (ecn, syn, answer) in [
        (Ecn::Request, BOTH, ECE),
        (Ecn::Request, NONE, ECE),
        (Ecn::Request, BOTH, NONE),
        (Ecn::Accept, BOTH, ECE),
    ] {
        let mut script = Script::new();
        let now = script.now();
        script.host.connect(now, &settings(ecn), ISS);
        script.sent();
        let asks = ecn == Ecn::Request && syn == BOTH;
        let sent = script.get(Packet::new(Flags::SYN | syn, IRS, 0).options(options(true)));
        assert_eq!(signs(&sent[0]), if asks { ECE } else { NONE });
        script.get(Packet::new(Flags::SYN | ACK | answer, IRS, OURS));
        assert_eq!(script.state(), State::Established);
        assert_eq!(script.host.tcp.has_ecn(), asks && answer == ECE);
    }
}

/// A handshake by cookie with a peer that asks.
fn by_cookie(offered: Options, ecn: Ecn) -> (Script, Flags) {
    let secret = Secret::new([3; 16]);
    let pair: (SocketAddr, SocketAddr) =
        (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 40_000).into());
    let settings = Settings::new(MSS).nagle(false).ecn(ecn);
    let mut script = Script::new();
    let syn = Packet::new(Flags::SYN | BOTH, IRS, 0).options(offered);
    let now = script.now();
    let answer = cookies::answer(secret, pair, now, &syn.segment(), &settings, 65_535);
    script.now += 30_000;
    let mut ack = Packet::new(ACK, THEIRS, answer.seq.get().wrapping_add(1));
    ack.options.timestamps = answer.options.timestamps.map(|stamps| Timestamps {
        value: 1_030,
        echo: stamps.value,
    });
    script.peer_clock = ack.options.timestamps.map(|stamps| stamps.value);
    let now = script.now();
    let cookie = cookies::check(secret, pair, now, &ack.segment(), &settings);
    let Some(Answer::Complete(cookie)) = cookie else {
        panic!("the cookie is not known again: {cookie:?}");
    };
    let events = script
        .host
        .with(|tcp, buffers| tcp.accept_cookie(now, &settings, &cookie, &ack.segment(), buffers));
    assert!(events.has(Events::ESTABLISHED));
    (script, answer.flags)
}

/// A cookie carries ECN in its timestamp, beside the other options; without one there is none.
#[test]
fn cookies_carry_ecn_in_timestamps() {
    for scale in [None, Some(0), Some(7), Some(14)] {
        for sack in [false, true] {
            for timestamps in [false, true] {
                for ecn in [Ecn::Off, Ecn::Accept] {
                    let offered = Options {
                        window_scale: scale,
                        timestamps: timestamps.then_some(Timestamps {
                            value: 1_000,
                            echo: 0,
                        }),
                        ..options(sack)
                    };
                    let (mut script, flags) = by_cookie(offered, ecn);
                    let agreed = timestamps && ecn != Ecn::Off;
                    assert_eq!(flags.has(ECE), agreed);
                    assert_eq!(script.host.tcp.has_ecn(), agreed);
                    let text = script.write(10).remove(0);
                    let expected = if agreed { Flags::ECT } else { NONE };
                    assert_eq!(signs(&text), expected);
                }
            }
        }
    }
}

/// RFC 3168, sections 6.1.4 to 6.1.6: nothing but new text is ECT.
#[test]
fn only_new_text_is_ect() {
    let mut script = accepted();
    let met = Packet::new(ACK, THEIRS, OURS).payload(&[1; 2_920]);
    let sent = script.get(met);
    assert_eq!((sent.len(), signs(&sent[0])), (1, NONE), "acknowledges");
    let mut script = accepted();
    let sent = script.write(14_600);
    assert!(sent.iter().all(|packet| signs(packet) == Flags::ECT));
    script.now += 10_000;
    let lost = Options {
        sack: {
            let mut sack = Options::NONE.sack;
            let una = Seq::new(OURS);
            sack.push(Block::new(una.plus(LEN), una.plus(6 * LEN)));
            sack
        },
        ..Options::NONE
    };
    let sent = script.get(script.ack(OURS).options(lost));
    assert_eq!(sent[0].seq.get(), OURS);
    assert_eq!(signs(&sent[0]), NONE, "what is sent again");
    script.now += 10_000;
    script.get(acks(&script, 14_600));
    script.write(1_000);
    let (_, probe) = script.next();
    assert_eq!(
        (probe.len(), signs(&probe[0])),
        (1, NONE),
        "a tail loss probe"
    );
    script.now += 10_000;
    script.get(acks(&script, 15_600).window(0));
    assert!(script.write(1_000).is_empty());
    let (_, probe) = script.next();
    assert_eq!(probe[0].payload.len(), 1);
    assert_eq!(signs(&probe[0]), NONE, "a window probe");
    script.now += 10_000;
    let sent = script.get(acks(&script, 15_600));
    assert_eq!(signs(&sent[0]), Flags::ECT | CWR, "after the loss");
    script.now += 10_000;
    script.get(acks(&script, 16_600));
    script.host.tcp.shutdown();
    let fin = script.sent().remove(0);
    assert!(fin.has(Flags::FIN));
    assert_eq!(signs(&fin), NONE, "a FIN is no text");
    script.host.tcp.abort();
    assert_eq!(signs(&script.sent()[0]), NONE, "a reset");
}

/// And a FIN with text is.
#[test]
fn a_fin_with_text_is_ect() {
    let mut script = accepted();
    script.host.send(&[1; 100]);
    script.host.tcp.shutdown();
    let sent = script.sent();
    assert!(sent[0].has(Flags::FIN));
    assert_eq!(signs(&sent[0]), Flags::ECT);
}

/// RFC 3168, section 6.1.3: what met congestion is echoed until CWR comes, with all that is sent.
#[test]
fn congestion_is_echoed_until_the_peer_has_heard() {
    let mut script = accepted();
    let text = |script: &mut Script, at: u32, flags| {
        let data = Packet::new(ACK | flags, THEIRS + at, OURS).payload(&[7; 100]);
        let sent = script.get(data);
        sent.first().map(signs)
    };
    assert_eq!(text(&mut script, 0, Flags::ECT), None, "delayed");
    assert_eq!(text(&mut script, 100, Flags::CE), Some(ECE), "at once");
    assert_eq!(text(&mut script, 200, NONE), None);
    let later = script.wait(100_000);
    assert_eq!(signs(&later[0].1), ECE, "still");
    assert_eq!(signs(&script.write(10)[0]), ECE | Flags::ECT, "with text");
    assert_eq!(text(&mut script, 300, CWR), Some(NONE), "heard");
    assert_eq!(text(&mut script, 400, CWR | Flags::CE), Some(ECE), "anew");
    assert_eq!(
        text(&mut script, 500, CWR | Flags::CE),
        Some(ECE),
        "and anew"
    );
    assert_eq!(text(&mut script, 600, CWR), Some(NONE));
}

/// What says nothing of congestion, or nothing that counts: acknowledgements (section 6.1.4), and
/// what is not in the window (section 6.1.5).
#[test]
fn not_all_that_is_marked_counts() {
    let echoes = |packet: Packet, agreed: bool| {
        let mut script = if agreed {
            accepted()
        } else {
            Script::established()
        };
        script.get(packet);
        let text = Packet::new(ACK, THEIRS, OURS).payload(&[1; 2_920]);
        let sent = script.get(text);
        signs(&sent[0]) == ECE
    };
    let text = |at| Packet::new(ACK | Flags::CE, at, OURS).payload(b"text");
    assert!(echoes(text(THEIRS), true));
    assert!(!echoes(text(THEIRS), false), "not agreed on");
    assert!(!echoes(Packet::new(ACK | Flags::CE, THEIRS, OURS), true));
    assert!(!echoes(text(THEIRS - 4), true), "received before");
    assert!(!echoes(text(THEIRS + 70_000), true), "beyond");
    assert!(!echoes(
        Packet::new(ACK | Flags::CE, THEIRS, OURS + 9).payload(b"x"),
        true
    ));
}

/// How much goes out when everything but what may be on its way is acknowledged.
fn filled(script: &mut Script, acked: u32) -> u32 {
    script.now += 10_000;
    let sent = script.get(acks(script, acked).window(0xffff));
    sent.iter().map(|packet| packet.payload.len() as u32).sum()
}

/// RFC 3168, section 6.1.2: once for a window, however often it is echoed; CWR says so once, with
/// the first new text; and the next window counts again.
#[test]
fn a_window_is_reduced_once() {
    let mut script = accepted();
    assert_eq!(script.write(200_000).len(), 10);
    let (mut acked, mut sent) = (0, Vec::new());
    for _ in 0..10 {
        script.now += 1_000;
        acked += LEN;
        sent.extend(script.get(echo(acked).window(0xffff)));
    }
    // CUBIC leaves 0.7 of 14,600 octets: seven segments (RFC 9438, section 4.6).
    assert_eq!(sent.len(), 7, "{sent:?}");
    assert_eq!(signs(&sent[0]), Flags::ECT | CWR);
    assert!(sent[1..].iter().all(|packet| signs(packet) == Flags::ECT));
    // The peer may not have heard yet.
    script.now += 1_000;
    assert!(script.get(echo(acked).window(0xfffe)).is_empty());
    let mut next = Vec::new();
    for _ in 0..7 {
        script.now += 1_000;
        acked += LEN;
        next.extend(script.get(acks(&script, acked).window(0xffff)));
    }
    assert!((7..=8).contains(&next.len()), "{next:?}");
    assert!(next.iter().all(|packet| signs(packet) == Flags::ECT));
    script.now += 1_000;
    acked += LEN;
    let sent = script.get(echo(acked).window(0xffff));
    assert!(sent.is_empty(), "{sent:?}");
    let sent = filled(&mut script, acked + 5 * LEN);
    assert!((3 * LEN..6 * LEN).contains(&sent), "{sent}");
}

/// RFC 3168, section 6.1.2: once the peer has heard of the reduction the window grows again,
/// however much is on its way all the time.
#[test]
fn a_reduced_window_grows_again() {
    let settings = settings(Ecn::Accept).algorithm(Algorithm::Reno);
    let mut script = accepted_with(Host::new(1 << 20, 65_535), &settings);
    let sent = script.write(400_000).len() as u32;
    let (mut acked, mut end) = (LEN, sent * LEN);
    assert!(script.get(echo(acked).window(0xffff)).is_empty());
    for _ in 0..60 {
        script.now += 1_000;
        acked += LEN;
        for packet in script.get(acks(&script, acked).window(0xffff)) {
            end += packet.payload.len() as u32;
        }
        assert!(end > acked);
    }
    // Half of ten segments, and one more each round trip.
    let window = (end - acked) / LEN;
    assert!((9..14).contains(&window), "{window}");
}

/// A reduction that is taken back, since nothing was lost, is not told.
#[test]
fn what_is_taken_back_is_not_told() {
    let mut script = accepted();
    assert_eq!(script.write(10 * LEN as usize).len(), 10);
    script.now += 10_000;
    let block = |from: u32, to: u32| {
        let at = |place: u32| Seq::new(OURS).plus(place * LEN);
        let mut options = Options::NONE;
        options.sack.push(Block::new(at(from), at(to)));
        options
    };
    let again = script.get(acks(&script, 0).options(block(1, 5)));
    assert_eq!(again.len(), 1);
    script.now += 10_000;
    // The first had only been late: its copy is reported.
    script.get(acks(&script, 5 * LEN).options(block(0, 1)));
    let sent = script.write(LEN as usize);
    assert_eq!(signs(&sent[0]), Flags::ECT);
}

/// RFC 5681 leaves half.
#[test]
fn reno_halves_its_window() {
    let settings = settings(Ecn::Accept).algorithm(Algorithm::Reno);
    let mut script = accepted_with(Host::new(1 << 20, 65_535), &settings);
    assert_eq!(script.write(200_000).len(), 10);
    script.now += 1_000;
    assert!(script.get(echo(LEN)).is_empty());
    assert_eq!(filled(&mut script, 10 * LEN), 5 * LEN);
}

/// RFC 3168, section 5: ECT promises to go by marks, which BBR does not. What a peer echoes all the
/// same does not change what is sent, nor does it in a repair; CWR tells that it was heard.
#[cfg(feature = "bbr")]
#[test]
fn bbr_is_not_ect_and_goes_by_no_echo() {
    let settings = settings(Ecn::Accept).algorithm(Algorithm::Bbr);
    let run = |echoes: Flags| {
        let mut script = accepted_with(Host::new(1 << 20, 65_535), &settings);
        let first = script.write(200_000);
        let mut get = |millis: u64, packet: Option<Packet>| {
            let mut sent = packet.map_or_else(Vec::new, |packet| script.get(packet));
            let later = script.wait(millis * 1_000);
            sent.extend(later.into_iter().map(|(_, packet)| packet));
            sent
        };
        let mut sent = vec![first, get(8, None)];
        let packet = |acked: u32| Packet::new(ACK | echoes, THEIRS, OURS + acked).window(0xffff);
        sent.push(get(8, Some(packet(10 * LEN))));
        for (millis, last) in [(1, 13), (20, 20)] {
            let mut options = Options::NONE;
            let una = Seq::new(OURS);
            let block = Block::new(una.plus(11 * LEN), una.plus(last * LEN));
            options.sack.push(block);
            sent.push(get(millis, Some(packet(10 * LEN).options(options))));
        }
        sent.push(get(20, Some(packet(20 * LEN))));
        let told = sent.iter().map(|sent| {
            assert!(sent.iter().all(|packet| !packet.has(Flags::ECT)));
            sent.iter().filter(|packet| packet.has(CWR)).count()
        });
        let told: Vec<usize> = told.collect();
        let sent: Vec<usize> = sent.iter().map(Vec::len).collect();
        (sent, told)
    };
    let (expected, told) = run(NONE);
    assert_eq!(told, [0, 0, 0, 0, 1, 0], "a loss alone");
    let (sent, told) = run(ECE);
    assert_eq!(sent, expected);
    assert_eq!(told, [0, 0, 1, 0, 1, 0], "an echo, and the loss");
}

/// RFC 9438, section 4.6: as long as congestion lasts, the window shrinks, to one segment.
#[test]
fn a_window_shrinks_to_one_segment() {
    let mut script = accepted();
    let mut sent = script.write(200_000).len() as u32;
    let (mut acked, mut windows) = (0, Vec::new());
    for _ in 0..8 {
        script.now += 10_000;
        acked += sent * LEN;
        let answer = script.get(echo(acked));
        windows.push(answer.len());
        assert_eq!(signs(&answer[0]), Flags::ECT | CWR);
        sent = answer.len() as u32;
    }
    assert_eq!(windows, [7, 4, 3, 2, 1, 1, 1, 1]);
}

/// A loss and an echo of one window are one sign of congestion, whichever comes first.
#[test]
fn a_loss_and_an_echo_reduce_the_window_once() {
    let blocks = |from: u32, to: u32| {
        let mut options = Options::NONE;
        let una = Seq::new(OURS);
        options
            .sack
            .push(Block::new(una.plus(from * LEN), una.plus(to * LEN)));
        options
    };
    for echo_first in [false, true] {
        let mut script = accepted();
        assert_eq!(script.write(200_000).len(), 10);
        script.now += 10_000;
        let mut sent = Vec::new();
        for last in 2..=10 {
            script.now += 100;
            let flags = if (last == 2) == echo_first {
                ACK | ECE
            } else {
                ACK
            };
            let packet = Packet::new(flags, THEIRS, OURS).options(blocks(1, last));
            sent.extend(script.get(packet));
        }
        let again = sent.iter().filter(|packet| packet.seq.get() == OURS);
        assert_eq!(again.count(), 1);
        let new: Vec<&Packet> = sent
            .iter()
            .filter(|packet| packet.seq.get() != OURS)
            .collect();
        let told = new.iter().filter(|packet| packet.has(CWR)).count();
        assert_eq!(told, 1, "{sent:?}");
        script.now += 10_000;
        let sent = script.get(acks(&script, 10 * LEN));
        let pipe = new.len() + sent.len();
        assert!((6..=8).contains(&pipe), "{pipe}, echo first: {echo_first}");
    }
}

/// RFC 3168, section 6.1.2: whatever the window was reduced for, the peer is told.
#[test]
fn a_timeout_is_told_with_new_text() {
    let mut script = accepted();
    assert_eq!(script.write(LEN as usize * 3).len(), 3);
    let mut sent = script.wait(400_000);
    assert!(
        sent.iter().all(|(_, packet)| signs(packet) == NONE),
        "{sent:?}"
    );
    assert!(!sent.is_empty());
    script.now += 10_000;
    assert!(script.get(acks(&script, 3 * LEN)).is_empty());
    sent.clear();
    assert_eq!(signs(&script.write(10)[0]), Flags::ECT | CWR);
    assert_eq!(signs(&script.write(10)[0]), Flags::ECT);
}

/// A device that cuts large segments would repeat CWR with each piece.
#[test]
fn cwr_goes_in_a_segment_of_its_own() {
    let mut host = Host::new(1 << 20, 65_535);
    host.segment_max = 65_000;
    let mut script = accepted_with(host, &settings(Ecn::Accept));
    script.write(200_000);
    script.now += 10_000;
    let sent = script.get(echo(10 * LEN));
    assert_eq!(sent.len(), 7);
    let told: Vec<bool> = sent.iter().map(|packet| packet.has(CWR)).collect();
    assert_eq!(told, [true, false, false, false, false, false, false]);
    assert!(sent.iter().all(|packet| packet.has(Flags::ECT)));
}

/// A peer that echoes without having agreed, or without anything on its way, changes nothing.
#[test]
fn echoes_out_of_place_change_nothing() {
    let mut script = Script::accepted(
        Host::new(1 << 20, 65_535),
        &settings(Ecn::Accept),
        options(true),
    );
    script.write(200_000);
    script.now += 10_000;
    let sent = script.get(echo(10 * LEN));
    assert_eq!(sent.len(), 20, "slow start");
    let mut script = accepted();
    script.get(echo(0));
    assert_eq!(script.write(200_000).len(), 10);
    script.now += 10_000;
    script.get(acks(&script, 5 * LEN));
    let old = script.get(echo(4 * LEN));
    assert!(old.is_empty());
    assert_eq!(filled(&mut script, 10 * LEN), 10 * LEN, "an old one");
}

/// Two of ours over a path whose router marks: nothing is lost, and the path stays full.
#[test]
fn a_router_that_marks_need_not_drop() {
    for (delay, rate, queue) in [
        (500, 12_500_000, 330),
        (20_000, 12_500_000, 330),
        (20_000, 2_500_000, 60),
    ] {
        let forth = Link {
            delay,
            rate,
            queue,
            marks: queue / 3,
            ..Link::default()
        };
        let back = Link {
            delay,
            ..Link::default()
        };
        let settings = Settings::new(MSS).ecn(Ecn::Request);
        let hosts = [Host::new(4 << 20, 65_536), Host::new(65_536, 4 << 20)];
        let mut net = Net::new(hosts, [forth, back], [settings; 2], 1);
        net.connect(7);
        let (mut received, mut late) = (0_u64, 0_u64);
        let end = net.now + 3_000_000;
        let data = vec![7; 65_536];
        while net.now < end {
            while net.hosts[0].send(&data) > 0 {}
            net.transmit();
            let got = net.hosts[1].receive(1 << 22).len() as u64;
            received += got;
            if net.now > end - 1_000_000 {
                late += got;
            }
            net.transmit();
            let next = net.next().unwrap();
            net.advance(next);
        }
        let count = net.counts[0];
        println!("{delay} µs, {rate} B/s: {received} octets, {count:?}");
        assert!(count.marked > 0);
        assert!(late > rate * 9 / 10, "{late}");
        // The first slow start may go too far.
        assert!(count.overflowed <= queue, "{count:?}");
        assert!(count.marked < count.data / 20, "{count:?}");
    }
}
