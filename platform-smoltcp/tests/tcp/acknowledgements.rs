//! What one acknowledgement says and what not, in repairs and outside of them.

use usockets::Error;
use usockets_smoltcp::tcp::{
    Block, Events, Flags, IcmpError, Options, Seq, Settings, State, Timestamps,
};

use crate::host::{Host, Packet};
use crate::script::{MSS, OURS, Script, THEIRS, options};

/// A full segment.
const FULL: u32 = 1_460;

/// An acknowledgement of `acked` segments that reports blocks, counted in segments.
fn sack(script: &Script, acked: u32, blocks: &[(u32, u32)]) -> Packet {
    let mut options = Options::NONE;
    for (start, end) in blocks {
        let at = |place: &u32| Seq::new(OURS.wrapping_add(FULL.wrapping_mul(*place)));
        options.sack.push(Block::new(at(start), at(end)));
    }
    script.ack(OURS + FULL * acked).options(options)
}

/// Which segments went, counted from the first.
fn places(sent: &[Packet]) -> Vec<u32> {
    let place = |packet: &Packet| packet.seq.get().wrapping_sub(OURS) / FULL;
    sent.iter().map(place).collect()
}

/// A connection without selective acknowledgements.
fn without_sack() -> Script {
    Script::accepted(Host::new(65_536, 65_535), &Script::plain(), options(false))
}

/// A connection with timestamps.
fn stamped() -> Script {
    let mut offered = options(true);
    offered.timestamps = Some(Timestamps { value: 1, echo: 0 });
    let settings = Settings::new(MSS).nagle(false);
    Script::accepted(Host::new(65_536, 65_535), &settings, offered)
}

/// How many segments leave at once where nothing is on its way and there is enough to send.
fn window(script: &mut Script) -> usize {
    let now = script.now();
    let free = 65_536 - script.host.tcp.send_len() as usize;
    script.host.send(&vec![0; free]);
    script.host.transmit(now).len()
}

/// Blocks that do not lie between SND.UNA and SND.NXT are not believed, nor are any if they were
/// not agreed on.
#[test]
fn blocks_of_what_is_not_on_its_way_say_nothing() {
    let mut script = Script::established();
    script.write(60_000);
    script.now += 10_000;
    assert_eq!(places(&script.get(sack(&script, 2, &[]))), [10, 11, 12, 13]);
    for block in [(1, 14), (4, 90), (6, 4), (5, 5)] {
        assert_eq!(
            places(&script.get(sack(&script, 2, &[block]))),
            [],
            "{block:?}"
        );
    }
    assert_eq!(places(&script.get(sack(&script, 2, &[(4, 6)]))), [14, 15]);
    let mut script = without_sack();
    script.write(60_000);
    script.now += 10_000;
    let sent = script.get(sack(&script, 0, &[(1, 10)]));
    assert_eq!(places(&sent), [10], "a duplicate and no more");
}

/// Ten segments are on their way, the first of which was lost and has gone again.
fn repairing() -> Script {
    let mut script = Script::established();
    script.write(14_600);
    script.now += 10_000;
    assert_eq!(places(&script.get(sack(&script, 0, &[(1, 4)]))), [0]);
    script.now += 10_000;
    script
}

/// RFC 8985, section 6.2, step 2: what was sent again and acknowledged tells of what was sent
/// before it.
#[test]
fn what_was_sent_before_a_repair_is_lost_with_it() {
    let mut script = repairing();
    assert_eq!(places(&script.get(sack(&script, 4, &[]))), [4, 5, 6]);
}

/// RFC 6937, section 3: below ssthresh a segment more than has arrived goes (PRR-SSRB), if
/// SND.UNA has advanced and nothing new is lost.
// What leaves is counted with the windows of CUBIC, which are not halved.
#[cfg(feature = "cubic")]
#[test]
fn a_repair_is_faster_while_it_makes_progress() {
    let mut script = Script::established();
    script.write(60_000);
    script.now += 10_000;
    assert_eq!(
        places(&script.get(sack(&script, 0, &[(5, 10)]))),
        [0, 1, 2, 3, 4]
    );
    script.now += 10_000;
    assert_eq!(
        places(&script.get(sack(&script, 1, &[(5, 10)]))),
        [10, 11],
        "progress"
    );
    let sent = script.get(sack(&script, 1, &[(2, 3), (5, 10)]));
    assert_eq!(places(&sent).len(), 1, "none: {:?}", places(&sent));
    assert_eq!(places(&script.get(sack(&script, 3, &[(5, 10)]))).len(), 2);
}

/// RFC 7661: a window that is not made use of does not grow.
#[test]
fn a_window_that_is_not_used_does_not_grow() {
    for (segments, grows) in [(1, false), (5, true)] {
        let mut script = Script::established();
        for round in 1..=40 {
            script.write((FULL * segments) as usize);
            script.now += 10_000;
            script.get(sack(&script, round * segments, &[]));
        }
        let window = window(&mut script);
        assert_eq!(window > 10, grows, "{segments}: {window}");
    }
}

/// Being drained is told when the last octet is acknowledged, and by nothing else.
#[test]
fn an_acknowledgement_of_nothing_tells_nothing() {
    let mut script = Script::established();
    script.get(script.ack(OURS));
    assert_eq!(script.events, Events::NONE);
    script.write(10);
    for acked in [0, 4] {
        script.get(script.ack(OURS + acked));
        assert_eq!(script.events, Events::NONE);
    }
    script.get(script.ack(OURS + 10));
    assert!(script.events.has(Events::DRAINED));
}

/// What is older than what is known says nothing of the window (RFC 9293, section 3.10.7.4).
#[test]
fn an_old_segment_says_nothing_of_the_window() {
    let mut script = Script::established();
    script.write(10);
    script.get(script.ack(OURS + 10).window(3_000));
    let text = Packet::new(Flags::ACK, THEIRS, OURS + 10).payload(b"text");
    script.get(text.window(2_000));
    script.get(Packet::new(Flags::ACK, THEIRS, OURS + 10).window(0x7fff));
    script.get(Packet::new(Flags::ACK, THEIRS + 4, OURS).window(0x7fff));
    let sent: usize = script
        .write(9_000)
        .iter()
        .map(|packet| packet.payload.len())
        .sum();
    assert!(sent <= 2_000, "{sent}");
}

/// A probe into a closed window is not counted before it is acknowledged, and an acknowledgement
/// that is older than it changes nothing.
#[test]
fn an_old_acknowledgement_does_not_take_a_probe_back() {
    let mut script = Script::established();
    script.write(10);
    script.get(script.ack(OURS + 10).window(0));
    script.write(100);
    script.next();
    script.get(script.ack(OURS));
    let sent = script.get(script.ack(OURS + 10).window(0x7fff));
    assert_eq!((sent[0].seq.get(), sent[0].payload.len()), (OURS + 10, 100));
}

/// A window that opens a little is not worth a segment at once, whatever was to be probed; what
/// was backed off for the closed one is forgotten.
#[test]
fn a_window_that_opens_a_little_is_waited_for_anew() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(5_000);
    for _ in 0..6 {
        script.next();
    }
    let due = script.host.tcp.deadline().unwrap();
    script.now = due.as_micros();
    script.host.on_timer(due);
    assert!(
        script.get(script.ack(OURS).window(10)).is_empty(),
        "no probe goes any more"
    );
    let (after, sent) = script.next();
    assert!(after < 300_000, "{after}");
    assert_eq!(sent[0].payload.len(), 10);
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    let (now, opened) = (script.now(), script.ack(OURS));
    script.host.on_packet(now, &opened);
    assert!(
        script.host.tcp.is_quiet(),
        "nothing goes again where nothing was sent"
    );
}

/// RFC 5681, section 2: a window update is no duplicate, and no end of their row.
#[test]
fn a_window_update_does_not_end_a_row_of_duplicates() {
    let mut script = without_sack();
    script.write(14_600);
    script.now += 10_000;
    for window in [0x7fff, 0x7fff, 0x7ffe] {
        assert!(script.get(script.ack(OURS).window(window)).is_empty());
    }
    assert_eq!(places(&script.get(script.ack(OURS).window(0x7ffe))), [0]);
}

/// RFC 6582, section 3.2, step 1: after a timeout that was not needed, duplicates of what was on
/// its way then are no loss.
#[test]
fn duplicates_after_a_timeout_taken_back_are_no_loss() {
    let mut script = without_sack();
    assert_eq!(script.write(60_000).len(), 10);
    script.wait(300_000);
    for acked in 1..=3 {
        script.get(script.ack(OURS + acked * FULL));
    }
    for _ in 0..5 {
        let sent = script.get(script.ack(OURS + 3 * FULL));
        assert!(
            places(&sent).iter().all(|place| *place > 10),
            "{:?}",
            places(&sent)
        );
    }
}

/// RFC 6582, section 4, the Impatient variant: without SACK only the first partial acknowledgement
/// of a repair restarts the retransmission timer; with it each does.
// After two repairs the windows of Reno are too small for it.
#[cfg(feature = "cubic")]
#[test]
fn only_the_first_partial_acknowledgement_restarts_the_timer() {
    for sacks in [false, true] {
        let host = Host::new(65_536, 65_535);
        let mut script = Script::accepted(host, &Script::plain(), options(sacks));
        let mut first = 0;
        for _ in 0..2 {
            // A repair begins behind the point of the last.
            script.write(FULL as usize);
            first += 1;
            script.get(sack(&script, first, &[]));
            let rest = first + 7;
            assert_eq!(script.write(10_220).len(), 7);
            script.now += 20_000;
            for count in 1..=3 {
                script.get(sack(&script, first, &[(first + 1, first + 1 + count)]));
            }
            let mut due = Vec::new();
            for acked in 1..=3 {
                script.now += 20_000;
                script.get(sack(&script, first + 1 + acked, &[(first + 6, first + 7)]));
                due.push(script.host.tcp.deadline().unwrap());
            }
            assert_eq!(due[0] == due[1], !sacks, "{due:?}");
            assert_eq!(due[1] == due[2], !sacks, "{due:?}");
            script.now += 20_000;
            script.get(sack(&script, rest, &[]));
            assert!(script.host.tcp.is_drained());
            first = rest;
        }
    }
}

/// RFC 5682, section 2.1: one acknowledgement that advances decides about new segments, not a
/// duplicate before it; the answer to them is what tells of text, by whatever segment it comes.
#[test]
fn the_first_that_advances_lets_new_segments_go() {
    let after_timeout = || {
        let mut script = Script::established();
        assert_eq!(script.write(60_000).len(), 10);
        script.wait(300_000);
        script
    };
    let mut script = after_timeout();
    let sent = script.get(script.ack(OURS));
    assert!(
        places(&sent).iter().all(|place| *place < 10),
        "a duplicate: {:?}",
        places(&sent)
    );
    let forward = script.get(script.ack(OURS + FULL));
    assert!(!forward.is_empty() && places(&forward).iter().all(|place| *place > 10));
    // A window update says nothing yet; text with a block does.
    let sent = script.get(script.ack(OURS + FULL).window(0x7ffe));
    assert!(!places(&sent).contains(&1), "{:?}", places(&sent));
    let mut answer = sack(&script, 1, &[(11, 12)]).payload(b"text");
    answer.window = 0x7ffe;
    assert!(places(&script.get(answer)).contains(&1), "lost after all");
    // What was repaired at once, with nothing new to send, is repaired on.
    let mut script = Script::established();
    script.write(14_600);
    script.wait(300_000);
    assert_eq!(places(&script.get(script.ack(OURS + FULL))), [1, 2]);
    script.host.send(&vec![1; 20_000]);
    assert_eq!(places(&script.get(script.ack(OURS + 2 * FULL))), [3, 4]);
}

/// A window update among the answers to new segments decides nothing.
#[test]
fn a_window_update_does_not_tell_that_a_timeout_was_needed() {
    let mut script = Script::established();
    assert_eq!(script.write(60_000).len(), 10);
    script.wait(300_000);
    script.get(script.ack(OURS + FULL));
    script.get(script.ack(OURS + FULL).window(0x7ffe));
    let mut sent = script.get(script.ack(OURS + 2 * FULL).window(0x7ffe));
    sent.extend(script.get(script.ack(OURS + 5 * FULL).window(0x7ffe)));
    assert!(!sent.is_empty() && places(&sent).iter().all(|place| *place > 10));
}

/// The answer to new segments tells at once, be there a window update before it or not.
#[test]
fn text_with_a_block_tells_of_a_loss_after_a_timeout() {
    let mut script = Script::established();
    assert_eq!(script.write(60_000).len(), 10);
    script.wait(300_000);
    assert!(!script.get(script.ack(OURS + FULL)).is_empty());
    let answer = sack(&script, 1, &[(11, 12)]).payload(b"text");
    assert!(places(&script.get(answer)).contains(&1));
}

/// Duplicates that came while a timeout was repaired say nothing of what is on its way after it.
#[test]
fn duplicates_during_a_timeout_do_not_count_on() {
    let mut script = without_sack();
    assert_eq!(script.write(14_600).len(), 10);
    script.wait(300_000);
    for _ in 0..3 {
        script.get(script.ack(OURS));
    }
    // Three have gone for them, and the window is two.
    assert!(script.get(script.ack(OURS + FULL)).is_empty());
}

/// What has arrived by selective acknowledgements is not sent again after a timeout.
#[test]
fn a_timeout_leaves_out_what_has_arrived() {
    let mut script = Script::established();
    assert_eq!(script.write(14_600).len(), 10);
    script.now += 10_000;
    script.get(sack(&script, 0, &[(6, 8)]));
    let again = script.wait(300_000);
    assert!(again.len() > 1 && again.last().unwrap().1.seq.get() == OURS);
    let mut sent = Vec::new();
    for acked in [1, 2, 3, 4, 5, 6, 8, 9] {
        script.now += 10_000;
        sent.extend(places(&script.get(sack(&script, acked, &[]))));
    }
    eprintln!("KEEP {sent:?}");
    assert!(sent.contains(&5) && sent.contains(&8), "{sent:?}");
    assert!(!sent.contains(&6) && !sent.contains(&7), "{sent:?}");
}

/// A first segment that is too large is sent again in part where there is no entry to cut it with.
#[test]
fn a_first_segment_goes_again_although_it_cannot_be_cut() {
    let host = Host::new(65_536, 65_535).tables(8, 8);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    let sent = script.write(20_000).len();
    let mut again = Vec::new();
    for mss in [1_000, 500, 200] {
        let now = script.now();
        let error = IcmpError::TooBig { mss };
        script
            .host
            .with(|tcp, buffers| tcp.on_icmp(now, error, Seq::new(OURS), buffers));
        again = script.sent();
        assert_eq!(again[0].seq.get(), OURS, "{mss}");
        assert_eq!(again[0].payload.len(), usize::from(mss));
    }
    assert!(sent < 8 && !again.is_empty());
}

/// RFC 5681, section 3.1: a timeout halves what slow start leads to, or nearly, also while timeouts
/// are still long from others.
// What leaves is counted with the windows of CUBIC, which are not halved.
#[cfg(feature = "cubic")]
#[test]
fn each_first_timeout_reduces_the_threshold() {
    let mut script = Script::established();
    script.write(14_600);
    script.wait(300_000);
    // The first went again, and the last as a tail loss probe: nothing is measured.
    script.get(script.ack(OURS + 10 * FULL));
    assert_eq!(script.write(2 * FULL as usize).len(), 2);
    script.wait(600_000);
    script.get(script.ack(OURS + 12 * FULL));
    for round in 13..=18 {
        script.write(FULL as usize);
        script.now += 10_000;
        script.get(script.ack(OURS + round * FULL));
    }
    let window = window(&mut script);
    assert_eq!(window, 2);
}

/// RFC 8985, section 7.2: no tail loss probe while a repair goes on.
#[test]
fn no_probe_is_waited_for_in_a_repair() {
    let mut script = repairing();
    assert_eq!(places(&script.get(sack(&script, 4, &[]))), [4, 5, 6]);
    assert!(script.next().0 >= 200_000);
}

/// RFC 6298, section 5.3: what acknowledges something new restarts the timer, after a timeout, too.
#[test]
fn progress_restarts_the_timer() {
    let mut script = Script::established();
    script.write(14_600);
    script.wait(300_000);
    script.get(script.ack(OURS + FULL));
    script.now += 50_000;
    let before = script.host.tcp.deadline().unwrap();
    script.get(script.ack(OURS + 3 * FULL));
    let after = script.host.tcp.deadline().unwrap();
    assert!(
        after.as_micros() >= before.as_micros() + 50_000,
        "{before:?} and {after:?}"
    );
}

/// A tail loss probe that was due is not sent once the loss is known otherwise.
#[test]
fn no_probe_goes_when_the_loss_is_known() {
    let mut script = Script::established();
    script.write(14_600);
    let due = script.host.tcp.deadline().unwrap();
    script.now = due.as_micros();
    script.host.on_timer(due);
    assert_eq!(places(&script.get(sack(&script, 0, &[(1, 4)]))), [0]);
}

/// How the peer answers a tail loss probe.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// It acknowledges everything.
    All,
    /// And reports that it had the segment.
    Reported,
    /// It acknowledges everything up to the probe, and then what was sent after it.
    Beyond,
    /// It acknowledges everything up to the probe, and once more.
    Twice,
}

/// RFC 8985, section 7.4.2: a probe that was sent again and is not reported as a duplicate has
/// repaired a loss, and the window shrinks as for any; new text as a probe has repaired nothing.
#[test]
fn a_loss_that_a_probe_has_repaired_counts() {
    for (answer, is_new, shrinks) in [
        (Answer::All, false, true),
        (Answer::Reported, false, false),
        (Answer::Beyond, false, true),
        (Answer::Twice, false, false),
        (Answer::All, true, false),
    ] {
        let mut script = Script::established();
        script.write(if is_new { 16_060 } else { 14_600 });
        script.now += 10_000;
        if !is_new {
            script.get(sack(&script, 8, &[]));
        }
        let (_, sent) = script.next();
        let end = if is_new { 11 } else { 10 };
        assert_eq!(places(&sent), [end - 1]);
        script.now += 10_000;
        match answer {
            Answer::All => drop(script.get(sack(&script, end, &[]))),
            Answer::Reported => drop(script.get(sack(&script, end, &[(end - 1, end)]))),
            Answer::Beyond | Answer::Twice => {
                script.write(FULL as usize);
                script.get(sack(&script, end, &[]));
                if answer == Answer::Twice {
                    script.get(sack(&script, end, &[]));
                }
                script.get(sack(&script, end + 1, &[]));
            }
        }
        let window = window(&mut script);
        assert_eq!(window < 12, shrinks, "{answer:?}, {is_new}: {window}");
    }
}

/// RFC 3522: the low bits of the clock tell for half a minute whether an answer is to what was sent
/// first, counted from when it was sent again and from the last progress.
#[test]
fn a_repair_may_be_taken_back_for_half_a_minute() {
    for (silent, age, taken) in [
        (Some(32_767), None, true),
        (Some(32_768), None, false),
        (None, Some(32_767), true),
        (None, Some(32_768), false),
    ] {
        let mut script = stamped();
        let first = script.write(14_480);
        let begun = script.now;
        script.now += 30_000;
        let block = Block::new(Seq::new(OURS + 1_448), Seq::new(OURS + 5_792));
        let mut report = script.ack(OURS);
        report.options.sack.push(block);
        let repaired = script.now;
        let again = script.get(report);
        assert_eq!(again[0].seq.get(), OURS);
        let echo = |script: &Script, acked: u32, packet: &Packet| {
            let mut answer = script.ack(OURS + acked);
            let value = packet.options.timestamps.unwrap().value;
            answer.options.timestamps = Some(Timestamps {
                value: 2,
                echo: value,
            });
            answer
        };
        if let Some(silent) = silent {
            script.now = begun + silent * 1_000;
        }
        if let Some(age) = age {
            script.now += 10_000_000;
            script.get(echo(&script, 100, &again[0]));
            script.now = repaired + age * 1_000;
        }
        script.get(echo(&script, 14_480, &first[0]));
        let window = window(&mut script);
        assert_eq!(window >= 10, taken, "{silent:?}, {age:?}: {window}");
    }
}

/// Without SACK nothing is reported with it, whatever came out of order.
#[test]
fn no_blocks_go_to_a_peer_that_takes_none() {
    let mut script = without_sack();
    let sent = script.get(Packet::new(Flags::ACK, THEIRS + 9, OURS).payload(b"late"));
    assert_eq!((sent.len(), sent[0].options.sack.as_slice()), (1, &[][..]));
}

/// Being drained is told each time.
#[test]
fn everything_sent_is_told_each_time() {
    let mut script = Script::established();
    for round in 1..=3 {
        script.write(10);
        script.get(script.ack(OURS + 10 * round));
        assert!(script.events.has(Events::DRAINED) && !script.events.is_empty());
        script.write(0);
        script.get(script.ack(OURS + 10 * round));
        assert!(script.events.is_empty());
    }
}

/// RFC 9293, section 3.8.3: a peer that talks and acknowledges nothing is given up, too.
#[test]
fn a_peer_that_acknowledges_nothing_is_given_up() {
    let mut script = Script::established();
    script.write(100);
    for round in 0..12 {
        assert_eq!(script.state(), State::Established);
        script.get(Packet::new(Flags::ACK, THEIRS + 4 * round, OURS).payload(b"text"));
        script.wait(10_000_000);
    }
    assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
}

/// What a reset tells of: who was refused, what was lost, and what was not.
#[test]
fn a_reset_says_whether_something_was_lost() {
    let reset = |mut script: Script, seq: u32| {
        let ack = OURS;
        script.get(Packet::new(Flags::RST, seq, ack));
        assert_eq!(
            (script.state(), script.events.has(Events::CLOSED)),
            (State::Closed, true)
        );
        script.host.tcp.error()
    };
    let mut opening = Script::new();
    let syn = Packet::new(Flags::SYN, THEIRS - 1, 0).options(options(true));
    let now = opening.now();
    opening.host.accept(now, &Script::plain(), OURS - 1, &syn);
    assert_eq!(reset(opening, THEIRS), Some(Error::Refused));
    assert_eq!(reset(Script::established(), THEIRS), Some(Error::Reset));
    let ended =
        |script: &mut Script| script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS));
    let mut script = Script::established();
    ended(&mut script);
    assert_eq!(reset(script, THEIRS + 1), Some(Error::BrokenPipe));
    // With our end asked for behind a window that is closed.
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.host.send(b"text");
    ended(&mut script);
    script.get(Packet::new(Flags::ACK, THEIRS + 1, OURS).window(0));
    script.host.tcp.shutdown();
    assert_eq!(reset(script, THEIRS + 1), Some(Error::Reset));
    for (text, error) in [(&b"text"[..], Some(Error::Reset)), (b"", None)] {
        let mut script = Script::established();
        ended(&mut script);
        script.host.send(text);
        script.host.tcp.shutdown();
        script.sent();
        assert_eq!(script.state(), State::LastAck);
        assert_eq!(reset(script, THEIRS + 1), error);
    }
}

/// A shell's reasons are told as they are.
#[test]
fn a_connection_is_given_up_for_a_reason() {
    for (error, told) in [
        (Error::Unreachable, Error::Unreachable),
        (Error::Refused, Error::Refused),
        (Error::Reset, Error::Reset),
        (Error::Invalid, Error::TimedOut),
    ] {
        let mut script = Script::established();
        script.host.tcp.give_up(error);
        assert_eq!(script.host.tcp.error(), Some(told));
        assert!(script.sent().is_empty());
    }
}

/// FIN-WAIT-2 ends in time also where the owner closes only then.
#[test]
fn an_owner_may_close_in_fin_wait_2() {
    let mut script = Script::established();
    script.host.tcp.shutdown();
    script.sent();
    script.get(script.ack(OURS + 1));
    assert!(script.host.tcp.deadline().is_none());
    let now = script.now();
    script.host.with(|tcp, buffers| tcp.close(now, buffers));
    script.wait(59_000_000);
    assert_eq!(script.state(), State::FinWait2);
    script.wait(1_000_000);
    assert_eq!(script.state(), State::Closed);
}

/// What was too large is repaired as what is lost: no tail loss probe comes before its timeout.
#[test]
fn what_was_too_large_is_waited_for_as_a_repair() {
    let mut script = Script::established();
    script.write(100);
    script.write(FULL as usize);
    let (now, at) = (script.now(), Seq::new(OURS + 100));
    let error = IcmpError::TooBig { mss: 1_000 };
    script
        .host
        .with(|tcp, buffers| tcp.on_icmp(now, error, at, buffers));
    let lens: Vec<usize> = script
        .sent()
        .iter()
        .map(|sent| sent.payload.len())
        .collect();
    assert_eq!(lens, [1_000, 460]);
    assert_eq!(script.next().0, 210_000);
}

/// RFC 1191, section 6: what fits in the path is neither sent again nor waited for anew.
#[test]
fn what_fits_in_a_smaller_path_is_not_sent_again() {
    let mut script = Script::established();
    assert_eq!(script.write(1_000).len(), 1);
    script.now += 5_000;
    let due = script.host.tcp.deadline();
    for mss in [1_000, 1_400, 9_000] {
        let now = script.now();
        let error = IcmpError::TooBig { mss };
        script
            .host
            .with(|tcp, buffers| tcp.on_icmp(now, error, Seq::new(OURS), buffers));
        assert!(script.sent().is_empty());
        assert_eq!(script.host.tcp.deadline(), due);
    }
}
