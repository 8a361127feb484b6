//! A small HTTP/1.1 server, as one writes it with the usual crates.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use crate::service::Service;

/// Fields that a request may have.
const FIELDS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_MAX: usize = 8_192;
/// Time between requests, and for a request.
const IDLE_MAX: Duration = Duration::from_secs(65);
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request, body included.
const REQUEST_MAX: usize = 65_536;
/// What `/` answers.
const GREETING: &str = "Hello from usockets!\n";

/// Answers `/` with a line of text and anything else with 404; knows keep-alive, pipelining and
/// bodies with a length, with the limits and the timeouts of this library's server. Of the servers
/// here, the one on mio looks after the timeouts; the others never ask.
#[derive(Clone, Copy, Debug)]
pub struct Http;

impl Service for Http {
    type State = Held;

    fn is_over(state: &Held, now: Instant) -> bool {
        state.until.is_some_and(|until| until <= now)
    }

    fn answer<'a>(state: &mut Held, data: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        scratch.clear();
        let Held { bytes: held, until } = state;
        let was_idle = held.is_empty();
        if held.is_empty() {
            let used = answer_all(data, scratch)?;
            held.extend_from_slice(&data[used..]);
        } else {
            held.extend_from_slice(data);
            let used = answer_all(held, scratch)?;
            held.drain(..used);
        }
        if held.is_empty() {
            *until = Some(Instant::now() + IDLE_MAX);
        } else if was_idle || !scratch.is_empty() {
            *until = Some(Instant::now() + REQUEST_TIME);
        }
        (held.len() <= REQUEST_MAX).then_some(scratch)
    }
}

/// What is kept of a connection.
#[derive(Debug, Default)]
pub struct Held {
    /// The start of a request that is not complete.
    bytes: Vec<u8>,
    /// When its time is over.
    until: Option<Instant>,
}

/// Answers every complete request at the front of `input`; returns how many bytes they had.
fn answer_all(input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut used = 0;
    while used < input.len() {
        match answer_one(&input[used..], out)? {
            0 => break,
            count => used += count,
        }
    }
    Some(used)
}

/// Answers one request and returns its length; 0 if it is not complete, `None` if it is bad or
/// the last.
fn answer_one(input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head = match request.parse(input).ok()? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if input.len() >= HEAD_MAX => return None,
        httparse::Status::Partial => return Some(0),
    };
    if head > HEAD_MAX || has_bare_feed(&input[..head]) {
        return None;
    }
    let body = body_length(request.headers, request.version == Some(1))?;
    let target = request.path?;
    let is_target = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !target.bytes().all(is_target) {
        return None;
    }
    let length = head.checked_add(body)?;
    if input.len() < length {
        return Some(0);
    }
    let get = request.method == Some("GET");
    respond(out, get && target == "/");
    Some(length)
}

/// Returns how long the body is; `None` if that is not clear, or if another request may not follow.
fn body_length(fields: &[httparse::Header<'_>], is_1_1: bool) -> Option<usize> {
    let (mut length, mut hosts) = (None, 0);
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => {
                hosts += 1;
                if !field.value.iter().all(u8::is_ascii_graphic) {
                    return None;
                }
            }
            6 if is("expect") => return None,
            10 if is("connection") => {
                let mut options = field.value.split(|byte| *byte == b',');
                if options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close")) {
                    return None;
                }
            }
            14 if is("content-length") => {
                let digits = std::str::from_utf8(field.value).ok()?;
                if length.is_some() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                length = Some(digits.parse().ok()?);
            }
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
    }
    (is_1_1 && hosts == 1).then(|| length.unwrap_or(0))
}

/// Returns true if a line ends with a line feed alone, which httparse lets pass. All bytes are
/// compared, so that the compiler compares many at once.
fn has_bare_feed(head: &[u8]) -> bool {
    let pairs = head.iter().zip(&head[1..]);
    pairs.fold(false, |bare, (one, next)| {
        bare | ((*next == b'\n') & (*one != b'\r'))
    })
}

fn respond(out: &mut Vec<u8>, found: bool) {
    let (status, body) = if found {
        ("200 OK", GREETING)
    } else {
        ("404 Not Found", "Not Found\n")
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    append_date(out);
    out.extend_from_slice(b"\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60");
    out.extend_from_slice(b"\r\nContent-Type: text/plain\r\nContent-Length: ");
    let tens = u8::try_from(body.len() / 10 % 10).unwrap_or(0);
    let ones = u8::try_from(body.len() % 10).unwrap_or(0);
    out.extend_from_slice(&[b'0' + tens, b'0' + ones]);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body.as_bytes());
}

/// The date, and how long it holds.
struct Date {
    text: String,
    until: Option<Instant>,
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { text: String::new(), until: None }) };
}

/// Appends the date, which is made once per second.
fn append_date(out: &mut Vec<u8>) {
    DATE.with_borrow_mut(|date| {
        let now = Instant::now();
        if date.until.is_none_or(|until| until <= now) {
            let wall = SystemTime::now();
            let since = wall.duration_since(SystemTime::UNIX_EPOCH);
            let nanos = since.map_or(0, |since| since.subsec_nanos());
            date.text = httpdate::fmt_http_date(wall);
            date.until = Some(now + Duration::from_secs(1) - Duration::from_nanos(nanos.into()));
        }
        out.extend_from_slice(date.text.as_bytes());
    });
}
