//! Echoes datagrams by this library, quinn-udp, tokio and mio, in one run, and prints how many each
//! echoes in a second of its processor time: `datagrams [ROUNDS]`, on Linux.
//!
//! In each round 64 datagrams of 1,200 bytes wait at a server's socket, which sends all of them
//! back. Only what the server does is measured, by the clock of the one thread that all of them run
//! in, turn by turn, so that what else goes on in the machine meets them alike.

mod servers;

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use rustix::time::{ClockId, clock_gettime};

use servers::{Mio, Quinn, Server, Tokio, Usockets};

/// Datagrams of a round.
const COUNT: usize = 64;
/// Bytes of each: what QUIC begins with (RFC 9000, section 14.1).
const BYTES: usize = 1_200;
/// Datagrams of a run: two runs a round, since one is not longer than an IP packet.
const RUN: usize = 32;
/// Rounds of one turn, after which it is the next one's.
const TURN: usize = 50;

/// Who comes after whom: in four turns each of the four comes first, and right after each other.
const ORDERS: [[usize; 4]; 4] = [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]];

/// How the datagrams of a round are sent to the server.
#[derive(Clone, Copy, Debug)]
enum Sending {
    /// Each by a call of its own.
    Singly,
    /// In runs that the kernel keeps together on the loopback interface (`UDP_SEGMENT`), for those
    /// who take them so (`UDP_GRO`).
    InRuns,
}

/// The other end: it sends, and counts what comes back.
struct Client {
    socket: UdpSocket,
    state: UdpSocketState,
    bytes: Vec<u8>,
    memory: Vec<u8>,
}

impl Client {
    fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self {
            socket,
            state,
            bytes: (0..RUN * BYTES).map(|at| at.to_le_bytes()[0]).collect(),
            memory: vec![0; 1 << 16],
        })
    }

    fn send(&self, to: SocketAddr, how: Sending) -> io::Result<()> {
        match how {
            Sending::Singly => {
                for _ in 0..COUNT {
                    self.socket.send_to(&self.bytes[..BYTES], to)?;
                }
            }
            Sending::InRuns => {
                for _ in 0..COUNT / RUN {
                    let run = Transmit {
                        destination: to,
                        ecn: None,
                        contents: &self.bytes,
                        segment_size: Some(BYTES),
                        src_ip: None,
                    };
                    self.state.try_send(UdpSockRef::from(&self.socket), &run)?;
                }
            }
        }
        Ok(())
    }

    /// Takes back what was echoed, which is all there already.
    fn take(&mut self) -> io::Result<()> {
        let mut bytes = 0;
        while bytes < COUNT * BYTES {
            let slices = &mut [io::IoSliceMut::new(&mut self.memory)];
            let meta = &mut [quinn_udp::RecvMeta::default()];
            self.state
                .recv(UdpSockRef::from(&self.socket), slices, meta)?;
            bytes += meta[0].len;
        }
        if bytes == COUNT * BYTES {
            Ok(())
        } else {
            Err(io::Error::other("more came back than was sent"))
        }
    }
}

/// Nanoseconds of processor time that this thread has taken.
fn processor_nanos() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Lets a server have its turn; returns the nanoseconds that each datagram took.
fn turn(client: &mut Client, server: &mut dyn Server, how: Sending) -> io::Result<f64> {
    let mut nanos = 0;
    for _ in 0..TURN {
        client.send(server.addr(), how)?;
        let before = processor_nanos();
        server.echo(COUNT)?;
        nanos += processor_nanos() - before;
        client.take()?;
    }
    Ok(nanos as f64 / (TURN * COUNT) as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args()
        .nth(1)
        .map_or(Ok(2_000), |rounds| rounds.parse::<usize>())?;
    let turns = (rounds / TURN).max(1);
    let mut client = Client::new()?;
    let mut servers: [(&str, Box<dyn Server>); 4] = [
        ("usockets", Box::new(Usockets::new()?)),
        ("quinn-udp", Box::new(Quinn::new()?)),
        ("tokio", Box::new(Tokio::new()?)),
        ("mio", Box::new(Mio::new()?)),
    ];
    println!("{turns} turns of {TURN} rounds of {COUNT} datagrams of {BYTES} bytes; medians");
    println!("sent       library    ns/datagram  datagrams/CPU s  usockets has");
    for how in [Sending::Singly, Sending::InRuns] {
        let mut nanos = [const { Vec::new() }; 4];
        for (_, server) in &mut servers {
            turn(&mut client, server.as_mut(), how)?; // Unmeasured: memory is touched first.
        }
        for index in 0..turns {
            // What ran before has left its memory in the caches.
            for &which in &ORDERS[index % ORDERS.len()] {
                nanos[which].push(turn(&mut client, servers[which].1.as_mut(), how)?);
            }
        }
        let nanos = nanos.map(median);
        for ((name, _), each) in servers.iter().zip(nanos) {
            let (rate, ratio) = (1e9 / each, each / nanos[0]);
            println!(
                "{:<10} {name:<10} {each:>11.0}  {rate:>15.0}  {ratio:>11.2}x",
                format!("{how:?}")
            );
        }
    }
    Ok(())
}
