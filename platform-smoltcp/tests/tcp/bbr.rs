//! BBR: what it gets through where losses are no congestion, and its share beside CUBIC.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use usockets::Instant;
use usockets_smoltcp::Random;
use usockets_smoltcp::tcp::{Algorithm, Settings, State};

use crate::host::{Host, Packet};
use crate::paths::{Cell, Row};

/// Microseconds of a tick of the timing wheel.
const TICK: u64 = 1_024;

/// One in a hundred frames is lost by chance: CUBIC takes that for congestion, BBR fills the path.
#[test]
fn random_losses_do_not_slow_it_down() {
    let paths = [
        Cell::new("40 ms, 100 Mbit/s", 40_000, 12_500_000, 330).loss(10_000),
        Cell::new("40 ms, 20 Mbit/s", 40_000, 2_500_000, 60).loss(10_000),
    ];
    for mut cell in paths {
        cell.tick = TICK;
        let [cubic, bbr] = [cell, cell.bbr()].map(|cell| Row::of(cell, 1).rate);
        assert!(bbr * 10 >= cell.rate * 8, "{bbr} of {}", cell.rate);
        assert!(cubic * 10 < cell.rate * 4, "{cubic} of {}", cell.rate);
    }
}

/// Without losses it gets as much as CUBIC, and its queue stays short.
#[test]
fn it_fills_a_path_with_a_short_queue() {
    let mut cell = Cell::new("40 ms, 20 Mbit/s, 40 frames", 40_000, 2_500_000, 40).bbr();
    cell.tick = TICK;
    let row = Row::of(cell, 1);
    assert!(row.rate * 100 >= cell.rate * 93, "{}", row.rate);
    assert!(
        row.count.overflowed * 50 < row.count.data,
        "{:?}",
        row.count
    );
}

/// A frame of a flow, to its receiver or back.
struct Frame {
    at: u64,
    number: u64,
    flow: usize,
    to: usize,
    packet: Packet,
}

impl Frame {
    const fn key(&self) -> (u64, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Frame {}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Flows that share a bottleneck.
struct Shared {
    now: u64,
    flows: Vec<[Host; 2]>,
    received: Vec<u64>,
    rate: u64,
    queue: u64,
    idle_at: u64,
    flying: BinaryHeap<Reverse<Frame>>,
    number: u64,
    random: Random,
}

impl Shared {
    /// 40 ms there and back.
    const DELAY: u64 = 20_000;

    fn new(algorithms: &[Algorithm], rate: u64, queue: u64) -> Self {
        let mut shared = Self {
            now: 1_000_000,
            flows: Vec::new(),
            received: vec![0; algorithms.len()],
            rate,
            queue,
            idle_at: 0,
            flying: BinaryHeap::new(),
            number: 0,
            random: Random::new(1),
        };
        for algorithm in algorithms {
            let settings = Settings::new(1_460).algorithm(*algorithm);
            let mut hosts = [Host::new(1 << 20, 65_536), Host::new(65_536, 1 << 20)];
            hosts[0].connect(Instant::from_micros(shared.now), &settings, 7);
            shared.flows.push(hosts);
        }
        shared
    }

    fn transmit(&mut self) {
        let now = Instant::from_micros(self.now);
        for flow in 0..self.flows.len() {
            for from in 0..2 {
                for packet in self.flows[flow][from].transmit(now) {
                    self.put(flow, from, packet);
                }
            }
        }
    }

    fn put(&mut self, flow: usize, from: usize, packet: Packet) {
        let mut at = self.now;
        if from == 0 {
            let start = self.idle_at.max(self.now);
            // A frame more or less, so that the flows do not go in step.
            let room = self.queue + self.random.below(2);
            if (start - self.now) * self.rate / 1_000_000 / 1_500 > room {
                return;
            }
            self.idle_at = start + (packet.frame_len() + 14) * 1_000_000 / self.rate;
            at = self.idle_at;
        }
        self.number += 1;
        self.flying.push(Reverse(Frame {
            at: at + Self::DELAY,
            number: self.number,
            flow,
            to: from ^ 1,
            packet,
        }));
    }

    fn arrive(&mut self, frame: &Frame) {
        let now = Instant::from_micros(self.now);
        let host = &mut self.flows[frame.flow][frame.to];
        if host.tcp.state() == State::Closed {
            host.accept(now, &Settings::new(1_460), 9, &frame.packet);
        } else {
            host.on_packet(now, &frame.packet);
        }
    }

    /// Lets `seconds` pass and returns what each flow got through, in thousandths of the path.
    fn run(&mut self, seconds: u64) -> Vec<u64> {
        let end = self.now + seconds * 1_000_000;
        self.received.fill(0);
        let data = vec![7; 65_536];
        while self.now < end {
            for (flow, received) in self.flows.iter_mut().zip(&mut self.received) {
                while flow[0].send(&data) > 0 {}
                loop {
                    let got = flow[1].receive(1 << 15).len() as u64;
                    *received += got;
                    if got == 0 {
                        break;
                    }
                }
            }
            self.transmit();
            self.advance(end);
        }
        let share = |got: &u64| got * 1_000 / (self.rate * seconds);
        self.received.iter().map(share).collect()
    }

    fn advance(&mut self, end: u64) {
        let hosts = self.flows.iter().flatten();
        let due = hosts.filter_map(|host| host.tcp.deadline());
        let due = due.map(|at| at.as_micros().next_multiple_of(TICK).max(self.now));
        let frame = self.flying.peek().map(|Reverse(frame)| frame.at);
        self.now = due.chain(frame).chain([end]).min().unwrap_or(end);
        let now = Instant::from_micros(self.now);
        for host in self.flows.iter_mut().flatten() {
            let due = host.tcp.deadline().map(Instant::as_micros);
            if due.is_some_and(|due| due.next_multiple_of(TICK) <= self.now) {
                host.on_timer(now);
            }
        }
        while let Some(Reverse(frame)) = self.flying.peek() {
            if frame.at > self.now {
                break;
            }
            if let Some(Reverse(frame)) = self.flying.pop() {
                self.arrive(&frame);
            }
        }
    }
}

/// Beside CUBIC on a path of 20 Mbit/s and 40 ms, which 66 frames fill, with queues of a half, one
/// and four times that: the least thousandths of the path that BBR and CUBIC get.
#[test]
fn neither_starves_the_other() {
    for (queue, least) in [(33, [500, 50]), (66, [500, 80]), (264, [300, 300])] {
        let mut shared = Shared::new(&[Algorithm::Bbr, Algorithm::Cubic], 2_500_000, queue);
        shared.run(10);
        let shares = shared.run(30);
        println!("{queue} frames: BBR and CUBIC get {shares:?} thousandths");
        let enough = shares.iter().zip(least).all(|(got, least)| *got >= least);
        assert!(enough, "{queue} frames: {shares:?}");
    }
}

/// Two of its kind share a path.
#[test]
fn two_of_them_share_a_path() {
    let mut shared = Shared::new(&[Algorithm::Bbr; 2], 2_500_000, 66);
    shared.run(20);
    let shares = shared.run(40);
    println!("{shares:?} thousandths");
    assert!(shares.iter().all(|share| *share > 250), "{shares:?}");
}
