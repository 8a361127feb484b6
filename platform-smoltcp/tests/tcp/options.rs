//! Options: what is agreed in the handshake, timestamps, window scale, cookies, path MTU.

use core::net::SocketAddr;

use usockets::{Duration, Error, Instant};
use usockets_smoltcp::Secret;
use usockets_smoltcp::tcp::cookies::Answer;
use usockets_smoltcp::tcp::{
    Block, Events, Flags, IcmpError, Options, Seq, Settings, State, Timestamps, cookies,
};
use usockets_smoltcp::wire::tcp::Tcp;

use crate::host::{Host, Packet};
use crate::script::{IRS, ISS, OURS, Script, THEIRS, options};

fn full(value: u32) -> Options {
    Options {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value, echo: 0 }),
        ..Options::NONE
    }
}

/// RFC 7323, section 2.2; RFC 2018, section 2: an option is used if both sides send it.
#[test]
fn options_are_used_if_both_sides_offer_them() {
    for (theirs, ours) in [(true, true), (true, false), (false, true)] {
        let offered = if theirs { full(1_000) } else { options(false) };
        let settings = Settings::new(1_460)
            .timestamps(ours)
            .sack(ours)
            .window_scaling(ours);
        let mut script = Script::new();
        let now = script.now();
        let syn = Packet::new(Flags::SYN, IRS, 0).options(offered);
        script.host.accept(now, &settings, ISS, &syn);
        let answer = script.sent().remove(0).options;
        let both = theirs && ours;
        assert_eq!(answer.window_scale.is_some(), both);
        assert_eq!(answer.sack_permitted, both);
        assert_eq!(
            answer.timestamps.map(|stamps| stamps.echo),
            both.then_some(1_000)
        );
        assert_eq!(answer.mss, Some(1_460));
    }
}

/// RFC 7323, section 2.2: what the peer's windows are scaled by counts for nothing unless ours are.
#[test]
fn windows_are_scaled_by_both_or_nobody() {
    for (ours, octets) in [(true, 12_800), (false, 100)] {
        let settings = Settings::new(1_460).window_scaling(ours);
        let mut script = Script::accepted(Host::new(65_536, 65_535), &settings, full(1_000));
        script.get(script.ack(OURS).window(100));
        script.host.send(&vec![1; 20_000]);
        let mut sent = script.sent();
        sent.extend(script.next().1);
        let end = |packet: &Packet| packet.seq.get() - OURS + packet.payload.len() as u32;
        let end = sent.iter().map(end).max().unwrap();
        assert!(end <= octets && end + 1_448 > octets, "{end}");
    }
}

/// RFC 9293, section 3.7.1: the peer's MSS limits ours, and options count (RFC 6691).
#[test]
fn segments_are_no_larger_than_the_peers_mss() {
    let small = Options {
        mss: Some(1_000),
        ..full(1_000)
    };
    let settings = Settings::new(1_460).nagle(false);
    let mut script = Script::accepted(Host::new(65_536, 65_535), &settings, small);
    script.get(script.ack(OURS).window(0xffff));
    let sent = script.write(3_000);
    assert!(
        sent.iter().all(|packet| packet.payload.len() <= 988),
        "{sent:?}"
    );
    let plain = Script::plain();
    let mut script = Script::accepted(Host::new(65_536, 65_535), &plain, Options::NONE);
    let sent = script.write(1_072);
    assert_eq!(sent[0].payload.len(), 536, "MUST-15");
}

/// RFC 7323, section 5.3: an old timestamp tells an old segment.
#[test]
fn old_segments_are_told_by_their_timestamps() {
    let settings = Settings::new(1_460);
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, full(1_000));
    script.peer_clock = Some(2_000);
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"new"));
    script.wait(100_000);
    script.peer_clock = Some(1_999);
    let sent = script.get(Packet::new(Flags::ACK, THEIRS + 3, OURS).payload(b"old"));
    assert_eq!(sent.len(), 1, "an acknowledgement");
    assert_eq!(script.host.tcp.receive_len(), 3);
    // RFC 7323, section 5.5: after 24 days nothing is old. They are counted in 256 seconds.
    script.now += 24 * 24 * 3_600 * 1_000_000;
    script.get(Packet::new(Flags::ACK, THEIRS + 3, OURS).payload(b"old"));
    assert_eq!(script.host.tcp.receive_len(), 3);
    script.now += 256 * 1_000_000;
    script.get(Packet::new(Flags::ACK, THEIRS + 3, OURS).payload(b"now"));
    assert_eq!(script.host.tcp.receive_len(), 6);
}

/// RFC 5961, section 5.2: what acknowledges what was never sent is discarded, its timestamp too.
#[test]
fn segments_that_are_refused_leave_no_timestamp() {
    let settings = Settings::new(1_460);
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, full(1_000));
    script.peer_clock = Some(9_000);
    script.get(Packet::new(Flags::ACK, THEIRS, OURS + 1).payload(b"forged"));
    assert_eq!(script.host.tcp.receive_len(), 0);
    script.peer_clock = Some(2_000);
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"text"));
    assert_eq!(script.host.tcp.receive_len(), 4);
}

/// RFC 7323, section 3.2: without the option a segment is dropped.
#[test]
fn segments_without_timestamps_are_dropped() {
    let settings = Settings::new(1_460);
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, full(1_000));
    script.peer_clock = None;
    script.get(Packet::new(Flags::ACK, THEIRS, OURS).payload(b"text"));
    assert_eq!(script.host.tcp.receive_len(), 0);
    script.get(Packet::new(Flags::RST, THEIRS, OURS));
    assert_eq!(script.state(), State::Closed, "but a reset");
}

/// RFC 7323, section 2: a window of more than 64 KiB is told and kept.
#[test]
fn windows_are_scaled() {
    let settings = Settings::new(1_460);
    let mut script = Script::accepted(Host::new(9_000, 4 << 20), &settings, full(1_000));
    let first = Packet::new(Flags::ACK, THEIRS, OURS).payload(&[1; 1_448]);
    script.get(first);
    let sent = script.wait(100_000);
    let window = u64::from(sent[0].1.window) << 7;
    assert!(window > (4 << 20) - 3_000, "{window}");
    let far = THEIRS + 3_000_000;
    let sent = script.get(Packet::new(Flags::ACK, far, OURS).payload(b"far"));
    assert_eq!(sent[0].options.sack.as_slice().len(), 1, "kept");
}

fn pair() -> (SocketAddr, SocketAddr) {
    (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 40_000).into())
}

/// A handshake by cookie; `offered` on the SYN.
fn by_cookie(offered: Options) -> (Script, Packet) {
    let secret = Secret::new([3; 16]);
    let settings = Settings::new(1_460).timestamps_offset(77);
    let mut script = Script::with(Host::new(65_536, 4 << 20));
    let syn = Packet::new(Flags::SYN, IRS, 0).options(offered);
    let answer = cookies::answer(
        secret,
        pair(),
        script.now(),
        &syn.segment(),
        &settings,
        4 << 20,
    );
    assert!(answer.flags.has(Flags::SYN | Flags::ACK));
    script.now += 30_000;
    let mut ack = Packet::new(Flags::ACK, THEIRS, answer.seq.get().wrapping_add(1));
    ack.window = 0x1000;
    ack.options.timestamps = answer.options.timestamps.map(|stamps| Timestamps {
        value: 1_030,
        echo: stamps.value,
    });
    script.peer_clock = answer.options.timestamps.map(|_| 1_030);
    let now = script.now();
    let cookie = cookies::check(secret, pair(), now, &ack.segment(), &settings);
    let Some(Answer::Complete(cookie)) = cookie else {
        panic!("the cookie is not known again: {cookie:?}");
    };
    let other = cookies::check(Secret::new([4; 16]), pair(), now, &ack.segment(), &settings);
    assert_eq!(other, None);
    let late = Instant::from_micros(script.now + 140_000_000);
    let other = cookies::check(secret, pair(), late, &ack.segment(), &settings);
    assert_eq!(other, None, "too old");
    let events = script
        .host
        .with(|tcp, buffers| tcp.accept_cookie(now, &settings, &cookie, &ack.segment(), buffers));
    assert!(events.has(Events::ESTABLISHED));
    (script, ack)
}

/// With timestamps a cookie loses nothing: window scale, SACK and MSS are as agreed.
#[test]
fn cookies_carry_options_in_timestamps() {
    let (mut script, ack) = by_cookie(full(1_000));
    let ours = ack.ack.get();
    let sent = script.write(60_000);
    assert_eq!(sent.len(), 10, "the window is 0x1000 << 7");
    assert_eq!(sent[0].payload.len(), 1_448);
    let stamps = sent[0].options.timestamps.map(|stamps| stamps.value);
    let echoed = ack.options.timestamps.map_or(0, |stamps| stamps.echo);
    let ahead = stamps.map_or(0, |value| value.wrapping_sub(echoed));
    assert!((1..200).contains(&ahead), "the clock goes on: {ahead}");
    let mut blocks = Options::NONE;
    let una = Seq::new(ours);
    blocks
        .sack
        .push(Block::new(una.plus(1_448), una.plus(5 * 1_448)));
    let sent = script.get(
        Packet::new(Flags::ACK, THEIRS, ours)
            .options(blocks)
            .window(0x1000),
    );
    assert_eq!(sent[0].seq, una, "a loss is told by SACK");
    script.get(Packet::new(Flags::ACK, THEIRS + 2_000_000, ours).payload(b"far"));
    let sent = script.get(Packet::new(Flags::ACK, THEIRS + 9, ours).payload(b"x"));
    assert!(!sent[0].options.sack.as_slice().is_empty());
}

/// Without timestamps it carries the MSS, and the connection works without the rest.
#[test]
fn cookies_without_timestamps_carry_the_mss() {
    let (mut script, _) = by_cookie(options(true));
    script.now += 1_000;
    let sent = script.write(4_000);
    assert_eq!(sent[0].payload.len(), 1_460);
    assert_eq!(sent[0].options, Options::NONE);
}

/// The first timeout after a cookie is a second: nothing has been measured.
#[test]
fn a_cookies_timeout_starts_at_a_second() {
    let (mut script, _) = by_cookie(options(true));
    script.write(100);
    let (after, sent) = script.next();
    assert_eq!((after, sent.len()), (1_000_000, 1));
}

/// RFC 1191, section 6: smaller segments at once, what was too large again, no loss of window.
#[test]
fn segments_shrink_to_the_path() {
    let mut script = Script::established();
    assert_eq!(script.write(14_600).len(), 10);
    let now = script.now();
    let error = IcmpError::TooBig { mss: 1_360 };
    let tell = |script: &mut Script, seq| {
        script
            .host
            .with(|tcp, buffers| tcp.on_icmp(now, error, Seq::new(seq), buffers));
        script.sent()
    };
    // RFC 5927, section 4.1: who does not know what is on its way says nothing.
    assert!(tell(&mut script, OURS - 1).is_empty());
    assert!(tell(&mut script, OURS + 14_600).is_empty());
    let sent = tell(&mut script, OURS + 1_460);
    assert!(
        sent.iter().all(|packet| packet.payload.len() <= 1_360),
        "{sent:?}"
    );
    let octets: usize = sent.iter().map(|packet| packet.payload.len()).sum();
    assert_eq!((sent[0].seq.get(), octets), (OURS, 14_600));
    script.now += 10_000;
    script.get(script.ack(OURS + 14_600));
    assert_eq!(script.write(20_000).len(), 15, "the window has not shrunk");
}

/// RFC 1122, section 4.2.3.9; RFC 5927, section 5.2.
#[test]
fn icmp_errors_end_only_what_is_opening() {
    let tell = |script: &mut Script, error| {
        let (now, seq) = (script.now(), Seq::new(ISS));
        script
            .host
            .with(|tcp, buffers| tcp.on_icmp(now, error, seq, buffers))
    };
    let opening = || {
        let mut script = Script::new();
        let now = script.now();
        let settings = Script::plain().handshake_timeout(Duration::from_secs(9));
        script.host.connect(now, &settings, ISS);
        script.sent();
        script
    };
    let mut script = opening();
    assert!(tell(&mut script, IcmpError::Hard).has(Events::CLOSED));
    assert_eq!(script.host.tcp.error(), Some(Error::Refused));
    let mut script = opening();
    tell(&mut script, IcmpError::Soft);
    assert_eq!(script.state(), State::SynSent);
    script.wait(10_000_000);
    assert_eq!(script.host.tcp.error(), Some(Error::Unreachable));
    let mut script = Script::established();
    script.write(10);
    let (now, seq) = (script.now(), Seq::new(OURS));
    script
        .host
        .with(|tcp, buffers| tcp.on_icmp(now, IcmpError::Hard, seq, buffers));
    assert_eq!(script.state(), State::Established);
}

fn header(options: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[12] = (((20 + options.len()) / 4) << 4) as u8;
    header.extend_from_slice(options);
    header
}

/// RFC 9293, section 3.1, MUST-4, 6, 7, 64 and 68.
#[test]
fn unknown_and_broken_options_are_passed_over() {
    let read = |options: &[u8]| match Tcp::parse(&header(options)) {
        Ok((tcp, _)) => tcp.options,
        Err(error) => panic!("{error:?}"),
    };
    let mss = Some(1_460);
    assert_eq!(
        read(&[1, 2, 4, 5, 0xb4, 1, 1, 0]).mss,
        mss,
        "at an odd octet"
    );
    assert_eq!(
        read(&[254, 3, 9, 2, 4, 5, 0xb4, 0]).mss,
        mss,
        "behind an unknown one"
    );
    assert_eq!(read(&[0, 2, 4, 5]).mss, None, "behind the end");
    for broken in [
        [2, 0, 1, 1],
        [2, 1, 1, 1],
        [2, 9, 1, 1],
        [2, 3, 5, 0],
        [1, 1, 1, 2],
    ] {
        assert_eq!(read(&broken).mss, None, "{broken:?}");
    }
    assert_eq!(
        read(&[2, 3, 5, 2, 4, 5, 0xb4, 0]).mss,
        mss,
        "behind one of wrong length"
    );
}

/// MUST-69, and every option.
#[test]
fn what_is_written_is_read() {
    let mut options = full(9);
    options.sack.push(Block::new(Seq::new(5), Seq::new(6)));
    for options in [Options::NONE, full(7), options] {
        let tcp = Tcp {
            options,
            ..Tcp::default()
        };
        let mut bytes = [0xff; 60];
        let len = match tcp.emit(&mut bytes) {
            Ok(len) => len,
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(len, 20 + usize::from(options.len()));
        assert_eq!(Tcp::parse(&bytes[..len]), Ok((tcp, &[][..])));
    }
}

/// MUST-65.
#[test]
fn mss_goes_on_syns_only() {
    let settings = Settings::new(1_460);
    let mut script = Script::accepted(Host::new(9_000, 9_000), &settings, full(1_000));
    let mut sent = script.write(3_000);
    script.host.tcp.shutdown();
    sent.extend(script.sent());
    sent.extend(script.wait(5_000_000).into_iter().map(|(_, packet)| packet));
    assert!(sent.len() > 3);
    for packet in sent {
        assert_eq!(packet.options.mss, None);
        assert_eq!(packet.options.window_scale, None);
        assert!(!packet.options.sack_permitted);
    }
}

/// Sets of flags and of events are joined, whatever they have in common.
#[test]
fn flags_and_events_are_sets() {
    let both = Flags::SYN | Flags::ACK;
    assert_eq!((both | Flags::ACK, both.with(both)), (both, both));
    let both = Events::READABLE.with(Events::WRITABLE);
    assert_eq!(both.with(Events::READABLE), both);
    assert!(Options::NONE.is_empty() && !options(false).is_empty());
}
