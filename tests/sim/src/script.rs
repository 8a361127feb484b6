//! What the peers and the network do, step by step.

use std::fmt;
use std::time::Duration;

use crate::peer::{Manner, Peer};
use crate::rng::Rng;

/// One thing that a peer or the network does. `line` counts the peers' connections from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// A peer connects.
    Open {
        /// The connection, which no step before opened.
        line: usize,
        /// Which of the driver's peers.
        peer: usize,
    },
    /// The peer may say so many more of its bytes.
    Say {
        /// The connection.
        line: usize,
        /// How many.
        bytes: usize,
    },
    /// The peer stops receiving.
    Pause {
        /// The connection.
        line: usize,
    },
    /// The peer receives again.
    Resume {
        /// The connection.
        line: usize,
    },
    /// The peer ends its direction, after what it may say.
    Finish {
        /// The connection.
        line: usize,
    },
    /// The peer resets the connection.
    Reset {
        /// The connection.
        line: usize,
    },
    /// Time passes.
    Wait(Duration),
    /// The link is cut for a while; the steps go on.
    Cut(Duration),
    /// The handler's host stands still for a while; the steps go on.
    Stall(Duration),
    /// The clock of the handler's host jumps forward.
    Jump(Duration),
}

impl Step {
    /// Returns true if the step can break off a conversation that would be whole without.
    pub(crate) const fn disturbs(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Stall(_) | Self::Jump(_))
    }

    /// Returns the number of the connection that the step is about, if it is about one.
    pub(crate) const fn line(&self) -> Option<usize> {
        match *self {
            Self::Open { line, .. }
            | Self::Say { line, .. }
            | Self::Pause { line }
            | Self::Resume { line }
            | Self::Finish { line }
            | Self::Reset { line } => Some(line),
            Self::Wait(_) | Self::Cut(_) | Self::Stall(_) | Self::Jump(_) => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { line, peer } => write!(f, "line {line}: peer {peer} connects"),
            Self::Say { line, bytes } => write!(f, "line {line}: says {bytes} bytes"),
            Self::Pause { line } => write!(f, "line {line}: stops receiving"),
            Self::Resume { line } => write!(f, "line {line}: receives again"),
            Self::Finish { line } => write!(f, "line {line}: ends its direction"),
            Self::Reset { line } => write!(f, "line {line}: resets"),
            Self::Wait(time) => write!(f, "{time:?} pass"),
            Self::Cut(time) => write!(f, "the link is cut for {time:?}"),
            Self::Stall(time) => write!(f, "the host stands still for {time:?}"),
            Self::Jump(time) => write!(f, "the host's clock jumps by {time:?}"),
        }
    }
}

/// Draws the steps of some connections, mixed with one another.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    pub(crate) peers: &'p [Peer],
    /// Most connections.
    pub(crate) lines_max: usize,
    /// Longest wait of a slow peer.
    pub(crate) wait_max: Duration,
    /// Whether the link, the host and its clock take part.
    pub(crate) disturbs: bool,
}

impl Plan<'_> {
    /// Draws all steps.
    pub(crate) fn draw(&self, seed: u64, rng: &mut Rng) -> Vec<Step> {
        if self.peers.is_empty() {
            return Vec::new();
        }
        let count = rng.between(1, self.lines_max.max(1) as u64) as usize;
        let mut lines: Vec<Vec<Step>> = (0..count)
            .map(|line| {
                let peer = rng.index(self.peers.len());
                let mut steps = self.line(seed, line, peer, rng);
                steps.reverse();
                steps
            })
            .collect();
        let mut steps = Vec::new();
        while !lines.is_empty() {
            let at = rng.index(lines.len());
            match lines[at].pop() {
                Some(step) => steps.push(step),
                None => drop(lines.swap_remove(at)),
            }
            if rng.chance(3_000) {
                steps.push(Step::Wait(Duration::from_micros(rng.below(2_000))));
            }
            if self.disturbs && rng.chance(500) {
                steps.push(disturbance(rng));
            }
        }
        steps
    }

    /// Draws what happens on one connection.
    fn line(&self, seed: u64, line: usize, peer: usize, rng: &mut Rng) -> Vec<Step> {
        let total = input(&self.peers[peer], seed, line).len();
        let manner = self.peers[peer].manner;
        let mut steps = vec![Step::Open { line, peer }];
        if manner == Manner::Slow || rng.chance(2_000) {
            steps.push(Step::Pause { line });
        }
        let pieces = rng.between(1, 6) as usize;
        let mut left = total;
        for piece in 0..pieces {
            let bytes = match piece + 1 == pieces {
                true => left,
                false => rng.index(left + 1),
            };
            left -= bytes;
            if bytes > 0 {
                steps.push(Step::Say { line, bytes });
            }
            if manner == Manner::Slow {
                steps.push(Step::Wait(self.wait(rng)));
                steps.push(Step::Resume { line });
                if rng.chance(5_000) {
                    steps.push(Step::Pause { line });
                }
            }
        }
        steps.push(Step::Resume { line });
        match manner {
            Manner::HalfClosing => steps.push(Step::Finish { line }),
            Manner::Silent => steps.push(Step::Wait(self.wait(rng))),
            Manner::Resetting => {
                let at = rng.between(1, steps.len() as u64) as usize;
                steps.insert(at, Step::Reset { line });
            }
            Manner::Slow | Manner::Usual if rng.chance(4_000) => steps.push(Step::Finish { line }),
            Manner::Slow | Manner::Usual => {}
        }
        steps
    }

    fn wait(&self, rng: &mut Rng) -> Duration {
        let most = u64::try_from(self.wait_max.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.below(most.max(1)))
    }
}

fn disturbance(rng: &mut Rng) -> Step {
    let time = Duration::from_micros(rng.below(5_000_000));
    match rng.below(3) {
        0 => Step::Cut(time),
        1 => Step::Stall(time),
        _ => Step::Jump(time * rng.pick(&[1, 10, 1_000])),
    }
}

/// Returns what a peer has to say on a connection, which the seed decides.
pub(crate) fn input(peer: &Peer, seed: u64, line: usize) -> Vec<u8> {
    peer.input(&mut Rng::new(seed ^ crate::rng::mix(line as u64 + 1)))
}
