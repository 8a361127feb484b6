//! Unix sockets and descriptors made elsewhere, by `poll(2)`.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use usockets::{
    AllSockets, Closed, Handler, LocalAddress, LocalEndpoint, Loop, Opened, Readiness, Socket,
    SocketId, Sockets, StalePath,
};
use usockets_posix::local::remove_if_refused;
use usockets_posix::{Poll, Posix};

type Platform = Posix<Poll<8>>;

/// Longest time that anything may take here; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A path that no other test has, removed at its end.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        let name = format!("usockets-posix-{}-{name}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn endpoint(&self) -> LocalEndpoint {
        LocalEndpoint::stream(LocalAddress::path(self.0.as_os_str().as_bytes()).unwrap())
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes down what happens.
#[derive(Default)]
struct Log {
    data: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    closed: Vec<Closed>,
    watched: usize,
}

impl Handler<Platform> for Log {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Platform, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, Platform, Self>, (): &mut (), data: &mut [u8]) {
        self.data.extend_from_slice(data);
        let id = socket.id();
        while let Some(descriptor) = socket.net().next_descriptor(id) {
            self.descriptors.push(descriptor);
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, Platform, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_descriptor(
        &mut self,
        _: &mut AllSockets<'_, Platform, Self>,
        _: SocketId,
        (): (),
        readiness: Readiness,
    ) {
        assert!(readiness.intersects(Readiness::READABLE));
        self.watched += 1;
    }
}

/// Runs a test with a loop of its own.
fn with_loop(test: impl FnOnce(&mut Loop<'_, Platform, Log>, &mut Log)) {
    let mut sockets = Sockets::<Platform, Log, 8>::new();
    let mut buffer = [0; 4096];
    let mut server = Loop::new(Posix::new(Poll::new()), &mut sockets, &mut buffer);
    test(&mut server, &mut Log::default());
}

/// Polls until `done`.
fn poll_until(server: &mut Loop<'_, Platform, Log>, log: &mut Log, done: impl Fn(&Log) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done(log) {
        assert!(
            Instant::now() < until,
            "{} {:?}",
            log.data.len(),
            log.closed
        );
        let wait = server.net().now().saturating_add(Duration::from_millis(20));
        server.poll(log, Some(wait)).unwrap();
    }
}

#[test]
fn data_before_the_close_is_never_lost_either_way() {
    with_loop(|server, log| {
        let path = Path::new("accepts");
        drop(UnixListener::bind(&path.0).unwrap());
        let at = path.endpoint().stale(StalePath::RemoveIfRefused);
        let listener = server.net().listen_local(at, ()).unwrap();
        for round in 1..=20 {
            let mut stream = UnixStream::connect(&path.0).unwrap();
            stream.write_all(&[1; 10_000]).unwrap();
            drop(stream);
            poll_until(server, log, |log| log.closed.len() == round);
            assert_eq!(log.data.len(), 10_000 * round);
        }
        assert_eq!(remove_if_refused(&at.addr), Ok(false), "somebody listens");
        server.net().stop_listening(listener);
        assert_eq!(remove_if_refused(&at.addr), Ok(true));
        assert!(!path.0.exists());
    });
    with_loop(|server, log| {
        let path = Path::new("connects");
        let listener = UnixListener::bind(&path.0).unwrap();
        server.net().connect_local(path.endpoint(), ()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.write_all(&[1; 10_000]).unwrap();
        drop(accepted);
        poll_until(server, log, |log| log.closed.len() == 1);
        assert_eq!((log.data.len(), log.closed[0]), (10_000, Closed::Finished));
    });
}

#[test]
fn what_is_behind_a_descriptor_arrives() {
    with_loop(|server, log| {
        let (ours, mut other) = UnixStream::pair().unwrap();
        let inserted = server.net().insert(ours.into(), ());
        let id = inserted.map_err(|(_, error)| error).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = [writer.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
        let slices = [IoSlice::new(b"beside ")];
        sendmsg(&other, &slices, &mut control, SendFlags::empty()).unwrap();
        other.write_all(b"behind").unwrap();
        drop(writer);
        poll_until(server, log, |log| log.data == b"beside behind");
        // The last of its descriptors.
        log.descriptors.pop().unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        let back = OwnedFd::from(reader);
        let sent = server.net().write_with_descriptors(id, b"back", &[&back]);
        assert_eq!(sent, Ok(4));
        let mut received = [0; 4];
        other.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"back");
    });
}

#[test]
fn a_pipe_is_watched() {
    with_loop(|server, log| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let copy = OwnedFd::from(reader.try_clone().unwrap());
        let id = server.net().watch(copy, ()).map_err(|(_, error)| error);
        writer.write_all(b"a").unwrap();
        poll_until(server, log, |log| log.watched == 1);
        reader.read_exact(&mut [0]).unwrap();
        let wait = server.net().now().saturating_add(Duration::from_millis(20));
        server.poll(log, Some(wait)).unwrap();
        assert_eq!(log.watched, 1, "it was read");
        assert!(server.net().unwatch(id.unwrap()).is_some());
    });
}
