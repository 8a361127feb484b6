//! What happens when nothing is heard: retransmission, its limits, keep-alive, closed windows.

use usockets::{Duration, Error};
use usockets_smoltcp::tcp::{Events, Flags, State};

use crate::host::{Host, Packet};
use crate::script::{ISS, OURS, Script, THEIRS, options};

/// RFC 6298, section 2: a second at first, doubled each time.
#[test]
fn a_syn_goes_again_after_1_2_and_4_seconds() {
    let mut script = Script::new();
    let now = script.now();
    script.host.connect(now, &Script::plain(), ISS);
    assert_eq!(script.sent().len(), 1);
    let times: Vec<u64> = script.wait(20_000_000).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [1_000_000, 3_000_000, 7_000_000, 15_000_000]);
}

/// RFC 9293, section 3.8.3: R2 for a SYN.
#[test]
fn a_handshake_without_answer_ends_in_time() {
    let mut script = Script::new();
    let now = script.now();
    let settings = Script::plain().handshake_timeout(Duration::from_secs(180));
    script.host.connect(now, &settings, ISS);
    script.sent();
    script.wait(179_000_000);
    assert_eq!(script.state(), State::SynSent);
    script.wait(1_000_000);
    assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
}

/// RFC 6298, section 5.5, and the bound of a minute.
#[test]
fn the_timeout_doubles_up_to_a_minute() {
    let settings = Script::plain().user_timeout(Duration::from_secs(400));
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, options(true));
    script.write(100);
    let sent = script.wait(390_000_000);
    let times: Vec<u64> = sent.iter().map(|(at, _)| *at).collect();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(sent.iter().all(|(_, packet)| packet.seq.get() == OURS));
    // The round trip is 10 ms; RFC 6298, section 2.2, and 200 ms for its variance.
    assert_eq!(times[0], 210_000);
    for pair in gaps.windows(2) {
        assert!(pair[1] == (2 * pair[0]).min(60_000_000), "{gaps:?}");
    }
    assert_eq!(gaps.last(), Some(&60_000_000));
}

/// RFC 9293, section 3.8.3: R2 of 100 s at least by default.
#[test]
fn data_without_acknowledgement_ends_the_connection() {
    let mut script = Script::established();
    script.write(100);
    script.wait(119_900_000);
    assert_eq!(script.state(), State::Established);
    let sent = script.wait(200_000);
    assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
    assert!(script.events.has(Events::CLOSED));
    assert!(
        sent.last()
            .is_some_and(|(_, packet)| packet.has(Flags::RST))
    );
}

/// RFC 9293, section 3.8.6.1: probed without end as long as the peer answers.
#[test]
fn a_closed_window_is_probed_for_hours() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    assert!(script.write(5_000).is_empty());
    let (mut probes, mut gaps) = (0, Vec::new());
    while script.now < 10_000_000 + 4 * 3_600_000_000 {
        let (after, sent) = script.next();
        if let [probe] = &sent[..] {
            assert_eq!((probe.seq.get(), probe.payload.len()), (OURS, 1));
            gaps.push(after);
            probes += 1;
            let answer = script.get(script.ack(OURS).window(0));
            assert!(answer.is_empty());
        }
    }
    assert_eq!(script.state(), State::Established);
    assert!(probes > 200, "{probes} probes");
    assert!(
        gaps[0] < 1_000_000 && gaps.last() == Some(&60_000_000),
        "{gaps:?}"
    );
    let sent = script.get(script.ack(OURS).window(0x7fff));
    let octets: usize = sent.iter().map(|packet| packet.payload.len()).sum();
    assert_eq!(
        (octets, sent[0].seq.get()),
        (5_000, OURS),
        "from where it stopped"
    );
}

/// The octet of a probe may be taken, with the window still closed.
#[test]
fn a_probe_may_be_taken() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(5_000);
    script.next();
    script.get(script.ack(OURS + 1).window(0));
    let (_, sent) = script.next();
    assert_eq!(sent[0].seq.get(), OURS + 1);
    let sent = script.get(script.ack(OURS + 2).window(9_000));
    let octets: usize = sent.iter().map(|packet| packet.payload.len()).sum();
    assert_eq!((octets, sent[0].seq.get()), (4_998, OURS + 2));
    assert_eq!(sent[0].payload[..3], [2, 3, 4]);
}

/// A probe may be the last octet there is: once it is taken nothing is owed, and no answer waited
/// for, however long the window stays closed.
#[test]
fn a_closed_window_is_not_probed_with_nothing() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(1);
    assert_eq!(script.next().1.len(), 1);
    script.get(script.ack(OURS + 1).window(0));
    assert!(script.host.tcp.is_drained() && script.host.tcp.is_quiet());
    assert!(script.wait(600_000_000).is_empty());
    assert_eq!(script.state(), State::Established);
}

/// RFC 9293, section 3.8.6.1: while there is more to send, a closed window is asked about ever more
/// rarely, whether or not the probes are taken.
#[test]
fn probes_that_are_taken_are_backed_off_too() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(5_000);
    let gaps: Vec<u64> = (1..6)
        .map(|taken| {
            let (gap, sent) = script.next();
            assert_eq!(sent.len(), 1);
            script.get(script.ack(OURS + taken).window(0));
            gap
        })
        .collect();
    assert!(gaps.windows(2).all(|pair| pair[0] < pair[1]), "{gaps:?}");
}

/// RFC 9293, section 3.8.6.1: what comes after the last octet, which was taken after many probes,
/// is asked about as soon as the first was.
#[test]
fn a_window_is_asked_about_anew_after_a_probe_was_taken() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(1);
    let (first, _) = script.next();
    for _ in 0..6 {
        assert_eq!(script.next().1.len(), 1);
        script.get(script.ack(OURS).window(0));
    }
    script.next();
    script.get(script.ack(OURS + 1).window(0));
    assert!(script.wait(5_000_000).is_empty());
    script.write(1);
    let (again, sent) = script.next();
    assert_eq!(sent[0].seq.get(), OURS + 1);
    assert_eq!(again, first);
}

/// A peer that says no more is given up, window or not.
#[test]
fn a_closed_window_without_answers_ends() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(5_000);
    script.wait(200_000_000);
    assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
}

/// RFC 9293, section 3.8.6.1: what was silent for long before, and had no reason to speak, is asked
/// first, be its window closed or too small.
#[test]
fn a_window_that_closed_long_ago_is_probed() {
    for window in [0, 10] {
        let mut script = Script::established();
        script.get(script.ack(OURS).window(0x7fff));
        script.get(script.ack(OURS).window(window));
        assert!(script.wait(600_000_000).is_empty());
        script.write(5_000);
        let (_, sent) = script.next();
        assert!(!sent[0].has(Flags::RST), "window {window}");
        assert_eq!(script.state(), State::Established, "window {window}");
        script.get(script.ack(OURS + sent[0].payload.len() as u32));
        // Without an answer it ends all the same.
        script.get(script.ack(OURS).window(window));
        script.wait(600_000_000);
        assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
    }
}

/// RFC 9293, section 3.8.6.1: the window closes over what is on its way.
#[test]
fn a_window_that_closes_over_what_is_on_its_way_is_probed() {
    let mut script = Script::established();
    assert_eq!(script.write(5_000).len(), 4);
    script.get(script.ack(OURS + 1_460).window(0));
    for _ in 0..50 {
        let (_, sent) = script.next();
        if !sent.is_empty() {
            assert_eq!(sent.len(), 1, "no more than one segment");
            assert_eq!(sent[0].seq.get(), OURS + 1_460);
            script.get(script.ack(OURS + 1_460).window(0));
        }
    }
    assert_eq!(script.state(), State::Established);
    let mut sent = script.get(script.ack(OURS + 1_460).window(0x7fff));
    sent.extend(script.wait(3_000_000).into_iter().map(|(_, packet)| packet));
    assert!(sent.iter().any(|packet| packet.seq.get() == OURS + 1_460));
}

/// RFC 9293, section 3.8.4: an octet before the window, without text; after silence only.
#[test]
fn keep_alive_asks_and_gives_up() {
    let settings = Script::plain().keepalive(Some(Duration::from_secs(10)));
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, options(true));
    script.wait(5_000_000);
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"text"));
    assert_eq!(
        script.wait(9_900_000).len(),
        1,
        "the delayed acknowledgement"
    );
    let sent = script.wait(1_000_000);
    assert_eq!(sent.len(), 1);
    let probe = &sent[0].1;
    assert_eq!((probe.seq.get(), probe.payload.len()), (OURS - 1, 0));
    script.get(Packet::new(Flags::ACK, THEIRS + 4, OURS));
    let sent = script.wait(105_000_000);
    assert_eq!(sent.len(), 10, "nine probes and a reset");
    assert_eq!(script.host.tcp.error(), Some(Error::TimedOut));
    assert!(sent[9].1.has(Flags::RST));
}

/// A peer that keeps its direction open is asked, too, and parts of a second count as a whole one.
#[test]
fn keep_alive_asks_in_fin_wait_2() {
    let settings = Script::plain().keepalive(Some(Duration::from_millis(1_500)));
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, options(true));
    script.host.tcp.shutdown();
    script.sent();
    script.get(script.ack(OURS + 1));
    let sent = script.wait(7_000_000);
    let times: Vec<u64> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [2_000_000, 4_000_000, 6_000_000]);
    assert_eq!(script.state(), State::FinWait2);
}

/// RFC 9293, section 3.8.4, MUST-25: off by default.
#[test]
fn keep_alive_is_off_by_default() {
    let mut script = Script::established();
    assert!(script.wait(100_000_000_000).is_empty());
    assert_eq!(script.state(), State::Established);
}

/// RFC 9293, section 3.8.6.3: delayed by less than 500 ms, and not for two full segments.
#[test]
fn acknowledgements_are_delayed_a_little() {
    let mut script = Script::established();
    let text = vec![1; 1_460];
    let first = Packet::new(Flags::ACK, THEIRS, OURS).payload(&text);
    assert!(script.get(first).is_empty());
    let (after, sent) = script.next();
    assert!(after < 500_000);
    assert_eq!(sent[0].ack.get(), THEIRS + 1_460);
    for second in 0..2_u32 {
        let seq = THEIRS + 1_460 * (1 + second);
        let sent = script.get(Packet::new(Flags::ACK, seq, OURS).payload(&text));
        assert_eq!(sent.len(), second as usize);
    }
}

/// An acknowledgement goes with what the owner sends.
#[test]
fn an_answer_carries_the_acknowledgement() {
    let mut script = Script::established();
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"ping"));
    let sent = script.write(4);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].ack.get(), THEIRS + 4);
    script.get(Packet::new(Flags::ACK, THEIRS + 4, OURS + 4));
    assert!(script.wait(1_000_000_000).is_empty());
}

/// RFC 9293, section 3.6, MUST-13: twice the MSL, which is a setting.
#[test]
fn time_wait_ends_in_time() {
    let mut script = Script::established();
    script.host.tcp.shutdown();
    script.sent();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    assert_eq!(script.state(), State::TimeWait);
    script.wait(50_000_000);
    let sent = script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    assert_eq!(sent.len(), 1, "the FIN again restarts it");
    script.wait(59_000_000);
    assert_eq!(script.state(), State::TimeWait);
    script.wait(1_000_000);
    assert_eq!(
        (script.state(), script.host.tcp.error()),
        (State::Closed, None)
    );
}

/// Once the owner has closed, FIN-WAIT-2 does not last for ever.
#[test]
fn fin_wait_2_of_a_closed_owner_ends() {
    let mut script = Script::established();
    let now = script.now();
    script.host.with(|tcp, buffers| tcp.close(now, buffers));
    script.sent();
    script.get(script.ack(OURS + 1));
    assert_eq!(script.state(), State::FinWait2);
    script.wait(60_000_000);
    assert_eq!(script.state(), State::Closed);
}

/// RFC 9293, section 3.8.1, MUST-18: the answer to a retransmission measures nothing, and the
/// timeout stays doubled until something is.
#[test]
fn what_was_sent_twice_is_not_measured() {
    let mut script = Script::established();
    script.write(100);
    let (first, _) = script.next();
    assert_eq!(first, 210_000);
    script.now += 1_000;
    script.get(script.ack(OURS + 100));
    script.write(100);
    let (second, _) = script.next();
    assert_eq!(second, 420_000);
    script.get(script.ack(OURS + 200));
    script.write(100);
    script.now += 10_000;
    script.get(script.ack(OURS + 300));
    script.write(100);
    let (third, _) = script.next();
    assert!(third < 250_000, "{third}: measured again");
}

/// RFC 9293, section 3.8.6.3, MUST-58 and MUST-59.
#[test]
fn a_burst_has_one_acknowledgement() {
    let mut script = Script::established();
    let now = script.now();
    for place in 0..8 {
        let text = Packet::new(Flags::ACK, THEIRS + 1_000 * place, OURS).payload(&[1; 1_000]);
        script.host.on_packet(now, &text);
    }
    let sent = script.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].ack.get(), THEIRS + 8_000);
}

/// RFC 8985, section 7.2: new segments put a probe off, but never beyond the timeout.
#[test]
fn steady_small_segments_do_not_put_the_timeout_off() {
    let mut script = Script::established();
    for _ in 0..9 {
        script.write(10);
        let sent = script.wait(40_000);
        if !sent.is_empty() {
            let after = script.now - 10_010_000;
            assert!(after <= 260_000, "only after {after}");
            return;
        }
    }
    panic!("nothing went again for 360 ms");
}

/// Two ends whose windows are closed take each other's probes, and their answers count although
/// neither has counted its own octet yet.
#[test]
fn two_ends_that_probe_each_other_agree() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(5_000);
    let (_, sent) = script.next();
    assert_eq!(sent[0].payload.len(), 1);
    script.get(
        Packet::new(Flags::ACK, THEIRS, OURS)
            .payload(b"p")
            .window(0),
    );
    script.get(Packet::new(Flags::ACK, THEIRS, OURS + 1).window(0));
    assert_eq!(script.host.tcp.send_len(), 4_999);
}
