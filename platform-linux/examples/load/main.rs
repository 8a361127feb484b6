//! Loads an echo or HTTP server, as a client made of this library, and checks every byte.
//! `cargo run --release --example load -- --http [ADDR]`
//!
//! The load is closed-loop: each connection keeps `--pipeline` requests under way and sends the
//! next when one is answered. So latencies are those of a server under exactly that load; a
//! server that stalls is asked less meanwhile.

mod arguments;
mod client;
#[path = "../handlers/http/pattern.rs"]
mod pattern;
mod plan;
mod report;
mod response;

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

static SOCKETS: ConstStaticCell<Sockets<Linux, Client, { arguments::CONNECTIONS_MAX }>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 262_144]> = ConstStaticCell::new([0; 262_144]);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load and prints the outcome; whether there were no failures.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    let mut client = Client::new(Plan::new(arguments));
    let mut network = Loop::new(Linux::new()?, SOCKETS.take(), BUFFER.take());
    open(&mut network, &mut client, arguments)?;
    let start = network.net().now();
    client.start(&mut network.all_sockets());
    load(&mut network, &mut client, start, arguments.duration())?;
    let end = network.net().now();
    let counted = client.results.requests;
    client.stop(&mut network.all_sockets());
    let until = end.saturating_add(GRACE);
    while client.is_waiting() && network.net().now() < until {
        network.poll(&mut client, Some(until))?;
    }
    client.give_up(&mut network.all_sockets());
    let took = end.saturating_since(start);
    report::print(arguments, &client.results, counted, took);
    Ok(client.results.failures() == 0)
}

/// Opens the connections, or as many as will.
fn open(
    network: &mut Loop<'_, Linux, Client>,
    client: &mut Client,
    arguments: &Arguments,
) -> Result<(), Error> {
    let until = network.net().now().saturating_add(GRACE);
    let mut left = arguments.connections;
    loop {
        while left > 0 && client.connecting() < CONNECTING_MAX {
            left = left.saturating_sub(1);
            let started = network.net().connect(Endpoint::tcp(arguments.address), ());
            client.connect_started(started);
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

/// Keeps the connections busy, and shows how it goes.
fn load(
    network: &mut Loop<'_, Linux, Client>,
    client: &mut Client,
    start: Instant,
    duration: Duration,
) -> Result<(), Error> {
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
        network.poll(client, Some(look.min(until)))?;
    }
    bar.finish_and_clear();
    Ok(())
}
