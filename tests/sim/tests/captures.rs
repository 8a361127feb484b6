//! A seed over frames leaves a file of them that others read, and in which the conversation is.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use usockets::{Buffer, Handler, Opened, Platform, Socket};
use usockets_sim::{Capture, OverFrames, Peer};
use usockets_smoltcp::tcp::Flags;
use usockets_smoltcp::wire::{ethernet::Ethernet, ipv4::Ipv4, tcp::Tcp};

/// Sends back what comes; without the pause, a bug.
struct Echo {
    pauses: bool,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<2048>;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if held.push(&data[sent..]) > 0 && self.pauses {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }
}

fn capture(seed: u64, pauses: bool) -> Capture {
    OverFrames::listening(Echo { pauses }, ())
        .peer(Peer::random(30_000).expects(<[u8]>::to_vec))
        .peer(Peer::random(30_000).slow().expects(<[u8]>::to_vec))
        .peer(Peer::random(5_000).half_closing().expects(<[u8]>::to_vec))
        .run(seed)
}

/// Returns the frames of a file, each with its time in microseconds (`pcap-savefile(5)`).
fn frames(file: &[u8]) -> Vec<(u64, &[u8])> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(
        (word(0), word(20)),
        (0xa1b2_c3d4, 1),
        "Ethernet, microseconds"
    );
    let (mut at, mut frames) = (24, Vec::new());
    while at < file.len() {
        let (micros, len) = (
            u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4)),
            word(at + 8),
        );
        frames.push((micros, &file[at + 16..][..len as usize]));
        at += 16 + len as usize;
    }
    frames
}

/// Returns the bytes that the handler's host sent to each port of its peers, from its segments.
fn sent(frames: &[(u64, &[u8])]) -> BTreeMap<u16, Vec<u8>> {
    let mut streams: BTreeMap<u16, (u32, BTreeMap<u32, Vec<u8>>)> = BTreeMap::new();
    for (_, frame) in frames {
        let Ok((link, packet)) = Ethernet::parse(frame) else {
            continue;
        };
        // Those that came may be damaged; what was sent is whole.
        if link.source != [2, 0, 0, 0, 0, 1] || link.ethertype != Ethernet::IPV4 {
            continue;
        }
        let (_, segment) = Ipv4::parse(packet).unwrap();
        let (tcp, payload) = Tcp::parse(segment).unwrap();
        let stream = streams.entry(tcp.destination_port).or_default();
        if tcp.flags.has(Flags::SYN) {
            stream.0 = tcp.seq.get().wrapping_add(1);
        } else if !payload.is_empty() {
            let part = stream
                .1
                .entry(tcp.seq.get().wrapping_sub(stream.0))
                .or_default();
            if part.len() < payload.len() {
                *part = payload.to_vec();
            }
        }
    }
    let whole = |(_, parts): (u32, BTreeMap<u32, Vec<u8>>)| {
        let mut bytes = Vec::new();
        for (offset, part) in parts {
            // What was sent again begins before the end of what is known.
            let known = bytes.len() - offset as usize;
            bytes.extend(part.iter().skip(known));
        }
        bytes
    };
    streams
        .into_iter()
        .map(|(port, stream)| (port, whole(stream)))
        .collect()
}

#[test]
fn what_peers_hear_is_in_the_file() {
    let mut lost = 0;
    for seed in 0..20 {
        println!("SEED={seed}");
        let capture = capture(seed, true);
        assert_eq!(capture.wrong, None);
        let frames = frames(&capture.pcap);
        assert!(frames.is_sorted_by_key(|(micros, _)| *micros));
        let mut sent: Vec<_> = sent(&frames).into_values().collect();
        let mut heard: Vec<_> = capture
            .talks
            .iter()
            .map(|talk| talk.heard.clone())
            .collect();
        sent.sort();
        heard.sort();
        assert!(sent == heard, "seed {seed}: the frames tell something else");
        lost += capture.lost;
    }
    assert!(lost > 10, "{lost} frames lost");
}

#[test]
fn the_same_seed_makes_the_same_file_and_another_does_not() {
    let (one, again, other) = (capture(3, true), capture(3, true), capture(4, true));
    assert!(one.pcap == again.pcap);
    assert!(one.pcap != other.pcap);
    assert_eq!(one.time, again.time);
}

#[test]
fn a_bug_is_wrong_over_frames_too() {
    let wrong: Vec<_> = (0..20)
        .filter_map(|seed| capture(seed, false).wrong)
        .collect();
    assert!(!wrong.is_empty());
}

#[test]
fn tcpdump_reads_it() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "tcpdump is missing");
        println!("skipped: tcpdump is not installed");
        return;
    }
    let capture = capture(7, true);
    let path = std::env::temp_dir().join(format!("usockets-{}.pcap", std::process::id()));
    std::fs::write(&path, &capture.pcap).unwrap();
    let output = Command::new("tcpdump")
        .args(["-n", "-r"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| !line.starts_with(char::is_whitespace))
            .count(),
        frames(&capture.pcap).len()
    );
    assert!(
        text.contains("10.0.0.1.80: Flags [S]") && text.contains("10.0.0.2"),
        "{text}"
    );
}

/// Does something every millisecond as long as it lives.
struct Ticking;

impl<P: Platform> Handler<P> for Ticking {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        let millisecond = Duration::from_millis(1);
        let _ = socket.net().start_timer(millisecond, millisecond);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}
}

/// The end of a run before its time is told, since what is missing then may only be late.
#[test]
fn a_run_that_is_cut_short_says_so() {
    assert!(!capture(0, true).cut_short);
    let run = OverFrames::listening(Ticking, ())
        .peer(Peer::given("one"))
        .run(0);
    assert!(!run.talks.is_empty(), "somebody connected");
    assert!(run.cut_short);
}
