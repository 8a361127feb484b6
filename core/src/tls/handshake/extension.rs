//! Extensions of hellos (RFC 8446, section 4.2).

use crate::tls::alert::Alert;
use crate::tls::record::protection::PLAINTEXT_MAX;
use crate::tls::wire::{Output, Reader};

pub(crate) const SERVER_NAME: u16 = 0;
pub(crate) const MAX_FRAGMENT_LENGTH: u16 = 1;
pub(crate) const SUPPORTED_GROUPS: u16 = 10;
pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(crate) const APPLICATION_PROTOCOL: u16 = 16;
pub(crate) const RECORD_SIZE_LIMIT: u16 = 28;
pub(crate) const PRE_SHARED_KEY: u16 = 41;
pub(crate) const EARLY_DATA: u16 = 42;
pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
pub(crate) const COOKIE: u16 = 44;
pub(crate) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
pub(crate) const KEY_SHARE: u16 = 51;

/// Most extensions in one message; looking for duplicates costs the square of it.
const EXTENSIONS_MAX: usize = 128;

/// The extensions of one message, each at most once.
#[derive(Clone, Debug)]
pub(crate) struct Extensions<'a> {
    rest: Reader<'a>,
    seen: [u16; EXTENSIONS_MAX],
    count: usize,
}

impl<'a> Extensions<'a> {
    /// Reads the list, which ends the message.
    pub(crate) fn new(message: &mut Reader<'a>) -> Result<Self, Alert> {
        let list = message.vector16()?;
        message.end()?;
        Ok(Self {
            rest: Reader::new(list),
            seen: [0; EXTENSIONS_MAX],
            count: 0,
        })
    }

    /// Returns the next extension's number and content, `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<(u16, Reader<'a>)>, Alert> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let number = self.rest.u16()?;
        let content = Reader::new(self.rest.vector16()?);
        if self
            .seen
            .iter()
            .take(self.count)
            .any(|seen| *seen == number)
        {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        *self.seen.get_mut(self.count).ok_or(Alert::DECODE_ERROR)? = number;
        self.count = self.count.saturating_add(1);
        Ok(Some((number, content)))
    }

    /// Returns whether the extension that [`Self::next`] returned is the list's last.
    pub(crate) const fn is_last(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Returns the alert for an extension that has no place in a message of a server's: one that we
/// know is misplaced, another was not asked for (RFC 8446, section 4.2).
pub(crate) const fn misplaced(number: u16) -> Alert {
    match number {
        SERVER_NAME
        | SUPPORTED_GROUPS
        | SIGNATURE_ALGORITHMS
        | APPLICATION_PROTOCOL
        | RECORD_SIZE_LIMIT
        | PRE_SHARED_KEY
        | SUPPORTED_VERSIONS
        | COOKIE
        | PSK_KEY_EXCHANGE_MODES
        | KEY_SHARE => Alert::ILLEGAL_PARAMETER,
        _ => Alert::UNSUPPORTED_EXTENSION,
    }
}

/// Adds an extension whose content `body` writes.
pub(crate) fn put(
    out: &mut Output<'_>,
    number: u16,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    out.u16(number)?;
    out.vector16(body)
}

/// Adds the protocol names of ALPN (RFC 7301, section 3.1).
pub(crate) fn put_protocols<'a>(
    out: &mut Output<'_>,
    protocols: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Alert> {
    put(out, APPLICATION_PROTOCOL, |out| {
        out.vector16(|out| {
            for protocol in protocols {
                out.vector8(|out| out.put(protocol))?;
            }
            Ok(())
        })
    })
}

/// Reads the protocol names of ALPN: at least one, none of them empty.
pub(crate) fn protocols<'a>(content: &mut Reader<'a>) -> Result<&'a [u8], Alert> {
    let list = content.vector16()?;
    content.end()?;
    let mut rest = Reader::new(list);
    if rest.is_empty() {
        return Err(Alert::DECODE_ERROR);
    }
    while !rest.is_empty() {
        if rest.vector8()?.is_empty() {
            return Err(Alert::DECODE_ERROR);
        }
    }
    Ok(list)
}

/// Returns the largest fragment of a code from 1 to 4 (RFC 6066, section 4).
pub(crate) const fn fragment_len(code: u8) -> u16 {
    match code {
        0..=4 => 256 << code,
        _ => u16::MAX,
    }
}

/// Adds our own record size limit, the protocol's, which counts the content type.
pub(crate) fn put_record_size_limit(out: &mut Output<'_>) -> Result<(), Alert> {
    let limit = u16::try_from(PLAINTEXT_MAX).unwrap_or(u16::MAX);
    put(out, RECORD_SIZE_LIMIT, |out| {
        out.u16(limit.saturating_add(1))
    })
}

/// Reads a record size limit (RFC 8449, section 4): the peer's most plaintext bytes, which count
/// the content type.
pub(crate) fn record_size_limit(content: &mut Reader<'_>) -> Result<u16, Alert> {
    let limit = content.u16()?;
    content.end()?;
    if limit < 64 {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    Ok(limit)
}
