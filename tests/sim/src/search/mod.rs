//! Everything that can happen to a loop with a tiny pool, or to two connections of the TCP in user
//! space with tiny buffers, state by state: a proof without luck.
//!
//! A simulation draws what happens from a seed, and may be lucky. A search leaves nothing to it.
//! All state of a loop is fixed memory, so that a copy of it is a state to come back to
//! ([`Loop::copy_from`]): an [`Explorer`] goes from a first state through every step that can be
//! taken, depth first, and walks on from each state that it has not seen. When it comes to its end
//! with an empty frontier, nothing is left that could happen.
//!
//! The loop is the shipped one, with three slots and a receive buffer of one byte. Around it is the
//! least that the contract of [`Platform`](usockets::Platform) promises: each fact is reported once
//! after it becomes true, in any order and with any delay, receives and sends take any part of what
//! they could, calls fail. The program does anything that its configuration allows, in each call
//! and between two iterations.
//!
//! ```
//! use usockets_sim::search::cases;
//!
//! let echo = cases().iter().find(|case| case.name() == "echo").expect("a name");
//! let coverage = echo.search().unwrap_or_else(|found| panic!("{found}"));
//! assert_eq!(coverage.frontier, 0); // There is nothing else.
//! println!("{}: {coverage}", echo.about());
//! ```
//!
//! # What is checked
//! In every state: the loop's own invariants, the contract as the platform sees it, the order of
//! the calls ([`Handler`](usockets::Handler)), each byte of each stream, why each connection
//! closed, and that no call of the clock is early or late. In every state in which nothing is under
//! way any more: no byte, end, break, room, connection or slot is forgotten. From where no step
//! leads to anything new, everything is brought to its end, and must come to it.
//!
//! # Two connections
//! [`tcp_cases`] searches the shipped engine of `usockets-smoltcp`: two connections that face
//! each other, with buffers of a few octets, and a network that delivers in any order, and loses,
//! doubles and cuts segments, a bounded number of times each. Deadlines come early or late,
//! owners write, read, end, close and abort at any time, and a third party forges. In every state
//! each octet is what it should be, nobody acknowledges what did not come, no window shrinks or
//! opens by little, what has come is kept, and who waits has a deadline; each end is told once.
//! From where nothing new follows, everything is brought to its end, and must come to it.
//!
//! # States that are alike
//! What has been seen is known by a [`Fingerprint`]. It leaves out counters, generations of ids and
//! absolute time, and has all that influences the future ([`Loop::fingerprint`]): each type of the
//! core, and of the TCP, hashes its own fields and names those that it leaves out with the reason,
//! so that a field which is added does not compile before it is one or the other.
//!
//! # What is found
//! [`Found`] has what is wrong, and one of the shortest scripts that lead to it, in words and for
//! [`Case::replay`]. `tests/search_finds_bugs.rs` and `tests/search_tcp_finds_bugs.rs` inject each
//! bug that the loop and the TCP know how to have, and say which configuration finds it in how many
//! steps.
//!
//! # A search of one's own
//! Anything that is [`Searched`] can be: a state that can be copied, what can happen in it, and a
//! fingerprint. What is open is asked of [`Choices`], wherever it comes up.
//!
//! ```
//! use std::hash::Hash;
//! use usockets_sim::search::{Choices, Explorer, Fingerprint, Searched};
//!
//! /// Two who take a thing from a shelf and put it back: both look, and then take.
//! struct Shelf {
//!     choices: Choices,
//!     things: i32,
//!     saw_one: [bool; 2],
//! }
//!
//! impl Searched for Shelf {
//!     fn copy_from(&mut self, other: &Self) {
//!         (self.things, self.saw_one) = (other.things, other.saw_one);
//!     }
//!
//!     fn step(&mut self) -> Result<bool, String> {
//!         let who = self.choices.pick(2);
//!         if self.saw_one[who] {
//!             self.saw_one[who] = false;
//!             self.things -= 1;
//!         } else {
//!             self.saw_one[who] = self.things > 0;
//!         }
//!         if self.things < 0 { Err("nothing was there".into()) } else { Ok(true) }
//!     }
//!
//!     fn fingerprint(&self, into: &mut Fingerprint) {
//!         (self.things, self.saw_one).hash(into);
//!     }
//!
//!     fn finish(&mut self) -> Result<(), String> {
//!         Ok(())
//!     }
//! }
//!
//! let choices = Choices::default();
//! let shelf = || Shelf { choices: choices.clone(), things: 1, saw_one: [false; 2] };
//! let mut way: Vec<Shelf> = (0..20).map(|_| shelf()).collect();
//! let found = Explorer::new(&mut way, &choices).run().expect_err("they race");
//! assert_eq!(found.script.len(), 4); // Both look, both take.
//! ```
//!
//! # What is not searched
//! What is around the TCP engine in its stack; datagrams, Unix sockets and foreign descriptors. TLS
//! is, but not here: in the repository, `tests/tls/tests` has a search of open connections
//! (`search.rs`), of handshakes (`search_handshakes.rs`), and of the layer in a loop
//! (`search_layer`). Connections are not told apart by what is the same of them, so that two
//! which are alike count twice.
//!
//! | file | what it has |
//! |---|---|
//! | `explorer.rs` | [`Explorer`], [`Searched`]: the walk |
//! | `choices.rs` | [`Choices`]: what is open in a step |
//! | `case.rs`, `cases.rs` | [`Case`]: a configuration; all of them |
//! | `rules.rs` | what can happen in one |
//! | `world.rs` | one state, and what must hold in it |
//! | `wire.rs` | the network |
//! | `app.rs` | the program, and what it must see |
//! | `tcp/` | two connections of the TCP in user space |
//!
//! [`Loop::copy_from`]: usockets::Loop::copy_from
//! [`Loop::fingerprint`]: usockets::Loop::fingerprint

mod app;
mod case;
mod cases;
mod choices;
mod explorer;
mod rules;
mod tcp;
mod wire;
mod world;

pub use self::case::{Case, cases, tcp_cases};
pub use self::choices::Choices;
pub use self::explorer::{Coverage, Explorer, Fingerprint, Found, Script, Searched, calm_down};
