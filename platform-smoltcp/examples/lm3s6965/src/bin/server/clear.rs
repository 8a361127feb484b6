//! What the servers in the clear have in common: their sizes, and a loop's platform that is the
//! stack itself.

use board::network::Network;
use usockets::{Endpoint, Error};

/// Connections at once.
pub(crate) const CONNECTIONS: usize = 8;
/// Bytes of the stack's two buffers for each.
pub(crate) const WINDOW: usize = 768;
/// Bytes that the handler keeps for each of what it received.
pub(crate) const IN: usize = 736;
/// Bytes that the handler keeps for each of what the client has not taken.
pub(crate) const OUT: usize = 512;
/// What is printed when clients can come.
pub(crate) const LISTENING: &str = "listening on port 80";

/// What the loop runs on.
pub(crate) type Platform = &'static mut Network;

/// Where clients are served.
pub(crate) fn endpoint() -> Endpoint<'static> {
    Endpoint::tcp(([0, 0, 0, 0], 80).into())
}

/// Makes the loop's platform of the stack: it is just that.
#[expect(clippy::unnecessary_wraps, reason = "TLS may fail here")]
pub(crate) fn layer(network: &'static mut Network) -> Result<Platform, Error> {
    Ok(network)
}

/// Returns the stack of the loop's platform.
pub(crate) fn network(platform: &Platform) -> &Network {
    platform
}
