//! One run: a handler, its peers and a network, until all is said.

use std::cell::Cell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use usockets::{Endpoint, Handler, Loop, Place, Platform, Slot};

use crate::Sim;
use crate::crowd::{Crowd, Line, UPSTREAM};
use crate::driver::{Driver, Places};
use crate::failure::{Case, Wrong};
use crate::host::Host;
use crate::script::{Step, input};

/// The handler's host.
const HANDLER: usize = 0;
/// The peers' host.
const PEERS: usize = 1;
/// Where the handler listens, and the peers.
const PORT: u16 = 80;
/// Turns at one time of which nothing comes.
const IDLE_TURNS_MAX: u32 = 20_000;
/// Times at which hosts were polled and nothing came of it: only timers go on.
const IDLE_TIMES_MAX: u32 = 5_000;
/// Attempts to start on a network where listening may fail.
const STARTS_MAX: u32 = 1_000;

/// How a run ended.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// What was wrong, if anything.
    pub wrong: Option<Wrong>,
    /// What happened, a line each, if it was to be written down.
    pub trace: Vec<String>,
    /// Tells apart runs in which anything went differently.
    pub digest: u64,
    /// Connections that peers opened.
    pub opened: u64,
    /// Bytes that peers handed over.
    pub said: u64,
    /// Bytes that peers received.
    pub heard: u64,
    /// Virtual time that passed.
    pub time: Duration,
}

/// A run that is under way.
pub(crate) struct Trial<'d, 's, H: Handler<Host>> {
    driver: &'d Driver<H>,
    case: &'d Case,
    sim: Sim,
    server: Loop<'s, Host, H>,
    handler: H,
    peers: Loop<'s, Host, Crowd>,
    crowd: Crowd,
    places: Places,
    /// When the link is whole again.
    cut_until: Option<u64>,
    /// Steps at given times, the last first.
    timed: Vec<(u64, Step)>,
    /// What peers want may have broken off.
    broken: bool,
}

impl<H: Handler<Host>> Trial<'_, '_, H> {
    /// Runs a case; a panic is an outcome.
    pub(crate) fn run(driver: &Driver<H>, case: &Case, trace: bool) -> Outcome {
        let sim = Sim::with_bytes(case.seed, case.bytes.clone(), case.faults.clone());
        if trace {
            sim.start_trace();
        }
        let since = sim.now_micros();
        let mut counts = Outcome::default();
        let result = quietly(|| play(driver, case, &sim, &mut counts));
        counts.wrong = match result {
            Ok(result) => result.err(),
            Err(what) => Some(Wrong::Panicked(what)),
        };
        counts.trace = sim.take_trace();
        counts.digest = sim.digest();
        counts.time = Duration::from_micros(sim.now_micros() - since);
        counts
    }
}

fn play<H: Handler<Host>>(
    driver: &Driver<H>,
    case: &Case,
    sim: &Sim,
    counts: &mut Outcome,
) -> Result<(), Wrong> {
    let (mut slots, mut exts) = memory::<H>(driver.slots.max(1));
    let (mut peer_slots, mut peer_exts) = memory::<Crowd>(driver.slots + 64);
    let mut buffer = vec![0; driver.buffer.max(1)];
    let mut peer_buffer = vec![0; 2_048];
    let server = Loop::with_slices(sim.host(), &mut slots, &mut exts, &mut buffer)
        .expect("a place and a byte");
    let peers = Loop::with_slices(
        sim.host(),
        &mut peer_slots,
        &mut peer_exts,
        &mut peer_buffer,
    )
    .expect("places and bytes");
    let address = |host: usize| SocketAddr::new(sim.addresses(host)[0], PORT);
    let mut timed: Vec<_> = (driver.timed.iter())
        .map(|(at, step)| (sim.now_micros() + micros(*at), *step))
        .collect();
    timed.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let disturbed = case.steps.iter().chain(timed.iter().map(|(_, step)| step));
    // The numbers that steps name are the peers', whoever the handler connects to meanwhile.
    let named = disturbed.clone().filter_map(|step| step.line()).max();
    let mut crowd = Crowd::default();
    crowd
        .lines
        .resize_with(named.map_or(0, |line| line + 1), Line::default);
    let harmful = case.faults.is_harmful();
    let mut trial = Trial {
        driver,
        case,
        sim: sim.clone(),
        server,
        handler: driver.handler(),
        peers,
        crowd,
        places: Places::new(address(HANDLER), address(PEERS)),
        cut_until: None,
        broken: harmful || disturbed.into_iter().any(Step::disturbs),
        timed,
    };
    let result = trial.all();
    for line in &trial.crowd.lines {
        counts.opened += u64::from(line.id.is_some() || line.talk.closed.is_some());
        counts.said += line.talk.said.len() as u64;
        counts.heard += line.talk.heard.len() as u64;
    }
    result
}

impl<H: Handler<Host>> Trial<'_, '_, H> {
    /// From the start to the end.
    fn all(&mut self) -> Result<(), Wrong> {
        self.start()?;
        for step in &self.case.steps {
            self.step(*step);
            match step {
                Step::Wait(time) => self.drive(self.sim.now_micros() + micros(*time))?,
                _ => self.drive(self.sim.now_micros())?,
            }
        }
        // Everyone receives, and whatever was said is answered.
        for line in 0..self.crowd.lines.len() {
            self.step(Step::Resume { line });
        }
        self.drive_until_quiet()?;
        self.check(true)?;
        for line in 0..self.crowd.lines.len() {
            self.step(Step::Finish { line });
        }
        self.drive_until_quiet()?;
        if !self.driver.keeps_open && !self.broken {
            let mut lines = self.crowd.lines.iter();
            if let Some(line) = lines.position(|line| line.id.is_some() && line.peer.is_some()) {
                return Err(Wrong::KeepsOpen { line });
            }
        }
        for line in 0..self.crowd.lines.len() {
            self.step(Step::Reset { line });
        }
        self.drive_until_quiet()?;
        let connections = self.server.stats().open;
        if connections > 0 && !self.broken && !self.driver.keeps_open {
            return Err(Wrong::Leaked { connections });
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Wrong> {
        let upstream = Endpoint::tcp(self.places.upstream);
        let mut tries = 0..STARTS_MAX;
        while let Err(error) = self.peers.net().listen(upstream, UPSTREAM) {
            tries.next().ok_or(Wrong::Poll(error))?;
        }
        while let Err(error) = self.driver.start(&mut self.server.net(), self.places) {
            tries.next().ok_or(Wrong::Poll(error))?;
        }
        Ok(())
    }

    /// Does one step.
    fn step(&mut self, step: Step) {
        self.note(step);
        let crowd = &mut self.crowd;
        let mut net = self.peers.net();
        match step {
            Step::Open { line, peer } => {
                crowd.lines[line].peer = Some(peer);
                crowd.lines[line].input = input(&self.driver.peers[peer], self.case.seed, line);
                crowd.lines[line].id = None;
                if let Err(error) = net.connect(Endpoint::tcp(self.places.here), line) {
                    crowd.lines[line].talk.closed = Some(usockets::Closed::Failed(error));
                }
            }
            Step::Wait(_) => {}
            Step::Cut(time) => {
                self.sim.set_unplugged(PEERS, true);
                self.cut_until = Some(self.sim.now_micros() + micros(time));
            }
            Step::Stall(time) => self.sim.stall(HANDLER, time),
            Step::Jump(time) => self.sim.jump(HANDLER, time),
            Step::Say { .. }
            | Step::Pause { .. }
            | Step::Resume { .. }
            | Step::Finish { .. }
            | Step::Reset { .. } => crowd.act(&mut net, step),
        }
        self.sim.expect(PEERS, self.peers.next_deadline());
        self.sim.expect(HANDLER, self.server.next_deadline());
    }

    fn note(&self, step: Step) {
        let (what, a, b) = match step {
            Step::Open { line, peer } => ("step open", line as u64, peer as u64),
            Step::Say { line, bytes } => ("step say", line as u64, bytes as u64),
            Step::Pause { line } => ("step pause", line as u64, 0),
            Step::Resume { line } => ("step resume", line as u64, 0),
            Step::Finish { line } => ("step finish", line as u64, 0),
            Step::Reset { line } => ("step reset", line as u64, 0),
            Step::Wait(time) => ("step wait", micros(time), 0),
            Step::Cut(time) => ("step cut", micros(time), 0),
            Step::Stall(time) => ("step stall", micros(time), 0),
            Step::Jump(time) => ("step jump", micros(time), 0),
        };
        self.sim.note(what, a, b);
    }

    /// Lets everything come about until `until`, and then until nothing is to be done at the time.
    fn drive(&mut self, until: u64) -> Result<(), Wrong> {
        let mut seen = self.progress();
        let mut idle = 0;
        loop {
            while self.turn()? {
                idle = if self.progress() == seen { idle + 1 } else { 0 };
                seen = self.progress();
                if idle > IDLE_TURNS_MAX {
                    return Err(Wrong::Spins);
                }
            }
            idle = 0;
            if self.sim.now_micros() >= until {
                return self
                    .driver
                    .inspected(&self.handler)
                    .map_err(Wrong::Inspected);
            }
            self.pass(until);
        }
    }

    /// Lets everything come about until nothing did for as long as the driver is patient.
    fn drive_until_quiet(&mut self) -> Result<(), Wrong> {
        let patience = micros(self.driver.patience);
        let mut seen = self.progress();
        let mut since = self.sim.now_micros();
        let mut idle = 0;
        while idle < IDLE_TIMES_MAX {
            idle += 1;
            while let Some((at, _)) = self.timed.last().copied() {
                self.drive(at)?;
            }
            let until = since + patience;
            self.drive(self.sim.now_micros())?;
            if self.progress() != seen {
                seen = self.progress();
                since = self.sim.now_micros();
                idle = 0;
            } else if self.sim.now_micros() >= until {
                break;
            }
            self.check(false)?;
            self.pass(since + patience);
        }
        self.check(false)
    }

    /// Moves the time to the next thing, but not beyond `until`.
    fn pass(&mut self, until: u64) {
        let now = self.sim.now_micros();
        let steps = self.timed.last().map(|(at, _)| *at);
        let next = [Some(until), self.cut_until, steps];
        let next = next.into_iter().flatten().min().unwrap_or(until);
        self.sim
            .step(Duration::from_micros(next.saturating_sub(now)));
        let now = self.sim.now_micros();
        if self.cut_until.is_some_and(|at| at <= now) {
            self.cut_until = None;
            self.sim.set_unplugged(PEERS, false);
        }
        while let Some((_, step)) = self.timed.pop_if(|(at, _)| *at <= now) {
            self.step(step);
        }
    }

    /// Polls whoever is due; returns true if somebody was.
    fn turn(&mut self) -> Result<bool, Wrong> {
        let (server, peers) = (self.sim.is_due(HANDLER), self.sim.is_due(PEERS));
        if server {
            let result = self.server.poll(&mut self.handler, None);
            result.map_err(Wrong::Poll)?;
        }
        if peers {
            let result = self.peers.poll(&mut self.crowd, None);
            result.map_err(Wrong::Poll)?;
        }
        Ok(server || peers)
    }

    /// A number that changes whenever something comes about.
    fn progress(&self) -> u64 {
        let stats = self.server.stats();
        let sums = [stats.received, stats.sent, stats.accepted, stats.connected];
        let sum = sums.into_iter().fold(0, u64::wrapping_add);
        sum.wrapping_add(u64::from(stats.open))
            .wrapping_add(self.crowd.progress)
    }

    /// Checks every conversation; with `whole`, what is missing too.
    fn check(&mut self, whole: bool) -> Result<(), Wrong> {
        for (index, line) in self.crowd.lines.iter_mut().enumerate() {
            let Some(peer) = line.peer else { continue };
            let kind = &self.driver.peers[peer];
            let opened = line.id.is_some() || line.talk.closed.is_some();
            let talk = &mut line.talk;
            talk.is_whole = whole && opened && !self.broken && !line.reset;
            let wanting = talk.is_whole && kind.wants_something();
            kind.check(talk).map_err(|what| Wrong::Talk {
                line: index,
                peer,
                what,
            })?;
            let bytes = line.allowed - talk.said.len();
            if wanting && bytes > 0 && line.id.is_some() {
                return Err(Wrong::NeverRead { line: index, bytes });
            }
        }
        Ok(())
    }
}

/// The pool of a loop, on the heap.
#[expect(clippy::type_complexity, reason = "said once")]
fn memory<H: Handler<Host>>(
    count: usize,
) -> (
    Vec<Slot<<Host as Platform>::Socket, H::Context>>,
    Vec<Place<H::Ext>>,
) {
    let slots = (0..count).map(|_| Slot::free(<Host as Platform>::CLOSED));
    let places = (0..count).map(|_| Place::Vacant);
    (slots.collect(), places.collect())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4)
}

thread_local! {
    /// Whether a panic of this thread is an outcome, and not to be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f`; returns its panic's message if it does.
fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without words".into())
    })
}
