//! What TLS costs, next to OpenSSL and rustls on the same machine in the same run:
//! `cargo run --release -p usockets-tests-tls --bin tls_bench --features tls-tables`, and with
//! `aws-lc-rs` as well on that, rustls's and ours.
//!
//! Servers run over memory and take turns; times are medians, so that the ratios hold on a machine
//! that does other things. The client is ours, and is not measured. Without `libssl.so.3` there
//! are no ratios. It fails if a figure is over its bound.

mod engine;
mod flood;
mod heap;
mod openssl;
mod rustls;
mod stack;

use std::process::ExitCode;
use std::time::Duration;

use usockets::tls::{
    ClientConfig, Config, Connection, ServerConfig, Session, TicketKeys, TlsSocket,
};
use usockets_tests_tls::{Authority, Crypto, Kind, Leaf, Machine, NOW, Ours};

use crate::engine::{RECORD, Server};

/// Turns that each server gets.
const ROUNDS: u64 = 60;
/// Handshakes of each kind in a turn.
const HANDSHAKES: u64 = 5;
/// Records in a turn.
const RECORDS: usize = 200;

fn main() -> ExitCode {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let tickets = TicketKeys::new([3; 32], 3_600);
    let roots = authority.anchors();
    let server = ServerConfig::new(&identities).tickets(&tickets);
    let config = Config::new(server, ClientConfig::new(&roots));
    let mut table = Table::default();
    speeds(&mut table, &config, &leaf);
    memory(&mut table);
    delays(&mut table, &config, &authority);
    if table.is_over {
        println!("\na figure is over its bound");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What was measured of one server.
struct Subject<'a> {
    name: &'a str,
    server: Box<dyn Server + 'a>,
    full: Vec<Duration>,
    resumed: Vec<Duration>,
    sent: Vec<Duration>,
    received: Vec<Duration>,
    /// Bytes on the heap of an open connection.
    idle: Option<usize>,
}

impl<'a> Subject<'a> {
    fn new(name: &'a str, server: impl Server + 'a) -> Self {
        Self {
            name,
            server: Box::new(server),
            full: Vec::new(),
            resumed: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            idle: None,
        }
    }

    fn turn(&mut self, config: &Config<'_>, seed: u64) {
        let mut sessions = Vec::new();
        for number in 0..HANDSHAKES {
            sessions = vec![Session::EMPTY];
            let seed = seed * HANDSHAKES + number;
            let (time, client) = shake(&mut *self.server, config, seed, sessions);
            assert!(!self.server.is_resumed());
            self.full.push(time);
            sessions = client.sessions;
        }
        for number in 0..HANDSHAKES {
            let (time, mut client) = shake(&mut *self.server, config, number, sessions);
            assert!(self.server.is_resumed(), "{} does not resume", self.name);
            self.resumed.push(time);
            sessions = core::mem::take(&mut client.sessions);
            if number == 0 {
                self.move_records(&mut client);
            }
        }
        self.idle = heap::freed_by(|| self.server.end());
    }

    /// Moves records in both directions; what is sent goes nowhere.
    fn move_records(&mut self, client: &mut Ours) {
        for _ in 0..RECORDS {
            client.output.clear();
            client.send(&[7; RECORD]);
            self.received.push(self.server.receive(&client.output));
        }
        for _ in 0..RECORDS {
            self.sent.push(self.server.send(&[7; RECORD]));
        }
    }
}

/// Shakes hands; returns the server's time, and the client with its tickets.
fn shake(
    server: &mut dyn Server,
    config: &Config<'_>,
    seed: u64,
    sessions: Vec<Session>,
) -> (Duration, Ours) {
    server.start();
    let mut client = Ours::client_with(seed, NOW, config, "localhost", sessions);
    let mut time = Duration::ZERO;
    let mut bytes = Vec::new();
    loop {
        let sent = core::mem::take(&mut client.output);
        if sent.is_empty() {
            break;
        }
        time += server.feed(&sent);
        bytes.clear();
        server.take(&mut bytes);
        client.feed(config, &bytes);
        assert_eq!(client.broken, None);
    }
    assert!(client.connection.is_open());
    (time, client)
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1_000.0
}

fn speeds(table: &mut Table, config: &Config<'_>, leaf: &Leaf) {
    #[cfg(feature = "aws-lc-rs")]
    let signer = usockets_linux::AwsLcKey::from_der(&leaf.document).expect("a P-256 key");
    #[cfg(feature = "aws-lc-rs")]
    let slices = leaf.slices();
    #[cfg(feature = "aws-lc-rs")]
    let identities = [usockets::tls::Identity::new(&slices, &signer)];
    #[cfg(feature = "aws-lc-rs")]
    let fast = {
        let tickets = config.server.tickets.expect("tickets");
        Config::server(ServerConfig::new(&identities).tickets(tickets))
    };
    let machine = Machine::new(1);
    let ours = engine::Ours::new(config, Crypto::new(machine.clone()));
    let mut subjects = vec![Subject::new("RustCrypto", ours)];
    #[cfg(feature = "aws-lc-rs")]
    subjects.push(Subject::new(
        "aws-lc-rs",
        engine::Ours::new(&fast, usockets_linux::AwsLc::new(machine)),
    ));
    rivals(&mut subjects, leaf);
    match openssl::OpenSsl::new(leaf) {
        Ok(openssl) => {
            println!("against {}\n", openssl.version);
            subjects.push(Subject::new("OpenSSL", openssl));
        }
        Err(error) => println!("no OpenSSL, so no ratios: {error}\n"),
    }
    let mut allocations = 0;
    for round in 0..ROUNDS {
        for (number, subject) in subjects.iter_mut().enumerate() {
            heap::take();
            subject.turn(config, round);
            if number == 0 {
                allocations += heap::take();
            }
        }
    }
    tell(table, &mut subjects);
    let what = "RustCrypto: allocations in all of that";
    table.at_most(what, Some(allocations as f64), Some(0.0));
}

/// Adds rustls with each provider that is built.
fn rivals(subjects: &mut Vec<Subject<'_>>, leaf: &Leaf) {
    use ::rustls::crypto::ring;
    let ticketer = ring::Ticketer::new().expect("random bytes");
    let server = rustls::Rustls::new(ring::default_provider(), ticketer, leaf);
    subjects.push(Subject::new("rustls, ring", server));
    #[cfg(feature = "aws-lc-rs")]
    {
        use ::rustls::crypto::aws_lc_rs;
        let ticketer = aws_lc_rs::Ticketer::new().expect("random bytes");
        let server = rustls::Rustls::new(aws_lc_rs::default_provider(), ticketer, leaf);
        subjects.push(Subject::new("rustls, aws-lc-rs", server));
    }
}

/// Adds the medians, and their ratios to OpenSSL's if it is there.
fn tell(table: &mut Table, subjects: &mut [Subject<'_>]) {
    let figures: Vec<[f64; 4]> = subjects
        .iter_mut()
        .map(|of| {
            let times = [
                &mut of.full,
                &mut of.resumed,
                &mut of.sent,
                &mut of.received,
            ];
            times.map(|times| median(times))
        })
        .collect();
    let has_reference = subjects.last().is_some_and(|last| last.name == "OpenSSL");
    let reference = figures.last().filter(|_| has_reference);
    for (subject, [full, resumed, sent, received]) in subjects.iter().zip(&figures) {
        let name = subject.name;
        // Ratios, which hold on any machine and beside whatever else it does.
        let [full_ratio, speed_min] = match name {
            "RustCrypto" => [Some(0.95), Some(0.6)],
            "aws-lc-rs" => [Some(1.15), Some(1.2)],
            _ => [None; 2],
        };
        let ratio = |own: f64, at: usize| reference.map(|reference| own / reference[at]);
        let speed = |own: f64, at: usize| ratio(own, at).map(|ratio| 1.0 / ratio);
        let half = (name == "RustCrypto").then_some(0.5);
        table.at_most(&format!("{name}: full handshake, µs"), Some(*full), None);
        table.at_most("  of OpenSSL's", ratio(*full, 0), full_ratio);
        table.at_most(
            &format!("{name}: resumed handshake, µs"),
            Some(*resumed),
            None,
        );
        table.at_most("  of the full one", Some(resumed / full), half);
        table.at_most("  of OpenSSL's", ratio(*resumed, 1), None);
        table.at_most(&format!("{name}: 16 KiB sent, µs"), Some(*sent), None);
        table.at_least("  speed, of OpenSSL's", speed(*sent, 2), speed_min);
        table.at_most(
            &format!("{name}: 16 KiB received, µs"),
            Some(*received),
            None,
        );
        table.at_least("  speed, of OpenSSL's", speed(*received, 3), None);
        let idle = subject.idle.map(|bytes| bytes as f64);
        let what = format!("{name}: heap of an open connection, bytes");
        table.at_most(&what, idle, (name == "RustCrypto").then_some(0.0));
    }
    against_rustls(table, subjects, &figures);
}

/// Adds how fast we are as a ratio to rustls on the same provider.
fn against_rustls(table: &mut Table, subjects: &[Subject<'_>], figures: &[[f64; 4]]) {
    let of = |name: &str| {
        let at = subjects.iter().position(|subject| subject.name == name);
        at.map(|at| figures[at])
    };
    let (Some(ours), Some(theirs)) = (of("aws-lc-rs"), of("rustls, aws-lc-rs")) else {
        return;
    };
    let what = [
        "full handshakes",
        "resumed handshakes",
        "sending",
        "receiving",
    ];
    for (at, (what, min)) in what.into_iter().zip([1.25, 1.0, 1.0, 1.2]).enumerate() {
        let what = format!("aws-lc-rs: {what}, of rustls's speed on it");
        table.at_least(&what, Some(theirs[at] / ours[at]), Some(min));
    }
}

fn memory(table: &mut Table) {
    let beyond = size_of::<TlsSocket<u64>>() - size_of::<u64>();
    table.at_most("idle connection, bytes", Some(beyond as f64), Some(256.0));
    let inner = size_of::<Connection>();
    table.at_most("  of it the engine's", Some(inner as f64), None);
    for kind in [Kind::P256, Kind::P384, Kind::Ed25519] {
        let [full, resumed] = stack::on_deep_stack(|| stacks(kind));
        for (name, peaks) in [("full", full), ("resumed", resumed)] {
            for (side, peak) in [("server", peaks[0]), ("client", peaks[1])] {
                let what = format!("stack of a {name} handshake, {side}, {kind:?}, bytes");
                table.at_most(&what, Some(peak as f64), Some(12_288.0));
            }
        }
    }
}

/// Returns the most stack that a call takes in a server's and in a client's handshake, in a full
/// one and in a resumed one. The server's key is of P-256, its authority's of this kind.
fn stacks(kind: Kind) -> [[usize; 2]; 2] {
    let authority = Authority::new(kind);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let tickets = TicketKeys::new([3; 32], 3_600);
    let roots = authority.anchors();
    let server = ServerConfig::new(&identities).tickets(&tickets);
    let config = &Config::new(server, ClientConfig::new(&roots));
    let mut server = engine::Ours::new(config, Crypto::new(Machine::new(1)));
    let mut client = engine::Ours::new(config, Crypto::new(Machine::new(2)));
    let mut bytes = Vec::new();
    [false, true].map(|resumes| {
        let mut peaks = [0, 0];
        server.start();
        peaks[1] = stack::used_by(&mut || client.connect());
        // The last of the client's turns takes the ticket.
        for _ in 0..2 {
            bytes.clear();
            client.take(&mut bytes);
            let used = stack::used_by(&mut || _ = server.feed(&bytes));
            peaks[0] = peaks[0].max(used);
            bytes.clear();
            server.take(&mut bytes);
            let used = stack::used_by(&mut || _ = client.feed(&bytes));
            peaks[1] = peaks[1].max(used);
        }
        assert!(server.is_open() && client.is_open());
        assert_eq!(server.is_resumed(), resumes);
        peaks
    })
}

fn delays(table: &mut Table, config: &Config<'_>, authority: &Authority) {
    let delays = flood::measure(config, authority);
    let at = |times: &[u64], hundredths: usize| {
        let index = times.len() * hundredths / 100;
        Some(times[index.min(times.len() - 1)] as f64 / 1_000.0)
    };
    let count = flood::HANDSHAKES;
    let rate = count as f64 / delays.time.as_secs_f64();
    table.at_most(
        "echo, nothing else happens: p50, ms",
        at(&delays.idle, 50),
        None,
    );
    table.at_most("  p99", at(&delays.idle, 99), None);
    table.at_most(
        &format!("echo beside {count} handshakes: p50, ms"),
        at(&delays.busy, 50),
        None,
    );
    table.at_most("  p99", at(&delays.busy, 99), Some(5.0));
    table.at_most("  echoes", Some(delays.busy.len() as f64), None);
    table.at_most(
        "  handshakes per second, client's and server's",
        Some(rate),
        None,
    );
}

/// Prints figures as they come.
#[derive(Default)]
struct Table {
    is_over: bool,
}

impl Table {
    fn at_most(&mut self, what: &str, figure: Option<f64>, max: Option<f64>) {
        let Some(figure) = figure else { return };
        self.line(what, figure, max, max.is_some_and(|max| figure > max));
    }

    fn at_least(&mut self, what: &str, figure: Option<f64>, min: Option<f64>) {
        let Some(figure) = figure else { return };
        self.line(what, figure, min, min.is_some_and(|min| figure < min));
    }

    fn line(&mut self, what: &str, figure: f64, bound: Option<f64>, is_over: bool) {
        let bound = bound.map(|bound| bound.to_string()).unwrap_or_default();
        let mark = if is_over { "OVER" } else { "" };
        println!("{what:<55} {figure:>10.2} {bound:>8} {mark}");
        self.is_over |= is_over;
    }
}
