//! PEM (RFC 7468): certificates and keys as text.

use core::fmt;

/// The sections of a PEM text, decoded one by one into the caller's memory.
///
/// ```
/// use usockets::tls::{Pem, PemError};
///
/// let text = "-----BEGIN NOTHING-----\nAQID\n-----END NOTHING-----\n-----BEGIN NOTHING-----\nAQ";
/// let mut pem = Pem::new(text.as_bytes());
/// let mut memory = [0; 16];
/// assert_eq!(pem.next("NOTHING", &mut memory), Ok(Some(&mut [1, 2, 3][..])));
/// assert_eq!(pem.next("NOTHING", &mut memory), Err(PemError::Cut));
/// assert_eq!(pem.next("NOTHING", &mut memory), Ok(None));
/// ```
#[derive(Clone, Debug)]
pub struct Pem<'t> {
    rest: &'t [u8],
}

/// Why a section of a [`Pem`] text cannot be had.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PemError {
    /// The text ends within the section: it was cut.
    Cut,
    /// What is in the section is no base64, its end is that of another, or it has no beginning.
    Malformed,
    /// The section does not fit the memory: three bytes are needed for every four characters.
    TooLong,
    /// The section is encrypted with a password (RFC 1421, section 4.6.1.1). A key in PKCS #8 that
    /// is encrypted has a label of its own instead, `ENCRYPTED PRIVATE KEY`.
    Encrypted,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the PEM text ends within a section",
            Self::Malformed => {
                "a section of the PEM text is no base64, or has no beginning or end of its own"
            }
            Self::TooLong => "a section of the PEM text is too long",
            Self::Encrypted => "a section of the PEM text is encrypted with a password",
        })
    }
}

impl core::error::Error for PemError {}

impl<'t> Pem<'t> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub const fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    /// Decodes the next section whose label is `label`, such as `CERTIFICATE`, to the front of
    /// `memory` and returns it; others are skipped. `None` when there is no more.
    ///
    /// # Errors
    /// The section is cut, malformed, too long or encrypted. The next call goes on behind what was
    /// read of it. An end without a beginning is malformed too, and a text that ends with the front
    /// of a beginning is cut: no damage makes the sections fewer without a word, unless it takes
    /// whole ones.
    pub fn next<'m>(
        &mut self,
        label: &str,
        memory: &'m mut [u8],
    ) -> Result<Option<&'m mut [u8]>, PemError> {
        loop {
            let Some(line) = self.line() else {
                return Ok(None);
            };
            if labelled(line, b"-----BEGIN ") == Some(label.as_bytes()) {
                break;
            }
            if labelled(line, b"-----END ") == Some(label.as_bytes()) {
                return Err(PemError::Malformed);
            }
            if self.rest.is_empty() && is_cut(line, label) {
                return Err(PemError::Cut);
            }
        }
        let mut decoder = Decoder::default();
        let mut len = 0_usize;
        loop {
            let line = self.line().ok_or(PemError::Cut)?;
            if let Some(end) = labelled(line, b"-----END ") {
                let is_whole = end == label.as_bytes() && decoder.is_whole();
                let document = memory.get_mut(..len).filter(|_| is_whole);
                return document.map(Some).ok_or(PemError::Malformed);
            }
            if line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED") {
                return Err(PemError::Encrypted);
            }
            for character in line {
                let Some(byte) = decoder.push(*character).ok_or(PemError::Malformed)? else {
                    continue;
                };
                *memory.get_mut(len).ok_or(PemError::TooLong)? = byte;
                len = len.saturating_add(1);
            }
        }
    }

    /// Takes the next line, without what ends it.
    fn line(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end.and_then(|end| self.rest.split_at_checked(end)) {
            Some((line, rest)) => (line, rest.get(1..).unwrap_or_default()),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line.trim_ascii())
    }
}

/// Returns the label of a line that begins or ends a section.
fn labelled<'t>(line: &'t [u8], start: &[u8]) -> Option<&'t [u8]> {
    line.strip_prefix(start)?.strip_suffix(b"-----")
}

/// Returns true if a line is the front of the one that begins a section with the label.
fn is_cut(line: &[u8], label: &str) -> bool {
    let start = b"-----BEGIN ".iter();
    let mut whole = start.chain(label.as_bytes()).chain(b"-----");
    !line.is_empty() && line.iter().all(|byte| whole.next() == Some(byte))
}

/// Base64 (RFC 4648, section 4), a character at a time.
#[derive(Default)]
struct Decoder {
    bits: u32,
    count: u32,
    has_ended: bool,
}

impl Decoder {
    /// Returns true if no character is missing at the end.
    const fn is_whole(&self) -> bool {
        self.count < 6
    }

    /// Takes a character and returns a byte if one is complete; `None` if it has no place there.
    fn push(&mut self, character: u8) -> Option<Option<u8>> {
        let value = match character {
            b'A'..=b'Z' => character.checked_sub(b'A')?,
            b'a'..=b'z' => character.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => character.checked_sub(b'0')?.checked_add(52)?,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                self.has_ended = true;
                return Some(None);
            }
            _ => return None,
        };
        if self.has_ended {
            return None;
        }
        self.bits = (self.bits << 6) | u32::from(value);
        self.count = self.count.checked_add(6)?;
        let Some(left) = self.count.checked_sub(8) else {
            return Some(None);
        };
        self.count = left;
        let [byte, ..] = self.bits.checked_shr(left)?.to_le_bytes();
        Some(Some(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a section with these lines holds.
    fn read<'m>(text: &str, memory: &'m mut [u8]) -> Result<Option<&'m mut [u8]>, PemError> {
        Pem::new(text.as_bytes()).next("KEY", memory)
    }

    /// RFC 1421, section 4.6.1.1: only a whole header says that what follows is encrypted.
    #[test]
    fn a_header_says_that_a_section_is_encrypted() {
        let memory = &mut [0; 64];
        let encrypted = "-----BEGIN KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END KEY-----\n";
        assert_eq!(read(encrypted, memory), Err(PemError::Encrypted));
        let clear = "-----BEGIN KEY-----\nProc-Type: 4,MIC-CLEAR\n\nQUJD\n-----END KEY-----\n";
        assert_eq!(read(clear, memory), Err(PemError::Malformed));
        let word = "-----BEGIN KEY-----\nQUJDENCRYPTED\nAAA\n-----END KEY-----\n";
        let mut whole = [65, 66, 67, 16, 208, 145, 96, 244, 196, 12, 0, 0];
        assert_eq!(read(word, memory), Ok(Some(&mut whole[..])));
    }
}
