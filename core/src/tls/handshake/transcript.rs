//! The hash of a handshake's messages (RFC 8446, section 4.4.1).

use crate::invariant::impossible;
use crate::tls::crypto::provider::{HashAlgorithm, Hasher, Secret};
use crate::tls::wire::fit;

/// The hash of the messages so far.
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) enum Transcript<H> {
    /// The hash function is agreed on. In a handshake that has not begun, a hasher that is not in
    /// use.
    One(H) = 0,
    /// A client hashes with both functions until the server has chosen.
    Both { sha256: H, sha384: H },
}

impl<H: Hasher> Transcript<H> {
    /// The transcript of a handshake that has not begun.
    pub(crate) const EMPTY: Self = Self::One(H::EMPTY);

    /// Starts a transcript with one hash function.
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        Self::One(H::new(algorithm))
    }

    /// Starts a client's transcript, with both hash functions.
    pub(crate) fn both() -> Self {
        Self::Both {
            sha256: H::new(HashAlgorithm::Sha256),
            sha384: H::new(HashAlgorithm::Sha384),
        }
    }

    /// Adds a message.
    pub(crate) fn update(&mut self, message: &[u8]) {
        match self {
            Self::One(hasher) => hasher.update(message),
            Self::Both { sha256, sha384 } => {
                sha256.update(message);
                sha384.update(message);
            }
        }
    }

    /// Goes on with the hash function that the server has chosen.
    pub(crate) fn choose(&mut self, algorithm: HashAlgorithm) {
        if let Self::Both { sha256, sha384 } = self {
            let chosen = match algorithm {
                HashAlgorithm::Sha256 => sha256.clone(),
                HashAlgorithm::Sha384 => sha384.clone(),
            };
            *self = Self::One(chosen);
        }
    }

    /// Returns the hash of the messages so far, to go on with them apart.
    pub(crate) fn hasher(&self) -> &H {
        match self {
            Self::One(hasher) => hasher,
            Self::Both { sha256, .. } => {
                impossible!("a digest is asked for before the hash function is agreed on");
                sha256
            }
        }
    }

    /// Returns the digest of the messages so far.
    pub(crate) fn digest(&self) -> Secret {
        self.hasher().digest()
    }

    /// Replaces the transcript by a hash of itself, as a `HelloRetryRequest` demands.
    pub(crate) fn wrap(&mut self, algorithm: HashAlgorithm) {
        let digest = self.digest();
        let digest = digest.get(algorithm);
        let mut hasher = H::new(algorithm);
        hasher.update(&[254, 0, 0, fit(digest.len())]);
        hasher.update(digest);
        *self = Self::One(hasher);
    }
}

#[cfg(feature = "search")]
impl<H: Hasher> core::hash::Hash for Transcript<H> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        match self {
            Self::One(hasher) => (0_u8, hasher.digest()).hash(into),
            Self::Both { sha256, sha384 } => {
                (1_u8, sha256.digest(), sha384.digest()).hash(into);
            }
        }
    }
}
