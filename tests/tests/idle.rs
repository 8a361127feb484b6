//! A loop with nothing to do does nothing.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use usockets::Endpoint;
use usockets_linux::Linux;
use usockets_tests::side::Side;

/// How long nothing may happen.
const QUIET: Duration = Duration::from_secs(10);

/// How often a thread was put on a processor. It takes that to make any system call.
fn switches(thread: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let count = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:")
}

/// With a listener and an open connection, and no timer, a loop's thread sleeps for 10 s without
/// being woken once (W14).
#[test]
fn a_loop_without_deadline_sleeps_on() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut side = Side::with::<16>(0, Linux::new().unwrap(), 64, 0);
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_, addr) = side.listen_at(Endpoint::tcp(at), 1);
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        sender.send((addr, thread)).unwrap();
        side.lp.run(&mut side.script).unwrap();
    });
    let (addr, thread) = receiver.recv().unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"word").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    // The script says nothing back: it has been served when this is over.
    assert!(client.read(&mut [0]).is_err());
    let before = switches(thread);
    thread::sleep(QUIET);
    assert_eq!(switches(thread), before, "the loop's thread was woken");
}
