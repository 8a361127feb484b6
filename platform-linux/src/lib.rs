//! Linux for [`usockets`]: non-blocking TCP sockets and one `epoll` instance, by raw system
//! calls, without `std` and without libc.
#![no_std]

mod errno;
mod event_fd;
mod fd;
mod linux;
#[cfg(feature = "tls")]
mod machine;
mod options;

pub use event_fd::EventFd;
pub use fd::Fd;
pub use linux::Linux;
#[cfg(feature = "tls")]
pub use machine::LinuxMachine;
