//! A host whose program does as little as one may, on a platform that has as little as one may:
//! whatever they leave out, the loop does.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Endpoint, Handler, ListenerId, Loop, Opened, Platform, Socket, Sockets, TimerId};

use super::books::bytes;
use crate::bare::Bare;
use crate::rng::mix;
use crate::sim::{Host, Sim};

/// Where it listens.
const PORT: u16 = 1_003;
/// Longest that it keeps a connection, in microseconds.
const PATIENCE: u64 = 2_000_000;
/// How often it does something without a reason.
const PERIOD: Duration = Duration::from_millis(300);

/// Only what a handler must have.
#[derive(Debug)]
pub(super) struct Least;

impl<const HOLDS: bool> Handler<Bare<Host<HOLDS>>> for Least {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Bare<Host<HOLDS>>, Self>, _: Opened<()>) {
        let id = socket.id();
        let random = mix(id.to_bits());
        socket.set_timeout(Duration::from_micros((random % PATIENCE).max(1)));
        if random & 0x100 != 0
            && let Some(line) = socket.net().platform_mut().0.line(id)
        {
            // What is not taken is never sent.
            let bytes = bytes((line.serial, line.client), 0, 5_000);
            let _ = socket.write_vectored(&[&bytes[..9], &[], &bytes[9..400], &bytes[400..]]);
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, Bare<Host<HOLDS>>, Self>, (): &mut (), _: &mut [u8]) {}
}

/// Its pool.
pub(super) type Pool<const HOLDS: bool> = Sockets<Bare<Host<HOLDS>>, Least, 3>;

/// The host.
pub(super) struct Bystander<'s, const HOLDS: bool> {
    lp: Loop<'s, Bare<Host<HOLDS>>, Least>,
    index: usize,
    /// Where others listen.
    addrs: Vec<SocketAddr>,
    listener: Option<ListenerId>,
    timer: Option<TimerId>,
    /// Counts its turns, and decides what it does.
    turns: u64,
}

impl<'s, const HOLDS: bool> Bystander<'s, HOLDS> {
    pub(super) fn new(sim: &Sim, pool: &'s mut Pool<HOLDS>, buffer: &'s mut [u8]) -> Self {
        let host = sim.add_host::<HOLDS>();
        let index = host.index();
        let mut lp = Loop::with_buffer(Bare(host), pool, buffer).expect("a buffer");
        let at = Endpoint::tcp(SocketAddr::new(sim.addresses(index)[0], PORT));
        // Where that fails, it only connects.
        let listener = lp.net().listen(at, ()).ok();
        let timer = lp.net().start_timer(PERIOD, PERIOD).ok();
        Self {
            lp,
            index,
            addrs: Vec::new(),
            listener,
            timer,
            turns: 0,
        }
    }

    /// Where it listens; and where it may connect to, from now on.
    pub(super) fn meet(&mut self, sim: &Sim, addrs: &[SocketAddr]) -> SocketAddr {
        self.addrs = addrs.to_vec();
        SocketAddr::new(sim.addresses(self.index)[0], PORT)
    }

    /// Polls if there is something to do; whether there was.
    pub(super) fn turn(&mut self, sim: &Sim) -> Result<bool, String> {
        sim.expect(self.index, self.lp.next_deadline());
        if !sim.is_due(self.index) {
            return Ok(false);
        }
        self.turns += 1;
        let random = mix(self.turns);
        if self.timer.is_some() && random & 3 == 0 && !self.addrs.is_empty() {
            let to = self.addrs[(random >> 8) as usize % self.addrs.len()];
            // Its pool may be full.
            let _ = self.lp.net().connect(Endpoint::tcp(to), ());
        } else if self.timer.is_some() && random & 15 == 1 {
            sim.wake(self.index);
        }
        let polled = self.lp.poll(&mut Least, None);
        polled.map_err(|error| format!("the bystander's poll failed: {error}"))?;
        Ok(true)
    }

    /// Begins nothing new.
    pub(super) fn wind_up(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.lp.net().stop_timer(timer);
        }
    }

    /// Whether connections are left.
    pub(super) fn is_busy(&self) -> bool {
        self.lp.stats().in_use > u32::from(self.listener.is_some())
    }

    /// Stops when nothing but the listener is left, as a program that runs until nothing is.
    pub(super) fn end(&mut self, sim: &Sim) -> Result<(), String> {
        if let Some(listener) = self.listener.take() {
            self.lp.net().stop_listening(listener);
        }
        let started = self.lp.net().start_timer(PERIOD, Duration::ZERO);
        started.map_err(|error| format!("the bystander has no slot left: {error}"))?;
        sim.jump(self.index, PERIOD * 2);
        let began = self.lp.platform().now();
        let ran = self.lp.run(&mut Least);
        ran.map_err(|error| format!("the bystander does not stop: {error}"))?;
        let waited = self.lp.platform().now().saturating_since(began);
        if !waited.is_zero() {
            return Err(format!("the bystander waited {waited:?} for what was due"));
        }
        let (in_use, descriptors) = (self.lp.stats().in_use, sim.descriptors(self.index));
        if in_use != 0 || descriptors != 0 {
            return Err(format!(
                "the bystander keeps {in_use} slots, {descriptors} sockets"
            ));
        }
        Ok(())
    }
}
