//! What the compared servers share, so that they differ in nothing but the library under them.
//!
//! Each server is one process and one thread, listens on a free port of this machine, prints its
//! address, reads at most [`READ_MAX`] bytes at once, sends small segments at once
//! (`TCP_NODELAY`), stops reading from a connection that does not take its answers, and serves
//! until it is killed.

mod http;
mod service;
pub mod timeouts;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

pub use http::Http;
pub use service::{Echo, Service};

/// Bytes that a server reads at once.
pub const READ_MAX: usize = 16_384;

/// What a server process is asked to do, by its first argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// `echo`: send back what comes.
    Echo,
    /// `http`: answer requests.
    Http,
    /// `timeouts`: no network; arm, re-arm and expire timeouts.
    Timeouts,
}

impl Role {
    /// Reads the first argument.
    ///
    /// # Errors
    /// It names no role.
    pub fn from_args() -> Result<Self, String> {
        match std::env::args().nth(1).as_deref() {
            Some("echo") => Ok(Self::Echo),
            Some("http") => Ok(Self::Http),
            Some("timeouts") => Ok(Self::Timeouts),
            _ => Err("usage: echo | http | timeouts".into()),
        }
    }
}

/// Returns the address to listen on: a free port of this machine.
#[must_use]
pub const fn any_port() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

/// Prints the address that the bench connects to.
pub fn announce(at: SocketAddr) {
    println!("listening on {at}");
}

/// Listens on a free port, and announces it. Does not block.
///
/// # Errors
/// What the system says.
pub fn listen() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(any_port())?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    Ok(listener)
}
