//! What to play, and how to make a failure small.

use crate::sim::Faults;

use super::world::run;

/// One run: everything that decides it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Decides all that is random.
    pub seed: u64,
    /// Steps before everything is brought to its end.
    pub steps: u64,
    /// How rough the network is.
    pub faults: Faults,
    /// Whether the hosts may hold the ends of streams, as a layer does.
    pub holds: bool,
    /// The first random draws, for fuzzers: the network's, then the programs'.
    pub bytes: Vec<u8>,
}

/// A failure: the case, made small, and what was wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The smallest case found that still fails.
    pub case: Case,
    /// What is wrong in it.
    pub what: String,
    /// What happened until then, a line each.
    pub trace: Vec<String>,
}

impl Case {
    /// Makes the case of a seed. Every fourth network is smooth or loses nothing.
    #[must_use]
    pub fn of(seed: u64, steps: u64) -> Self {
        let faults = match seed % 8 {
            0 => Faults::none(),
            1 => Faults::rough(seed),
            _ => Faults::hostile(seed),
        };
        Self {
            seed,
            steps,
            faults,
            holds: seed % 3 == 1,
            bytes: Vec::new(),
        }
    }

    /// Makes the case of a fuzzer's input.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let (head, bytes) = bytes.split_at(bytes.len().min(2));
        let seed = head.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self {
            bytes: bytes.to_vec(),
            ..Self::of(seed, 60 + bytes.len() as u64 / 4)
        }
    }
}

/// Makes a failing case small: the fewest steps, then the fewest kinds of fault, that still fail.
/// `None` if the case does not fail.
#[must_use]
pub fn minimise(case: &Case) -> Option<Failure> {
    run(case, false).wrong?;
    let mut best = case.clone();
    let (mut low, mut high) = (0, best.steps);
    while low < high {
        let middle = low + (high - low) / 2;
        let shorter = Case {
            steps: middle,
            ..best.clone()
        };
        if run(&shorter, false).wrong.is_some() {
            high = middle;
            best = shorter;
        } else {
            low = middle + 1;
        }
    }
    for quiet in QUIETER {
        let mut calmer = best.clone();
        quiet(&mut calmer.faults);
        if run(&calmer, false).wrong.is_some() {
            best = calmer;
        }
    }
    let outcome = run(&best, true);
    Some(Failure {
        case: best,
        what: outcome.wrong?,
        trace: outcome.trace,
    })
}

/// What can be taken out of a network one by one.
const QUIETER: [fn(&mut Faults); 20] = [
    |faults| *faults = faults.clone().without_harm(),
    |faults| *faults = Faults::none(),
    |faults| faults.partial_read = 0,
    |faults| faults.partial_write = 0,
    |faults| faults.false_block = 0,
    |faults| faults.undrained = 0,
    |faults| faults.spurious = 0,
    |faults| faults.repeated = 0,
    |faults| faults.split = 0,
    |faults| faults.late_report = 0,
    |faults| faults.shuffled = 0,
    |faults| faults.pressure = 0,
    |faults| faults.reset = 0,
    |faults| (faults.recv_error, faults.send_error, faults.finish_error) = (0, 0, 0),
    |faults| {
        (
            faults.connect_error,
            faults.connect_hang,
            faults.connect_fail,
        ) = (0, 0, 0)
    },
    |faults| (faults.accept_error, faults.set_accepting_error) = (0, 0),
    |faults| (faults.clock_jump, faults.stall) = (0, 0),
    |faults| faults.listen_error = 0,
    |faults| faults.descriptors = usize::MAX,
    |faults| (faults.latency_min, faults.latency_max) = (50, 50),
];
