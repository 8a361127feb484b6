//! A thin platform over smoltcp's own TCP sockets.
//!
//! [`platform`] has the type and the loop's calls, [`turn`] moves frames and finds out what became
//! of each socket, and [`entry`] is what is kept of one beside smoltcp's own state. Nothing here
//! uses the stack of this crate, nor the other way round; both use [`crate::device`].

pub(crate) mod entry;
pub(crate) mod platform;
mod turn;
