//! What a shell asks of a connection that leases memory: whether it is quiet, what may be forgotten
//! for its being so, and what the peer owes.

use usockets::Duration;
use usockets_smoltcp::tcp::{Events, Flags, State};

use crate::host::{Host, Packet};
use crate::script::{OURS, Script, THEIRS, options};

fn text(seq: u32, payload: &[u8]) -> Packet {
    Packet::new(Flags::ACK, seq, OURS).payload(payload)
}

fn is_quiet(script: &Script) -> bool {
    let tcp = &script.host.tcp;
    let quiet = tcp.quiet();
    assert_eq!(quiet.is_some(), tcp.is_quiet());
    if let Some(quiet) = quiet {
        assert_eq!((quiet.state(), quiet.error()), (tcp.state(), tcp.error()));
        assert_eq!(quiet.deadline(), tcp.deadline());
    }
    tcp.is_quiet()
}

/// What is on its way, waits to be sent, received or acknowledged keeps a connection from being
/// quiet, and nothing else does.
#[test]
fn a_connection_with_nothing_to_do_is_quiet() {
    let mut script = Script::new();
    assert!(is_quiet(&script));
    let now = script.now();
    script.host.connect(now, &Script::plain(), OURS);
    assert!(!is_quiet(&script));
    let mut script = Script::established();
    assert!(is_quiet(&script));
    script.write(10);
    assert!(!is_quiet(&script));
    script.get(script.ack(OURS + 10));
    assert!(is_quiet(&script));
    script.get(text(THEIRS, b"text"));
    assert!(!is_quiet(&script), "an acknowledgement waits");
    script.wait(50_000);
    assert!(!is_quiet(&script), "nobody has received it");
    script.host.receive(9);
    assert!(is_quiet(&script));
    script.get(text(THEIRS + 4, b"more"));
    script.host.receive(9);
    assert!(!is_quiet(&script), "an acknowledgement waits");
    assert!(script.host.tcp.hurry() && !script.host.tcp.hurry());
    assert!(!is_quiet(&script), "it is due");
    let sent = script.sent();
    assert_eq!((sent.len(), sent[0].ack.get()), (1, THEIRS + 8));
    assert!(is_quiet(&script) && !script.host.tcp.hurry());
    assert!(script.wait(500_000).is_empty(), "once");
    script.get(Packet::new(Flags::ACK, THEIRS + 8, OURS + 10).window(0));
    assert!(is_quiet(&script));
    assert!(script.write(10).is_empty(), "the window is closed");
    assert!(!is_quiet(&script));
}

/// A FIN that is to be sent, or of which something before is missing, is waited for.
#[test]
fn ends_that_are_to_come_are_waited_for() {
    let mut script = Script::established();
    script.host.tcp.shutdown();
    assert!(!is_quiet(&script));
    script.sent();
    assert!(!is_quiet(&script));
    script.get(script.ack(OURS + 1));
    assert_eq!(script.state(), State::FinWait2);
    assert!(is_quiet(&script));
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    assert!(is_quiet(&script), "TIME-WAIT");
    let mut script = Script::established();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS));
    assert!(is_quiet(&script), "CLOSE-WAIT");
    script.host.tcp.abort();
    assert!(!is_quiet(&script), "a reset is due");
    assert_eq!(script.sent().len(), 1);
    assert!(is_quiet(&script));
    let mut script = Script::established();
    script.get(text(THEIRS, b"last"));
    script.get(Packet::new(Flags::RST, THEIRS + 4, OURS));
    assert!(!is_quiet(&script), "nobody has received it");
    script.host.receive(9);
    assert!(is_quiet(&script));
}

/// RFC 2018, section 8: what came out of order may be forgotten, and a FIN behind it, if nothing
/// else keeps the connection from being quiet.
#[test]
fn what_came_out_of_order_may_be_forgotten() {
    let mut script = Script::established();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS + 4, OURS));
    assert!(!is_quiet(&script) && !script.host.tcp.holds_received());
    assert!(script.host.tcp.renege() && is_quiet(&script));
    script.get(text(THEIRS, b"text"));
    assert_eq!(script.state(), State::Established, "the FIN is forgotten");
    script.wait(50_000);
    script.host.receive(9);
    script.get(text(THEIRS + 8, b"late"));
    assert!(!is_quiet(&script) && script.host.tcp.holds_received());
    assert!(script.host.tcp.split().1.holds_received());
    assert!(script.host.tcp.renege() && is_quiet(&script));
    assert!(!script.host.tcp.holds_received());
    assert!(!script.host.tcp.split().1.holds_received());
    script.get(text(THEIRS + 4, b"here"));
    assert_eq!(script.host.receive(9), b"here");
    script.wait(50_000);
    // The peer's FIN has come: it stays known.
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS + 8, OURS));
    assert!(script.host.tcp.renege());
    assert_eq!(script.state(), State::CloseWait);
}

/// Nothing is forgotten in vain.
#[test]
fn nothing_is_forgotten_of_a_connection_that_has_something_to_do() {
    let may = |script: &Script| script.host.tcp.split().1.may_renege();
    let keeps = |mut script: Script, may_renege: bool| {
        assert_eq!(may(&script), may_renege);
        assert!(!script.host.tcp.renege());
        assert!(script.host.tcp.holds_received());
        script.sent();
        script.get(text(THEIRS + script.host.tcp.receive_len(), b"it"));
        assert!(script.host.receive(99).ends_with(b"itlate"));
    };
    let mut script = Script::established();
    script.get(text(THEIRS + 2, b"late"));
    let now = script.now();
    let again = text(THEIRS + 2, b"late");
    script.host.on_packet(now, &again);
    keeps(script, true);
    let mut script = Script::established();
    script.get(text(THEIRS, b"first"));
    script.get(text(THEIRS + 7, b"late"));
    keeps(script, false);
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(10);
    script.get(text(THEIRS + 2, b"late").window(0));
    keeps(script, false);
    let mut script = Script::established();
    script.host.tcp.shutdown();
    script.sent();
    script.get(text(THEIRS + 2, b"late"));
    keeps(script, true);
}

fn stalled(script: &Script) -> u64 {
    script.host.tcp.stalled(script.now())
}

/// Writes, and lets the peer be asked twice more; returns for how long it owes an answer then.
fn ask_twice_more(script: &mut Script) -> u64 {
    let begun = script.now;
    script.write(10);
    let mut asked = 0;
    while asked < 2 {
        assert_eq!(stalled(script), 0);
        asked += usize::from(!script.next().1.is_empty());
    }
    let owed = (script.now - begun) / 1_000 * 1_000;
    assert_eq!(stalled(script), owed);
    owed
}

/// The peer owes an answer once it has been asked three times, since the last progress.
#[test]
fn a_peer_that_does_not_answer_is_in_debt() {
    let mut script = Script::established();
    script.wait(5_000_000);
    assert_eq!(stalled(&script), 0);
    let owed = ask_twice_more(&mut script);
    let quiet = script.host.tcp.split().0;
    assert_eq!(quiet.since_progress(script.now()), owed);
    script.get(script.ack(OURS + 10));
    script.wait(5_000_000);
    assert_eq!(stalled(&script), 0, "nothing is on its way");
    let mut script = Script::established();
    script.wait(5_000_000);
    script.get(script.ack(OURS).window(0));
    assert_eq!(stalled(&script), 0, "nothing waits for the window");
    let owed = ask_twice_more(&mut script);
    let quiet = script.host.tcp.split().0;
    assert_eq!(quiet.silent_for(script.now()), owed);
    script.host.tcp.abort();
    assert_eq!(stalled(&script), 0);
}

/// Room is told to an owner that has asked for it.
#[test]
fn room_is_told_if_it_was_asked_for() {
    for asked in [true, false] {
        let mut script = Script::established();
        script.write(10);
        if asked {
            script.host.tcp.note_short();
        }
        script.get(script.ack(OURS + 10));
        assert_eq!(script.events.has(Events::WRITABLE), asked);
    }
}

/// Room is told when it is worth a send: a quarter of the buffer, or two segments of a large one.
#[test]
fn room_is_told_when_it_is_worth_a_send() {
    for (buffer, worth) in [(4_000, 1_000), (65_536, 2_920)] {
        let host = Host::new(buffer, 9_000);
        let mut script = Script::accepted(host, &Script::plain(), options(true));
        assert_eq!(script.host.send(&vec![1; buffer + 1]), buffer);
        script.sent();
        for (acked, told) in [(worth - 1, false), (worth, true), (worth + 9, false)] {
            script.get(script.ack(OURS + acked));
            assert_eq!(script.events.has(Events::WRITABLE), told, "{acked}");
        }
    }
}

/// A timer that is called early does nothing, whatever is waited for.
#[test]
fn early_calls_of_the_timer_do_nothing() {
    let mut waiting = Vec::new();
    let mut script = Script::established();
    script.write(10);
    waiting.push(script);
    let mut script = Script::established();
    script.get(text(THEIRS, b"text"));
    waiting.push(script);
    let mut script = Script::established();
    script.host.tcp.shutdown();
    script.sent();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    waiting.push(script);
    let settings = Script::plain().keepalive(Some(Duration::from_secs(10)));
    waiting.push(Script::accepted(
        Host::new(9_000, 9_000),
        &settings,
        options(true),
    ));
    let mut script = Script::established();
    script.get(script.ack(OURS).window(0));
    script.write(10);
    waiting.push(script);
    for mut script in waiting {
        let (due, state) = (script.host.tcp.deadline(), script.state());
        let last = due.map_or(0, |due| due.as_micros() - 1);
        for now in [script.now, script.now.midpoint(last), last] {
            script.now = now;
            let now = script.now();
            script.events = script.host.on_timer(now);
            assert_eq!(script.events, Events::NONE);
            assert!(script.sent().is_empty());
            assert_eq!((script.host.tcp.deadline(), script.state()), (due, state));
        }
        let (after, sent) = script.next();
        assert_eq!(after, 1);
        assert!(
            !sent.is_empty() || script.state() != state,
            "{:?}",
            script.host.tcp
        );
    }
}

/// Deadlines stay where they are, and due once they are, however long nobody has called: their
/// clocks wrap after 71 minutes, or 49 days.
#[test]
fn what_is_due_stays_due_for_hours() {
    let hour = 3_600_000_000;
    for late in [
        1, 999, 1_000, 1_700, 2_147, 2_148, 3_000, 4_400, 5_000, 20_000,
    ] {
        let text = text(THEIRS, &[1; 10]);
        let starts: [fn(&mut Script, &Packet); 3] = [
            |script, _| drop(script.write(10)),
            |script, text| drop(script.get(text.clone())),
            |script, _| {
                script.host.tcp.shutdown();
                script.sent();
                script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
            },
        ];
        for start in starts {
            let mut script = Script::established();
            start(&mut script, &text);
            let due = script.host.tcp.deadline().unwrap().as_micros();
            script.now = due + late * 1_000_000;
            // A call that is not about the timer.
            script.sent();
            let still = script.host.tcp.deadline().unwrap().as_micros();
            assert!(still <= script.now, "{late}: {still} and {}", script.now);
            script.now += 1_500_000_000;
            script.sent();
            let (after, sent) = script.next();
            assert_eq!(after, 0);
            assert!(!sent.is_empty() || script.state() == State::Closed);
        }
    }
    let settings = Script::plain().keepalive(Some(Duration::from_secs(20_000)));
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, options(true));
    let due = script.host.tcp.deadline();
    for _ in 0..5 {
        script.now += hour;
        assert!(script.sent().is_empty());
        assert_eq!(script.host.tcp.deadline(), due);
    }
    assert_eq!(script.next().1.len(), 1);
}
