//! Reading HTTP responses that come in pieces (RFC 9112, section 6.3).

use core::fmt::{self, Display, Formatter};

use usockets::Buffer;

use crate::chunked::{Chunked, Next};
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
    /// The response whose body is being read.
    body: Option<Body>,
    hash: u64,
}

/// A response's body, and how far it was read.
#[derive(Debug)]
struct Body {
    framing: Framing,
    /// Bytes of it that came.
    position: u64,
    /// The connection ends with it.
    closes: bool,
}

/// Where a body ends.
#[derive(Debug)]
enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked(Chunked),
    /// With the connection.
    Close,
}

/// Why a response is not what was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// It is no response, or nobody can tell where it ends.
    Malformed,
    /// Its status is no success.
    Status(u16),
    /// Its body is not as long as it was to be.
    Length,
    /// Its body has other bytes.
    Body,
    /// It answers nothing.
    Unasked,
}

impl Display for Wrong {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not well-formed"),
            Self::Status(code) => write!(f, "status {code}"),
            Self::Length => f.write_str("a body of another length"),
            Self::Body => f.write_str("a body with other bytes"),
            Self::Unasked => f.write_str("more than was asked for"),
        }
    }
}

/// A response was read to its end.
#[derive(Debug)]
pub(crate) struct Complete<'d> {
    /// What comes after it.
    pub(crate) rest: &'d [u8],
    /// The connection ends with it.
    pub(crate) closes: bool,
}

impl Responses {
    /// Starts before the first response.
    pub(crate) const fn new() -> Self {
        Self {
            held: Buffer::EMPTY,
            body: None,
            hash: HASH_START,
        }
    }

    /// Returns true if no response has begun.
    pub(crate) fn is_between(&self) -> bool {
        self.held.is_empty() && self.body.is_none()
    }

    /// Reads bytes up to the end of a response. `None` if it is not complete; `same` is the hash
    /// of all bodies so far.
    pub(crate) fn read<'d>(
        &mut self,
        data: &'d [u8],
        expected: Expected,
        same: &mut Option<u64>,
    ) -> Result<Option<Complete<'d>>, Wrong> {
        let mut rest = data;
        let mut body = match self.body.take() {
            Some(body) => body,
            None => match self.head(&mut rest)? {
                Some(body) => body,
                None => return Ok(None),
            },
        };
        if let (Framing::Length(length), Expected::Pattern { length: expected }) =
            (&body.framing, expected)
            && *length != expected
        {
            return Err(Wrong::Length);
        }
        let is_complete = self.body(&mut body, &mut rest, expected)?;
        if !is_complete {
            self.body = Some(body);
            return Ok(None);
        }
        self.complete(&body, expected, same)?;
        let closes = body.closes;
        Ok(Some(Complete { rest, closes }))
    }

    /// The connection has ended. Returns true if a response ended with it.
    pub(crate) fn end(
        &mut self,
        expected: Expected,
        same: &mut Option<u64>,
    ) -> Result<bool, Wrong> {
        match self.body.take() {
            Some(body) if matches!(body.framing, Framing::Close) => {
                self.complete(&body, expected, same)?;
                Ok(true)
            }
            body => {
                self.body = body;
                Ok(false)
            }
        }
    }

    /// Uses bytes of a body. Returns true at its end.
    fn body(
        &mut self,
        body: &mut Body,
        rest: &mut &[u8],
        expected: Expected,
    ) -> Result<bool, Wrong> {
        loop {
            let left = match &mut body.framing {
                Framing::Length(length) => length.saturating_sub(body.position),
                Framing::Close => u64::MAX,
                Framing::Chunked(chunked) => {
                    let (count, next) = chunked.read(rest).map_err(|_| Wrong::Malformed)?;
                    *rest = rest.get(count..).unwrap_or_default();
                    match next {
                        Next::End => 0,
                        Next::Framing => return Ok(false),
                        Next::Data(left) => left,
                    }
                }
            };
            if left == 0 || rest.is_empty() {
                return Ok(left == 0);
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let (data, after) = rest.split_at_checked(count).unwrap_or_default();
            body.position = self.check(data, body.position, expected)?;
            *rest = after;
            if let Framing::Chunked(chunked) = &mut body.framing {
                chunked.took(widen(count));
            }
        }
    }

    /// A response is complete: its body is to be the one that was expected.
    fn complete(
        &mut self,
        body: &Body,
        expected: Expected,
        same: &mut Option<u64>,
    ) -> Result<(), Wrong> {
        if let Expected::Pattern { length } = expected
            && body.position != length
        {
            return Err(Wrong::Length);
        }
        let hash = core::mem::replace(&mut self.hash, HASH_START);
        if *same.get_or_insert(hash) != hash {
            return Err(Wrong::Body);
        }
        Ok(())
    }

    /// Compares bytes of a body; returns the position after them.
    fn check(&mut self, mut body: &[u8], from: u64, expected: Expected) -> Result<u64, Wrong> {
        let end = from.saturating_add(widen(body.len()));
        if expected == Expected::Same {
            for byte in body {
                self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(HASH_FACTOR);
            }
            return Ok(end);
        }
        let mut position = from;
        while position < end {
            let wanted = part(&PATTERN, position, end);
            body = body.strip_prefix(wanted).ok_or(Wrong::Body)?;
            position = position.saturating_add(widen(wanted.len()).max(1));
        }
        Ok(end)
    }

    /// Reads heads up to one that is no interim response's (RFC 9110, section 15.2); its body, if
    /// it is complete.
    fn head(&mut self, rest: &mut &[u8]) -> Result<Option<Body>, Wrong> {
        loop {
            let held = self.held.len();
            let found = if held == 0 {
                // The usual head is read where it lies.
                parse(rest)?
            } else {
                let _ = self.held.push(rest);
                parse(self.held.filled())?
            };
            let Some((len, body)) = found else {
                if held == 0 {
                    let _ = self.held.push(rest);
                }
                let is_longest = self.held.room() == 0;
                *rest = &[];
                return if is_longest {
                    Err(Wrong::Malformed)
                } else {
                    Ok(None)
                };
            };
            *rest = rest.get(len.saturating_sub(held)..).unwrap_or_default();
            self.held.clear();
            if body.is_some() {
                return Ok(body);
            }
        }
    }
}

/// Parses a head: its length and the body that follows, `None` after an interim response.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Option<Body>)>, Wrong> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|_| Wrong::Malformed)?;
    let httparse::Status::Complete(len) = parsed else {
        return Ok(None);
    };
    let code = response.code.unwrap_or(0);
    match code {
        // Nobody asked to go over to another protocol.
        101 => return Err(Wrong::Status(code)),
        100..200 => return Ok(Some((len, None))),
        200..300 => {}
        _ => return Err(Wrong::Status(code)),
    }
    let (mut length, mut is_chunked) = (None, false);
    let mut closes = response.version == Some(0);
    for field in response.headers.iter() {
        let value = core::str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("content-length") {
            let number: u64 = value.parse().map_err(|_| Wrong::Malformed)?;
            if length.replace(number).is_some_and(|other| other != number) {
                return Err(Wrong::Malformed);
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(Wrong::Malformed);
            }
            is_chunked = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            for option in value.split(',').map(str::trim) {
                closes |= option.eq_ignore_ascii_case("close");
                closes &= !option.eq_ignore_ascii_case("keep-alive");
            }
        }
    }
    let framing = match (length, is_chunked) {
        _ if code == 204 => Framing::Length(0),
        (Some(_), true) => return Err(Wrong::Malformed),
        (None, true) => Framing::Chunked(Chunked::new()),
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::Close,
    };
    let body = Body {
        closes: closes || matches!(framing, Framing::Close),
        framing,
        position: 0,
    };
    Ok(Some((len, Some(body))))
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
