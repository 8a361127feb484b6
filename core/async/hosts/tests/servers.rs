//! Every server of this package, as a program of its own: with many connections that are ready at
//! once, and asleep when there is nothing to do.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of an echo server.
const CONNECTIONS: usize = 700;

/// A server under test, killed when dropped.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        Self {
            process,
            addr: line.trim().parse().unwrap(),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    /// Returns the processor time that the server has taken, in ticks of 10 ms (`proc(5)`).
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Fails if the server works while nobody asks it to.
    fn is_asleep(&self) {
        std::thread::sleep(Duration::from_millis(100));
        let before = self.ticks();
        std::thread::sleep(Duration::from_millis(500));
        assert!(self.ticks() - before <= 1, "it spins");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn echoes(program: &str) {
    let server = Server::start(program);
    server.is_asleep();
    let mut peers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for round in 0_u32..3 {
        for (index, peer) in (0_u32..).zip(&mut peers) {
            peer.write_all(&(round << 16 | index).to_be_bytes())
                .unwrap();
        }
        for (index, peer) in (0_u32..).zip(&mut peers) {
            let mut echo = [0; 4];
            peer.read_exact(&mut echo).unwrap();
            assert_eq!(u32::from_be_bytes(echo), round << 16 | index);
        }
        server.is_asleep();
    }
    // More than any buffer on the way holds.
    let bytes: Vec<u8> = (0..8_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let mut output = peers[0].try_clone().unwrap();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || {
        output.write_all(&sent).unwrap();
        output.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    peers[0].read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == bytes);
    // Connections that come and go, some with a reset.
    for round in 0..200 {
        let mut peer = server.connect();
        peer.write_all(b"once").unwrap();
        if round % 2 == 0 {
            peer.read_exact(&mut [0; 4]).unwrap();
        }
    }
    drop(peers);
    server.is_asleep();
    let mut peer = server.connect();
    peer.write_all(b"again").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_pool_of_tasks_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_pool"));
}

#[test]
fn tasks_of_embassy_echo() {
    echoes(env!("CARGO_BIN_EXE_echo_embassy"));
}

#[test]
fn tasks_of_tokio_echo() {
    echoes(env!("CARGO_BIN_EXE_echo_tokio"));
}

/// Reads something. The kernel restarts no read that has a timeout, even after a stop of the whole
/// machine, which no handler sees (`signal(7)`).
fn read(peer: &mut TcpStream, buffer: &mut [u8]) -> usize {
    loop {
        match peer.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            count => return count.unwrap(),
        }
    }
}

/// Sends a request on a connection that stays open, and returns the response to its last word.
fn ask(peer: &mut TcpStream, request: &str, last: &str) -> String {
    peer.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    while !response.ends_with(last) {
        let mut buffer = [0; 1_024];
        let count = read(peer, &mut buffer);
        assert_ne!(count, 0, "{response}");
        response.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    response
}

fn greets(program: &str, last: &str) {
    let server = Server::start(program);
    let mut peers: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for _ in 0..3 {
        for peer in &mut peers {
            let request = "GET / HTTP/1.1\r\nHost: usockets\r\n\r\n";
            let response = ask(peer, request, last);
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
    }
    // A request that comes a byte at a time.
    let mut slow = server.connect();
    for byte in b"GET / HTTP/1.1\r\nHost: usockets\r\n\r" {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(ask(&mut slow, "\n", last).starts_with("HTTP/1.1 200"));
    server.is_asleep();
}

#[test]
fn edge_http_greets() {
    greets(env!("CARGO_BIN_EXE_http_edge"), "hello from edge-http");
}

/// The clock of embassy-time wakes the loop from another thread.
#[test]
fn edge_http_closes_what_is_idle() {
    let server = Server::start(env!("CARGO_BIN_EXE_http_edge"));
    let mut peer = server.connect();
    let request = "GET / HTTP/1.1\r\nHost: usockets\r\n\r\n";
    ask(&mut peer, request, "hello from edge-http");
    let start = Instant::now();
    assert_eq!(read(&mut peer, &mut [0; 16]), 0);
    assert!(start.elapsed() > Duration::from_secs(4));
}

#[test]
fn picoserve_greets() {
    greets(env!("CARGO_BIN_EXE_http_picoserve"), "hello from picoserve");
}

/// Returns the rows of a table of two columns: what, and how many bytes.
fn rows(text: &str) -> Vec<(&str, f64)> {
    let cells = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        Some((cells.next()?, cells.next()?.parse().ok()?))
    });
    cells.collect()
}

/// A future's size is the compiler's affair, so that a twentieth more or less is no lie.
#[test]
fn the_readme_tells_what_a_connection_takes() {
    let output = Command::new(env!("CARGO_BIN_EXE_memory")).output().unwrap();
    let measured = String::from_utf8(output.stdout).unwrap();
    let (measured, readme) = (rows(&measured), rows(include_str!("../../README.md")));
    assert_eq!(measured.len(), 7);
    assert_eq!(measured.len(), readme.len());
    for ((what, bytes), (known, known_bytes)) in measured.into_iter().zip(readme) {
        assert_eq!(what, known);
        let ratio = bytes / known_bytes;
        assert!(
            (0.95..=1.05).contains(&ratio),
            "{what}: {bytes}, not {known_bytes}"
        );
    }
}
