//! Who is still in a handshake when a loop drains is served and ended in order too, as long as the
//! drain's time lasts.
#![cfg(feature = "tls")]

use std::time::Duration;

use usockets::tls::{Tls, TlsMemory};
use usockets::{
    Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Security, Socket, SocketId, Sockets,
};
use usockets_tests::sim::{Faults, Sim};
use usockets_tests::steady::{Crypto, Steady, config};

/// Connections whose handshakes are late: more than the loop keeps a list of.
const LATE: usize = 9;

/// What a connection of the server was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Open,
    Data,
    Drain,
    End,
    Closed(Closed),
}

/// Answers each request, and notes its calls.
#[derive(Default)]
struct Server {
    calls: Vec<(SocketId, Told)>,
}

impl Server {
    fn of(&self, id: SocketId) -> Vec<Told> {
        let own = self.calls.iter().filter(|(of, _)| *of == id);
        own.map(|(_, told)| *told).collect()
    }

    fn count(&self, what: Told) -> usize {
        self.calls.iter().filter(|(_, told)| *told == what).count()
    }
}

impl<P: Platform> Handler<P> for Server {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.calls.push((socket.id(), Told::Open));
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        assert_eq!(data, b"request");
        self.calls.push((socket.id(), Told::Data));
        assert_eq!(socket.write(b"answer"), 6);
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.calls.push((socket.id(), Told::Drain));
        socket.finish();
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.calls.push((socket.id(), Told::End));
        socket.finish();
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.calls.push((socket.id(), Told::Closed(closed)));
    }
}

/// Asks at once if it is told so, and ends when the server does.
#[derive(Default)]
struct Client {
    answers: usize,
    closed: Vec<Closed>,
    failed: Vec<Error>,
}

impl<P: Platform> Handler<P> for Client {
    type Context = bool;
    type Ext = Vec<u8>;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<bool>) -> Vec<u8> {
        if opened.context() {
            assert_eq!(socket.write(b"request"), 7);
        }
        Vec::new()
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, heard: &mut Vec<u8>, data: &mut [u8]) {
        heard.extend_from_slice(data);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, heard: &mut Vec<u8>, closed: Closed) {
        self.answers += usize::from(heard == b"answer");
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, _: bool, error: Error) {
        self.failed.push(error);
    }
}

/// A network on which a message takes longer than a loop that drains waits for all handshakes.
fn slow_network() -> Sim {
    let latency = 400_000;
    Sim::new(
        1,
        Faults {
            latency_min: latency,
            latency_max: latency,
            ..Faults::none()
        },
    )
}

#[test]
fn late_ones_are_answered_and_ended_in_order() {
    let sim = slow_network();
    let mut near = Box::new(TlsMemory::<Crypto, 32, 16, 8, 16>::NEW);
    let mut far = Box::new(TlsMemory::<Crypto, 32, 16, 8, 16>::NEW);
    let layer = Tls::new(sim.host(), Crypto::new(Steady(1)), config(), &mut near);
    let (mut a, mut x) = (Box::new(Sockets::<_, Server, 32>::new()), [0; 32_768]);
    let mut server = Loop::new(layer, &mut *a, &mut x);
    let layer = Tls::new(sim.host(), Crypto::new(Steady(2)), config(), &mut far);
    let (mut b, mut y) = (Box::new(Sockets::<_, Client, 32>::new()), [0; 32_768]);
    let mut client = Loop::new(layer, &mut *b, &mut y);
    let (mut serves, mut asks) = (Server::default(), Client::default());
    let at = (sim.addresses(0)[0], 443).into();
    server.net().listen(Endpoint::tls(at, None), ()).unwrap();
    let secured = Endpoint::tls(at, Some("localhost"));
    let mut run = |connects: &[Endpoint<'_>], millis: u64, drains: bool| {
        for to in connects {
            let asks = to.security != Security::Plain;
            client.net().connect(*to, asks).unwrap();
        }
        if drains {
            server.net().drain(Duration::from_secs(5));
        }
        let end = sim.now_micros() + millis * 1_000;
        while sim.now_micros() < end {
            server.poll(&mut serves, None).unwrap();
            client.poll(&mut asks, None).unwrap();
            sim.expect(0, server.next_deadline());
            sim.expect(1, client.next_deadline());
            if !sim.is_due(0) && !sim.is_due(1) {
                sim.step(Duration::from_micros(end - sim.now_micros()));
            }
        }
        let drained = serves.count(Told::Drain);
        (drained, server.stats().accepted, server.stats().in_use)
    };
    assert_eq!(run(&[secured], 4_000, false), (0, 1, 2));
    // Who connects now is in its handshake when the loop drains, the last of them for good.
    let mut late = [secured; LATE + 1];
    late[LATE] = Endpoint::tcp(at);
    let (drained, accepted, _) = run(&late, 1_000, false);
    assert_eq!((drained, accepted as usize), (0, LATE + 2));
    let (drained, _, in_use) = run(&[], 600, true);
    assert_eq!(
        (drained, in_use as usize),
        (1, LATE + 2),
        "the first is told"
    );
    let (drained, _, in_use) = run(&[], 3_000, false);
    assert_eq!((drained, in_use), (LATE + 1, 1), "{:?}", serves.calls);
    // Who never ends a handshake is gone with the drain's time.
    let (_, _, in_use) = run(&[], 2_000, false);
    assert_eq!(in_use, 0);
    for (id, _) in &serves.calls {
        let in_order = [
            Told::Open,
            Told::Data,
            Told::Drain,
            Told::End,
            Told::Closed(Closed::Finished),
        ];
        assert_eq!(serves.of(*id), in_order, "{:?}", serves.calls);
    }
    assert_eq!(asks.answers, LATE + 1);
    let all_finished = asks.closed.iter().all(|closed| *closed == Closed::Finished);
    assert!(all_finished, "{:?}", asks.closed);
    assert_eq!(asks.closed.len(), LATE + 2);
    assert_eq!(asks.failed, []);
}
