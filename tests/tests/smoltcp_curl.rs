//! curl against `tap_http` through loss: every byte is the right one.
//!
//! The network loses frames between two bridged TAPs and a third one, as a wire of their own
//! would, one frame of the wire's size at a time and both ways. `SOAK=1` runs it in full.

use std::io::Read;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use usockets_smoltcp::{PollDevice, Random, Tap, TxMeta};
use usockets_tests::smoltcp::kernel::{MTU, command, in_namespace};
use usockets_tests::smoltcp::{leak, seed};

/// Frames lost each way, in a million.
const LOSS: u32 = 50_000;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Moves frames between two TAPs until told to stop, and loses some.
fn relay(name: [&str; 2], stop: &AtomicBool, ready: &Barrier) {
    let mut taps = name.map(|name| {
        let memory = leak(65 * Tap::share(MTU, false), || 0);
        Tap::make(name, MTU, false, memory).unwrap()
    });
    command("ip link set r0 master br0");
    command("ip addr add 10.77.0.1/24 dev r1");
    for device in ["br0", "us0", "r0", "r1"] {
        command(&format!("ip link set {device} up"));
    }
    ready.wait();
    let mut random = Random::new(seed(1));
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        let mut fds = taps.each_ref().map(|tap| PollFd::new(tap, PollFlags::IN));
        let _ = poll(&mut fds, Some(&tick));
        for from in 0..2 {
            let [first, second] = &mut taps;
            let (from, to) = if from == 0 {
                (first, second)
            } else {
                (second, first)
            };
            for index in 0..from.receive(64) {
                let frame = from.frame(index);
                if random.chance(LOSS) {
                    continue;
                }
                if let Some(slot) = to.slot(frame.len()) {
                    slot.copy_from_slice(frame);
                    to.commit(frame.len(), &TxMeta::NONE);
                }
            }
        }
    }
}

/// Ends a program with the test, however that ends, and removes what it wrote.
struct Running(Child, PathBuf);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

/// Builds and starts the example, as this test was built, in a directory of its own.
fn serve(scheme: &str) -> Running {
    let mut at = std::env::current_exe().unwrap();
    at.pop();
    at.pop();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", "tap_http"]);
    // As `smoltcp_every_core` has it, so that the library is built once for both.
    let features = "afxdp,connections,queues,tap,tls";
    cargo.args(["-p", "usockets-smoltcp", "--features", features]);
    if at.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    let mut program = Command::new(at.join("examples/tap_http"));
    let cidr = format!("{SERVER}/24");
    program.args(["--tap", "us0", "--ip", &cidr]);
    if scheme == "https" {
        program.arg("--tls");
    }
    let directory = format!("usockets-curl-{scheme}-{}", std::process::id());
    let directory = std::env::temp_dir().join(directory);
    std::fs::create_dir(&directory).unwrap();
    program.current_dir(&directory);
    Running(program.spawn().unwrap(), directory)
}

/// Fetches something with curl and compares it with the pattern that the server sends.
fn fetch(server: &Running, scheme: &str, len: usize) {
    let url = &format!("{scheme}://{SERVER}/bytes/{len}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--retry-connrefused"]);
    curl.args(["--retry", "9", "--max-time", "1200"]).arg(url);
    if scheme == "https" {
        let certificate = server.1.join("localhost.pem");
        while !certificate.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        curl.arg("--cacert").arg(certificate);
    }
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    let (mut got, mut buffer) = (0, vec![0; 1 << 16]);
    let mut from = curl.stdout.take().unwrap();
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        let right = |(at, byte): (usize, &u8)| *byte == pattern(got + at);
        assert!(buffer[..count].iter().enumerate().all(right), "after {got}");
        got += count;
    }
    assert!(curl.wait().unwrap().success(), "{url}");
    assert_eq!(got, len, "{url}");
}

/// The byte that the server sends at this place: printable ones in turn, over and over.
fn pattern(at: usize) -> u8 {
    b'!' + (at % 89) as u8
}

#[test]
fn curl_gets_every_byte_through_five_percent_loss() {
    if std::env::var_os("SOAK").is_some() {
        through_loss("http", 1_000, 100_000_000);
    } else {
        through_loss("http", 25, 1_500_000);
    }
}

#[test]
fn curl_gets_every_byte_over_tls_through_loss() {
    through_loss("https", 5, 300_000);
}

/// Fetches so many pages, and a body of so many bytes.
fn through_loss(scheme: &'static str, pages: usize, body: usize) {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "no curl here");
        println!("SKIPPED: no curl here");
        return;
    }
    in_namespace(move || {
        command("ip link add br0 type bridge");
        command("ip tuntap add dev us0 mode tap vnet_hdr");
        command("ip link set us0 master br0");
        let server = serve(scheme);
        let stop: &'static AtomicBool = &leak(1, || AtomicBool::new(false))[0];
        let ready: &'static Barrier = &leak(1, || Barrier::new(2))[0];
        let wire = std::thread::spawn(|| relay(["r0", "r1"], stop, ready));
        ready.wait();
        let start = Instant::now();
        for page in 0..pages {
            fetch(&server, scheme, 500 + page * 7);
        }
        println!("{pages} pages: {:?}", start.elapsed());
        let start = Instant::now();
        fetch(&server, scheme, body);
        let rate = body as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{body} bytes: {:?}, {rate:.2} MB/s", start.elapsed());
        drop(server);
        stop.store(true, Ordering::Relaxed);
        wire.join().unwrap();
    });
}
