//! The layer over Linux sockets, both ends in one loop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use usockets::tls::{ClientConfig, Config, Identity, RECORD_MAX, ServerConfig, Tls, TlsMemory};
use usockets::{Closed, Duration, Endpoint, Error, Loop, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Echo, Kind, Machine, Part};

const SOCKETS: usize = 64;

type Layer<'s> = Tls<'s, Linux, Crypto>;

/// Everything that must outlive a loop.
struct Stage<const H: usize, const I: usize, const O: usize, const L: usize = RECORD_MAX> {
    memory: Box<TlsMemory<Crypto, SOCKETS, H, I, O, L>>,
    buffer: Vec<u8>,
    lease_max: Duration,
}

impl<const H: usize, const I: usize, const O: usize, const L: usize> Stage<H, I, O, L> {
    fn new(buffer_len: usize) -> Self {
        Self {
            memory: Box::new(TlsMemory::NEW),
            buffer: vec![0; buffer_len],
            lease_max: Duration::from_secs(5),
        }
    }

    /// Runs `script` with a loop that listens on a free port, echoing.
    fn run(
        &mut self,
        echo: &mut Echo,
        script: impl FnOnce(&mut Loop<'_, Layer<'_>, Echo>, &mut Echo, SocketAddr),
    ) {
        self.run_with(Kind::P256, echo, script);
    }

    fn run_with(
        &mut self,
        kind: Kind,
        echo: &mut Echo,
        script: impl FnOnce(&mut Loop<'_, Layer<'_>, Echo>, &mut Echo, SocketAddr),
    ) {
        let authority = Authority::new(kind);
        let leaf = authority.issue(kind, &["localhost"]);
        let slices = leaf.slices();
        let identities = [leaf.identity(&slices)];
        let roots = authority.anchors();
        let config = Config::new(
            ServerConfig::new(&identities).protocols(&[b"b", b"a"]),
            ClientConfig::new(&roots).protocols(&[b"a"]),
        );
        let crypto = Crypto::new(Machine::new(5));
        let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
        let layer = Tls::new(Linux::new().unwrap(), crypto, &config, &mut *self.memory)
            .with_lease_max(self.lease_max);
        let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut self.buffer).unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let listener = the_loop
            .net()
            .listen(Endpoint::tls(any, None), Part::Echo)
            .unwrap();
        let addr = the_loop.net().listening_addr(listener).unwrap();
        script(&mut the_loop, echo, addr);
    }
}

/// Polls until `done`, for at most ten seconds.
fn until(
    the_loop: &mut Loop<'_, Layer<'_>, Echo>,
    echo: &mut Echo,
    mut done: impl FnMut(&Echo) -> bool,
) {
    let start = std::time::Instant::now();
    while !done(echo) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{} opened, {} echoed, {} closed, {:?}",
            echo.opened,
            echo.echoed,
            echo.closed.len(),
            echo.failed
        );
        let now = usockets::Platform::now(the_loop.platform());
        let next = now.saturating_add(Duration::from_millis(20));
        the_loop.poll(echo, Some(next)).unwrap();
    }
}

fn ask_many<const H: usize, const I: usize, const O: usize>(
    count: usize,
    len: usize,
    buffer_len: usize,
) {
    ask_with_outputs_of::<RECORD_MAX, H, I, O>(count, len, buffer_len);
}

fn ask_with_outputs_of<const L: usize, const H: usize, const I: usize, const O: usize>(
    count: usize,
    len: usize,
    buffer_len: usize,
) {
    let mut echo = Echo::new(len);
    Stage::<H, I, O, L>::new(buffer_len).run(&mut echo, |the_loop, echo, addr| {
        let mut asked = 0;
        while echo.echoed < count {
            while asked < count {
                let to = Endpoint::tls(addr, Some("localhost"));
                match the_loop.net().connect(to, Part::Ask) {
                    Ok(_) => asked += 1,
                    // All handshakes are lent; later.
                    Err(Error::Exhausted) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let before = (echo.opened, echo.echoed);
            let end = echo.closed.len() + 1;
            until(the_loop, echo, |echo| {
                (echo.opened, echo.echoed) != before || echo.closed.len() >= end
            });
        }
        until(the_loop, echo, |echo| echo.closed.len() == 2 * count);
        assert_eq!(echo.closed(Part::Ask), vec![Closed::Finished; count]);
        assert_eq!(echo.closed(Part::Echo), vec![Closed::Finished; count]);
        assert_eq!(echo.failed, []);
    });
}

#[test]
fn many_connections_with_plenty_of_memory() {
    ask_many::<16, 16, 16>(20, 100_000, 65_536);
}

#[test]
fn many_connections_with_little_memory() {
    ask_many::<2, 1, 1>(20, 100_000, 65_536);
    ask_many::<3, 1, 2>(20, 300_000, 1_000);
}

#[test]
fn long_data_goes_through_short_outputs() {
    ask_with_outputs_of::<4_096, 4, 2, 4>(4, 100_000, 65_536);
    ask_with_outputs_of::<4_096, 3, 1, 1>(8, 30_000, 1_000);
}

/// What comes from the same machine lies in runs of 64 KiB, each of which takes most of a receive
/// buffer until the last of its bytes is received: then there is no room for the rest of a record.
#[test]
fn a_record_for_whose_rest_the_system_has_no_room_comes_through() {
    ask_many::<4, 2, 4>(4, 300_000, 65_536);
}

#[test]
fn a_flight_that_no_output_holds_is_refused_by_listen() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let listens = |memory: &mut TlsMemory<Crypto, SOCKETS, 1, 1, 1, 3_072>, chain: &[&[u8]]| {
        let identities = [Identity::new(chain, &*leaf.signer)];
        let config = Config::server(ServerConfig::new(&identities));
        let layer = Tls::new(
            Linux::new().unwrap(),
            Crypto::new(Machine::new(5)),
            &config,
            memory,
        );
        let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
        let mut buffer = [0; 512];
        let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
        let any = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
        the_loop.net().listen(any, Part::Echo).map(|_| ())
    };
    let mut memory = Box::new(TlsMemory::NEW);
    assert_eq!(listens(&mut memory, &slices), Ok(()));
    let long = [&slices[..], &slices, &slices].concat();
    assert_eq!(listens(&mut memory, &long), Err(Error::Invalid));
}

#[test]
fn short_messages_and_a_short_buffer() {
    ask_many::<4, 2, 2>(5, 300, 7);
}

#[test]
fn plain_and_secure_in_one_loop() {
    let mut echo = Echo::new(50_000);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, echo, addr| {
        let any = ([127, 0, 0, 1], 0).into();
        let plain = the_loop.net().listen(Endpoint::tcp(any), Part::Echo);
        let plain = the_loop.net().listening_addr(plain.unwrap()).unwrap();
        let mut net = the_loop.net();
        net.connect(Endpoint::tcp(plain), Part::Ask).unwrap();
        net.connect(Endpoint::tls(addr, Some("localhost")), Part::Ask)
            .unwrap();
        until(the_loop, echo, |echo| echo.closed.len() == 4);
        assert_eq!(echo.echoed, 2);
        echo.protocols.sort();
        assert_eq!(echo.protocols, [&b""[..], b"", b"a", b"a"]);
    });
}

#[test]
fn a_client_refuses_a_server_with_another_name() {
    let mut echo = Echo::new(10);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, echo, addr| {
        let to = Endpoint::tls(addr, Some("other.example"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| !echo.failed.is_empty());
        assert_eq!(echo.failed, [Error::AlertSent(46)]);
        assert_eq!(echo.opened, 0);
    });
}

#[test]
fn a_client_needs_a_name() {
    let mut echo = Echo::new(10);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, _, addr| {
        for name in [None, Some(""), Some("not a name")] {
            let connect = the_loop.net().connect(Endpoint::tls(addr, name), Part::Ask);
            assert_eq!(connect.unwrap_err(), Error::Invalid);
        }
    });
}

#[test]
fn a_client_that_talks_to_a_plain_server_fails() {
    let mut echo = Echo::new(10);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, echo, _| {
        let any = ([127, 0, 0, 1], 0).into();
        let plain = the_loop.net().listen(Endpoint::tcp(any), Part::Echo);
        let plain = the_loop.net().listening_addr(plain.unwrap()).unwrap();
        // What it echoes is a hello, where only a server's may be.
        let to = Endpoint::tls(plain, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| !echo.failed.is_empty());
        assert_eq!(echo.failed, [Error::AlertSent(10)]);
    });
}

#[test]
fn silence_and_garbage_open_nothing_and_hold_up_nobody() {
    let mut echo = Echo::new(1_000);
    Stage::<2, 2, 2>::new(4_096).run(&mut echo, |the_loop, echo, addr| {
        let silent: Vec<_> = (0..10).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let mut rude = TcpStream::connect(addr).unwrap();
        rude.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let to = Endpoint::tls(addr, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| echo.closed.len() == 2);
        assert_eq!(echo.echoed, 1);
        let mut answer = Vec::new();
        rude.read_to_end(&mut answer).ok();
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 10]);
        drop(silent);
    });
}

/// An end that nobody vouches for is told as such (W28).
#[test]
fn an_end_without_close_notify_is_truncation() {
    let mut echo = Echo::new(10);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, echo, addr| {
        // A relay that cuts the stream after the handshake and some data.
        let relay = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let relay_addr = relay.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (near, _) = relay.accept().unwrap();
            let far = TcpStream::connect(addr).unwrap();
            let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
            let (mut far_in, mut near_out) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut far_in, &mut near_out));
            std::thread::sleep(Duration::from_millis(300));
            near.shutdown(std::net::Shutdown::Write).unwrap();
            far.shutdown(std::net::Shutdown::Write).unwrap();
            (near, far)
        });
        let to = Endpoint::tls(relay_addr, Some("localhost"));
        the_loop.net().connect(to, Part::Wait).unwrap();
        until(the_loop, echo, |echo| echo.closed.len() == 2);
        let truncated = vec![Closed::Failed(Error::Truncated)];
        assert_eq!(echo.closed(Part::Wait), truncated);
        assert_eq!(echo.closed(Part::Echo), truncated);
        assert_eq!(echo.ends, 0);
        drop(thread.join().unwrap());
    });
}

#[test]
fn closing_says_goodbye() {
    let mut echo = Echo::new(1_000);
    Stage::<4, 4, 4>::new(4_096).run(&mut echo, |the_loop, echo, addr| {
        let to = Endpoint::tls(addr, Some("localhost"));
        the_loop.net().connect(to, Part::Leave).unwrap();
        until(the_loop, echo, |echo| echo.closed.len() == 2);
        assert_eq!(echo.closed(Part::Leave), [Closed::Local(7)]);
        // Without close_notify it would be truncated.
        assert_eq!(echo.closed(Part::Echo), [Closed::Finished]);
    });
}

#[test]
fn a_socket_is_small() {
    let beyond = size_of::<<Layer<'_> as usockets::Platform>::Socket>()
        - size_of::<<Linux as usockets::Platform>::Socket>();
    println!("{beyond} bytes beyond the platform's socket");
    assert!(beyond <= 256);
    assert_eq!(RECORD_MAX, 16_645);
}

#[test]
fn who_stalls_gives_way_to_who_waits() {
    let mut echo = Echo::new(1_000);
    let mut stage = Stage::<8, 1, 2>::new(4_096);
    stage.lease_max = Duration::from_millis(200);
    stage.run(&mut echo, |the_loop, echo, addr| {
        // Each sends the front of a record and no more.
        let stalled: Vec<_> = (0..4)
            .map(|_| {
                let mut stream = TcpStream::connect(addr).unwrap();
                stream.write_all(&[22, 3, 1, 1, 0, 1]).unwrap();
                stream
            })
            .collect();
        let begin = std::time::Instant::now();
        until(the_loop, echo, |_| {
            begin.elapsed() > Duration::from_millis(100)
        });
        let to = Endpoint::tls(addr, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| echo.closed.len() == 2);
        assert_eq!(echo.echoed, 1);
        assert!(begin.elapsed() < Duration::from_secs(3));
        drop(stalled);
    });
}

#[test]
fn who_takes_nothing_gives_way_to_who_waits() {
    let mut echo = Echo::new(20_000_000);
    let mut stage = Stage::<4, 4, 1>::new(65_536);
    stage.lease_max = Duration::from_millis(200);
    stage.run(&mut echo, |the_loop, echo, addr| {
        // The echo fills every buffer on the way, as the asking side stops reading at once.
        let to = Endpoint::tls(addr, Some("localhost"));
        let deaf = the_loop.net().connect(to, Part::Deaf).unwrap();
        until(the_loop, echo, |echo| echo.opened == 2);
        let begin = std::time::Instant::now();
        until(the_loop, echo, |_| {
            begin.elapsed() > Duration::from_millis(500)
        });
        echo.payload.truncate(1_000);
        the_loop.net().connect(to, Part::Ask).unwrap();
        until(the_loop, echo, |echo| echo.echoed == 1);
        // Who takes nothing has the only output, and loses it, or has none if the platform took
        // nothing of its last record.
        let finished = |closed: &Closed| *closed == Closed::Finished;
        assert!(echo.closed(Part::Ask).iter().all(finished));
        assert!(begin.elapsed() < Duration::from_secs(3));
        the_loop.net().close(deaf);
    });
}
