//! System calls per operation.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::peer::{self, Clients};
use crate::programs::{Programs, installed};
use crate::report::Report;
use crate::trace::{Counts, Trace};

/// Connections, or whatever else is counted.
const COUNT: usize = 100;
/// Messages per connection.
const ROUNDS: usize = 20;
/// How long an idle loop is watched.
const IDLE: Duration = Duration::from_secs(3);

const HOW: &str = "strace, 100 at once, without waits";

/// Measures all of them.
pub fn measure(report: &mut Report, programs: &Programs) -> io::Result<()> {
    if !installed("strace") {
        report.skipped("system calls per operation", "strace not installed");
        return Ok(());
    }
    server(report, programs)?;
    short_connections(report, programs)?;
    client(report, programs)?;
    datagrams(report, programs)?;
    timers(report, programs)?;
    idle(report, programs)
}

/// What a server does for its connections, each step on its own.
fn server(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let mut trace = Trace::start(&programs.plain.join("plain_echo"), "server", &[])?;
    let addr = peer::printed_addr(&mut trace.child)?;
    let start = trace.settled()?;
    let mut clients = Clients::connect(addr, COUNT)?;
    let accepted = trace.settled()?;
    clients.echo(ROUNDS)?;
    let echoed = trace.settled()?;
    clients.finish()?;
    let ended = trace.settled()?;
    drop(trace);
    let accept = &accepted - &start;
    let echo = &echoed - &accepted;
    let end = &ended - &echoed;
    let messages = per(COUNT * ROUNDS);
    report.bounded(
        "calls to accept a connection",
        accept.own() / per(COUNT),
        2.0,
        "5",
        HOW,
    );
    report.told("  shared waits", accept.waits() / per(COUNT), "strace");
    report.told(
        "  shared probes for another",
        accept.probes() / per(COUNT),
        "strace",
    );
    report.bounded(
        "calls to echo a message",
        echo.own() / messages,
        2.0,
        "2",
        HOW,
    );
    report.told("  shared waits", echo.waits() / messages, "strace");
    report.bounded(
        "calls to close on the peer's FIN",
        end.own() / per(COUNT),
        2.0,
        "4",
        HOW,
    );
    report.told("  shared waits", end.waits() / per(COUNT), "strace");
    Ok(())
}

/// One connection after another: connect, one message, end.
fn short_connections(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let mut trace = Trace::start(&programs.plain.join("plain_echo"), "short", &[])?;
    let addr = peer::printed_addr(&mut trace.child)?;
    let start = trace.settled()?;
    for _ in 0..COUNT {
        let mut client = Clients::connect(addr, 1)?;
        client.echo(1)?;
        client.finish()?;
    }
    let all = &trace.settled()? - &start;
    drop(trace);
    let how = "strace, 100 one by one, without waits";
    report.bounded(
        "calls of a whole short connection",
        all.own() / per(COUNT),
        6.0,
        "11",
        how,
    );
    report.told("  waits", all.waits() / per(COUNT), "strace");
    report.told("  probes for another", all.probes() / per(COUNT), "strace");
    Ok(())
}

/// What a client does to connect and to close.
fn client(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let addr = peer::sink()?;
    let none = scenario(programs, "connect", 0, addr)?;
    let connected = scenario(programs, "connect", COUNT, addr)?;
    let closed = scenario(programs, "close", COUNT, addr)?;
    let connect = &connected - &none;
    // One of them because the peer is on this host, where a connection may meet itself.
    report.bounded(
        "calls to connect, on loopback",
        connect.own() / per(COUNT),
        5.0,
        "7",
        HOW,
    );
    report.told("  shared waits", connect.waits() / per(COUNT), "strace");
    let close = (closed.own() - connected.own()) / per(COUNT);
    report.bounded("calls to close a connection", close, 1.0, "2", HOW);
    Ok(())
}

/// What sending and receiving 64 datagrams takes. The call that finds a socket empty, once it is,
/// is not among them: here the next 64 come before.
fn datagrams(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let addr = peer::sink()?;
    let none = scenario(programs, "datagrams", 0, addr)?;
    let all = scenario(programs, "datagrams", COUNT, addr)?;
    let calls = &all - &none;
    let how = "strace, 100 times 64 datagrams";
    for (name, names) in [
        (
            "calls to send 64 datagrams",
            ["sendmmsg", "sendmsg", "sendto"],
        ),
        (
            "calls to receive 64 datagrams",
            ["recvmmsg", "recvmsg", "recvfrom"],
        ),
    ] {
        report.bounded(name, calls.of(&names) / per(COUNT), 1.0, "1", how);
    }
    Ok(())
}

/// Arming and re-arming.
fn timers(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let addr = peer::sink()?;
    for (name, scene, theirs) in [
        ("calls to arm a timer", "timers", "2"),
        ("calls to arm a timeout again", "timeouts", "0"),
    ] {
        let none = scenario(programs, scene, 0, addr)?;
        let all = scenario(programs, scene, COUNT, addr)?;
        let each = (all.own() - none.own()) / per(COUNT);
        report.bounded(name, each, 0.0, theirs, HOW);
    }
    Ok(())
}

/// Loops that have nothing to do: one that no timer is to wake, and one that waits for an hour.
fn idle(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let mut trace = Trace::start(&programs.plain.join("plain_echo"), "idle", &[])?;
    let addr = peer::printed_addr(&mut trace.child)?;
    let mut clients = Clients::connect(addr, COUNT)?;
    clients.echo(1)?;
    let quiet = calls_meanwhile(&trace)?;
    let name = "calls of an idle loop, waits included";
    report.bounded(
        name,
        quiet,
        0.0,
        "2 per 4 s",
        "strace, 3 s, 100 connections",
    );
    let arguments = ["idle".to_owned(), "1".to_owned(), peer::sink()?.to_string()];
    let trace = Trace::start(&programs.plain.join("scenario"), "idle", &arguments)?;
    let timed = calls_meanwhile(&trace)?;
    report.told(
        "  the same with a timeout and a timer in an hour",
        timed,
        "strace, 3 s",
    );
    Ok(())
}

/// All calls in a while, waits included.
fn calls_meanwhile(trace: &Trace) -> io::Result<f64> {
    let before = trace.settled()?;
    thread::sleep(IDLE);
    let calls = &trace.settled()? - &before;
    Ok(calls.own() + calls.waits() + calls.probes())
}

/// Runs one scenario to its end.
fn scenario(
    programs: &Programs,
    scene: &str,
    count: usize,
    addr: SocketAddr,
) -> io::Result<Counts> {
    let arguments = [scene.to_owned(), count.to_string(), addr.to_string()];
    let figure = format!("{scene}-{count}");
    Trace::start(&programs.plain.join("scenario"), &figure, &arguments)?.finish()
}

fn per(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
