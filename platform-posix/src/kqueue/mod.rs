//! kqueue: what its events mean, on any system, and the queue itself, on those that have it.
//!
//! | file | what it has |
//! |---|---|
//! | `event.rs` | what an event says about a socket, the same on every system |
//! | `queue.rs` | the queue: the selector of the BSDs and macOS |

pub(crate) mod event;
#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
mod queue;

#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub use queue::Kqueue;
