//! The path's MTU without ICMP (RFC 4821): what is too large for a path that does not say so.

use usockets_smoltcp::tcp::{Block, IcmpError, Options, Seq, Settings};

use crate::host::{Host, Packet};
use crate::net::{Link, Net};
use crate::script::{MSS, OURS, Script, options};

/// The size that every path should carry.
const BASE: u32 = 1_220;
/// Octets of a segment before anything is lost.
const LEN: u32 = MSS as u32;

fn lens(packets: &[Packet]) -> Vec<usize> {
    packets.iter().map(|packet| packet.payload.len()).collect()
}

fn acks(script: &Script, octets: u32) -> Packet {
    script.ack(OURS + octets).window(0xffff)
}

/// An acknowledgement that reports a block, both as offsets from our first octet.
fn sack(script: &Script, octets: u32, (start, end): (u32, u32)) -> Packet {
    let mut options = Options::NONE;
    let una = Seq::new(OURS);
    options
        .sack
        .push(Block::new(una.plus(start), una.plus(end)));
    acks(script, octets).options(options)
}

/// Sends again what times out, and returns the sizes of each time.
fn timeouts(script: &mut Script, times: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.len() < times {
        let (_, sent) = script.next();
        assert_eq!(sent.len(), 1);
        sizes.extend(lens(&sent));
    }
    sizes
}

/// A connection that has found a black hole and has had everything acknowledged: so many octets.
fn after_a_black_hole(host: Host) -> (Script, u32) {
    let mut script = Script::accepted(host, &Script::plain(), options(true));
    script.write(10 * LEN as usize);
    // The first is a tail loss probe.
    timeouts(&mut script, 4);
    script.now += 10_000;
    script.get(acks(&script, 10 * LEN));
    assert!(script.host.tcp.is_drained());
    assert_eq!(u32::from(script.host.tcp.send_mss()), BASE);
    (script, 10 * LEN)
}

/// Grows the window until it holds so many segments; returns the octets sent so far.
fn grown(script: &mut Script, mut sent: u32, segments: u32) -> u32 {
    for _ in 0..segments {
        let packets = script.write(3 * BASE as usize);
        sent += lens(&packets).iter().sum::<usize>() as u32;
        script.now += 10_000;
        let more = script.get(acks(script, sent));
        assert!(more.is_empty());
    }
    sent
}

/// RFC 4821, section 7.7: after the third timeout in a row segments are small, and all that was on
/// its way goes so.
#[test]
fn segments_that_vanish_for_their_size_become_smaller() {
    let mut script = Script::established();
    script.write(3 * LEN as usize);
    let sizes = timeouts(&mut script, 4);
    assert_eq!(sizes, [1_460, 1_460, 1_460, BASE as usize], "a probe first");
    script.now += 10_000;
    let sent = script.get(acks(&script, BASE));
    assert!(
        lens(&sent).iter().all(|len| *len <= BASE as usize),
        "{sent:?}"
    );
    assert_eq!(sent[0].seq.get(), OURS + BASE);
    script.now += 10_000;
    script.get(acks(&script, 3 * LEN));
    assert!(script.host.tcp.is_drained());
    assert_eq!(lens(&script.write(2_000)), [BASE as usize, 780]);
}

/// What is small vanishes for another reason.
#[test]
fn small_segments_vanish_for_another_reason() {
    let mut script = Script::established();
    script.write(BASE as usize);
    timeouts(&mut script, 6);
    assert_eq!(u32::from(script.host.tcp.send_mss()), LEN);
    let small = Options {
        mss: Some(1_000),
        ..options(true)
    };
    let mut script = Script::accepted(Host::new(65_536, 65_535), &Script::plain(), small);
    script.write(5_000);
    timeouts(&mut script, 6);
    assert_eq!(script.host.tcp.send_mss(), 1_000);
}

/// Two timeouts are no black hole, and those before progress do not count.
#[test]
fn a_few_timeouts_are_no_black_hole() {
    let mut script = Script::established();
    script.write(10 * LEN as usize);
    // A tail loss probe and two timeouts.
    timeouts(&mut script, 3);
    let mut acked = 0;
    for _ in 0..6 {
        script.now += 10_000;
        acked += LEN;
        script.get(acks(&script, acked));
        timeouts(&mut script, 1);
    }
    assert_eq!(u32::from(script.host.tcp.send_mss()), LEN);
}

/// Nor are two for a segment that went once before them, while timeouts are still long from others.
#[test]
fn long_timeouts_are_no_black_hole() {
    let mut script = Script::established();
    script.write(10 * LEN as usize);
    timeouts(&mut script, 3);
    script.now += 10_000;
    script.get(acks(&script, 10 * LEN));
    script.write(LEN as usize);
    let sizes = timeouts(&mut script, 3);
    assert_eq!(sizes, [1_460, 1_460, BASE as usize]);
}

/// What becomes of a probe that a timeout has come over says nothing of the path.
#[test]
fn a_probe_that_times_out_says_nothing() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let mut sent = grown(&mut script, sent, 8);
    script.write(BASE as usize);
    let packets = script.write(8_000);
    assert_eq!(lens(&packets)[0], 1_460);
    // A tail loss probe, and a timeout.
    timeouts(&mut script, 2);
    script.now += 10_000;
    sent += BASE + 8_000;
    script.get(acks(&script, sent));
    assert_eq!(u32::from(script.host.tcp.send_mss()), BASE);
    grown(&mut script, sent, 12);
    assert_eq!(lens(&script.write(20_000))[0], 1_460, "the next");
}

/// RFC 4821, section 7.4: a larger segment goes when the window has room, and is the size of all
/// once it has arrived.
#[test]
fn a_probe_that_arrives_makes_segments_larger() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let sent = grown(&mut script, sent, 8);
    let packets = script.write(20_000);
    let sizes = lens(&packets);
    assert_eq!(sizes[0], 1_460, "{sizes:?}");
    assert!(
        sizes[1..].iter().all(|len| *len == BASE as usize),
        "{sizes:?}"
    );
    script.now += 10_000;
    script.get(acks(&script, sent + LEN));
    assert_eq!(u32::from(script.host.tcp.send_mss()), LEN);
}

/// RFC 4821, section 7.6.2: a probe alone that is lost is no congestion; the next is smaller, and
/// when none is left it is the end.
#[test]
fn a_probe_that_is_lost_costs_no_window() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let mut sent = grown(&mut script, sent, 8);
    let mut packets = script.write(400_000);
    for size in [1_460, 1_440, 1_400, 1_340] {
        let window: usize = lens(&packets).iter().sum();
        let place = lens(&packets).iter().position(|len| *len > BASE as usize);
        let probe = packets[place.unwrap()].clone();
        assert_eq!(probe.payload.len(), size);
        let at = probe.seq.get() - OURS;
        let end = sent + window as u32;
        script.now += 10_000;
        let blocks = (at + size as u32, end);
        let again = script.get(sack(&script, at, blocks));
        assert_eq!(again[0].seq, probe.seq);
        let pieces = [BASE as usize, size - BASE as usize];
        assert_eq!(lens(&again)[..2], pieces);
        script.now += 10_000;
        packets = again[2..].to_vec();
        packets.extend(script.get(acks(&script, end)));
        sent = end;
        let after: usize = lens(&packets).iter().sum();
        assert!(after + BASE as usize > window, "{after} of {window}");
    }
    assert!(lens(&packets).iter().all(|len| *len <= BASE as usize));
}

/// Nor does one whose loss shows only in time, after a few segments.
#[test]
fn a_probe_that_seems_late_costs_no_window() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let sent = grown(&mut script, sent, 8);
    let packets = script.write(400_000);
    let window: usize = lens(&packets).iter().sum();
    assert_eq!(packets[0].payload.len(), 1_460);
    script.now += 10_000;
    let blocks = (sent + 1_460, sent + 1_460 + BASE);
    let mut after = script.get(sack(&script, sent, blocks));
    assert!(after.iter().all(|packet| packet.seq != packets[0].seq));
    let (_, again) = script.next();
    assert_eq!(again[0].seq, packets[0].seq);
    after.extend(again);
    script.now += 10_000;
    let end = after
        .iter()
        .map(|packet| packet.seq.plus(packet.payload.len() as u32));
    let end = end.max_by_key(|end| end.since(Seq::new(OURS))).unwrap();
    let after = script.get(acks(&script, end.since(Seq::new(OURS))));
    let after: usize = lens(&after).iter().sum();
    assert!(after + BASE as usize > window, "{after} of {window}");
}

/// What else is lost while a probe is on its way is a sign of congestion.
#[test]
fn a_loss_beside_a_probe_costs_window() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let sent = grown(&mut script, sent, 12);
    assert_eq!(script.write(BASE as usize).len(), 1);
    let packets = script.write(400_000);
    assert_eq!(packets[0].payload.len(), 1_460);
    let window = lens(&packets).iter().sum::<usize>() + BASE as usize;
    let end = sent + window as u32;
    script.now += 10_000;
    script.get(sack(&script, sent, (sent + BASE, end)));
    script.now += 10_000;
    let after: usize = lens(&script.get(acks(&script, end))).iter().sum();
    assert!(after * 10 < window * 9, "{after} of {window}");
    assert_eq!(u32::from(script.host.tcp.send_mss()), LEN);
}

/// Without selective acknowledgements nothing would tell of its loss, and a few octets do not
/// either.
#[test]
fn no_probe_goes_whose_loss_would_not_show() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    grown(&mut script, sent, 8);
    assert_eq!(lens(&script.write(5_000))[0], BASE as usize);
    let mut script = Script::accepted(Host::new(1 << 20, 65_535), &Script::plain(), options(false));
    script.write(10 * LEN as usize);
    timeouts(&mut script, 4);
    script.now += 10_000;
    script.get(acks(&script, 10 * LEN));
    let mut sent = 10 * LEN;
    sent = grown(&mut script, sent, 8);
    assert!(sent > 0);
    assert!(
        lens(&script.write(20_000))
            .iter()
            .all(|len| *len == BASE as usize)
    );
}

/// A device that cuts large segments leaves a probe whole.
#[test]
fn a_probe_is_not_cut() {
    let mut host = Host::new(1 << 20, 65_535);
    host.segment_max = 65_000;
    let (mut script, sent) = after_a_black_hole(host);
    grown(&mut script, sent, 8);
    assert_eq!(lens(&script.write(20_000))[0], 1_460);
}

/// Nor is more than the peer takes: neither where its MSS is below all sizes, nor where ICMP tells
/// of a larger one.
#[test]
fn no_probe_is_larger_than_the_peers_mss() {
    for mss in [1_000, MSS] {
        let offered = Options {
            mss: Some(mss),
            ..options(true)
        };
        let host = Host::new(1 << 20, 65_535);
        let mut script = Script::accepted(host, &Script::plain(), offered);
        let mut sent = script.write(60_000);
        let (now, at) = (script.now(), Seq::new(OURS));
        let error = IcmpError::TooBig { mss: 9_000 };
        script
            .host
            .with(|tcp, buffers| tcp.on_icmp(now, error, at, buffers));
        script.now += 10_000;
        sent.extend(script.get(acks(&script, 5 * u32::from(mss))));
        assert!(sent.len() > 10);
        let len = usize::from(mss);
        assert!(lens(&sent).iter().all(|sent| *sent <= len), "{sent:?}");
    }
}

/// Sizes are tried up to the largest that the peer takes, each where the window has room for it.
#[test]
fn probes_go_on_up_to_the_largest() {
    let large = Options {
        mss: Some(8_960),
        ..options(true)
    };
    let settings = Settings::new(8_960).timestamps(false).nagle(false);
    let mut script = Script::accepted(Host::new(1 << 20, 65_535), &settings, large);
    script.write(17_920);
    timeouts(&mut script, 4);
    let mut sizes = Vec::new();
    let mut packets = script.get(acks(&script, 17_920));
    for _ in 0..30 {
        script.host.send(&vec![7; 200_000]);
        packets.extend(script.sent());
        let last = packets.last().unwrap();
        let end = last
            .seq
            .plus(last.payload.len() as u32)
            .since(Seq::new(OURS));
        script.now += 10_000;
        sizes.push(script.host.tcp.send_mss());
        packets = script.get(acks(&script, end));
    }
    sizes.dedup();
    assert_eq!(sizes, [1_220, 1_460, 4_312, 8_940]);
    // Nothing is left to be tried: what is lost alone is congestion again.
    let window: usize = lens(&packets).iter().sum();
    let at = packets[0].seq.since(Seq::new(OURS));
    script.now += 10_000;
    let end = at + window as u32;
    script.get(sack(&script, at, (at + 8_940, end)));
    script.now += 10_000;
    let after: usize = lens(&script.get(acks(&script, end))).iter().sum();
    assert!(after * 4 < window * 3, "{after} of {window}");
}

/// What ICMP says is larger than what is sent, and smaller than a probe: no larger one goes.
#[test]
fn icmp_limits_the_probes_to_come() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let sent = grown(&mut script, sent, 8);
    assert_eq!(script.write(100).len(), 1);
    let (now, at) = (script.now(), Seq::new(OURS + sent));
    let error = IcmpError::TooBig { mss: 1_410 };
    script
        .host
        .with(|tcp, buffers| tcp.on_icmp(now, error, at, buffers));
    assert_eq!(lens(&script.write(20_000))[0], 1_400);
}

#[test]
fn icmp_limits_the_probes() {
    let (mut script, sent) = after_a_black_hole(Host::new(1 << 20, 65_535));
    let sent = grown(&mut script, sent, 8);
    assert_eq!(lens(&script.write(20_000))[0], 1_460);
    let (now, at) = (script.now(), Seq::new(OURS + sent));
    let error = IcmpError::TooBig { mss: 1_410 };
    script
        .host
        .with(|tcp, buffers| tcp.on_icmp(now, error, at, buffers));
    assert_eq!(u32::from(script.host.tcp.send_mss()), BASE);
    script.now += 10_000;
    let mut sizes = lens(&script.get(sack(&script, sent, (sent + 1_460, sent + 9_000))));
    script.now += 10_000;
    sizes.extend(lens(&script.write(200_000)));
    assert_eq!(sizes.iter().max(), Some(&1_400), "{sizes:?}");
}

/// Two of ours over paths that drop what is too large and say nothing: everything arrives, and
/// segments end as large as the path takes, or nearly.
#[test]
fn everything_gets_through_black_holes() {
    for (mss, hole, timestamps, expected) in [
        (1_460, 1_400, false, 1_340),
        (1_460, 1_492, true, 1_440),
        (1_460, 1_280, true, 1_220),
        (8_960, 1_500, true, 1_460),
        (8_960, 5_000, true, 4_312),
    ] {
        let forth = Link {
            delay: 10_000,
            rate: 12_500_000,
            queue: 330,
            hole,
            ..Link::default()
        };
        let back = Link {
            delay: 10_000,
            ..Link::default()
        };
        let settings = Settings::new(mss).timestamps(timestamps);
        let hosts = [Host::new(1 << 20, 65_536), Host::new(65_536, 1 << 20)];
        let mut net = Net::new(hosts, [forth, back], [settings; 2], 1);
        net.connect(7);
        let received = run(&mut net, 10_000_000);
        assert!(received > 40_000_000, "{received} through {hole}");
        assert_eq!(net.hosts[0].tcp.send_mss(), expected, "through {hole}");
    }
}

/// Lets the first host send without end; returns what the second receives.
fn run(net: &mut Net, micros: u64) -> usize {
    let (end, data, mut received) = (net.now + micros, vec![7; 65_536], 0);
    while net.now < end {
        while net.hosts[0].send(&data) > 0 {}
        net.transmit();
        received += net.hosts[1].receive(1 << 20).len();
        net.transmit();
        let next = net.next().unwrap_or(end);
        net.advance(next.min(end));
    }
    received
}

/// An outage looks like a black hole, until the path carries a probe.
#[test]
fn an_outage_leaves_segments_as_large_as_they_were() {
    let link = Link {
        delay: 10_000,
        rate: 12_500_000,
        queue: 330,
        ..Link::default()
    };
    let settings = Settings::new(MSS);
    let hosts = [Host::new(1 << 20, 65_536), Host::new(65_536, 1 << 20)];
    let mut net = Net::new(hosts, [link; 2], [settings; 2], 1);
    net.connect(7);
    run(&mut net, 2_000_000);
    net.links[0].loss = 1_000_000;
    run(&mut net, 3_000_000);
    assert_eq!(u32::from(net.hosts[0].tcp.send_mss()), BASE);
    net.links[0].loss = 0;
    run(&mut net, 6_000_000);
    assert_eq!(net.hosts[0].tcp.send_mss(), MSS);
}
