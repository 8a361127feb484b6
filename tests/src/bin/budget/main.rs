//! Measures what this library costs and holds it against its bounds.
//!
//! `cargo run --release -p usockets-tests --bin budget` builds the programs it measures, runs them
//! under `strace` and `valgrind`, and prints a table. The exit code is 1 when a figure is over its
//! bound, and 2 when one could not be measured although its tool is there.

mod allocations;
mod calls;
mod elf;
mod footprint;
mod instructions;
mod peer;
mod programs;
mod proofs;
mod report;
mod trace;

use std::io;
use std::process::ExitCode;

use crate::report::Report;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let mut report = Report::default();
    match measure(&mut report) {
        Ok(()) => report.print(),
        Err(error) => {
            let _ = report.print();
            eprintln!("budget: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(report: &mut Report) -> io::Result<()> {
    let programs = programs::build()?;
    calls::measure(report, &programs)?;
    instructions::measure(report, &programs)?;
    allocations::measure(report)?;
    footprint::measure(report, &programs)?;
    proofs::measure(report)
}
