//! The HTTP server of the Linux examples on a microcontroller: `/`, `/echo` (POST), `/bytes/N`,
//! `/stats` and `/status`, at 10.0.2.15 port 80, where QEMU's user networking expects it.
#![no_std]
#![no_main]

use board::network::Network;
use usockets::{Budget, Endpoint, Error};

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod server;
#[path = "server/fixed.rs"]
mod station;

/// Connections at once.
const CONNECTIONS: usize = 8;
/// Bytes of the stack's two buffers for each.
const WINDOW: usize = 768;
/// Bytes that the handler keeps for each of what it received.
const IN: usize = 736;
/// Bytes that the handler keeps for each of what the client has not taken.
const OUT: usize = 512;
/// Bytes that the image has for its statics (`layout/http/memory.x`).
const STATICS_MAX: usize = 40 * 1024 - 3584;
/// What is between the stack and the loop: nothing.
const LAYER: Budget = Budget::NONE;
/// What is printed when clients can come.
const LISTENING: &str = "listening on port 80";

type Platform = &'static mut Network;

/// Where clients are served.
fn endpoint() -> Endpoint<'static> {
    Endpoint::tcp(([0, 0, 0, 0], 80).into())
}

/// Makes the loop's platform of the stack: it is just that.
#[expect(clippy::unnecessary_wraps, reason = "TLS may fail here")]
fn layer(network: &'static mut Network) -> Result<Platform, Error> {
    Ok(network)
}

/// Returns the stack of the loop's platform.
fn network(platform: &Platform) -> &Network {
    platform
}
