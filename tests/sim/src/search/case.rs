//! A configuration, and searching it.

use super::cases::CASES;
use super::choices::Choices;
use super::explorer::{Coverage, Explorer, Found, Script};
use super::rules::Rules;
use super::world::{Memory, World};

/// The most steps of a way.
const DEPTH_MAX: usize = 600;

/// A configuration that is searched whole: a loop with a tiny pool, its program, its peers, and
/// what may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether a layer above the platform holds output.
    pub(super) holds: bool,
    pub(super) small: Rules,
    pub(super) large: Rules,
    pub(super) is_large: bool,
}

impl Case {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what the configuration is about, in a sentence.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// Returns the same with more bytes, peers and faults: for hours rather than seconds.
    #[must_use]
    pub const fn large(mut self) -> Self {
        self.is_large = true;
        self
    }

    const fn rules(&self) -> &Rules {
        if self.is_large {
            &self.large
        } else {
            &self.small
        }
    }

    /// Searches through all states.
    ///
    /// # Errors
    /// Something is wrong in one of them.
    pub fn search(&self) -> Result<Coverage, Box<Found>> {
        self.search_at_most(u64::MAX)
    }

    /// Searches through as many states at most.
    ///
    /// # Errors
    /// Something is wrong in one of them.
    pub fn search_at_most(&self, states: u64) -> Result<Coverage, Box<Found>> {
        match self.holds {
            true => explore::<true, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).at_most(states).run()
            }),
            false => explore::<false, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).at_most(states).run()
            }),
        }
    }

    /// Searches to each depth in turn until something is wrong, but no deeper than `depth_max`.
    #[must_use]
    pub fn find(&self, depth_max: usize) -> Option<Box<Found>> {
        match self.holds {
            true => explore::<true, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).find(depth_max)
            }),
            false => explore::<false, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).find(depth_max)
            }),
        }
    }

    /// Takes a script's steps again. Returns what is wrong, if anything, and what happens.
    #[must_use]
    pub fn replay(&self, script: &Script) -> (Option<String>, Vec<String>) {
        match self.holds {
            true => explore::<true, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).replay(script)
            }),
            false => explore::<false, _>(self.rules(), |way, choices| {
                Explorer::new(way, choices).replay(script)
            }),
        }
    }
}

/// Makes the memory of a search, and searches.
fn explore<const HOLDS: bool, T>(
    rules: &Rules,
    search: impl FnOnce(&mut [World<'_, HOLDS>], &Choices) -> T,
) -> T {
    let choices = Choices::default();
    let mut memory: Vec<_> = (0..DEPTH_MAX).map(|_| Memory::new(rules)).collect();
    let worlds = memory.iter_mut();
    let mut way: Vec<_> = worlds
        .map(|memory| World::<HOLDS>::new(*rules, &choices, memory))
        .collect();
    search(&mut way, &choices)
}

/// Returns every configuration.
#[must_use]
pub const fn cases() -> &'static [Case] {
    CASES
}
