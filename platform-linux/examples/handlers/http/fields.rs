//! What the header fields of a request mean for its framing and its connection.

use httparse::Header;

use super::head::Framing;
use super::reply::Status;

/// What the header fields say, as far as it matters to the connection.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    /// Whether the client offers to go over to another protocol.
    pub(crate) upgrades: bool,
}

/// The fields of interest, before it is known how they go together.
#[derive(Debug, Default)]
struct Found {
    hosts: u8,
    length: Option<u64>,
    codings: Option<Codings>,
    close: bool,
    keep_alive: bool,
    upgrades: bool,
    has_upgrade: bool,
    expects_continue: bool,
}

/// What a Transfer-Encoding lists, as far as it was read.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    /// "chunked" is the last one.
    ends_chunked: bool,
    /// There are others, too.
    has_others: bool,
    /// Something stands where nothing may.
    is_bad: bool,
}

impl Fields {
    /// Reads the header fields of one request.
    ///
    /// # Errors
    /// The status to answer with: 400 for what is ambiguous or malformed, 413 for a length that
    /// nobody can have, 417 and 501 for what is not supported.
    pub(crate) fn read(headers: &[Header<'_>], is_1_1: bool) -> Result<Self, Status> {
        let mut found = Found::default();
        for header in headers {
            found.see(header)?;
        }
        // RFC 9112, section 3.2: one Host field in each request of HTTP/1.1, never two.
        if found.hosts > 1 || (is_1_1 && found.hosts == 0) {
            return Err(Status::BadRequest);
        }
        let framing = match (found.codings, found.length) {
            (None, length) => Framing::Length(length.unwrap_or(0)),
            // RFC 9112, section 6.1: with a length too, or in HTTP/1.0, the framing is faulty.
            (Some(_), Some(_)) => return Err(Status::BadRequest),
            (Some(_), None) if !is_1_1 => return Err(Status::BadRequest),
            (Some(codings), None) => codings.framing()?,
        };
        Ok(Self {
            framing,
            keep_alive: !found.close && (is_1_1 || found.keep_alive),
            // RFC 9110, section 10.1.1: a server ignores the expectation of HTTP/1.0, and that
            // of a request without a body.
            expects_continue: found.expects_continue && is_1_1 && framing != Framing::Length(0),
            // RFC 9110, section 7.8: an Upgrade that Connection does not name, or that comes with
            // HTTP/1.0, is ignored.
            upgrades: found.has_upgrade && found.upgrades && is_1_1,
        })
    }
}

impl Found {
    fn see(&mut self, header: &Header<'_>) -> Result<(), Status> {
        // httparse has taken the blanks around it.
        let value = header.value;
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => {
                self.hosts = self.hosts.saturating_add(1);
                if !value.iter().all(is_host) {
                    return Err(Status::BadRequest);
                }
            }
            6 if is("expect") => {
                for expectation in elements(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Status::ExpectationFailed);
                    }
                    self.expects_continue = true;
                }
            }
            7 if is("upgrade") => self.has_upgrade = true,
            10 if is("connection") => self.connection(value),
            14 if is("content-length") => {
                // Two are refused even if they agree, as RFC 9112, section 6.3 allows.
                if self.length.is_some() {
                    return Err(Status::BadRequest);
                }
                self.length = Some(length(value)?);
            }
            17 if is("transfer-encoding") => {
                // A second field goes on with the list of the first.
                self.codings.get_or_insert_default().see(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in elements(value) {
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

/// Returns the elements of a list. Empty ones do not count (RFC 9110, section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = value.split(|byte| *byte == b',');
    all.map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

impl Codings {
    /// Reads a Transfer-Encoding. An empty element is refused here, as nobody needs one, and who
    /// sees a body where another sees none can be deceived.
    fn see(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',') {
            let coding = coding.trim_ascii();
            self.is_bad |= coding.is_empty() || self.ends_chunked;
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.ends_chunked = true;
            } else {
                self.has_others = true;
            }
        }
    }

    /// Returns how the body ends: by "chunked" alone. Another coding below it is not implemented;
    /// without it at the end the body would have no end (RFC 9112, sections 6.1 and 6.3).
    const fn framing(self) -> Result<Framing, Status> {
        match self {
            Self { is_bad: true, .. }
            | Self {
                ends_chunked: false,
                ..
            } => Err(Status::BadRequest),
            Self {
                has_others: true, ..
            } => Err(Status::NotImplemented),
            _ => Ok(Framing::Chunked),
        }
    }
}

/// The bytes of a host name, an address and a port (RFC 3986, section 3.2): a bit for each.
const HOST: u128 = {
    let mut bits = 0;
    let mut byte = 0_u8;
    while byte.is_ascii() {
        if byte.is_ascii_alphanumeric() || is_host_mark(byte) {
            bits |= 1 << byte;
        }
        byte = byte.wrapping_add(1);
    }
    bits
};

fn is_host(byte: &u8) -> bool {
    byte.is_ascii() && HOST.wrapping_shr(u32::from(*byte)) & 1 != 0
}

const fn is_host_mark(byte: u8) -> bool {
    matches!(
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
