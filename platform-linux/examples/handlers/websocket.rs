//! WebSocket for servers (RFC 6455): the handshake, and messages of one frame.

use edge_http::ws::{MAX_BASE64_KEY_RESPONSE_LEN, upgrade_response_headers};
use edge_ws::{FrameHeader, FrameType};
use usockets::{Frame, Output};

/// A code of closing (RFC 6455, section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;
/// A code of closing (RFC 6455, section 7.4.1).
const UNSUPPORTED: u16 = 1003;
/// A code of closing (RFC 6455, section 7.4.1).
const NOT_TEXT: u16 = 1007;
/// A code of closing (RFC 6455, section 7.4.1).
const TOO_BIG: u16 = 1009;

/// What a client has sent.
pub(crate) enum Sent<'a> {
    /// A text, of so many bytes with its frame.
    Text(&'a str, usize),
    /// Something that is dealt with already, or is not complete.
    Other(Frame),
}

/// Reads what is at the front of `bytes`, and answers what answers itself. The text goes to
/// `memory`, whose length is the most that it may have.
pub(crate) fn read<'a>(bytes: &[u8], memory: &'a mut [u8], output: &mut Output<'_>) -> Sent<'a> {
    let refuse = |output: &mut Output<'_>, code| Sent::Other(refuse(bytes, output, code));
    let (header, start) = match FrameHeader::deserialize(bytes) {
        Ok(found) => found,
        Err(edge_ws::Error::Incomplete(_)) => return Sent::Other(Frame::Incomplete),
        Err(_) => return refuse(output, PROTOCOL_ERROR),
    };
    let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
    let Some(message) = memory.get_mut(..len) else {
        return refuse(output, TOO_BIG);
    };
    if header.mask_key.is_none() {
        return refuse(output, PROTOCOL_ERROR);
    }
    let end = start.saturating_add(len);
    let Some(payload) = bytes.get(start..end) else {
        return Sent::Other(Frame::Incomplete);
    };
    // Unmasked in a copy, as it is shown again if its answer has no room.
    message.copy_from_slice(payload);
    header.mask(message, 0);
    let used = match header.frame_type {
        FrameType::Text(false) => {
            return match core::str::from_utf8(message) {
                Ok(text) => Sent::Text(text, end),
                Err(_) => refuse(output, NOT_TEXT),
            };
        }
        FrameType::Ping if push(output, FrameType::Pong, message) => Frame::Used(end),
        FrameType::Pong => Frame::Used(end),
        FrameType::Close if push(output, FrameType::Close, message) => Frame::Last(end),
        FrameType::Ping | FrameType::Close => Frame::NoRoom,
        // Pieces of a message, and bytes that are no text.
        _ => return refuse(output, UNSUPPORTED),
    };
    Sent::Other(used)
}

/// Sends a text; whether it fits.
pub(crate) fn say(output: &mut Output<'_>, text: &str) -> bool {
    push(output, FrameType::Text(false), text.as_bytes())
}

/// Returns what stands before a text, and how many bytes of it count.
pub(crate) fn text_header(text: &str) -> ([u8; FrameHeader::MAX_LEN], usize) {
    header(FrameType::Text(false), text.as_bytes())
}

/// Answers a request: with a page, or by going over to WebSocket (RFC 6455, section 4.2).
pub(crate) fn request(bytes: &[u8], head_max: usize, page: &str, output: &mut Output<'_>) -> Frame {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < head_max => return Frame::Incomplete,
        _ => return Frame::Last(bytes.len()),
    };
    let fields = request.headers.iter();
    let fields = fields.filter_map(|it| Some((it.name, core::str::from_utf8(it.value).ok()?)));
    let mut key = [0; MAX_BASE64_KEY_RESPONSE_LEN];
    let Ok(answer) = upgrade_response_headers(fields, None, &mut key) else {
        return if output.push_all(page.as_bytes()) {
            Frame::Last(len)
        } else {
            Frame::NoRoom
        };
    };
    let mut fits = output.push_all(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in answer.iter().filter(|(name, _)| !name.is_empty()) {
        for part in [name, ": ", value, "\r\n"] {
            fits &= output.push_all(part.as_bytes());
        }
    }
    if fits && output.push_all(b"\r\n") {
        Frame::Used(len)
    } else {
        Frame::NoRoom
    }
}

fn header(frame_type: FrameType, payload: &[u8]) -> ([u8; FrameHeader::MAX_LEN], usize) {
    let payload_len = u64::try_from(payload.len()).unwrap_or(0);
    let mut bytes = [0; FrameHeader::MAX_LEN];
    let header = FrameHeader {
        frame_type,
        payload_len,
        mask_key: None,
    };
    let len = header.serialize(&mut bytes).unwrap_or(0);
    (bytes, len)
}

/// Puts a frame into the output; whether it fits.
fn push(output: &mut Output<'_>, frame_type: FrameType, payload: &[u8]) -> bool {
    let (bytes, len) = header(frame_type, payload);
    output.push_all(bytes.get(..len).unwrap_or_default()) && output.push_all(payload)
}

/// Tells a client that has broken the rules why the connection ends.
fn refuse(bytes: &[u8], output: &mut Output<'_>, code: u16) -> Frame {
    if push(output, FrameType::Close, &code.to_be_bytes()) {
        Frame::Last(bytes.len())
    } else {
        Frame::NoRoom
    }
}
