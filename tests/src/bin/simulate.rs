//! Plays random programs on simulated networks, seed by seed, against a model.
//!
//! `cargo run --release -p usockets-tests --bin simulate -- --seeds 5000`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use usockets_tests::model::{Case, Failure, minimise, run};
use usockets_tests::sim::chart_page;

/// Plays random programs on simulated networks against a model.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Plays only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps per seed before everything is brought to its end.
    #[arg(long, default_value_t = 1_000)]
    steps: u64,
    /// Prints everything that happens.
    #[arg(long)]
    trace: bool,
    /// Writes a page to this file that shows what happens, as a message sequence chart; with
    /// `--seed`.
    #[arg(long, requires = "seed")]
    chart: Option<PathBuf>,
}

/// Lines of a failure's trace that are printed.
const TRACE_MAX: usize = 60;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.first..arguments.first + arguments.seeds,
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    let style = style.expect("a template without mistakes");
    let bar = ProgressBar::new(seeds.end - seeds.start).with_style(style);
    let start = Instant::now();
    let (mut opened, mut received, mut count) = (0, 0, 0_u32);
    for seed in seeds {
        let case = Case::of(seed, arguments.steps);
        let outcome = run(&case, arguments.trace || arguments.chart.is_some());
        if arguments.trace {
            for line in &outcome.trace {
                println!("{line}");
            }
        }
        if let Some(path) = &arguments.chart {
            let page = chart_page(&format!("seed {seed}"), "", &outcome.trace);
            if let Err(error) = std::fs::write(path, page) {
                println!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
        let again = run(&case, false);
        if outcome.wrong.is_none() && outcome.digest != again.digest {
            bar.abandon();
            println!("seed {seed}: two runs differ");
            return ExitCode::FAILURE;
        }
        if outcome.wrong.is_some() {
            bar.abandon();
            report(&case);
            return ExitCode::FAILURE;
        }
        opened += outcome.opened;
        received += outcome.received;
        count += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let pace = f64::from(count) / minutes;
    println!(
        "{count} seeds passed, each twice: {opened} sockets opened, {received} bytes received"
    );
    println!("{pace:.0} seeds per minute");
    ExitCode::SUCCESS
}

/// Prints a failure as small as it can be made, and how to see it again.
fn report(case: &Case) {
    let Some(Failure {
        case: small,
        what,
        trace,
    }) = minimise(case)
    else {
        return println!("seed {}: failed once, and not again", case.seed);
    };
    let from = trace.len().saturating_sub(TRACE_MAX);
    println!("seed {} fails: {what}", case.seed);
    println!(
        "still fails after {} steps, with {:?}",
        small.steps, small.faults
    );
    println!("the last of {} events:", trace.len());
    for line in &trace[from..] {
        println!("{line}");
    }
    println!(
        "again: cargo run --release -p usockets-tests --bin simulate -- \
         --seed {} --steps {} --trace",
        case.seed, case.steps
    );
}
