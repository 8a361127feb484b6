//! More sockets that are ready at once than one wait has room for.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Record, operations, run_until, server};
use usockets::{Endpoint, Error, Instant};
use usockets_windows::Windows;

/// Connections, more than twice as many as one wait takes completions.
const CONNECTIONS: usize = 300;

/// Each of many sockets is served, and while some are left a host of the loop learns that there is
/// something to do.
#[test]
fn all_are_served_and_the_deadline_says_that_there_are_more() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(3 * CONNECTIONS))?);
    let mut record = Record::default();
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    let mut peers = Vec::new();
    for count in 1..=CONNECTIONS {
        peers.push(TcpStream::connect(addr).unwrap());
        run_until(&mut server, &mut record, |_, record| {
            record.opened.len() == count
        });
    }
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
    }
    std::thread::sleep(core::time::Duration::from_millis(100));
    // One wait, as a host of the loop makes it.
    server.poll(&mut record, Some(Instant::ZERO))?;
    assert!(
        (100..CONNECTIONS).contains(&record.received),
        "{}",
        record.received
    );
    assert_eq!(server.next_deadline(), Some(Instant::ZERO));
    let mut turns = 1;
    while server.next_deadline().is_some() {
        server.poll(&mut record, Some(Instant::ZERO))?;
        turns += 1;
        assert!(turns < 20, "it never comes to rest");
    }
    assert_eq!(record.received, CONNECTIONS);
    Ok(())
}
