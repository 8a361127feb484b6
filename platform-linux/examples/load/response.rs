//! Reading HTTP responses that come in pieces.

use usockets::Buffer;

use crate::pattern::PATTERN;
use crate::plan::{Expected, part};

/// Longest head of a response.
const HEAD_MAX: usize = 4096;
const FIELDS_MAX: usize = 64;
/// Start of the hash of a body: FNV-1a.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_FACTOR: u64 = 0x0100_0000_01b3;

/// Reads the responses of one connection.
#[derive(Debug)]
pub(crate) struct Responses {
    /// The start of a head.
    held: Buffer<HEAD_MAX>,
    /// The body that is being read: its length and the position in it.
    body: Option<(u64, u64)>,
    hash: u64,
}

/// A response is not what was asked for.
#[derive(Debug)]
pub(crate) struct Wrong;

impl Responses {
    /// Starts before the first response.
    pub(crate) const fn new() -> Self {
        Self {
            held: Buffer::EMPTY,
            body: None,
            hash: HASH_START,
        }
    }

    /// Reads bytes up to the end of a response. Returns what is left of them, if a response is
    /// complete; `same` is the hash of all bodies so far.
    pub(crate) fn read<'d>(
        &mut self,
        data: &'d [u8],
        expected: Expected,
        same: &mut Option<u64>,
    ) -> Result<Option<&'d [u8]>, Wrong> {
        let mut rest = data;
        let (length, position) = match self.body {
            Some(body) => body,
            None => match self.head(&mut rest)? {
                Some(length) => (length, 0),
                None => return Ok(None),
            },
        };
        if let Expected::Pattern { length: expected } = expected
            && length != expected
        {
            return Err(Wrong);
        }
        let count = usize::try_from(length.saturating_sub(position)).unwrap_or(usize::MAX);
        let (body, rest) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        let position = self.check(body, position, expected)?;
        if position < length {
            self.body = Some((length, position));
            return Ok(None);
        }
        self.body = None;
        let hash = core::mem::replace(&mut self.hash, HASH_START);
        if *same.get_or_insert(hash) != hash {
            return Err(Wrong);
        }
        Ok(Some(rest))
    }

    /// Compares bytes of a body; returns the position after them.
    fn check(&mut self, mut body: &[u8], from: u64, expected: Expected) -> Result<u64, Wrong> {
        let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let end = from.saturating_add(len);
        if expected == Expected::Same {
            for byte in body {
                self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(HASH_FACTOR);
            }
            return Ok(end);
        }
        let mut position = from;
        while position < end {
            let wanted = part(&PATTERN, position, end);
            body = body.strip_prefix(wanted).ok_or(Wrong)?;
            position = position.saturating_add(u64::try_from(wanted.len()).unwrap_or(1));
        }
        Ok(end)
    }

    /// Reads a head; the length of the body, if the head is complete.
    fn head(&mut self, rest: &mut &[u8]) -> Result<Option<u64>, Wrong> {
        if self.held.is_empty() {
            // The usual head is read where it lies.
            if let Some((len, length)) = parse(rest)? {
                *rest = rest.get(len..).unwrap_or_default();
                return Ok(Some(length));
            }
        }
        let before = self.held.len();
        let pushed = self.held.push(rest);
        if let Some((len, length)) = parse(self.held.filled())? {
            *rest = rest.get(len.saturating_sub(before)..).unwrap_or_default();
            self.held.clear();
            return Ok(Some(length));
        }
        if pushed < rest.len() {
            Err(Wrong)
        } else {
            Ok(None)
        }
    }
}

/// Parses a head: its length and that of the body, if it is complete.
fn parse(bytes: &[u8]) -> Result<Option<(usize, u64)>, Wrong> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = response.parse(bytes).map_err(|_| Wrong)? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        return Err(Wrong);
    }
    let mut lengths = response.headers.iter();
    let length = lengths.find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| core::str::from_utf8(field.value).ok());
    let length = length.and_then(|text| text.parse().ok()).ok_or(Wrong)?;
    Ok(Some((len, length)))
}
