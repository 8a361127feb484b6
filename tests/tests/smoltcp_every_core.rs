//! A host of two stacks, each on a thread and a receive queue of its own: both serve the kernel's
//! clients, and both connect to a server of the kernel's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use usockets::{Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_smoltcp::{Counters, SizeClass, Stack};
use usockets_tests::smoltcp::cores::{Cores, Way};
use usockets_tests::smoltcp::kernel::{
    Faulty, KERNEL, Link, STACK, echo_client, in_namespace, veth_with_queues,
};
use usockets_tests::smoltcp::{pattern, v6};

const QUEUES: u16 = 2;
/// Connects of each queue, to each of the kernel's addresses.
const CONNECTS: usize = 4;
const CLIENTS: usize = 24;
const LEN: usize = 50_000;

/// Echoes what others send, and sends a pattern to whom it has connected to.
#[derive(Default)]
struct Both {
    served: usize,
    answered: usize,
}

/// What a connection has to send, from which place on, and what came back to who connected.
struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    back: Option<Vec<u8>>,
}

impl Both {
    fn push<P: Platform>(socket: &mut Socket<'_, P, Self>, sending: &mut Sending) {
        sending.sent += socket.write(&sending.bytes[sending.sent..]);
        let is_sent = sending.sent == sending.bytes.len();
        match sending.back {
            Some(_) if is_sent => socket.finish(),
            Some(_) => {}
            None if is_sent => socket.resume(),
            None => socket.pause(),
        }
    }
}

impl<P: Platform> Handler<P> for Both {
    type Context = bool;
    type Ext = Sending;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<bool>) -> Sending {
        let connected = opened.context();
        let mut sending = Sending {
            bytes: if connected {
                pattern(LEN, 9)
            } else {
                Vec::new()
            },
            sent: 0,
            back: connected.then(Vec::new),
        };
        if connected {
            Self::push(socket, &mut sending);
        } else {
            self.served += 1;
        }
        sending
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        sending: &mut Sending,
        data: &mut [u8],
    ) {
        match &mut sending.back {
            Some(back) => back.extend_from_slice(data),
            None => {
                sending.bytes.drain(..sending.sent);
                sending.sent = 0;
                sending.bytes.extend_from_slice(data);
                Self::push(socket, sending);
            }
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, sending: &mut Sending) {
        Self::push(socket, sending);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, sending: &mut Sending, closed: Closed) {
        if let Some(back) = &sending.back {
            assert_eq!(closed, Closed::Finished);
            assert!(*back == pattern(LEN, 9));
            self.answered += 1;
        }
    }
}

/// How far all of them are.
#[derive(Default)]
struct Progress {
    /// The kernel's clients are done.
    stop: AtomicBool,
    /// Connects of all stacks that got everything back.
    answered: AtomicUsize,
    /// Stacks that have told what they counted.
    counted: AtomicUsize,
}

/// Runs a stack until all of them are done, since one that has ended hands nothing over. Returns
/// what it served, how many of its connects got everything back, and what it counted. It ends no
/// sooner than all have counted: the kernel gives what comes for it to others then.
fn run(net: Stack<'static, Faulty>, progress: &Progress) -> (Both, Counters) {
    let mut sockets = Box::new(Sockets::<_, Both, 65>::new());
    let mut buffer = vec![0; 65_536];
    let mut looped = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    looped.net().listen(at, false).unwrap();
    for to in [SocketAddr::from((KERNEL, 7)), v6(1, 7)] {
        for _ in 0..CONNECTS {
            looped.net().connect(Endpoint::tcp(to), true).unwrap();
        }
    }
    let mut both = Both::default();
    let start = std::time::Instant::now();
    let all = 2 * CONNECTS * usize::from(QUEUES);
    while !progress.stop.load(Ordering::Relaxed) || progress.answered.load(Ordering::Relaxed) < all
    {
        assert!(start.elapsed() < Duration::from_secs(120));
        let until = looped.platform().now();
        let until = until.saturating_add(Duration::from_millis(20));
        let before = both.answered;
        looped.poll(&mut both, Some(until)).unwrap();
        let new = both.answered - before;
        progress.answered.fetch_add(new, Ordering::Relaxed);
    }
    let counted = *looped.platform().counters();
    progress.counted.fetch_add(1, Ordering::Relaxed);
    while progress.counted.load(Ordering::Relaxed) < usize::from(QUEUES) {
        assert!(start.elapsed() < Duration::from_secs(120));
        thread::sleep(Duration::from_millis(1));
    }
    (both, counted)
}

/// A server of the kernel's that sends back what each connection sends.
fn echo_servers(at: SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    });
}

fn each_queue_serves_and_connects(way: Way) {
    in_namespace(move || {
        let cores = Cores::new(way, QUEUES);
        echo_servers((KERNEL, 7).into());
        echo_servers(v6(1, 7));
        let progress = Arc::new(Progress::default());
        let (ready, all) = (Barrier::new(2), Barrier::new(QUEUES.into()));
        let (ready, all) = (Arc::new(ready), Arc::new(all));
        let stacks: Vec<JoinHandle<_>> = (0..QUEUES)
            .map(|queue| {
                let (progress, started, all) = (progress.clone(), ready.clone(), all.clone());
                let thread = thread::spawn(move || {
                    let net = cores.stack(queue, &[SizeClass::new(64, 32_768, 32_768)]);
                    started.wait();
                    // Until it has joined the others, a packet socket gets all frames.
                    all.wait();
                    run(net, &progress)
                });
                // One after the other, in the order of their queues.
                ready.wait();
                thread
            })
            .collect();
        let bytes = pattern(LEN, 3);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|turn| {
                let v4 = SocketAddr::from((STACK, 80));
                echo_client(if turn % 2 == 0 { v4 } else { v6(2, 80) }, bytes.clone())
            })
            .collect();
        for client in clients {
            assert!(client.join().unwrap() == bytes);
        }
        progress.stop.store(true, Ordering::Relaxed);
        let done: Vec<_> = stacks.into_iter().map(|one| one.join().unwrap()).collect();
        let served: Vec<_> = done.iter().map(|(both, _)| both.served).collect();
        let counted = done.iter().map(|(_, counted)| *counted);
        let counted = counted.reduce(Counters::sum).unwrap();
        println!("{served:?} {counted:?}");
        assert_eq!(served.iter().sum::<usize>(), CLIENTS);
        assert!(served.iter().all(|served| *served > 0), "{served:?}");
        assert!(done.iter().all(|(both, _)| both.answered == 2 * CONNECTS));
        // Where the kernel hashes, everything comes to the right one.
        assert!(way != Way::Packet || counted.handed_over == 0);
        // And by AF_XDP half of it does not.
        assert!(way != Way::Xdp || counted.handed_over > 0);
    });
}

#[test]
fn each_queue_serves_and_connects_by_af_xdp() {
    if Link::Xdp.is_here() {
        each_queue_serves_and_connects(Way::Xdp);
    }
}

#[test]
fn each_queue_serves_and_connects_by_taps() {
    each_queue_serves_and_connects(Way::Tap);
}

#[test]
fn each_queue_serves_and_connects_by_packet_sockets() {
    each_queue_serves_and_connects(Way::Packet);
}

/// Ends a program with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds the example as this test was built, and returns where it is.
fn example() -> PathBuf {
    let mut at = std::env::current_exe().unwrap();
    at.pop();
    at.pop();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", "xdp_http"]);
    // As `smoltcp_curl` has it, so that the library is built once for both.
    let features = "afxdp,connections,queues,tap,tls";
    cargo.args(["-p", "usockets-smoltcp", "--features", features]);
    if at.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    at.join("examples/xdp_http")
}

/// Reads a response until the peer's end, and keeps the connection a while before.
fn get(path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect((std::net::Ipv4Addr::from(STACK), 80)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: us\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(1_500));
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// The example serves on both queues, and tells what its connections do.
#[test]
fn the_example_serves_on_each_queue_and_lists_its_connections() {
    if !Link::Xdp.is_here() {
        return;
    }
    in_namespace(|| {
        let program = example();
        veth_with_queues(QUEUES);
        let mut command = Command::new(program);
        command.args(["--interface", "us1", "--veth", "--ip", "10.0.0.2/24"]);
        command.args(["--queues", "2", "--connections", "1"]);
        let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let clients: Vec<_> = (0..16)
            .map(|_| thread::spawn(|| get("/bytes/30000")))
            .collect();
        for client in clients {
            let response = client.join().unwrap();
            assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(response.len() > 30_000);
        }
        thread::sleep(Duration::from_millis(1_500));
        running.0.kill().unwrap();
        let mut said = String::new();
        let out = running.0.stdout.take();
        out.unwrap().read_to_string(&mut said).unwrap();
        for queue in 0..QUEUES {
            let open = format!("queue {queue}: ESTABLISHED 10.0.0.2:80 10.0.0.1:");
            assert!(said.contains(&open), "{said}");
            let lines = said.lines().filter(|line| line.contains(" served, "));
            let own = format!("queue {queue}: ");
            let last = lines.filter_map(|line| line.strip_prefix(&own)).next_back();
            assert!(!last.unwrap().starts_with("0 served"), "{said}");
        }
        let measured = |line: &str| line.contains(" rtt ") && line.contains(" us, cwnd ");
        assert!(said.lines().any(measured), "{said}");
    });
}
