//! Connections handed over to a loop on another thread before they open, and with what their peers
//! have sent already.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use usockets::{
    AllSockets, Endpoint, Error, Handler, Incoming, Loop, Opened, PreOpen, Socket, Sockets, Waker,
};
use usockets_linux::{EventFd, Linux};

/// Connections, half of which each loop serves.
const COUNT: usize = 200;

fn waker() -> &'static Waker<EventFd> {
    Box::leak(Box::new(Waker::new(EventFd::new().unwrap())))
}

/// What a peer is told: which loop it came to.
fn serve<H: Handler<Linux>>(socket: &mut Socket<'_, Linux, H>, own: u8, data: &[u8]) {
    let mut answer = vec![own];
    answer.extend_from_slice(data);
    assert_eq!(socket.write(&answer), answer.len());
}

/// Keeps every second connection, and hands over the others.
struct Acceptor {
    others: Sender<OwnedFd>,
    wake: &'static Waker<EventFd>,
    seen: usize,
}

impl Handler<Linux> for Acceptor {
    type Ext = ();
    type Context = ();

    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, Linux, ()>) -> PreOpen {
        self.seen += 1;
        if self.seen.is_multiple_of(2) {
            return PreOpen::Keep;
        }
        self.others.send(incoming.take().unwrap()).unwrap();
        assert_eq!(incoming.take().err(), Some(Error::Invalid), "it is gone");
        self.wake.wake();
        // Of no meaning any more.
        PreOpen::Refuse
    }

    fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, Linux, Self>, _: &mut (), data: &mut [u8]) {
        serve(socket, b'A', data);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
        sockets.net().close_all((), 0);
    }
}

/// Serves what it is handed, until nobody can hand it anything.
struct Worker(Receiver<OwnedFd>);

impl Handler<Linux> for Worker {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, opened: Opened<()>) {
        assert!(matches!(opened, Opened::Inserted { peer, .. } if peer.ip().is_some()));
    }

    fn on_data(&mut self, socket: &mut Socket<'_, Linux, Self>, _: &mut (), data: &mut [u8]) {
        serve(socket, b'W', data);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
        loop {
            match self.0.try_recv() {
                Ok(descriptor) => {
                    sockets.net().insert(descriptor, ()).unwrap();
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => break sockets.net().keep_alive(false),
            }
        }
    }
}

fn worker(waker: &'static Waker<EventFd>, work: Receiver<OwnedFd>) {
    let mut sockets = Box::new(Sockets::<_, _, COUNT>::new());
    let mut buffer = [0; 1024];
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut server = Loop::new(platform, &mut sockets, &mut buffer);
    server.net().keep_alive(true);
    server.run(&mut Worker(work)).unwrap();
    assert_eq!(server.stats().open, 0);
}

fn acceptor(waker: &'static Waker<EventFd>, mut handler: Acceptor, tell: &Sender<SocketAddr>) {
    let mut sockets = Box::new(Sockets::<_, _, COUNT>::new());
    let mut buffer = [0; 1024];
    let platform = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut server = Loop::new(platform, &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ()).unwrap();
    tell.send(server.net().listening_addr(listener).unwrap())
        .unwrap();
    server.run(&mut handler).unwrap();
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.refused), (100, 0));
}

#[test]
fn connections_go_to_another_loop_before_they_open() {
    let (hand_over, work) = channel();
    let (tell, told) = channel();
    let (first, second) = (waker(), waker());
    thread::scope(|scope| {
        scope.spawn(move || worker(second, work));
        let handler = Acceptor {
            others: hand_over,
            wake: second,
            seen: 0,
        };
        scope.spawn(move || {
            acceptor(first, handler, &tell);
            // Nobody can hand over anything any more.
            second.wake();
        });
        let addr = told.recv().unwrap();
        let clients: Vec<_> = (0..COUNT)
            .map(|index| {
                let mut client = TcpStream::connect(addr).unwrap();
                client
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                // It may come before the connection is handed over, or after.
                client.write_all(format!("{index}").as_bytes()).unwrap();
                client
            })
            .collect();
        let mut served = [0; 2];
        for (mut client, index) in clients.into_iter().zip(0..) {
            client.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            let by = usize::from(answer.starts_with('W'));
            *served.get_mut(by).unwrap() += 1;
            assert_eq!(answer.get(1..), Some(format!("{index}").as_str()));
        }
        assert_eq!(served, [COUNT / 2; 2]);
        first.wake();
    });
}
