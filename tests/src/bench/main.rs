//! Measures this library's servers against the same servers on its peers.
//!
//! `cargo run --release -p usockets-tests --bin bench -- [--quick] [--seconds N] [--rounds N]
//! [--json FILE] [--svg FILE]`; the last run that was kept is in `tests/bench.json` and drawn in
//! `tests/bench.svg`.
//!
//! Everything runs on this machine, over loopback: one server at a time, alone on one processor,
//! and the load on another. The servers are programs of their own (`tests/peers`), built when
//! this starts. Each round measures every server once per workload, in another order each time,
//! so that what else goes on hits all of them alike; the figures are medians over the rounds.
//! Loopback moves no data through hardware: most of a request is the kernel's work, the same for
//! every library. What a library decides is the rest.

mod arguments;
mod chart;
mod churn;
mod client;
mod json;
mod machine;
mod peers;
mod process;
mod results;
mod table;
mod workloads;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use usockets_tests::limits::raise_descriptors;

use arguments::Arguments;
use machine::Machine;
use peers::Peers;
use process::{Process, Processors};
use results::{Group, Metric};
use workloads::{Variant, Workload};

/// Why the measurement could not go on.
type Failure = Box<dyn Error>;

/// Descriptors that a process needs besides its connections.
const DESCRIPTORS: u64 = 64;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut peers = Peers::build()?;
    let versions = std::mem::take(&mut peers.versions);
    let machine = Machine::look(arguments.rounds(), arguments.window(), versions);
    let plan = Plan::new(arguments, peers)?;
    let groups = plan.measure(arguments.rounds())?;
    table::print(&groups, &machine);
    if let Some(file) = &arguments.json {
        std::fs::write(file, json::document(&groups, &machine))?;
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, chart::draw(&groups, &machine))?;
    }
    Ok(())
}

/// What is to be measured.
struct Plan {
    peers: Peers,
    processors: Processors,
    window: Duration,
    workloads: Vec<(Workload, Vec<Variant>)>,
}

impl Plan {
    fn new(arguments: &Arguments, peers: Peers) -> Result<Self, Failure> {
        let connections_max = raise_limit()?;
        let mut workloads = Vec::new();
        for workload in workloads::ALL {
            let only = arguments.only.as_deref().unwrap_or("");
            if !workload.name.contains(only) {
                continue;
            }
            if workload.connections > connections_max {
                let name = workload.name;
                eprintln!("{name}: left out; `ulimit -Hn` allows {connections_max} connections");
                continue;
            }
            let libraries = peers.libraries().iter();
            let variants = libraries.flat_map(|library| workload.variants(*library));
            workloads.push((workload, variants.collect()));
        }
        Ok(Self {
            peers,
            processors: Processors::take()?,
            window: arguments.window(),
            workloads,
        })
    }

    fn measure(&self, rounds: u32) -> Result<Vec<Group>, Failure> {
        let mut groups: Vec<_> = self.workloads.iter().map(group).collect();
        let progress = self.progress(rounds)?;
        for round in 0..rounds {
            if progress.is_hidden() {
                eprintln!("round {} of {rounds}", round + 1);
            }
            for ((workload, variants), group) in self.workloads.iter().zip(&mut groups) {
                let mut order = variants.clone();
                let turn = usize::try_from(round)? % order.len().max(1);
                order.rotate_left(turn);
                for variant in order {
                    progress.set_message(format!("{}: {}", workload.name, variant.label));
                    let sample = workload.measure(&mut self.start(variant)?, self.window);
                    group.add(
                        variant.label,
                        sample.map_err(|error| told(variant, &*error))?,
                    );
                    progress.inc(1);
                }
            }
        }
        for ((workload, variants), group) in self.workloads.iter().zip(&mut groups) {
            for variant in variants.iter().filter(|_| workload.has_calls()) {
                progress.set_message(format!("{}: {}, traced", workload.name, variant.label));
                let counted = workload.count_calls(&mut self.start(*variant)?, self.window);
                match counted.map_err(|error| told(*variant, &*error))? {
                    Some(calls) => group.add(variant.label, vec![(Metric::Calls, calls)]),
                    None => progress.suspend(|| {
                        eprintln!("{}: no system calls, `strace` cannot trace", variant.label);
                    }),
                }
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        Ok(groups)
    }

    fn start(&self, variant: Variant) -> Result<Process, Failure> {
        let program = self.peers.program(variant.library);
        Process::start(self.processors, &program, variant.role)
    }

    fn progress(&self, rounds: u32) -> Result<ProgressBar, Failure> {
        let mut steps = 0;
        for (workload, variants) in &self.workloads {
            let passes = u64::from(rounds) + u64::from(workload.has_calls());
            steps += passes * u64::try_from(variants.len())?;
        }
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}")?;
        Ok(ProgressBar::new(steps).with_style(style))
    }
}

fn group((workload, variants): &(Workload, Vec<Variant>)) -> Group {
    let labels = variants.iter().map(|variant| variant.label).collect();
    Group::new(workload.name, workload.unit, labels)
}

fn told(variant: Variant, error: &dyn Error) -> Failure {
    format!("{}, {}: {error}", variant.label, variant.role).into()
}

/// Takes all descriptors that this process may have, which servers inherit; returns for how many
/// connections they are enough.
fn raise_limit() -> Result<usize, Failure> {
    let all = raise_descriptors()?;
    Ok(usize::try_from(all.saturating_sub(DESCRIPTORS))?)
}
