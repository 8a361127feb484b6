//! Keys that protect session tickets (RFC 8446, section 4.6.1).

use zeroize::{Zeroize, Zeroizing};

use crate::invariant::impossible;
use crate::tls::crypto::provider::{HashAlgorithm, Hasher};

/// Longest life of a ticket (RFC 8446, section 4.6.1): seven days.
const LIFETIME_MAX: u32 = 604_800;

/// Keys that protect session tickets.
///
/// A key is derived for every lifetime-long period from one secret, so tickets are good for one
/// to two lifetimes, and servers, threads or processes with the same secret take each other's. A
/// client that resumes is given a new ticket, but sees certificates again after a week at most.
/// Until when the server's certificate is good is the client's to count (RFC 8446, section 4.6.1,
/// names the peer's), and no client that has shown a certificate is resumed. Who steals the secret
/// can read every ticket but no traffic, since resumption makes a fresh key exchange: replace it
/// now and then, and [keep](Self::with_previous) the one before for a lifetime. Wiped when dropped.
pub struct TicketKeys {
    pub(super) secret: [u8; 32],
    /// The same as the secret if there is none.
    pub(super) previous: [u8; 32],
    pub(super) lifetime_seconds: u32,
}

impl TicketKeys {
    /// Returns the keys that come of `secret`, 32 bytes nobody can predict. Tickets are offered
    /// for `lifetime_seconds`, which is brought into the range of 1 to 604,800, a week.
    #[must_use]
    pub const fn new(secret: [u8; 32], lifetime_seconds: u32) -> Self {
        let lifetime_seconds = match lifetime_seconds {
            0 => 1,
            1..=LIFETIME_MAX => lifetime_seconds,
            _ => LIFETIME_MAX,
        };
        Self {
            previous: secret,
            secret,
            lifetime_seconds,
        }
    }

    /// Takes tickets of `previous` as well, the secret before this one; new ones are never made of
    /// it.
    #[must_use]
    pub const fn with_previous(mut self, previous: [u8; 32]) -> Self {
        self.previous = previous;
        self
    }

    /// Returns the period that the second belongs to.
    pub(super) fn period(&self, now: u64) -> u64 {
        let Some(period) = now.checked_div(u64::from(self.lifetime_seconds)) else {
            impossible!("tickets live for less than a second");
            return 0;
        };
        period
    }

    pub(super) fn key<H: Hasher>(secret: &[u8; 32], period: u64) -> Zeroizing<[u8; 32]> {
        let parts: [&[u8]; 2] = [b"usockets ticket ", &period.to_be_bytes()];
        let made = H::hmac(HashAlgorithm::Sha256, secret, &parts);
        let mut key = Zeroizing::new([0; 32]);
        for (target, source) in key.iter_mut().zip(made.get(HashAlgorithm::Sha256)) {
            *target = *source;
        }
        key
    }
}

impl Drop for TicketKeys {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.previous.zeroize();
    }
}
