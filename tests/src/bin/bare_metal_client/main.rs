//! Tries an image for bare metal from outside: pages, many connections at once, garbage, and
//! clients that vanish. Prints the image's status page at the end.
//!
//! `bare_metal_client ADDR CONNECTIONS [SEED]`. With `tls` instead of a number it only does to a
//! server that speaks TLS what needs no TLS: garbage, and clients that vanish. With `crowd:NUMBER`
//! it opens so many connections at once to a server that has buffers for a few of them. Started by
//! `tests/bare_metal.sh`.

mod asker;
mod client;
mod crowd;
mod hostile;

use std::env::args;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use client::{Client, Outcome, Response};
use hostile::Hostile;

/// Longest time from the start of the machine to its first answer.
const BOOT_MAX: Duration = Duration::from_secs(30);
/// Longest time after which nothing is left of the clients that vanished: the stack gives peers
/// that do not end their direction a minute, from when it has ended its own, which takes an
/// emulated machine on a busy one its time.
const SETTLE_MAX: Duration = Duration::from_secs(180);
/// Clients that vanish.
const VANISHING: u32 = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = args().skip(1).collect();
    let Some((at, [count, rest @ ..])) = arguments.split_first() else {
        eprintln!("usage: bare_metal_client ADDR CONNECTIONS|crowd:CONNECTIONS|tls [SEED]");
        return ExitCode::FAILURE;
    };
    let seed = rest.first().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let crowd = count.strip_prefix("crowd:").and_then(|it| it.parse().ok());
    let outcome = match (count.parse(), crowd) {
        (_, Some(connections)) => crowd::run(at, connections, seed),
        (Ok(connections), None) => run(at, connections, seed),
        (Err(_), None) => run_secured(at, seed),
    };
    match outcome {
        Ok(status) => {
            print!("{status}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("bare_metal_client {at} {count} {seed}: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the steps that a server which speaks TLS must stand.
fn run_secured(at: &str, seed: u64) -> Outcome<String> {
    let mut hostile = Hostile::new(at, seed);
    step("garbage instead of TLS", || hostile.no_tls(100))?;
    step("clients that vanish before TLS", || {
        hostile.vanish_before_tls(VANISHING)
    })?;
    Ok(String::new())
}

/// Runs every step. Returns the status page.
fn run(at: &str, connections: usize, seed: u64) -> Outcome<String> {
    let started = Instant::now();
    let boot = step("the first answer", || first_answer(at))?;
    let slots = number(&boot, "slots")?;
    step("every page", || pages(at))?;
    step("connections at once", || many(at, connections))?;
    let mut hostile = Hostile::new(at, seed);
    let half = hostile.half_a_request()?;
    step("garbage", || hostile.garbage(100))?;
    step("too much of everything", || hostile.oversized())?;
    step("clients that vanish", || hostile.vanish(VANISHING))?;
    step("a client that never goes on", || hostile.times_out(half))?;
    step("nothing is left of them", || settled(at, slots))?;
    step("every page again", || pages(at))?;
    eprintln!("all: {:.1} s", started.elapsed().as_secs_f32());
    status(at)
}

/// Runs a step and tells how long it took.
fn step<T>(name: &str, run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let started = Instant::now();
    let outcome = run().map_err(|fault| format!("{name}: {fault}"))?;
    eprintln!("{name}: {:.1} s", started.elapsed().as_secs_f32());
    Ok(outcome)
}

/// Waits until the machine serves its status page, and returns it.
fn first_answer(at: &str) -> Outcome<String> {
    let started = Instant::now();
    loop {
        match status(at) {
            Ok(status) => return Ok(status),
            Err(fault) if started.elapsed() > BOOT_MAX => return Err(fault),
            Err(_) => sleep(Duration::from_millis(100)),
        }
    }
}

/// Asks for everything there is, on one connection.
fn pages(at: &str) -> Outcome<()> {
    let mut client = Client::connect(at)?;
    client.get("/")?.expect(200, b"Hello from usockets!\n")?;
    client
        .get("/bytes/100000")?
        .expect(200, &pattern(100_000))?;
    client.get("/nowhere")?.expect_status(404)?;
    let body = pattern(5_000);
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n")?;
    client.send_beside(&body)?.expect(200, &body)?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /stats HTTP/1.1\r\nHost: a\r\n\r\n")?;
    client.response()?.expect(200, b"Hello from usockets!\n")?;
    client.response()?.expect_status(200)
}

/// Holds many connections open at once, all of which are served.
fn many(at: &str, count: usize) -> Outcome<()> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(at)?;
        client.get("/")?.expect_status(200)?;
        clients.push(client);
    }
    // Each asks before any answer is read.
    for client in &mut clients {
        client.send(b"GET /bytes/3000 HTTP/1.1\r\nHost: a\r\n\r\n")?;
    }
    for client in &mut clients {
        client.response()?.expect(200, &pattern(3_000))?;
    }
    let Some(last) = clients.last_mut() else {
        return Ok(());
    };
    let status = last.get("/status")?.text()?;
    equal(&status, "open", u64::try_from(count).unwrap_or(0))
}

/// Waits until only the connection that asks is left.
fn settled(at: &str, slots: u64) -> Outcome<()> {
    let started = Instant::now();
    loop {
        let status = status(at)?;
        let left = equal(&status, "open", 1)
            .and_then(|()| equal(&status, "in_use", 2))
            .and_then(|()| equal(&status, "slots_free", slots - 1));
        match left {
            Ok(()) => return Ok(()),
            Err(fault) if started.elapsed() > SETTLE_MAX => return Err(fault),
            Err(_) => sleep(Duration::from_millis(200)),
        }
    }
}

fn status(at: &str) -> Outcome<String> {
    let response: Response = Client::connect(at)?.get("/status")?;
    response.text()
}

/// Returns a number of the status page.
fn number(status: &str, name: &str) -> Outcome<u64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find_map(|(this, number)| (this == name).then_some(number));
    let found = found.and_then(|number| number.parse().ok());
    found.ok_or_else(|| format!("no {name} in {status:?}"))
}

fn equal(status: &str, name: &str, wanted: u64) -> Outcome<()> {
    let found = number(status, name)?;
    if found == wanted {
        return Ok(());
    }
    Err(format!("{name} is {found}, not {wanted}"))
}

/// Returns what `/bytes/N` consists of.
fn pattern(count: usize) -> Vec<u8> {
    (b'!'..=b'y').cycle().take(count).collect()
}
