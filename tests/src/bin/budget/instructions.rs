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
    let text = fs::read_to_string(&profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let count = totals.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("no totals in {}", profile.display())))
}
