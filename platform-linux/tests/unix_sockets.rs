//! Unix sockets in a loop: the same calls as TCP, and what only they have.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, send, sendmsg, socket_with, socketpair,
};
use usockets::{
    Closed, Error, Handler, LocalAddress, LocalEndpoint, LocalType, Loop, Opened, Socket, SocketId,
    Sockets,
};
use usockets_linux::{Linux, RECEIVED_MAX};

/// Longest time that anything may take here; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts descriptors of the process, so only one test at a time has any.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// An abstract name that no other test has.
fn name() -> LocalAddress {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("usockets-test-{}-{number}", std::process::id());
    LocalAddress::abstract_name(name.as_bytes()).unwrap()
}

/// Writes down what happens.
#[derive(Default)]
struct Log {
    opened: Vec<SocketId>,
    /// What came in each call.
    data: Vec<Vec<u8>>,
    /// What came beside.
    descriptors: Vec<OwnedFd>,
    /// Leave in the loop what comes beside.
    ignores_descriptors: bool,
    ends: usize,
    closed: Vec<Closed>,
    errors: Vec<Error>,
}

impl Log {
    fn bytes(&self) -> Vec<u8> {
        self.data.concat()
    }
}

impl Handler<Linux> for Log {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Linux, Self>, _: Opened<()>) {
        // A new socket may have the number of one to which some came and were not taken.
        let id = socket.id();
        assert!(socket.net().next_descriptor(id).is_none());
        self.opened.push(id);
    }

    fn on_data(&mut self, socket: &mut Socket<'_, Linux, Self>, (): &mut (), data: &mut [u8]) {
        self.data.push(data.to_vec());
        let id = socket.id();
        if !self.ignores_descriptors {
            while let Some(descriptor) = socket.net().next_descriptor(id) {
                self.descriptors.push(descriptor);
            }
        }
    }

    fn on_end(&mut self, socket: &mut Socket<'_, Linux, Self>, (): &mut ()) {
        self.ends += 1;
        socket.finish();
    }

    fn on_close(&mut self, _: &mut Socket<'_, Linux, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, Linux, Self>, (): (), error: Error) {
        self.errors.push(error);
    }
}

/// Runs a test with a loop of its own.
fn with_loop(test: impl FnOnce(&mut Loop<'_, Linux, Log>, &mut Log)) {
    let mut sockets = Sockets::<Linux, Log, 8>::new();
    let mut buffer = [0; 4096];
    let mut server = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    test(&mut server, &mut Log::default());
}

/// Polls until `done`.
fn poll_until(
    server: &mut Loop<'_, Linux, Log>,
    log: &mut Log,
    mut done: impl FnMut(&Log) -> bool,
) {
    let until = Instant::now() + PATIENCE;
    while !done(log) {
        assert!(Instant::now() < until, "{:?} {:?}", log.data, log.closed);
        let wait = server.net().now().saturating_add(Duration::from_millis(20));
        server.poll(log, Some(wait)).unwrap();
    }
}

/// Connects a plain blocking socket.
fn peer(addr: &LocalAddress, kind: SocketType) -> OwnedFd {
    let fd = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    let addr = SocketAddrUnix::new_abstract_name(addr.as_abstract_name().unwrap()).unwrap();
    connect(&fd, &addr).unwrap();
    fd
}

fn send_with(fd: &OwnedFd, data: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let sent = sendmsg(fd, &[IoSlice::new(data)], &mut control, SendFlags::empty());
    assert_eq!(sent, Ok(data.len()));
}

/// A peer that writes and closes before anybody has looked.
#[test]
fn data_before_the_close_is_never_lost() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        let at = LocalEndpoint::stream(addr);
        server.net().listen_local(at, ()).unwrap();
        for round in 1..=50 {
            let mut stream = UnixStream::from(peer(&addr, SocketType::STREAM));
            stream.write_all(&[1; 10_000]).unwrap();
            drop(stream);
            poll_until(server, log, |log| log.closed.len() == round);
            assert_eq!(log.bytes().len(), 10_000 * round);
        }
        assert_eq!(log.ends, 50);
        assert!(log.closed.iter().all(|closed| *closed == Closed::Finished));
    });
}

/// The same where this end connects: all of it has come before the connection is reported open.
#[test]
fn data_before_the_close_is_never_lost_by_who_connects() {
    let _alone = alone();
    with_loop(|server, log| {
        let name = name();
        let at = SocketAddrUnix::new_abstract_name(name.as_abstract_name().unwrap()).unwrap();
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&listener, &at).unwrap();
        rustix::net::listen(&listener, 8).unwrap();
        let to = LocalEndpoint::stream(name);
        server.net().connect_local(to, ()).unwrap();
        let mut accepted = UnixStream::from(rustix::net::accept(&listener).unwrap());
        accepted.write_all(&[1; 10_000]).unwrap();
        drop(accepted);
        poll_until(server, log, |log| log.closed.len() == 1);
        assert_eq!((log.bytes().len(), log.ends), (10_000, 1));
        assert_eq!(log.closed, [Closed::Finished]);
    });
}

#[test]
fn nobody_listens() {
    let _alone = alone();
    with_loop(|server, log| {
        let absent = LocalAddress::path(b"/nowhere/at/all").unwrap();
        for addr in [absent, name()] {
            let to = LocalEndpoint::stream(addr);
            server.net().connect_local(to, ()).unwrap();
        }
        poll_until(server, log, |log| log.errors.len() == 2);
        assert_eq!(log.errors, [Error::Refused; 2]);
        assert!(log.opened.is_empty());
    });
}

#[test]
fn a_name_in_use_is_told_whatever_the_policy() {
    let _alone = alone();
    with_loop(|server, _| {
        let at = LocalEndpoint::stream(name());
        server.net().listen_local(at, ()).unwrap();
        for policy in [
            usockets::StalePath::Keep,
            usockets::StalePath::RemoveIfRefused,
        ] {
            let second = server.net().listen_local(at.stale(policy), ());
            assert_eq!(second.err(), Some(Error::AddressInUse));
        }
    });
}

#[test]
fn peers_are_known() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        let listener = server
            .net()
            .listen_local(LocalEndpoint::stream(addr), ())
            .unwrap();
        let local = server.net().local_addr(SocketId::from(listener));
        assert_eq!(local, Some(addr.into()));
        let _peer = peer(&addr, SocketType::STREAM);
        poll_until(server, log, |log| log.opened.len() == 1);
        let mut net = server.net();
        let credentials = net.peer_credentials(log.opened[0]).unwrap();
        assert_eq!(credentials.process, std::process::id());
        assert_eq!(credentials.user, rustix::process::getuid().as_raw());
        assert_eq!(credentials.group, rustix::process::getgid().as_raw());
        assert_eq!(
            net.peer_addr(log.opened[0]),
            Some(usockets::Address::Unnamed)
        );
    });
}

/// Bytes, bytes with a descriptor, and bytes again, all there before the loop looks: each read
/// stops at the descriptor, and nothing else tells of the rest.
#[test]
fn what_is_behind_a_descriptor_arrives() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        server
            .net()
            .listen_local(LocalEndpoint::stream(addr), ())
            .unwrap();
        let stream = peer(&addr, SocketType::STREAM);
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&stream, b"before ", SendFlags::empty()).unwrap();
        send_with(&stream, b"beside ", &[writer.as_fd()]);
        send(&stream, b"behind", SendFlags::empty()).unwrap();
        drop(writer);
        poll_until(server, log, |log| log.bytes() == b"before beside behind");
        assert_eq!(log.descriptors.len(), 1);
        let flags = rustix::io::fcntl_getfd(&log.descriptors[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let mut written = File::from(log.descriptors.pop().unwrap());
        written.write_all(b"through").unwrap();
        drop(written);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    });
}

#[test]
fn a_peer_that_passes_253_at_once_exhausts_nothing() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        server
            .net()
            .listen_local(LocalEndpoint::stream(addr), ())
            .unwrap();
        let stream = peer(&addr, SocketType::STREAM);
        poll_until(server, log, |log| log.opened.len() == 1);
        let file = File::open("/dev/null").unwrap();
        let before = open_descriptors();
        let all = [file.as_fd(); 253];
        for round in 1..=5 {
            send_with(&stream, b"a", &all);
            poll_until(server, log, |log| log.data.len() == round);
            assert_eq!(log.descriptors.len(), RECEIVED_MAX);
            assert_eq!(open_descriptors(), before + RECEIVED_MAX);
            log.descriptors.clear();
        }
        // Nobody takes them: no more than the bound are open at a time, and none at the end.
        log.ignores_descriptors = true;
        for round in 6..=9 {
            send_with(&stream, b"a", &all);
            poll_until(server, log, |log| log.data.len() == round);
            assert!(open_descriptors() <= before + RECEIVED_MAX);
        }
        send(&stream, b"b", SendFlags::empty()).unwrap();
        poll_until(server, log, |log| log.data.len() == 10);
        assert_eq!(open_descriptors(), before);
        send_with(&stream, b"a", &all);
        poll_until(server, log, |log| log.data.len() == 11);
        let id = log.opened[0];
        server.net().close(id);
        poll_until(server, log, |log| log.closed.len() == 1);
        assert_eq!(open_descriptors(), before - 1, "its own is closed too");
    });
}

#[test]
fn descriptors_are_sent_and_what_cannot_be_is_refused() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        server
            .net()
            .listen_local(LocalEndpoint::stream(addr), ())
            .unwrap();
        let to = LocalEndpoint::stream(addr);
        let sender = server.net().connect_local(to, ()).unwrap();
        poll_until(server, log, |log| log.opened.len() == 2);
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"through").unwrap();
        drop(writer);
        let reader = OwnedFd::from(reader);
        let mut net = server.net();
        assert_eq!(
            net.write_with_descriptors(sender, b"", &[&reader]),
            Err(Error::Invalid)
        );
        assert_eq!(
            net.write_with_descriptors(sender, b"a", &[&reader; 254]),
            Err(Error::Invalid)
        );
        assert_eq!(net.write_with_descriptors(sender, b"a", &[&reader]), Ok(1));
        drop(reader);
        poll_until(server, log, |log| log.descriptors.len() == 1);
        let mut text = String::new();
        let mut file = File::from(log.descriptors.pop().unwrap());
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), log.bytes()), ("through", b"a".to_vec()));
        assert!(server.net().is_open(sender));
    });
}

#[test]
fn packets_keep_their_bounds() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        let at = LocalEndpoint::stream(addr).socket_type(LocalType::Seqpacket);
        server.net().listen_local(at, ()).unwrap();
        let other = peer(&addr, SocketType::SEQPACKET);
        for packet in [&b"one"[..], b"2", &[3; 4096]] {
            send(&other, packet, SendFlags::empty()).unwrap();
        }
        poll_until(server, log, |log| log.data.len() == 3);
        assert_eq!(log.data, [b"one".to_vec(), b"2".to_vec(), vec![3; 4096]]);
        let id = log.opened[0];
        for packet in [&b"back"[..], b"again"] {
            assert_eq!(server.net().write(id, packet), packet.len());
            let mut received = [0; 64];
            let received_len = rustix::io::read(&other, &mut received).unwrap();
            assert_eq!(&received[..received_len], packet);
        }
        drop(other);
        poll_until(server, log, |log| log.closed.len() == 1);
        assert_eq!(log.closed, [Closed::Finished]);
    });
}

/// What is beyond the buffer is lost, so this is no orderly end.
#[test]
fn a_packet_that_is_too_long_breaks_its_connection() {
    let _alone = alone();
    with_loop(|server, log| {
        let addr = name();
        let at = LocalEndpoint::stream(addr).socket_type(LocalType::Seqpacket);
        server.net().listen_local(at, ()).unwrap();
        let other = peer(&addr, SocketType::SEQPACKET);
        send(&other, b"fits", SendFlags::empty()).unwrap();
        send(&other, &[0; 4097], SendFlags::empty()).unwrap();
        poll_until(server, log, |log| log.closed.len() == 1);
        assert_eq!(log.data, [b"fits".to_vec()]);
        assert_eq!(log.closed, [Closed::Failed(Error::Truncated)]);
    });
}

/// A pair made by others, of which the loop is given one end.
#[test]
fn an_end_of_a_pair_is_inserted_and_taken_out() {
    let _alone = alone();
    for kind in [SocketType::STREAM, SocketType::SEQPACKET] {
        with_loop(|server, log| {
            let flags = SocketFlags::CLOEXEC;
            let (ours, other) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
            let id = server.net().insert(ours, ()).map_err(|(_, error)| error);
            let id = id.unwrap();
            let (_reader, writer) = std::io::pipe().unwrap();
            send_with(&other, b"a", &[writer.as_fd()]);
            send(&other, b"b", SendFlags::empty()).unwrap();
            poll_until(server, log, |log| log.bytes() == b"ab");
            assert_eq!(log.descriptors.len(), 1);
            assert!(server.net().peer_credentials(id).is_ok());
            let (taken, unread) = server.net().take(id, &mut []).unwrap();
            assert_eq!(unread, 0);
            send(&other, b"c", SendFlags::empty()).unwrap();
            assert_eq!(rustix::io::read(&taken, &mut [0; 8]), Ok(1));
        });
    }
}
