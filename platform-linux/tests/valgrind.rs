//! A program that links std runs under valgrind, as it was built.
//!
//! Needs `valgrind` (Debian package of that name); without it the test says that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use usockets::{Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;

/// Sends a word to itself, and has a timer.
struct Both {
    heard: usize,
}

impl<P: Platform> Handler<P> for Both {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<()>) {
        if matches!(opened, Opened::Connected { .. }) {
            assert_eq!(socket.write(b"hello"), 5);
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.heard += data.len();
    }
}

/// Run under valgrind, by the test below.
#[test]
fn scene() {
    if std::env::var_os("UNDER_VALGRIND").is_none() {
        return;
    }
    let mut sockets = Sockets::<Linux, Both, 8>::new();
    let mut buffer = [0; 512];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let local = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = net.net().listen(local, ()).unwrap();
    let addr = net.net().listening_addr(listener).unwrap();
    net.net().connect(Endpoint::tcp(addr), ()).unwrap();
    let mut both = Both { heard: 0 };
    let end = net.net().now().saturating_add(Duration::from_secs(60));
    while both.heard < 5 {
        assert!(net.net().now() < end);
        net.poll(&mut both, Some(end)).unwrap();
    }
    println!("\nHEARD {}", both.heard);
}

#[test]
fn a_program_with_std_has_no_errors_under_memcheck() {
    let output = Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=99"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "scene", "--nocapture", "--test-threads=1"])
        .env("UNDER_VALGRIND", "yes")
        .output();
    let Ok(output) = output else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "valgrind is missing"
        );
        println!("skipped: valgrind is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("\nHEARD 5") && output.status.success(),
        "{output:?}"
    );
}
