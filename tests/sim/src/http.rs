//! Enough of HTTP/1.1 (RFC 9112) to tell whether a stream of responses to GET is complete.

use crate::peer::Talk;

/// Checks that each request that was said whole has one complete response, and nothing else came.
pub(crate) fn check(talk: &Talk) -> Result<(), String> {
    let asked = talk
        .said
        .windows(4)
        .filter(|end| end == b"\r\n\r\n")
        .count();
    let mut rest = talk.heard.as_slice();
    let mut answered = 0;
    let mut closing = false;
    while !rest.is_empty() {
        if closing {
            return Err("bytes after a response that closes the connection".into());
        }
        let Some(response) = next(rest)? else { break };
        rest = &rest[response.len..];
        closing = response.closes;
        answered += usize::from(response.code >= 200);
    }
    if answered > asked && !closing {
        return Err(format!("{answered} responses to {asked} requests"));
    }
    if talk.is_whole && !rest.is_empty() {
        return Err(format!("response {answered} breaks off"));
    }
    if talk.is_whole && answered < asked && !closing {
        return Err(format!("{answered} responses to {asked} requests"));
    }
    Ok(())
}

struct Response {
    code: u16,
    len: usize,
    closes: bool,
}

/// Reads one response; `None` if it is not all there.
fn next(stream: &[u8]) -> Result<Option<Response>, String> {
    let Some(end) = stream.windows(4).position(|end| end == b"\r\n\r\n") else {
        let start = &stream[..stream.len().min(9)];
        if !b"HTTP/1.1 ".starts_with(start) && !b"HTTP/1.0 ".starts_with(start) {
            return Err(format!("\"{}\" starts no response", start.escape_ascii()));
        }
        return Ok(None);
    };
    let head = str::from_utf8(&stream[..end]).map_err(|_| "a head that is not text")?;
    let mut lines = head.split("\r\n");
    let code = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5)?.parse::<u16>().ok());
    let code = code.ok_or_else(|| format!("no status line: \"{}\"", head.escape_default()))?;
    let (mut length, mut chunked, mut closes) = (0, false, false);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a field without a colon")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| "a length that is no number")?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let body = &stream[end + 4..];
    let length = if chunked { chunks(body)? } else { Some(length) };
    Ok(length.filter(|len| *len <= body.len()).map(|len| Response {
        code,
        len: end + 4 + len,
        closes,
    }))
}

/// Returns the length of a chunked body with its frame; `None` if it is not all there.
fn chunks(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(line) = body[at..].windows(2).position(|end| end == b"\r\n") else {
            return Ok(None);
        };
        let size = str::from_utf8(&body[at..at + line]).map_err(|_| "a size that is not text")?;
        let size = usize::from_str_radix(size, 16).map_err(|_| "a size that is no number")?;
        at = at.saturating_add(line + 2 + size);
        match body.get(at..at.saturating_add(2)) {
            None => return Ok(None),
            Some(b"\r\n") => at += 2,
            Some(_) => return Err("a chunk that is longer than it says".into()),
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
