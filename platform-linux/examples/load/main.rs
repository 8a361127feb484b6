//! Loads an echo or HTTP server, as a client made of this library, and checks every byte.
//! `cargo run --release --example load -- --http [ADDR]`
//!
//! The load is closed-loop: each connection keeps `--pipeline` requests under way and sends the
//! next when one is answered. So latencies are those of a server under exactly that load; a
//! server that stalls is asked less meanwhile.
//!
//! A server may close a connection between two answers (RFC 9112, section 9.6): it is made anew,
//! and what was asked and not answered is asked again. Failures are: a connect that fails; an
//! answer that is not well-formed, whose status is not 2xx, or whose body is not the one expected
//! (without `--size`: not the same as the first); an answer that is cut off; a connection that is
//! closed before its first answer, or reset; a request that is not answered in the end. The
//! connection of a failure is not made anew.

mod arguments;
#[path = "../handlers/http/chunked.rs"]
mod chunked;
mod client;
#[path = "../handlers/http/pattern.rs"]
mod pattern;
mod plan;
#[expect(dead_code, reason = "the greater part of it is for servers")]
#[path = "../handlers/http/reply.rs"]
mod reply;
mod report;
mod response;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use static_cell::ConstStaticCell;
use usockets::{Duration, Endpoint, Error, Instant, Loop, Sockets};
use usockets_linux::Linux;

use arguments::Arguments;
use client::Client;
use plan::Plan;

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(100);
/// Time that the connections have to open, and the last answers to come.
const GRACE: Duration = Duration::from_secs(5);
/// Connects under way at a time, so that the server's queue does not overflow.
const CONNECTING_MAX: u32 = 128;

/// Why the load could not be run, in words.
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Client, { arguments::CONNECTIONS_MAX }>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 262_144]> = ConstStaticCell::new([0; 262_144]);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(reason)) => {
            // Standard error may be closed or full; the exit code tells all the same.
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load and prints the outcome; whether there were no failures.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut client = Client::new(Plan::new(arguments));
    let mut network = Loop::new(Linux::new()?, SOCKETS.take(), BUFFER.take());
    open(&mut network, &mut client, arguments)?;
    let start = network.net().now();
    client.start(&mut network.all_sockets());
    load(&mut network, &mut client, start, arguments)?;
    let end = network.net().now();
    let counted = client.results.requests;
    client.stop(&mut network.all_sockets());
    let until = end.saturating_add(GRACE);
    while client.is_waiting() && network.net().now() < until {
        network.poll(&mut client, Some(until))?;
    }
    client.give_up(&mut network.all_sockets());
    let took = end.saturating_since(start);
    report::print(
        &mut io::stdout().lock(),
        arguments,
        &client.results,
        counted,
        took,
    )
    .map_err(|error| format!("standard output: {error}"))?;
    Ok(client.results.failures() == 0)
}

/// Opens the connections, or as many as will.
fn open(
    network: &mut Loop<'_, Linux, Client>,
    client: &mut Client,
    arguments: &Arguments,
) -> Result<(), Error> {
    let until = network.net().now().saturating_add(GRACE);
    let mut numbers = (0..arguments.connections).map_while(|number| usize::try_from(number).ok());
    loop {
        while client.connecting() < CONNECTING_MAX
            && let Some(number) = numbers.next()
        {
            connect(network, client, arguments, number);
        }
        if client.connecting() == 0 {
            return Ok(());
        }
        if network.net().now() >= until {
            client.connects_given_up();
            return Ok(());
        }
        network.poll(client, Some(until))?;
    }
}

/// Makes a connection.
fn connect(
    network: &mut Loop<'_, Linux, Client>,
    client: &mut Client,
    arguments: &Arguments,
    number: usize,
) {
    let started = network
        .net()
        .connect(Endpoint::tcp(arguments.address), number);
    client.connect_started(started);
}

/// Keeps the connections busy, and shows how it goes.
fn load(
    network: &mut Loop<'_, Linux, Client>,
    client: &mut Client,
    start: Instant,
    arguments: &Arguments,
) -> Result<(), Error> {
    let duration = arguments.duration();
    let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {elapsed} {msg}") {
        bar.set_style(style);
    }
    let until = start.saturating_add(duration);
    let mut look = start.saturating_add(LOOK);
    let (mut looked, mut seen) = (start, 0_u64);
    loop {
        let now = network.net().now();
        if now >= until || !client.is_connected() {
            break;
        }
        if now >= look {
            let requests = client.results.requests;
            let rate = report::rate(requests.wrapping_sub(seen), now.saturating_since(looked));
            (looked, seen) = (now, requests);
            look = now.saturating_add(LOOK);
            let millis = now.saturating_since(start).as_millis();
            bar.set_position(u64::try_from(millis).unwrap_or(u64::MAX));
            bar.set_message(format!("{rate} requests/s"));
        }
        while client.connecting() < CONNECTING_MAX
            && let Some(number) = client.take_closed()
        {
            connect(network, client, arguments, number);
        }
        network.poll(client, Some(look.min(until)))?;
    }
    bar.finish_and_clear();
    Ok(())
}
