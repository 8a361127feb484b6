//! Peers that are slow on purpose hold up nobody else: handshakes and echoes take as long among
//! a thousand of them as without, in virtual time.
#![cfg(feature = "tls")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use usockets::tls::{
    ClientConfig, Config, EcdsaP256Key, Identity, Machine, ParkingPlace, RustCrypto, ServerConfig,
    Tls, TlsMemory,
};
use usockets::{Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::sim::{Faults, Host, Sim};
use usockets_tests::slow::{Slow, Slowness};

/// Connections that attackers have open at once.
const ATTACKERS: usize = 1_000;
/// Measurements of which the median counts.
const RUNS: usize = 9;
/// The server closes a connection on which nothing comes for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Random bytes that need not be, and a clock that stands.
struct Steady(u64);

impl Machine for Steady {
    fn random(&mut self, out: &mut [u8]) -> bool {
        for byte in out {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
            *byte = self.0.to_be_bytes()[0];
        }
        true
    }

    fn unix_seconds(&self) -> u64 {
        1_800_000_000
    }
}

type Crypto = RustCrypto<Steady>;
type Server<'s> = Loop<'s, Tls<'s, Host, Crypto>, Echo>;
type Honest<'s> = Loop<'s, Tls<'s, Host, Crypto>, Asks>;
type Attack<'s> = Loop<'s, Tls<'s, Slow<Host>, Crypto>, Attacker>;

/// Sends back what comes, as far as the peer takes it; reads no more until it does.
struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Vec<u8>;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Vec<u8> {
        socket.set_timeout(IDLE);
        Vec::new()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, unsent: &mut Vec<u8>, data: &mut [u8]) {
        socket.set_timeout(IDLE);
        let taken = socket.write(data);
        if taken < data.len() {
            unsent.extend_from_slice(&data[taken..]);
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, unsent: &mut Vec<u8>) {
        let taken = socket.write(unsent);
        unsent.drain(..taken);
        if unsent.is_empty() {
            socket.resume();
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Vec<u8>) {
        socket.close();
    }
}

/// What an honest client's connection has done.
#[derive(Default)]
struct Asks {
    opened: usize,
    heard: usize,
    closed: Vec<Closed>,
    failed: Vec<Error>,
}

impl<P: Platform> Handler<P> for Asks {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.heard += data.len();
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.failed.push(error);
    }
}

/// Sends pieces of data, one every few seconds, on each connection that opens.
struct Attacker {
    piece: Vec<u8>,
    period: Duration,
    opened: usize,
    ended: usize,
}

impl<P: Platform> Handler<P> for Attacker {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
        let _taken = socket.write(&self.piece);
        socket.set_timeout(self.period);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        let _taken = socket.write(&self.piece);
        socket.set_timeout(self.period);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: Closed) {
        self.ended += 1;
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), _: Error) {
        self.ended += 1;
    }
}

/// A kind of attack: what its connections hold back, what they send and how often.
struct Kind {
    name: &'static str,
    draw: Box<dyn FnMut() -> Slowness + Send>,
    piece: usize,
    period: Duration,
    /// Its connections are over by the server's deadlines, as they never open.
    ends: bool,
}

fn kind(name: &'static str, slowness: Slowness, piece: usize, period: u64) -> Kind {
    Kind {
        name,
        draw: Box::new(move || slowness),
        piece,
        period: Duration::from_secs(period),
        ends: false,
    }
}

/// The network: a server, an honest client, attackers.
struct Stage<'s, 'a> {
    sim: Sim,
    server: &'a mut Server<'s>,
    honest: &'a mut Honest<'s>,
    attack: &'a mut Attack<'s>,
    asks: Asks,
    attacker: Attacker,
    at: SocketAddr,
    attackers: usize,
}

impl Stage<'_, '_> {
    /// Lets the loops run until `done`, for at most so much virtual time; returns whether it is.
    fn run(&mut self, most: Duration, mut done: impl FnMut(&Asks) -> bool) -> bool {
        let end = self.sim.now_micros() + u64::try_from(most.as_micros()).unwrap();
        loop {
            if done(&self.asks) {
                return true;
            }
            if self.sim.now_micros() >= end {
                return false;
            }
            // Each connects again when its connection is over.
            let open = self.attack.stats().in_use as usize;
            for _ in open..self.attackers {
                let to = Endpoint::tls(self.at, Some("localhost"));
                if self.attack.net().connect(to, ()).is_err() {
                    break;
                }
            }
            if self.sim.is_due(0) {
                self.server.poll(&mut Echo, None).unwrap();
            }
            if self.sim.is_due(1) {
                self.honest.poll(&mut self.asks, None).unwrap();
            }
            if self.sim.is_due(2) {
                self.attack.poll(&mut self.attacker, None).unwrap();
            }
            self.sim.expect(0, self.server.next_deadline());
            self.sim.expect(1, self.honest.next_deadline());
            self.sim.expect(2, self.attack.next_deadline());
            if !done(&self.asks) && !(0..3).any(|host| self.sim.is_due(host)) {
                self.sim
                    .step(Duration::from_micros(end - self.sim.now_micros()));
            }
        }
    }

    /// Checks that nobody honest was closed.
    fn check(&self, name: &str) {
        let Attacker { opened, ended, .. } = self.attacker;
        println!("{opened} attackers opened, {ended} ended");
        let is_ours = |closed: &Closed| *closed == Closed::Local(0);
        assert!(
            self.asks.closed.iter().all(is_ours),
            "{:?}",
            self.asks.closed
        );
        assert_eq!(self.asks.failed, [], "{name}");
    }

    /// Returns the medians of an honest handshake and of an echo on a connection that is open,
    /// in microseconds.
    fn measure(&mut self) -> [u64; 2] {
        let wait = Duration::from_secs(20);
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            let start = self.sim.now_micros();
            let opened = self.asks.opened;
            let to = Endpoint::tls(self.at, Some("localhost"));
            let id = self.honest.net().connect(to, ()).unwrap();
            let is_open = self.run(wait, |asks| asks.opened > opened);
            assert!(
                is_open,
                "no handshake: {:?} {:?}",
                self.server.stats(),
                self.asks.failed
            );
            times[0].push(self.sim.now_micros() - start);
            let (start, heard) = (self.sim.now_micros(), self.asks.heard);
            assert_eq!(self.honest.net().write(id, b"echo"), 4);
            assert!(self.run(wait, |asks| asks.heard == heard + 4), "no echo");
            times[1].push(self.sim.now_micros() - start);
            self.run(Duration::from_millis(700), |_| false);
            self.honest.net().close(id);
        }
        times.map(|mut times| {
            times.sort_unstable();
            times[RUNS / 2]
        })
    }
}

/// What both roles go by.
fn with_config(test: impl FnOnce(&Config<'_>)) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_string()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let signer = EcdsaP256Key::from_der(&key.serialize_der()).unwrap();
    let chain: [&[u8]; 1] = [certificate.der()];
    let identities = [Identity::new(&chain, &signer)];
    let roots = [webpki::anchor_from_trusted_cert(certificate.der()).unwrap()];
    test(&Config::new(
        ServerConfig::new(&identities),
        ClientConfig::new(&roots),
    ));
}

/// Measures without and with attackers of a kind.
fn attack(kind: Kind, seed: u64, faults: Faults, attackers: usize) {
    with_config(|config| attack_with::<1_200, 64>(config, kind, seed, faults, attackers));
}

/// Measures on a server with memory for so many `SOCKETS`, and `LEASES` of each kind.
fn attack_with<const SOCKETS: usize, const LEASES: usize>(
    config: &Config<'_>,
    kind: Kind,
    seed: u64,
    faults: Faults,
    attackers: usize,
) {
    let Kind {
        name,
        draw,
        piece,
        period,
        ends,
    } = kind;
    let sim = Sim::new(seed, faults);
    let mut near = boxed(TlsMemory::<Crypto, SOCKETS, LEASES, LEASES, LEASES>::NEW);
    let mut far = boxed(TlsMemory::<Crypto, 64, 16, 16, 16>::NEW);
    let mut many = boxed(TlsMemory::<Crypto, SOCKETS, SOCKETS, 64, 64>::NEW);
    let mut a = boxed(Sockets::<_, Echo, SOCKETS>::new());
    let mut b = boxed(Sockets::<_, Asks, 64>::new());
    let mut c = boxed(Sockets::<_, Attacker, SOCKETS>::new());
    let (mut x, mut y, mut z) = (vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]);
    let mut places: Vec<_> = (0..8 * LEASES).map(|_| ParkingPlace::EMPTY).collect();
    let layer =
        Tls::new(sim.host(), Crypto::new(Steady(1)), config, &mut *near).with_parking(&mut places);
    let mut server = Loop::new(layer, &mut *a, &mut x);
    let layer = Tls::new(sim.host(), Crypto::new(Steady(2)), config, &mut *far);
    let mut honest = Loop::new(layer, &mut *b, &mut y);
    let slow = Slow {
        inner: sim.host(),
        draw,
    };
    let layer = Tls::new(slow, Crypto::new(Steady(3)), config, &mut *many);
    let mut attack = Loop::new(layer, &mut *c, &mut z);
    let at = (sim.addresses(0)[0], 443).into();
    let listens = Endpoint::tls(at, None).backlog(4_096);
    server.net().listen(listens, ()).unwrap();
    let mut stage = Stage {
        sim,
        server: &mut server,
        honest: &mut honest,
        attack: &mut attack,
        asks: Asks::default(),
        attacker: Attacker {
            piece: vec![7; piece],
            period,
            opened: 0,
            ended: 0,
        },
        at,
        attackers: 0,
    };
    let calm = stage.measure();
    stage.attackers = attackers;
    stage.run(Duration::from_secs(12), |_| false);
    let busy = stage.measure();
    println!("{name}: handshake and echo {calm:?} µs, {busy:?} with attackers");
    stage.check(name);
    for (calm, busy) in calm.into_iter().zip(busy) {
        assert!(busy <= 2 * calm, "{name}: {busy} µs, {calm} without");
    }
    if ends {
        stage.attackers = 0;
        stage.run(Duration::from_secs(15), |_| false);
        let open = stage.server.stats().in_use;
        assert_eq!(open, 1, "{name}: all but the listener");
    }
}

/// Puts a large value on the heap.
fn boxed<T>(value: T) -> Box<T> {
    Box::new(value)
}

/// Runs `f` with enough stack for memory on its way to the heap.
fn with_stack(f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 20);
        let thread = thread.spawn_scoped(scope, f).unwrap();
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn hellos_of_one_byte() {
    let slowness = Slowness {
        sends: 1,
        ..Slowness::NONE
    };
    with_stack(move || {
        let kind = Kind {
            ends: true,
            ..kind("hellos of one byte", slowness, 1, 5)
        };
        attack(kind, 1, Faults::none(), ATTACKERS);
    });
}

#[test]
fn records_that_take_four_seconds() {
    let slowness = Slowness {
        tails_after: 400,
        ..Slowness::NONE
    };
    with_stack(move || {
        let kind = kind("records that take four seconds", slowness, 1, 4);
        attack(kind, 2, Faults::none(), ATTACKERS);
    });
}

#[test]
fn readers_that_stop() {
    let slowness = Slowness {
        reads: 3_000,
        ..Slowness::NONE
    };
    with_stack(move || {
        let kind = kind("readers that stop", slowness, 40_000, 4);
        attack(kind, 3, Faults::none(), ATTACKERS);
    });
}

#[test]
fn handshakes_that_stop_before_the_last_message() {
    let slowness = Slowness {
        reads: 100,
        ..Slowness::NONE
    };
    with_stack(move || {
        let kind = Kind {
            ends: true,
            ..kind("handshakes that stop", slowness, 1, 4)
        };
        attack(kind, 4, Faults::none(), ATTACKERS);
    });
}

/// Attackers that hold back anything, at any byte.
fn drawn_at_random(seed: u64) -> Kind {
    let mut rng = Rng::new(seed);
    Kind {
        name: "drawn at random",
        draw: Box::new(move || Slowness::any(&mut rng)),
        piece: 2_000,
        period: Duration::from_secs(3),
        ends: false,
    }
}

#[test]
fn drawn_at_random_by_the_thousand() {
    with_stack(|| {
        for seed in seeds(1) {
            println!("SEED={seed}");
            attack(drawn_at_random(seed), seed, Faults::none(), ATTACKERS);
        }
    });
}

/// As many for each lease, on an eighth of the memory: `SLOW_SEEDS` tries more seeds.
#[test]
fn drawn_at_random_on_little_memory() {
    let count = std::env::var("SLOW_SEEDS").map_or(8, |count| count.parse().unwrap());
    with_stack(|| {
        with_config(|config| {
            for seed in seeds(count) {
                println!("SEED={seed}");
                let kind = drawn_at_random(seed);
                attack_with::<160, 8>(config, kind, seed, Faults::none(), ATTACKERS / 8);
            }
        });
    });
}

/// All of these together.
fn of_every_kind() -> Kind {
    let kinds = [
        Slowness {
            sends: 1,
            ..Slowness::NONE
        },
        Slowness {
            tails_after: 400,
            ..Slowness::NONE
        },
        Slowness {
            reads: 3_000,
            ..Slowness::NONE
        },
        Slowness {
            reads: 100,
            ..Slowness::NONE
        },
    ];
    let mut kinds = kinds.into_iter().cycle();
    Kind {
        name: "of every kind",
        draw: Box::new(move || kinds.next().unwrap_or(Slowness::NONE)),
        piece: 1_500,
        period: Duration::from_secs(4),
        ends: false,
    }
}

#[test]
fn of_every_kind_together() {
    with_stack(|| attack(of_every_kind(), 5, Faults::none(), ATTACKERS));
}

/// The same on the kernel's sockets and its clock: a server among attackers of every kind beside
/// one without, asked in turns.
#[test]
fn of_every_kind_on_real_sockets() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    with_stack(|| with_config(attack_on_sockets));
}

fn attack_on_sockets(config: &Config<'_>) {
    let stops = &AtomicBool::new(false);
    let server = || {
        let (tell, told) = mpsc::channel();
        let serve = move || {
            let mut memory = boxed(TlsMemory::<Crypto, 1_200, 64, 64, 64>::NEW);
            let mut sockets = boxed(Sockets::<_, Echo, 1_200>::new());
            let mut buffer = vec![0; 65_536];
            let mut places: Vec<_> = (0..512).map(|_| ParkingPlace::EMPTY).collect();
            let layer = Tls::new(
                Linux::new().unwrap(),
                Crypto::new(Steady(1)),
                config,
                &mut memory,
            );
            let layer = layer.with_parking(&mut places);
            let mut server = Loop::new(layer, &mut *sockets, &mut buffer);
            let at = ([127, 0, 0, 1], 0).into();
            let listens = Endpoint::tls(at, None).backlog(4_096);
            let listener = server.net().listen(listens, ()).unwrap();
            let at = server.net().local_addr(listener.into()).unwrap();
            tell.send(at.ip().unwrap()).unwrap();
            while !stops.load(Ordering::Relaxed) {
                let until = server
                    .platform()
                    .now()
                    .saturating_add(Duration::from_millis(50));
                server.poll(&mut Echo, Some(until)).unwrap();
            }
        };
        (serve, told)
    };
    std::thread::scope(|scope| {
        // What goes to the heap is on the stack first.
        let thread = || std::thread::Builder::new().stack_size(64 << 20);
        let [calm, busy] = [server(), server()].map(|(serve, told)| {
            thread().spawn_scoped(scope, serve).unwrap();
            told.recv().unwrap()
        });
        let (tell, told) = mpsc::channel();
        let attacks = move || attack_socket(config, busy, stops, &tell);
        thread().spawn_scoped(scope, attacks).unwrap();
        // Attackers are all there, and the first of them gone by their deadlines.
        told.recv().unwrap();
        let [calm, busy] = measure_in_turns(config, [calm, busy]);
        stops.store(true, Ordering::Relaxed);
        println!("handshake and echo {calm:?} µs, {busy:?} with attackers");
        for (calm, busy) in calm.into_iter().zip(busy) {
            assert!(busy <= 2 * calm, "{busy} µs, {calm} without");
        }
    });
}

/// Attacks until it is stopped, and says when all attackers are there.
fn attack_socket(config: &Config<'_>, at: SocketAddr, stops: &AtomicBool, tell: &mpsc::Sender<()>) {
    let Kind {
        draw,
        piece,
        period,
        ..
    } = of_every_kind();
    let mut memory = boxed(TlsMemory::<Crypto, 1_200, 1_200, 64, 64>::NEW);
    let mut sockets = boxed(Sockets::<_, Attacker, 1_200>::new());
    let mut buffer = vec![0; 65_536];
    let slow = Slow {
        inner: Linux::new().unwrap(),
        draw,
    };
    let layer = Tls::new(slow, Crypto::new(Steady(3)), config, &mut *memory);
    let mut attack = Loop::new(layer, &mut *sockets, &mut buffer);
    let mut attacker = Attacker {
        piece: vec![7; piece],
        period,
        opened: 0,
        ended: 0,
    };
    let full = attack
        .platform()
        .now()
        .saturating_add(Duration::from_secs(12));
    let mut is_told = false;
    while !stops.load(Ordering::Relaxed) {
        for _ in attack.stats().in_use as usize..ATTACKERS {
            let to = Endpoint::tls(at, Some("localhost"));
            if attack.net().connect(to, ()).is_err() {
                break;
            }
        }
        if !is_told && attack.platform().now() > full {
            println!(
                "{} attackers opened, {} ended",
                attacker.opened, attacker.ended
            );
            is_told = tell.send(()).is_ok();
        }
        let until = attack
            .platform()
            .now()
            .saturating_add(Duration::from_millis(10));
        attack.poll(&mut attacker, Some(until)).unwrap();
    }
}

/// Returns the medians of an honest handshake and of an echo, in microseconds, of both servers.
fn measure_in_turns(config: &Config<'_>, servers: [SocketAddr; 2]) -> [[u64; 2]; 2] {
    let mut memory = boxed(TlsMemory::<Crypto, 64, 16, 16, 16>::NEW);
    let mut sockets = boxed(Sockets::<_, Asks, 64>::new());
    let mut buffer = vec![0; 65_536];
    let layer = Tls::new(
        Linux::new().unwrap(),
        Crypto::new(Steady(2)),
        config,
        &mut *memory,
    );
    let mut honest = Loop::new(layer, &mut *sockets, &mut buffer);
    let mut asks = Asks::default();
    let mut times = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for _ in 0..RUNS * 3 {
        for (at, times) in servers.into_iter().zip(&mut times) {
            let start = honest.platform().now();
            let to = Endpoint::tls(at, Some("localhost"));
            let id = honest.net().connect(to, ()).unwrap();
            let (opened, heard) = (asks.opened, asks.heard);
            while asks.opened == opened {
                assert_eq!(asks.failed, []);
                honest.poll(&mut asks, None).unwrap();
            }
            times[0].push(honest.platform().now().as_micros() - start.as_micros());
            let start = honest.platform().now();
            assert_eq!(honest.net().write(id, b"echo"), 4);
            while asks.heard < heard + 4 {
                assert!(asks.closed.iter().all(|closed| *closed == Closed::Local(0)));
                honest.poll(&mut asks, None).unwrap();
            }
            times[1].push(honest.platform().now().as_micros() - start.as_micros());
            honest.net().close(id);
            let until = honest
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            while honest.platform().now() < until {
                honest.poll(&mut asks, Some(until)).unwrap();
            }
        }
    }
    times.map(|times| {
        times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
    })
}
