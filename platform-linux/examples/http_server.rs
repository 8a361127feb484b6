//! An HTTP/1.1 server: `/`, `/echo` (POST), `/bytes/N` and `/stats`.
//! `cargo run --release --example http_server [ADDR] [OPTIONS]`
//!
//! SIGINT or SIGTERM stops it in order.
//!
//! With `--metrics ADDR`, `http://ADDR/metrics` tells what each loop did, as text for Prometheus,
//! and how long its iterations took.
//!
//! Started by a service manager with sockets that listen already (`LISTEN_FDS`,
//! `sd_listen_fds(3)`), it serves those; `--inetd` serves the socket that is its standard input, a
//! connection or one that listens, as inetd passes it.
//!
//! With `--threads N` there are N loops, each on a thread of its own with a pool and a listener of
//! its own; the kernel spreads connections over the listeners (SO_REUSEPORT, `socket(7)`). With
//! `--pin`, each thread keeps to a processor, and gets the connections whose packets that processor
//! receives (SO_INCOMING_CPU, since Linux 6.2) as far as the kernel can tell.

use core::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use rustix::net::sockopt::set_socket_incoming_cpu;
use usockets::{Endpoint, ListenerId, Net, WhenFull};
use usockets_linux::{Linux, passed_descriptors};

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[path = "support/metrics.rs"]
mod metrics;
#[path = "support/room.rs"]
mod room;
#[expect(dead_code, reason = "it has more arguments than an address")]
mod support;
#[path = "support/threads.rs"]
mod threads;

use http::server::Group;
use metrics::{Metrics, Watch};
use room::{Room, SOCKETS_MAX};
use threads::{Part, new_waker, processors, run_all};

/// Bytes that the kernel holds for a client besides. Its own choice goes up to megabytes, which a
/// slow client takes minutes for, and looks as if it took nothing meanwhile.
const SEND_BUFFER: usize = 262_144;

/// Most threads.
const THREADS_MAX: usize = 256;

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    support::raise_descriptors(SOCKETS_MAX.saturating_mul(options.threads));
    let mut source = options.source()?;
    let shared = options.threads > 1;
    if !shared && options.metrics.is_none() {
        let platform = support::with_stop_signals(Linux::new()?)?;
        let mut room = Room::new()?;
        let (mut server, mut handler) = room.server(platform)?;
        for listener in source.open(&mut server.net(), shared)? {
            support::announce(server.net().listening_addr(listener));
        }
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
    let watches: Vec<_> = rooms.iter().map(|_| Watch::default()).collect();
    let watches: &'static [Watch] = Vec::leak(watches);
    let metrics = options.metrics.map(|at| Metrics { at, watches });
    let (mut parts, mut addrs) = (Vec::new(), Vec::new());
    for ((room, watch), index) in rooms.iter_mut().zip(watches).zip(0_usize..) {
        let waker = new_waker()?;
        let (mut server, mut handler) = room.server(Linux::new()?.with_waker(waker)?)?;
        if metrics.is_some() {
            handler.set_observer(watch);
        }
        let listeners = source.open(&mut server.net(), shared)?;
        let cpu = index.checked_rem(processors.len());
        let cpu = cpu.and_then(|index| processors.get(index).copied());
        for listener in listeners {
            if index == 0 {
                addrs.push(server.net().listening_addr(listener));
            }
            if let Some(cpu) = cpu {
                steer(&mut server.net(), listener, cpu)?;
            }
        }
        parts.push(Part {
            server,
            handler,
            waker,
            cpu,
        });
    }
    // Only when all of them listen: who comes before finds them all.
    addrs.into_iter().for_each(support::announce);
    run_all(parts, metrics)
}

/// Has a listener get the connections that a processor receives. A kernel that does not steer by
/// this spreads them all the same.
fn steer(
    net: &mut Net<'_, Linux, Group>,
    listener: ListenerId,
    cpu: usize,
) -> Result<(), support::Failure> {
    if let Some((_, socket)) = net.platform_socket(listener.into()) {
        let cpu = u32::try_from(cpu).unwrap_or_default();
        let _ = set_socket_incoming_cpu(socket.get()?, cpu);
    }
    Ok(())
}

/// Where connections come from.
enum Source {
    /// It listens itself.
    Address(SocketAddr),
    /// Who started the program has passed sockets to it.
    Passed(Vec<OwnedFd>),
}

impl Source {
    /// Has a loop take connections; several do if it is `shared`. Returns its listeners.
    fn open(
        &mut self,
        net: &mut Net<'_, Linux, Group>,
        shared: bool,
    ) -> Result<Vec<ListenerId>, support::Failure> {
        // Whoever connects and says nothing makes room for the next one.
        let endpoint = |at| {
            Endpoint::tcp(at)
                .send_buffer(SEND_BUFFER)
                .when_full(WhenFull::EvictIdle)
                .reuse_port(shared)
        };
        match self {
            Self::Address(at) => {
                let listener = net.listen(endpoint(*at), Group::Listener)?;
                // All listen where the first one does, also if the system chose the port.
                *at = net.listening_addr(listener).unwrap_or(*at);
                Ok(vec![listener])
            }
            Self::Passed(all) => {
                let mut listeners = Vec::new();
                // What plays a role of this does so whatever the address.
                let at = endpoint(SocketAddr::from(([0, 0, 0, 0], 0)));
                for one in all {
                    let copy = one.try_clone().map_err(|error| error.to_string())?;
                    match net.insert_listener(copy, &at, Group::Listener) {
                        Ok(listener) => listeners.push(listener),
                        Err((copy, _)) => {
                            let inserted = net.insert(copy, Group::Client);
                            inserted.map_err(|(_, error)| {
                                format!("a descriptor that was passed: {error}")
                            })?;
                        }
                    }
                }
                Ok(listeners)
            }
        }
    }
}

const USAGE: &str = "[ADDR] [--threads N] [--pin] [--metrics ADDR] [--inetd]";

/// What the program was asked for.
struct Options {
    at: Option<String>,
    threads: usize,
    pin: bool,
    inetd: bool,
    metrics: Option<SocketAddr>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut at, mut threads, mut pin, mut inetd) = (None, 1, false, false);
        let mut metrics = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--threads" => threads = parse_threads(arguments.next())?,
                "--pin" => pin = true,
                "--metrics" => {
                    let at = arguments.next().ok_or("--metrics: without an address")?;
                    metrics = Some(support::parse_address(Some(at))?);
                }
                "--inetd" => inetd = true,
                other if other.starts_with('-') => {
                    return Err(format!("{other}: usage: http_server {USAGE}"));
                }
                _ if at.is_some() => return Err(format!("{argument}: a second address")),
                _ => at = Some(argument),
            }
        }
        if inetd && (threads > 1 || at.is_some()) {
            return Err("--inetd: without an address, and with one thread".to_owned());
        }
        Ok(Self {
            at,
            threads,
            pin,
            inetd,
            metrics,
        })
    }

    /// Returns where connections come from: an address if one is given, or what was passed.
    fn source(&self) -> Result<Source, String> {
        if self.inetd {
            let input = std::io::stdin().as_fd().try_clone_to_owned();
            let input = input.map_err(|error| format!("standard input: {error}"))?;
            return Ok(Source::Passed(vec![input]));
        }
        let passed = passed_descriptors().map_err(|error| format!("LISTEN_FDS: {error}"))?;
        let passed: Vec<_> = passed.into_iter().map(|passed| passed.descriptor).collect();
        if self.at.is_none() && !passed.is_empty() {
            return Ok(Source::Passed(passed));
        }
        support::parse_address(self.at.clone()).map(Source::Address)
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
