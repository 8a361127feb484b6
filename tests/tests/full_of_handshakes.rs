//! A pool in which every connection is in its handshake: who never ends it makes room for others
//! long before its time is over, and who needs a while does not.
#![cfg(feature = "tls")]

use std::net::SocketAddr;
use std::time::Duration;

use usockets::tls::{Tls, TlsMemory};
use usockets::{
    AllSockets, Closed, Endpoint, Error, Handler, ListenerId, Loop, Opened, Platform, Socket,
    Sockets, WhenFull,
};
use usockets_tests::sim::{Faults, Host, Sim};
use usockets_tests::steady::{Crypto, Steady, config};

/// Connections that the server has slots for.
const ROOM: usize = 3;

/// Notes what it is told.
#[derive(Default)]
struct Notes {
    opened: usize,
    closed: Vec<Closed>,
    failed: Vec<Error>,
    accept_errors: Vec<Error>,
}

impl<P: Platform> Handler<P> for Notes {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.failed.push(error);
    }

    fn on_accept_error(&mut self, _: &mut AllSockets<'_, P, Self>, _: ListenerId, error: Error) {
        self.accept_errors.push(error);
    }
}

/// A loop over TLS, and what it was told.
struct Side {
    net: Loop<'static, Tls<'static, Host, Crypto>, Notes>,
    notes: Notes,
}

impl Side {
    fn new<const N: usize>(sim: &Sim, seed: u64) -> Self {
        let memory = Box::leak(Box::new(TlsMemory::<Crypto, 16, 8, 8, 8>::NEW));
        let layer = Tls::new(sim.host(), Crypto::new(Steady(seed)), config(), memory);
        let sockets = Box::leak(Box::new(Sockets::<_, Notes, N>::new()));
        let buffer = Box::leak(Box::new([0; 32_768]));
        Self {
            net: Loop::new(layer, sockets, buffer),
            notes: Notes::default(),
        }
    }
}

/// A server with [`ROOM`] slots for connections, of which a listener takes no more than `most`, and
/// a client.
fn sides(latency: u64, most: u32) -> (Sim, [Side; 2], SocketAddr) {
    let faults = Faults {
        latency_min: latency,
        latency_max: latency,
        ..Faults::none()
    };
    let sim = Sim::new(1, faults);
    let mut sides = [Side::new::<{ ROOM + 1 }>(&sim, 1), Side::new::<16>(&sim, 2)];
    let at: SocketAddr = (sim.addresses(0)[0], 443).into();
    let listens = Endpoint::tls(at, None)
        .when_full(WhenFull::EvictIdle)
        .connections_max(most);
    sides[0].net.net().listen(listens, ()).unwrap();
    (sim, sides, at)
}

/// Lets both loops run for so long. Returns how many iterations the server made.
fn run(sim: &Sim, sides: &mut [Side; 2], millis: u64) -> u64 {
    let end = sim.now_micros() + millis * 1_000;
    let before = sides[0].net.stats().iterations;
    while sim.now_micros() < end {
        for (host, side) in sides.iter_mut().enumerate() {
            if sim.is_due(host) {
                side.net.poll(&mut side.notes, None).unwrap();
            }
            sim.expect(host, side.net.next_deadline());
        }
        if !sim.is_due(0) && !sim.is_due(1) {
            sim.step(Duration::from_micros(end - sim.now_micros()));
        }
    }
    sides[0].net.stats().iterations - before
}

/// Three who say nothing fill the pool: the fourth gets in after two seconds, not after ten.
#[test]
fn who_says_nothing_makes_room() {
    for most in [u32::MAX, ROOM as u32 - 1] {
        let silent = ROOM.min(most as usize);
        let (sim, mut sides, at) = sides(50, most);
        for _ in 0..silent {
            sides[1].net.net().connect(Endpoint::tcp(at), ()).unwrap();
        }
        run(&sim, &mut sides, 500);
        let secured = Endpoint::tls(at, Some("localhost"));
        sides[1].net.net().connect(secured, ()).unwrap();
        let turns = run(&sim, &mut sides, 1_400);
        assert!(
            turns <= 10,
            "{turns} iterations while nobody could be evicted"
        );
        assert_eq!(sides[0].notes.opened, 0, "the time of nobody is over");
        assert_eq!(sides[0].net.stats().failed, 0);
        assert_eq!(sides[0].notes.accept_errors, [Error::Full]);
        run(&sim, &mut sides, 200);
        assert_eq!(sides[0].notes.opened, 1);
        assert_eq!(sides[0].net.stats().failed, 1, "one makes room for one");
        let in_use = sides[0].net.stats().in_use as usize;
        assert_eq!(in_use, silent + 1, "the listener, and as many as before");
        // Who is open is idle, and goes first.
        sides[1].net.net().connect(secured, ()).unwrap();
        run(&sim, &mut sides, 200);
        assert_eq!(sides[0].notes.closed, [Closed::Evicted]);
        assert_eq!(sides[0].net.stats().failed, 1);
    }
}

/// Handshakes over a way of 0.8 s and back fill the pool, and others wait: all of the first open.
#[test]
fn who_needs_a_while_opens() {
    let (sim, mut sides, at) = sides(400_000, u32::MAX);
    let secured = Endpoint::tls(at, Some("localhost"));
    for _ in 0..ROOM {
        sides[1].net.net().connect(secured, ()).unwrap();
    }
    run(&sim, &mut sides, 600);
    for _ in 0..2 {
        sides[1].net.net().connect(secured, ()).unwrap();
    }
    run(&sim, &mut sides, 8_000);
    assert_eq!(sides[0].net.stats().failed, 0);
    assert_eq!(sides[0].notes.opened, ROOM + 2);
    assert_eq!(sides[0].notes.closed, [Closed::Evicted; 2]);
}
