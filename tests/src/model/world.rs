//! Playing one case.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use usockets::{Loop, Sockets};

use super::app::App;
use super::books::Books;
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
            Pool::Tiny(sockets) => Loop::new(host, sockets, buffer),
            Pool::Small(sockets) => Loop::new(host, sockets, buffer),
            Pool::Usual(sockets) => Loop::new(host, sockets, buffer),
        };
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
    tell_addresses(&sim, &mut nodes);
    let mut wrong = play(&sim, &mut nodes, rng, case.steps);
    if wrong.is_none() {
        wrong = wind_up(&sim, &mut nodes);
    }
    if wrong.is_none() && Arc::strong_count(&tokens) != 1 + count {
        wrong = Some("data of a socket that closed was kept".into());
    }
    let stats = nodes.iter().map(|node| node.lp.stats());
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

/// Lets every program know where all may listen.
fn tell_addresses<const HOLDS: bool>(sim: &Sim, nodes: &mut [Node<'_, HOLDS>]) {
    let hosts = 0..nodes.len();
    let all: Vec<_> = hosts
        .flat_map(|host| (1_000..1_003).map(move |port| (host, port)))
        .map(|(host, port)| SocketAddr::new(sim.addresses(host)[0], port))
        .collect();
    for node in nodes {
        node.app.books.addrs = all.clone();
        let mut rng = node.app.rng.clone();
        node.app.books.listen(&mut node.lp.net(), &mut rng);
    }
}

/// Lets the programs do what they like. Returns what was wrong.
fn play<const HOLDS: bool>(
    sim: &Sim,
    nodes: &mut [Node<'_, HOLDS>],
    rng: &mut Rng,
    steps: u64,
) -> Option<String> {
    for _ in 0..steps {
        let index = rng.index(nodes.len());
        let node = &mut nodes[index];
        match rng.below(16) {
            0..=2 => node.app.books.act(&mut node.lp.net(), rng, None),
            3 if rng.chance(2_000) => {
                sim.wake(index);
                node.app.books.woken = true;
            }
            _ => {
                let most = rng.pick(&[1_000, 1_000_000, 3_600_000_000]);
                turn(sim, nodes, Duration::from_micros(most));
            }
        }
        if let Some(wrong) = first_wrong(nodes) {
            return Some(wrong);
        }
    }
    None
}

/// Polls who is due or, if nobody is, lets the time go on by at
/// most this.
fn turn<const HOLDS: bool>(sim: &Sim, nodes: &mut [Node<'_, HOLDS>], most: Duration) {
    let mut idle = true;
    for (index, node) in nodes.iter_mut().enumerate() {
        sim.expect(index, node.lp.next_deadline());
        if sim.is_due(index) {
            idle = false;
            poll(node);
        }
    }
    if idle {
        sim.step(most);
    }
}

/// Runs one iteration, and compares what can be seen from outside.
fn poll<const HOLDS: bool>(node: &mut Node<'_, HOLDS>) {
    let result = node.lp.poll(&mut node.app, None);
    let stats = node.lp.stats();
    let books = &mut node.app.books;
    books.check(result.is_ok(), || format!("poll failed: {result:?}"));
    let (open, in_use) = (books.open_count(), books.in_use());
    books.check(stats.open as usize == open, || {
        format!("{} are open, the model has {open}", stats.open)
    });
    books.check(stats.in_use as usize == in_use, || {
        format!("{} slots are in use, the model has {in_use}", stats.in_use)
    });
    let capacity = books.capacity;
    books.check(in_use <= capacity, || {
        format!("{in_use} slots of {capacity}")
    });
    let asleep = !std::mem::take(&mut books.woken);
    books.check(asleep, || "a wake-up was lost".into());
}

fn first_wrong<const HOLDS: bool>(nodes: &mut [Node<'_, HOLDS>]) -> Option<String> {
    nodes
        .iter_mut()
        .find_map(|node| node.app.books.wrong.take())
}

/// Brings everything to its end, without further faults: every connection must close, every slot
/// come back, every byte arrive.
fn wind_up<const HOLDS: bool>(sim: &Sim, nodes: &mut [Node<'_, HOLDS>]) -> Option<String> {
    sim.set_faults(sim.faults().without_harm());
    for node in &mut *nodes {
        node.app.books.draining = true;
        node.app.books.wind_up(&mut node.lp.net());
    }
    let end = sim.now_micros() + END.as_micros() as u64;
    let mut patience = sim.now_micros() + PATIENCE;
    for _ in 0..END_STEPS {
        let busy = nodes.iter().any(|node| !node.app.books.conns.is_empty());
        let waiting = sim.has_waiting_connections();
        if !busy && !waiting && sim.is_settled_but_listeners() {
            return account(sim, nodes);
        }
        if sim.now_micros() >= end {
            break;
        }
        turn(sim, nodes, Duration::from_secs(100));
        if sim.now_micros() >= patience {
            patience += PATIENCE;
            give_way(nodes);
        }
        if let Some(wrong) = first_wrong(nodes) {
            return Some(wrong);
        }
    }
    let left = nodes.iter().flat_map(|node| {
        let host = node.app.books.host;
        let conns = node.app.books.conns.iter();
        conns.map(move |(id, conn)| format!("host {host} {id:?} {conn:?}"))
    });
    let left: Vec<_> = left.collect();
    let waiting = sim.has_waiting_connections();
    Some(format!(
        "not everything came to its end (waiting: {waiting}): {left:#?}"
    ))
}

/// Ends what can wait for ever although nothing is wrong: connections that fill a pool and whose
/// other ends wait for a slot of the same pool, or of another such.
fn give_way<const HOLDS: bool>(nodes: &mut [Node<'_, HOLDS>]) {
    for node in nodes {
        let books = &mut node.app.books;
        if books.in_use() < books.capacity {
            continue;
        }
        for listener in std::mem::take(&mut books.listeners).into_keys() {
            node.lp.net().stop_listening(listener);
        }
    }
}

/// Compares both ends of every connection, then gives back the listeners' slots.
fn account<const HOLDS: bool>(sim: &Sim, nodes: &mut [Node<'_, HOLDS>]) -> Option<String> {
    for node in &*nodes {
        for ((serial, client), fate) in &node.app.books.fates {
            let other = nodes
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
    for (index, node) in nodes.iter_mut().enumerate() {
        for listener in std::mem::take(&mut node.app.books.listeners).into_keys() {
            node.lp.net().stop_listening(listener);
        }
        poll(node);
        let in_use = node.lp.stats().in_use;
        if in_use != 0 || sim.descriptors(index) != 0 {
            return Some(format!("host {index}: {in_use} slots did not come back"));
        }
        if let Some(wrong) = fill(sim, node) {
            return Some(wrong);
        }
    }
    first_wrong(nodes)
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
