//! Descriptors made elsewhere, wherever a platform takes them. What a loop only watches, of every
//! kind: a pipe, a terminal, a timer, a watch of files, another loop; each has a token and a slot
//! of the pool, and the program reads it. And what is not what it is said to be, or broke before.
#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::inotify;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use usockets::compose::{Both, Composed, Either, PartSocket, PartSockets, Protocol, Scope};
use usockets::{
    AllSockets, Closed, Descriptors, Endpoint, Error, Handler, Loop, Opened, Readiness, Socket,
    SocketId, Sockets,
};
use usockets_linux::{Linux, poll_inside};
use usockets_tests::bed::{Bed, on_kqueue_model, on_linux, on_poll};

/// Longest time that anything may take here; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Descriptors of the process are counted, so only one test at a time has any.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Writes down what can be read.
#[derive(Default)]
struct Log {
    reports: Vec<(SocketId, u8)>,
    data: Vec<u8>,
    closed: Vec<Closed>,
}

impl<P: Descriptors> Handler<P> for Log {
    type Context = u8;
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<u8>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.data.extend_from_slice(data);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_descriptor(
        &mut self,
        _: &mut AllSockets<'_, P, Self>,
        id: SocketId,
        token: u8,
        readiness: Readiness,
    ) {
        // That one can be written to is a report too.
        if readiness.intersects(Readiness::READABLE) {
            self.reports.push((id, token));
        }
    }
}

/// A descriptor to watch, and what makes it ready and uses that up.
struct Source {
    descriptor: OwnedFd,
    fire: Box<dyn FnMut()>,
    drain: Box<dyn FnMut()>,
}

/// Reads all that is there.
fn drain(mut file: File) -> Box<dyn FnMut()> {
    Box::new(move || {
        let mut bytes = [0; 4_096];
        while file.read(&mut bytes).is_ok_and(|count| count > 0) {}
    })
}

fn pipe() -> Source {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let reader = OwnedFd::from(reader);
    Source {
        descriptor: reader.try_clone().unwrap(),
        fire: Box::new(move || writer.write_all(b"a").unwrap()),
        drain: drain(reader.into()),
    }
}

/// The master of a pseudo-terminal, which gets back what is written to it (`pty(7)`, `ECHO`).
fn terminal() -> Source {
    let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx");
    let master = master.unwrap();
    let mut writer = master.try_clone().unwrap();
    Source {
        descriptor: master.try_clone().unwrap().into(),
        fire: Box::new(move || writer.write_all(b"a").unwrap()),
        drain: drain(master),
    }
}

fn timer() -> Source {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
    let set = timer.try_clone().unwrap();
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000,
        },
    };
    Source {
        descriptor: timer.try_clone().unwrap(),
        fire: Box::new(move || {
            timerfd_settime(&set, TimerfdTimerFlags::empty(), &once).unwrap();
        }),
        drain: drain(timer.into()),
    }
}

/// A directory of a test's own, removed with what holds it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A watch for new files in a directory.
fn files(name: &str) -> Source {
    let name = format!("usockets-watched-{}-{name}", std::process::id());
    let directory = Directory(std::env::temp_dir().join(name));
    fs::create_dir_all(&directory.0).unwrap();
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, &directory.0, inotify::WatchFlags::CREATE).unwrap();
    let mut count = 0;
    Source {
        descriptor: watch.try_clone().unwrap(),
        fire: Box::new(move || {
            count += 1;
            File::create(directory.0.join(count.to_string())).unwrap();
        }),
        drain: drain(watch.into()),
    }
}

/// A loop that listens.
fn another_loop() -> Source {
    let sockets = Box::leak(Box::new(Sockets::<Linux, Log, 8>::new()));
    let mut inner = Loop::new(Linux::new().unwrap(), sockets, Box::leak(Box::new([0; 64])));
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = inner.net().listen(at, 0).unwrap();
    let addr = inner.net().listening_addr(listener).unwrap();
    let mut peers = Vec::new();
    Source {
        descriptor: inner.as_fd().try_clone_to_owned().unwrap(),
        fire: Box::new(move || peers.push(TcpStream::connect(addr).unwrap())),
        drain: Box::new(move || {
            let open = inner.stats().open;
            // Who has opened is reported once more, as there is room to write.
            for _ in 0..4 {
                poll_inside(&mut inner, &mut Log::default()).unwrap();
            }
            assert_eq!(inner.stats().open, open + 1);
        }),
    }
}

/// Each is reported with its token when it is ready, not again once that is used up, and not any
/// more after it was taken back; the slots are free then.
fn each_is_watched<B: Bed>(bed: &mut B)
where
    B::P: Descriptors<Descriptor = OwnedFd>,
{
    let mut sockets = Box::new(Sockets::<B::P, Log, 8>::new());
    let mut buffer = [0; 64];
    let mut outer = Loop::new(bed.platform(), &mut sockets, &mut buffer);
    let sources = [
        pipe(),
        terminal(),
        timer(),
        files(std::any::type_name::<B::P>()),
        another_loop(),
    ];
    let mut log = Log::default();
    let mut watched = Vec::new();
    for (token, source) in (0..).zip(sources) {
        let id = outer.net().watch(source.descriptor, token);
        let id = id.map_err(|(_, error)| error).unwrap();
        watched.push((id, token, source.fire, source.drain));
    }
    assert_eq!(outer.stats().in_use, 5);
    let poll_for = |outer: &mut Loop<'_, B::P, Log>, log: &mut Log, millis| {
        let until = outer.net().now();
        let until = until.saturating_add(Duration::from_millis(millis));
        outer.poll(log, Some(until)).unwrap();
    };
    for _ in 0..2 {
        for (id, token, fire, drain) in &mut watched {
            fire();
            let start = Instant::now();
            while log.reports.is_empty() {
                assert!(start.elapsed() < PATIENCE, "{token} is not reported");
                poll_for(&mut outer, &mut log, 20);
            }
            // A report may come twice, but is of who is ready.
            assert!(log.reports.iter().all(|report| *report == (*id, *token)));
            drain();
            log.reports.clear();
            poll_for(&mut outer, &mut log, 20);
            assert_eq!(log.reports, [], "{token} was used up");
        }
    }
    for (id, _, fire, _) in &mut watched {
        assert!(outer.net().unwatch(*id).is_some());
        fire();
    }
    poll_for(&mut outer, &mut log, 20);
    assert_eq!((log.reports.as_slice(), outer.stats().in_use), (&[][..], 0));
}

/// A part that notes which of its descriptors are ready.
#[derive(Default)]
struct Part(Vec<(SocketId, u8)>);

impl Protocol for Part {
    type Data = ();
    type Context = u8;

    fn on_open<S: Scope<Self>>(&mut self, _: &mut PartSocket<'_, '_, Self, S>, _: Opened<u8>) {}

    fn on_data<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        (): &mut (),
        _: &mut [u8],
    ) {
    }

    fn on_descriptor<S: Scope<Self>>(
        &mut self,
        _: &mut PartSockets<'_, '_, Self, S>,
        id: SocketId,
        token: u8,
        _: Readiness,
    ) {
        self.0.push((id, token));
    }
}

/// In a composition the part whose context a descriptor has is told of it, and no other.
#[test]
fn the_part_that_watches_is_told() {
    let _alone = alone();
    let mut sockets = Box::new(Sockets::<Linux, Composed<Both<Part, Part>>, 8>::new());
    let mut buffer = [0; 64];
    let mut lp = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let mut program = Composed(Both(Part::default(), Part::default()));
    let mut watch = |context| {
        let mut source = pipe();
        (source.fire)();
        let id = lp.net().watch(source.descriptor, context);
        (id.map_err(|(_, error)| error).unwrap(), source.fire)
    };
    let (first, _open) = watch(Either::First(3));
    let (second, _open) = watch(Either::Second(4));
    let start = Instant::now();
    while program.0.0.0.is_empty() || program.0.1.0.is_empty() {
        assert!(start.elapsed() < PATIENCE, "one is not reported");
        let until = lp.net().now().saturating_add(Duration::from_millis(20));
        lp.poll(&mut program, Some(until)).unwrap();
    }
    let Both(Part(ones), Part(others)) = program.0;
    assert!(ones.iter().all(|one| *one == (first, 3)), "{ones:?}");
    assert!(others.iter().all(|one| *one == (second, 4)), "{others:?}");
}

/// What is given to a loop as something else comes back with a clear error, takes no slot, and
/// leaves no descriptor open once the program drops it.
fn what_is_something_else_comes_back<B: Bed>(bed: &mut B)
where
    B::P: Descriptors<Descriptor = OwnedFd>,
{
    let mut sockets = Box::new(Sockets::<B::P, Log, 8>::new());
    let mut buffer = [0; 64];
    let mut server = Loop::new(bed.platform(), &mut sockets, &mut buffer);
    let before = open_descriptors();
    let flags = SocketFlags::CLOEXEC;
    let new_socket = || socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let neither: [OwnedFd; 5] = [
        File::open("/proc/self/exe").unwrap().into(),
        std::io::pipe().unwrap().0.into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixDatagram::unbound().unwrap().into(),
        new_socket(),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (listener, stream) = (OwnedFd::from(listener), OwnedFd::from(stream));
    let open = open_descriptors();
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let mut net = server.net();
    for (number, descriptor) in neither.into_iter().enumerate() {
        let (descriptor, error) = net.insert(descriptor, 1).unwrap_err();
        assert_eq!(error, Error::Invalid, "no connection: {number}");
        let (_, error) = net.insert_listener(descriptor, &at, 1).unwrap_err();
        assert_eq!(error, Error::Invalid, "no listener: {number}");
    }
    let (listener, error) = net.insert(listener, 1).unwrap_err();
    assert_eq!(error, Error::Invalid, "it listens");
    let (stream, error) = net.insert_listener(stream, &at, 1).unwrap_err();
    assert_eq!(error, Error::Invalid, "it is connected");
    assert_eq!(open_descriptors(), open - 5, "all came back");
    drop((listener, stream));
    assert_eq!((open_descriptors(), server.stats().in_use), (before, 0));
}

/// A connection that its peer has ended already delivers what had come, closes in order, and leaves
/// nothing open; one that its peer has reset closes too, whether it is taken or not.
fn what_is_over_already_closes<B: Bed>(bed: &mut B)
where
    B::P: Descriptors<Descriptor = OwnedFd>,
{
    let mut sockets = Box::new(Sockets::<B::P, Log, 8>::new());
    let mut buffer = [0; 64];
    let mut server = Loop::new(bed.platform(), &mut sockets, &mut buffer);
    let before = open_descriptors();
    for is_reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        if is_reset {
            // Closing with unread input makes the kernel send a reset.
            stream.write_all(b"unread").unwrap();
            peer.peek(&mut [0]).unwrap();
        } else {
            peer.write_all(b"last").unwrap();
        }
        drop((peer, listener));
        let mut log = Log::default();
        match server.net().insert(stream.into(), 1) {
            Ok(_) => {
                let start = Instant::now();
                while log.closed.is_empty() {
                    assert!(start.elapsed() < PATIENCE, "it stays open");
                    let until = server.net().now();
                    let until = until.saturating_add(Duration::from_millis(20));
                    server.poll(&mut log, Some(until)).unwrap();
                }
            }
            Err((_, error)) => {
                assert_eq!((is_reset, error), (true, Error::Invalid));
                log.closed.push(Closed::Failed(Error::Reset));
            }
        }
        let (data, closed) = match is_reset {
            true => (&b""[..], Closed::Failed(Error::Reset)),
            false => (&b"last"[..], Closed::Finished),
        };
        assert_eq!(
            (log.data.as_slice(), log.closed.as_slice()),
            (data, &[closed][..])
        );
        assert_eq!((open_descriptors(), server.stats().in_use), (before, 0));
    }
}

/// Turns the functions above into tests on each platform.
macro_rules! on_every_platform_with_descriptors {
    ($($platform:ident: $bed:ident),* $(,)?) => {$(
        mod $platform {
            #[test]
            fn each_is_watched() {
                let _alone = super::alone();
                super::$bed(|bed| super::each_is_watched(bed));
            }

            #[test]
            fn what_is_something_else_comes_back() {
                let _alone = super::alone();
                super::$bed(|bed| super::what_is_something_else_comes_back(bed));
            }

            #[test]
            fn what_is_over_already_closes() {
                let _alone = super::alone();
                super::$bed(|bed| super::what_is_over_already_closes(bed));
            }
        }
    )*};
}

on_every_platform_with_descriptors!(
    linux: on_linux,
    poll: on_poll,
    kqueue_model: on_kqueue_model,
);
