//! The chat as a process, spoken to frame by frame (RFC 6455).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::Server;
use support::{Client, End, PATIENCE};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The handshake of RFC 6455, section 1.2, and the answer that it gives.
const HELLO: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn join(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    let head = client.send(HELLO.as_bytes()).take_until(b"\r\n\r\n");
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains(&format!("\r\nSec-WebSocket-Accept: {ACCEPT}\r\n")),
        "{head}"
    );
    client
}

/// A frame as clients send it: masked.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![kind];
    match u16::try_from(payload.len()).unwrap() {
        len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// The next frame that a client gets.
fn hear(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.take(2);
    let len = match head[1] {
        126 => usize::from(u16::from_be_bytes(client.take(2).try_into().unwrap())),
        len => usize::from(len),
    };
    (head[0], client.take(len))
}

#[test]
fn what_one_says_all_hear() {
    let server = Server::start("chat");
    let mut members: Vec<_> = (0..10).map(|_| join(server.addr)).collect();
    // In one piece, and byte by byte.
    members[3].send(&[frame(TEXT, b"hello"), frame(TEXT, &[b'x'; 2000])].concat());
    for byte in frame(TEXT, "grüße".as_bytes()) {
        members[3].send(&[byte]);
    }
    for member in &mut members {
        assert_eq!(hear(member), (TEXT, b"hello".to_vec()));
        assert_eq!(hear(member), (TEXT, vec![b'x'; 2000]));
        assert_eq!(hear(member), (TEXT, "grüße".into()));
    }
    members[5].send(&frame(PING, b"?"));
    assert_eq!(hear(&mut members[5]), (PONG, b"?".to_vec()));
    members[5].send(&frame(CLOSE, &[3, 0xe8]));
    assert_eq!(hear(&mut members[5]), (CLOSE, vec![3, 0xe8]));
    assert_eq!(members[5].rest(), (Vec::new(), End::Finished));
    server.signal("TERM");
    assert_eq!(server.wait(), (Some(0), String::new()));
}

#[test]
fn what_breaks_the_rules_is_told_why() {
    let server = Server::start("chat");
    let mut unmasked = frame(TEXT, b"");
    unmasked[1] = 0;
    for (bytes, code) in [
        (unmasked, 1002_u16),
        (frame(TEXT | 0x40, b""), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x82, b"binary"), 1003),
        (frame(0x01, b"a part"), 1003),
        (frame(TEXT, &[0xff]), 1007),
        (frame(TEXT, &[b'x'; 3000]), 1009),
    ] {
        let mut client = join(server.addr);
        client.send(&bytes);
        assert_eq!(hear(&mut client), (CLOSE, code.to_be_bytes().to_vec()));
    }
}

#[test]
fn others_get_the_page() {
    let server = Server::start("chat");
    let mut client = Client::connect(server.addr);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (page, end) = client.rest();
    assert!(page.starts_with(b"HTTP/1.1 200 ") && page.ends_with(b"</script>\n"));
    assert_eq!(end, End::Finished);
    let mut client = Client::connect(server.addr);
    client.send(&[b'x'; 5000]);
    let _ = client.rest();
}

/// A member that reads nothing is dropped; the others hear everything meanwhile.
#[test]
fn a_slow_consumer_is_dropped() {
    let server = Server::start("chat");
    let slow = join(server.addr);
    let mut speaker = join(server.addr);
    let mut listener = join(server.addr);
    let text = frame(TEXT, &[b'x'; 2000]);
    let since = Instant::now();
    let mut left = slow.stream.try_clone().unwrap();
    loop {
        speaker.send(&text);
        assert_eq!(hear(&mut speaker).1.len(), 2000);
        assert_eq!(hear(&mut listener).1.len(), 2000);
        // Reset: what it sends is refused.
        if left.write_all(&frame(PONG, b"")).is_err() {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "it is never dropped");
    }
    speaker.send(&text);
    assert_eq!(hear(&mut listener).1.len(), 2000);
}
