//! Cryptography without secrets: records go as they are, with a sum for a tag.

use rustls::pki_types::SignatureVerificationAlgorithm;
use usockets::tls::{
    Alert, Crypto as Provider, Group, MESSAGE_MAX, Private, SHARE_MAX, Sha2, Shared, Suite, TAG,
};

use crate::{Crypto, Machine};

/// Cryptography whose records anybody can read, for searches through many states: the tag of a
/// record is a sum over key, nonce and text, so that what is altered, moved or sealed with another
/// key is refused all the same. Keys come from the usual schedule; it cannot shake hands.
pub struct Null {
    schedule: Crypto,
    believes: bool,
}

impl Null {
    #[must_use]
    pub fn new() -> Self {
        Self {
            schedule: Crypto::new(Machine::new(0)),
            believes: false,
        }
    }

    /// Makes it a bug: tags are not compared.
    #[must_use]
    pub fn believing(mut self) -> Self {
        self.believes = true;
        self
    }
}

impl Default for Null {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the sum over all that a tag protects (FNV-1a).
fn sum(key: &[u8; 32], nonce: &[u8; 12], associated: &[u8], data: &[u8]) -> [u8; TAG] {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for part in [&key[..], nonce, associated, data] {
        for byte in part {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut tag = [0; TAG];
    tag[..8].copy_from_slice(&sum.to_le_bytes());
    tag
}

impl Provider for Null {
    type Hasher = Sha2;
    type Machine = Machine;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = &[];
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[];

    fn machine(&self) -> &Machine {
        self.schedule.machine()
    }

    fn machine_mut(&mut self) -> &mut Machine {
        self.schedule.machine_mut()
    }

    fn seal(
        &mut self,
        _: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        Ok(sum(key, nonce, associated, data))
    }

    fn open(
        &mut self,
        _: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Alert> {
        if self.believes || sum(key, nonce, associated, data) == *tag {
            Ok(())
        } else {
            Err(Alert::BAD_RECORD_MAC)
        }
    }

    fn offer(
        &mut self,
        _: Group,
        _: &mut Private,
        _: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        Err(Alert::INTERNAL_ERROR)
    }

    fn answer(
        &mut self,
        _: Group,
        _: &[u8],
        _: &mut [u8; SHARE_MAX],
        _: &mut Shared,
    ) -> Result<usize, Alert> {
        Err(Alert::INTERNAL_ERROR)
    }

    fn agree(&mut self, _: Group, _: &Private, _: &[u8], _: &mut Shared) -> Result<(), Alert> {
        Err(Alert::INTERNAL_ERROR)
    }
}
