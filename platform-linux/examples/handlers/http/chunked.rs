//! The chunked transfer coding (RFC 9112, section 7.1).

use super::reply::Status;

/// Bytes of chunk extensions in one body: nobody needs them, and they cost time.
const EXTENSIONS_MAX: u16 = 1024;
/// Bytes of trailer fields.
const TRAILERS_MAX: u16 = 2048;
/// Hexadecimal digits of a chunk's length.
const DIGITS_MAX: u8 = 16;

/// Finds the data in a body that comes in pieces. Holds none of it.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Length of the chunk as far as it is known, then what is left of it.
    left: u64,
    digits: u8,
    extensions: u16,
    trailers: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Length,
    /// Whitespace before an extension, which RFC 9112 has recipients accept.
    Blank,
    Extension,
    LengthEnd,
    Data,
    DataEnd,
    DataEndFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    BodyEnd,
    Done,
}

/// What follows the framing that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// More framing, not here yet.
    Framing,
    /// So many bytes of data, at least 1. Tell [`Chunked::took`].
    Data(u64),
    /// The next request.
    End,
}

impl Chunked {
    /// Starts before the first chunk.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Length,
            left: 0,
            digits: 0,
            extensions: 0,
            trailers: 0,
        }
    }

    /// Reads framing. Returns how many bytes it was, and what follows.
    ///
    /// # Errors
    /// The status to answer with.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Next), Status> {
        for (count, byte) in (0_usize..).zip(bytes) {
            match self.state {
                State::Data => return Ok((count, Next::Data(self.left))),
                State::Done => return Ok((count, Next::End)),
                _ => self.state = self.step(*byte)?,
            }
        }
        let next = match self.state {
            State::Data => Next::Data(self.left),
            State::Done => Next::End,
            _ => Next::Framing,
        };
        Ok((bytes.len(), next))
    }

    /// Notes that `count` bytes of data were taken.
    pub(crate) fn took(&mut self, count: u64) {
        self.left = self.left.saturating_sub(count);
        if self.left == 0 && self.state == State::Data {
            self.state = State::DataEnd;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, Status> {
        let bad = Err(Status::BadRequest);
        Ok(match (self.state, byte) {
            (State::Length, _) if byte.is_ascii_hexdigit() => self.digit(byte)?,
            (State::Length, b'\r') if self.digits > 0 => State::LengthEnd,
            (State::Length, b';' | b' ' | b'\t') if self.digits > 0 => self.extension(byte)?,
            (State::Blank, b' ' | b'\t' | b';') => self.extension(byte)?,
            (State::Extension, b'\r') => State::LengthEnd,
            (State::Extension, _) if is_text(byte) => self.extension(byte)?,
            (State::LengthEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            (State::DataEnd, b'\r') => State::DataEndFeed,
            (State::DataEndFeed, b'\n') => State::Length,
            (State::TrailerStart, b'\r') => State::BodyEnd,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.trailer(State::TrailerName)?
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::TrailerValue, _) if is_text(byte) => self.trailer(State::TrailerValue)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::BodyEnd, b'\n') => State::Done,
            _ => return bad,
        })
    }

    fn digit(&mut self, byte: u8) -> Result<State, Status> {
        let digit = match byte {
            b'0'..=b'9' => byte.saturating_sub(b'0'),
            b'a'..=b'f' => byte.saturating_sub(b'a').saturating_add(10),
            _ => byte.saturating_sub(b'A').saturating_add(10),
        };
        self.digits = self.digits.saturating_add(1);
        if self.digits > DIGITS_MAX {
            return Err(Status::BadRequest);
        }
        let length = self.left.checked_mul(16);
        let length = length.and_then(|length| length.checked_add(digit.into()));
        self.left = length.ok_or(Status::ContentTooLarge)?;
        Ok(State::Length)
    }

    fn extension(&mut self, byte: u8) -> Result<State, Status> {
        self.extensions = self.extensions.saturating_add(1);
        if self.extensions > EXTENSIONS_MAX {
            return Err(Status::BadRequest);
        }
        let blank = self.state != State::Extension && byte != b';';
        Ok(if blank {
            State::Blank
        } else {
            State::Extension
        })
    }

    fn trailer(&mut self, state: State) -> Result<State, Status> {
        self.trailers = self.trailers.saturating_add(1);
        if self.trailers > TRAILERS_MAX {
            return Err(Status::HeaderFieldsTooLarge);
        }
        Ok(state)
    }
}

/// The bytes of a field value (RFC 9110, section 5.5).
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The bytes of a field name (RFC 9110, section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
