//! The example programs where standard streams are closed, full or gone, without `/proc`, and with
//! little memory: none panics or aborts, and what keeps one from working is said.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::programs;
use support::{Client, PATIENCE, within};

/// Servers that listen where their argument says.
const SERVERS: [&str; 3] = ["echo_server", "http_server", "upgrade"];

/// Runs a line of shell in which `$0` is the program and `$1` its argument.
fn shell(line: &str, program: &str, argument: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command.arg(programs().join(program)).arg(argument);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// An address that nothing listens at but who is given it. All of 127.0.0.0/8 is this host's: each
/// address is one of its own, so that no other test gets the port meanwhile, and a connect, which
/// comes from 127.0.0.1, cannot meet itself before anybody listens.
fn free_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = [127, high | 128, low, COUNT.fetch_add(1, Ordering::Relaxed)];
    let listener = TcpListener::bind((IpAddr::from(own), 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Waits for the end, which must not be a signal or a panic; returns the code and what was said.
fn output(child: Child) -> (i32, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    let code = status.code().unwrap_or_else(|| panic!("{status}: {said}"));
    assert!(!said.contains("panicked"), "{said}");
    // The shell's codes for signals; a panic's is 101.
    assert!(code < 101, "{code}: {said}");
    (code, said)
}

fn stop(addr: SocketAddr, child: &Child) {
    // The shell has become the program.
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
    within(PATIENCE, || TcpStream::connect(addr).is_err());
}

#[test]
fn servers_serve_whatever_their_streams_are() {
    for program in SERVERS {
        for (streams, says) in [
            (">&-", ""),
            ("<&-", ""),
            (">/dev/full", "No space left"),
            (">/dev/full 2>/dev/full", ""),
            ("<&- >&- 2>&-", ""),
        ] {
            let addr = free_address();
            let child = shell(
                &format!("exec \"$0\" \"$1\" {streams}"),
                program,
                &addr.to_string(),
            );
            within(PATIENCE, || TcpStream::connect(addr).is_ok());
            let mut client = Client::connect(addr);
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").take(1);
            drop(client);
            stop(addr, &child);
            let (code, said) = output(child);
            assert_eq!(code, 0, "{program} {streams}: {said}");
            assert!(said.contains(says), "{program} {streams}: {said:?}");
        }
    }
}

#[test]
fn a_server_whose_reader_is_gone_serves() {
    for program in SERVERS {
        let addr = free_address();
        let mut command = Command::new(programs().join(program));
        command.arg(addr.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Stopped before it runs, so that its first line meets a pipe without a reader.
        let mut held = Command::new("sh");
        held.args(["-c", "kill -STOP $$; exec \"$0\" \"$1\""]);
        held.arg(programs().join(program)).arg(addr.to_string());
        held.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = held.spawn().unwrap();
        drop(child.stdout.take());
        let id = child.id().to_string();
        thread::sleep(Duration::from_millis(100));
        assert!(
            Command::new("kill")
                .args(["-CONT", &id])
                .status()
                .unwrap()
                .success()
        );
        within(PATIENCE, || TcpStream::connect(addr).is_ok());
        stop(addr, &child);
        let (code, said) = output(child);
        assert_eq!(code, 0, "{program}: {said}");
        assert!(said.contains("Broken pipe"), "{program}: {said:?}");
    }
}

#[test]
fn a_failure_that_cannot_be_said_is_a_failure_all_the_same() {
    for program in SERVERS {
        let child = shell("exec \"$0\" \"$1\" 2>/dev/full", program, "nowhere");
        assert_eq!(output(child).0, 1, "{program}");
    }
    // A load without anybody to tell: its answer is its exit code.
    let nowhere = free_address().to_string();
    for streams in [">&-", ">/dev/full", ">/dev/full 2>/dev/full", "2>&-"] {
        let line = format!("exec \"$0\" --echo --seconds 1 \"$1\" {streams}");
        assert_eq!(output(shell(&line, "load", &nowhere)).0, 1, "{streams}");
    }
}

/// With every limit of memory, a program works or says why it does not. Where its statics alone
/// are too large the system ends it before it runs (`execve(2)`), which is the shell's to say.
#[test]
fn little_memory_is_no_panic() {
    for program in SERVERS {
        let mut works = 0;
        for megabytes in [8, 32, 64, 100, 110, 120, 130, 160, 256, 640] {
            let addr = free_address();
            let line = format!("ulimit -v {}; exec \"$0\" \"$1\"", megabytes * 1024);
            let mut child = shell(&line, program, &addr.to_string());
            let since = Instant::now();
            let ended = loop {
                if child.try_wait().unwrap().is_some() {
                    break true;
                }
                if TcpStream::connect(addr).is_ok() {
                    break false;
                }
                assert!(since.elapsed() < PATIENCE);
                thread::sleep(Duration::from_millis(2));
            };
            if !ended {
                works += 1;
                stop(addr, &child);
                assert_eq!(output(child).0, 0, "{program}, {megabytes} MB");
                continue;
            }
            let Output { status, stderr, .. } = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&stderr);
            let never_ran = status.code().is_none_or(|code| code == 126 || code == 127);
            assert!(
                never_ran || !said.is_empty(),
                "{program}, {megabytes} MB: {status}"
            );
            assert!(
                !said.contains("panicked"),
                "{program}, {megabytes} MB: {said}"
            );
            assert!(
                status.code() != Some(134),
                "{program}, {megabytes} MB: {said}"
            );
        }
        assert!(works > 0, "{program} never ran");
    }
}

/// The programs do not need `/proc`. It takes a mount namespace, and so root.
#[test]
fn servers_need_no_proc() {
    let may = Command::new("unshare")
        .args(["-m", "umount", "-l", "/proc"])
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "`unshare -m` must work");
        println!("skipped: `unshare -m` and `umount` need root");
        return;
    }
    for program in SERVERS {
        let addr = free_address();
        let line = "exec unshare -m sh -c 'umount -l /proc; exec \"$0\" \"$1\"' \"$0\" \"$1\"";
        let child = shell(line, program, &addr.to_string());
        within(PATIENCE, || TcpStream::connect(addr).is_ok());
        stop(addr, &child);
        assert_eq!(output(child).0, 0, "{program}");
    }
}
