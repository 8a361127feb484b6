//! Drives a handler against peers, seed by seed.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use usockets::{Endpoint, Error, Handler, Net};

use crate::failure::{Failure, Report};
use crate::host::Host;
use crate::peer::Peer;
use crate::rng::Rng;
use crate::script::{Plan, Step};
use crate::shrink::shrink;
use crate::trial::{Outcome, Trial};
use crate::{Case, Faults};

/// Where a handler listens and what it may connect to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Places {
    /// Where the peers connect to: the handler's own host.
    pub here: SocketAddr,
    /// Where a peer accepts connections and sends back what it receives, for handlers that connect.
    pub upstream: SocketAddr,
}

type Make<H> = Arc<dyn Fn() -> H + Send + Sync>;
type Start<C> = Arc<dyn Fn(&mut Net<'_, Host, C>, Places) -> Result<(), Error> + Send + Sync>;
type Inspect<H> = Arc<dyn Fn(&H) -> Result<(), String> + Send + Sync>;

/// Drives a handler against peers on many simulated networks, and makes what fails small.
///
/// Each seed decides a network, what the peers do when, and in which pieces everything comes. It is
/// run twice, which must not differ. A run fails if the handler panics, if it spins, if a peer
/// misses what it wants, or if a connection is left open when its peer has ended.
///
/// # Example
/// See the [front page](crate).
pub struct Driver<H: Handler<Host>> {
    make: Make<H>,
    start: Start<H::Context>,
    inspect: Option<Inspect<H>>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) timed: Vec<(Duration, Step)>,
    seeds: Range<u64>,
    lines_max: usize,
    wait_max: Duration,
    pub(crate) patience: Duration,
    pub(crate) slots: usize,
    pub(crate) buffer: usize,
    pub(crate) keeps_open: bool,
    disturbs: bool,
    hostile: bool,
    threads: usize,
}

impl<H: Handler<Host>> Driver<H> {
    /// Makes a driver of a server: each run's handler is made by `make`, and listens with
    /// `context`.
    #[must_use]
    pub fn listening(make: impl Fn() -> H + Send + Sync + 'static, context: H::Context) -> Self
    where
        H::Context: Sync + 'static,
    {
        Self::starting(make, move |net, places| {
            net.listen(Endpoint::tcp(places.here), context).map(drop)
        })
    }

    /// As [`Self::listening`], where `start` listens and connects as the program would. It is
    /// called again if the network makes it fail.
    #[must_use]
    pub fn starting(
        make: impl Fn() -> H + Send + Sync + 'static,
        start: impl Fn(&mut Net<'_, Host, H::Context>, Places) -> Result<(), Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            start: Arc::new(start),
            inspect: None,
            peers: Vec::new(),
            timed: Vec::new(),
            seeds: 0..200,
            lines_max: 3,
            wait_max: Duration::from_secs(1),
            patience: Duration::from_secs(120),
            slots: 32,
            buffer: 1_024,
            keeps_open: false,
            disturbs: false,
            hostile: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Adds a kind of peer. Which of them connects when, the seed decides.
    #[must_use]
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// Sets which seeds are run: 0 to 199 by default. `SEED` in the environment replaces them.
    #[must_use]
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Does `step` in each run so long after its start, besides the steps of the seed: "after 3 s,
    /// cut the link for 2 s" is `at(3 s, Step::Cut(2 s))`. A run goes on until all are done.
    #[must_use]
    pub fn at(mut self, time: Duration, step: Step) -> Self {
        self.timed.push((time, step));
        self
    }

    /// Has the handler inspected whenever nothing more is to be done at the time.
    #[must_use]
    pub fn inspect(
        mut self,
        inspect: impl Fn(&H) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.inspect = Some(Arc::new(inspect));
        self
    }

    /// Sets how many connections a run's peers make at most, 3 by default.
    #[must_use]
    pub const fn lines(mut self, most: usize) -> Self {
        self.lines_max = most;
        self
    }

    /// Sets how long slow and silent peers wait at most, 1 s by default. Shorter than the handler's
    /// own timeouts, or else it is right to close what is waited for.
    #[must_use]
    pub const fn waits(mut self, most: Duration) -> Self {
        self.wait_max = most;
        self
    }

    /// Sets how long nothing may come about before what is missing is missing for ever: 120 s of
    /// virtual time by default.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the loop's memory: slots of the pool (32 by default) and bytes of the receive buffer
    /// (1,024).
    #[must_use]
    pub const fn memory(mut self, slots: usize, buffer: usize) -> Self {
        self.slots = slots;
        self.buffer = buffer;
        self
    }

    /// Allows a handler to keep a connection open whose peer has ended.
    #[must_use]
    pub const fn keeps_open(mut self) -> Self {
        self.keeps_open = true;
        self
    }

    /// Lets the link be cut, the host stand still and its clock jump. What peers want may then
    /// break off.
    #[must_use]
    pub const fn disturbed(mut self) -> Self {
        self.disturbs = true;
        self
    }

    /// Leaves out networks that break connections.
    #[must_use]
    pub const fn harmless(mut self) -> Self {
        self.hostile = false;
        self
    }

    /// Sets how many threads run seeds, as many as there are processors by default.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Returns what a seed decides.
    #[must_use]
    pub fn case(&self, seed: u64) -> Case {
        self.draw(seed, &mut Rng::new(seed), Vec::new())
    }

    /// Returns what a fuzzer's bytes decide: the first half the steps, the second the network.
    #[must_use]
    pub fn from_bytes(&self, bytes: &[u8]) -> Case {
        let (head, bytes) = bytes.split_at(bytes.len().min(2));
        let seed = head.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (script, network) = bytes.split_at(bytes.len() / 2);
        let rng = &mut Rng::with_bytes(seed, script.to_vec());
        self.draw(seed, rng, network.to_vec())
    }

    fn draw(&self, seed: u64, rng: &mut Rng, bytes: Vec<u8>) -> Case {
        let faults = match seed % 4 {
            0 => Faults::none(),
            3 if self.hostile => Faults::hostile(seed),
            _ => Faults::rough(seed),
        };
        let plan = Plan {
            peers: &self.peers,
            lines_max: self.lines_max,
            wait_max: self.wait_max,
            disturbs: self.disturbs,
        };
        let steps = plan.draw(seed, rng);
        Case {
            seed,
            faults,
            steps,
            bytes,
        }
    }

    /// Runs one case and returns everything that happened, and what was wrong, if anything.
    #[must_use]
    pub fn replay(&self, case: &Case) -> Outcome {
        Trial::run(self, case, true)
    }

    /// Runs one case twice; what was wrong, made small.
    ///
    /// # Errors
    /// The run failed, or the two differ.
    pub fn run_case(&self, case: &Case) -> Result<Outcome, Box<Failure>> {
        let outcome = Trial::run(self, case, false);
        let again = Trial::run(self, case, false);
        if outcome.wrong.is_some() || outcome.digest != again.digest {
            return Err(Box::new(shrink(self, case, outcome)));
        }
        Ok(outcome)
    }

    /// Runs the seeds, several at once, each twice.
    ///
    /// # Errors
    /// The failure of the first seed that was found to fail.
    ///
    /// # Panics
    /// `SEED` in the environment is no number.
    pub fn run(&self) -> Result<Report, Box<Failure>> {
        let seeds = match std::env::var("SEED") {
            Ok(text) => {
                let seed: u64 = text.parse().expect("SEED is a number");
                seed..seed + 1
            }
            Err(_) => self.seeds.clone(),
        };
        let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
        let found = Mutex::new((Report::default(), None::<Box<Failure>>));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return;
                        }
                        let result = self.run_case(&self.case(seed));
                        let mut found = found.lock().expect("no thread panics with it");
                        match result {
                            Ok(outcome) => found.0.add(&outcome),
                            Err(failure) => {
                                stop.store(true, Ordering::Relaxed);
                                let first = found.1.as_ref().is_none_or(|one| one.seed() > seed);
                                if first {
                                    found.1 = Some(failure);
                                }
                            }
                        }
                    }
                });
            }
        });
        match found.into_inner().expect("no thread panics with it") {
            (report, None) => Ok(report),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// Runs the seeds, for a test.
    ///
    /// # Panics
    /// A seed fails: with its shortest script, and how to see it again. With `CHARTS` in the
    /// environment, a page that shows it is left in the folder of that name
    /// ([`Failure::page`]).
    pub fn check(&self) -> Report {
        match self.run() {
            Ok(report) => report,
            Err(failure) => {
                if let Some(folder) = std::env::var_os("CHARTS") {
                    let file = format!("seed-{}.html", failure.seed());
                    let path = Path::new(&folder).join(file);
                    let written = fs::write(&path, failure.page());
                    println!("{}: {written:?}", path.display());
                }
                panic!("{failure}")
            }
        }
    }

    pub(crate) fn handler(&self) -> H {
        (self.make)()
    }

    pub(crate) fn start(
        &self,
        net: &mut Net<'_, Host, H::Context>,
        places: Places,
    ) -> Result<(), Error> {
        (self.start)(net, places)
    }

    pub(crate) fn inspected(&self, handler: &H) -> Result<(), String> {
        self.inspect
            .as_ref()
            .map_or(Ok(()), |inspect| inspect(handler))
    }
}

impl Places {
    pub(crate) const fn new(here: SocketAddr, upstream: SocketAddr) -> Self {
        Self { here, upstream }
    }
}

impl<H: Handler<Host>> fmt::Debug for Driver<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("peers", &self.peers)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}
