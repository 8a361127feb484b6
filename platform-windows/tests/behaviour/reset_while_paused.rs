//! A reset shows although nobody reads.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Record, operations, run_until, server};
use usockets::{Closed, Endpoint, Error};
use usockets_windows::Windows;

/// The program does not read, bytes wait, and the poll for input is over: the reset of the peer
/// closes the socket even so.
#[test]
fn a_paused_socket_closes_when_its_peer_resets() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(16))?);
    let mut record = Record {
        pause: true,
        ..Record::default()
    };
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    let mut peer = TcpStream::connect(addr).unwrap();
    run_until(&mut server, &mut record, |_, record| {
        record.opened.len() == 1
    });
    let id = record.opened[0];
    assert_eq!(server.net().write(id, b"never read"), 10);
    peer.peek(&mut [0; 10]).unwrap();
    peer.write_all(b"never read either").unwrap();
    // The poll for input completes, and is not started again.
    for _ in 0..20 {
        let until = usockets::Platform::now(server.platform()).as_micros() + 5_000;
        server.poll(&mut record, Some(usockets::Instant::from_micros(until)))?;
    }
    assert_eq!(record.received, 0);
    // Closing with unread bytes resets (RFC 2525, section 2.17).
    drop(peer);
    run_until(&mut server, &mut record, |_, record| {
        !record.closed.is_empty()
    });
    assert_eq!(record.closed, [(id, Closed::Failed(Error::Reset))]);
    // What came before the reset is delivered, unless the reset threw it away.
    assert!(matches!(record.received, 0 | 17), "{}", record.received);
    Ok(())
}
