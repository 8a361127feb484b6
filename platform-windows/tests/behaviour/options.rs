//! The options of an endpoint reach the system.

use core::time::Duration;
use std::net::{TcpListener, TcpStream};

use crate::support::{Record, operations, run_until, server};
use usockets::{Endpoint, Error, Keepalive, SocketOption};
use usockets_windows::Windows;

/// Every option is taken, by a listener and by a connect.
#[test]
fn every_option_is_taken() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(16))?);
    let mut record = Record::default();
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into())
        .keepalive(Duration::from_secs(60))
        .recv_buffer(20_000)
        .send_buffer(20_000)
        .backlog(7);
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    let to = Endpoint::tcp(addr)
        .nodelay(false)
        .keepalive(Duration::from_millis(1))
        .recv_buffer(usize::MAX)
        .source(([127, 0, 0, 1], 0).into());
    server.net().connect(to, ())?;
    run_until(&mut server, &mut record, |_, record| {
        record.opened.len() == 2
    });
    Ok(())
}

/// Options of an open connection, and those that Windows has not.
#[test]
fn options_change_after_opening() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(16))?);
    let mut record = Record::default();
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    let to = Endpoint::tcp(addr);
    let id = server.net().connect(to, ())?;
    run_until(&mut server, &mut record, |_, record| {
        record.opened.len() == 2
    });
    let keepalive = Keepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_millis(1_500),
        count: 0,
    };
    let counted = Keepalive {
        count: 5,
        ..keepalive
    };
    // Windows counts probes since version 1703, and Wine 8 does not.
    let result = server
        .net()
        .set_option(id, SocketOption::Keepalive(Some(counted)));
    assert!(
        matches!(result, Ok(()) | Err(Error::Unsupported)),
        "{result:?}"
    );
    for option in [
        SocketOption::NoDelay(false),
        SocketOption::Keepalive(Some(keepalive)),
        SocketOption::Keepalive(None),
        SocketOption::RecvBuffer(30_000),
        SocketOption::SendBuffer(30_000),
    ] {
        assert_eq!(server.net().set_option(id, option), Ok(()), "{option:?}");
    }
    let priority = server.net().set_option(id, SocketOption::Priority(1));
    assert_eq!(priority, Err(Error::Unsupported));
    Ok(())
}

/// No other program can listen at the same address, and sharing it is refused.
#[test]
fn a_listener_has_its_address_for_itself() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(16))?);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    assert!(TcpListener::bind(addr).is_err());
    assert!(TcpStream::connect(addr).is_ok());
    let shared = server.net().listen(at.reuse_port(true), ());
    assert_eq!(shared, Err(Error::Unsupported));
    Ok(())
}
