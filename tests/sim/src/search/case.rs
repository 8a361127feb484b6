//! A configuration, and searching it.

use super::cases::CASES;
use super::choices::Choices;
use super::explorer::{Coverage, Explorer, Found, Script, Searched};
use super::rules::Rules;
use super::tcp;
use super::world::{Memory, World};

/// The most steps of a way.
const DEPTH_MAX: usize = 600;

/// A configuration that is searched whole: a loop with a tiny pool, its program, its peers, and
/// what may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) what: What,
    pub(super) is_large: bool,
}

/// What is searched, with the rules of the small configuration and of the large one.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A loop.
    Loop([Rules; 2]),
    /// A loop over a layer that holds output.
    Layered([Rules; 2]),
    /// Two connections of the TCP in user space.
    Tcp([tcp::Rules; 2]),
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

    pub(super) const fn of_tcp(
        name: &'static str,
        about: &'static str,
        small: tcp::Rules,
        large: tcp::Rules,
    ) -> Self {
        Self {
            name,
            about,
            what: What::Tcp([small, large]),
            is_large: false,
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
        self.explore(AtMost(states))
    }

    /// Searches to each depth in turn until something is wrong, but no deeper than `depth_max`.
    #[must_use]
    pub fn find(&self, depth_max: usize) -> Option<Box<Found>> {
        self.explore(Find(depth_max))
    }

    /// Takes a script's steps again. Returns what is wrong, if anything, and what happens.
    #[must_use]
    pub fn replay(&self, script: &Script) -> (Option<String>, Vec<String>) {
        self.explore(Replay(script))
    }

    /// Makes the memory of a search, and has something done with it.
    fn explore<V: Visitor>(&self, visitor: V) -> V::Out {
        let choices = Choices::default();
        let which = usize::from(self.is_large);
        match &self.what {
            What::Loop(rules) => explore_loop::<false, _>(&rules[which], &choices, visitor),
            What::Layered(rules) => explore_loop::<true, _>(&rules[which], &choices, visitor),
            What::Tcp(rules) => {
                let world = || tcp::World::new(rules[which], &choices);
                let mut way: Vec<_> = (0..DEPTH_MAX).map(|_| world()).collect();
                visitor.visit(&mut Explorer::new(&mut way, &choices))
            }
        }
    }
}

/// What is done with an explorer, whatever it explores.
trait Visitor {
    type Out;

    fn visit<W: Searched>(self, explorer: &mut Explorer<'_, W>) -> Self::Out;
}

struct AtMost(u64);
struct Find(usize);
struct Replay<'s>(&'s Script);

impl Visitor for AtMost {
    type Out = Result<Coverage, Box<Found>>;

    fn visit<W: Searched>(self, explorer: &mut Explorer<'_, W>) -> Self::Out {
        explorer.run_at_most(self.0)
    }
}

impl Visitor for Find {
    type Out = Option<Box<Found>>;

    fn visit<W: Searched>(self, explorer: &mut Explorer<'_, W>) -> Self::Out {
        explorer.find(self.0)
    }
}

impl Visitor for Replay<'_> {
    type Out = (Option<String>, Vec<String>);

    fn visit<W: Searched>(self, explorer: &mut Explorer<'_, W>) -> Self::Out {
        explorer.replay(self.0)
    }
}

fn explore_loop<const HOLDS: bool, V: Visitor>(
    rules: &Rules,
    choices: &Choices,
    visitor: V,
) -> V::Out {
    let mut memory: Vec<_> = (0..DEPTH_MAX).map(|_| Memory::new(rules)).collect();
    let worlds = memory.iter_mut();
    let mut way: Vec<_> = worlds
        .map(|memory| World::<HOLDS>::new(*rules, choices, memory))
        .collect();
    visitor.visit(&mut Explorer::new(&mut way, choices))
}

/// Returns every configuration of the loop.
#[must_use]
pub const fn cases() -> &'static [Case] {
    CASES
}

/// Returns every configuration of two connections of the TCP in user space.
#[must_use]
pub const fn tcp_cases() -> &'static [Case] {
    tcp::CASES
}
