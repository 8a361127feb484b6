//! Datagrams where a kernel or a sandbox refuses calls and options that carry many at once: they go
//! and come all the same, and what was refused is not asked for again.
//!
//! A row runs this program again under strace, which refuses a call. Needs `strace` (Debian package
//! of that name); without it the test says that it was skipped.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

use usockets::{Arrival, Datagrams, Departure, Duration, Handler, Loop, Opened, Socket, Sockets};
use usockets_linux::Linux;

/// Calls and how each is refused, and how often the first of them may be made.
const TABLE: &[(&[&str], Option<usize>)] = &[
    (&[], None),
    (&["recvmmsg:error=ENOSYS"], Some(1)),
    (&["recvmmsg:error=EPERM"], Some(1)),
    (&["sendmmsg:error=ENOSYS"], Some(1)),
    (&["sendmmsg:error=EPERM"], Some(1)),
    // No option at all, so that the kernel splits no runs.
    (&["setsockopt:error=ENOPROTOOPT"], None),
    (&["setsockopt:error=EPERM"], None),
    (
        &["sendmmsg:error=ENOSYS", "setsockopt:error=ENOPROTOOPT"],
        Some(1),
    ),
    // The kernel splits runs, and the device does not (EIO), or not this one (EINVAL).
    (&["sendmsg:error=EIO:when=1"], None),
    (&["sendmsg:error=EINVAL:when=1"], None),
    // The same of one that the platform has made of datagrams in a row.
    (&["sendmsg:error=EIO:when=2"], None),
    (&["sendmsg:error=EINVAL:when=2"], None),
    // Signals.
    (&["sendmmsg:error=EINTR:when=1"], None),
    (&["recvmmsg:error=EINTR:when=1"], None),
];

/// Datagrams of the batch, of the run before it, and of those in a row between them.
const SINGLE: usize = 100;
const ALIKE: usize = 20;
const RUN: usize = 10;

/// Counts what came.
#[derive(Default)]
struct Count {
    bytes: Vec<u8>,
    datagrams: usize,
}

impl<P: Datagrams> Handler<P> for Count {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        let (mut memory, mut arrivals) = ([0; 64 * 16], [Arrival::default(); 64]);
        let count = socket.recv_batch(&mut memory, &mut arrivals).unwrap();
        for (arrival, bytes) in arrivals.iter().zip(memory.chunks(16)).take(count) {
            self.bytes.extend(&bytes[..arrival.len]);
            self.datagrams += 1;
        }
    }
}

/// Sends a run of datagrams and a batch, receives them, and prints how many came. Run under strace,
/// by the test below.
#[test]
fn scene() {
    if std::env::var_os("SCENE").is_none() {
        return;
    }
    let mut sockets = Sockets::<Linux, Count, 2>::new();
    let mut buffer = [0; 1];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let from = net.net().bind(local.into(), ()).unwrap();
    let to = net.net().bind(local.into(), ()).unwrap();
    let to = net.net().local_addr(to).unwrap();
    let memory: Vec<u8> = (0..100).collect();
    let run = Departure {
        len: 2 * RUN - 1,
        segment: 2,
        to,
        ..Departure::default()
    };
    let sent = net.net().send_batch(from, &memory, &[run]);
    assert_eq!((sent.count, sent.error), (1, None));
    let one = |start| Departure {
        start,
        len: 1,
        to,
        ..Departure::default()
    };
    let alike: Vec<_> = (0..ALIKE).map(one).collect();
    let sent = net.net().send_batch(from, &memory, &alike);
    assert_eq!((sent.count, sent.error), (ALIKE, None));
    // Each differs from the one before it.
    let ip = to.ip().map(|to| to.ip());
    let batch: Vec<_> = (0..SINGLE)
        .map(|start| Departure {
            source: ip.filter(|_| start % 2 == 0),
            ..one(start)
        })
        .collect();
    let sent = net.net().send_batch(from, &memory, &batch);
    assert_eq!((sent.count, sent.error), (SINGLE, None));
    let mut count = Count::default();
    let end = net.net().now().saturating_add(Duration::from_secs(10));
    while count.datagrams < SINGLE + ALIKE + RUN && net.net().now() < end {
        net.poll(&mut count, Some(end)).unwrap();
    }
    assert_eq!(count.bytes[..2 * RUN - 1], memory[..2 * RUN - 1]);
    assert_eq!(count.bytes[2 * RUN - 1..][..ALIKE], memory[..ALIKE]);
    assert_eq!(count.bytes[2 * RUN - 1 + ALIKE..], memory);
    println!("\nOUTCOME {} datagrams", count.datagrams);
    std::io::stdout().flush().unwrap();
}

#[test]
fn refused_calls_lose_no_datagram_and_are_not_repeated() {
    if Command::new("strace").arg("-V").output().is_err() {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "strace is missing");
        println!("skipped: strace is not installed");
        return;
    }
    let log = std::env::temp_dir().join(format!("usockets-refused-{}", std::process::id()));
    for (refused, most) in TABLE {
        let calls = refused
            .iter()
            .map(|refused| refused.split(':').next().unwrap());
        let calls: Vec<_> = calls.collect();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        strace.args(["-e", &format!("trace=recvmmsg,{}", calls.join(","))]);
        for refused in *refused {
            strace.args(["-e", &format!("inject={refused}")]);
        }
        let output = strace
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "scene", "--nocapture", "--test-threads=1"])
            .env("SCENE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let outcome = text.lines().find_map(|line| line.strip_prefix("OUTCOME "));
        assert_eq!(outcome, Some("130 datagrams"), "{refused:?}: {output:?}");
        let made = std::fs::read_to_string(&log).unwrap();
        for call in &calls {
            let injected = made
                .lines()
                .filter(|line| line.contains(&format!("{call}(")));
            let injected = injected.filter(|line| line.contains("INJECTED")).count();
            assert!(injected > 0, "{refused:?}: {made}");
        }
        if let (Some(most), Some(call)) = (most, calls.first()) {
            let count = made.matches(&format!("{call}(")).count();
            assert_eq!(count, *most, "{refused:?}: {made}");
        }
    }
    let _ = std::fs::remove_file(log);
}
