//! Secured connections handed over to another loop, on the same thread or another, before their
//! handshake begins, and sockets of others that are secured when they are inserted.
#![cfg(all(feature = "tls", target_os = "linux"))]

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use usockets::tls::{ParkingPlace, RustCrypto, Tls, TlsMemory};
use usockets::{Closed, Endpoint, Error, Platform, PreOpen};
use usockets_linux::{Linux, zeroed};
use usockets_tests::script::Event;
use usockets_tests::side::Side;
use usockets_tests::steady::{Crypto, NAME, Steady, config};

type Secured = Tls<'static, Linux, Crypto>;

fn side(host: usize, secures_inserts: bool) -> Side<Secured> {
    let memory = zeroed::<TlsMemory<Crypto, 16, 8, 8, 8>>();
    let memory = Box::leak(memory.expect("memory"));
    let places = Box::leak(Box::new([ParkingPlace::EMPTY; 64]));
    let crypto = RustCrypto::new(Steady(host as u64 + 1));
    let layer = Tls::new(Linux::new().unwrap(), crypto, config(), memory).with_parking(places);
    let layer = match secures_inserts {
        true => layer.with_secured_inserts(),
        false => layer,
    };
    Side::with::<16>(host, layer, 4_096, 0)
}

/// Polls all in turn until `done`.
fn until(
    sides: &mut [&mut Side<Secured>],
    mut done: impl FnMut(&mut [&mut Side<Secured>]) -> bool,
) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !done(sides) {
        if std::time::Instant::now() > end {
            let logs: Vec<_> = sides.iter().map(|side| side.script.tail()).collect();
            panic!("it did not come about\n{}", logs.join("\n"));
        }
        for side in &mut *sides {
            let wait = Duration::from_millis(1);
            let end = side.lp.platform().now().saturating_add(wait);
            side.lp.poll(&mut side.script, Some(end)).unwrap();
        }
    }
}

#[test]
fn a_secured_connection_is_handed_over_before_its_handshake() {
    let (mut acceptor, mut worker, mut client) = (side(0, false), side(1, true), side(2, false));
    let handed = Rc::new(RefCell::new(Vec::<OwnedFd>::new()));
    let out = handed.clone();
    acceptor.script.pre_open(move |incoming| {
        out.borrow_mut().push(incoming.take().unwrap());
        assert_eq!(incoming.take().err(), Some(Error::Invalid));
        PreOpen::Keep
    });
    let at = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
    let listener = acceptor.net().listen(at, 1).unwrap();
    let addr = acceptor.net().listening_addr(listener).unwrap();
    let id = client
        .net()
        .connect(Endpoint::tls(addr, Some(NAME)), 2)
        .unwrap();
    let sides = &mut [&mut acceptor, &mut worker, &mut client];
    until(sides, |sides| {
        for descriptor in handed.borrow_mut().drain(..) {
            sides[1].net().insert(descriptor, 5).unwrap();
        }
        sides[1].lp.stats().open == 1 && sides[2].lp.stats().open == 1
    });
    let served = sides[1].script.opened(0).unwrap();
    assert!(matches!(
        sides[1].script.events().next(),
        Some(Event::Open(_, 5, _))
    ));
    sides[1].script.echo = true;
    sides[2].say(id, b"hello");
    until(sides, |sides| sides[2].script.received(id) == b"hello");
    assert_eq!(sides[1].script.received(served), b"hello");
    // Now its keys are there.
    assert_eq!(
        sides[1].net().take(served, &mut [0; 64]).err(),
        Some(Error::Unsupported)
    );
    sides[2].finish(id);
    until(sides, |sides| {
        sides[2].script.closed(id) == Some(Closed::Finished) && sides[1].lp.stats().open == 0
    });
    let stats = sides[0].lp.stats();
    assert_eq!((stats.accepted, stats.open, stats.in_use), (0, 0, 1));
}

/// Serves what it is handed, until nobody can hand it anything and all has closed; returns how many
/// it served.
fn serve_handed(handed: &Receiver<OwnedFd>) -> u64 {
    let mut worker = side(1, true);
    worker.script.echo = true;
    let mut is_over = false;
    while !is_over || worker.lp.stats().in_use > 0 {
        match handed.try_recv() {
            Ok(descriptor) => {
                worker.net().insert(descriptor, 5).unwrap();
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => is_over = true,
        }
        let end = worker.lp.platform().now();
        let end = end.saturating_add(Duration::from_millis(1));
        worker.lp.poll(&mut worker.script, Some(end)).unwrap();
    }
    worker
        .script
        .count(|event| matches!(event, Event::Open(..))) as u64
}

/// The loop of another thread makes the handshakes, with keys of its own.
#[test]
fn secured_connections_are_handed_over_to_another_thread() {
    let (sender, handed) = channel();
    let worker = thread::Builder::new().stack_size(64 << 20);
    let worker = worker.spawn(move || serve_handed(&handed)).unwrap();
    let (mut acceptor, mut client) = (side(0, false), side(2, false));
    acceptor.script.pre_open(move |incoming| {
        sender.send(incoming.take().unwrap()).unwrap();
        PreOpen::Keep
    });
    let at = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
    let listener = acceptor.net().listen(at, 1).unwrap();
    let addr = acceptor.net().listening_addr(listener).unwrap();
    let ids: Vec<_> = (0..4)
        .map(|_| {
            let to = Endpoint::tls(addr, Some(NAME));
            client.net().connect(to, 2).unwrap()
        })
        .collect();
    let sides = &mut [&mut acceptor, &mut client];
    until(sides, |sides| sides[1].lp.stats().open == 4);
    for id in &ids {
        sides[1].say(*id, b"hello");
    }
    until(sides, |sides| {
        ids.iter()
            .all(|id| sides[1].script.received(*id) == b"hello")
    });
    for id in &ids {
        sides[1].finish(*id);
    }
    until(sides, |sides| sides[1].lp.stats().in_use == 0);
    let stats = acceptor.lp.stats();
    assert_eq!((stats.accepted, stats.open, stats.in_use), (0, 0, 1));
    drop(acceptor); // And with it the sender.
    assert_eq!(worker.join().unwrap(), 4);
}

/// Has a side take a listener made elsewhere; returns where it listens.
fn insert_listener(side: &mut Side<Secured>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let inserted = side
        .net()
        .insert_listener(listener.into(), &Endpoint::tcp(addr), 1);
    assert!(inserted.is_ok());
    addr
}

/// A listener of a service manager, whose connections are secured.
#[test]
fn a_listener_that_is_inserted_may_be_secured() {
    let (mut server, mut client) = (side(0, true), side(1, false));
    let addr = insert_listener(&mut server);
    server.script.echo = true;
    let id = client
        .net()
        .connect(Endpoint::tls(addr, Some(NAME)), 2)
        .unwrap();
    let sides = &mut [&mut server, &mut client];
    until(sides, |sides| sides[1].lp.stats().open == 1);
    sides[1].say(id, b"hello");
    until(sides, |sides| sides[1].script.received(id) == b"hello");
}

/// Without being asked for it, what is inserted is plain.
#[test]
fn what_is_inserted_is_plain_otherwise() {
    let (mut server, mut client) = (side(0, false), side(1, false));
    let addr = insert_listener(&mut server);
    let id = client.net().connect(Endpoint::tcp(addr), 2).unwrap();
    let sides = &mut [&mut server, &mut client];
    until(sides, |sides| {
        sides.iter().all(|side| side.lp.stats().open == 1)
    });
    sides[1].say(id, b"hello");
    until(sides, |sides| {
        let id = sides[0].script.opened(0).unwrap();
        sides[0].script.received(id) == b"hello"
    });
    let plain = sides[0].script.opened(0).unwrap();
    assert!(sides[0].net().take(plain, &mut []).is_ok());
}
