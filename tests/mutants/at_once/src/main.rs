//! Whether tests notice changes in one place of the code.
//!
//! `cargo mutants` builds the tests anew for each change. Here all changes are compiled at once,
//! each under a switch, and a mutant takes no longer than the tests that come by it. The changes
//! are those of `cargo mutants`, but for what is reckoned at compile time.

mod equivalent;
mod mutate;
mod record;
mod replace;
mod run;
mod subject;
mod tree;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{env, fs, process, thread};

use equivalent::Equivalent;
use record::Record;
use run::{Environment, Outcome, Tests};
use subject::{SUBJECTS, Subject};
use tree::{Listed, Program, Tree};

const USAGE: &str = "usockets-mutants-at-once core|tcp|tls [COUNT|all] [SEED]";

fn main() {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(subject) = SUBJECTS.iter().find(|one| one.name == name) else {
        eprintln!("{USAGE}");
        process::exit(2);
    };
    let count = arguments.next().unwrap_or("all".to_string());
    let seed = arguments
        .next()
        .map_or(u64::from(process::id()), |text| number(&text));
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let from = from.canonicalize().expect("the tree");
    let target = env::var("CARGO_TARGET_DIR").map_or(from.join("target"), Into::into);
    let out = target.join("mutants").join(subject.name);
    fs::create_dir_all(&out).expect("a folder");

    let equivalent = from.join("tests/mutants/equivalent.txt");
    let equivalent = Equivalent::read(&equivalent, subject);
    // What is not of the tree is built for all subjects.
    let mut tree = Tree::copy(subject, &from, &out, &target.join("mutants/target"));
    let programs = tree.build();
    let mut drawn: Vec<Listed<'_>> = tree.mutants().collect();
    equivalent.check(&drawn);
    println!(
        "seed {seed}: {count} of {} mutants that compile",
        drawn.len()
    );
    // So that what is done is a sample, should the rest never be.
    shuffle(&mut drawn, seed);
    if count != "all" {
        drawn.truncate(usize::try_from(number(&count)).expect("a number"));
    }
    let is_sample = count != "all";
    let record = Record::open(&out, is_sample, env::var_os("CONTINUE").is_some());
    let mut outcomes: Vec<Tried<'_>> = Vec::new();
    drawn.retain(|one| {
        let before = record.before(one);
        outcomes.extend(before.map(|outcome| (*one, outcome)));
        before.is_none()
    });
    let look_by = |skipped: &[&str], environment, drawn: Vec<_>| {
        look(&programs, skipped, environment, &drawn, &out, &record)
    };
    let without = env::var("WITHOUT").unwrap_or_default();
    let without: Vec<&str> = without.split_whitespace().collect();
    let without = [subject.skipped, &without].concat();
    let skipped = [&without, subject.slow].concat();
    let mut missed = look_by(&skipped, subject.short, drawn);
    if !subject.short.is_empty() && env::var_os("SHORT").is_none() {
        outcomes.extend(missed.extract_if(.., |(_, outcome)| !outcome.is_missed()));
        let again = missed.iter().map(|(one, _)| *one).collect();
        missed = look_by(&without, &[], again);
    }
    outcomes.extend(missed);
    if !report(subject, &equivalent, &outcomes, is_sample, &out) {
        process::exit(1);
    }
}

/// A mutant, and what became of it.
type Tried<'a> = (Listed<'a>, Outcome);

/// Runs the tests in such an environment, without a mutant and with each.
fn look<'a>(
    programs: &[Program],
    skipped: &[&str],
    environment: &Environment,
    drawn: &[Listed<'a>],
    out: &Path,
    record: &Record,
) -> Vec<Tried<'a>> {
    let try_all = |program| Tests::try_all(program, environment, skipped, out);
    let all: Vec<Tests<'_>> = programs.iter().map(try_all).collect();
    println!("{} with {environment:?}:", drawn.len());
    for (tests, program) in all.iter().zip(programs) {
        let name = program.path.file_name().unwrap_or_default();
        println!("{}: {}", name.to_string_lossy(), tests.summary());
    }
    try_each(&all, drawn, record)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        eprintln!("{text} is no number\n{USAGE}");
        process::exit(2);
    })
}

/// Puts mutants into an order that the seed decides.
fn shuffle(drawn: &mut [Listed<'_>], seed: u64) {
    // SplitMix64.
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for last in (1..drawn.len()).rev() {
        let other = usize::try_from(random() % (last as u64 + 1)).expect("an index");
        drawn.swap(last, other);
    }
}

/// Tries each, as many at a time as there are processors.
fn try_each<'a>(all: &[Tests<'_>], drawn: &[Listed<'a>], record: &Record) -> Vec<Tried<'a>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = drawn.get(next.fetch_add(1, Relaxed)) {
                    let outcome = run::outcome(all, mutant.number);
                    record.add(mutant, outcome);
                    let mut outcomes = outcomes.lock().expect("a lock");
                    outcomes.push((*mutant, outcome));
                    if outcome.is_missed() {
                        println!("{outcome:?}: {}", mutant.name);
                    }
                    if outcomes.len().is_multiple_of(100) {
                        let missed = outcomes.iter().filter(|(_, outcome)| outcome.is_missed());
                        let (missed, tried) = (missed.count(), outcomes.len());
                        println!("… {missed} missed of {tried}, {} in all", drawn.len());
                    }
                }
            });
        }
    });
    outcomes.into_inner().expect("a lock")
}

/// Returns the interval in which a share of so many tried lies (Wilson), with so many standard
/// deviations to each side.
fn interval(share: f64, all: f64, deviations: f64) -> [f64; 2] {
    let squared = deviations * deviations;
    let below = 1.0 + squared / all;
    let middle = (share + squared / (2.0 * all)) / below;
    let spread = (share * (1.0 - share) / all + squared / (4.0 * all * all)).sqrt();
    let half = deviations * spread / below;
    [middle - half, middle + half]
}

/// Tells how many were noticed, of those that are not equivalent. Returns false if fewer are than
/// are wanted, or one that is said to be equivalent was. A sample is held to what is known of the
/// whole, by the interval of 99.9 %.
fn report(
    subject: &Subject,
    equivalent: &Equivalent,
    outcomes: &[Tried<'_>],
    is_sample: bool,
    out: &Path,
) -> bool {
    let is_equivalent = |(mutant, _): &&Tried<'_>| equivalent.has(mutant);
    let (same, others): (Vec<_>, Vec<_>) = outcomes.iter().partition(is_equivalent);
    let different: Vec<_> = same
        .iter()
        .filter(|(_, outcome)| !outcome.is_missed())
        .collect();
    for (mutant, outcome) in &different {
        println!("said to be equivalent, but {outcome:?}: {}", mutant.name);
    }
    let of = |which| {
        others
            .iter()
            .filter(|(_, outcome)| *outcome == which)
            .count()
    };
    let mut missed: Vec<String> = others
        .iter()
        .filter(|(_, outcome)| outcome.is_missed())
        .map(|(mutant, outcome)| format!("{outcome:?} {}\n", mutant.name))
        .collect();
    missed.sort();
    fs::write(out.join("missed.txt"), missed.concat()).expect("the list is written");
    let [noticed, no_end] = [of(Outcome::Noticed), of(Outcome::NoEnd)];
    let [survived, not_reached] = [of(Outcome::Missed), of(Outcome::NotReached)];
    let (name, tried) = (subject.name, others.len());
    println!("{name}: {tried} tried, {noticed} noticed, {no_end} by no end,");
    println!("{survived} missed, {not_reached} reached by no test,");
    println!("{} equivalent besides:", same.len());
    if tried == 0 {
        return different.is_empty();
    }
    let all = tried as f64;
    let share = (noticed + no_end) as f64 / all;
    let [low, high] = interval(share, all, 1.96);
    let [share_of_100, low, high_of_100] = [share, low, high].map(|part| 100.0 * part);
    let wanted = subject.wanted;
    println!("{share_of_100:.1} % ({low:.1} to {high_of_100:.1}), {wanted} wanted");
    let is_enough = if is_sample {
        let [_, high] = interval(share, all, 3.29);
        100.0 * high >= subject.known
    } else {
        share_of_100 >= wanted
    };
    is_enough && different.is_empty()
}
