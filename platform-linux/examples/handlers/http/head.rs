//! The head of a request: where it ends, and what it says.

use core::mem::MaybeUninit;

use super::fields::Fields;
use super::reply::Status;

/// Header fields of one request: as many as a small machine's stack has room for, 16 bytes each.
const FIELDS_MAX: usize = if cfg!(target_os = "none") { 24 } else { 64 };

/// Bytes from a target to the end of its line: " HTTP/1.1".
const VERSION: usize = 9;

/// Bytes at the start of a head that are read however small the pieces are in which they come: what
/// speaks another protocol shows within them.
const START: usize = 16;

/// How much of a head that comes in pieces was read in vain.
///
/// A piece makes the head be read again only if that can tell something new, so that a client that
/// sends single bytes costs little.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    read: usize,
}

impl Pieces {
    /// Returns true if reading `bytes`, the front of which was read before, may tell something.
    pub(crate) fn are_worth_reading(&mut self, bytes: &[u8]) -> bool {
        let fresh = bytes.get(self.read..).unwrap_or_default();
        let worth = self.read < START || fresh.iter().any(u8::is_ascii_control);
        self.read = bytes.len();
        worth
    }

    /// Starts before the next head.
    pub(crate) const fn restart(&mut self) {
        self.read = 0;
    }
}

/// A request's method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// OPTIONS
    Options,
    /// Another one of RFC 9110, section 9, or PATCH (RFC 5789).
    Other,
}

impl Method {
    fn new(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "OPTIONS" => Self::Options,
            "PUT" | "DELETE" | "CONNECT" | "TRACE" | "PATCH" => Self::Other,
            _ => return None,
        })
    }
}

/// How the end of a request's body is found (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// After so many bytes; 0 when there is no body.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// What the head of a request says.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The target's path, without the query. "*" for the server as a whole.
    pub(crate) path: &'a str,
    /// Whether it is HTTP/1.1, not 1.0.
    pub(crate) is_1_1: bool,
    /// How the body ends.
    pub(crate) framing: Framing,
    /// Whether the client wants to send another request on this connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for "100 Continue" before it sends the body.
    pub(crate) expects_continue: bool,
    /// The head itself if the client offers to go over to another protocol, which
    /// [`Self::offers`] reads.
    upgrade: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads the head at the front of `bytes`. Returns it with its length; `None` when it is not
    /// complete.
    ///
    /// What this says of the front of a stream does not depend on how much of the stream is there:
    /// an error stays the same error.
    ///
    /// # Errors
    /// The status to answer with. The connection cannot be used any more after it.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Status> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
        let Ok(httparse::Status::Complete(len)) = parsed else {
            return incomplete(bytes, parsed.err()).map(|()| None);
        };
        let head = bytes.get(..len).unwrap_or(bytes);
        let (Some(name), Some(target)) = (request.method, request.path) else {
            return Err(Status::BadRequest);
        };
        // Each line as httparse saw it, looked up where it ends; only blanks may make one seem
        // not to. The method stands at the front unless httparse has skipped empty lines there.
        let mut values = request.headers.iter().map(|header| header.value);
        let ends = core::ptr::eq(name.as_ptr(), head.as_ptr())
            && ends_line(head, target.as_bytes(), VERSION)
            && values.all(|value| ends_line(head, value, 0))
            && head.ends_with(b"\r\n\r\n");
        if !ends && has_bare_feed(head) {
            return Err(Status::BadRequest);
        }
        let is_1_1 = request.version == Some(1);
        let fields = Fields::read(request.headers, is_1_1)?;
        let method = Method::new(name).ok_or(Status::NotImplemented)?;
        let head = Self {
            method,
            path: path(name, target)?,
            is_1_1,
            framing: fields.framing,
            keep_alive: fields.keep_alive,
            expects_continue: fields.expects_continue,
            upgrade: if fields.upgrades { head } else { &[] },
        };
        Ok(Some((head, len)))
    }

    /// Returns the protocols that the client offers to go over to, in its order. Several fields
    /// are one list (RFC 9110, section 5.3).
    pub(crate) fn offers(&self) -> impl Iterator<Item = &'a str> {
        let lines = self.upgrade.split(|byte| *byte == b'\n').skip(1);
        let fields = lines.filter_map(|line| core::str::from_utf8(line).ok()?.split_once(':'));
        let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let offers = fields.flat_map(|(_, value)| value.split(','));
        offers.map(str::trim).filter(|offer| !offer.is_empty())
    }
}

/// What is wrong with a head that is not complete, if anything is.
#[cold]
fn incomplete(bytes: &[u8], error: Option<httparse::Error>) -> Result<(), Status> {
    if has_bare_feed(bytes) {
        // An error before it comes first.
        let before = bytes.iter().scan(0_u8, |last, byte| {
            let is_bare = *byte == b'\n' && *last != b'\r';
            *last = *byte;
            (!is_bare).then_some(())
        });
        let before = bytes.get(..before.count()).unwrap_or_default();
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(before, &mut fields);
        incomplete(before, parsed.err())?;
        return Err(Status::BadRequest);
    }
    match error {
        None => Ok(()),
        Some(httparse::Error::TooManyHeaders) => Err(Status::HeaderFieldsTooLarge),
        Some(httparse::Error::Version) => version(bytes),
        Some(_) => Err(Status::BadRequest),
    }
}

/// Returns true if a line of `head` ends so many bytes behind `part`, which is a part of it.
#[inline]
fn ends_line(head: &[u8], part: &[u8], behind: usize) -> bool {
    let end = part.as_ptr_range().end.addr();
    let end = end.wrapping_sub(head.as_ptr().addr()).wrapping_add(behind);
    head.get(end..)
        .is_some_and(|rest| rest.starts_with(b"\r\n"))
}

/// Returns true if a line feed has no carriage return before it, which lets two recipients
/// disagree about where a line ends (RFC 9112, section 2.2). A carriage return alone is httparse's
/// to refuse.
fn has_bare_feed(bytes: &[u8]) -> bool {
    let after = bytes.get(1..).unwrap_or_default();
    let pairs = bytes.iter().zip(after);
    let bare = pairs.fold(false, |bare, (one, next)| {
        bare | ((*next == b'\n') & (*one != b'\r'))
    });
    bare | bytes.starts_with(b"\n")
}

/// Returns true if the first line has ended.
pub(crate) fn is_past_first_line(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

/// What is wrong with a first line whose version is not 1.0 or 1.1: nothing yet as long as it may
/// become one of HTTP's, 505 if it is one (RFC 9112, section 2.3).
fn version(bytes: &[u8]) -> Result<(), Status> {
    let line = bytes.split(|byte| *byte == b'\r').next();
    let line = line.unwrap_or_default();
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let version = words.nth(2).unwrap_or_default();
    let pattern = b"HTTP/0.0".iter().zip(version);
    let is_one = pattern.fold(version.len() <= 8, |is_one, (wanted, byte)| {
        is_one && (byte == wanted || (*wanted == b'0' && byte.is_ascii_digit()))
    });
    match version.len() {
        _ if !is_one => Err(Status::BadRequest),
        _ if line.len() == bytes.len() => Ok(()),
        8 => Err(Status::VersionNotSupported),
        _ => Err(Status::BadRequest),
    }
}

/// The path of a request target (RFC 9112, section 3.2).
fn path<'a>(method: &str, target: &'a str) -> Result<&'a str, Status> {
    if !target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(Status::BadRequest);
    }
    if target.starts_with('/') {
        return Ok(without_query(target));
    }
    if method == "CONNECT" || (target == "*" && method == "OPTIONS") {
        return Ok("*");
    }
    let (scheme, rest) = split_before(target, b":");
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Status::BadRequest);
    }
    let rest = rest.strip_prefix("://").unwrap_or_default();
    match split_before(rest, b"/?") {
        ("", _) => Err(Status::BadRequest),
        (_, path) if path.starts_with('/') => Ok(without_query(path)),
        _ => Ok("/"),
    }
}

fn without_query(path: &str) -> &str {
    split_before(path, b"?").0
}

/// Splits text before the first of some ASCII characters; at its end if there is none.
#[expect(
    clippy::manual_contains,
    reason = "`contains` looks for a byte by words: 70 bytes of code more, for one or two of them"
)]
fn split_before<'a>(text: &'a str, characters: &[u8]) -> (&'a str, &'a str) {
    let end = text
        .bytes()
        .position(|byte| characters.iter().any(|one| *one == byte));
    end.and_then(|end| text.split_at_checked(end))
        .unwrap_or((text, ""))
}
