//! A server among slow peers on the simulated network, and how long it takes for honest ones.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::tls::{ExchangePlace, ParkingPlace, Tls, TlsMemory};
use usockets::{Closed, Endpoint, Loop, Sockets};
use usockets_linux::zeroed;

use super::peers::{Asks, Attacker, Echo};
use super::{Slow, Slowness};
use crate::sim::{Faults, Host, Sim};
use crate::steady::{Crypto, Steady, asking_config, config};

/// Measurements of which the median counts.
pub const RUNS: usize = 9;

type Server<'s> = Loop<'s, Tls<'s, Host, Crypto>, Echo>;
type Honest<'s> = Loop<'s, Tls<'s, Host, Crypto>, Asks>;
type Attack<'s> = Loop<'s, Tls<'s, Slow<Host>, Crypto>, Attacker>;

/// A kind of attack: what its connections hold back, what they send and how often.
pub struct Kind {
    pub name: &'static str,
    pub draw: Box<dyn FnMut() -> Slowness + Send>,
    pub piece: usize,
    pub period: Duration,
    /// Its connections are over by the server's deadlines, as they never open.
    pub ends: bool,
    /// The server asks for certificates.
    pub asks: bool,
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

/// Measures without and with attackers of a kind.
pub fn attack(kind: Kind, seed: u64, faults: Faults, attackers: usize) {
    attack_with::<1_200, 64>(kind, seed, faults, attackers);
}

/// Measures on a server with memory for so many `SOCKETS`, and `LEASES` of each kind.
pub fn attack_with<const SOCKETS: usize, const LEASES: usize>(
    kind: Kind,
    seed: u64,
    faults: Faults,
    attackers: usize,
) {
    let config = match kind.asks {
        true => asking_config(),
        false => config(),
    };
    let Kind { name, draw, .. } = kind;
    let sim = Sim::new(seed, faults);
    let mut near = zeroed::<TlsMemory<Crypto, SOCKETS, LEASES, LEASES, LEASES>>().unwrap();
    let mut far = zeroed::<TlsMemory<Crypto, 64, 16, 16, 16>>().unwrap();
    let mut many = zeroed::<TlsMemory<Crypto, SOCKETS, SOCKETS, 64, 64>>().unwrap();
    let mut a = Box::new(Sockets::<_, Echo, SOCKETS>::new());
    let mut b = Box::new(Sockets::<_, Asks, 64>::new());
    let mut c = Box::new(Sockets::<_, Attacker, SOCKETS>::new());
    let (mut x, mut y, mut z) = (vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]);
    let mut places: Vec<_> = (0..8 * LEASES).map(|_| ParkingPlace::EMPTY).collect();
    let mut exchanges: Vec<_> = (0..8 * LEASES).map(|_| ExchangePlace::EMPTY).collect();
    let layer = Tls::new(sim.host(), Crypto::new(Steady(1)), config, &mut *near);
    let layer = layer.with_parking(&mut places);
    let layer = layer.with_exchange_parking(&mut exchanges);
    let mut server = Loop::with_buffer(layer, &mut *a, &mut x).expect("a buffer");
    let layer = Tls::new(sim.host(), Crypto::new(Steady(2)), config, &mut *far);
    let mut honest = Loop::with_buffer(layer, &mut *b, &mut y).expect("a buffer");
    let slow = Slow {
        inner: sim.host(),
        draw,
    };
    let layer = Tls::new(slow, Crypto::new(Steady(3)), config, &mut *many);
    let mut attack = Loop::with_buffer(layer, &mut *c, &mut z).expect("a buffer");
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
            piece: vec![7; kind.piece],
            period: kind.period,
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
    if kind.ends {
        stage.attackers = 0;
        stage.run(Duration::from_secs(15), |_| false);
        let open = stage.server.stats().in_use;
        assert_eq!(open, 1, "{name}: all but the listener");
    }
}

/// A server with two leases of each kind among at most 24 slow peers, each of which holds back what
/// four of the bytes say: how many bytes it sends, how many it reads, from which byte on it sends
/// tails only. Honest peers notice nothing.
pub fn fuzz(bytes: &[u8]) {
    let (scripts, _) = bytes.as_chunks::<4>();
    let scripts: Vec<_> = scripts.iter().take(24).copied().collect();
    let attackers = scripts.len();
    let mut scripts = scripts.into_iter().cycle();
    let slowness = move |[sends, reads, tails, fine]: [u8; 4]| {
        // Coarse steps over a handshake and some data; the fourth byte moves all of them a little.
        let at = |byte: u8, step: usize| match byte {
            u8::MAX => usize::MAX,
            byte => usize::from(byte) * step + usize::from(fine % 16),
        };
        Slowness {
            sends: at(sends, 10),
            reads: at(reads, 80),
            tails_after: at(tails, 6),
        }
    };
    let kind = Kind {
        name: "scripted",
        draw: Box::new(move || scripts.next().map_or(Slowness::NONE, slowness)),
        piece: 700,
        period: Duration::from_secs(2),
        ends: false,
        asks: false,
    };
    attack_with::<32, 2>(kind, 1, Faults::none(), attackers);
}
