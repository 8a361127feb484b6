//! A DHCPv4 client (RFC 2131).
//!
//! `client` is the protocol: messages in, actions out, a clock given, and nothing of sockets.
//! `lease` is what a server has given, as far as it makes sense. `serve` runs a client on a
//! datagram socket of a [`Stack`](crate::Stack) and gives the stack its address. The messages'
//! format is [`crate::wire::dhcp`].

mod client;
mod lease;
mod serve;

pub use client::{Action, DhcpClient};
pub use lease::Lease;
pub use serve::DhcpEvent;
