//! A small HTTP/1.1 server, as one writes it with the usual crates.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use crate::service::Service;

/// Fields that a request may have.
const FIELDS_MAX: usize = 32;
/// Bytes of a request, body included.
const REQUEST_MAX: usize = 65_536;
/// What `/` answers.
const GREETING: &str = "Hello from usockets!\n";

/// Answers `/` with a line of text and anything else with 404; knows keep-alive, pipelining and
/// bodies with a length. It has no timeouts, which this library's server has.
#[derive(Clone, Copy, Debug)]
pub struct Http;

impl Service for Http {
    /// The start of a request that is not complete.
    type State = Vec<u8>;

    fn answer<'a>(
        held: &mut Vec<u8>,
        data: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        scratch.clear();
        if held.is_empty() {
            let used = answer_all(data, scratch)?;
            held.extend_from_slice(&data[used..]);
        } else {
            held.extend_from_slice(data);
            let used = answer_all(held, scratch)?;
            held.drain(..used);
        }
        (held.len() <= REQUEST_MAX).then_some(scratch)
    }
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
        httparse::Status::Partial => return Some(0),
    };
    let mut body = 0_usize;
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            body = std::str::from_utf8(field.value).ok()?.parse().ok()?;
        } else if field.name.eq_ignore_ascii_case("transfer-encoding")
            || field.name.eq_ignore_ascii_case("connection")
                && field.value.eq_ignore_ascii_case(b"close")
        {
            return None;
        }
    }
    let length = head.checked_add(body)?;
    if input.len() < length {
        return Some(0);
    }
    let get = request.method == Some("GET");
    respond(out, get && request.path == Some("/"));
    Some(length)
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
