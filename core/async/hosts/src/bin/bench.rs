//! What tasks cost beside a handler: processor time of the two echo servers for the same load.
//!
//! `cargo build --release --bins && cargo run --release --bin bench`
//!
//! Each server runs by itself, taking turns with the other, for 1,000 connections that send one
//! message of 64 bytes at a time, or 16 at once. It prints the median of the ratios of each pair.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Connections of a server.
const CONNECTIONS: usize = 1_000;
/// Messages of one run, over all connections.
const MESSAGES: usize = 320_000;
/// Pairs of runs.
const PAIRS: usize = 9;
/// Bytes of a message.
const MESSAGE_LEN: usize = 64;

/// A server, killed when dropped.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(name: &str) -> io::Result<Self> {
        let program = std::env::current_exe()?.with_file_name(name);
        let mut process = Command::new(program).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(output).read_line(&mut line)?;
        let addr = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { process, addr })
    }

    /// Returns the nanoseconds that its threads have run (`/proc/PID/task/TID/schedstat`).
    fn processor_time(&self) -> io::Result<u64> {
        let tasks = format!("/proc/{}/task", self.process.id());
        let mut sum = 0;
        for task in std::fs::read_dir(Path::new(&tasks))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_whitespace().next().unwrap_or_default();
            sum += first.parse::<u64>().map_err(io::Error::other)?;
        }
        Ok(sum)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the processor time of a server for all messages, `depth` at once on each connection.
fn run(name: &str, depth: usize) -> io::Result<u64> {
    let server = Server::start(name)?;
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        let peer = TcpStream::connect(server.addr)?;
        peer.set_nodelay(true)?;
        peers.push(peer);
    }
    let message = vec![b'x'; MESSAGE_LEN * depth];
    let mut echo = message.clone();
    // The first round opens the connections in the server too.
    let mut before = 0;
    for round in 0..=MESSAGES / CONNECTIONS / depth {
        for peer in &mut peers {
            peer.write_all(&message)?;
        }
        for peer in &mut peers {
            peer.read_exact(&mut echo)?;
        }
        if round == 0 {
            before = server.processor_time()?;
        }
    }
    Ok(server.processor_time()? - before)
}

fn main() -> io::Result<()> {
    for depth in [1, 16] {
        let mut ratios = Vec::new();
        let mut times = Vec::new();
        for _ in 0..PAIRS {
            let (handler, tasks) = (run("echo_handler", depth)?, run("echo_pool", depth)?);
            ratios.push(tasks as f64 / handler as f64);
            times.push((handler, tasks));
        }
        ratios.sort_by(f64::total_cmp);
        times.sort_unstable();
        let (handler, tasks) = times[PAIRS / 2];
        println!(
            "{depth} at once: tasks take {:.2} x a handler's processor time ({:.2} to {:.2}); \
             {} and {} ns a message in the median run",
            ratios[PAIRS / 2],
            ratios[0],
            ratios[PAIRS - 1],
            tasks / MESSAGES as u64,
            handler / MESSAGES as u64,
        );
    }
    Ok(())
}
