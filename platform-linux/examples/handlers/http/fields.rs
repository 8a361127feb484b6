//! What the header fields of a request mean for its framing and its connection.

use httparse::Header;

use super::head::Framing;
use super::reply::Status;

/// What the header fields say, as far as it matters to the connection.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: Option<&'a str>,
}

/// The fields of interest, before it is known how they go together.
#[derive(Debug, Default)]
struct Found<'a> {
    hosts: u8,
    length: Option<u64>,
    coding: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    upgrades: bool,
    upgrade: Option<&'a str>,
    expects_continue: bool,
}

impl<'a> Fields<'a> {
    /// Reads the header fields of one request.
    ///
    /// # Errors
    /// The status to answer with: 400 for what is ambiguous or malformed, 413 for a length that
    /// nobody can have, 417 and 501 for what is not supported.
    pub(crate) fn read(headers: &[Header<'a>], is_1_1: bool) -> Result<Self, Status> {
        let mut found = Found::default();
        for header in headers {
            found.see(header)?;
        }
        // RFC 9112, section 3.2: one Host field in each request of HTTP/1.1, never two.
        if found.hosts > 1 || (is_1_1 && found.hosts == 0) {
            return Err(Status::BadRequest);
        }
        let framing = match (found.coding, found.length) {
            (None, length) => Framing::Length(length.unwrap_or(0)),
            // RFC 9112, section 6.1: with a length too, or in HTTP/1.0, the framing is faulty.
            (Some(_), Some(_)) => return Err(Status::BadRequest),
            (Some(_), None) if !is_1_1 => return Err(Status::BadRequest),
            (Some(coding), None) => transfer_coding(coding)?,
        };
        let upgrades = found.upgrades && is_1_1;
        Ok(Self {
            framing,
            keep_alive: !found.close && (is_1_1 || found.keep_alive),
            // RFC 9110, section 10.1.1: a server ignores the expectation of HTTP/1.0, and that
            // of a request without a body.
            expects_continue: found.expects_continue && is_1_1 && framing != Framing::Length(0),
            upgrade: found.upgrade.filter(|_| upgrades),
        })
    }
}

impl<'a> Found<'a> {
    fn see(&mut self, header: &Header<'a>) -> Result<(), Status> {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => {
                self.hosts = self.hosts.saturating_add(1);
                if !value.iter().all(is_host) {
                    return Err(Status::BadRequest);
                }
            }
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Status::ExpectationFailed);
                }
                self.expects_continue = true;
            }
            7 if is("upgrade") => self.upgrade = core::str::from_utf8(value).ok(),
            10 if is("connection") => self.connection(value),
            14 if is("content-length") => {
                // Two are refused even if they agree, as RFC 9112, section 6.3 allows.
                if self.length.is_some() {
                    return Err(Status::BadRequest);
                }
                self.length = Some(length(value)?);
            }
            17 if is("transfer-encoding") => {
                // A second field would go on with the list of the first. Nobody needs that.
                if self.coding.is_some() {
                    return Err(Status::BadRequest);
                }
                self.coding = Some(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrades |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// Reads a Content-Length: digits and nothing else (RFC 9110, section 8.6).
fn length(value: &[u8]) -> Result<u64, Status> {
    if value.is_empty() {
        return Err(Status::BadRequest);
    }
    let mut length = Some(0_u64);
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(Status::BadRequest);
        }
        let digit = u64::from(byte.saturating_sub(b'0'));
        length = length
            .and_then(|length| length.checked_mul(10))
            .and_then(|length| length.checked_add(digit));
    }
    length.ok_or(Status::ContentTooLarge)
}

/// Reads a Transfer-Encoding: "chunked" alone. Another coding below it is not implemented; without
/// it at the end the body would have no end (RFC 9112, sections 6.1 and 6.3).
fn transfer_coding(value: &[u8]) -> Result<Framing, Status> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let mut codings = value.rsplit(|byte| *byte == b',');
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(is_chunked) && !codings.any(is_chunked) {
        return Err(Status::NotImplemented);
    }
    Err(Status::BadRequest)
}

/// The bytes of a host name, an address and a port (RFC 3986, section 3.2).
const fn is_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'['
                | b']'
        )
}
