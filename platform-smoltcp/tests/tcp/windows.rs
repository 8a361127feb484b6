//! Windows: silly ones, Nagle's algorithm, half-close, and the ways to end.

use usockets::Error;
use usockets_smoltcp::tcp::{Events, Flags, Settings, State};

use crate::host::{Host, Packet};
use crate::net::{Link, Net};
use crate::script::{IRS, ISS, OURS, Script, THEIRS, options};

fn text(seq: u32, len: usize) -> Packet {
    Packet::new(Flags::ACK, seq, OURS).payload(&vec![1; len])
}

/// RFC 9293, section 3.8.6.2.2, MUST-39: the window opens by a segment or half the buffer.
#[test]
fn the_receiver_offers_no_silly_windows() {
    let host = Host::new(9_000, 4_380);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    for part in 0..3 {
        script.get(text(THEIRS + 1_460 * part, 1_460));
    }
    script.wait(100_000);
    for _ in 0..14 {
        script.host.receive(100);
        assert!(script.sent().is_empty(), "not yet worth telling");
    }
    script.host.receive(100);
    let sent = script.sent();
    assert_eq!(sent[0].window, 1_500, "a segment fits");
}

/// An owner that receives nothing closes the window with the last octet there is room for; a probe
/// into it is answered; a little room is not worth telling, and all of it is told at once.
#[test]
fn a_full_buffer_closes_the_window_and_reading_opens_it() {
    let host = Host::new(9_000, 65_535);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    let mut next = THEIRS;
    for len in std::iter::repeat_n(1_460, 44).chain([1_295]) {
        script.get(text(next, len));
        next += len as u32;
    }
    let sent = script.wait(200_000);
    let (after, last) = sent.last().unwrap();
    assert!(*after <= 100_000);
    assert_eq!((last.ack.get(), last.window), (next, 0));
    let sent = script.get(text(next, 1));
    assert_eq!((sent[0].ack.get(), sent[0].window), (next, 0), "a probe");
    script.host.receive(1_000);
    assert!(script.sent().is_empty(), "not worth telling");
    script.host.receive(70_000);
    let sent = script.sent();
    assert_eq!((sent[0].ack.get(), sent[0].window), (next, 65_535));
}

/// A peer has sent up to the right edge of the window, and nothing of that was taken. What it
/// acknowledges there counts, or it would seem to take nothing; an octet further is of no window.
#[test]
fn an_acknowledgement_at_the_right_edge_counts() {
    let host = Host::new(9_000, 4_380);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    assert_eq!(script.write(1_000).len(), 1);
    let at = |place: u32, acked: u32| Packet::new(Flags::ACK, THEIRS + place, OURS + acked);
    assert!(script.get(at(4_381, 1_000)).len() == 1, "a challenge");
    assert_eq!(script.host.tcp.send_len(), 1_000);
    assert!(script.get(at(4_380, 1_000)).is_empty());
    assert_eq!(script.host.tcp.send_len(), 0);
}

/// RFC 9293, section 3.8.6.2.1, MUST-38: no small segments into small windows.
#[test]
fn the_sender_fills_no_silly_windows() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(1_560));
    let sent = script.write(5_000);
    assert_eq!(sent.len(), 1, "100 octets of window are left");
    let sent = script.get(script.ack(OURS + 1_460).window(100));
    assert!(sent.is_empty());
    let (after, sent) = script.next();
    assert!((100_000..1_000_001).contains(&after), "overridden in time");
    assert_eq!(sent[0].payload.len(), 100);
}

/// RFC 9293, section 3.7.4, MUST-17: Nagle's algorithm can be turned off.
#[test]
fn small_segments_wait_if_they_are_asked_to() {
    for nagle in [true, false] {
        let settings = Script::plain().nagle(nagle);
        let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, options(true));
        assert_eq!(script.write(10).len(), 1, "nothing is on its way");
        assert_eq!(script.write(10).len(), usize::from(!nagle));
        let sent = script.get(script.ack(OURS + 10));
        assert_eq!(sent.len(), usize::from(nagle));
    }
}

/// The right edge never goes back (RFC 9293, section 3.8.6, SHLD-14).
#[test]
fn the_window_is_never_taken_back() {
    let mut script = Script::accepted(Host::new(9_000, 9_000), &Script::plain(), options(true));
    let mut edge = 0;
    let mut seq = THEIRS;
    for round in 0..200_u32 {
        let len = 1 + (round * 37) % 400;
        let mut sent = script.get(text(seq, len as usize));
        seq += len;
        sent.extend(script.wait(50_000).into_iter().map(|(_, packet)| packet));
        if round % 3 == 0 {
            script.host.receive(600);
        }
        for packet in sent {
            let told = packet.ack.get() + u32::from(packet.window);
            assert!(told >= edge, "from {edge} back to {told}");
            edge = told;
        }
    }
}

/// RFC 9293, section 3.6: after our FIN the peer may send on, and after its FIN we may.
#[test]
fn each_direction_closes_by_itself() {
    let mut script = Script::established();
    script.host.tcp.shutdown();
    assert!(script.sent()[0].has(Flags::FIN));
    script.get(script.ack(OURS + 1));
    script.get(Packet::new(Flags::ACK, THEIRS, OURS + 1).payload(b"more"));
    assert_eq!(script.host.receive(9), b"more");
    let mut script = Script::established();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS));
    assert!(script.events.has(Events::PEER_FIN));
    assert_eq!(script.write(4).len(), 1);
    script.host.tcp.shutdown();
    let sent = script.sent();
    assert!(sent[0].has(Flags::FIN) && sent[0].seq.get() == OURS + 4);
    script.get(Packet::new(Flags::ACK, THEIRS + 1, OURS + 5));
    assert_eq!(
        (script.state(), script.host.tcp.error()),
        (State::Closed, None)
    );
}

/// A FIN that comes before the text it follows is kept until that has come.
#[test]
fn a_fin_out_of_order_is_remembered() {
    let mut script = Script::established();
    let fin = Packet::new(Flags::FIN | Flags::ACK, THEIRS + 4, OURS).payload(b"last");
    script.get(fin);
    assert_eq!(script.state(), State::Established);
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"lost"));
    assert_eq!(script.state(), State::CloseWait);
    assert_eq!(script.host.receive(9), b"lostlast");
}

/// RFC 9293, section 3.6.1: who has closed and gets more says that it is lost.
#[test]
fn text_after_close_is_answered_by_a_reset() {
    let mut script = Script::established();
    let now = script.now();
    script.host.with(|tcp, buffers| tcp.close(now, buffers));
    script.sent();
    script.get(script.ack(OURS + 1));
    let sent = script.get(Packet::new(Flags::ACK, THEIRS, OURS + 1).payload(b"late"));
    assert!(sent[0].has(Flags::RST));
    assert_eq!(sent[0].seq.get(), OURS + 1);
    assert!(script.events.has(Events::CLOSED));
}

/// RFC 2525, section 2.17: closing with something not received is told by a reset.
#[test]
fn closing_before_all_is_received_resets() {
    let mut script = Script::established();
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"unread"));
    let now = script.now();
    script.host.with(|tcp, buffers| tcp.close(now, buffers));
    assert!(script.sent()[0].has(Flags::RST));
}

/// RFC 9293, section 3.10.5.
#[test]
fn abort_resets_at_once() {
    let mut script = Script::established();
    script.write(100);
    script.host.tcp.abort();
    let sent = script.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].has(Flags::RST) && sent[0].seq.get() == OURS + 100);
    let mut script = Script::new();
    let now = script.now();
    script.host.connect(now, &Script::plain(), ISS);
    script.host.tcp.abort();
    assert!(script.sent().is_empty(), "nobody knows of it");
}

/// What the owner sent before the handshake goes with it.
#[test]
fn text_sent_before_the_handshake_waits_for_it() {
    let mut script = Script::new();
    let now = script.now();
    script.host.connect(now, &Script::plain(), ISS);
    script.sent();
    assert!(script.write(5).is_empty());
    script.host.tcp.shutdown();
    assert_eq!(script.state(), State::Closed, "SYN-SENT is given up");
    let mut script = Script::new();
    script.host.connect(now, &Script::plain(), ISS);
    script.sent();
    script.write(5);
    let sent = script.get(Packet::new(Flags::SYN | Flags::ACK, IRS, OURS).options(options(true)));
    assert_eq!((sent[0].payload.len(), sent[0].ack.get()), (5, THEIRS));
}

/// Room is told with the handshake to an owner who waits for it, if there is any.
#[test]
fn room_is_told_with_the_handshake_if_there_is_any() {
    for (written, asks, told) in [(0, false, false), (9_000, true, false), (100, true, true)] {
        let mut script = Script::with(Host::new(9_000, 9_000));
        let now = script.now();
        script.host.connect(now, &Script::plain(), ISS);
        script.write(written);
        if asks {
            script.host.tcp.note_short();
        }
        script.get(Packet::new(Flags::SYN | Flags::ACK, IRS, OURS).options(options(true)));
        assert!(script.events.has(Events::ESTABLISHED));
        assert_eq!(script.events.has(Events::WRITABLE), told, "{written}");
    }
}

/// Nobody sends once his direction is closed, or there is no connection.
#[test]
fn nothing_is_taken_after_the_end() {
    let mut script = Script::new();
    assert_eq!(script.host.send(b"text"), 0);
    let mut script = Script::established();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS));
    script.host.tcp.shutdown();
    assert_eq!(script.host.send(b"text"), 0, "the end is not sent yet");
    assert_eq!(script.sent().len(), 1);
    assert_eq!(script.host.send(b"text"), 0);
}

/// Who has closed and has something on its way takes what comes in order, and answers the rest.
#[test]
fn what_comes_after_close_is_acknowledged_in_order() {
    let mut script = Script::established();
    let now = script.now();
    script.host.with(|tcp, buffers| tcp.close(now, buffers));
    assert_eq!(script.sent().len(), 1);
    for (seq, acked) in [(THEIRS + 9, THEIRS), (THEIRS, THEIRS + 4)] {
        let sent = script.get(text(seq, 4));
        assert_eq!((sent.len(), sent[0].ack.get()), (1, acked));
    }
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS + 4, OURS));
    assert_eq!(script.state(), State::Closing);
}

/// A peer that has ended is told of no room.
#[test]
fn no_room_is_told_after_the_peers_end() {
    let host = Host::new(9_000, 9_000);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    let all = Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS).payload(&[1; 8_999]);
    assert_eq!(script.get(all).len(), 1);
    assert_eq!(script.host.receive(9_000).len(), 8_999);
    assert!(script.sent().is_empty());
}

/// A probe that was due when the window opened to a segment does not send what is too small for
/// one.
#[test]
fn a_probe_that_is_due_waits_for_what_is_on_its_way() {
    let mut script = Script::established();
    script.get(script.ack(OURS).window(100));
    assert!(script.write(5_000).is_empty());
    let due = script.host.tcp.deadline().unwrap();
    script.now = due.as_micros();
    script.host.on_timer(due);
    let sent = script.get(script.ack(OURS).window(1_560));
    let lens: Vec<usize> = sent.iter().map(|sent| sent.payload.len()).collect();
    assert_eq!(lens, [1_460]);
}

/// A device is asked to cut what is more than a segment, and nothing else.
#[test]
fn one_segment_is_not_for_the_device_to_cut() {
    for (len, cut) in [(1_459, false), (1_460, false), (2_920, true)] {
        let mut script = Script::established();
        script.host.segment_max = 65_000;
        script.host.send(&vec![1; len]);
        let sent = script.host.poll(script.now()).unwrap();
        assert_eq!(sent.payload_len as usize, len);
        assert_eq!(sent.segment_size.is_some(), cut, "{len}");
    }
}

/// What goes again is as it was: text, text with a FIN, or a FIN alone.
#[test]
fn what_goes_again_is_as_it_was() {
    let (ack, text) = (Flags::ACK, Flags::ACK | Flags::PSH);
    for (len, ends, flags) in [
        (9, false, text),
        (9, true, text | Flags::FIN),
        (0, true, ack | Flags::FIN),
    ] {
        let mut script = Script::established();
        script.host.send(&vec![1; len]);
        if ends {
            script.host.tcp.shutdown();
        }
        let sent = script.sent();
        assert_eq!((sent.len(), sent[0].flags), (1, flags));
        let again = script.wait(3_000_000);
        assert!(again.len() >= 3);
        assert!(again.iter().all(|(_, packet)| *packet == sent[0]));
    }
}

/// RFC 9293, section 3.10.7.4: a refused connection says so.
#[test]
fn a_refused_connection_says_so() {
    let mut script = Script::new();
    let now = script.now();
    script.host.connect(now, &Script::plain(), ISS);
    script.sent();
    script.get(Packet::new(Flags::RST | Flags::ACK, 0, OURS));
    assert_eq!(script.host.tcp.error(), Some(Error::Refused));
}

/// Runs until nothing but TIME-WAIT is left.
fn run(net: &mut Net) {
    for _ in 0..1_000 {
        net.transmit();
        let open = |state| !matches!(state, State::Closed | State::TimeWait);
        if !net.hosts.iter().any(|host| open(host.tcp.state())) {
            break;
        }
        let Some(next) = net.next() else {
            break;
        };
        net.advance(next);
    }
}

fn two() -> Net {
    let link = Link {
        delay: 10_000,
        ..Link::default()
    };
    let hosts = [Host::new(9_000, 9_000), Host::new(9_000, 9_000)];
    Net::new(hosts, [link; 2], [Settings::new(1_460); 2], 1)
}

/// RFC 9293, section 3.5, figure 7, MUST-10: both connect at once.
#[test]
fn both_may_open_at_once() {
    let mut net = two();
    net.listening = false;
    net.connect(100);
    let (now, settings) = (net.now(), net.settings[1]);
    net.hosts[1].connect(now, &settings, 900);
    for _ in 0..20 {
        net.transmit();
        let Some(next) = net.next() else {
            break;
        };
        net.advance(next);
    }
    for host in &mut net.hosts {
        assert_eq!(host.tcp.state(), State::Established);
        assert_eq!(host.send(b"both"), 4);
    }
    for _ in 0..20 {
        net.transmit();
        let Some(next) = net.next() else {
            break;
        };
        net.advance(next);
    }
    for host in &mut net.hosts {
        assert_eq!(host.receive(9), b"both");
    }
}

/// RFC 9293, section 3.6, figure 13: both close at once and both wait.
#[test]
fn both_may_close_at_once() {
    let mut net = two();
    net.connect(100);
    for _ in 0..4 {
        net.transmit();
        let Some(next) = net.next() else {
            break;
        };
        net.advance(next);
    }
    for host in &mut net.hosts {
        assert_eq!(host.tcp.state(), State::Established);
        host.tcp.shutdown();
    }
    run(&mut net);
    for host in &net.hosts {
        assert_eq!(host.tcp.state(), State::TimeWait);
    }
}

/// RFC 9293, section 3.1, MUST-1: a window above 32 KiB is no negative number.
#[test]
fn a_window_of_64_kib_is_used_whole() {
    let host = Host::new(200_000, 9_000);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    let (mut end, mut flight) = (OURS, 0);
    for _ in 0..6 {
        script.now += 10_000;
        let acked = end;
        let mut sent = script.get(script.ack(acked).window(0xffff));
        let free = 200_000 - script.host.tcp.send_len() as usize;
        sent.extend(script.write(free));
        for packet in sent {
            end = end.max(packet.seq.get() + packet.payload.len() as u32);
        }
        flight = end - acked;
    }
    // Whole segments only.
    assert_eq!(flight, 65_535 / 1_460 * 1_460);
}

/// RFC 9293, section 3.9.1.2, MUST-61.
#[test]
fn the_last_segment_is_pushed() {
    let mut script = Script::established();
    let sent = script.write(4_000);
    let pushed: Vec<bool> = sent.iter().map(|packet| packet.has(Flags::PSH)).collect();
    assert_eq!(pushed, [false, false, true]);
}

/// RFC 9293, section 3.10.7.4, MUST-66.
#[test]
fn a_reset_counts_with_a_closed_window() {
    let host = Host::new(9_000, 1_460);
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    script.get(text(THEIRS, 1_460));
    let sent = script.wait(100_000);
    assert_eq!(sent[0].1.window, 0);
    script.write(10);
    script.get(Packet::new(Flags::ACK, THEIRS + 1_460, OURS + 10).payload(b"probe"));
    assert!(
        script.host.tcp.is_drained(),
        "nor is an acknowledgement lost"
    );
    script.get(Packet::new(Flags::RST, THEIRS + 1_460, OURS));
    assert_eq!(script.state(), State::Closed);
}
