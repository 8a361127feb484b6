//! The head of a request: where it ends, and what it says.

use core::mem::MaybeUninit;

use super::fields::Fields;
use super::reply::Status;

/// Header fields of one request.
const FIELDS_MAX: usize = 64;

/// Finds the end of a head that comes in pieces, looking at each byte once.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// Bytes looked at.
    at: usize,
    /// Where the line that is being looked at starts.
    line: usize,
}

impl Scanner {
    /// Returns the length of the head at the front of `bytes`; `None` when it is not complete.
    /// Then `bytes` must come again at the front of the next call's.
    ///
    /// # Errors
    /// A line feed without a carriage return, or the other way round, either of which lets two
    /// recipients disagree about where a message ends (RFC 9112, section 2.2).
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        while let Some(rest) = bytes.get(self.at..)
            && let Some(found) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))
        {
            let end = self.at.saturating_add(found);
            match bytes.get(end..end.saturating_add(2)) {
                Some(b"\r\n") => {}
                None if bytes.get(end) == Some(&b'\r') => {
                    self.at = end;
                    return Ok(None);
                }
                _ => return Err(Status::BadRequest),
            }
            self.at = end.saturating_add(2);
            if end == self.line {
                return Ok(Some(core::mem::take(self).at));
            }
            self.line = self.at;
        }
        self.at = bytes.len();
        Ok(None)
    }

    /// Returns whether the first line has ended.
    pub(crate) const fn is_past_first_line(&self) -> bool {
        self.line > 0
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
    /// The protocol that the client offers to go over to.
    pub(crate) upgrade: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Reads a complete head.
    ///
    /// # Errors
    /// The status to answer with. The connection cannot be used any more after it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Status> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
            Ok(_) => return Err(Status::BadRequest),
            Err(httparse::Error::TooManyHeaders) => return Err(Status::HeaderFieldsTooLarge),
            Err(httparse::Error::Version) => return Err(version(bytes)),
            Err(_) => return Err(Status::BadRequest),
        }
        let (Some(name), Some(target)) = (request.method, request.path) else {
            return Err(Status::BadRequest);
        };
        let is_1_1 = request.version == Some(1);
        let fields = Fields::read(request.headers, is_1_1)?;
        let method = Method::new(name).ok_or(Status::NotImplemented)?;
        Ok(Self {
            method,
            path: path(name, target)?,
            is_1_1,
            framing: fields.framing,
            keep_alive: fields.keep_alive,
            expects_continue: fields.expects_continue,
            upgrade: fields.upgrade,
        })
    }
}

/// The status for a version that is not 1.0 or 1.1: 505 if it is one at all.
fn version(bytes: &[u8]) -> Status {
    let line = bytes.split(|byte| *byte == b'\r').next();
    let version = line.and_then(|line| line.rsplit(|byte| *byte == b' ').next());
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Status::VersionNotSupported
        }
        _ => Status::BadRequest,
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
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(Status::BadRequest);
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Status::BadRequest);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest.split_at_checked(end) {
        Some(("", _)) | None => Err(Status::BadRequest),
        Some((_, path)) if path.starts_with('/') => Ok(without_query(path)),
        Some(_) => Ok("/"),
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}
