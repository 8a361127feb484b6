//! Descriptors made elsewhere: inserted, reported, taken out again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use usockets::{
    Descriptors, Duration, Error, Inserted, Platform, Readiness, Ready, Recv, SocketId,
};
use usockets_linux::{Fd, Linux};

fn id(index: u64) -> SocketId {
    SocketId::from_bits((1 << 32) | index).unwrap()
}

/// What the platform reports within a while.
fn reports(linux: &mut Linux) -> Vec<Ready> {
    let until = linux.now().saturating_add(Duration::from_millis(50));
    linux.poll(Some(until)).unwrap();
    std::iter::from_fn(|| linux.next_ready()).collect()
}

#[test]
fn a_pipe_is_reported_once_per_arrival_and_read_by_the_program() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let mut linux = Linux::new().unwrap();
    let mut slot = Fd::CLOSED;
    let copy: OwnedFd = reader.try_clone().unwrap().into();
    linux
        .insert(&mut slot, id(3), copy, Inserted::Foreign)
        .unwrap();
    assert_eq!(reports(&mut linux), []);
    let mut bytes = [0; 16];
    for _ in 0..2 {
        writer.write_all(b"hello").unwrap();
        let all = reports(&mut linux);
        assert!(all.iter().all(|ready| ready.id == id(3)), "{all:?}");
        assert!(all[0].readiness.intersects(Readiness::READABLE));
        assert_eq!(reader.read(&mut bytes).unwrap(), 5);
        let blocked = reader.read(&mut bytes).unwrap_err();
        assert_eq!(
            blocked.kind(),
            std::io::ErrorKind::WouldBlock,
            "it was made so"
        );
        assert_eq!(reports(&mut linux), []);
    }
    let (taken, unread) = linux.take(&mut slot, &mut []).unwrap();
    assert_eq!(unread, 0);
    assert!(slot.get().is_err());
    writer.write_all(b"more").unwrap();
    assert_eq!(reports(&mut linux), [], "it is not watched any more");
    drop(taken);
}

#[test]
fn a_socket_that_listens_already_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let raw = listener.as_raw_fd();
    let mut linux = Linux::new().unwrap();
    let (mut slot, mut accepted) = (Fd::CLOSED, Fd::CLOSED);
    linux
        .insert(&mut slot, id(0), listener.into(), Inserted::Listener)
        .unwrap();
    let mut peer = TcpStream::connect(addr).unwrap();
    assert_eq!(reports(&mut linux)[0].id, id(0));
    let new = linux
        .accept(&mut slot, &mut accepted, id(1))
        .unwrap()
        .unwrap();
    assert_eq!(new.peer.ip(), Some(peer.local_addr().unwrap()));
    peer.write_all(b"hello").unwrap();
    assert!(reports(&mut linux).iter().any(|ready| ready.id == id(1)));
    let (taken, _) = linux.take(&mut slot, &mut []).unwrap();
    assert_eq!(taken.as_raw_fd(), raw);
    let _waits = TcpStream::connect(addr).unwrap();
    assert_eq!(reports(&mut linux), [], "it was taken out");
}

#[test]
fn a_connection_goes_to_another_loop_with_its_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let (mut first, mut second) = (Linux::new().unwrap(), Linux::new().unwrap());
    let mut slot = Fd::CLOSED;
    first
        .insert(&mut slot, id(0), stream.into(), Inserted::Connected)
        .unwrap();
    peer.write_all(b"hello").unwrap();
    assert!(!reports(&mut first).is_empty());
    let (stream, _) = first.take(&mut slot, &mut []).unwrap();
    second
        .insert(&mut slot, id(9), stream, Inserted::Connected)
        .unwrap();
    let all = reports(&mut second);
    assert!(
        all.iter()
            .any(|ready| ready.readiness.intersects(Readiness::READABLE))
    );
    let mut bytes = [0; 16];
    let received = second.recv(&mut slot, &mut bytes);
    assert_eq!(
        received,
        Ok(Recv::Data {
            len: 5,
            drained: true
        })
    );
    second.close(&mut slot);
    assert_eq!(peer.read(&mut bytes).unwrap(), 0, "nobody else holds it");
}

#[test]
fn what_is_not_what_it_is_said_to_be_comes_back() {
    let mut linux = Linux::new().unwrap();
    let mut slot = Fd::CLOSED;
    let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let file = || OwnedFd::from(File::open("/proc/self/exe").unwrap());
    let wrong: [(OwnedFd, Inserted); 4] = [
        (socket(), Inserted::Connected),
        (file(), Inserted::Listener),
        (file(), Inserted::Connected),
        (file(), Inserted::Foreign),
    ];
    for (fd, kind) in wrong {
        let raw = fd.as_raw_fd();
        let (back, error) = linux.insert(&mut slot, id(0), fd, kind).unwrap_err();
        assert_eq!((back.as_raw_fd(), error), (raw, Error::Invalid), "{kind:?}");
        assert!(slot.get().is_err());
    }
    assert!(matches!(
        linux.take(&mut slot, &mut []),
        Err(Error::Invalid)
    ));
}
