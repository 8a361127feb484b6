//! Makes a failing case small.

use std::mem::discriminant;
use std::time::Duration;

use usockets::Handler;

use crate::Faults;
use crate::driver::Driver;
use crate::failure::{Case, Failure, Wrong};
use crate::host::Host;
use crate::script::Step;
use crate::trial::{Outcome, Trial};

/// Runs that shrinking may take.
const RUNS_MAX: u32 = 600;

/// Makes a failing case small: the calmest network, then the fewest steps, then the smallest
/// numbers in them, with which it still fails in the same manner.
pub(crate) fn shrink<H: Handler<Host>>(
    driver: &Driver<H>,
    case: &Case,
    outcome: Outcome,
) -> Failure {
    let Some(wrong) = outcome.wrong else {
        return Failure {
            original: case.clone(),
            case: case.clone(),
            wrong: Wrong::Differs,
            trace: Trial::run(driver, case, true).trace,
        };
    };
    let mut search = Search {
        driver,
        best: case.clone(),
        wrong: wrong.clone(),
        runs: 0,
    };
    search.calm();
    search.drop_steps();
    search.shrink_numbers();
    search.calm();
    let last = Trial::run(driver, &search.best, true);
    Failure {
        original: case.clone(),
        case: search.best,
        wrong: last.wrong.unwrap_or(wrong),
        trace: last.trace,
    }
}

struct Search<'d, H: Handler<Host>> {
    driver: &'d Driver<H>,
    best: Case,
    wrong: Wrong,
    runs: u32,
}

impl<H: Handler<Host>> Search<'_, H> {
    /// Keeps `case` if it fails in the same manner; returns true if so.
    fn keep(&mut self, case: Case) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let wrong = Trial::run(self.driver, &case, false).wrong;
        let alike = wrong.is_some_and(|wrong| discriminant(&wrong) == discriminant(&self.wrong));
        if alike {
            self.best = case;
        }
        alike
    }

    /// Takes faults out of the network.
    fn calm(&mut self) {
        for calmer in CALMER {
            let mut case = self.best.clone();
            calmer(&mut case.faults);
            self.keep(case);
        }
    }

    /// Leaves out ever smaller parts of the script until no single step can be left out.
    fn drop_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            let mut dropped = false;
            while from < self.best.steps.len() {
                let mut case = self.best.clone();
                let to = (from + size).min(case.steps.len());
                case.steps.drain(from..to);
                if self.keep(case) {
                    dropped = true;
                } else {
                    from += size;
                }
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !dropped || self.runs >= RUNS_MAX {
                return;
            }
        }
    }

    /// Halves bytes and times.
    fn shrink_numbers(&mut self) {
        for at in 0..self.best.steps.len() {
            while let Some(step) = smaller(self.best.steps[at]) {
                let mut case = self.best.clone();
                case.steps[at] = step;
                if !self.keep(case) {
                    break;
                }
            }
        }
    }
}

fn smaller(step: Step) -> Option<Step> {
    let half = |time: Duration| (time > Duration::from_micros(1)).then_some(time / 2);
    match step {
        Step::Say { line, bytes } if bytes > 1 => Some(Step::Say {
            line,
            bytes: bytes / 2,
        }),
        Step::Wait(time) => half(time).map(Step::Wait),
        Step::Cut(time) => half(time).map(Step::Cut),
        Step::Stall(time) => half(time).map(Step::Stall),
        Step::Jump(time) => half(time).map(Step::Jump),
        _ => None,
    }
}

/// What can be taken out of a network, the most at once first.
const CALMER: [fn(&mut Faults); 15] = [
    |faults| *faults = Faults::none(),
    |faults| *faults = faults.clone().without_harm(),
    |faults| (faults.partial_read, faults.partial_write) = (0, 0),
    |faults| (faults.false_block, faults.undrained) = (0, 0),
    |faults| (faults.spurious, faults.repeated, faults.split) = (0, 0, 0),
    |faults| (faults.late_report, faults.shuffled) = (0, 0),
    |faults| faults.pressure = 0,
    |faults| (faults.level_listeners, faults.batch_max) = (false, 256),
    |faults| (faults.latency_min, faults.latency_max) = (50, 50),
    |faults| faults.send_buffer = 65_536,
    |faults| faults.recv_buffer = 65_536,
    |faults| faults.segment_max = 65_536,
    |faults| faults.reset = 0,
    |faults| (faults.recv_error, faults.send_error, faults.finish_error) = (0, 0, 0),
    |faults| (faults.clock_jump, faults.stall) = (0, 0),
];
