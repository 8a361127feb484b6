//! Record protection (RFC 8446, section 5).

use zeroize::Zeroize;

use crate::invariant::impossible;
use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Crypto, HASH_MAX, Secret, Suite, TAG};
use crate::tls::record::parts::Parts;
use crate::tls::record::schedule::{expand, expand_short};
use crate::tls::wire::{Output, copy_whole, part, part_mut};

/// Bytes of a record's header.
pub const HEADER: usize = 5;
/// Most plaintext bytes of a record (RFC 8446, section 5.1).
pub const PLAINTEXT_MAX: usize = 16_384;
/// Most bytes after the header of a protected record (RFC 8446, section 5.2).
pub(crate) const CIPHERTEXT_MAX: usize = PLAINTEXT_MAX + 256;
/// Bytes that protection adds to a record that is not padded: header, content type, tag.
pub const OVERHEAD: usize = HEADER + 1 + TAG;
/// Most bytes of a record as a whole.
pub const RECORD_MAX: usize = HEADER + CIPHERTEXT_MAX;

/// Records that one key may protect before it is replaced. AES-GCM's limit is 2^24.5 full-size
/// records (RFC 8446, section 5.5); ChaCha20-Poly1305 has none that matters.
const RECORDS_MAX: u64 = 1 << 24;

/// What a record carries (RFC 8446, section 5.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    ChangeCipherSpec,
    Alert,
    Handshake,
    Data,
}

impl Content {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Result<Self, Alert> {
        match code {
            20 => Ok(Self::ChangeCipherSpec),
            21 => Ok(Self::Alert),
            22 => Ok(Self::Handshake),
            23 => Ok(Self::Data),
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) content: Content,
    pub(crate) len: usize,
}

impl Header {
    /// Reads the header at the front of `input`; `None` if it is not all there yet.
    ///
    /// The version's low byte is ignored, as RFC 8446, section 5.1 has it; the high byte tells
    /// that this is TLS at all.
    pub(crate) fn read(input: &[u8]) -> Result<Option<Self>, Alert> {
        // The first byte already tells a stranger.
        if let Some(code) = input.first() {
            Content::from_code(*code)?;
        }
        if input.get(1).is_some_and(|major| *major != 3) {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let Some([code, _, _, high, low]) = input.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let content = Content::from_code(*code)?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let max = match content {
            Content::Data => CIPHERTEXT_MAX,
            _ => PLAINTEXT_MAX,
        };
        if len > max {
            return Err(Alert::RECORD_OVERFLOW);
        }
        Ok(Some(Self { content, len }))
    }
}

/// One direction's keys: all that an idle connection keeps of it. Wiped when dropped.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Keys {
    secret: [u8; HASH_MAX],
    key: [u8; 32],
    vector: [u8; 12],
    /// The number of the next record, in two halves as it lies in memory: as one number it would be
    /// aligned to eight bytes, which costs four in each direction.
    sequence: [u32; 2],
}

impl Keys {
    /// No keys. Sealing or opening with them is a bug of the engine.
    pub(crate) const NONE: Self = Self {
        secret: [0; HASH_MAX],
        key: [0; 32],
        vector: [0; 12],
        sequence: [0; 2],
    };

    /// Derives the keys of a traffic secret (RFC 8446, section 7.3).
    pub(crate) fn new<C: Crypto>(suite: Suite, secret: &Secret) -> Self {
        let mut keys = Self::NONE;
        keys.secret = secret.0;
        let hash = suite.hash();
        let key_len = suite.key_len();
        let key = expand_short::<C::Hasher>(hash, secret, b"key", &[], key_len);
        copy_whole(&mut keys.key, part(&key.0, ..key_len));
        let vector_len = keys.vector.len();
        let vector = expand_short::<C::Hasher>(hash, secret, b"iv", &[], vector_len);
        copy_whole(&mut keys.vector, part(&vector.0, ..vector_len));
        keys
    }

    /// Moves on to the next generation (RFC 8446, section 7.2).
    pub(crate) fn update<C: Crypto>(&mut self, suite: Suite) {
        let hash = suite.hash();
        let next = expand::<C::Hasher>(hash, &self.secret(), b"traffic upd", &[]);
        *self = Self::new::<C>(suite, &next);
    }

    /// Returns how many records these keys have protected.
    pub(crate) const fn sequence(&self) -> u64 {
        let [first, second] = self.sequence;
        let [a, b, c, d] = first.to_ne_bytes();
        let [e, f, g, h] = second.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    fn set_sequence(&mut self, sequence: u64) {
        let [a, b, c, d, e, f, g, h] = sequence.to_ne_bytes();
        self.sequence = [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes);
    }

    /// Forgets the records behind the first `sequence`, as if they had not been protected. Nobody
    /// may ever see them, since the next will have their nonces.
    pub(crate) fn take_back(&mut self, sequence: u64) {
        self.set_sequence(self.sequence().min(sequence));
    }

    /// Returns true if the keys have protected as many records as they should.
    pub(crate) const fn is_worn(&self) -> bool {
        self.sequence() >= RECORDS_MAX
    }

    /// Returns the traffic secret.
    pub(crate) const fn secret(&self) -> Secret {
        Secret(self.secret)
    }

    /// Replaces the traffic secret by that of the keys to come. These stay as they are.
    pub(crate) fn set_next_secret(&mut self, next: Secret) {
        self.secret = next.0;
    }

    /// Returns the nonce of the next record (RFC 8446, section 5.3) and counts it.
    fn nonce(&mut self) -> Result<[u8; 12], Alert> {
        let mut nonce = self.vector;
        let sequence = self.sequence();
        for (byte, count) in nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.set_sequence(sequence.checked_add(1).ok_or(Alert::INTERNAL_ERROR)?);
        Ok(nonce)
    }

    /// Decrypts the body of a record in place and returns what it carries and how much.
    ///
    /// On `bad_record_mac` the sequence has not moved, so that early data can be skipped, but
    /// the body's content is gone.
    pub(crate) fn open<C: Crypto>(
        &mut self,
        crypto: &mut C,
        suite: Suite,
        header: &[u8],
        body: &mut [u8],
    ) -> Result<(Content, usize), Alert> {
        let sequence = self.sequence();
        let Some((data, tag)) = body.split_last_chunk_mut::<TAG>() else {
            return Err(Alert::BAD_RECORD_MAC);
        };
        let nonce = self.nonce()?;
        if let Err(alert) = crypto.open(suite, &self.key, &nonce, header, data, tag) {
            self.set_sequence(sequence);
            return Err(alert);
        }
        // One more than the plaintext: the content type.
        if data.len() > PLAINTEXT_MAX.saturating_add(1) {
            return Err(Alert::RECORD_OVERFLOW);
        }
        let end = data.iter().rposition(|byte| *byte != 0);
        let end = end.ok_or(Alert::UNEXPECTED_MESSAGE)?;
        let Some(code) = data.get(end) else {
            impossible!("a byte that was found is not there");
            return Err(Alert::INTERNAL_ERROR);
        };
        Ok((Content::from_code(*code)?, end))
    }

    /// Adds one protected record to `out`, with as much of `data` as `limit` plaintext bytes and
    /// the room allow; returns how much that was.
    pub(crate) fn seal<C: Crypto>(
        &mut self,
        crypto: &mut C,
        suite: Suite,
        content: Content,
        data: &mut Parts<'_>,
        limit: usize,
        out: &mut Output<'_>,
    ) -> Result<usize, Alert> {
        let room = out
            .room()
            .checked_sub(OVERHEAD)
            .ok_or(Alert::INTERNAL_ERROR)?;
        let max = limit.min(room);
        let code = [content.code()];
        let first = data.take(max);
        let is_whole = first.len() >= max || data.is_empty();
        let place = out.spare().split_first_chunk_mut::<HEADER>();
        let (header, body) = place.ok_or(Alert::INTERNAL_ERROR)?;
        let mut body = Output::new(body);
        let mut len = first.len();
        if !is_whole {
            body.put(first)?;
            while len < max && !data.is_empty() {
                let part = data.take(max.wrapping_sub(len));
                body.put(part)?;
                len = len.wrapping_add(part.len());
            }
            body.put(&code)?;
        }
        // All of it fits the room, so that no sum is too large.
        let body_len = len.wrapping_add(OVERHEAD.wrapping_sub(HEADER));
        *header = header_of(Content::Data, body_len)?;
        let nonce = self.nonce()?;
        if is_whole {
            // It lies in one place, from which it is encrypted to where it goes.
            let body = part_mut(body.spare(), ..body_len);
            crypto.seal_into(suite, &self.key, &nonce, header, [first, &code], body)?;
        } else {
            let plaintext = body.written_mut(0, len.wrapping_add(1))?;
            let tag = crypto.seal(suite, &self.key, &nonce, header, plaintext)?;
            body.put(&tag)?;
        }
        out.commit(len.wrapping_add(OVERHEAD))?;
        Ok(len)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.secret.as_mut_slice().zeroize();
        self.key.as_mut_slice().zeroize();
        self.vector.as_mut_slice().zeroize();
    }
}

/// Adds a record's header.
pub(crate) fn put_header(out: &mut Output<'_>, content: Content, len: usize) -> Result<(), Alert> {
    out.put(&header_of(content, len)?)
}

/// Returns a record's header. The version is the frozen 0x0303.
fn header_of(content: Content, len: usize) -> Result<[u8; HEADER], Alert> {
    let len = u16::try_from(len).map_err(|_| Alert::INTERNAL_ERROR)?;
    let [high, low] = len.to_be_bytes();
    Ok([content.code(), 3, 3, high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_wear_out_with_the_last_record_that_they_should_protect() {
        let mut keys = Keys::NONE;
        for (sequence, is_worn) in [(0, false), (RECORDS_MAX - 1, false), (RECORDS_MAX, true)] {
            keys.set_sequence(sequence);
            assert_eq!(keys.is_worn(), is_worn);
        }
        keys.take_back(RECORDS_MAX - 1);
        assert!(!keys.is_worn());
    }
}
