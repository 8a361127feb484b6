//! An HTTP/1.1 server: `/`, `/echo` (POST), `/bytes/N` and `/stats`.
//! `cargo run --release --example http_server [ADDR] [--threads N] [--pin]`
//!
//! SIGINT or SIGTERM stops it in order.
//!
//! With `--threads N` there are N loops, each on a thread of its own with a pool and a listener of
//! its own; the kernel spreads connections over the listeners (SO_REUSEPORT, `socket(7)`). With
//! `--pin`, each thread keeps to a processor, and gets the connections whose packets that processor
//! receives (SO_INCOMING_CPU, since Linux 6.2) as far as the kernel can tell.

use std::process::ExitCode;
use std::time::SystemTime;

use core::net::SocketAddr;

use rustix::net::sockopt::set_socket_incoming_cpu;
use usockets::{Endpoint, Loop, Place, Slot, SocketId, WhenFull};
use usockets_linux::{Linux, zeroed, zeroed_slice};

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[expect(dead_code, reason = "it has more arguments than an address")]
mod support;
#[path = "support/threads.rs"]
mod threads;

use http::connection::Connection;
use http::date::WallClock;
use http::memory::{Memory, Tables};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use threads::{Part, new_waker, processors, run_all};

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;
/// Bytes that the kernel holds for a client besides. Its own choice goes up to megabytes, which a
/// slow client takes minutes for, and looks as if it took nothing meanwhile.
const SEND_BUFFER: usize = 262_144;

/// Sockets of the pool of each thread.
const SOCKETS_MAX: usize = 4096;
/// Most threads.
const THREADS_MAX: usize = 256;

/// The memory of one loop. What no connection ever needed is never touched, and takes none.
struct Room {
    slots: Box<[Slot<usockets_linux::Fd, Group>]>,
    data: Box<[Place<Connection>]>,
    inputs: Box<[[u8; IN]]>,
    outputs: Box<[[u8; OUT]]>,
    clients: Vec<Option<SocketId>>,
    draft: Box<[u8; OUT]>,
    buffer: Box<[u8]>,
}

impl Room {
    fn new() -> Result<Self, usockets::Error> {
        Ok(Self {
            slots: zeroed_slice(SOCKETS_MAX)?,
            data: zeroed_slice(SOCKETS_MAX)?,
            inputs: zeroed_slice(SOCKETS_MAX)?,
            outputs: zeroed_slice(SOCKETS_MAX)?,
            clients: vec![None; SOCKETS_MAX],
            draft: zeroed()?,
            buffer: zeroed_slice(Memory::<IN, OUT>::RECEIVE_MAX)?,
        })
    }

    /// Makes a loop and its handler of the memory.
    fn server(
        &mut self,
        platform: Linux,
    ) -> Result<(Loop<'_, Linux, Handler<'_>>, Handler<'_>), usockets::Error> {
        let tables = Tables {
            inputs: &mut self.inputs,
            outputs: &mut self.outputs,
            clients: &mut self.clients,
            draft: &mut self.draft,
        };
        let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
        let handler = Server::with_tables(Service::new(route, clock), tables);
        let server =
            Loop::with_slices(platform, &mut self.slots, &mut self.data, &mut self.buffer)?;
        Ok((server, handler))
    }
}

type Handler<'m> = Server<'m, IN, OUT>;

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    support::raise_descriptors(SOCKETS_MAX.saturating_mul(options.threads));
    // Whoever connects and says nothing makes room for the next one.
    let endpoint = |at| {
        Endpoint::tcp(at)
            .send_buffer(SEND_BUFFER)
            .when_full(WhenFull::EvictIdle)
            .reuse_port(options.threads > 1)
    };
    if options.threads == 1 {
        let platform = support::with_stop_signals(Linux::new()?)?;
        let mut room = Room::new()?;
        let (mut server, mut handler) = room.server(platform)?;
        let listener = server.net().listen(endpoint(options.at), Group::Listener)?;
        support::announce(server.net().listening_addr(listener));
        return Ok(server.run(&mut handler)?);
    }
    let mut rooms = Vec::new();
    for _ in 0..options.threads {
        rooms.push(Room::new()?);
    }
    let processors = if options.pin {
        processors()
    } else {
        Vec::new()
    };
    let mut parts = Vec::new();
    let mut at = None;
    for (room, index) in rooms.iter_mut().zip(0_usize..) {
        let waker = new_waker()?;
        let (mut server, handler) = room.server(Linux::new()?.with_waker(waker)?)?;
        // All listen where the first one does, also if the system chose the port.
        let mut net = server.net();
        let listener = net.listen(endpoint(at.unwrap_or(options.at)), Group::Listener)?;
        at = net.listening_addr(listener);
        let cpu = index.checked_rem(processors.len());
        let cpu = cpu.and_then(|index| processors.get(index).copied());
        if let (Some(cpu), Some((_, socket))) = (cpu, net.platform_socket(listener.into())) {
            let number = u32::try_from(cpu).unwrap_or_default();
            // A kernel that does not steer by it spreads connections all the same.
            let _ = set_socket_incoming_cpu(socket.get()?, number);
        }
        parts.push(Part {
            server,
            handler,
            waker,
            cpu,
        });
    }
    support::announce(at);
    run_all(parts)
}

/// What the program was asked for.
struct Options {
    at: SocketAddr,
    threads: usize,
    pin: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut at, mut threads, mut pin) = (None, 1, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--threads" => threads = parse_threads(arguments.next())?,
                "--pin" => pin = true,
                other if other.starts_with('-') => {
                    return Err(format!(
                        "{other}: usage: http_server [ADDR] [--threads N] [--pin]"
                    ));
                }
                _ if at.is_some() => return Err(format!("{argument}: a second address")),
                _ => at = Some(argument),
            }
        }
        let at = support::parse_address(at)?;
        Ok(Self { at, threads, pin })
    }
}

/// Returns how many threads the argument asks for.
fn parse_threads(argument: Option<String>) -> Result<usize, String> {
    let wrong = |what: &str| format!("--threads {what}: not a number from 1 to {THREADS_MAX}");
    let Some(argument) = argument else {
        return Err(wrong(""));
    };
    match argument.parse() {
        Ok(count) if (1..=THREADS_MAX).contains(&count) => Ok(count),
        _ => Err(wrong(&argument)),
    }
}
