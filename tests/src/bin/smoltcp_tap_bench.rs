//! The stack on a TAP, and on packet sockets and AF_XDP at the end of a veth, against the kernel's
//! over veth: the same handlers, the same client of the kernel's, client and server on one
//! processor. Usage, as root: `smoltcp_tap_bench [SECONDS] [ROUNDS] [WORD..]`, where the words
//! choose what is measured: `PingPong`, or of it one number of connections, as `PingPong1`;
//! `Source`, `Churn`, `Flood`; `Kernel`, `Tap`, `TapOffload`, `TapTwo`, `Packet`, `PacketOffload`,
//! `PacketTwo`, `Xdp`, `XdpOffload`, `XdpGeneric`, `XdpTwo`; `Two` are two stacks with a queue and
//! a thread each. Every round measures all places in turn. It prints medians with the lowest and
//! the highest, first of the rate and then of the processor time that the process takes, client and
//! server, for each message or kilobyte; the first place is 1.00x. On a busy machine only the
//! processor time tells anything.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use rustix::thread::{CpuSet, UnshareFlags, gettid, sched_setaffinity, unshare_unsafe};
use rustix::time::{ClockId, clock_gettime};
use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_smoltcp::{Random, SizeClass};
use usockets_tests::smoltcp::cores::{Cores, Way};
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
    TapTwo,
    Packet,
    PacketOffload,
    PacketTwo,
    Xdp,
    XdpOffload,
    XdpGeneric,
    XdpTwo,
}

impl Place {
    /// Returns how several stacks get their frames; `None` of a single one.
    fn way(self) -> Option<Way> {
        match self {
            Self::PacketTwo => Some(Way::Packet),
            Self::XdpTwo => Some(Way::Xdp),
            Self::TapTwo => Some(Way::Tap),
            _ => None,
        }
    }
}

/// What the words may choose of tasks.
const TASKS: [&str; 7] = [
    "PingPong",
    "PingPong1",
    "PingPong32",
    "PingPong256",
    "Source",
    "Churn",
    "Flood",
];
const PLACES: [Place; 11] = [
    Place::Kernel,
    Place::Tap,
    Place::TapOffload,
    Place::TapTwo,
    Place::Packet,
    Place::PacketOffload,
    Place::PacketTwo,
    Place::Xdp,
    Place::XdpOffload,
    Place::XdpGeneric,
    Place::XdpTwo,
];

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

/// Starts a stack for each of two queues.
fn start_two(way: Way, task: Task) -> Vec<thread::JoinHandle<()>> {
    let cores = Cores::new(way, 2);
    let (send, receive) = std::sync::mpsc::channel();
    let start = |queue| {
        let send = send.clone();
        let thread = thread::spawn(move || {
            pin();
            let net = cores.stack(queue, &[SizeClass::new(256, 65_535, 65_535)]);
            send.send(()).unwrap();
            serve(net, task);
        });
        receive.recv().unwrap();
        thread
    };
    (0..2).map(start).collect()
}

fn start_server(place: Place, task: Task) -> Vec<thread::JoinHandle<()>> {
    if let Some(way) = place.way() {
        return start_two(way, task);
    }
    vec![start_one(place, task)]
}

fn start_one(place: Place, task: Task) -> thread::JoinHandle<()> {
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
                Place::Kernel | Place::Tap | Place::TapTwo => Link::Tap,
                Place::TapOffload => Link::TapOffload,
                Place::Packet | Place::PacketTwo => Link::Packet,
                Place::PacketOffload => Link::PacketOffload,
                Place::Xdp | Place::XdpTwo => Link::Xdp,
                Place::XdpOffload => Link::XdpOffload,
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

/// Returns the processor time that the process has taken, in seconds.
fn processor_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Returns messages (or bytes) a second, and the processor time for each in seconds.
fn measure(place: Place, task: Task, connections: usize, seconds: u64) -> [f64; 2] {
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
                    start = Some((
                        Clock::now(),
                        COUNT.load(Ordering::Relaxed),
                        processor_time(),
                    ));
                }
                Some((at, before, taken)) if at.elapsed() > Duration::from_secs(seconds) => {
                    let done = (COUNT.load(Ordering::Relaxed) - before) as f64;
                    let rate = done / at.elapsed().as_secs_f64();
                    break [rate, (processor_time() - taken) / done];
                }
                _ => {}
            }
        };
        STOP.store(true, Ordering::SeqCst);
        drop(clients);
        for server in server {
            server.join().unwrap();
        }
        if let Some(flood) = flood {
            flood.join().unwrap();
        }
        send.send(rate).unwrap();
    });
    receive.recv().unwrap_or([f64::NAN; 2])
}

/// Returns the median, and text with the lowest and the highest.
fn median(mut all: Vec<f64>, digits: usize) -> (f64, String) {
    all.sort_by(f64::total_cmp);
    let (middle, last) = (all[all.len() / 2], all[all.len() - 1]);
    let first = all[0];
    let text = format!("{middle:.digits$} ({first:.digits$}\u{2013}{last:.digits$})");
    (middle, text)
}

/// Takes the next argument away if it is a number.
fn number(words: &mut Vec<String>, default: u64) -> u64 {
    let number = words.first().and_then(|word| word.parse().ok());
    words.drain(..usize::from(number.is_some()));
    number.unwrap_or(default)
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = number(&mut words, 2);
    let rounds = number(&mut words, 3);
    let wanted = |of: &[String]| {
        let about = |word: &&String| of.contains(word);
        let chosen: Vec<&String> = words.iter().filter(about).collect();
        move |name: String| chosen.is_empty() || chosen.contains(&&name)
    };
    let tasks = TASKS.map(String::from);
    let places = PLACES;
    let names = places.map(|place| format!("{place:?}"));
    let (wanted_task, wanted_place) = (wanted(&tasks), wanted(&names));
    println!("medians of {rounds} rounds (lowest\u{2013}highest); one processor for all");
    for (task, connections, unit, scale) in [
        (Task::PingPong, 1, "msg/s", 1.0),
        (Task::PingPong, 32, "msg/s", 1.0),
        (Task::PingPong, 256, "msg/s", 1.0),
        (Task::Source, 1, "MB/s", 1e6),
        (Task::Churn, 8, "conn/s", 1.0),
        (Task::Flood, 8, "conn/s", 1.0),
    ] {
        if !wanted_task(format!("{task:?}")) && !wanted_task(format!("{task:?}{connections}")) {
            continue;
        }
        let chosen = places.map(|place| wanted_place(format!("{place:?}")));
        let mut all = places.map(|_| (Vec::new(), Vec::new(), 0));
        for _ in 0..rounds {
            let places = places.iter().zip(chosen).zip(&mut all);
            for ((place, _), (rates, times, failed)) in places.filter(|((_, chosen), _)| *chosen) {
                let [rate, time] = measure(*place, task, connections, seconds);
                rates.push(rate / scale);
                // For a message in microseconds, for a kilobyte likewise.
                times.push(time * if scale > 1.0 { 1e9 } else { 1e6 });
                *failed += FAILED.load(Ordering::SeqCst);
            }
        }
        let mut first = None;
        for (place, (rates, times, failed)) in places.iter().zip(all) {
            if rates.is_empty() {
                continue;
            }
            let ((rate, rates), (time, times)) = (median(rates, 0), median(times, 3));
            let (first_rate, first_time) = *first.get_or_insert((rate, time));
            println!(
                "{task:?} {connections} {place:?}: {rates} {unit} {:.2}x, {times} us {:.2}x, \
                 {failed} failed",
                rate / first_rate,
                time / first_time
            );
        }
    }
}
