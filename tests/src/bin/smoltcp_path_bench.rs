//! Bulk data over paths with delay, a bottleneck, loss and reordering, sent by the stack and by the
//! kernel with CUBIC, to the kernel or from it. Usage, as root: `smoltcp_path_bench [SECONDS]
//! [ROUNDS] [WORD..]`, where the words choose paths by what their names contain. Every round takes
//! each path once for either, with the same seed. It prints medians of megabytes a second with the
//! lowest and the highest, and the median of the rounds' ratios.
//!
//! The path is in this process, before a TAP whose other end is the kernel's: behind it is the
//! stack, or a second TAP in another network namespace, where the kernel's other end is. What is
//! measured begins three seconds after the first byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant as Clock};

use rustix::net::sockopt::set_tcp_congestion;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use usockets::{Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_smoltcp::{FRAMES_MAX, Faults, PollDevice, SizeClass, Tap, TxMeta};
use usockets_tests::smoltcp::kernel::{
    Losses, MTU, STACK, address, command, in_namespace, stack_on,
};
use usockets_tests::smoltcp::path::Path;
use usockets_tests::smoltcp::zeroes;

/// One line of the table.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    faults: Faults,
    /// Frames that wait before the bottleneck.
    queue: usize,
    /// Bytes of the stack's buffers, and at most of the kernel's.
    buffer: usize,
    /// The server receives.
    upload: bool,
}

/// With room for all that a window can hold.
const fn case(name: &'static str, faults: Faults) -> Case {
    Case {
        name,
        faults,
        queue: 10_000,
        buffer: 4 << 20,
        upload: false,
    }
}

/// A path of so many milliseconds there and back, and bytes a second.
const fn path(millis: u64, rate: u64) -> Faults {
    Faults::NONE
        .delay(Duration::from_micros(millis * 500))
        .rate(rate)
}

/// 100 Mbit/s.
const USUAL: u64 = 12_500_000;
/// Fast, but so that a window as large as the buffers is enough.
const FAST: u64 = 30_000_000;

const CASES: [Case; 10] = [
    Case {
        upload: true,
        ..case("upload, 40 ms", path(40, FAST))
    },
    Case {
        upload: true,
        ..case("upload, 100 ms", path(100, FAST))
    },
    case("100 ms", path(100, FAST)),
    Case {
        queue: 200,
        buffer: 2 << 20,
        ..case("100 Mbit/s, drop-tail", path(40, USUAL))
    },
    Case {
        queue: 30,
        buffer: 256 << 10,
        ..case("20 Mbit/s, 30 frames", path(40, 2_500_000))
    },
    case("20 ms, 2 % reordered", path(20, USUAL).reorder(20_000)),
    case("0.1 % lost", path(40, USUAL).loss(1_000)),
    case("0.5 % lost", path(40, USUAL).loss(5_000)),
    case("1 % lost", path(40, USUAL).loss(10_000)),
    case("2 % lost", path(40, USUAL).loss(20_000)),
];

/// What is received, and whether it is enough.
#[derive(Clone, Default)]
struct Shared {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Sends as much as it can, or counts what comes.
struct Server {
    upload: bool,
    shared: Shared,
    block: Vec<u8>,
}

impl<P: Platform> Handler<P> for Server {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.on_writable(socket, &mut ());
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        while !self.upload && socket.write(&self.block) == self.block.len() {}
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.shared.count(data.len());
    }
}

/// Makes a TAP in the thread's namespace.
fn tap(name: &str) -> Tap<'static> {
    Tap::make(name, MTU, false, zeroes(Tap::share(MTU, false) * 1_025)).unwrap()
}

/// Runs the stack behind the path until it is enough.
fn run_stack(device: Path<Tap<'static>>, case: &Case, shared: &Shared) {
    let classes = [SizeClass::new(2, case.buffer, case.buffer)];
    let net = stack_on(Box::new(device), &classes, Losses::default());
    let mut sockets = Box::new(Sockets::<_, Server, 4>::new());
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    server
        .net()
        .listen(Endpoint::tcp((STACK, 80).into()), ())
        .unwrap();
    let mut handler = Server {
        upload: case.upload,
        shared: shared.clone(),
        block: vec![0; 65_536],
    };
    while !shared.is_over() {
        let now = server.platform().now();
        let until = now.saturating_add(Duration::from_millis(20));
        server.poll(&mut handler, Some(until)).unwrap();
    }
}

/// Lets the kernel's connections in the thread's namespace have buffers as large as the stack's. It
/// counts what it takes to keep segments, too.
fn allow_buffers(bytes: usize) {
    for side in ["wmem", "rmem"] {
        let sizes = format!("4096\t131072\t{}", bytes * 2);
        command(&format!("sysctl -qw net.ipv4.tcp_{side}={sizes}"));
    }
}

/// Has the kernel serve in a namespace of its own, and returns the link to it.
fn start_kernel(case: &Case, shared: &Shared) -> Tap<'static> {
    let (send, receive) = channel();
    let (case, shared) = (*case, shared.clone());
    thread::spawn(move || {
        // SAFETY: only the network changes; no descriptor is shared differently afterwards.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        let link = tap("us1");
        command("ip addr add 10.0.0.2/24 dev us1");
        command("ip link set us1 up");
        allow_buffers(case.buffer);
        let listener = TcpListener::bind(SocketAddr::from((STACK, 80))).unwrap();
        set_tcp_congestion(&listener, "cubic").unwrap();
        send.send(link).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut block = vec![0; 65_536];
        if case.upload {
            while let Ok(len @ 1..) = peer.read(&mut block) {
                shared.count(len);
            }
        } else {
            while peer.write(&block).is_ok() {}
        }
    });
    receive.recv().unwrap()
}

/// Moves frames between the path and the kernel behind it until it is enough.
fn relay(mut path: Path<Tap<'static>>, mut link: Tap<'static>, shared: &Shared) {
    while !shared.is_over() {
        let there = copy(&mut path, &mut link);
        let back = copy(&mut link, &mut path);
        if there + back == 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

fn copy(from: &mut impl PollDevice, to: &mut impl PollDevice) -> usize {
    let count = from.receive(FRAMES_MAX);
    for index in 0..count {
        let frame = from.frame(index);
        if let Some(slot) = to.slot(frame.len()) {
            slot[..frame.len()].copy_from_slice(frame);
            to.commit(frame.len(), &TxMeta::NONE);
        }
    }
    to.flush();
    count
}

/// The kernel's client: reads, or writes.
fn start_client(upload: bool, shared: &Shared) {
    let mut peer = TcpStream::connect(SocketAddr::from((STACK, 80))).unwrap();
    set_tcp_congestion(&peer, "cubic").unwrap();
    let shared = shared.clone();
    thread::spawn(move || {
        let mut block = vec![0; 65_536];
        if upload {
            while !shared.is_over() && peer.write(&block).is_ok() {}
            return;
        }
        while !shared.is_over()
            && let Ok(len @ 1..) = peer.read(&mut block)
        {
            shared.count(len);
        }
    });
}

/// Returns megabytes a second.
fn measure(case: Case, kernel: bool, seed: u64, seconds: u64) -> f64 {
    let (send, receive) = channel();
    in_namespace(move || {
        let shared = Shared::default();
        let path = Path::new(tap("us0"), case.faults, case.queue, seed);
        address("us0");
        allow_buffers(case.buffer);
        let link = kernel.then(|| start_kernel(&case, &shared));
        let moved = shared.clone();
        let mover = thread::spawn(move || match link {
            Some(link) => relay(path, link, &moved),
            None => run_stack(path, &case, &moved),
        });
        start_client(case.upload, &shared);
        thread::sleep(Duration::from_secs(3));
        let (start, before) = (Clock::now(), shared.received.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs(seconds));
        let bytes = shared.received.load(Ordering::Relaxed) - before;
        send.send(bytes as f64 / 1e6 / start.elapsed().as_secs_f64())
            .unwrap();
        shared.stop.store(true, Ordering::Relaxed);
        mover.join().unwrap();
    });
    receive.recv().expect("a network namespace")
}

/// Returns the median, the lowest and the highest.
fn spread(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_by(f64::total_cmp);
    [all[all.len() / 2], all[0], all[all.len() - 1]]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().flat_map(|word| word.parse()).collect();
    let words: Vec<&String> = arguments
        .iter()
        .filter(|word| word.parse::<u64>().is_err())
        .collect();
    let seconds = numbers.first().copied().unwrap_or(15);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    println!("| path | kernel | usockets-smoltcp | ratio |\n|---|---|---|---|");
    for case in CASES {
        if !words.is_empty() && !words.iter().any(|word| case.name.contains(word.as_str())) {
            continue;
        }
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            theirs.push(measure(case, true, 2 * round + 1, seconds));
            ours.push(measure(case, false, 2 * round + 1, seconds));
        }
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
        let [ratio, worst, best] = spread(ratios.collect());
        let [kernel, stack] = [theirs, ours].map(|all| {
            let [median, low, high] = spread(all);
            format!("{median:.2} ({low:.2}–{high:.2})")
        });
        println!(
            "| {} | {kernel} | {stack} | {ratio:.2} ({worst:.2}–{best:.2}) |",
            case.name
        );
    }
}
