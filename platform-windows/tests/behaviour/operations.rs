//! A table of operations that is too short, and what becomes of those that are given back.

use crate::support::{Record, operations, run_until, server};
use usockets::{Endpoint, Error, Instant, Platform, Waker};
use usockets_windows::{Port, Windows};

/// A listener and a connection to it take five operations. The next connect is refused until they
/// are back, and they always come back.
#[test]
fn connecting_is_exhausted_until_operations_are_free_again() -> Result<(), Error> {
    let mut server = server(Windows::new(operations(5))?);
    let mut record = Record::default();
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).unwrap();
    for round in 1..=20 {
        let id = server.net().connect(Endpoint::tcp(addr), ())?;
        run_until(&mut server, &mut record, |_, record| {
            record.opened.len() == 2 * round
        });
        let another = server.net().connect(Endpoint::tcp(addr), ());
        assert_eq!(another, Err(Error::Exhausted));
        server.net().abort(id, 0);
        run_until(&mut server, &mut record, |server, _| {
            server.stats().in_use == 1
        });
        // The polls that were cancelled complete.
        for _ in 0..5 {
            let now = server.platform().now().as_micros();
            server.poll(&mut record, Some(Instant::from_micros(now + 5_000)))?;
        }
    }
    Ok(())
}

/// A listener and no table at all.
#[test]
fn an_empty_table_is_exhausted_at_once() -> Result<(), Error> {
    let mut server = server(Windows::new(&mut [])?);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    assert_eq!(server.net().listen(at, ()), Err(Error::Exhausted));
    Ok(())
}

/// A port is passed on to a second loop while completions of the first are on their way: they
/// belong to nobody and do no harm.
#[test]
fn completions_of_a_loop_that_is_gone_are_nobodys() -> Result<(), Error> {
    let waker: &'static Waker<Port> = Box::leak(Box::new(Waker::new(Port::new()?)));
    for _ in 0..3 {
        let mut server = server(Windows::new(operations(16))?.with_waker(waker)?);
        let mut record = Record::default();
        let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
        let listener = server.net().listen(at, ())?;
        let addr = server.net().listening_addr(listener).unwrap();
        server.net().connect(Endpoint::tcp(addr), ())?;
        run_until(&mut server, &mut record, |_, record| {
            record.opened.len() == 2
        });
        assert!(record.closed.is_empty());
    }
    Ok(())
}
