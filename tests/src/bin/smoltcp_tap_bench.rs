//! The stack on a TAP, and on a packet socket and AF_XDP at the end of a veth, against the kernel's
//! over veth: the same handlers, the same client of the kernel's, client and server on one
//! processor. Usage, as root: `smoltcp_tap_bench [SECONDS] [WORD..]`, where the words choose what
//! is measured: `PingPong`, `Source`, `Churn`, `Flood`, `Kernel`, `Tap`, `TapOffload`, `Packet`,
//! `PacketOffload`, `Xdp`, `XdpGeneric`. The first place that is measured is 1.00x.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use rustix::thread::{CpuSet, UnshareFlags, gettid, sched_setaffinity, unshare_unsafe};
use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_smoltcp::{Random, SizeClass};
use usockets_tests::smoltcp::forge::{SYN, Seg};
use usockets_tests::smoltcp::kernel::{Link, Losses, command, in_namespace, stack};

const SERVER: [u8; 4] = [10, 0, 0, 2];
const MESSAGE: usize = 64;

/// What server and clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    /// Messages of 64 bytes, each sent when the last has come back.
    PingPong,
    /// The server sends as much as it can.
    Source,
    /// A connection for every message, closed by the server.
    Churn,
    /// The same under 20,000 SYNs a second from invented sources.
    Flood,
}

/// Where the server is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Kernel,
    Tap,
    TapOffload,
    Packet,
    PacketOffload,
    Xdp,
    XdpGeneric,
}

static STOP: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

struct Server {
    task: Task,
    block: Vec<u8>,
}

impl Server {
    fn pour<P: Platform>(&self, socket: &mut Socket<'_, P, Self>) {
        while self.task == Task::Source && socket.write(&self.block) == self.block.len() {}
    }
}

impl<P: Platform> Handler<P> for Server {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.pour(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.pour(socket);
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        let _ = socket.write(data);
        if matches!(self.task, Task::Churn | Task::Flood) {
            socket.close();
        }
    }
}

struct Client {
    task: Task,
    again: usize,
}

impl<P: Platform> Handler<P> for Client {
    type Context = ();
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        if self.task != Task::Source {
            let _ = socket.write(&[7; MESSAGE]);
        }
        0
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, got: &mut usize, data: &mut [u8]) {
        if self.task == Task::Source {
            COUNT.fetch_add(data.len() as u64, Ordering::Relaxed);
            return;
        }
        *got += data.len();
        if *got >= MESSAGE {
            *got = 0;
            COUNT.fetch_add(1, Ordering::Relaxed);
            if self.task == Task::PingPong {
                let _ = socket.write(&[7; MESSAGE]);
            }
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut usize, closed: usockets::Closed) {
        if closed != usockets::Closed::Finished && !STOP.load(Ordering::Relaxed) {
            FAILED.fetch_add(1, Ordering::Relaxed);
        }
        self.again += 1;
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), _: Error) {
        FAILED.fetch_add(1, Ordering::Relaxed);
        self.again += 1;
    }
}

fn pin() {
    let mut one = CpuSet::new();
    one.set(0);
    sched_setaffinity(None, &one).unwrap();
}

fn serve<P: Platform>(platform: P, task: Task) {
    let mut sockets = Box::new(Sockets::<P, Server, 300>::new());
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(platform, &mut sockets, &mut buffer).unwrap();
    let at = Endpoint::tcp((SERVER, 80).into()).backlog(256);
    server.net().listen(at, ()).unwrap();
    let mut handler = Server {
        task,
        block: vec![5; 65_536],
    };
    while !STOP.load(Ordering::Relaxed) {
        let until = server
            .platform()
            .now()
            .saturating_add(Duration::from_millis(20));
        server.poll(&mut handler, Some(until)).unwrap();
    }
}

fn start_server(place: Place, task: Task) -> thread::JoinHandle<()> {
    static TID: AtomicI32 = AtomicI32::new(0);
    static READY: AtomicBool = AtomicBool::new(false);
    TID.store(0, Ordering::SeqCst);
    READY.store(false, Ordering::SeqCst);
    let server = thread::spawn(move || {
        pin();
        if let Place::Kernel = place {
            // SAFETY: only the network changes; no descriptor is shared differently afterwards.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
            TID.store(gettid().as_raw_nonzero().get(), Ordering::SeqCst);
            while !READY.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            command("ip addr add 10.0.0.2/24 dev v1");
            command("ip link set v1 up");
            TID.store(0, Ordering::SeqCst);
            serve(Linux::new().unwrap(), task);
        } else {
            let link = match place {
                Place::Kernel | Place::Tap => Link::Tap,
                Place::TapOffload => Link::TapOffload,
                Place::Packet => Link::Packet,
                Place::PacketOffload => Link::PacketOffload,
                Place::Xdp => Link::Xdp,
                Place::XdpGeneric => Link::XdpGeneric,
            };
            let classes = [SizeClass::new(256, 65_535, 65_535)];
            let net = stack(link, &classes, Losses::default());
            READY.store(true, Ordering::SeqCst);
            serve(net, task);
        }
    });
    if let Place::Kernel = place {
        while TID.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let tid = TID.load(Ordering::SeqCst);
        command(&format!(
            "ip link add v0 type veth peer name v1 netns {tid}"
        ));
        command("ip addr add 10.0.0.1/24 dev v0");
        command("ip link set v0 up");
        READY.store(true, Ordering::SeqCst);
        while TID.load(Ordering::SeqCst) != 0 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(100));
    } else {
        while !READY.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    server
}

/// Sends 20,000 SYNs a second from the link's and other addresses until told to stop.
fn flood() {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
    let to = SocketAddrV4::new(SERVER.into(), 0);
    let mut random = Random::new(1);
    let (start, mut sent) = (Clock::now(), 0);
    while !STOP.load(Ordering::Relaxed) {
        while sent < start.elapsed().as_micros() / 50 {
            sent += 1;
            let source = if random.below(2) == 0 {
                [10, 0, 0, 3 + random.below(250) as u8]
            } else {
                [99, random.next() as u8, random.next() as u8, 1]
            };
            let from = SocketAddr::new(source.into(), 1 + random.below(60_000) as u16);
            let at = SocketAddr::new(SERVER.into(), 80);
            let syn = Seg::new(from, at, SYN, random.next() as u32, 0).frame(1, 2);
            let _ = sendto(&raw, &syn[14..], SendFlags::empty(), &to);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns messages (or bytes) a second.
fn measure(place: Place, task: Task, connections: usize, seconds: u64) -> f64 {
    let (send, receive) = std::sync::mpsc::channel();
    in_namespace(move || {
        STOP.store(false, Ordering::SeqCst);
        FAILED.store(0, Ordering::SeqCst);
        let server = start_server(place, task);
        let flood = (task == Task::Flood).then(|| thread::spawn(flood));
        pin();
        let mut sockets = Box::new(Sockets::<Linux, Client, 600>::new());
        let mut buffer = vec![0; 65_536];
        let mut clients =
            Loop::with_buffer(Linux::new().unwrap(), &mut sockets, &mut buffer).unwrap();
        let mut handler = Client {
            task,
            again: connections,
        };
        let to = Endpoint::tcp((SERVER, 80).into());
        let warm = Clock::now();
        let mut start = None;
        let rate = loop {
            while handler.again > 0 {
                handler.again -= 1;
                clients.net().connect(to, ()).unwrap();
            }
            let until = clients
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            clients.poll(&mut handler, Some(until)).unwrap();
            match start {
                None if warm.elapsed() > Duration::from_millis(500) => {
                    start = Some((Clock::now(), COUNT.load(Ordering::Relaxed)));
                }
                Some((at, before)) if at.elapsed() > Duration::from_secs(seconds) => {
                    let done = COUNT.load(Ordering::Relaxed) - before;
                    break done as f64 / at.elapsed().as_secs_f64();
                }
                _ => {}
            }
        };
        STOP.store(true, Ordering::SeqCst);
        drop(clients);
        server.join().unwrap();
        if let Some(flood) = flood {
            flood.join().unwrap();
        }
        send.send(rate).unwrap();
    });
    receive.recv().unwrap_or(0.0)
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = words.first().and_then(|word| word.parse().ok());
    words.drain(..usize::from(seconds.is_some()));
    let wanted = |of: &[String]| {
        let about = |word: &&String| of.contains(word);
        let chosen: Vec<&String> = words.iter().filter(about).collect();
        move |name: String| chosen.is_empty() || chosen.contains(&&name)
    };
    let tasks = ["PingPong", "Source", "Churn", "Flood"].map(String::from);
    let places = [
        Place::Kernel,
        Place::Tap,
        Place::TapOffload,
        Place::Packet,
        Place::PacketOffload,
        Place::Xdp,
        Place::XdpGeneric,
    ];
    let names = places.map(|place| format!("{place:?}"));
    let (wanted_task, wanted_place) = (wanted(&tasks), wanted(&names));
    println!("median of 3; one processor for client and server");
    for (task, connections, unit, scale) in [
        (Task::PingPong, 1, "msg/s", 1.0),
        (Task::PingPong, 32, "msg/s", 1.0),
        (Task::PingPong, 256, "msg/s", 1.0),
        (Task::Source, 1, "MB/s", 1e6),
        (Task::Churn, 8, "conn/s", 1.0),
        (Task::Flood, 8, "conn/s", 1.0),
    ] {
        if !wanted_task(format!("{task:?}")) {
            continue;
        }
        let mut first = f64::NAN;
        for place in places {
            if !wanted_place(format!("{place:?}")) {
                continue;
            }
            let mut all: Vec<f64> = (0..3)
                .map(|_| measure(place, task, connections, seconds.unwrap_or(2)) / scale)
                .collect();
            all.sort_by(f64::total_cmp);
            if first.is_nan() {
                first = all[1];
            }
            let ratio = all[1] / first;
            let failed = FAILED.load(Ordering::SeqCst);
            println!(
                "{task:?} {connections} {place:?}: {:.0} {unit} ({ratio:.2}x, {failed} failed)",
                all[1]
            );
        }
    }
}
