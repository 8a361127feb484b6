//! Test your protocol in ten minutes: a network of simulated hosts, drawn from one seed, and peers
//! to drive a handler against.
//!
//! A [`Driver`] runs your handler against [`Peer`]s on hundreds of networks that deliver bytes one
//! by one, late, in pieces, and that break. Whatever fails is made small and printed with its seed.
//!
//! ```
//! use usockets::{Buffer, Handler, Opened, Platform, Socket};
//! use usockets_sim::{Driver, Peer};
//!
//! /// Sends back what comes, and keeps what its peer does not take.
//! struct Echo;
//!
//! impl<P: Platform> Handler<P> for Echo {
//!     type Context = ();
//!     type Ext = Buffer<1024>;
//!
//!     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
//!         Buffer::EMPTY
//!     }
//!
//!     fn on_data(
//!         &mut self,
//!         socket: &mut Socket<'_, P, Self>,
//!         held: &mut Self::Ext,
//!         data: &mut [u8],
//!     ) {
//!         let sent = socket.write(data);
//!         if held.push(&data[sent..]) > 0 {
//!             socket.pause(); // Without this line, the driver finds lost bytes.
//!         }
//!     }
//!
//!     fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
//!         held.consume(socket.write(held.filled()));
//!         if held.is_empty() {
//!             socket.resume();
//!         }
//!     }
//! }
//!
//! # // Fewer seeds than by default: this is run with the other documentation.
//! Driver::listening(|| Echo, ())
//!     .peer(Peer::random(2_000).expects(<[u8]>::to_vec))
//!     .peer(Peer::random(2_000).slow().expects(<[u8]>::to_vec))
//!     .peer(Peer::given("half a request").resetting())
//! #   .seeds(0..40)
//!     .check();
//! ```
//!
//! # What is checked
//! - What a peer wants ([`Peer::expects`], [`Peer::http`], [`Peer::checked_by`]). What is missing
//!   counts once nothing can come any more. On networks that break connections, and after a cut or
//!   a jump of the clock, an answer may break off; it may never be wrong.
//! - Everything that a peer says is read, and a connection is closed after its peer's end
//!   ([`Driver::keeps_open`]).
//! - Nothing panics or spins. Limits count turns of which nothing comes, so that a network that
//!   delivers one byte at a time is no hang.
//! - Each seed runs twice, to the same end: a handler that asks a clock or a random number of its
//!   own is found.
//! - What you add, about the handler itself: [`Driver::inspect`].
//!
//! # When a seed fails
//! The message has the shortest script that still fails, in words, what happened, and the seed.
//! `SEED=17 cargo test` runs that one alone. [`Driver::run`] returns the [`Failure`] instead; its
//! [`Case`] can be changed, kept as a test, and replayed ([`Driver::replay`]). With
//! `CHARTS=folder`, [`Driver::check`] also leaves a page there that shows the run: a message
//! sequence chart of every call, report and byte ([`Failure::page`], [`message_chart`]).
//!
//! # Scenarios, fuzzers, clients
//! - "After 3 s, cut the link for 2 s": [`Driver::at`] with [`Step::Cut`]; also [`Step::Stall`] and
//!   [`Step::Jump`]. [`Driver::disturbed`] draws them.
//! - A fuzzer's bytes: [`Driver::from_bytes`], then [`Driver::run_case`].
//! - Handlers that connect: [`Driver::starting`], with an echo to connect to, [`Places::upstream`].
//! - Frames: with the feature `frames`, `OverFrames` runs a seed over a TCP stack in user space
//!   and leaves a file of what was on the wire for Wireshark and tcpdump (`examples/capture.rs`).
//! - No luck: with the feature `search`, the module of that name goes through every interleaving of
//!   a loop with a tiny pool, state by state.
//!
//! # Memory pressure
//! Half of the rough networks that are drawn have times in which a connection gets no memory for
//! its bytes, as where sockets share a pool and others have all of it: its sends take nothing, and
//! nothing arrives for it. After that its program is told that it can send, and what its peer has
//! sent comes. So a handler is found that relies on its first bytes being taken, and one that waits
//! for a peer which waits for it. [`Faults::pressure`] is the rate, in a network of your own too:
//!
//! ```
//! # use usockets::{Buffer, Handler, Opened, Platform, Socket};
//! use usockets_sim::{Driver, Faults, Peer};
//!
//! # struct Greeting;
//! # impl<P: Platform> Handler<P> for Greeting {
//! #     type Context = ();
//! #     type Ext = ();
//! #     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
//! /// Greets whoever connects, once.
//! let taken = socket.write(b"hello");
//! #         let _ = taken; // Nobody looks whether all was.
//! #     }
//! #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}
//! # }
//! let driver = Driver::listening(|| Greeting, ())
//!     .peer(Peer::given("").expects(|_| b"hello".to_vec()));
//! let lost = (0..100).find_map(|seed| {
//!     let mut case = driver.case(seed);
//!     case.faults = Faults { pressure: 1_000, ..Faults::none() };
//!     driver.run_case(&case).err()
//! });
//! println!("{}", lost.expect("a greeting that was not taken"));
//! ```
//!
//! # Below the driver
//! Every [`Host`] is a [`Platform`](usockets::Platform), so any handler runs on it unchanged. Time
//! is virtual, everything happens in one thread, and the same seed makes the same run to the last
//! bit. `examples/simulate_my_handler.rs` drives a [`Sim`] itself.
//!
//! What a host does is what the contract of `Platform` promises, and no more: a fact is reported
//! once after it becomes true, whatever the loop does with it; with [`Faults`] it may also come
//! late, more often, in pieces, or together with what is not true.
//!
//! # Where to look
//! `driver` (what is run), `peer` and `script` (what peers do), `crowd` (the handler that plays
//! them), `trial` (one run), `shrink`, `chart` (a run as a picture); below: `network` and `host`,
//! `end` and `stream`, `faults` and `pressure`; beside them, `frames`.

mod address;
mod bell;
mod calls;
mod chart;
mod crowd;
mod datagrams;
mod driver;
mod end;
mod failure;
mod faults;
#[cfg(feature = "frames")]
mod frames;
mod host;
mod http;
mod network;
mod peer;
mod pressure;
pub mod rng;
mod script;
#[cfg(feature = "search")]
pub mod search;
mod shrink;
mod stream;
mod trial;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use usockets::{Error, Instant};

pub use self::chart::{chart_page, message_chart};
pub use self::driver::{Driver, Places};
use self::end::Kind;
pub use self::failure::{Case, Failure, Report, Wrong};
pub use self::faults::Faults;
#[cfg(feature = "frames")]
pub use self::frames::{Capture, FrameHost, OverFrames};
pub use self::host::{Counts, Host, Line, ListenerCall, ListenerCallKind, SimSocket};
use self::network::Network;
pub use self::peer::{Peer, Talk};
pub use self::script::Step;
pub use self::trial::Outcome;

/// Virtual microseconds between two reports of a listener that is reported for as long as someone
/// waits: a loop that cannot be kept from polling at once would otherwise stop the time.
const REPEAT: u64 = 100;

/// A network of simulated hosts. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Sim {
    network: Rc<RefCell<Network>>,
}

impl Sim {
    /// Makes a network. The seed decides everything that `faults` leave to chance.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            network: Rc::new(RefCell::new(Network::new(seed, faults))),
        }
    }

    /// Makes a network whose first draws are decided by `bytes`, for fuzzers.
    #[must_use]
    pub fn with_bytes(seed: u64, bytes: Vec<u8>, faults: Faults) -> Self {
        let sim = Self::new(seed, faults);
        sim.network.borrow_mut().rng = crate::rng::Rng::with_bytes(seed, bytes);
        sim
    }

    /// Adds a host, with an IPv4 and an IPv6 address.
    #[must_use]
    pub fn host(&self) -> Host {
        self.add_host()
    }

    /// As [`Self::host`], as a layer is above another platform if `HOLDS`.
    #[must_use]
    pub fn add_host<const HOLDS: bool>(&self) -> Host<HOLDS> {
        let index = self.network.borrow_mut().add_host();
        Host::new(Rc::clone(&self.network), index)
    }

    /// Returns a host's addresses: IPv4, then IPv6.
    #[must_use]
    pub fn addresses(&self, host: usize) -> [IpAddr; 2] {
        let addresses = &self.network.borrow().hosts[host].addresses;
        [addresses[0], addresses[1]]
    }

    /// Returns the network's time in microseconds. A host's clock may be ahead of it.
    #[must_use]
    pub fn now_micros(&self) -> u64 {
        self.network.borrow().now
    }

    /// Returns whether the loop of a host has something to do: reports, a wake-up, or the time
    /// until which it wanted to wait has come. A host that was never polled has.
    #[must_use]
    pub fn is_due(&self, host: usize) -> bool {
        let network = self.network.borrow();
        let state = &network.hosts[host];
        if state.stalled_until > network.now {
            return false;
        }
        let over = |deadline: u64| deadline <= network.now.saturating_add(state.ahead);
        !state.polled
            || state.bell.is_rung()
            || !state.ready.is_empty()
            || !state.extra.is_empty()
            || state.deadline.is_some_and(over)
            || network.repeats_at(host).is_some_and(|at| at <= network.now)
    }

    /// Tells when the loop of a host next has something to do by itself:
    /// [`Loop::next_deadline`](usockets::Loop::next_deadline). Needed after a loop was used
    /// between its polls; otherwise the polls tell.
    pub fn expect(&self, host: usize, deadline: Option<Instant>) {
        let deadline = deadline.map(Instant::as_micros);
        self.network.borrow_mut().hosts[host].deadline = deadline;
    }

    /// Moves the time to the next thing that comes about, but by no more than `most`. Returns
    /// whether there was one; if not, the time has moved by `most`.
    ///
    /// Call it when no host is due. It may stop short of a host's deadline when something
    /// arrives before.
    pub fn step(&self, most: Duration) -> bool {
        let mut network = self.network.borrow_mut();
        let limit = network
            .now
            .saturating_add(u64::try_from(most.as_micros()).unwrap_or(u64::MAX));
        let next = network.next_time().filter(|next| *next <= limit);
        network.disturb();
        network.move_to(next.unwrap_or(limit));
        next.is_some()
    }

    /// Replaces the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.network.borrow_mut().faults = faults;
    }

    /// Returns the faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.network.borrow().faults.clone()
    }

    /// Uses a host's waker: its next poll calls `on_wake`.
    pub fn wake(&self, host: usize) {
        self.network.borrow().hosts[host].bell.0.wake();
    }

    /// Lets a host stand still: it is not due before `by` has passed.
    pub fn stall(&self, host: usize, by: Duration) {
        let mut network = self.network.borrow_mut();
        let until = network.now + by.as_micros() as u64;
        network.hosts[host].stalled_until = until;
    }

    /// Lets a host's clock jump forward.
    pub fn jump(&self, host: usize, by: Duration) {
        self.network.borrow_mut().hosts[host].ahead += by.as_micros() as u64;
    }

    /// Cuts a host off: nothing it sends arrives, nothing arrives at it. Or undoes that.
    pub fn set_unplugged(&self, host: usize, unplugged: bool) {
        let mut network = self.network.borrow_mut();
        network.hosts[host].unplugged = unplugged;
        let keys = network.ends.len() as u32;
        for key in 1..=keys {
            network.kick(key);
        }
    }

    /// Lets every poll of a host fail with `error` from now on, or none.
    pub fn set_broken(&self, host: usize, error: Option<Error>) {
        self.network.borrow_mut().hosts[host].broken = error;
    }

    /// Returns how many sockets a host has.
    #[must_use]
    pub fn descriptors(&self, host: usize) -> usize {
        self.network.borrow().hosts[host].descriptors
    }

    /// Returns whether everything that was handed over has arrived or was lost with its
    /// connection, and no socket is in use.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let mut network = self.network.borrow_mut();
        let no_listeners = network.listeners.is_empty();
        network.ends.iter_mut().all(Network::is_settled) && no_listeners
    }

    /// Returns whether everything that was handed over has arrived or was lost with its
    /// connection, and no connection is in use. Listeners may be.
    #[must_use]
    pub fn is_settled_but_listeners(&self) -> bool {
        let mut network = self.network.borrow_mut();
        network
            .ends
            .iter_mut()
            .all(|end| end.stream().is_none() || Network::is_settled(end))
    }

    /// Returns whether a connection waits to be accepted.
    #[must_use]
    pub fn has_waiting_connections(&self) -> bool {
        let network = self.network.borrow();
        network.listeners.iter().any(|key| {
            let end = &network.ends[*key as usize - 1];
            matches!(&end.kind, Kind::Listener(listener) if !listener.waiting.is_empty())
        })
    }

    /// Returns a number that tells apart runs in which anything at all went differently.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.network.borrow().digest
    }

    /// Notes something of the program's own in the digest and the trace.
    pub fn note(&self, what: &str, a: u64, b: u64) {
        self.network.borrow_mut().note(what, a, b);
    }

    /// Starts writing down what happens.
    pub fn start_trace(&self) {
        self.network.borrow_mut().trace = Some(Vec::new());
    }

    /// Returns what was written down, a line each.
    #[must_use]
    pub fn take_trace(&self) -> Vec<String> {
        self.network.borrow_mut().trace.take().unwrap_or_default()
    }
}

impl Network {
    /// When the next thing comes about: an event, a host's deadline, the end of a stall.
    fn next_time(&self) -> Option<u64> {
        let deadlines = self.hosts.iter().filter_map(|host| {
            let deadline = host.deadline?.saturating_sub(host.ahead);
            Some(deadline.max(host.stalled_until))
        });
        let stalls = self.hosts.iter().map(|host| host.stalled_until);
        let repeats = (0..self.hosts.len()).filter_map(|host| self.repeats_at(host));
        // A host that is due, and not polled all the same, does not hold up the others.
        deadlines
            .chain(stalls)
            .chain(repeats)
            .filter(|time| *time > self.now)
            .chain(self.next_event())
            .min()
            .map(|next| next.max(self.now))
    }

    /// Lets clocks jump and hosts stall.
    fn disturb(&mut self) {
        for host in 0..self.hosts.len() {
            if self.rng.chance(self.faults.clock_jump) {
                let jump = self.rng.pick(&[1, 1_000, 1_000_000, 3_600_000_000]);
                self.hosts[host].ahead += self.rng.between(1, jump);
                self.note("jump", host as u64, jump);
            }
            if self.rng.chance(self.faults.stall) {
                let micros = self.rng.below(5_000_000);
                self.hosts[host].stalled_until = self.now + micros;
                self.note("stall", host as u64, micros);
            }
        }
    }

    /// When listeners of a host are reported again, if they are for as long as someone waits.
    fn repeats_at(&self, host: usize) -> Option<u64> {
        let waits = self.faults.level_listeners
            && self.listeners.iter().any(|key| {
                let end = &self.ends[*key as usize - 1];
                end.host == host && end.facts().intersects(usockets::Readiness::READABLE)
            });
        waits.then(|| self.hosts[host].repeated_at + REPEAT)
    }
}
