//! How long an open connection's echo takes while many others shake hands.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use usockets::tls::{Config, RustCrypto, Tls, TlsMemory};
use usockets::{Endpoint, Loop, Platform, Sockets};
use usockets_linux::{Linux, LinuxMachine};
use usockets_tests_tls::{Authority, Echo, Part, Theirs};

/// Connections that shake hands at once.
pub const HANDSHAKES: usize = 5_000;
const SOCKETS: usize = HANDSHAKES + 16;
/// Stacks on which the memory is made, before it goes to the heap.
const STACK: usize = 256 << 20;
/// The flood's connections are opened within this.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Between two echoes.
const PAUSE: Duration = Duration::from_micros(500);

type Crypto = RustCrypto<LinuxMachine>;
type Layer<'a> = Tls<'a, Linux, Crypto>;

/// What was measured.
pub struct Delays {
    /// Microseconds of echoes while nothing else happens, in order.
    pub idle: Vec<u64>,
    /// The same while the others shake hands.
    pub busy: Vec<u64>,
    /// How long that went on.
    pub time: Duration,
}

/// Measures the delays.
pub fn measure(config: &Config<'_>, authority: &Authority) -> Delays {
    let files = Rlimit {
        current: Some(2 * SOCKETS as u64 + 100),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, files).expect("enough descriptors");
    let is_over = AtomicBool::new(false);
    let opened = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    stay_on(1);
    thread::scope(|scope| {
        let builder = || thread::Builder::new().stack_size(STACK);
        let over = &is_over;
        builder()
            .spawn_scoped(scope, move || serve(config, &sender, over))
            .expect("a thread");
        let addr = receiver.recv().expect("an address");
        let mut prober = Prober::new(addr, authority);
        let idle = prober.echo_until(|count| count == 2_000);
        let start = Instant::now();
        let count = &opened;
        builder()
            .spawn_scoped(scope, move || flood(config, addr, count, over))
            .expect("a thread");
        let busy = prober.echo_until(|_| {
            assert!(start.elapsed() < TIME_MAX, "{opened:?} have opened");
            opened.load(Ordering::Relaxed) == HANDSHAKES
        });
        let time = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        Delays { idle, busy, time }
    })
}

/// Has this thread, and those it starts, stay on one processor, if there is that one: the server
/// has its own, which the clients' work does not take from it.
fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    if sched_setaffinity(None, &set).is_err() {
        println!("the server shares its processor with the clients");
    }
}

fn serve(config: &Config<'_>, addr: &mpsc::Sender<SocketAddr>, is_over: &AtomicBool) {
    stay_on(0);
    let mut memory = Box::new(TlsMemory::<Crypto, SOCKETS, 64, 64, 64>::NEW);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
    let mut buffer = vec![0; 65_536];
    let crypto = Crypto::new(LinuxMachine::new());
    let layer = Tls::new(Linux::new().expect("epoll"), crypto, config, &mut *memory);
    let mut server = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = Endpoint::tls(([127, 0, 0, 1], 0).into(), None).backlog(4_096);
    let listener = server.net().listen(any, Part::Echo).expect("a listener");
    let at = server.net().listening_addr(listener).expect("its address");
    addr.send(at).expect("the prober");
    let mut echo = Echo::new(0);
    while !is_over.load(Ordering::Relaxed) {
        poll(&mut server, &mut echo);
    }
}

fn flood(config: &Config<'_>, to: SocketAddr, opened: &AtomicUsize, is_over: &AtomicBool) {
    // What is measured is the server, not how long the prober waits for this thread.
    nice(5).expect("a lower priority");
    let mut memory = Box::new(TlsMemory::<Crypto, SOCKETS, SOCKETS, 64, 64>::NEW);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
    let mut buffer = vec![0; 65_536];
    let crypto = Crypto::new(LinuxMachine::new());
    let layer = Tls::new(Linux::new().expect("epoll"), crypto, config, &mut *memory);
    let mut client = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    for _ in 0..HANDSHAKES {
        let to = Endpoint::tls(to, Some("localhost"));
        client.net().connect(to, Part::Wait).expect("a connection");
    }
    let mut echo = Echo::new(0);
    while !is_over.load(Ordering::Relaxed) {
        poll(&mut client, &mut echo);
        assert!(echo.failed.is_empty(), "{:?}", echo.failed);
        opened.store(echo.opened, Ordering::Relaxed);
    }
}

fn poll(the_loop: &mut Loop<'_, Layer<'_>, Echo>, echo: &mut Echo) {
    let now = the_loop.platform().now();
    let next = now.saturating_add(Duration::from_millis(10));
    the_loop.poll(echo, Some(next)).expect("epoll");
}

/// One connection by rustls that waits for every answer.
struct Prober {
    tls: Theirs,
    tcp: TcpStream,
}

impl Prober {
    fn new(addr: SocketAddr, authority: &Authority) -> Self {
        let config = Theirs::client_config(Theirs::whole_provider(), authority);
        let tcp = TcpStream::connect(addr).expect("a connection");
        tcp.set_nodelay(true).expect("no delay");
        let tls = Theirs::client(Arc::new(config), "localhost");
        let mut prober = Self { tls, tcp };
        while !prober.tls.is_open() {
            prober.exchange();
        }
        prober
    }

    /// Writes what there is, then reads once.
    fn exchange(&mut self) {
        self.tcp.write_all(&self.tls.take_output()).expect("room");
        let mut bytes = [0; 4_096];
        let len = self.tcp.read(&mut bytes).expect("bytes");
        self.tls.feed(&bytes[..len]);
        assert!(self.tls.error.is_none(), "{:?}", self.tls.error);
    }

    /// Echoes until `done`, which gets the number of echoes; returns the microseconds of each, the
    /// shortest first.
    fn echo_until(&mut self, mut done: impl FnMut(usize) -> bool) -> Vec<u64> {
        let mut times = Vec::new();
        while !done(times.len()) {
            self.tls.data.clear();
            let start = Instant::now();
            self.tls.send(&[7; 64]);
            while self.tls.data.len() < 64 {
                self.exchange();
            }
            times.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            thread::sleep(PAUSE);
        }
        times.sort_unstable();
        times
    }
}
