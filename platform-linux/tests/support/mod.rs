//! Runs a handler on a thread of its own, and talks to it through plain blocking sockets.

#[allow(dead_code, reason = "each test crate uses its part")]
pub(crate) mod program;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use usockets::{Endpoint, Handler, Loop, Sockets, Stats, Waker};
use usockets_linux::{EventFd, Linux};

/// Longest time that anything may take here; reached only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Stack of a server's thread, through which the pool passes on its way to the heap.
const STACK: usize = 64 << 20;

/// Returns true if there is IPv6 on loopback; else says that it is skipped.
pub(crate) fn has_ipv6() -> bool {
    let has = UdpSocket::bind("[::1]:0").is_ok();
    if !has {
        println!("skipped for IPv6: there is none here");
    }
    has
}

/// Makes a call again for as long as it is interrupted: of those on sockets with a timeout the
/// kernel restarts none, even after a stop of the whole machine, which no handler sees
/// (`signal(7)`).
pub(crate) fn restarted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A server on a thread of its own.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    waker: &'static Waker<EventFd>,
    thread: Option<JoinHandle<Stats>>,
}

impl Running {
    /// Starts a server with a pool of `N` slots, one of them for the listener, and a receive
    /// buffer of `receive` bytes. The kernel chooses the port.
    pub(crate) fn start<H, const N: usize>(
        make: impl FnOnce() -> H + Send + 'static,
        context: H::Context,
        receive: usize,
    ) -> Self
    where
        H: Handler<Linux> + 'static,
        H::Context: 'static,
    {
        Self::start_with_reserve::<H, N>(make, context, receive, 0)
    }

    /// The same with a listener that leaves so many slots free.
    pub(crate) fn start_with_reserve<H, const N: usize>(
        make: impl FnOnce() -> H + Send + 'static,
        context: H::Context,
        receive: usize,
        reserve: u32,
    ) -> Self
    where
        H: Handler<Linux> + 'static,
        H::Context: 'static,
    {
        let waker: &'static Waker<EventFd> =
            Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
        let (tell, told) = mpsc::channel();
        let run = move || {
            let mut sockets = Box::new(Sockets::<Linux, H, N>::new());
            let mut buffer = vec![0; receive];
            let platform = Linux::new().unwrap().with_waker(waker).unwrap();
            let mut server = Loop::with_buffer(platform, &mut sockets, &mut buffer).unwrap();
            let at = Endpoint::tcp(([127, 0, 0, 1], 0).into())
                .send_buffer(65_536)
                .reserve(reserve);
            let listener = server.net().listen(at, context).unwrap();
            tell.send(server.net().listening_addr(listener).unwrap())
                .unwrap();
            server.run(&mut make()).unwrap();
            server.stats()
        };
        let thread = Builder::new().stack_size(STACK).spawn(run).unwrap();
        Self {
            addr: told.recv_timeout(PATIENCE).unwrap(),
            waker,
            thread: Some(thread),
        }
    }

    /// Connects.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Asks the server to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.waker.wake();
    }

    /// Waits until the server has stopped.
    pub(crate) fn join(mut self) -> Stats {
        let thread = self.thread.take().unwrap();
        within(PATIENCE, || thread.is_finished());
        thread.join().unwrap()
    }

    /// Stops the server, at once if need be.
    pub(crate) fn stop(self) -> Stats {
        self.waker.wake();
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until && !self.thread.as_ref().unwrap().is_finished() {
            std::thread::yield_now();
        }
        self.waker.wake();
        self.join()
    }
}

/// Waits until `condition` holds, and fails if it does not in time.
pub(crate) fn within(time: Duration, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < until, "this takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A blocking socket.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Finished,
    Reset,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::from(TcpStream::connect(addr).unwrap())
    }

    /// Makes a client of a connection.
    pub(crate) fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            held: Vec::new(),
        }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.write_all(bytes).unwrap();
        self
    }

    /// Sends bytes as long as the server takes them.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Ends this direction.
    pub(crate) fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Receives something.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        restarted(|| self.stream.read(buffer))
    }

    /// Receives everything to the end.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let mut all = std::mem::take(&mut self.held);
        let mut chunk = vec![0; 65_536];
        loop {
            match self.read(&mut chunk) {
                Ok(0) => return (all, End::Finished),
                Ok(count) => all.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (all, End::Reset);
                }
                Err(error) => panic!("after {} bytes: {error}", all.len()),
            }
        }
    }

    /// Receives exactly so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            self.fill();
        }
        self.held.drain(..count).collect()
    }

    /// Receives up to and with `end`.
    pub(crate) fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self
                .held
                .windows(end.len())
                .position(|window| window == end)
            {
                return self.take(at + end.len());
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        let mut chunk = [0; 16_384];
        let count = self.read(&mut chunk).unwrap();
        assert!(count > 0, "the stream ended after {:?}", self.held);
        self.held.extend_from_slice(&chunk[..count]);
    }

    /// Receives a response whose body has a length or is chunked.
    pub(crate) fn response(&mut self) -> Response {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n")).unwrap();
        let mut response = Response {
            head,
            body: Vec::new(),
        };
        if response.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.take_until(b"\r\n")).unwrap();
                let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
                response.body.extend(self.take(length));
                assert_eq!(self.take(2), b"\r\n");
                if length == 0 {
                    return response;
                }
            }
        }
        let length = response
            .field("content-length")
            .map_or(0, |text| text.parse().unwrap());
        response.body = self.take(length);
        response
    }
}

/// A response of an HTTP server.
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.get(9..12).unwrap().parse().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

/// Numbers that look random (xorshift64), the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Takes the seed from `SEED`, or a fixed one, and prints it.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(0x2545_f491_4f6c_dd1d);
        println!("SEED={seed}");
        Self(seed)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    /// Returns so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }
}
