//! What a run was, and how it failed.

use std::fmt;
use std::time::Duration;

use crate::Faults;
use crate::chart::line_in_words;
use crate::script::Step;
use crate::trial::Outcome;

/// Everything that decides one run.
#[derive(Clone, Debug)]
pub struct Case {
    /// Decides what the peers say and all that the network leaves to chance.
    pub seed: u64,
    /// How rough the network is.
    pub faults: Faults,
    /// What the peers do, in order.
    pub steps: Vec<Step>,
    /// The network's first random draws, for fuzzers.
    pub bytes: Vec<u8>,
}

/// What was wrong with a run.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Wrong {
    /// A panic, in the handler or the core.
    Panicked(String),
    /// Turn after turn without a byte, a connection, or time that passes.
    Spins,
    /// A conversation of this peer is not as it wants.
    Talk {
        /// Which connection.
        line: usize,
        /// Which of the driver's peers.
        peer: usize,
        /// What is wrong.
        what: String,
    },
    /// Bytes that a peer has for the handler are never taken.
    NeverRead {
        /// Which connection.
        line: usize,
        /// How many.
        bytes: usize,
    },
    /// The peer has ended, and the handler keeps the connection.
    KeepsOpen {
        /// Which connection.
        line: usize,
    },
    /// The handler is not as the driver's `inspect` wants it.
    Inspected(String),
    /// Connections of the handler are open whose peers are all gone.
    Leaked {
        /// How many.
        connections: u32,
    },
    /// The loop failed.
    Poll(usockets::Error),
    /// Two runs of the same case differ: the handler depends on something outside.
    Differs,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(what) => write!(f, "panicked: {what}"),
            Self::Spins => f.write_str("the handler spins: nothing comes of its turns"),
            Self::Talk { line, peer, what } => write!(f, "line {line}, peer {peer}: {what}"),
            Self::NeverRead { line, bytes } => {
                write!(f, "line {line}: {bytes} bytes are never read")
            }
            Self::KeepsOpen { line } => {
                write!(f, "line {line}: still open although its peer has ended")
            }
            Self::Inspected(what) => f.write_str(what),
            Self::Leaked { connections } => {
                write!(
                    f,
                    "{connections} connections are open although all peers are gone"
                )
            }
            Self::Poll(error) => write!(f, "the loop failed: {error}"),
            Self::Differs => f.write_str("two runs of the same seed differ"),
        }
    }
}

/// A seed that fails, made small.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The seed's own case.
    pub original: Case,
    /// The shortest case found that fails alike.
    pub case: Case,
    /// What is wrong in it.
    pub wrong: Wrong,
    /// What happened in it, a line each.
    pub trace: Vec<String>,
}

impl Failure {
    /// Returns the seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.original.seed
    }

    /// Returns a page of HTML that shows the failure: what is wrong, the shortest script, and
    /// everything that happens in it as a [`message_chart`](crate::message_chart).
    #[must_use]
    pub fn page(&self) -> String {
        let heading = format!("seed {} fails", self.seed());
        let text = format!("{self}\n\nHost 0 runs the handler, host 1 plays the peers.");
        crate::chart_page(&heading, &text, &self.trace)
    }
}

/// Lines of a trace that are shown.
const TRACE_MAX: usize = 40;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, wrong) = (self.seed(), &self.wrong);
        writeln!(f, "seed {seed} fails: {wrong}")?;
        let (few, many) = (self.case.steps.len(), self.original.steps.len());
        writeln!(f, "the shortest script, {few} of {many} steps:")?;
        for step in &self.case.steps {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "on a network with {}", self.case.faults)?;
        let from = self.trace.len().saturating_sub(TRACE_MAX);
        writeln!(f, "the last of {} events:", self.trace.len())?;
        for line in &self.trace[from..] {
            writeln!(f, "  {}", line_in_words(line))?;
        }
        write!(f, "again: SEED={seed}")
    }
}

impl std::error::Error for Failure {}

/// What seeds that passed did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Seeds that passed, each twice.
    pub seeds: u64,
    /// Connections that peers opened.
    pub opened: u64,
    /// Bytes that peers handed over.
    pub said: u64,
    /// Bytes that peers received.
    pub heard: u64,
    /// Virtual time of all runs together.
    pub time: Duration,
}

impl Report {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.opened += outcome.opened;
        self.said += outcome.said;
        self.heard += outcome.heard;
        self.time += outcome.time;
    }
}
