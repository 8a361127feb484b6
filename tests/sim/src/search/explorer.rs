//! The walk through all states, depth first.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::choices::Choices;

/// Iterations after which a loop of which nothing is asked must be quiet.
const POLLS_MAX: usize = 100;

/// What is searched: a state that can be copied, and all that can happen in it.
pub trait Searched {
    /// Makes this state what `other` is.
    fn copy_from(&mut self, other: &Self);

    /// Does one thing that can happen. What is open, first of all which thing it is, is asked of
    /// the [`Choices`] that all states of the search share. Returns false, and has done nothing, if
    /// nothing can happen any more.
    ///
    /// # Errors
    /// What is wrong. A panic is wrong too.
    fn step(&mut self) -> Result<bool, String>;

    /// Hashes all that influences the future. Two states with one fingerprint must behave alike.
    fn fingerprint(&self, into: &mut Fingerprint);

    /// Brings everything to its end, with calm choices and no further trouble: called, on a copy,
    /// where a step led to nothing new.
    ///
    /// # Errors
    /// What was forgotten.
    fn finish(&mut self) -> Result<(), String>;
}

/// A hasher of 128 bits, so that among a billion states two that differ hash alike with a
/// probability of 10⁻²⁰.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    low: u64,
    high: u64,
}

impl Fingerprint {
    const fn new() -> Self {
        Self {
            low: 0x243f_6a88_85a3_08d3,
            high: 0x1319_8a2e_0370_7344,
        }
    }

    #[inline]
    fn mix(&mut self, value: u64) {
        self.low = folded(self.low ^ value, 0x9e37_79b9_7f4a_7c15).wrapping_add(self.high);
        self.high = folded(self.high.rotate_left(23) ^ value, 0xd6e8_feb8_6659_fd93) ^ self.low;
    }

    fn print(mut self) -> Print {
        self.mix(0xa409_3822_299f_31d0);
        self.mix(0x082e_fa98_ec4e_6c89);
        Print([self.low, self.high])
    }
}

/// A fingerprint that is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Print([u64; 2]);

impl Hash for Print {
    fn hash<S: Hasher>(&self, into: &mut S) {
        // Mixed already, so that half of it is a hash.
        into.write_u64(self.0[0]);
    }
}

/// Multiplies to 128 bits and adds the halves without carry.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a | 1 << 63) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.clone().print().0[0]
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}

/// Takes a fingerprint, which is mixed already, for its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is hashed by a number");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// What a search went through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// Distinct states.
    pub states: u64,
    /// Steps taken between them.
    pub steps: u64,
    /// States brought to their end, as no step led on to another.
    pub ends: u64,
    /// The longest way, in steps.
    pub depth: usize,
    /// States at the greatest depth that were not searched on from. With none, nothing can happen
    /// that was not seen: the search is whole.
    pub frontier: u64,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} states, {} steps, {} ends, depth {}, frontier {}",
            self.states, self.steps, self.ends, self.depth, self.frontier
        )
    }
}

/// The choices of each step.
pub type Script = Vec<Vec<(u8, u8)>>;

/// A failure, by the shortest way to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// What is wrong.
    pub what: String,
    /// The way there, for [`Explorer::replay`].
    pub script: Script,
    /// What happens on it, a line each.
    pub trace: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after {} steps:", self.what, self.script.len())?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "script: {:?}", self.script)
    }
}

/// Searches all that can happen from a first state, depth first.
///
/// It keeps one state for each step of the way and a fingerprint of each state that it has seen.
#[derive(Debug)]
pub struct Explorer<'a, W> {
    /// The states on the way; the first is where each search begins.
    way: &'a mut [W],
    choices: Choices,
    coverage: Coverage,
    /// Among how many distinct states to stop.
    states_max: u64,
}

/// What to do with a state that a step led to.
enum Visit {
    /// Nothing: it has been seen.
    Pass,
    /// It is as deep as the walk goes: only bring it to its end.
    End,
    /// Walk on from it.
    Enter,
}

/// How a walk ended, if something is wrong.
type Wrong = (String, Script);

impl<'a, W: Searched> Explorer<'a, W> {
    /// Searches from the first state of `way`, at most as deep as it is long. The others are
    /// memory. `choices` are those that the states ask.
    ///
    /// # Panics
    /// There are fewer than four states.
    #[must_use]
    pub fn new(way: &'a mut [W], choices: &Choices) -> Self {
        assert!(way.len() > 3, "a search has a way");
        Self {
            way,
            choices: choices.clone(),
            coverage: Coverage::default(),
            states_max: u64::MAX,
        }
    }

    /// Stops at this many states, which leaves a frontier.
    #[must_use]
    pub const fn at_most(mut self, states: u64) -> Self {
        self.states_max = states;
        self
    }

    /// As [`Self::run`], and stops at this many states.
    pub(super) fn run_at_most(&mut self, states: u64) -> Result<Coverage, Box<Found>> {
        self.states_max = states;
        self.run()
    }

    /// Searches. Returns what was gone through, or a failure by one of its shortest scripts.
    ///
    /// # Errors
    /// Something is wrong in a state, or on the way to it.
    pub fn run(&mut self) -> Result<Coverage, Box<Found>> {
        let Err((what, script)) = self.walk_all() else {
            return Ok(self.coverage);
        };
        // Deeper and deeper, so that what is found first has the fewest steps.
        let shortest = (1..=script.len()).find_map(|depth| self.walk_to(depth).err());
        let (what, script) = shortest.unwrap_or((what, script));
        let (_, trace) = self.replay(&script);
        Err(Box::new(Found {
            what,
            script,
            trace,
        }))
    }

    /// Searches to each depth in turn, up to `depth_max`, until something is wrong: the fewest
    /// steps that lead to it, and nothing else. `None` if nothing is.
    pub fn find(&mut self, depth_max: usize) -> Option<Box<Found>> {
        let most = depth_max.min(self.way.len() - 3);
        let (what, script) = (1..=most).find_map(|depth| self.walk_to(depth).err())?;
        let (_, trace) = self.replay(&script);
        Some(Box::new(Found {
            what,
            script,
            trace,
        }))
    }

    /// Takes the steps of a script again. Returns what was wrong, if anything, and what happened.
    pub fn replay(&mut self, script: &Script) -> (Option<String>, Vec<String>) {
        self.choices.start_trace();
        let (first, rest) = self.way.split_at_mut(1);
        rest[0].copy_from(&first[0]);
        let mut wrong = None;
        for (number, picks) in script.iter().enumerate() {
            self.choices.note(|| format!("step {}", number + 1));
            wrong = match attempt(&mut rest[0], &self.choices, picks) {
                Ok(true) => None,
                Ok(false) => break,
                Err(what) => Some(what),
            };
            if wrong.is_some() {
                break;
            }
        }
        if wrong.is_none() {
            self.choices.note(|| "the end".to_owned());
            self.choices.begin();
            wrong = guarded(|| rest[0].finish()).err();
        }
        (wrong, self.choices.take_trace())
    }

    /// Walks through all states, each once.
    fn walk_all(&mut self) -> Result<(), Wrong> {
        let mut seen = HashSet::<Print, BuildHasherDefault<AsItIs>>::default();
        seen.insert(print(&self.way[0]));
        self.coverage = Coverage {
            states: 1,
            ..Coverage::default()
        };
        let (last, states_max) = (self.way.len() - 3, self.states_max);
        self.walk(|coverage, print, depth| {
            if !seen.insert(print) {
                return Visit::Pass;
            }
            coverage.states += 1;
            if depth < last && coverage.states < states_max {
                return Visit::Enter;
            }
            coverage.frontier += 1;
            Visit::End
        })
    }

    /// Walks through all states that a number of steps reaches.
    fn walk_to(&mut self, depth_max: usize) -> Result<(), Wrong> {
        // How many steps were left when a state was walked on from.
        let mut seen = HashMap::<Print, usize, BuildHasherDefault<AsItIs>>::default();
        let coverage = self.coverage;
        let result = self.walk(|_, print, depth| {
            let left = depth_max - depth + 1;
            let before = seen.entry(print).or_insert(0);
            if left <= *before {
                return Visit::Pass;
            }
            *before = left;
            if left > 1 { Visit::Enter } else { Visit::End }
        });
        self.coverage = coverage;
        result
    }

    /// Takes every step; `visit` says what is done with the state that it leads to, at which depth.
    fn walk(
        &mut self,
        mut visit: impl FnMut(&mut Coverage, Print, usize) -> Visit,
    ) -> Result<(), Wrong> {
        let mut picks: Script = vec![Vec::new()];
        let mut leads_on = vec![false];
        while let Some(depth) = picks.len().checked_sub(1) {
            let (before, after) = self.way.split_at_mut(depth + 1);
            let (from, to) = (&before[depth], &mut after[0]);
            to.copy_from(from);
            let stepped = attempt(to, &self.choices, &picks[depth]);
            picks[depth] = self.choices.made();
            let has_more = match stepped {
                Err(what) => return Err((what, picks)),
                Ok(stepped) => stepped,
            };
            if has_more {
                self.coverage.steps += 1;
                let print = print(to);
                match visit(&mut self.coverage, print, depth + 1) {
                    Visit::Pass => {}
                    Visit::End => {
                        leads_on[depth] = true;
                        self.end(depth + 1).map_err(|what| (what, picks.clone()))?;
                    }
                    Visit::Enter => {
                        leads_on[depth] = true;
                        self.coverage.depth = self.coverage.depth.max(depth + 1);
                        picks.push(Vec::new());
                        leads_on.push(false);
                        continue;
                    }
                }
            }
            // Back to where something is left to be tried.
            while let Some(last) = picks.last_mut() {
                if Choices::advance(last) {
                    break;
                }
                let depth = picks.len() - 1;
                picks.pop();
                if leads_on.pop() == Some(false) {
                    self.end(depth).map_err(|what| (what, picks.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Brings the state at `depth` to its end.
    fn end(&mut self, depth: usize) -> Result<(), String> {
        self.coverage.ends += 1;
        let (before, after) = self.way.split_at_mut(depth + 1);
        let (from, to) = (&before[depth], &mut after[0]);
        to.copy_from(from);
        self.choices.begin();
        guarded(|| to.finish())
    }
}

fn print<W: Searched>(world: &W) -> Print {
    let mut print = Fingerprint::new();
    world.fingerprint(&mut print);
    print.print()
}

fn attempt<W: Searched>(
    world: &mut W,
    choices: &Choices,
    picks: &[(u8, u8)],
) -> Result<bool, String> {
    choices.begin_with(picks);
    guarded(|| world.step())
}

/// Runs what may panic; returns the panic's words as what is wrong.
fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "a panic".to_owned()))
    })
}

/// Runs a loop of which nothing is asked until it is quiet: `poll` runs it once, checks what must
/// hold, and returns true if it is.
///
/// # Errors
/// What `poll` finds, or that the loop never is.
pub fn calm_down(mut poll: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    for _ in 0..POLLS_MAX {
        if poll()? {
            return Ok(());
        }
    }
    Err("the loop spins".to_owned())
}
