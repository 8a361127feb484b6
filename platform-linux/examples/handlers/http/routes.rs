//! The targets of the example server.

use super::head::{Head, Method};
use super::reply::{Reply, Status};

/// What `/` answers.
const GREETING: &str = "Hello from usockets!\n";

/// Answers a request: `/` with a line of text, `/echo` with the body of a POST, `/bytes/N` with N
/// bytes, `/stats` with the loop's counters, `/status` with the machine's.
pub(crate) fn route(head: &Head<'_>) -> Reply {
    if head.path == "*" && head.method == Method::Options {
        return Reply::Options("GET, HEAD, POST, OPTIONS");
    }
    if head.path == "/echo" {
        return match head.method {
            Method::Post => Reply::Echo,
            Method::Options => Reply::Options("POST, OPTIONS"),
            _ => Reply::Allow("POST, OPTIONS"),
        };
    }
    let found = match head.path {
        "/" => Reply::Text(GREETING),
        "/stats" => Reply::Stats,
        "/status" => Reply::Report,
        path => match path.strip_prefix("/bytes/").and_then(number) {
            Some(count) => Reply::Pattern(count),
            None => return Reply::Status(Status::NotFound),
        },
    };
    match head.method {
        Method::Get | Method::Head => found,
        Method::Options => Reply::Options("GET, HEAD, OPTIONS"),
        Method::Post | Method::Other => Reply::Allow("GET, HEAD, OPTIONS"),
    }
}

/// Reads digits, and nothing else.
fn number(digits: &str) -> Option<u64> {
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok()).flatten()
}
