//! Two protocols in one process, spoken to at once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::Server;
use support::{Client, End};

/// Each protocol has its sockets: what is echoed is not heard in a room, nor in the other room,
/// and a stop ends them all in order.
#[test]
fn both_serve_and_neither_hears_the_other() {
    let mut server = Server::start("two_protocols");
    let rooms = [server.next_addr(), server.next_addr()];
    let mut echo = Client::connect(server.addr);
    let mut first = [Client::connect(rooms[0]), Client::connect(rooms[0])];
    let mut second = [Client::connect(rooms[1]), Client::connect(rooms[1])];
    let long = vec![b'x'; 100_000];
    echo.send(b"back\n");
    assert_eq!(echo.take(5), b"back\n");
    for round in 0..20_u32 {
        let (one, other) = (format!("one {round}\n"), format!("other {round}\n"));
        first[0].send(one.as_bytes());
        assert_eq!(first[1].take(one.len()), one.as_bytes());
        second[1].send(other.as_bytes());
        assert_eq!(second[0].take(other.len()), other.as_bytes());
        echo.send(&long);
        assert_eq!(echo.take(long.len()), long);
    }
    // The end of one protocol's socket is its own.
    first[0].send(&[b'y'; 6_000]);
    assert_eq!(first[0].rest().0, b"");
    echo.send(b"still\n");
    assert_eq!(echo.take(6), b"still\n");
    server.signal("TERM");
    let [_, left] = first;
    for mut client in [echo, left].into_iter().chain(second) {
        assert_eq!(client.rest(), (Vec::new(), End::Finished));
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
}
