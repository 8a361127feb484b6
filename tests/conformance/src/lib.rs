//! The tests that every platform of [`usockets`] must pass, for platforms of your own too.
//!
//! A platform is an implementation of [`Platform`](usockets::Platform). Whether it keeps the
//! contract is hard to tell from the outside: a report that is missing stalls one connection in a
//! thousand. These tests run loops on it, open, write, pause, finish, reset and fill, and check
//! what the program is told.
//!
//! # One command
//!
//! ```ignore
//! // tests/conformance.rs of your package
//! fn my_bed() -> MyBed {
//!     MyBed::default()
//! }
//!
//! usockets_conformance::conformance!(my_bed);
//! ```
//!
//! Then `cargo test --test conformance` runs all of it, and
//! `cargo test --test conformance half_close::the_end_comes_once` one test.
//!
//! A platform with datagrams ([`Datagrams`](usockets::Datagrams)) has
//! `usockets_conformance::conformance_of_datagrams!(my_bed)` beside it.
//!
//! # What you write
//! A [`Bed`]: it makes platforms, one for each host of a network, says at which addresses they are,
//! and moves time. What your platform cannot do, it declares ([`Bed::addr_v6`],
//! [`Bed::shares_ports`], [`Bed::drops_surplus`], [`Bed::learns_unasked`]); tests of it then check
//! that it is refused, or are left out.
//!
//! The module [`guide`] answers what is unclear when one writes a platform, and names an example of
//! a platform with its bed, in a package outside the workspace.
//!
//! # Where to look
//! `bed` (what you implement), `clock` (virtual time for it), `suite` (the tests, by behaviour),
//! `list` (which there are, and the macro); `script` and `side` (a handler that writes down every
//! call, and loops that are driven); `mail` (the same of datagrams); `strict` (a layer that watches
//! both sides).
//!
//! A number such as W21 in a test's documentation is that of a weakness of µSockets in C, by the
//! table in `tests/tests/weaknesses.rs` of the repository.

pub mod bed;
mod clock;
pub mod guide;
mod list;
pub mod mail;
pub mod script;
pub mod side;
pub mod strict;
pub mod suite;

pub use self::bed::Bed;
pub use self::clock::Clock;

/// Runs a test on a bed, or says why the bed leaves it out.
pub fn hold<B: Bed>(name: &str, bed: &mut B, test: impl FnOnce(&mut B)) {
    match bed
        .exceptions()
        .iter()
        .find(|(left_out, _)| *left_out == name)
    {
        Some((_, why)) => println!("{name} is left out: {why}"),
        None => test(bed),
    }
}
