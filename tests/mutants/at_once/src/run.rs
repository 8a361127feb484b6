//! Runs tests with one mutant on.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tree::Program;

/// Variables of the environment.
pub type Environment = [(&'static str, &'static str)];

/// How many seconds the tests take at most that are run together, one set after the other.
const PARTS: [f64; 4] = [0.2, 2.0, 10.0, f64::INFINITY];

/// How many times as long as it may work a mutant may take by the clock: other programs hold it up.
const HELD_UP: u32 = 5;

/// How a mutant fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Noticed,
    /// Nothing came to an end.
    NoEnd,
    Missed,
    /// No test comes by.
    NotReached,
}

impl Outcome {
    pub fn is_missed(self) -> bool {
        matches!(self, Self::Missed | Self::NotReached)
    }
}

/// The tests of one program, and which of them come by which mutant.
pub struct Tests<'a> {
    program: &'a Program,
    environment: &'a Environment,
    /// Of each test, its name and how long it takes, in seconds.
    seconds: HashMap<String, f64>,
    /// By mutant.
    reached: HashMap<u32, HashSet<String>>,
}

impl<'a> Tests<'a> {
    /// Runs all of a program's tests without a mutant, and notes what they come by. Those that fail
    /// are left out.
    pub fn try_all(
        program: &'a Program,
        environment: &'a Environment,
        skipped: &[&str],
        out: &Path,
    ) -> Self {
        let notes = out.join("reached.txt");
        let _ = fs::remove_file(&notes);
        // Notes take time: how long tests take is told by a run without.
        Self::time_all(program, environment, skipped, Some(&notes));
        let seconds = Self::time_all(program, environment, skipped, None);
        let mut reached: HashMap<u32, HashSet<String>> = HashMap::new();
        for line in fs::read_to_string(&notes).unwrap_or_default().lines() {
            let Some((number, test)) = line.split_once(' ') else {
                continue;
            };
            let number = number.parse().expect("a number");
            let tests = reached.entry(number).or_default();
            if seconds.contains_key(test) {
                tests.insert(test.to_string());
            } else if !test.contains("::") {
                // From a thread that a test began: which one is not told.
                tests.extend(seconds.keys().cloned());
            }
        }
        Tests {
            program,
            environment,
            seconds,
            reached,
        }
    }

    /// Runs all of a program's tests without a mutant. Returns how long each takes that passes, in
    /// seconds.
    fn time_all(
        program: &Program,
        environment: &Environment,
        skipped: &[&str],
        notes: Option<&Path>,
    ) -> HashMap<String, f64> {
        let output = Command::new(&program.path)
            .args(["-Zunstable-options", "--report-time", "--format", "json"])
            .args(skipped.iter().flat_map(|name| ["--skip", *name]))
            .current_dir(&program.folder)
            .envs(notes.map(|notes| ("MUTANTS_REACHED", notes)))
            .envs(environment.iter().copied())
            .output()
            .expect("a program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines();
        let told = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut seconds = HashMap::new();
        for line in told.filter(|line| line["type"] == "test") {
            let name = line["name"].as_str().expect("a name").to_string();
            match line["event"].as_str() {
                Some("ok") => {
                    seconds.insert(name, line["exec_time"].as_f64().unwrap_or(0.0));
                }
                Some("failed") if notes.is_none() => {
                    println!("{name} fails without a mutant, and is left out");
                }
                _ => {}
            }
        }
        seconds
    }

    /// Tells how many tests there are, how many mutants they come by, and what takes longest.
    pub fn summary(&self) -> String {
        let mut slow: Vec<(&String, &f64)> = self.seconds.iter().collect();
        slow.sort_by(|a, b| b.1.total_cmp(a.1));
        let slow: Vec<String> = slow
            .iter()
            .take(8)
            .map(|(name, seconds)| format!("{name} {seconds:.1} s"))
            .collect();
        let (tests, reached) = (self.seconds.len(), self.reached.len());
        format!(
            "{tests} tests come by {reached} mutants; slowest: {}",
            slow.join(", ")
        )
    }

    /// Returns the tests that come by a mutant, in parts: those that are quickly done, and ever
    /// longer ones. So a mutant with which nothing ends costs little more than the first that does
    /// not.
    fn parts(&self, mutant: u32) -> [Vec<&str>; PARTS.len()] {
        let mut names: Vec<&str> = self
            .reached
            .get(&mutant)
            .into_iter()
            .flatten()
            .map(|name| &**name)
            .collect();
        names.sort_by(|a, b| self.seconds[*a].total_cmp(&self.seconds[*b]));
        let mut names = names.into_iter().peekable();
        PARTS.map(|most| {
            let mut sum = 0.0;
            let mut part = Vec::new();
            while let Some(name) = names.next_if(|name| sum + self.seconds[*name] < most) {
                sum += self.seconds[name];
                part.push(name);
            }
            part
        })
    }

    fn run(&self, mutant: u32, names: &[&str]) -> Outcome {
        if names.is_empty() {
            return Outcome::Missed;
        }
        let usual: f64 = names.iter().map(|name| self.seconds[*name]).sum();
        let limit = Duration::from_secs_f64(10.0 + 5.0 * usual);
        let mut child = Command::new(&self.program.path)
            .args([
                "-Zunstable-options",
                "--fail-fast",
                "--test-threads",
                "1",
                "--exact",
            ])
            .args(names)
            .current_dir(&self.program.folder)
            .env("MUTANT", mutant.to_string())
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a program runs");
        match wait(&mut child, limit) {
            None => Outcome::NoEnd,
            Some(true) => Outcome::Missed,
            Some(false) => Outcome::Noticed,
        }
    }
}

/// Returns whether a child succeeds, or `None` if it takes more of a processor, or far longer, and
/// is ended.
fn wait(child: &mut Child, limit: Duration) -> Option<bool> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child's state") {
            return Some(status.success());
        }
        let elapsed = started.elapsed();
        if elapsed > limit && (processor_time(child) > limit || elapsed > limit * HELD_UP) {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns what a child has had of the processors (`proc(5)`: in ticks of 10 ms).
fn processor_time(child: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    let (_, behind_name) = stat.rsplit_once(')').unwrap_or_default();
    let fields = behind_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// Runs what comes by a mutant, the quickest first, until a test fails.
pub fn outcome(all: &[Tests<'_>], mutant: u32) -> Outcome {
    if !all.iter().any(|tests| tests.reached.contains_key(&mutant)) {
        return Outcome::NotReached;
    }
    for part in 0..PARTS.len() {
        for tests in all {
            let outcome = tests.run(mutant, &tests.parts(mutant)[part]);
            if outcome != Outcome::Missed {
                return outcome;
            }
        }
    }
    Outcome::Missed
}
