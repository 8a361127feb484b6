//! Events of a loop as a logger gets them. Feature `log`.
#![expect(
    clippy::unwrap_used,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::TcpStream;
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use usockets::{
    Duration, Endpoint, Handler, Incoming, Loop, Opened, Platform, PreOpen, Socket, Sockets,
};
use usockets_linux::Linux;

/// Keeps every line.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        assert_eq!(record.target(), "usockets");
        let line = format!("{} {}", record.level(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Keeps the first connection, and closes it.
#[derive(Default)]
struct Server(u32);

impl<P: Platform> Handler<P> for Server {
    type Ext = ();
    type Context = ();

    fn on_pre_open(&mut self, _: &mut Incoming<'_, P, ()>) -> PreOpen {
        self.0 = self.0.wrapping_add(1);
        match self.0 {
            1 => PreOpen::Keep,
            _ => PreOpen::Refuse,
        }
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        socket.close_with(7);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
}

#[test]
fn a_logger_is_told_what_happens() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let mut sockets = Sockets::<_, Server, 4>::new();
    let mut buffer = [0; 64];
    let mut server = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ()).unwrap();
    let addr = server.net().listening_addr(listener).unwrap();
    let mut handler = Server::default();
    let first = TcpStream::connect(addr).unwrap();
    let own = first.local_addr().unwrap();
    let second = TcpStream::connect(addr).unwrap();
    while server.stats().refused == 0 {
        let until = server
            .platform()
            .now()
            .saturating_add(Duration::from_secs(5));
        server.poll(&mut handler, Some(until)).unwrap();
    }
    drop((first, second));
    let lines = LINES.0.lock().unwrap();
    let has = |words: &[&str]| {
        let mut lines = lines.iter();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(has(&["DEBUG", "opened", &own.to_string()]), "{lines:?}");
    assert!(has(&["DEBUG", "closed", "Local(7)"]), "{lines:?}");
    assert!(has(&["DEBUG", "refused"]), "{lines:?}");
}
