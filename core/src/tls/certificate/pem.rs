//! PEM (RFC 7468): certificates and keys as text.

/// The sections of a PEM text, decoded one by one into the caller's memory.
///
/// ```
/// use usockets::tls::Pem;
///
/// let text = "-----BEGIN NOTHING-----\nAQID\n-----END NOTHING-----\n";
/// let mut pem = Pem::new(text.as_bytes());
/// let mut memory = [0; 16];
/// assert_eq!(pem.next("NOTHING", &mut memory), Some(&mut [1, 2, 3][..]));
/// assert_eq!(pem.next("NOTHING", &mut memory), None);
/// ```
#[derive(Clone, Debug)]
pub struct Pem<'t> {
    rest: &'t [u8],
}

impl<'t> Pem<'t> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub const fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    /// Decodes the next section whose label is `label`, such as `CERTIFICATE`, to the front of
    /// `memory` and returns it; others are skipped. `None` when there is no more, when it is
    /// malformed, or when it does not fit: three bytes are needed for every four characters.
    pub fn next<'m>(&mut self, label: &str, memory: &'m mut [u8]) -> Option<&'m mut [u8]> {
        loop {
            let found = self.line()?.strip_prefix(b"-----BEGIN ");
            let found = found.and_then(|line| line.strip_suffix(b"-----"));
            if found == Some(label.as_bytes()) {
                break;
            }
        }
        let mut decoder = Decoder::default();
        let mut len = 0_usize;
        loop {
            let line = self.line()?;
            if line.starts_with(b"-----END ") {
                return memory.get_mut(..len);
            }
            for character in line {
                if let Some(byte) = decoder.push(*character)? {
                    *memory.get_mut(len)? = byte;
                    len = len.saturating_add(1);
                }
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

/// Base64 (RFC 4648, section 4), a character at a time.
#[derive(Default)]
struct Decoder {
    bits: u32,
    count: u32,
    has_ended: bool,
}

impl Decoder {
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
