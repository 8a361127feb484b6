//! Finding losses and repairing them.
//!
//! `scoreboard` keeps what is known of each segment on its way, `rack` says from it what is lost,
//! `recovery` says how much may be sent while that is repaired, and `rtt` says how long to wait
//! when nothing is heard. None of them sends: `output` asks them.

pub(super) mod rack;
pub(super) mod recovery;
pub(super) mod rtt;
pub(super) mod scoreboard;
