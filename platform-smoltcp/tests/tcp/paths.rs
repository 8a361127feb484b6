//! How fast bulk data gets through: delay, rate, queue, loss, reordering and buffers, each cell a
//! path in virtual time. The bounds are shares of what the path allows.
//!
//! What comes out is the same on every machine, and stands in `src/tcp/PATHS.md`, which this test
//! compares with its run; `WRITE_PATHS=1` has it write that table and its picture.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use usockets_smoltcp::tcp::{Algorithm, Settings, State};

use crate::host::Host;
use crate::net::{Count, Link, Net};

/// A path, and how it is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    /// Microseconds there and back.
    round_trip: u64,
    /// Octets a second.
    pub(crate) rate: u64,
    /// Frames that wait at most in front of the bottleneck.
    queue: u64,
    /// Millionths.
    loss: u64,
    reorder: u64,
    late: u64,
    send_buffer: usize,
    receive_buffer: usize,
    sack: bool,
    pub(crate) algorithm: Algorithm,
    #[cfg(feature = "pacing")]
    pub(crate) pacing: bool,
    /// Microseconds between the ticks of timers.
    pub(crate) tick: u64,
    /// Octets a second that must get through, counted after the first two seconds.
    least: u64,
}

impl Cell {
    pub(crate) const fn new(name: &'static str, round_trip: u64, rate: u64, queue: u64) -> Self {
        Self {
            name,
            round_trip,
            rate,
            queue,
            loss: 0,
            reorder: 0,
            late: 0,
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            sack: true,
            algorithm: Algorithm::Cubic,
            #[cfg(feature = "pacing")]
            pacing: false,
            tick: 1,
            least: 0,
        }
    }

    pub(crate) const fn loss(mut self, millionths: u64) -> Self {
        self.loss = millionths;
        self
    }

    const fn reorder(mut self, millionths: u64) -> Self {
        self.reorder = millionths;
        self
    }

    /// Reordered frames come by up to `micros` too late.
    const fn late(mut self, micros: u64) -> Self {
        self.late = micros;
        self
    }

    pub(crate) const fn buffers(mut self, send: usize, receive: usize) -> Self {
        self.send_buffer = send;
        self.receive_buffer = receive;
        self
    }

    const fn no_sack(mut self) -> Self {
        self.sack = false;
        self
    }

    #[cfg(feature = "bbr")]
    pub(crate) const fn bbr(mut self) -> Self {
        self.algorithm = Algorithm::Bbr;
        self
    }

    const fn reno(mut self) -> Self {
        self.algorithm = Algorithm::Reno;
        self
    }

    const fn least(mut self, rate: u64) -> Self {
        self.least = rate;
        self
    }

    /// Whether what comes out depends on the seed.
    #[cfg(feature = "pacing")]
    pub(crate) const fn is_by_chance(&self) -> bool {
        self.loss > 0 || self.reorder > 0
    }

    /// Runs the cell for `seconds` and returns octets received in each, and what was counted.
    pub(crate) fn run(&self, seed: u64, seconds: u64) -> (Vec<u64>, Count) {
        let forth = Link {
            delay: self.round_trip / 2,
            rate: self.rate,
            queue: self.queue,
            loss: self.loss,
            reorder: self.reorder,
            late: self.late,
            ..Link::default()
        };
        let back = Link {
            delay: self.round_trip / 2,
            ..Link::default()
        };
        let settings = Settings::new(1_460)
            .sack(self.sack)
            .algorithm(self.algorithm);
        #[cfg(feature = "pacing")]
        let settings = settings.pacing(self.pacing);
        let hosts = [
            Host::new(self.send_buffer, 65_536),
            Host::new(65_536, self.receive_buffer),
        ];
        let mut net = Net::new(hosts, [forth, back], [settings; 2], seed);
        net.tick = self.tick;
        net.connect(u32::MAX - 100_000);
        let data = vec![7; 65_536];
        let (mut each, mut received) = (Vec::new(), 0);
        let start = net.now;
        while each.len() < seconds as usize {
            let mut busy = false;
            while net.hosts[0].send(&data) > 0 {
                busy = true;
            }
            net.transmit();
            loop {
                let got = net.hosts[1].receive(1 << 15).len() as u64;
                received += got;
                busy |= got > 0;
                if got == 0 {
                    break;
                }
            }
            net.transmit();
            for host in &net.hosts {
                assert_eq!(host.tcp.error(), None, "{}: {:?}", self.name, host.tcp);
            }
            if busy {
                continue;
            }
            let next = net.next().unwrap_or_else(|| {
                panic!("{}: stands still: {:?}", self.name, net.hosts[0].tcp);
            });
            let mark = start + (each.len() as u64 + 1) * 1_000_000;
            if next >= mark {
                each.push(received);
                received = 0;
            }
            net.advance(next.min(mark));
        }
        assert_ne!(net.hosts[0].tcp.state(), State::Closed);
        (each, net.counts[0])
    }
}

const MIB: usize = 1 << 20;

/// The cells that run each time.
pub(crate) const CELLS: [Cell; 15] = [
    Cell::new("1 ms, 200 Mbit/s", 1_000, 25_000_000, 500).least(23_500_000),
    Cell::new("40 ms, 200 Mbit/s, no loss", 40_000, 25_000_000, 4_000).least(22_000_000),
    Cell::new("100 ms, 200 Mbit/s, no loss", 100_000, 25_000_000, 4_000).least(20_000_000),
    Cell::new("40 ms, 100 Mbit/s, 2 MiB", 40_000, 12_500_000, 330)
        .buffers(2 * MIB, 4 * MIB)
        .least(11_000_000),
    Cell::new("40 ms, 20 Mbit/s, 30 frames", 40_000, 2_500_000, 30)
        .buffers(256 << 10, 4 * MIB)
        .least(2_000_000),
    Cell::new("20 ms, 2 % reordered", 20_000, 12_500_000, 330)
        .reorder(20_000)
        .least(11_000_000),
    Cell::new("20 ms, 2 % very late", 20_000, 12_500_000, 330)
        .reorder(20_000)
        .late(43_500)
        .least(2_000_000),
    Cell::new("40 ms, 0.1 % lost", 40_000, 12_500_000, 330)
        .loss(1_000)
        .least(1_200_000),
    Cell::new("40 ms, 1 % lost", 40_000, 12_500_000, 330)
        .loss(10_000)
        .least(400_000),
    Cell::new("40 ms, 2 % lost", 40_000, 12_500_000, 330)
        .loss(20_000)
        .least(250_000),
    Cell::new("40 ms, 2 % lost, no SACK", 40_000, 12_500_000, 330)
        .loss(20_000)
        .no_sack()
        .least(100_000),
    Cell::new("40 ms, 100 Mbit/s, no SACK", 40_000, 12_500_000, 330)
        .buffers(2 * MIB, 4 * MIB)
        .no_sack()
        .least(3_000_000),
    Cell::new("40 ms, 100 Mbit/s, Reno", 40_000, 12_500_000, 330)
        .reno()
        .least(9_000_000),
    Cell::new("200 ms, 10 Mbit/s, 64 KiB", 200_000, 1_250_000, 100)
        .buffers(64 << 10, 64 << 10)
        .least(250_000),
    Cell::new("40 ms, 2 KiB to receive", 40_000, 12_500_000, 100)
        .buffers(MIB, 2 << 10)
        .least(30_000),
];

/// What came out for a cell.
pub(crate) struct Row {
    pub(crate) cell: Cell,
    /// Octets a second.
    pub(crate) rate: u64,
    pub(crate) count: Count,
}

impl Row {
    pub(crate) fn of(cell: Cell, seed: u64) -> Self {
        // Fast paths carry as many frames in less time.
        let seconds = if cell.rate > 20_000_000 { 2 } else { 8 };
        let (each, count) = cell.run(seed, 2 + seconds);
        let rate = each[2..].iter().sum::<u64>() / seconds;
        let row = Self { cell, rate, count };
        let tens: Vec<u64> = each.iter().map(|bytes| bytes / 10_000).collect();
        println!("{}   {tens:?}", row.line());
        row
    }

    /// The row as it stands in the table.
    fn line(&self) -> String {
        let Self { cell, rate, count } = self;
        format!(
            "| {} | {} | {} | {:.2} | {:.2} | {:.0} % | {} | {} | {} |",
            cell.name,
            cell.send_buffer >> 10,
            cell.receive_buffer >> 10,
            cell.rate as f64 / 1e6,
            *rate as f64 / 1e6,
            *rate as f64 / cell.rate as f64 * 100.0,
            count.data,
            count.again,
            count.lost + count.overflowed,
        )
    }
}

const HEAD: &str = "# Bulk data over paths

One sender and one receiver of this engine in virtual time, so that a run gives the same on every
machine: megabytes a second that arrive from the third second on, at seed 1. The share is that of
the bottleneck's rate, headers included; what a path allows is less where it loses or where the
buffers are shorter than it.

    cargo test -p usockets-smoltcp --test tcp bulk_data                  # compares
    WRITE_PATHS=1 cargo test -p usockets-smoltcp --test tcp bulk_data    # writes this file

![Shares of the rate](PATHS.svg)

| path | KiB to send | KiB to receive | MB/s at most | MB/s | share | segments | again | lost |
|---|---|---|---|---|---|---|---|---|
";

/// Draws a bar for each row.
fn picture(rows: &[Row]) -> String {
    let height = rows.len() * 22 + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"640\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, row) in rows.iter().enumerate() {
        let share = row.rate as f64 / row.cell.rate as f64;
        let (top, width) = (index * 22 + 6, share * 340.0);
        let text = top + 13;
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{text}\">{}</text>\n\
             <rect x=\"230\" y=\"{top}\" width=\"{width:.0}\" height=\"16\" fill=\"#4878a8\"/>\n\
             <text x=\"{:.0}\" y=\"{text}\">{:.0} %</text>",
            row.cell.name,
            width + 236.0,
            share * 100.0,
        );
    }
    svg + "</svg>\n"
}

/// `TCP_CELL` takes those whose names have it in them, or one of several between bars; their rows
/// are compared. `TCP_SEED` takes another seed; then nothing is, and nor is it without CUBIC.
#[test]
fn bulk_data_gets_through_on_all_paths() {
    let seed = std::env::var("TCP_SEED").ok();
    let seed: Option<u64> = seed.and_then(|text| text.parse().ok());
    let only = std::env::var("TCP_CELL").unwrap_or_default();
    let is_meant = |name: &str| only.split('|').any(|part| name.contains(part));
    let cells = CELLS.iter().filter(|cell| is_meant(cell.name));
    let rows: Vec<Row> = cells
        .map(|cell| Row::of(*cell, seed.unwrap_or(1)))
        .collect();
    let slow: Vec<String> = rows
        .iter()
        .filter(|row| row.rate < row.cell.least)
        .map(Row::line)
        .collect();
    assert!(slow.is_empty(), "too slow:\n{}", slow.join("\n"));
    if seed.is_some() || !cfg!(feature = "cubic") {
        return;
    }
    let lines: Vec<String> = rows.iter().map(|row| row.line() + "\n").collect();
    if !only.is_empty() {
        let table = include_str!("../../src/tcp/PATHS.md");
        let others: Vec<&String> = lines.iter().filter(|line| !table.contains(*line)).collect();
        assert!(others.is_empty(), "PATHS.md has other rows than {others:?}");
        return;
    }
    let table = HEAD.to_owned() + &lines.concat();
    compare("PATHS.md", &table, "WRITE_PATHS");
    compare("PATHS.svg", &picture(&rows), "WRITE_PATHS");
}

/// Compares a file beside the engine with its `text`, or writes it if a variable of the environment
/// says so.
pub(crate) fn compare(name: &str, text: &str, write: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tcp")
        .join(name);
    if std::env::var_os(write).is_some() {
        assert!(fs::write(&path, text).is_ok(), "{name} cannot be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{name} is of another TCP: {write}=1 writes it anew"
    );
}

/// RFC 9438, sections 3.4 and 5.1: on a path so short CUBIC gets the window of Reno, which at a
/// random loss of `p` is the square root of 1.5 / p segments on average. Linux, whose window grows
/// by 8/15 of a segment a round trip here, gets as much.
#[cfg(feature = "cubic")]
#[test]
fn random_losses_cost_no_more_than_the_rfc_says() {
    for (loss, seeds) in [(1_000_u64, 6_u64), (5_000, 4), (10_000, 4)] {
        let cell = Cell::new("random loss", 40_000, 12_500_000, 330).loss(loss);
        let seconds = 24;
        let sum: u64 = (1..=seeds)
            .map(|seed| cell.run(seed, seconds).0[4..].iter().sum::<u64>())
            .sum();
        let rate = sum as f64 / (seeds * (seconds - 4)) as f64;
        let window = (1.5e6 / loss as f64).sqrt() * 1_448.0;
        let share = rate / (window / 0.04);
        println!("{loss} millionths: {rate:.0} B/s, {share:.3} of the model");
        assert!((0.9..1.25).contains(&share), "{loss}: {share}");
    }
}

/// RFC 9406: round trips that become longer end the first slow start before a queue of fifteen
/// times what fills the path overflows.
#[cfg(feature = "cubic")]
#[test]
fn the_first_slow_start_ends_before_a_long_queue_overflows() {
    let cell = Cell::new("long queue", 40_000, 2_500_000, 1_000);
    let (each, count) = cell.run(1, 3);
    assert_eq!(count.overflowed, 0);
    assert!(each[1] > 2_300_000, "{each:?}");
}
