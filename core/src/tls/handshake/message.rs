//! Handshake messages (RFC 8446, section 4): their kinds, and the buffer in which they are put
//! together.

use crate::invariant::{impossible, invariant};
use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Hasher, MessageRoom};
use crate::tls::handshake::transcript::Transcript;
use crate::tls::record::protection::Content;
use crate::tls::wire::{Output, Reader, copy_whole, part, part_mut, split};

/// Bytes of a handshake message's header.
pub(crate) const MESSAGE_HEADER: usize = 4;

pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const NEW_SESSION_TICKET: u8 = 4;
pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const CERTIFICATE_REQUEST: u8 = 13;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
pub(crate) const FINISHED: u8 = 20;

/// Returns a message's content, without its header.
pub(crate) fn content(message: &[u8]) -> &[u8] {
    part(message, MESSAGE_HEADER..)
}

/// Adds a handshake message whose content `body` writes, and hashes it.
pub(crate) fn put_message<H: Hasher>(
    out: &mut Output<'_>,
    transcript: &mut Transcript<H>,
    kind: u8,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    let start = out.len();
    out.u8(kind)?;
    out.vector24(body)?;
    transcript.update(out.written(start)?);
    Ok(())
}

/// Adds a hello in a record of its own. `minor` is that of the record's version.
pub(crate) fn put_hello(
    out: &mut Output<'_>,
    minor: u8,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    out.put(&[Content::Handshake.code(), 3, minor])?;
    out.vector16(body)
}

/// Adds a change-cipher-spec record, which means nothing but lets old middleboxes believe that it
/// is TLS 1.2 (RFC 8446, appendix D.4).
pub(crate) fn put_change(out: &mut Output<'_>) -> Result<(), Alert> {
    out.put(&[Content::ChangeCipherSpec.code(), 3, 3, 0, 1, 1])
}

/// Handshake messages put together from records, and the next flight before it is protected.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Message<R> {
    room: R,
    len: usize,
    /// Where the current message starts: behind an earlier one that it refers to, or, in a flight
    /// of ours, behind what has been sent.
    start: usize,
}

impl<R: MessageRoom> Message<R> {
    pub(crate) const EMPTY: Self = Self {
        room: R::EMPTY,
        len: 0,
        start: 0,
    };

    /// Adds the front of `bytes`, as much as there is room for, and returns how much.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let spare = part_mut(self.room.bytes_mut(), self.len..);
        let count = bytes.len().min(spare.len());
        copy_whole(spare, part(bytes, ..count));
        self.len = self.len.wrapping_add(count);
        count
    }

    /// Returns the length of the current message, header included, once it is complete. Its kind
    /// is checked by `expects` as soon as it is known, its length as soon as that is.
    ///
    /// # Errors
    /// `unexpected_message`: it is of another kind. `decode_error`: there is no room for it.
    pub(crate) fn complete(
        &self,
        expects: impl FnOnce(u8) -> bool,
    ) -> Result<Option<usize>, Alert> {
        let mut reader = Reader::new(part(self.room.bytes(), self.start..self.len));
        if reader.is_empty() {
            return Ok(None);
        }
        if !expects(reader.u8()?) {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let Ok(len) = reader.u24() else {
            return Ok(None);
        };
        let total = len.wrapping_add(MESSAGE_HEADER);
        if total > R::LEN.saturating_sub(self.start) {
            return Err(Alert::DECODE_ERROR);
        }
        Ok((reader.len() >= len).then_some(total))
    }

    /// Returns the kind of the current message, once it has begun.
    pub(crate) fn kind(&self) -> Option<u8> {
        part(self.room.bytes(), self.start..self.len)
            .first()
            .copied()
    }

    /// Returns the message kept in front and the current one, which is `total` bytes long.
    pub(crate) fn current(&self, total: usize) -> (&[u8], &[u8]) {
        let (kept, rest) = split(self.room.bytes(), self.start);
        (kept, part(rest, ..total))
    }

    /// Returns whether nothing is behind the current message, which is `total` bytes long.
    pub(crate) const fn ends_with(&self, total: usize) -> bool {
        self.start.saturating_add(total) == self.len
    }

    /// Drops the current message, `total` bytes long, and the one kept in front.
    pub(crate) fn consume(&mut self, total: usize) {
        let end = self.start.saturating_add(total);
        invariant!(end <= self.len, "a message is dropped that is not whole");
        let end = end.min(self.len);
        let bytes = self.room.bytes_mut();
        if end <= self.len && self.len <= bytes.len() {
            bytes.copy_within(end..self.len, 0);
        } else {
            impossible!("there are more bytes than there is room for");
        }
        self.len = self.len.saturating_sub(end);
        self.start = 0;
    }

    /// Keeps the current message, `total` bytes long, in front of the next.
    pub(crate) fn keep(&mut self, total: usize) {
        invariant!(total <= self.len, "a message is kept that is not whole");
        self.start = total.min(self.len);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether a message has begun and is not complete.
    pub(crate) const fn is_partial(&self) -> bool {
        self.len > self.start
    }

    /// Returns the buffer as an output for our next flight. No message may be in it.
    pub(crate) fn output(&mut self) -> Output<'_> {
        invariant!(self.is_empty(), "a flight is made when all was read");
        Output::new(self.room.bytes_mut())
    }

    /// Returns the buffer as an output that goes on behind [`Self::unsent`].
    pub(crate) fn flight_output(&mut self) -> Output<'_> {
        Output::behind(self.room.bytes_mut(), self.len)
    }

    /// Returns the first `len` bytes of what [`Self::output`] wrote.
    pub(crate) fn flight(&self, len: usize) -> &[u8] {
        part(self.room.bytes(), ..len)
    }

    /// Keeps the first `len` bytes of what [`Self::output`] wrote until they are sent.
    pub(crate) const fn keep_written(&mut self, len: usize) {
        self.len = len;
        self.start = 0;
    }

    /// Returns what is left of them.
    pub(crate) fn unsent(&self) -> &[u8] {
        part(self.room.bytes(), self.start..self.len)
    }

    /// Counts `count` bytes that were sent; whether nothing is left.
    pub(crate) const fn sent(&mut self, count: usize) -> bool {
        self.start = self.start.saturating_add(count);
        if self.start >= self.len {
            self.clear();
        }
        self.is_empty()
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
        self.start = 0;
    }
}

#[cfg(feature = "search")]
impl<R: MessageRoom> core::hash::Hash for Message<R> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self { room, len, start } = self;
        // What is behind the length is written before it is read.
        part(room.bytes(), ..*len).hash(into);
        start.hash(into);
    }
}
