//! Every state of RFC 9293, section 3.3.2, and every kind of segment: what the state is then, and
//! what the answer is (section 3.10.7, with RFC 5961 and RFC 1337).

use usockets::Duration;
use usockets_smoltcp::tcp::{Events, Flags, Listen, Options, State, TimeWaitAnswer, Timestamps};

use crate::host::{Host, Packet};
use crate::script::{IRS, ISS, OURS, Script, THEIRS, options};

/// Brings a connection into a state.
fn reach(state: State) -> Script {
    let mut script = match state {
        State::Closed => return Script::new(),
        State::SynSent => {
            let mut script = Script::new();
            let now = script.now();
            script.host.connect(now, &Script::plain(), ISS);
            assert_eq!(script.sent().len(), 1);
            return script;
        }
        State::SynReceived => {
            let mut script = Script::new();
            let now = script.now();
            let syn = Packet::new(Flags::SYN, IRS, 0);
            script.host.accept(now, &Script::plain(), ISS, &syn);
            assert_eq!(script.sent().len(), 1);
            return script;
        }
        _ => Script::established(),
    };
    let fin = Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS);
    let acked = Packet::new(Flags::ACK, THEIRS, OURS + 1);
    match state {
        State::FinWait1 | State::FinWait2 | State::Closing => {
            script.host.tcp.shutdown();
            assert_eq!(script.sent().len(), 1);
            if state == State::FinWait2 {
                script.get(acked);
            } else if state == State::Closing {
                script.get(fin);
            }
        }
        State::CloseWait | State::LastAck => {
            script.get(fin);
            if state == State::LastAck {
                script.host.tcp.shutdown();
                assert_eq!(script.sent().len(), 1);
            }
        }
        State::TimeWait => {
            script.host.tcp.shutdown();
            script.sent();
            script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
        }
        _ => {}
    }
    assert_eq!(script.state(), state);
    script
}

/// The peer's next number in a state.
const fn next_of(state: State) -> u32 {
    if state.has_peer_fin() {
        THEIRS + 1
    } else {
        THEIRS
    }
}

/// Returns (SND.UNA, SND.NXT) in a state.
const fn sent_of(state: State) -> (u32, u32) {
    match state {
        State::SynSent | State::SynReceived => (ISS, ISS + 1),
        State::FinWait1 | State::Closing | State::LastAck => (OURS, OURS + 1),
        State::FinWait2 | State::TimeWait => (OURS + 1, OURS + 1),
        _ => (OURS, OURS),
    }
}

/// A segment of the given kind for a state.
fn segment(kind: &str, state: State) -> Packet {
    let next = next_of(state);
    let (una, nxt) = sent_of(state);
    let plain = |flags, seq| Packet::new(flags, seq, una);
    match kind {
        "reset" => plain(Flags::RST | Flags::ACK, next),
        "reset within" => plain(Flags::RST | Flags::ACK, next + 100),
        "reset outside" => plain(Flags::RST | Flags::ACK, next.wrapping_sub(100)),
        "syn ahead" => plain(Flags::SYN, next + 100),
        "syn behind" => plain(Flags::SYN, next.wrapping_sub(100)),
        "ack again" => plain(Flags::ACK, next),
        "ack all" => Packet::new(Flags::ACK, next, nxt),
        "ack unsent" => Packet::new(Flags::ACK, next, nxt + 1),
        "ack ancient" => Packet::new(Flags::ACK, next, una.wrapping_sub(0x8000)),
        "text" => plain(Flags::ACK, next).payload(b"text"),
        "text behind" => plain(Flags::ACK, next - 4).payload(b"text"),
        "text ahead" => plain(Flags::ACK, next + 10).payload(b"text"),
        "text beyond" => plain(Flags::ACK, next + 70_000).payload(b"text"),
        "fin" => plain(Flags::FIN | Flags::ACK, next),
        "fin and ack" => Packet::new(Flags::FIN | Flags::ACK, next, nxt),
        "fin again" => plain(Flags::FIN | Flags::ACK, next - 1),
        "fin ahead" => plain(Flags::FIN | Flags::ACK, next + 10),
        "nothing" => plain(Flags::NONE, next).payload(b"text"),
        _ => panic!("no kind {kind}"),
    }
}

/// The columns of [`TABLE`].
const STATES: [State; 7] = [
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

/// What becomes of each kind of segment in each state: the state if it changes, and the answer if
/// there is one at once.
#[rustfmt::skip]
const TABLE: [(&str, [&str; 7]); 18] = [
    ("reset",         ["Closed", "Closed", "Closed", "Closed", "Closed", "Closed", ""]),
    ("reset within",  ["ack", "ack", "ack", "ack", "ack", "ack", ""]),
    ("reset outside", ["", "", "", "", "", "", ""]),
    ("syn ahead",     ["ack", "ack", "ack", "ack", "ack", "ack", "new"]),
    ("syn behind",    ["ack", "ack", "ack", "ack", "ack", "ack", "ack"]),
    ("ack again",     ["", "", "", "", "", "", ""]),
    ("ack all",       ["", "FinWait2", "", "", "TimeWait", "Closed", ""]),
    ("ack unsent",    ["ack", "ack", "ack", "ack", "ack", "ack", ""]),
    ("ack ancient",   ["ack", "ack", "ack", "ack", "ack", "ack", ""]),
    ("text",          ["", "", "", "ack", "ack", "ack", ""]),
    ("text behind",   ["ack", "ack", "ack", "ack", "ack", "ack", "ack"]),
    ("text ahead",    ["ack", "ack", "ack", "ack", "ack", "ack", ""]),
    ("text beyond",   ["ack", "ack", "ack", "ack", "ack", "ack", "ack"]),
    ("fin",           ["CloseWait ack", "Closing ack", "TimeWait ack", "ack", "ack", "ack", ""]),
    ("fin and ack",   ["CloseWait ack", "TimeWait ack", "TimeWait ack", "ack",
                       "TimeWait ack", "Closed", ""]),
    ("fin again",     ["ack", "ack", "ack", "ack", "ack", "ack", "ack"]),
    ("fin ahead",     ["ack", "ack", "ack", "ack", "ack", "ack", ""]),
    ("nothing",       ["", "", "", "", "", "", ""]),
];

/// What a segment did, in the words of the tables.
fn done(script: &mut Script, before: State, packet: Packet) -> String {
    let sent = script.get(packet);
    let mut words = Vec::new();
    if script.state() != before {
        words.push(format!("{:?}", script.state()));
    }
    assert!(sent.len() <= 1, "{sent:?}");
    if let Some(answer) = sent.first() {
        let word = match answer.flags {
            Flags::ACK => "ack",
            flags if flags.has(Flags::SYN | Flags::ACK) => "syn-ack",
            flags => panic!("answered with {flags:?}"),
        };
        words.push(word.to_owned());
    }
    if script.events.has(Events::ANSWER_RESET) {
        words.push("reset".to_owned());
    }
    if script.events.has(Events::NEW_SYN) {
        words.push("new".to_owned());
    }
    words.join(" ")
}

#[test]
fn every_segment_in_every_synchronized_state() {
    for (kind, expected) in TABLE {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut script = reach(state);
            let done = done(&mut script, state, segment(kind, state));
            assert_eq!(done, expected, "{kind} in {state:?}");
        }
    }
}

/// RFC 9293, section 3.10.7.4, for SYN-RECEIVED.
#[test]
fn every_segment_in_syn_received() {
    let state = State::SynReceived;
    let syn = Packet::new(Flags::SYN, IRS, 0);
    let good = |flags| Packet::new(flags, THEIRS, OURS);
    let table = [
        (good(Flags::RST), "Closed"),
        (Packet::new(Flags::RST, THEIRS + 9, OURS), "ack"),
        (Packet::new(Flags::RST, THEIRS - 9, OURS), ""),
        (syn.clone(), "syn-ack"),
        (Packet::new(Flags::SYN, IRS + 9, 0), "ack"),
        (good(Flags::ACK), "Established"),
        (good(Flags::SYN | Flags::ACK), "ack"),
        (
            Packet {
                seq: syn.seq,
                ..good(Flags::SYN | Flags::ACK)
            },
            "Established",
        ),
        (Packet::new(Flags::ACK, THEIRS, OURS + 1), "reset"),
        (Packet::new(Flags::ACK, THEIRS, ISS), "reset"),
        (good(Flags::ACK).payload(b"text"), "Established"),
        (good(Flags::FIN | Flags::ACK), "CloseWait ack"),
        (Packet::new(Flags::ACK, THEIRS + 70_000, OURS), "ack"),
        (good(Flags::NONE), ""),
    ];
    for (packet, expected) in table {
        let mut script = reach(state);
        let done = done(&mut script, state, packet.clone());
        assert_eq!(done, expected, "{packet:?}");
    }
}

/// RFC 9293, section 3.10.7.3.
#[test]
fn every_segment_in_syn_sent() {
    let state = State::SynSent;
    let table = [
        (Packet::new(Flags::RST, IRS, 0), ""),
        (Packet::new(Flags::RST | Flags::ACK, 0, OURS), "Closed"),
        (Packet::new(Flags::RST | Flags::ACK, 0, OURS + 1), "reset"),
        (Packet::new(Flags::ACK, IRS, OURS), ""),
        (Packet::new(Flags::ACK, IRS, ISS), "reset"),
        (Packet::new(Flags::SYN, IRS, 0), "SynReceived syn-ack"),
        (
            Packet::new(Flags::SYN | Flags::ACK, IRS, OURS),
            "Established ack",
        ),
        (Packet::new(Flags::SYN | Flags::ACK, IRS, OURS + 1), "reset"),
        (Packet::new(Flags::FIN, IRS, 0), ""),
        (Packet::new(Flags::NONE, IRS, 0).payload(b"text"), ""),
    ];
    for (packet, expected) in table {
        let mut script = reach(state);
        let done = done(&mut script, state, packet.clone());
        assert_eq!(done, expected, "{packet:?}");
    }
}

/// RFC 9293, section 3.10.7.3: what comes with the answer to a SYN is taken.
#[test]
fn text_and_end_of_an_answer_to_a_syn_are_taken() {
    for (end, state, next) in [
        (Flags::NONE, State::Established, THEIRS + 4),
        (Flags::FIN, State::CloseWait, THEIRS + 5),
    ] {
        let mut script = reach(State::SynSent);
        let answer = Packet::new(Flags::SYN | Flags::ACK | end, IRS, OURS).payload(b"text");
        let sent = script.get(answer);
        assert_eq!(script.state(), state);
        assert!(
            script
                .events
                .has(Events::ESTABLISHED.with(Events::READABLE))
        );
        assert_eq!((sent.len(), sent[0].ack.get()), (1, next));
        assert_eq!(script.host.receive(9), b"text");
    }
}

/// RFC 9293, sections 3.10.7.1 and 3.10.7.2.
#[test]
fn closed_and_listen_answer_as_the_rfc_says() {
    for flags in [Flags::ACK, Flags::SYN, Flags::FIN | Flags::ACK] {
        let mut script = reach(State::Closed);
        script.get(Packet::new(flags, 1, 1));
        assert!(script.events.has(Events::ANSWER_RESET));
    }
    let listen = |flags| Listen::of(&Packet::new(flags, 1, 1).segment());
    assert_eq!(listen(Flags::RST), Listen::Ignore);
    assert_eq!(listen(Flags::RST | Flags::SYN), Listen::Ignore);
    assert_eq!(listen(Flags::ACK), Listen::Reset);
    assert_eq!(listen(Flags::SYN | Flags::ACK), Listen::Reset);
    assert_eq!(listen(Flags::SYN), Listen::Open);
    assert_eq!(listen(Flags::SYN | Flags::FIN), Listen::Ignore);
    assert_eq!(listen(Flags::NONE), Listen::Ignore);
}

/// A reset is answered by nothing in TIME-WAIT, however old it is by its timestamp.
#[test]
fn old_resets_are_not_answered_in_time_wait() {
    let offered = Options {
        timestamps: Some(Timestamps { value: 9, echo: 0 }),
        ..options(true)
    };
    let settings = Script::plain().timestamps(true);
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, offered);
    script.host.tcp.shutdown();
    script.sent();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    assert_eq!(script.state(), State::TimeWait);
    script.peer_clock = Some(8);
    let old = |flags| Packet::new(flags, THEIRS + 1, OURS + 1);
    assert!(script.get(old(Flags::RST)).is_empty());
    assert_eq!(script.get(old(Flags::ACK)).len(), 1);
}

/// An end that comes again and again keeps TIME-WAIT, but the peer's clock is forgotten after 24
/// days (RFC 7323, section 5.5): any SYN with a timestamp is new then.
#[test]
fn a_peers_clock_is_outdated_in_time_wait_too() {
    let offered = Options {
        timestamps: Some(Timestamps { value: 9, echo: 0 }),
        ..options(true)
    };
    let settings = Script::plain()
        .timestamps(true)
        .time_wait(Duration::from_secs(60_000));
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, offered);
    script.host.tcp.shutdown();
    script.sent();
    let fin = Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1);
    script.get(fin.clone());
    for days in [1, 40] {
        for _ in 0..days * 2 {
            script.now += 86_400_000_000 / 2;
            script.get(fin.clone());
        }
        assert_eq!(script.state(), State::TimeWait);
        script.peer_clock = Some(5);
        script.get(Packet::new(Flags::SYN, IRS, 0));
        assert_eq!(script.events.has(Events::NEW_SYN), days > 24);
        script.peer_clock = Some(9);
    }
}

/// What remains of a connection in TIME-WAIT answers as often as that would (RFC 5961, section 7),
/// whether it was quiet before or not.
#[test]
fn challenges_are_counted_on_in_time_wait() {
    let mut script = Script::established();
    for _ in 0..3 {
        assert_eq!(script.get(Packet::new(Flags::SYN, IRS, 0)).len(), 1);
    }
    script.host.tcp.shutdown();
    script.sent();
    script.get(Packet::new(Flags::FIN | Flags::ACK, THEIRS, OURS + 1));
    let quiet = script.host.tcp.quiet().unwrap();
    for mut old in [script.host.tcp.time_wait(), quiet.time_wait()].map(Option::unwrap) {
        let strange = Packet::new(Flags::ACK, THEIRS + 9, OURS + 1);
        let answers = (0..20).filter(|_| {
            let answer = old.on_segment(script.now(), &strange.segment(), 0);
            matches!(answer, TimeWaitAnswer::Acknowledge(_))
        });
        assert_eq!(answers.count(), 7);
    }
}

/// A peer that did not hear our answer sends its SYN again, and then hears it: nothing of the
/// handshake is left to be sent, however little time is between.
#[test]
fn no_answer_to_a_syn_is_due_after_the_handshake() {
    let mut script = reach(State::SynReceived);
    let now = script.now();
    let syn = Packet::new(Flags::SYN, IRS, 0);
    // Both in one burst.
    script.host.on_packet(now, &syn);
    script
        .host
        .on_packet(now, &Packet::new(Flags::ACK, THEIRS, OURS));
    assert_eq!(script.state(), State::Established);
    let sent = script.sent();
    assert!(
        sent.iter().all(|packet| !packet.has(Flags::SYN)),
        "{sent:?}"
    );
    assert!(script.host.tcp.is_quiet());
    assert!(!script.host.tcp.may_transmit());
}

/// Both open at once, and the peer's SYN and its answer to ours come in one burst: its SYN is
/// acknowledged all the same.
#[test]
fn a_simultaneous_open_in_one_burst_is_acknowledged() {
    let mut script = reach(State::SynSent);
    let now = script.now();
    script.host.on_packet(now, &Packet::new(Flags::SYN, IRS, 0));
    let answer = Packet::new(Flags::SYN | Flags::ACK, IRS, OURS);
    script.host.on_packet(now, &answer);
    assert_eq!(script.state(), State::Established);
    let sent = script.sent();
    assert!(
        sent.iter()
            .any(|packet| packet.has(Flags::ACK) && packet.ack.get() == THEIRS),
        "{sent:?}"
    );
}
