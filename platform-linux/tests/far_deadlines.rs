//! A loop that was busy waits for half of the time to a far deadline by its last look at the clock,
//! and for the rest by the clock: it is woken once more, and neither early nor late.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use usockets::{Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;

const TIMEOUT: Duration = Duration::from_millis(300);

/// Sets a timeout with each byte that comes.
#[derive(Default)]
struct Timed {
    received: usize,
    set_at: Option<Instant>,
    timed_out: Option<Duration>,
}

impl<P: Platform> Handler<P> for Timed {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.received = self.received.saturating_add(data.len());
        self.set_at = Some(Instant::now());
        socket.set_timeout(TIMEOUT);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.timed_out = self.set_at.map(|set_at| set_at.elapsed());
        socket.close();
    }
}

#[test]
fn a_far_deadline_after_busy_iterations_takes_two_waits() {
    let mut sockets = Sockets::<_, Timed, 4>::new();
    let mut buffer = [0; 64];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = net.net().listen(Endpoint::tcp(any), ()).unwrap();
    let at = net.net().listening_addr(listener).unwrap();
    let mut peer = TcpStream::connect(at).unwrap();
    let mut timed = Timed::default();
    for sent in 1..=3 {
        peer.write_all(b"x").unwrap();
        while timed.received < sent {
            net.poll(&mut timed, None).unwrap();
        }
    }
    let busy = net.stats().iterations;
    while timed.timed_out.is_none() {
        net.poll(&mut timed, None).unwrap();
    }
    // Both waits, and what a wheel that looks after the far ones may take more.
    let waits = net.stats().iterations - busy;
    assert!((2..=4).contains(&waits), "{waits} iterations");
    let passed = timed.timed_out.unwrap();
    assert!(passed >= TIMEOUT - Duration::from_micros(1), "{passed:?}");
}
