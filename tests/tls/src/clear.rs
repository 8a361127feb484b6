//! Cryptography that hides nothing, so that what is sent can be read and changed on the way.

use rustls::pki_types::SignatureVerificationAlgorithm;
use usockets::tls::{
    Alert, Crypto as Provider, Group, MESSAGE_MAX, Private, SHARE_MAX, Sha2, Shared, Suite, TAG,
};

use crate::{Crypto, Machine};

/// Records are in the clear, behind a tag that anyone can make, and all shares are the same.
/// Hashes, the key schedule and signatures are real: what was said is still proved. With `P256` it
/// knows that group only, so that a server has to ask a client of the other kind again.
pub struct Clear<const P256: bool>(Crypto);

impl<const P256: bool> Clear<P256> {
    pub fn new(seed: u64) -> Self {
        Self(Crypto::new(Machine::new(seed)))
    }
}

impl<const P256: bool> Provider for Clear<P256> {
    type Hasher = Sha2;
    type Machine = Machine;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = match P256 {
        true => &[Group::P256],
        false => &[Group::X25519, Group::P256],
    };
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] =
        <Crypto as Provider>::ALGORITHMS;

    fn machine(&self) -> &Machine {
        self.0.machine()
    }

    fn machine_mut(&mut self) -> &mut Machine {
        self.0.machine_mut()
    }

    fn seal(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        _: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        Ok([0; TAG])
    }

    fn open(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        _: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Alert> {
        match tag {
            [0, ..] => Ok(()),
            _ => Err(Alert::BAD_RECORD_MAC),
        }
    }

    fn offer(
        &mut self,
        group: Group,
        _: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        let len = share_len(group)?;
        share[..len].fill(4);
        Ok(len)
    }

    fn answer(
        &mut self,
        group: Group,
        theirs: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        self.agree(group, &Private::ZERO, theirs, shared)?;
        let mut unused = Private::ZERO;
        self.offer(group, &mut unused, share)
    }

    fn agree(
        &mut self,
        group: Group,
        _: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert> {
        if theirs.len() != share_len(group)? {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        shared.set(&[1; 32]);
        Ok(())
    }
}

fn share_len(group: Group) -> Result<usize, Alert> {
    match group {
        Group::X25519 => Ok(32),
        Group::P256 => Ok(65),
        _ => Err(Alert::INTERNAL_ERROR),
    }
}

/// A record as [`Clear`] makes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClearRecord {
    /// Behind a header that says nothing, with a tag; or as it is.
    pub is_protected: bool,
    pub content: u8,
    pub body: Vec<u8>,
}

impl ClearRecord {
    /// Takes the first record of `bytes`, which must be all there.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let [content, _, _, high, low] = *bytes.first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let body: Vec<u8> = bytes.drain(..5 + len).skip(5).collect();
        let record = Self {
            is_protected: content == 23,
            content,
            body,
        };
        Some(if record.is_protected {
            record.opened()
        } else {
            record
        })
    }

    /// Takes the tag, the padding and the content's type off.
    fn opened(mut self) -> Self {
        self.body.truncate(self.body.len().saturating_sub(TAG));
        while self.body.last() == Some(&0) {
            self.body.pop();
        }
        self.content = self.body.pop().unwrap_or(0);
        self
    }

    /// Returns what the reader will take it for: a changed type may be 0, which is padding.
    pub fn as_read(&self) -> Self {
        self.to_bytes()
            .map_or_else(|| self.clone(), |mut bytes| Self::take(&mut bytes).unwrap())
    }

    /// Returns its bytes; `None` if it is too long for any record.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut body = self.body.clone();
        let mut content = self.content;
        if self.is_protected {
            body.push(self.content);
            body.extend_from_slice(&[0; TAG]);
            content = 23;
        }
        let len = u16::try_from(body.len()).ok()?.to_be_bytes();
        Some([&[content, 3, 3, len[0], len[1]], &body[..]].concat())
    }
}
