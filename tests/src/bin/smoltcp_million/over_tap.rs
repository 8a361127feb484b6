//! Peers of the kernel's TCP, in processes of their own, at the other end of a TAP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant as Clock;

use rustix::net::{AddressFamily, SocketType, bind, connect as connect_to, socket};
use static_cell::ConstStaticCell;
use usockets::{Duration, Sockets};
use usockets_smoltcp::{Address, Config, Secret, Tap};
use usockets_tests::limits::raise_descriptors;
use usockets_tests::smoltcp::kernel::{MTU, STACK, address, batch, in_namespace};
use usockets_tests::smoltcp::{mac, zeroes};

use crate::server::{Echo, MOST, Net, SETS, Server};

const PORT: u16 = 80;
const MESSAGE: [u8; 64] = [7; 64];
/// Of how many addresses the peers are, at least.
const ADDRESSES_MIN: usize = 16;
/// Connections of one address, from this port on.
const EACH_MAX: usize = 60_000;
const FIRST_PORT: u16 = 1_024;
/// Connections of a process: fewer than it may have descriptors, at most, on common systems.
const PROCESS_MAX: usize = 10_000;
/// Connections that have sent and wait for the echo.
const WINDOW: usize = 256;

static SOCKETS: ConstStaticCell<Sockets<Net<Tap<'static>>, Echo, { MOST + 1 }>> =
    ConstStaticCell::new(Sockets::new());

/// Serves so many connections of other processes, and tells what that takes.
pub(crate) fn serve(count: usize) {
    in_namespace(move || {
        let memory = zeroes(Tap::share(MTU, false) * 65);
        let tap = Tap::make("us0", MTU, false, memory).unwrap();
        address("us0");
        let line = |[a, b, c, d]: [u8; 4]| format!("addr add {a}.{b}.{c}.{d}/24 dev us0\n");
        batch(&sources(count).map(line).collect::<String>());
        let addresses = [Address::new(STACK.into(), 24)];
        let config = Config::new(mac(2), &addresses, Secret::new([9; 16]));
        let mut server = Server::new(tap, &config, count, (STACK, PORT), SOCKETS.take());
        server.wait_max = Duration::from_millis(1);
        let mut all = Vec::new();
        for first in (0..count).step_by(PROCESS_MAX) {
            let end = count.min(first + PROCESS_MAX);
            let mut peers = Peers::start(first..end, count);
            server.until(|_, echo| peers.are_done() && echo.open == end);
            all.push(peers);
        }
        server.until(|net, _| net.free_sets() == SETS);
        server.report("open and silent");
        for peers in &mut all {
            peers.go_on();
            server.until(|_, _| peers.are_done());
        }
        server.until(|net, _| net.free_sets() == SETS);
        let Echo { closed, short, .. } = server.echo;
        assert_eq!((closed, short), (0, 0));
        server.report("after an echo of each");
        println!("{:?}", server.net.platform().counters());
    });
}

/// Some of the peers, in a process.
struct Peers {
    process: Child,
    /// What they print: a line whenever they are done with something.
    lines: Receiver<String>,
    are_done: bool,
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peers {
    /// Starts those with these numbers, of `count`, in this thread's namespace.
    fn start(numbers: Range<usize>, count: usize) -> Self {
        let numbers = [numbers.start, numbers.end, count].map(|number| number.to_string());
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("client")
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            output
                .lines()
                .try_for_each(|line| sender.send(line.unwrap()))
        });
        Self {
            process,
            lines,
            are_done: false,
        }
    }

    fn go_on(&mut self) {
        self.are_done = false;
        let mut input = self.process.stdin.take().unwrap();
        input.write_all(b"go on\n").unwrap();
    }

    fn are_done(&mut self) -> bool {
        for line in self.lines.try_iter() {
            println!("  {line}");
            self.are_done = true;
        }
        self.are_done
    }
}

/// The addresses of so many peers.
fn sources(count: usize) -> impl Iterator<Item = [u8; 4]> {
    let addresses = count.div_ceil(EACH_MAX).max(ADDRESSES_MIN);
    (0..addresses).map(|number| [10, 0, 0, 10 + number as u8])
}

/// The peers with these numbers, of `count`: opens their connections, one after another, and has an
/// echo of each once it is told to.
pub(crate) fn connect(numbers: Range<usize>, count: usize) {
    raise_descriptors().expect("as many descriptors as are allowed");
    let sources: Vec<_> = sources(count).collect();
    let start = Clock::now();
    let open = |number: usize| {
        let ip = sources[number % sources.len()];
        let port = FIRST_PORT + (number / sources.len()) as u16;
        connected(SocketAddr::from((ip, port)))
    };
    let mut streams: Vec<TcpStream> = numbers.clone().map(open).collect();
    tell("connected", numbers.end, start, streams.len());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let start = Clock::now();
    for streams in streams.chunks_mut(WINDOW) {
        for stream in streams.iter_mut() {
            stream.write_all(&MESSAGE).unwrap();
        }
        for stream in streams {
            let mut echo = [0; MESSAGE.len()];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!(echo, MESSAGE);
        }
    }
    tell("echoed", numbers.end, start, streams.len());
    // With its end they would close.
    loop {
        thread::park();
    }
}

fn connected(from: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a descriptor");
    bind(&socket, &from).expect("a free port");
    connect_to(&socket, &SocketAddr::from((STACK, PORT))).expect("a connection");
    socket.into()
}

fn tell(what: &str, all: usize, start: Clock, count: usize) {
    let each = start.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("{all} have {what}, the last {count} in {each:.1} us each");
}
