//! Where an HTTP/1.1 response ends (RFC 9112, section 6.3), as far as it says so itself.

/// Longest head.
const HEAD_MAX: usize = 65_536;

/// Follows a response that comes in pieces.
pub(crate) struct Response {
    head: Vec<u8>,
    body: Body,
}

enum Body {
    /// The head has not come as a whole.
    Head,
    /// So many bytes are to come.
    Left(u64),
    /// Chunks are: the line of a length so far, and what is left of a chunk and its line end.
    Chunks {
        line: Vec<u8>,
        left: u64,
    },
    /// Behind the last chunk, trailer fields are: the line so far.
    Trailers(Vec<u8>),
    /// It ends with the connection.
    UntilEnd,
    Complete,
}

impl Response {
    pub(crate) const fn new() -> Self {
        Self {
            head: Vec::new(),
            body: Body::Head,
        }
    }

    /// Returns true if the response has come as a whole, by its own word.
    pub(crate) const fn is_complete(&self) -> bool {
        matches!(self.body, Body::Complete)
    }

    /// Takes bytes of it; returns true if it is complete.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_complete() {
            rest = match &mut self.body {
                Body::Head => self.read_head(rest),
                Body::Left(left) => {
                    let rest = skip(left, rest);
                    if *left == 0 {
                        self.body = Body::Complete;
                    }
                    rest
                }
                Body::Chunks { line, left: 0 } => {
                    let (byte, after) = rest.split_first().unwrap_or((&0, &[]));
                    line.push(*byte);
                    if *byte == b'\n' {
                        self.body = chunk(line);
                    }
                    after
                }
                Body::Chunks { left, .. } => skip(left, rest),
                Body::Trailers(line) => {
                    let (byte, after) = rest.split_first().unwrap_or((&0, &[]));
                    line.push(*byte);
                    if *byte == b'\n' && line.trim_ascii().is_empty() {
                        self.body = Body::Complete;
                    } else if *byte == b'\n' {
                        line.clear();
                    }
                    after
                }
                Body::UntilEnd | Body::Complete => &[],
            };
        }
        self.is_complete()
    }

    /// Adds to the head; returns what is behind it.
    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(&self.head) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if self.head.len() < HEAD_MAX => return &[],
            // It is no response; whatever it is ends with the connection.
            _ => {
                self.body = Body::UntilEnd;
                return &[];
            }
        };
        let code = response.code.unwrap_or_default();
        let body = body_of(code, response.headers);
        if (100..200).contains(&code) {
            // Another head follows.
            self.head.clear();
        } else {
            self.body = body;
        }
        bytes.get(len.saturating_sub(before)..).unwrap_or_default()
    }
}

/// Returns how the body of a response with this status and these fields is framed.
fn body_of(code: u16, fields: &[httparse::Header<'_>]) -> Body {
    if matches!(code, 204 | 304) {
        return Body::Complete;
    }
    let value = |name: &str| {
        let mut fields = fields.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        core::str::from_utf8(field.value).ok()
    };
    if let Some(codings) = value("transfer-encoding") {
        let last = codings.rsplit(',').next().unwrap_or_default();
        return match last.trim().eq_ignore_ascii_case("chunked") {
            true => Body::Chunks {
                line: Vec::new(),
                left: 0,
            },
            false => Body::UntilEnd,
        };
    }
    match value("content-length").map(|len| len.trim().parse()) {
        Some(Ok(0)) => Body::Complete,
        Some(Ok(len)) => Body::Left(len),
        _ => Body::UntilEnd,
    }
}

/// Returns what follows the line of a chunk's length.
fn chunk(line: &[u8]) -> Body {
    let line = line.trim_ascii();
    if line.is_empty() {
        // The line end of the chunk before.
        return Body::Chunks {
            line: Vec::new(),
            left: 0,
        };
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = core::str::from_utf8(digits.trim_ascii()).unwrap_or_default();
    match u64::from_str_radix(digits, 16) {
        Ok(0) => Body::Trailers(Vec::new()),
        Ok(left) => Body::Chunks {
            line: Vec::new(),
            left,
        },
        Err(_) => Body::UntilEnd,
    }
}

/// Skips as many bytes as are left; returns those behind.
fn skip<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let len = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    *left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    bytes.get(len..).unwrap_or_default()
}
