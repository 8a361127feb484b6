//! Cryptography for a server that asks nobody for a certificate: what verifies them stays out of
//! the image.

use usockets::tls::{Machine, RustCrypto};

use crate::host;

/// [`RustCrypto`], a server's part of it.
pub type ServerCrypto = RustCrypto<Host, false>;

/// Makes it.
#[must_use]
pub const fn server_crypto() -> ServerCrypto {
    RustCrypto::for_server(Host)
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
