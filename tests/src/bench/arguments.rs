//! What the caller asks for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measures this library's servers against the same servers on mio, tokio, polling and libuv.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// One short round: shows that everything runs, and measures little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Seconds that each server is measured for in each round.
    #[arg(long, value_name = "N", value_parser = seconds)]
    seconds: Option<f64>,
    /// Rounds, of which every figure is the median.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Only the workloads whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Writes every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws the medians into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

impl Arguments {
    /// How long each server is measured for in each round.
    pub(crate) fn window(&self) -> Duration {
        let usual = if self.quick { 0.2 } else { 1.0 };
        Duration::from_secs_f64(self.seconds.unwrap_or(usual))
    }

    /// How often everything is measured.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.05 to 600".into()),
    }
}
