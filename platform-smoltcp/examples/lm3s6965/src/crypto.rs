//! Cryptography for a server that asks nobody for a certificate: what verifies them stays out of
//! the image.

use usockets::tls::{Machine, RustCrypto, WithRoom};

use crate::host;

/// Bytes of the longest message: a client's hello, which is the longest with many protocols and
/// tickets, and a server's flight. Browsers' hellos have up to 2,300.
const MESSAGE_MAX: usize = 3_072;

/// [`RustCrypto`], a server's part of it.
pub type ServerCrypto = WithRoom<RustCrypto<Host, false>, MESSAGE_MAX>;

/// Makes it.
#[must_use]
pub const fn server_crypto() -> ServerCrypto {
    WithRoom::new(RustCrypto::for_server(Host))
}

/// The board, to TLS: random bytes and the time come from the host.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Machine for Host {
    fn random(&mut self, bytes: &mut [u8]) -> bool {
        host::random(bytes)
    }

    fn unix_seconds(&self) -> u64 {
        host::unix_seconds()
    }
}
