//! A keyed hash, so that nobody outside can choose what collides.

use core::net::SocketAddr;

use crate::number::{high, low};

/// A secret for hashing: 128 random bits.
///
/// Whoever knows it can make connections collide, guess initial sequence numbers and forge SYN
/// cookies. Take it from the hardware's or the system's random number generator at every start.
#[derive(Clone, Copy)]
pub struct Secret {
    halves: [u64; 2],
}

impl Secret {
    /// Makes a secret of 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        Self {
            halves: [
                u64::from_le_bytes([a, b, c, d, e, f, g, h]),
                u64::from_le_bytes(rest),
            ],
        }
    }

    /// Derives a secret for another purpose, so that what one purpose reveals tells nothing about
    /// another.
    #[must_use]
    pub(crate) fn derive(self, purpose: u64) -> Self {
        Self {
            halves: [self.hash(&[purpose, 1]), self.hash(&[purpose, 2])],
        }
    }

    /// Hashes whole words: SipHash-1-3 (Aumasson and Bernstein, 2012) over their bytes.
    #[inline]
    pub(crate) fn hash(self, words: &[u64]) -> u64 {
        let [k0, k1] = self.halves;
        let mut state = State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        };
        let mut count = 0_u64;
        for word in words {
            state.absorb(*word);
            count = count.wrapping_add(8);
        }
        state.absorb(count << 56);
        state.v2 ^= 0xff;
        state.round();
        state.round();
        state.round();
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }

    /// Hashes the two ends of a connection and one more word.
    #[inline]
    pub(crate) fn hash_pair(self, local: &SocketAddr, remote: &SocketAddr, extra: u64) -> u64 {
        let ports = (u64::from(local.port()) << 16) | u64::from(remote.port());
        match (local, remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => {
                let addrs =
                    (u64::from(local.ip().to_bits()) << 32) | u64::from(remote.ip().to_bits());
                self.hash(&[addrs, ports, extra])
            }
            _ => {
                let [a, b] = halves(local);
                let [c, d] = halves(remote);
                self.hash(&[a, b, c, d, ports, extra])
            }
        }
    }

    /// Returns 32 bits of [`Self::hash_pair`].
    #[inline]
    pub(crate) fn hash_pair32(self, local: &SocketAddr, remote: &SocketAddr, extra: u64) -> u32 {
        let hash = self.hash_pair(local, remote, extra);
        low(hash) ^ high(hash)
    }
}

/// Returns the address as two words.
fn halves(addr: &SocketAddr) -> [u64; 2] {
    let bits = match addr {
        SocketAddr::V4(addr) => u128::from(addr.ip().to_bits()),
        SocketAddr::V6(addr) => addr.ip().to_bits(),
    };
    let [a, b, c, d, e, f, g, h, rest @ ..] = bits.to_le_bytes();
    [
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        u64::from_le_bytes(rest),
    ]
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    const fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference for whole words is the standard library's SipHash-1-3.
    #[test]
    fn hash_is_siphash_1_3() {
        extern crate std;
        use core::hash::Hasher as _;
        #[expect(
            deprecated,
            reason = "the only SipHash with a zero key in the standard library"
        )]
        for words in [&[][..], &[1], &[0x0123_4567_89ab_cdef, 42], &[u64::MAX; 7]] {
            let mut reference = core::hash::SipHasher::new_with_keys(0, 0);
            let ours = Secret::new([0; 16]).hash(words);
            for word in words {
                reference.write(&word.to_le_bytes());
            }
            // `SipHasher` is SipHash-2-4; the default hasher is SipHash-1-3 with zero keys.
            let mut fast = std::hash::DefaultHasher::new();
            for word in words {
                fast.write(&word.to_le_bytes());
            }
            assert_eq!(ours, fast.finish());
            assert_ne!(ours, reference.finish());
        }
    }

    #[test]
    fn purposes_and_keys_differ() {
        let one = Secret::new([7; 16]);
        let two = Secret::new([8; 16]);
        assert_ne!(one.hash(&[9]), two.hash(&[9]));
        assert_ne!(one.derive(1).hash(&[9]), one.derive(2).hash(&[9]));
    }
}
