//! What is measured, and how one server is measured once.

use std::time::Duration;

use crate::Failure;
use crate::churn::Churn;
use crate::client::{Answer, Client, Exchange, Run};
use crate::peers::Library;
use crate::process::Process;
use crate::results::{Metric, Sample};

/// Bytes of a small message.
const MESSAGE: usize = 64;
/// Bytes of a large one.
const BLOCK: usize = 65_536;
/// Requests sent together where they are pipelined.
const DEPTH: usize = 16;
/// A request as a browser sends it, without what it says about itself.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip\r\n\r\n";
/// Longest part of a run in which system calls are counted.
const TRACED_MAX: Duration = Duration::from_millis(300);

/// One thing to measure every server with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// How it is called in every output.
    pub(crate) name: &'static str,
    /// What a request is here.
    pub(crate) unit: &'static str,
    /// Connections at a time.
    pub(crate) connections: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Messages of so many bytes come back, so many sent together.
    Echo { message: usize, depth: usize },
    /// Requests are answered, so many sent together.
    Http { depth: usize },
    /// Connections come, exchange a message, and go.
    Churn,
    /// Connections exchange one message and then do nothing.
    Idle,
    /// No network.
    Timeouts,
}

/// A library's server in one of its forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// The library.
    pub(crate) library: Library,
    /// How it is called in every output.
    pub(crate) label: &'static str,
    /// What its program is asked to be.
    pub(crate) role: &'static str,
}

const fn echo(name: &'static str, connections: usize, message: usize, depth: usize) -> Workload {
    Workload {
        name,
        unit: "request",
        connections,
        kind: Kind::Echo { message, depth },
    }
}

const fn http(name: &'static str, connections: usize, depth: usize) -> Workload {
    Workload {
        name,
        unit: "request",
        connections,
        kind: Kind::Http { depth },
    }
}

/// Everything that is measured, in this order.
pub(crate) const ALL: [Workload; 13] = [
    echo("echo 64 B, 1 connection", 1, MESSAGE, 1),
    echo("echo 64 B, 100 connections", 100, MESSAGE, 1),
    echo("echo 64 B, 1,000 connections", 1_000, MESSAGE, 1),
    echo("echo 64 B, 10,000 connections", 10_000, MESSAGE, 1),
    echo(
        "echo 64 B, 100 connections, 16 pipelined",
        100,
        MESSAGE,
        DEPTH,
    ),
    echo("echo 64 KiB both ways, 16 connections", 16, BLOCK, 1),
    http("HTTP, 1 connection", 1, 1),
    http("HTTP, 100 connections", 100, 1),
    http("HTTP, 1,000 connections", 1_000, 1),
    http("HTTP, 100 connections, 16 pipelined", 100, DEPTH),
    Workload {
        name: "short connections, 64 at a time",
        unit: "connection",
        connections: 64,
        kind: Kind::Churn,
    },
    Workload {
        name: "10,000 idle connections",
        unit: "connection",
        connections: 10_000,
        kind: Kind::Idle,
    },
    Workload {
        name: "1,000,000 timeouts in memory",
        unit: "timeout",
        connections: 0,
        kind: Kind::Timeouts,
    },
];

impl Workload {
    /// Returns the server that a library is measured with, or the servers. Memory that the
    /// program has to choose in advance, as it does for this library, is measured in two sizes.
    pub(crate) fn variants(&self, library: Library) -> Vec<Variant> {
        let role = match self.kind {
            Kind::Http { .. } => "http",
            Kind::Timeouts => "timeouts",
            _ => "echo",
        };
        let variant = |label, role| Variant {
            library,
            label,
            role,
        };
        match (self.kind, library) {
            // It has none.
            (Kind::Timeouts, Library::Polling) => vec![],
            (Kind::Timeouts, Library::Mio) => vec![variant("std BTreeMap", role)],
            (Kind::Timeouts, Library::Tokio) => vec![variant("tokio DelayQueue", role)],
            _ => vec![variant(library.name(), role)],
        }
    }

    /// Whether there are requests whose system calls can be counted.
    pub(crate) const fn has_calls(&self) -> bool {
        !matches!(self.kind, Kind::Idle | Kind::Timeouts)
    }

    /// Measures a server that was just started.
    ///
    /// # Errors
    /// It does not do what it should.
    pub(crate) fn measure(
        &self,
        server: &mut Process,
        window: Duration,
    ) -> Result<Sample, Failure> {
        match self.kind {
            Kind::Timeouts => timeouts(server),
            Kind::Idle => self.idle(server),
            _ => {
                let mut load = self.load(server)?;
                load.run(window / 4)?;
                let before = server.cpu_nanos()?;
                let run = load.run(window)?;
                let cpu = server.cpu_nanos()? - before;
                Ok(sample(&run, cpu, server.rss_kib()?))
            }
        }
    }

    /// Counts a server's system calls per request; `None` where they cannot be.
    ///
    /// # Errors
    /// It does not do what it should.
    pub(crate) fn count_calls(
        &self,
        server: &mut Process,
        window: Duration,
    ) -> Result<Option<f64>, Failure> {
        let mut load = self.load(server)?;
        load.run(window / 4)?;
        let counted = server.count_calls(|| load.run(window.min(TRACED_MAX)))?;
        Ok(counted.map(|(calls, run)| calls / run.requests as f64))
    }

    fn load(&self, server: &mut Process) -> Result<Load, Failure> {
        let address = server.address()?;
        let (request, depth, answer) = match self.kind {
            Kind::Http { depth } => (REQUEST.to_vec(), depth, Answer::Http),
            Kind::Echo { message, depth } => (bytes(message), depth, Answer::Same),
            _ => (bytes(MESSAGE), 1, Answer::Same),
        };
        if matches!(self.kind, Kind::Churn) {
            return Ok(Load::Churn(Churn::new(address, &request)?));
        }
        let exchange = Exchange::probe(address, &request, depth, answer)?;
        let client = Client::connect(address, self.connections, exchange)?;
        Ok(Load::Client(client))
    }

    fn idle(&self, server: &mut Process) -> Result<Sample, Failure> {
        let address = server.address()?;
        let before = server.rss_kib()?;
        let exchange = Exchange::probe(address, &bytes(MESSAGE), 1, Answer::Same)?;
        let mut client = Client::connect(address, self.connections, exchange)?;
        client.once()?;
        let after = server.rss_kib()?;
        let each = (after - before) * 1024.0 / self.connections as f64;
        Ok(vec![(Metric::Rss, after), (Metric::Bytes, each)])
    }
}

enum Load {
    Client(Client),
    Churn(Churn),
}

impl Load {
    fn run(&mut self, window: Duration) -> Result<Run, Failure> {
        match self {
            Self::Client(client) => client.run(window),
            Self::Churn(churn) => churn.run(window),
        }
    }
}

fn sample(run: &Run, cpu_nanos: f64, rss_kib: f64) -> Sample {
    let requests = run.requests as f64;
    let seconds = run.elapsed.as_secs_f64();
    let micros = |nanos: u64| nanos as f64 / 1e3;
    vec![
        (Metric::Rate, requests / seconds),
        (Metric::Cpu, cpu_nanos / 1e3 / requests),
        (Metric::Busy, cpu_nanos / 1e7 / seconds),
        (Metric::P50, micros(run.latency.value_at_quantile(0.5))),
        (Metric::P99, micros(run.latency.value_at_quantile(0.99))),
        (Metric::Max, micros(run.latency.max())),
        (Metric::Rss, rss_kib),
    ]
}

/// Reads what a program measured by itself.
fn timeouts(server: &mut Process) -> Result<Sample, Failure> {
    let line = server.line()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, arm, _, rearm, _, expire] = words[..] else {
        return Err(format!("not three figures: {line}").into());
    };
    Ok(vec![
        (Metric::Arm, arm.parse()?),
        (Metric::Rearm, rearm.parse()?),
        (Metric::Expire, expire.parse()?),
    ])
}

/// Bytes that are not all alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(count).collect()
}
