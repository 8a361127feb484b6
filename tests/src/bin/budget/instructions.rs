//! User-space instructions per echo, per timeout that is over, and of the stack in user space.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use usockets_tests::lockstep::{CONNECTIONS, WITHOUT_CLIENTS};
use usockets_tests::smoltcp::peers::WITHOUT_PEERS;

use crate::programs::{Programs, installed};
use crate::report::Report;

/// Rounds of the shorter and of the longer run: what they have in common is no echo.
const ROUNDS: [usize; 2] = [200, 1_200];
const HOW: &str = "callgrind, 1,200 rounds less 200, 10 connections";

/// What `smoltcp_million costs` does with a connection, and how many it does it with.
const STEPS: [(&str, &str); 4] = [
    (
        "::costs::accept",
        "instructions of an accept, 100 connections silent",
    ),
    (
        "::costs::time_out",
        "instructions of a timeout, 100 connections silent",
    ),
    (
        "::costs::close",
        "instructions of a close, 100 connections silent",
    ),
    (
        "::costs::forget",
        "instructions of TIME-WAIT's end, 100 silent",
    ),
];
const COMING_AND_GOING: f64 = 1_024.0;
const WITH_NAMES: &str = "--compress-strings=no";

/// Timeouts that `expiries` has.
const TIMEOUTS: f64 = 1e6;

/// Measures this library's servers and the barest loop there can be, and a million timeouts.
pub fn measure(report: &mut Report, programs: &Programs) -> io::Result<()> {
    if !installed("valgrind") {
        report.skipped("instructions per echo", "valgrind not installed");
        return Ok(());
    }
    measure_echoes(report, programs)?;
    measure_stack(report, &programs.valgrind.join("smoltcp_bench"))?;
    measure_costs(report, &programs.valgrind.join("smoltcp_million"))?;
    let expiries = programs.valgrind.join("expiries");
    let armed = total(&expiries, &[], "arm")?;
    let expired = total(&expiries, &[], "expire")?;
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
    let ours = per_echo(&programs.valgrind.join("plain_echo"))?;
    let composed = per_echo(&programs.valgrind.join("composed_echo"))?;
    let bare = per_echo(&programs.valgrind.join("bare_echo"))?;
    report.bounded("instructions per 64-byte echo", ours, 100.0, "147", HOW);
    let name = "  the same, beside a second protocol that writes";
    report.bounded(name, composed, 100.0, "", HOW);
    report.told("  the same, barest loop on rustix", bare, HOW);
    report.told("  ratio", ours / bare, "same run");
    Ok(())
}

/// The stack in user space: an echo beside that of smoltcp alone, both without the peer's end, and
/// a poll in vain, at one connection and at many.
fn measure_stack(report: &mut Report, bench: &Path) -> io::Result<()> {
    let echo = |kind: &str| {
        // Six runs of so many.
        let of = |echoes: u32| total(bench, &WITHOUT_PEERS, &format!("{kind}1 {echoes}"));
        Ok::<f64, io::Error>((of(2_200)? - of(200)?) / 12_000.0)
    };
    let how = "callgrind, 13,200 echoes less 1,200, 1 connection";
    let (ours, stock) = (echo("")?, echo("stock ")?);
    report.told("instructions per 64-byte echo of the stack", ours, how);
    let name = "  ratio to smoltcp alone";
    report.bounded(name, ours / stock, 1.0, "", "same run");
    let (ours, stock) = (echo("stamps ")?, echo("stock stamps ")?);
    report.told("  the same, with timestamps", ours, how);
    report.bounded(name, ours / stock, 1.0, "", "same run");
    let idle = |connections: u32| {
        let of = |polls: u32| total(bench, &[], &format!("idle {connections} {polls}"));
        Ok::<f64, io::Error>((of(2_000)? - of(1_000)?) / 1_000.0)
    };
    let one = idle(1)?;
    let how = "callgrind, 2,000 polls less 1,000";
    report.told(
        "instructions of an idle poll of the stack, 1 connection",
        one,
        how,
    );
    let name = "  more at 1,024 connections";
    report.bounded(name, (idle(1_024)? - one).abs(), 0.0, "", how);
    let name = "  more at 65,536 connections";
    report.bounded(name, (idle(65_536)? - one).abs(), 0.0, "", how);
    Ok(())
}

/// What a connection takes of a loop over the stack, beside 100 others that are silent and beside
/// many.
fn measure_costs(report: &mut Report, million: &Path) -> io::Result<()> {
    let how = "callgrind, 64 connections come and go 16 times";
    let options = [&WITHOUT_PEERS[..], &[WITH_NAMES]].concat();
    let of = |count: u32| profile(million, &options, &format!("costs {count}"));
    let (few, many) = (of(100)?, of(65_536)?);
    for (step, name) in STEPS {
        let (few, many) = (inclusive(&few, step)?, inclusive(&many, step)?);
        report.told(name, few / COMING_AND_GOING, how);
        report.bounded("  ratio at 65,536", many / few, 1.02, "", how);
    }
    Ok(())
}

/// The difference of two runs, per echo.
fn per_echo(server: &Path) -> io::Result<f64> {
    let of = |rounds: usize| total(server, &WITHOUT_CLIENTS, &rounds.to_string());
    let [short, long] = ROUNDS;
    let more = of(long)? - of(short)?;
    let echoes = u32::try_from((long - short) * CONNECTIONS).map_err(io::Error::other)?;
    Ok(more / f64::from(echoes))
}

/// The instructions of `program` with the arguments of `run`, by callgrind with `options`.
fn total(program: &Path, options: &[&str], run: &str) -> io::Result<f64> {
    let text = profile(program, options, run)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let count = totals.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("no totals of {}", program.display())))
}

/// The instructions of the function whose name ends so, and of all that it calls, of a profile
/// whose names are not compressed.
fn inclusive(profile: &str, function: &str) -> io::Result<f64> {
    let mut lines = profile.lines();
    let (mut sum, mut is_called) = (0.0, false);
    while let Some(line) = lines.next() {
        if let Some(called) = line.strip_prefix("cfn=") {
            is_called = called.ends_with(function);
        } else if line.starts_with("calls=") && std::mem::take(&mut is_called) {
            let cost = lines.next().and_then(|line| line.split(' ').nth(1));
            sum += cost.and_then(|cost| cost.parse().ok()).unwrap_or(0.0);
        }
    }
    if sum == 0.0 {
        return Err(io::Error::other(format!("no calls of {function}")));
    }
    Ok(sum)
}

/// What callgrind finds of `program` with the arguments of `run`.
fn profile(program: &Path, options: &[&str], run: &str) -> io::Result<String> {
    let profile = program.with_extension(format!("{}.callgrind", run.replace(' ', "_")));
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args(options)
        .arg(program)
        .args(run.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command:?}: {status}")));
    }
    fs::read_to_string(&profile)
}
