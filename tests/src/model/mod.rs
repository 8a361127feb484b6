//! Random programs on a simulated network, and a plain model that predicts what they see.
//!
//! [`run`] plays one [`Case`]: some hosts whose handler does random legal things through every
//! public call, in every call. Beside each loop runs a model made of maps, which knows nothing of
//! slots, lists and latches. It checks each call the loop makes and each answer it gives; when the
//! faults stop, everything must come to an end: every byte that was taken arrives or its loss is
//! reported, and every slot comes back.

mod actions;
mod app;
mod books;
mod bystander;
mod calls;
mod case;
mod turns;
mod variety;
mod world;

pub use self::case::{Case, Failure, minimise};
pub use self::world::{Outcome, run};
