//! An example as a program: many sockets ready at once, a timer that nothing else disturbs, and
//! sleep when there is nothing to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// More than one wait of the loop brings.
const MANY: usize = 700;
/// Longest time that anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the examples are, built with what this test was.
fn programs() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile = own.ancestors().nth(2).unwrap().to_path_buf();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.join("examples")
    });
    folder.clone()
}

/// Held by the test that runs: the connections of all would be too many for one process.
static TURN: Mutex<()> = Mutex::new(());

/// A running example. Ends with the test.
struct Host {
    child: Child,
    addr: SocketAddr,
}

impl Host {
    fn start(name: &str) -> Self {
        Self::run(&mut Command::new(programs().join(name)))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on ").unwrap();
        let addr = addr.parse().unwrap();
        Self { child, addr }
    }

    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.addr).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// How often the timer came.
    fn ticks(&self) -> u32 {
        let mut peer = self.connect();
        peer.write_all(b"ticks").unwrap();
        let mut line = String::new();
        BufReader::new(peer).read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// How often the program slept so far.
    fn sleeps(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// Processor time so far, in hundredths of a second (`proc(5)`).
    fn processor(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 700 connections have a message for a program that was stopped: all are answered.
pub(crate) fn all_that_are_ready_at_once_are_answered(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Host::start(name);
    let mut peers: Vec<_> = (0..MANY).map(|_| host.connect()).collect();
    let mut answer = [0; 1];
    for peer in &mut peers {
        peer.write_all(b"a").unwrap();
        peer.read_exact(&mut answer).unwrap();
    }
    host.signal("-STOP");
    for peer in &mut peers {
        peer.write_all(b"b").unwrap();
    }
    let started = Instant::now();
    host.signal("-CONT");
    for peer in &mut peers {
        let read = peer.read_exact(&mut answer);
        assert!(read.is_ok() && answer == *b"b", "{name}: not answered");
    }
    // The timer would wake a loop that has forgotten them, and then slowly.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{name}: {took:?}");
}

/// The timer comes ten times a second, and a program with idle connections wakes for nothing else.
pub(crate) fn it_ticks_and_sleeps(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Host::start(name);
    let _idle: Vec<_> = (0..10).map(|_| host.connect()).collect();
    let before = (host.ticks(), host.sleeps(), host.processor());
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let (sleeps, processor) = (host.sleeps() - before.1, host.processor() - before.2);
    let ticks = host.ticks() - before.0;
    let expected = started.elapsed().as_millis() as u32 / 100;
    let range = expected.saturating_sub(2)..=expected + 1;
    assert!(
        range.contains(&ticks),
        "{name}: {ticks} of {expected} ticks"
    );
    // A tick is one sleep, or two where the outer loop's clock is coarser than ours.
    assert!(sleeps <= 70, "{name}: {sleeps} sleeps in two seconds");
    assert!(
        processor <= 20,
        "{name}: {processor} hundredths of a second"
    );
}

/// Returns how many system calls a program makes for an echo, of one connection that waits for each
/// before the next: what 2,500 echoes take more than 500. `None` where there is no strace.
#[allow(dead_code, reason = "the hosts in C are held to no number")]
pub(crate) fn calls_per_echo(name: &str) -> Option<f64> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed (Debian package strace)");
        return None;
    }
    let calls = [500, 2_500].map(|echoes| {
        let counts = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        // The program is the child, and strace beside it (`-D`), which writes when it has ended.
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-c", "-U", "calls,name", "-o"]);
        let host = Host::run(strace.arg(&counts).arg(programs().join(name)));
        let mut peer = host.connect();
        peer.set_nodelay(true).unwrap();
        for _ in 0..echoes {
            peer.write_all(b"echo").unwrap();
            peer.read_exact(&mut [0; 4]).unwrap();
        }
        drop(host);
        let started = Instant::now();
        let total = loop {
            let table = std::fs::read_to_string(&counts).unwrap_or_default();
            let total = table
                .lines()
                .find_map(|line| line.trim().strip_suffix(" total"));
            if let Some(total) = total {
                break total.trim().parse::<u32>().unwrap();
            }
            assert!(started.elapsed() < PATIENCE, "strace has written no table");
            std::thread::sleep(Duration::from_millis(10));
        };
        let _ = std::fs::remove_file(&counts);
        total
    });
    Some(f64::from(calls[1] - calls[0]) / 2_000.0)
}

/// An example is to be read at once.
pub(crate) fn it_is_short(name: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let text = std::fs::read_to_string(format!("{folder}/{name}.rs")).unwrap();
    let lines = text.lines().count();
    assert!(lines < 60, "{name}: {lines} lines");
}

/// Makes the tests of each example.
macro_rules! on_every_host {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn all_that_are_ready_at_once_are_answered() {
                crate::support::all_that_are_ready_at_once_are_answered(stringify!($name));
            }

            #[test]
            fn it_is_short() {
                crate::support::it_is_short(stringify!($name));
            }

            #[test]
            fn it_ticks_and_sleeps() {
                crate::support::it_ticks_and_sleeps(stringify!($name));
            }
        })*
    };
}

pub(crate) use on_every_host;
