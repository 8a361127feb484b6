//! Every combination that another implementation supports, tried with it over real sockets, in both
//! roles.
//!
//! A client sends a line and gets it back; the line reads the same backwards, for servers that
//! reverse it.

mod case;
mod peers;
mod run;

pub use case::{Case, Role};
pub use peers::{Peer, peers};
pub use run::{Stage, serve};

/// What is sent and comes back.
pub const LINE: &str = "able was I ere I saw elba";
