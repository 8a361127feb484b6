//! Processor time per request of the HTTP server with one loop and with two, and how evenly two
//! share the work. Linux only.
//!
//! `cargo run --release -p usockets-tests --bin threads_bench` builds the example `http_server` and
//! takes it in turns, five times each. It fails if a request costs more than 1.1 times as much with
//! two threads (the median), or if a thread serves under 40 %. What the kernel counts as spent by
//! each thread (`/proc/PID/task/TID/schedstat`) is compared, not rates: clients and servers share
//! the processors.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a program that measures"
)]

use std::error::Error;
use std::fs::{read_dir, read_to_string};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

type Failure = Box<dyn Error + Send + Sync>;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Connections. With so many, the kernel's hash gives a thread under 40 % once in ten thousand.
const CONNECTIONS: usize = 1_000;
/// Requests of each connection.
const REQUESTS: usize = 100;
/// Measurements of each.
const TURNS: usize = 5;
/// Most that a request may cost with two threads, of what it costs with one.
const RATIO_MAX: f64 = 1.1;
/// Least that each thread must do.
const SHARE_MIN: f64 = 0.4;

fn main() -> Result<(), Failure> {
    let program = build()?;
    let (mut ones, mut twos, mut ratios, mut share) = (vec![], vec![], vec![], 1.0_f64);
    for turn in 1..=TURNS {
        let one = measure(&program, 1)?;
        let two = measure(&program, 2)?;
        println!(
            "{turn}: {:.2} µs a request with one thread, {:.2} with two: {:.3}; least share {:.3}",
            one.micros,
            two.micros,
            two.micros / one.micros,
            two.least_share
        );
        ratios.push(two.micros / one.micros);
        ones.push(one.micros);
        twos.push(two.micros);
        share = share.min(two.least_share);
    }
    let ratio = median(&mut ratios);
    println!(
        "medians: {:.2} µs, {:.2} µs, ratio {ratio:.3} (bound {RATIO_MAX}), least share {share:.3} \
         (bound {SHARE_MIN})",
        median(&mut ones),
        median(&mut twos)
    );
    if ratio > RATIO_MAX || share < SHARE_MIN {
        return Err("over a bound".into());
    }
    Ok(())
}

/// Builds the server; returns where it is.
fn build() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let examples = own.parent().ok_or("no folder")?.join("examples");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "-p",
        "usockets-linux",
        "--example",
        "http_server",
    ]);
    if own.components().any(|part| part.as_os_str() == "release") {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("http_server does not build".into());
    }
    Ok(examples.join("http_server"))
}

/// What a run of the server cost.
struct Cost {
    /// Processor time per request, of all threads, in µs.
    micros: f64,
    /// The part of the time that the thread with the least spent, of the threads that serve.
    least_share: f64,
}

/// A server that is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(program: &PathBuf, threads: usize) -> Result<Cost, Failure> {
    let child = Command::new(program)
        .args(["127.0.0.1:0", "--threads", &threads.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut server = Server(child);
    let mut line = String::new();
    let output = server.0.stdout.take().ok_or("no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let addr = line.trim_end().rsplit(' ').next().ok_or("no address")?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(addr)?;
        client.set_nodelay(true)?;
        clients.push(client);
    }
    // Once to accept and to warm up, then what counts.
    ask(&mut clients, 2)?;
    let before = spent(server.0.id())?;
    ask(&mut clients, REQUESTS)?;
    let after = spent(server.0.id())?;
    let mut spent: Vec<_> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| (after - before) as f64)
        .collect();
    let sum: f64 = spent.iter().sum();
    spent.sort_by(f64::total_cmp);
    // The thread that waits for signals spends nothing.
    let least = spent.iter().rev().nth(threads - 1).copied().unwrap_or(0.0);
    Ok(Cost {
        micros: sum / 1_000.0 / (CONNECTIONS * REQUESTS) as f64,
        least_share: least / sum,
    })
}

/// Asks on each connection, in turn: half of them by each of two threads.
fn ask(clients: &mut [TcpStream], requests: usize) -> Result<(), Failure> {
    let half = clients.len().div_ceil(2);
    thread::scope(|scope| {
        let parts: Vec<_> = clients
            .chunks_mut(half)
            .map(|part| scope.spawn(|| ask_each(part, requests)))
            .collect();
        for part in parts {
            part.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}

fn ask_each(clients: &mut [TcpStream], requests: usize) -> Result<(), Failure> {
    let mut answer = [0; 4_096];
    for _ in 0..requests {
        for client in &mut *clients {
            client.write_all(REQUEST)?;
        }
        for client in &mut *clients {
            let count = client.read(&mut answer)?;
            let answer = answer.get(..count).unwrap_or_default();
            if !answer.starts_with(b"HTTP/1.1 200 ") || !answer.ends_with(b"usockets!\n") {
                return Err(String::from_utf8_lossy(answer).into_owned().into());
            }
        }
    }
    Ok(())
}

/// Returns the nanoseconds that each thread of a process has spent on a processor, by thread.
fn spent(process: u32) -> Result<Vec<u64>, Failure> {
    let mut threads = Vec::new();
    for thread in read_dir(format!("/proc/{process}/task"))? {
        threads.push(thread?.path());
    }
    threads.sort();
    let spent = threads.iter().map(|thread| {
        let line = read_to_string(thread.join("schedstat"))?;
        let nanos = line.split(' ').next().ok_or("an empty schedstat")?;
        Ok(nanos.parse()?)
    });
    spent.collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
