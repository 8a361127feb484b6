//! What one fault costs a short transfer: each of its frames lost, late or doubled, one at a time.
//!
//! Bulk data hides how a loss is found and whether a reduction is taken back; an answer of a few
//! segments waits for it. What comes out is the same on every machine, and stands in
//! `src/tcp/TRANSFERS.md`, which this test compares with its run; `WRITE_TRANSFERS=1` has it write
//! that table.

use usockets_smoltcp::tcp::{Settings, State};

use crate::host::Host;
use crate::net::{Fate, Link, Net};
use crate::paths::compare;

/// Octets that the client sends at first, then after an answer.
const FIRST: usize = 14 * 1_460;
const SECOND: usize = 20 * 1_460;
/// Octets of the answer.
const ANSWER: usize = 100;
/// Microseconds there and back, and octets a second.
const ROUND_TRIP: u64 = 40_000;
const RATE: u64 = 1_250_000;
/// Frames of each side that have their turn.
const FRAMES: [u64; 2] = [40, 24];
/// Nothing takes longer than this many microseconds.
const LONGEST: u64 = 60_000_000;

/// What both ends agree on.
#[derive(Clone, Copy)]
struct Pair {
    name: &'static str,
    sack: bool,
    timestamps: bool,
    /// Octets that the server takes until it reads, which it does this many microseconds later.
    room: usize,
    pause: u64,
}

const PAIRS: [Pair; 5] = [
    Pair::new("SACK, timestamps", true, true),
    Pair::new("SACK", true, false),
    Pair::new("timestamps", false, true),
    Pair::new("neither", false, false),
    Pair {
        room: 8_192,
        pause: 700_000,
        ..Pair::new("SACK, 8 KiB, read late", true, false)
    },
];

impl Pair {
    const fn new(name: &'static str, sack: bool, timestamps: bool) -> Self {
        Self {
            name,
            sack,
            timestamps,
            room: 65_536,
            pause: 0,
        }
    }
}

/// What befalls a frame, and how many behind it.
const FAULTS: [(&str, usize, Fate, u64); 7] = [
    ("a frame of the client is lost", 0, Fate::Lost, 1),
    ("… and the one behind it", 0, Fate::Lost, 2),
    ("… and the three behind it", 0, Fate::Lost, 4),
    ("… or comes 5 ms late", 0, Fate::Late(5_000), 1),
    ("… or comes 300 ms late", 0, Fate::Late(300_000), 1),
    ("… or twice", 0, Fate::Twice(3_000), 1),
    ("a frame of the server is lost", 1, Fate::Lost, 1),
];

/// One exchange.
struct Exchange {
    net: Net,
    pair: Pair,
    start: u64,
    /// What the client has still to send, what the server has received, what the client has.
    unsent: usize,
    received: usize,
    answered: usize,
}

impl Exchange {
    fn new(pair: Pair) -> Self {
        let forth = Link {
            delay: ROUND_TRIP / 2,
            rate: RATE,
            ..Link::default()
        };
        let back = Link {
            delay: ROUND_TRIP / 2,
            ..Link::default()
        };
        let settings = Settings::new(1_460)
            .sack(pair.sack)
            .timestamps(pair.timestamps);
        let hosts = [Host::new(65_536, 65_536), Host::new(65_536, pair.room)];
        let net = Net::new(hosts, [forth, back], [settings; 2], 1);
        Self {
            start: net.now,
            net,
            pair,
            unsent: FIRST,
            received: 0,
            answered: 0,
        }
    }

    /// Lets both programs do what they can; returns true if one did anything.
    fn act(&mut self) -> bool {
        let [client, server] = &mut self.net.hosts;
        let sent = client.send(&vec![7; self.unsent]);
        self.unsent -= sent;
        let reads = self.net.now >= self.start + self.pair.pause;
        let got = if reads {
            server.receive(4_096).len()
        } else {
            0
        };
        self.received += got;
        if got > 0 && self.received == FIRST {
            server.send(&[7; ANSWER]);
        }
        let answer = client.receive(4_096).len();
        self.answered += answer;
        if answer > 0 && self.answered == ANSWER {
            self.unsent = SECOND;
        }
        if self.answered == ANSWER && self.unsent == 0 {
            client.tcp.shutdown();
        }
        if server.tcp.state() == State::CloseWait {
            server.tcp.shutdown();
        }
        sent > 0 || got > 0 || answer > 0
    }

    /// Runs until the server has all and is closed; returns how many microseconds that took, and
    /// how many segments with data were sent again.
    fn run(&mut self) -> (u64, u64) {
        self.net.connect(7);
        while self.net.hosts[1].tcp.state() != State::Closed || self.received == 0 {
            let busy = self.act();
            self.net.transmit();
            if busy {
                continue;
            }
            let reads = self.start + self.pair.pause;
            let next = self.net.next().into_iter();
            let next = next.chain((self.net.now < reads).then_some(reads)).min();
            let Some(next) = next else {
                panic!("stands still: {:?}", self.net.hosts[0].tcp);
            };
            assert!(next < self.start + LONGEST, "takes for ever");
            self.net.advance(next);
        }
        assert_eq!(self.received, FIRST + SECOND);
        (self.net.now - self.start, self.net.counts[0].again)
    }
}

/// One row: a fault at each frame in turn.
fn row(pair: Pair, (name, side, fate, count): (&str, usize, Fate, u64)) -> String {
    let (mut sum, mut longest, mut again) = (0, 0, 0);
    for frame in 1..=FRAMES[side] {
        let mut exchange = Exchange::new(pair);
        exchange.net.fates = (frame..frame + count)
            .map(|number| (side, number, fate))
            .collect();
        let (micros, resent) = exchange.run();
        sum += micros;
        longest = longest.max(micros);
        again += resent;
    }
    let millis = |micros: u64| micros as f64 / 1e3;
    format!(
        "| {name} | {} | {:.3} | {:.3} | {again} |\n",
        pair.name,
        millis(sum) / FRAMES[side] as f64,
        millis(longest),
    )
}

const HEAD: &str = "# What one fault costs a short transfer

A client opens a connection, sends 14 segments, gets an answer of 100 octets, sends 20 segments
and closes; there and back it is 40 ms, at 10 Mbit/s. In each run one frame meets with a fault:
first one, then the next, and so on; a row tells of all these runs. Both ends are this engine, in
virtual time, so that a run gives the same on every machine. Without a fault it takes 0.2 s.

    cargo test -p usockets-smoltcp --test tcp transfers                      # compares
    WRITE_TRANSFERS=1 cargo test -p usockets-smoltcp --test tcp transfers    # writes this file

| fault | options | ms, mean | ms, longest | segments again, in all |
|---|---|---|---|---|
";

#[test]
fn what_a_fault_costs_short_transfers_stands_in_the_table() {
    let rows = FAULTS
        .iter()
        .flat_map(|fault| PAIRS.iter().map(|pair| row(*pair, *fault)));
    let table = HEAD.to_owned() + &rows.collect::<String>();
    println!("{table}");
    if cfg!(all(feature = "cubic", feature = "plpmtud")) {
        compare("TRANSFERS.md", &table, "WRITE_TRANSFERS");
    }
}
