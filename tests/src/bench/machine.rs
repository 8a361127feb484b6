//! Where and with what the figures were taken.

use std::fmt;
use std::fs::read_to_string;
use std::time::Duration;

/// Where and with what the figures were taken.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The processor's name for itself.
    pub(crate) processor: String,
    /// How many of them there are.
    pub(crate) processors: usize,
    /// Whether they are a hypervisor's.
    pub(crate) is_virtual: bool,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// How many programs wanted to run when the measurement began: what else went on.
    pub(crate) load: f64,
    /// How often everything was measured.
    pub(crate) rounds: u32,
    /// For how long each time.
    pub(crate) window: Duration,
    /// The libraries' versions.
    pub(crate) versions: Vec<(String, String)>,
}

impl Machine {
    /// Looks around.
    pub(crate) fn look(rounds: u32, window: Duration, versions: Vec<(String, String)>) -> Self {
        let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = processor.and_then(|rest| rest.split_once(": "));
        let load = read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load
            .split_whitespace()
            .next()
            .and_then(|first| first.parse().ok());
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // Of the release, what its makers call it is left out.
        let kernel = kernel
            .trim()
            .split(['-', '+'])
            .next()
            .unwrap_or_default()
            .to_owned();
        Self {
            processor: processor
                .map_or("unknown processor", |(_, name)| name)
                .to_owned(),
            processors: cpu
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            is_virtual: cpu.split_whitespace().any(|word| word == "hypervisor"),
            kernel,
            load: load.unwrap_or(f64::NAN),
            rounds,
            window,
            versions,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_virtual { "vCPU" } else { "CPU" };
        write!(f, "{} × {kind} {}, ", self.processors, self.processor)?;
        write!(f, "Linux {}, load {:.1}, ", self.kernel, self.load)?;
        let seconds = self.window.as_secs_f64();
        write!(f, "{} rounds of {seconds:.2} s;", self.rounds)?;
        for (name, version) in &self.versions {
            write!(f, " {name} {version}")?;
        }
        Ok(())
    }
}
