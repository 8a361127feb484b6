//! Playing one case.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use usockets::{ListenerId, Loop, Sockets};

use super::app::App;
use super::books::{Books, State};
use super::bystander::{self, Bystander};
use super::case::Case;
use crate::rng::Rng;
use crate::sim::{Host, Sim};

/// Virtual time after which everything must have come to its end.
const END: Duration = Duration::from_secs(20_000);
/// Virtual microseconds that a full pool is waited for.
const PATIENCE: u64 = 500_000_000;
/// Steps of the network after which nothing can go on for so long without being stuck.
const END_STEPS: u64 = 400_000;

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first thing that was wrong, if any.
    pub wrong: Option<String>,
    /// Tells apart runs in which anything went differently.
    pub digest: u64,
    /// What happened, if it was to be written down.
    pub trace: Vec<String>,
    /// Connections that opened.
    pub opened: u64,
    /// Bytes that were received.
    pub received: u64,
}

/// A pool of one of several sizes.
#[expect(
    clippy::large_enum_variant,
    reason = "one of each world, and it is on the heap"
)]
enum Pool<const HOLDS: bool> {
    Tiny(Sockets<Host<HOLDS>, App, 2>),
    Small(Sockets<Host<HOLDS>, App, 5>),
    Usual(Sockets<Host<HOLDS>, App, 16>),
}

struct Node<'s, const HOLDS: bool> {
    lp: Loop<'s, Host<HOLDS>, App>,
    app: App,
}

/// Everyone on the network.
struct World<'s, const HOLDS: bool> {
    sim: Sim,
    nodes: Vec<Node<'s, HOLDS>>,
    bystander: Option<Bystander<'s, HOLDS>>,
    seed: u64,
}

/// Plays a case. With `trace`, writes down what happens.
#[must_use]
pub fn run(case: &Case, trace: bool) -> Outcome {
    if case.holds {
        run_on::<true>(case, trace)
    } else {
        run_on::<false>(case, trace)
    }
}

fn run_on<const HOLDS: bool>(case: &Case, trace: bool) -> Outcome {
    let (for_sim, for_app) = case.bytes.split_at(case.bytes.len() / 2);
    let sim = Sim::with_bytes(case.seed, for_sim.to_vec(), case.faults.clone());
    if trace {
        sim.start_trace();
    }
    let rng = &mut Rng::with_bytes(case.seed ^ 0x617_070, for_app.to_vec());
    let count = rng.between(1, 3) as usize;
    let mut pools: Vec<(Pool<HOLDS>, usize)> = (0..count).map(|_| pool(rng)).collect();
    let mut memory: Vec<(Vec<u8>, Vec<u8>)> = (0..count).map(|_| buffers(rng)).collect();
    let tokens = Arc::new(());
    let mut nodes = Vec::new();
    for ((pool, capacity), (buffer, cork)) in pools.iter_mut().zip(&mut memory) {
        let host = sim.add_host::<HOLDS>();
        let index = host.index();
        let lp = match pool {
            Pool::Tiny(sockets) => Loop::with_buffer(host, sockets, buffer),
            Pool::Small(sockets) => Loop::with_buffer(host, sockets, buffer),
            Pool::Usual(sockets) => Loop::with_buffer(host, sockets, buffer),
        }
        .expect("a buffer");
        let books = Books {
            host: index,
            capacity: *capacity,
            ..Books::default()
        };
        nodes.push(Node {
            lp: lp.with_cork(cork),
            app: App {
                sim: sim.clone(),
                rng: Rng::new(rng.next()),
                books,
                tokens: Arc::clone(&tokens),
                eager: rng.pick(&[500, 3_000, 9_000]),
            },
        });
    }
    let (mut pool, buffer) = (bystander::Pool::default(), &mut [0; 100]);
    let joins = case.seed % 4 == 3;
    let bystander = joins.then(|| Bystander::new(&sim, &mut pool, buffer));
    let mut world = World {
        sim: sim.clone(),
        nodes,
        bystander,
        seed: case.seed,
    };
    world.tell_addresses();
    let mut wrong = world.play(rng, case.steps).or_else(|| world.wind_up());
    if wrong.is_none() && Arc::strong_count(&tokens) != 1 + count {
        wrong = Some("data of a socket that closed was kept".into());
    }
    let stats = world.nodes.iter().map(|node| node.lp.stats());
    let (opened, received) = stats.fold((0, 0), |(opened, received), stats| {
        (
            opened + stats.accepted + stats.connected,
            received + stats.received,
        )
    });
    Outcome {
        wrong,
        digest: sim.digest(),
        trace: sim.take_trace(),
        opened,
        received,
    }
}

fn pool<const HOLDS: bool>(rng: &mut Rng) -> (Pool<HOLDS>, usize) {
    match rng.below(4) {
        0 => (Pool::Tiny(Sockets::new()), 2),
        1 => (Pool::Small(Sockets::new()), 5),
        _ => (Pool::Usual(Sockets::new()), 16),
    }
}

fn buffers(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let buffer = rng.pick(&[1, 7, 100, 4_096]);
    let cork = rng.pick(&[0, 1, 50, 2_000]);
    (vec![0; buffer], vec![0; cork])
}

impl<const HOLDS: bool> World<'_, HOLDS> {
    /// Lets every program know where all may listen.
    fn tell_addresses(&mut self) {
        let hosts = 0..self.nodes.len();
        let mut all: Vec<_> = hosts
            .flat_map(|host| (1_000..1_003).map(move |port| (host, port)))
            .map(|(host, port)| SocketAddr::new(self.sim.addresses(host)[0], port))
            .collect();
        if let Some(bystander) = &mut self.bystander {
            all.push(bystander.meet(&self.sim, &all));
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.app.books.addrs = all.clone();
            node.app.books.variety.own = Some(self.sim.addresses(index)[0]);
            let mut rng = node.app.rng.clone();
            node.app.books.listen(&mut node.lp.net(), &mut rng);
        }
    }

    /// Lets the programs do what they like. Returns what was wrong.
    fn play(&mut self, rng: &mut Rng, steps: u64) -> Option<String> {
        for _ in 0..steps {
            let index = rng.index(self.nodes.len());
            let node = &mut self.nodes[index];
            match rng.below(16) {
                0..=2 => node.app.books.act(&mut node.lp.net(), rng, None),
                3 if rng.chance(2_000) => {
                    self.sim.wake(index);
                    node.app.books.woken = true;
                }
                _ => {
                    let most = rng.pick(&[1_000, 1_000_000, 3_600_000_000]);
                    self.turn(Duration::from_micros(most));
                }
            }
            if let Some(wrong) = self.first_wrong() {
                return Some(wrong);
            }
        }
        None
    }

    /// Polls who is due or, if nobody is, lets the time go on by at most this.
    fn turn(&mut self, most: Duration) {
        let mut idle = true;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            self.sim.expect(index, node.lp.next_deadline());
            if self.sim.is_due(index) {
                idle = false;
                poll(node);
            }
        }
        if let Some(bystander) = &mut self.bystander {
            match bystander.turn(&self.sim) {
                Ok(turned) => idle &= !turned,
                Err(wrong) => self.nodes[0].app.books.wrong(wrong),
            }
        }
        if idle {
            self.sim.step(most);
        }
    }

    fn first_wrong(&mut self) -> Option<String> {
        self.nodes
            .iter_mut()
            .find_map(|node| node.app.books.wrong.take())
    }

    /// Whether a connection is left.
    fn is_busy(&self) -> bool {
        let busy = |node: &Node<'_, HOLDS>| {
            !node.app.books.conns.is_empty() || node.lp.platform().hidden() > 0
        };
        self.nodes.iter().any(busy) || self.bystander.as_ref().is_some_and(Bystander::is_busy)
    }

    /// Brings everything to its end, without further faults: every connection must close, every
    /// slot come back, every byte arrive.
    fn wind_up(&mut self) -> Option<String> {
        self.sim.set_faults(self.sim.faults().without_harm());
        self.find_sound();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.app.books.draining = true;
            node.app.books.drains = ((self.seed >> 3) + index as u64).is_multiple_of(2);
            node.app.books.wind_up(&mut node.lp.net());
        }
        if let Some(bystander) = &mut self.bystander {
            bystander.wind_up();
        }
        let end = self.sim.now_micros() + END.as_micros() as u64;
        let mut patience = self.sim.now_micros() + PATIENCE;
        for _ in 0..END_STEPS {
            let waiting = self.sim.has_waiting_connections();
            if !self.is_busy() && !waiting && self.sim.is_settled_but_listeners() {
                return self.account();
            }
            if self.sim.now_micros() >= end {
                break;
            }
            self.turn(Duration::from_secs(100));
            if self.sim.now_micros() >= patience {
                patience += PATIENCE;
                self.give_way();
            }
            if let Some(wrong) = self.first_wrong() {
                return Some(wrong);
            }
        }
        let left = self.nodes.iter().flat_map(|node| {
            let host = node.app.books.host;
            let conns = node.app.books.conns.iter();
            conns.map(move |(id, conn)| format!("host {host} {id:?} {conn:?}"))
        });
        let left: Vec<_> = left.collect();
        let waiting = self.sim.has_waiting_connections();
        Some(format!(
            "not everything came to its end (waiting: {waiting}): {left:#?}"
        ))
    }

    /// Notes which connections are open at both ends, and unharmed: they end in order, whoever ends
    /// them. (Whoever evicts may end any.)
    fn find_sound(&mut self) {
        if self.nodes.iter().any(|node| node.app.books.evicts) {
            return;
        }
        let mut ends = HashMap::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            for (id, conn) in &node.app.books.conns {
                let line = node.lp.platform_mut().line(*id);
                let sound = conn.state == State::Open && line.is_some_and(|it| it.error.is_none());
                if let Some((serial, _)) = conn.key.filter(|_| sound) {
                    ends.entry(serial)
                        .or_insert_with(Vec::new)
                        .push((index, *id));
                }
            }
        }
        for (index, id) in ends.into_values().filter(|it| it.len() == 2).flatten() {
            self.nodes[index].app.books.sound.insert(id);
        }
    }

    /// Ends what can wait for ever although nothing is wrong: connections that fill a pool and
    /// whose other ends wait for a slot of the same pool, or of another such.
    fn give_way(&mut self) {
        for node in &mut self.nodes {
            let books = &mut node.app.books;
            if books.in_use() + node.lp.platform().hidden() < books.capacity {
                continue;
            }
            for listener in std::mem::take(&mut books.listeners).into_keys() {
                node.lp.net().stop_listening(listener);
            }
        }
    }

    /// Compares both ends of every connection, then gives back the listeners' slots.
    fn account(&mut self) -> Option<String> {
        for node in &self.nodes {
            for ((serial, client), fate) in &node.app.books.fates {
                let other = self
                    .nodes
                    .iter()
                    .find_map(|node| node.app.books.fates.get(&(*serial, !client)));
                let Some(other) = other.filter(|other| other.in_order && fate.in_order) else {
                    continue;
                };
                if other.received != fate.sent {
                    let (sent, received) = (fate.sent, other.received);
                    return Some(format!(
                        "connection {serial}: {received} of {sent} bytes arrived"
                    ));
                }
            }
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            for listener in std::mem::take(&mut node.app.books.listeners).into_keys() {
                node.lp.net().stop_listening(listener);
            }
            poll(node);
            let in_use = node.lp.stats().in_use;
            if in_use != 0 || self.sim.descriptors(index) != 0 {
                return Some(format!("host {index}: {in_use} slots did not come back"));
            }
            if let Some(wrong) = fill(&self.sim, node) {
                return Some(wrong);
            }
        }
        let ended = self.bystander.as_mut().map(|other| other.end(&self.sim));
        ended.and_then(Result::err).or_else(|| self.first_wrong())
    }
}

/// Runs one iteration, and compares what can be seen from outside.
fn poll<const HOLDS: bool>(node: &mut Node<'_, HOLDS>) {
    node.app.books.least_free = usize::MAX;
    node.app.books.note_free();
    let result = node.lp.poll(&mut node.app, None);
    let stats = node.lp.stats();
    if node.app.books.drains {
        // The loop stops them.
        let mut net = node.lp.net();
        let mut listens = |listener: &ListenerId| net.listening_addr(*listener).is_some();
        node.app
            .books
            .listeners
            .retain(|listener, _| listens(listener));
    }
    let calls = node.lp.platform_mut().take_listener_calls();
    let books = &mut node.app.books;
    books.note_listeners(&calls, None);
    // What slots a layer has taken is not known.
    let free = if HOLDS { 0 } else { books.least_free };
    let passed_over = books.turns.end_iteration(free);
    if let Some(wrong) = passed_over.filter(|_| !books.draining) {
        books.wrong(wrong);
    }
    // Others that wait are ahead of whoever is turned away; of what a layer does by itself the
    // program is not told.
    let turned_away = stats.refused + stats.evicted;
    let (free, ahead) = (books.least_free, books.listeners.len().saturating_sub(1));
    let is_full = HOLDS || free <= ahead;
    let is_new = turned_away > std::mem::replace(&mut books.turned_away, turned_away);
    books.check(is_full || !is_new, || {
        format!("somebody was turned away although {free} slots were free")
    });
    books.check(result.is_ok(), || format!("poll failed: {result:?}"));
    // Of what a layer does by itself the program is not told.
    let hidden = node.lp.platform().hidden();
    let (open, in_use) = (books.open_count(), books.in_use() + hidden);
    books.check(stats.open as usize == open, || {
        format!("{} are open, the model has {open}", stats.open)
    });
    books.check(stats.breaches == 0, || {
        format!("the simulator broke its contract {} times", stats.breaches)
    });
    books.check(stats.in_use as usize == in_use, || {
        format!("{} slots are in use, the model has {in_use}", stats.in_use)
    });
    let capacity = books.capacity;
    books.check(in_use <= capacity, || {
        format!("{in_use} slots of {capacity}")
    });
    let neglected = node.lp.platform().neglected();
    books.check(neglected == 0, || {
        format!("{neglected} connections kept their slots for too long")
    });
    let asleep = !std::mem::take(&mut books.woken);
    books.check(asleep, || "a wake-up was lost".into());
}

/// Every slot can be used again.
fn fill<const HOLDS: bool>(sim: &Sim, node: &mut Node<'_, HOLDS>) -> Option<String> {
    let mut timers = Vec::new();
    let hour = Duration::from_secs(3_600);
    while let Ok(timer) = node.lp.net().start_timer(hour, hour) {
        timers.push(timer);
    }
    let (count, capacity) = (timers.len(), node.app.books.capacity);
    for timer in timers {
        node.lp.net().stop_timer(timer);
    }
    sim.note("slots", count as u64, capacity as u64);
    (count != capacity).then(|| format!("only {count} of {capacity} slots came back"))
}
