//! Small records go to the system many at a time.

use std::cell::Cell;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use usockets::tls::{Config, ServerConfig, Tls, TlsMemory};
use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Loop, Platform, Progress, Readiness, Ready, Recv,
    SocketId, Sockets,
};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Echo, Kind, Machine, Part};

/// Bytes that the server sends.
const LEN: usize = 1_000_000;
/// Bytes that one record of the client's size takes beside 512 of these.
const OVERHEAD: usize = 22;

/// Calls that send, and what they sent.
#[derive(Clone, Copy, Default)]
struct Sent {
    calls: usize,
    bytes: usize,
}

/// Linux, whose sends are counted.
struct Counted {
    inner: Linux,
    sent: Rc<Cell<Sent>>,
}

type Raw = <Linux as Platform>::Socket;

impl Platform for Counted {
    type Socket = Raw;

    const CLOSED: Raw = Linux::CLOSED;

    const REPORTS_ARRIVALS: bool = Linux::REPORTS_ARRIVALS;

    fn listen(&mut self, s: &mut Raw, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        self.inner.listen(s, id, at)
    }

    fn connect(&mut self, s: &mut Raw, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        self.inner.connect(s, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Raw,
        socket: &mut Raw,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        self.inner.accept(listener, socket, id)
    }

    fn refuse(&mut self, listener: &mut Raw) -> Result<bool, Error> {
        self.inner.refuse(listener)
    }

    fn open(&mut self, socket: &mut Raw, ready: Readiness) -> Result<Progress, Error> {
        self.inner.open(socket, ready)
    }

    fn take_error(&mut self, socket: &mut Raw) -> Option<Error> {
        self.inner.take_error(socket)
    }

    fn recv(&mut self, socket: &mut Raw, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.inner.recv(socket, buffer)
    }

    fn send(&mut self, socket: &mut Raw, data: &[u8]) -> Result<usize, Error> {
        let taken = self.inner.send(socket, data)?;
        let Sent { calls, bytes } = self.sent.get();
        self.sent.set(Sent {
            calls: calls + 1,
            bytes: bytes + taken,
        });
        Ok(taken)
    }

    fn finish(&mut self, socket: &mut Raw) -> Result<Progress, Error> {
        self.inner.finish(socket)
    }

    fn close(&mut self, socket: &mut Raw) {
        self.inner.close(socket);
    }

    fn abort(&mut self, socket: &mut Raw) {
        self.inner.abort(socket);
    }

    fn local_addr(&self, socket: &Raw) -> Result<Address, Error> {
        self.inner.local_addr(socket)
    }

    fn peer_addr(&self, socket: &Raw) -> Result<Address, Error> {
        self.inner.peer_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.inner.poll(until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.inner.next_ready()
    }

    fn woken(&mut self) -> bool {
        self.inner.woken()
    }

    fn now(&self) -> Instant {
        self.inner.now()
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
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    let mut memory = Box::new(TlsMemory::<Crypto, 4, 2, 2, 2>::NEW);
    let sent = Rc::<Cell<Sent>>::default();
    let inner = Counted {
        inner: Linux::new().unwrap(),
        sent: Rc::clone(&sent),
    };
    let layer = Tls::new(inner, Crypto::new(Machine::new(3)), &config, &mut *memory);
    let mut sockets = Box::new(Sockets::<Tls<'_, Counted, Crypto>, Echo, 4>::new());
    let mut buffer = [0; 4_096];
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
    let listener = the_loop.net().listen(any, Part::Deaf).unwrap();
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
    let mut echo = Echo::new(LEN);
    let start = std::time::Instant::now();
    let received = loop {
        assert!(start.elapsed() < Duration::from_secs(30), "too slow");
        let next = the_loop.platform().now();
        let next = next.saturating_add(Duration::from_millis(10));
        the_loop.poll(&mut echo, Some(next)).unwrap();
        if let Ok(received) = receiver.try_recv() {
            break received;
        }
    };
    reader.join().unwrap();
    assert_eq!(received, echo.payload);
    let Sent { calls, bytes } = sent.get();
    println!("{calls} calls, {bytes} bytes");
    assert!(bytes >= LEN + LEN / 512 * OVERHEAD, "records of 512 bytes");
    // Some more than 66: of each that is taken in part, the rest is sent by another.
    assert!(calls <= 132, "{calls} calls");
}
