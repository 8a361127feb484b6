//! Small records go to the system many at a time.
#![cfg(feature = "tls")]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use usockets::tls::{Tls, TlsMemory};
use usockets::{Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_tests::counted::{Calls, Counted};
use usockets_tests::steady::{Crypto, Steady, config};

/// Bytes that the server sends.
const LEN: usize = 1_000_000;
/// Bytes that one record of the client's size takes beside 512 of these.
const OVERHEAD: usize = 22;

/// Sends its payload to everybody.
struct Sender(Vec<u8>);

impl<P: Platform> Handler<P> for Sender {
    type Context = ();
    /// How much of it is sent.
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        socket.write(&self.0)
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut usize, _: &mut [u8]) {}

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, sent: &mut usize) {
        *sent += socket.write(&self.0[*sent..]);
    }
}

/// A client that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A megabyte for a client that wants records of 512 bytes (RFC 6066, section 4) takes about 66
/// calls, each of 31 records, where one a record would be 1,954.
#[test]
fn a_megabyte_in_small_records_takes_few_calls() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        eprintln!("openssl is not installed: skipped");
        return;
    }
    let mut memory = Box::new(TlsMemory::<Crypto, 4, 2, 2, 2>::NEW);
    let calls = Rc::default();
    let inner = Counted(Linux::new().unwrap(), Rc::clone(&calls));
    let layer = Tls::new(inner, Crypto::new(Steady(3)), config(), &mut *memory);
    let mut sockets = Box::new(Sockets::<Tls<'_, Counted<Linux>, Crypto>, Sender, 4>::new());
    let mut buffer = [0; 4_096];
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
    let listener = the_loop.net().listen(any, ()).unwrap();
    let addr = the_loop.net().listening_addr(listener).unwrap();
    let child = Command::new("openssl")
        .args(["s_client", "-quiet", "-maxfraglen", "512", "-connect"])
        .arg(addr.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut program = Program(child.unwrap());
    let mut stdout = program.0.stdout.take().unwrap();
    let (sender, receiver) = channel();
    let reader = std::thread::spawn(move || {
        let mut received = vec![0; LEN];
        stdout.read_exact(&mut received).unwrap();
        sender.send(received).unwrap();
    });
    let mut handler = Sender((0..LEN).map(|n| (n * 7 + n / 251) as u8).collect());
    let start = std::time::Instant::now();
    let received = loop {
        assert!(start.elapsed() < Duration::from_secs(30), "too slow");
        let next = the_loop.platform().now();
        let next = next.saturating_add(Duration::from_millis(10));
        the_loop.poll(&mut handler, Some(next)).unwrap();
        if let Ok(received) = receiver.try_recv() {
            break received;
        }
    };
    reader.join().unwrap();
    assert_eq!(received, handler.0);
    let Calls {
        sends: calls,
        sent_bytes: bytes,
        ..
    } = calls.get();
    println!("{calls} calls, {bytes} bytes");
    assert!(bytes >= LEN + LEN / 512 * OVERHEAD, "records of 512 bytes");
    // Some more than 66: of each that is taken in part, the rest is sent by another.
    assert!(calls <= 132, "{calls} calls");
}
