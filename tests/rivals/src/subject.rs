//! What is measured: servers that take turns, in this process or in another.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use usockets::tls::{Config, Session};
use usockets_tests_tls::{NOW, Ours};

use crate::engine::{RECORD, Server};
use crate::heap;

/// Handshakes of each kind in a turn.
const HANDSHAKES: u64 = 5;
/// Records in a turn, in each direction.
const RECORDS: usize = 200;

/// What is timed.
pub const KINDS: [&str; 4] = [
    "full handshake",
    "resumed handshake",
    "16 KiB sent",
    "16 KiB received",
];

/// What was measured of one server.
#[derive(Default)]
pub struct Figures {
    /// The times of each of [`KINDS`].
    pub times: [Vec<Duration>; 4],
    /// Bytes on the heap of a connection that waits for its client's last message, and of one that
    /// is open and silent; `None` if the C library does not tell.
    pub heap: [Option<usize>; 2],
}

impl Figures {
    /// Returns the medians in µs.
    pub fn medians(&mut self) -> [f64; 4] {
        self.times.each_mut().map(|times| {
            times.sort_unstable();
            times[times.len() / 2].as_nanos() as f64 / 1_000.0
        })
    }

    /// Writes what a turn has brought, a line for each kind and one for the heap.
    fn write(&self) -> String {
        let mut text = String::new();
        for times in &self.times {
            let nanos: Vec<_> = times
                .iter()
                .map(|time| time.as_nanos().to_string())
                .collect();
            text += &(nanos.join(" ") + "\n");
        }
        let heap = self
            .heap
            .map(|bytes| bytes.map_or(String::from("-"), |n| n.to_string()));
        text + &heap.join(" ") + "\n"
    }

    /// Adds what another process has written.
    fn read(&mut self, lines: &mut impl BufRead) {
        let mut line = || {
            let mut text = String::new();
            lines.read_line(&mut text).expect("the other program ends");
            text
        };
        for times in &mut self.times {
            let text = line();
            let nanos = text.split_whitespace().map(|n| n.parse().expect("a time"));
            times.extend(nanos.map(Duration::from_nanos));
        }
        let text = line();
        let mut heap = text.split_whitespace().map(|bytes| bytes.parse().ok());
        self.heap = [(); 2].map(|()| heap.next().flatten());
    }
}

/// A server and its figures.
pub struct Subject<'a> {
    pub name: &'static str,
    /// Bytes of memory that the program has set aside for each connection, as [`Figures::heap`].
    pub pools: [usize; 2],
    pub figures: Figures,
    runner: Runner<'a>,
}

enum Runner<'a> {
    Here(Box<dyn Server + 'a>),
    There(Other),
}

/// This program as it was built otherwise, which takes a turn at each line that it reads.
struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl<'a> Subject<'a> {
    pub fn new(name: &'static str, server: impl Server + 'a) -> Self {
        Self {
            name,
            pools: server.pools(),
            figures: Figures::default(),
            runner: Runner::Here(Box::new(server)),
        }
    }

    /// Starts `program`, this one as it was built otherwise, whose memory is as that of `like`.
    pub fn other(name: &'static str, program: &str, like: &Self) -> Self {
        let mut child = Command::new(program)
            .arg("turns")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other program");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            name,
            pools: like.pools,
            figures: Figures::default(),
            runner: Runner::There(Other {
                child,
                input,
                output,
            }),
        }
    }

    pub fn turn(&mut self, config: &Config<'_>, seed: u64) {
        match &mut self.runner {
            Runner::Here(server) => turn(self.name, &mut **server, config, seed, &mut self.figures),
            Runner::There(other) => {
                writeln!(other.input, "{seed}").expect("the other program waits");
                self.figures.read(&mut other.output);
            }
        }
    }

    /// Takes a turn for each line on the standard input, which is its number.
    pub fn take_turns(mut self, config: &Config<'_>) {
        for line in std::io::stdin().lines() {
            let seed = line.expect("a line").parse().expect("a number");
            self.figures = Figures::default();
            self.turn(config, seed);
            print!("{}", self.figures.write());
            std::io::stdout().flush().expect("somebody reads");
        }
    }
}

fn turn(
    name: &str,
    server: &mut dyn Server,
    config: &Config<'_>,
    seed: u64,
    figures: &mut Figures,
) {
    let mut sessions = Vec::new();
    for number in 0..HANDSHAKES {
        sessions = vec![Session::EMPTY];
        let seed = seed * HANDSHAKES + number;
        let shaken = shake(server, config, seed, sessions);
        assert!(!server.is_resumed());
        figures.times[0].push(shaken.time);
        figures.heap[0] = shaken.heap;
        sessions = shaken.client.sessions;
    }
    for number in 0..HANDSHAKES {
        let shaken = shake(server, config, number, sessions);
        assert!(server.is_resumed(), "{name} does not resume");
        figures.times[1].push(shaken.time);
        let mut client = shaken.client;
        sessions = core::mem::take(&mut client.sessions);
        if number == 0 {
            move_records(server, &mut client, figures);
        }
    }
    figures.heap[1] = heap::freed_by(|| server.end());
}

/// Moves records in both directions; what is sent goes nowhere.
fn move_records(server: &mut dyn Server, client: &mut Ours, figures: &mut Figures) {
    let [_, _, sent, received] = &mut figures.times;
    for _ in 0..RECORDS {
        client.output.clear();
        client.send(&[7; RECORD]);
        received.push(server.receive(&client.output));
    }
    for _ in 0..RECORDS {
        sent.push(server.send(&[7; RECORD]));
    }
}

/// A handshake that is over.
struct Shaken {
    /// How long the server took.
    time: Duration,
    /// The client with its tickets.
    client: Ours,
    /// Bytes on the server's heap when it had answered the hello.
    heap: Option<usize>,
}

fn shake(
    server: &mut dyn Server,
    config: &Config<'_>,
    seed: u64,
    sessions: Vec<Session>,
) -> Shaken {
    server.end();
    let mut client = Ours::client_with(seed, NOW, config, "localhost", sessions);
    let mut time = Duration::ZERO;
    let mut bytes = Vec::new();
    let before = heap::used();
    server.start();
    let mut heap = None;
    loop {
        let sent = core::mem::take(&mut client.output);
        if sent.is_empty() {
            break;
        }
        time += server.feed(&sent);
        if let (None, Some(before), Some(after)) = (heap, before, heap::used()) {
            heap = Some(after.saturating_sub(before));
        }
        bytes.clear();
        server.take(&mut bytes);
        client.feed(config, &bytes);
        assert_eq!(client.broken, None);
    }
    assert!(client.connection.is_open());
    Shaken { time, client, heap }
}
