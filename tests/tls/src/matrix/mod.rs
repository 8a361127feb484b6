//! Every combination that another implementation supports, tried with it over real sockets, in both
//! roles.
//!
//! A client sends a line and gets it back; the line reads the same backwards, for servers that
//! reverse it.

mod case;
mod peers;
mod run;
mod web;

pub use case::{Case, Role};
pub use peers::Peer;
pub use run::{Stage, serve};

/// What is sent and comes back.
pub const LINE: &str = "able was I ere I saw elba";

/// Returns all other implementations, installed or not.
pub fn peers() -> Vec<Peer> {
    let mut all = peers::programs();
    all.extend(web::programs());
    all
}
