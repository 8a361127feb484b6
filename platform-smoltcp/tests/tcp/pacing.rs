//! Pacing: segments leave in their time and not in bursts, which short queues are spared, and bulk
//! data loses nothing by it. Deadlines come true as in the stack's timing wheel.

use usockets_smoltcp::tcp::{Block, Seq, Settings};

use crate::host::Host;
use crate::net::{Count, Link, Net};
use crate::paths::{CELLS, Cell, Row, compare};
use crate::script::{MSS, OURS, Script, options};

/// Microseconds of a tick of the timing wheel.
const TICK: u64 = 1_024;
const SEGMENT: u64 = 1_448;

/// A sender, and what it is let to do.
struct Talk {
    net: Net,
    /// When each segment with text left, and its octets.
    departures: Vec<(u64, u64)>,
}

impl Talk {
    /// Opens a connection over a path of 40 ms there and back.
    fn new(pacing: bool, rate: u64, queue: u64) -> Self {
        let forth = Link {
            delay: 20_000,
            rate,
            queue,
            ..Link::default()
        };
        let back = Link {
            delay: 20_000,
            ..Link::default()
        };
        let hosts = [Host::new(1 << 20, 65_536), Host::new(65_536, 1 << 20)];
        let settings = Settings::new(1_460).pacing(pacing);
        let mut net = Net::new(hosts, [forth, back], [settings; 2], 1);
        net.tick = TICK;
        net.connect(7);
        let mut talk = Self {
            net,
            departures: Vec::new(),
        };
        talk.go_on(100_000);
        talk
    }

    /// Lets everything leave that may now.
    fn transmit(&mut self) {
        let now = self.net.now();
        for from in 0..2 {
            for packet in self.net.hosts[from].transmit(now) {
                if from == 0 && !packet.payload.is_empty() {
                    let octets = packet.payload.len() as u64;
                    self.departures.push((self.net.now, octets));
                }
                self.net.put(from, packet);
            }
        }
    }

    /// Lets `micros` pass; the receiver takes what comes.
    fn go_on(&mut self, micros: u64) {
        let end = self.net.now + micros;
        while self.step(end) {}
        self.net.advance(end);
    }

    /// Goes on to what happens next by `end`; returns false if nothing does.
    fn step(&mut self, end: u64) -> bool {
        self.transmit();
        while !self.net.hosts[1].receive(1 << 15).is_empty() {}
        self.transmit();
        let next = self.net.next().filter(|next| *next < end);
        next.is_some_and(|next| {
            self.net.advance(next);
            true
        })
    }

    /// Sends `octets` and waits until all of it is acknowledged; returns how long that took.
    fn deliver(&mut self, octets: usize) -> u64 {
        let start = self.net.now;
        assert_eq!(self.net.hosts[0].send(&vec![7; octets]), octets);
        while self.net.hosts[0].tcp.send_len() > 0 {
            assert!(self.step(start + 60_000_000), "stands still");
        }
        self.net.now - start
    }

    fn count(&self) -> Count {
        self.net.counts[0]
    }
}

/// The most octets that left within `span` microseconds.
fn burst(departures: &[(u64, u64)], span: u64) -> u64 {
    let within = |from: u64| {
        let inside = departures
            .iter()
            .filter(|(at, _)| (from..from + span).contains(at));
        inside.map(|(_, octets)| octets).sum()
    };
    let starts = departures.iter().map(|(at, _)| within(*at));
    starts.max().unwrap_or(0)
}

/// The initial window takes half a round trip, two segments at a time; without pacing it leaves at
/// once.
#[test]
fn the_first_window_leaves_in_half_a_round_trip() {
    let took = |pacing| {
        let mut talk = Talk::new(pacing, 0, 0);
        talk.deliver(10 * SEGMENT as usize);
        let (first, last) = (talk.departures[0].0, talk.departures[9].0);
        (last - first, burst(&talk.departures, 1))
    };
    assert_eq!(took(false), (0, 10 * SEGMENT));
    let (time, at_once) = took(true);
    // Two leave at the start, and one each 2 ms.
    assert!((14_000..18_000).contains(&time), "{time}");
    assert_eq!(at_once, 2 * SEGMENT);
}

/// Whatever the window is, no more leaves in two ticks than the rate allows and what two ticks may
/// make up for.
#[test]
fn no_burst_is_larger_than_the_rate_allows() {
    let mut talk = Talk::new(true, 0, 0);
    for octets in [100_000, 300_000, 900_000] {
        talk.go_on(30_000);
        talk.departures.clear();
        talk.deliver(octets);
        // Of two windows in a round trip, as the next acknowledgements make them.
        let window = burst(&talk.departures, 40_000);
        let allowed = 2 * window * 2 * TICK / 40_000 + 2 * SEGMENT;
        let most = burst(&talk.departures, TICK + 1);
        assert!(
            most <= allowed,
            "{octets}: {most} of {allowed}, window {window}"
        );
    }
}

/// A short queue holds the first window and what follows a pause, if they do not come at once.
#[test]
fn short_queues_do_not_overflow_after_a_pause() {
    let [plain, paced] = [false, true].map(|pacing| {
        let mut talk = Talk::new(pacing, 2_500_000, 12);
        for _ in 0..20 {
            // Shorter than a timeout, so that the window stays.
            talk.deliver(60_000);
            talk.go_on(150_000);
        }
        talk.count().overflowed
    });
    println!("{plain} frames lost, paced {paced}");
    assert!(plain >= 20 && paced <= 1);
}

/// Slow start fills a path whose queue is shorter than a window without losing anything, and so is
/// done sooner, even if it is then that the queue overflows.
#[test]
fn slow_start_fills_the_path_first() {
    for (octets, most) in [(120_000, 0), (500_000, 60)] {
        let [(plain, lost), (paced, fewer)] = [false, true].map(|pacing| {
            let mut talk = Talk::new(pacing, 2_500_000, 12);
            (talk.deliver(octets), talk.count().overflowed)
        });
        println!("{octets}: {plain} µs, {lost} lost; paced {paced} µs, {fewer} lost");
        assert!(lost > 0 && fewer <= most && paced < plain);
    }
}

/// What answers a timeout leaves when it would without pacing.
#[test]
fn timeouts_are_answered_as_without() {
    let [plain, paced] = [false, true].map(|pacing| {
        let mut talk = Talk::new(pacing, 0, 0);
        talk.deliver(200_000);
        talk.go_on(50_000);
        talk.net.links[0].loss = 1_000_000;
        talk.departures.clear();
        talk.net.hosts[0].send(&[7; 3_000]);
        let start = talk.net.now;
        talk.go_on(3_000_000);
        let times = talk.departures.iter().map(|(at, _)| at - start);
        times.filter(|at| *at > 10_000).collect::<Vec<u64>>()
    });
    // A tail loss probe, and timeouts.
    assert!(plain.len() >= 4, "{plain:?}");
    assert_eq!(plain.len(), paced.len(), "{plain:?}, {paced:?}");
    println!("{plain:?}, {paced:?}");
    for (plain, paced) in plain.iter().zip(&paced) {
        assert!(*paced <= plain + plain / 8, "{plain}, {paced}");
    }
}

/// A connection that waits for its time is woken by its deadline alone, no more often than the
/// wheel ticks.
#[test]
fn who_waits_for_its_time_is_woken_once_a_tick() {
    let mut talk = Talk::new(true, 0, 0);
    talk.deliver(400_000);
    let start = talk.net.now;
    talk.net.hosts[0].send(&vec![7; 200_000]);
    let mut steps = 0;
    // Nothing comes back within a round trip.
    while talk.step(start + 39_000) {
        steps += 1;
    }
    let sent: u64 = talk.departures.iter().map(|(_, octets)| octets).sum();
    assert!(sent > 400_000);
    assert!(steps <= 39_000 / TICK + 1, "{steps} steps");
}

/// What was sent hours ago holds nothing back, although the clock that it is kept by has wrapped.
#[test]
fn the_rate_of_long_ago_holds_nothing_back() {
    for minutes in [20, 40, 60, 80, 200] {
        let settings = Script::plain().pacing(true);
        let host = Host::new(65_536, 65_535);
        let mut script = Script::accepted(host, &settings, options(true));
        assert_eq!(script.write(2_920).len(), 2);
        script.get(script.ack(OURS + 2_920));
        script.now += minutes * 60_000_000;
        assert_eq!(script.write(2_920).len(), 2, "after {minutes} minutes");
    }
}

/// Who waits for its time, and whose window closes meanwhile, waits for that no longer; and an end
/// without text waits for nothing.
#[test]
fn what_does_not_leave_at_its_time_is_not_waited_for() {
    let paced = || {
        let settings = Script::plain().pacing(true);
        Script::accepted(Host::new(65_536, 65_535), &settings, options(true))
    };
    let mut script = paced();
    assert_eq!(script.write(14_600).len(), 3);
    script.get(script.ack(OURS).window(0));
    let (after, sent) = script.next();
    assert!(after < 10_000 && sent.is_empty(), "{after}");
    assert!(script.next().0 > 1_000, "it is no deadline any more");
    let mut script = paced();
    assert_eq!(script.write(4_380).len(), 3);
    script.host.tcp.shutdown();
    assert_eq!(script.sent().len(), 1);
}

/// Opens a connection over a device that cuts large segments to size, in a round trip of so many
/// microseconds.
fn over_a_device_that_cuts(pacing: bool, round_trip: u64) -> Script {
    let mut host = Host::new(65_536, 65_535);
    host.segment_max = 65_000;
    let settings = Script::plain().pacing(pacing);
    Script::accepted_in(round_trip, host, &settings, options(true))
}

/// Near the threshold what a window allows leaves more slowly than in slow start.
#[cfg(feature = "cubic")]
#[test]
fn the_rate_is_lower_near_the_threshold() {
    let mut script = over_a_device_that_cuts(true, 4_000);
    script.write(14_600);
    script.wait(3_000);
    script.now += 1_000;
    // The first is lost, and repaired: seven segments are left of ten.
    let mut report = script.ack(OURS);
    report
        .options
        .sack
        .push(Block::new(Seq::new(OURS + 1_460), Seq::new(OURS + 14_600)));
    script.get(report);
    assert_eq!(script.wait(4_000).len(), 1);
    script.get(script.ack(OURS + 14_600));
    script.now += 4_000;
    script.host.send(&vec![1; 20_000]);
    let first = script.host.poll(script.now()).unwrap();
    assert_eq!(first.payload_len, 2 * u32::from(MSS));
}

/// What a device cuts to size is no more than what a millisecond allows, and two segments at least.
#[test]
fn what_a_device_cuts_is_cut_to_the_rate() {
    // Microseconds of a round trip, and segments of the first window that leave in one.
    let cases = [
        (true, 1_000, 10),
        (true, 4_000, 5),
        (true, 40_000, 2),
        (false, 4_000, 10),
    ];
    for (pacing, round_trip, segments) in cases {
        let mut script = over_a_device_that_cuts(pacing, round_trip);
        script.host.send(&vec![1; 20_000]);
        let first = script.host.poll(script.now()).unwrap();
        assert_eq!(first.payload_len, segments * u32::from(MSS));
    }
}

/// What came out for a cell, without pacing and with it: where there is chance in it, the mean of
/// some seeds.
struct Both {
    cell: Cell,
    /// Octets a second.
    rates: [u64; 2],
    lost: [u64; 2],
    again: [u64; 2],
}

impl Both {
    fn of(mut cell: Cell) -> Self {
        cell.tick = TICK;
        let seeds = if cell.is_by_chance() { SEEDS } else { 1 };
        let mut both = Self {
            cell,
            rates: [0; 2],
            lost: [0; 2],
            again: [0; 2],
        };
        for seed in 1..=seeds {
            for (index, pacing) in [false, true].into_iter().enumerate() {
                cell.pacing = pacing;
                let row = Row::of(cell, seed);
                both.rates[index] += row.rate / seeds;
                both.lost[index] += (row.count.lost + row.count.overflowed) / seeds;
                both.again[index] += row.count.again / seeds;
            }
        }
        both
    }

    fn line(&self) -> String {
        let [plain, paced] = self.rates.map(|rate| rate as f64);
        let ([lost, fewer], [again, less]) = (self.lost, self.again);
        format!(
            "| {} | {:.2} | {:.2} | {:.2} | {lost} | {fewer} | {again} | {less} |\n",
            self.cell.name,
            plain / 1e6,
            paced / 1e6,
            paced / plain,
        )
    }
}

/// Seeds of a cell with chance in it.
const SEEDS: u64 = 4;

const HEAD: &str = "# Bulk data over paths, paced

The paths of [PATHS.md](PATHS.md), and some with short queues, without pacing and with it (feature
`pacing`): megabytes a second from the third second on, their ratio, frames that were lost in all,
and segments that were sent again. Where there is chance in it, the mean of seeds 1 to 4. Timers go
by the tick of the stack's timing wheel, 1,024 µs.

    cargo test -p usockets-smoltcp --features pacing --test tcp paced_bulk    # compares

With `WRITE_PACING=1` in its environment the test writes this file.

| path | MB/s | paced | ratio | lost | paced | again | paced |
|---|---|---|---|---|---|---|---|
";

const SHORT: [Cell; 3] = [
    Cell::new("40 ms, 20 Mbit/s, 5 frames", 40_000, 2_500_000, 5),
    Cell::new("40 ms, 20 Mbit/s, 15 frames", 40_000, 2_500_000, 15),
    Cell::new("40 ms, 100 Mbit/s, 50 frames", 40_000, 12_500_000, 50),
];

#[test]
fn paced_bulk_data_gets_through_as_fast() {
    let rows = CELLS.into_iter().chain(SHORT).map(Both::of);
    let rows: Vec<Both> = rows.collect();
    let slow = rows.iter().filter(|both| {
        // Where losses are rare and by chance, a few seeds tell no more.
        let percent = if both.cell.is_by_chance() { 75 } else { 98 };
        both.rates[1] * 100 < both.rates[0] * percent
    });
    let slow: Vec<String> = slow.map(Both::line).collect();
    assert!(slow.is_empty(), "slower than without:\n{}", slow.concat());
    let lines: Vec<String> = rows.iter().map(Both::line).collect();
    compare(
        "PACING.md",
        &(HEAD.to_owned() + &lines.concat()),
        "WRITE_PACING",
    );
}
