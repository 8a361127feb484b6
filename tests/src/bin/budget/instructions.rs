//! User-space instructions per echo, and per timeout that is over.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::peer::{self, Clients};
use crate::programs::{Programs, installed};
use crate::report::Report;

/// Connections, in lockstep.
const CONNECTIONS: usize = 10;
/// Rounds of the shorter and of the longer run: what they have in common is no echo.
const ROUNDS: [usize; 2] = [200, 1_200];
const HOW: &str = "callgrind, 1,200 rounds less 200, 10 connections";

/// Timeouts that `expiries` has.
const TIMEOUTS: f64 = 1e6;

/// Measures this library's servers and the barest loop there can be, and a million timeouts.
pub fn measure(report: &mut Report, programs: &Programs) -> io::Result<()> {
    if !installed("valgrind") {
        report.skipped("instructions per echo", "valgrind not installed");
        return Ok(());
    }
    measure_echoes(report, programs)?;
    let expiries = programs.valgrind.join("expiries");
    let armed = total(&expiries, &["arm"], "arm", |child| child.wait().map(drop))?;
    let expired = total(&expiries, &["expire"], "expire", |child| {
        child.wait().map(drop)
    })?;
    report.bounded(
        "instructions per timeout that is over",
        (expired - armed) / TIMEOUTS,
        200.0,
        "",
        "callgrind, 1,000,000 armed twice, over within 96 s",
    );
    Ok(())
}

fn measure_echoes(report: &mut Report, programs: &Programs) -> io::Result<()> {
    // Client and server take turns on one processor, so that all of a round is there at each
    // wait, and the figure does not depend on how many processors there are.
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(cpu) = (0..CpuSet::MAX_CPU).rfind(|&cpu| before.is_set(cpu)) {
        one.set(cpu);
    }
    sched_setaffinity(None, &one)?;
    let ours = per_echo(&programs.valgrind.join("plain_echo"));
    let composed = per_echo(&programs.valgrind.join("composed_echo"));
    let bare = per_echo(&programs.valgrind.join("bare_echo"));
    sched_setaffinity(None, &before)?;
    let (ours, composed, bare) = (ours?, composed?, bare?);
    report.bounded("instructions per 64-byte echo", ours, 100.0, "147", HOW);
    let name = "  the same, beside a second protocol that writes";
    report.bounded(name, composed, 100.0, "", HOW);
    report.told("  the same, barest loop on rustix", bare, HOW);
    report.told("  ratio", ours / bare, "same run");
    Ok(())
}

/// The difference of two runs, per echo.
fn per_echo(server: &Path) -> io::Result<f64> {
    let of = |rounds: usize| {
        total(server, &[], &rounds.to_string(), |child| {
            let served = serve(child, rounds);
            peer::end(child);
            served
        })
    };
    let [short, long] = ROUNDS;
    let more = of(long)? - of(short)?;
    let echoes = u32::try_from((long - short) * CONNECTIONS).map_err(io::Error::other)?;
    Ok(more / f64::from(echoes))
}

/// All instructions of one run, named `run`, which is over when `finish` is.
fn total(
    program: &Path,
    arguments: &[&str],
    run: &str,
    finish: impl FnOnce(&mut Child) -> io::Result<()>,
) -> io::Result<f64> {
    let profile = program.with_extension(format!("{run}.callgrind"));
    let mut child = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    finish(&mut child)?;
    let text = fs::read_to_string(&profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let count = totals.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("no totals in {}", profile.display())))
}

fn serve(child: &mut Child, rounds: usize) -> io::Result<()> {
    let addr = peer::printed_addr(child)?;
    Clients::connect(addr, CONNECTIONS)?.echo(rounds)
}
