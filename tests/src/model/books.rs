//! What the model knows of one loop.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use usockets::{ListenerId, SocketId, TimerId, WhenFull};

use super::turns::Turns;
use super::variety::Variety;
use crate::rng::mix;
use crate::sim::ListenerCall;

/// Where a connection stands, as far as the program can know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Connecting,
    Open,
    /// Closed by the program with this code; `on_close` is to come.
    Closing(u16),
}

/// One connection of one loop.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) state: State,
    pub(super) context: u8,
    /// Number of the connection and whether we connected: what the bytes are made of.
    pub(super) key: Option<(u64, bool)>,
    /// Bytes that were taken of us.
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) finished: bool,
    pub(super) ended: bool,
    pub(super) paused: bool,
    /// A write came back short: `on_writable` or `on_close` is owed.
    pub(super) blocked: bool,
    /// It had the cork: what that could not send is held up without a short write, and
    /// `on_writable` may come all the same.
    pub(super) corked: bool,
    /// When a timeout is due, by the host's clock.
    pub(super) deadline: Option<u64>,
    /// Calls of `on_data` in this iteration.
    pub(super) reads: u32,
}

impl Conn {
    pub(super) const fn new(state: State, context: u8) -> Self {
        Self {
            state,
            context,
            key: None,
            sent: 0,
            received: 0,
            finished: false,
            ended: false,
            paused: false,
            blocked: false,
            corked: false,
            deadline: None,
            reads: 0,
        }
    }

    /// Whether both directions ended, so that the loop closes it by itself.
    pub(super) const fn is_over(&self) -> bool {
        self.ended && self.finished
    }
}

/// A listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening {
    pub(super) context: u8,
    pub(super) policy: WhenFull,
}

/// A timer: when it is due, and its period in microseconds, 0 for once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) due: u64,
    pub(super) period: u64,
}

/// How one end of a connection fared, for the final account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Whether it closed with both directions ended.
    pub(super) in_order: bool,
}

/// Everything the model knows of one loop.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) host: usize,
    pub(super) capacity: usize,
    // Ordered, so that choosing among them repeats.
    pub(super) conns: BTreeMap<SocketId, Conn>,
    pub(super) listeners: BTreeMap<ListenerId, Listening>,
    pub(super) timers: BTreeMap<TimerId, Timing>,
    /// Names that were used and are not any more.
    pub(super) dead: Vec<SocketId>,
    pub(super) used: HashSet<SocketId>,
    /// Contexts of listeners that existed; connections that they took may still open.
    pub(super) contexts: HashSet<u8>,
    /// Whether a listener that evicts ever existed.
    pub(super) evicts: bool,
    pub(super) fates: HashMap<(u64, bool), Fate>,
    /// Where anyone listens, of all hosts.
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) variety: Variety,
    pub(super) woken: bool,
    pub(super) draining: bool,
    /// Whether it is the loop that drains, and not the program that ends what it has.
    pub(super) drains: bool,
    /// Connections that nothing has harmed when everything is brought to its end, at either end.
    pub(super) sound: HashSet<SocketId>,
    /// What the program connected, and so ends by itself, while the loop drains.
    pub(super) connected: HashSet<SocketId>,
    /// Who was told that the loop drains.
    pub(super) told_to_drain: HashSet<SocketId>,
    /// The fewest slots that were free in this iteration.
    pub(super) least_free: usize,
    /// Whose turn it is to get a slot.
    pub(super) turns: Turns,
    /// Connections refused and evicted until now.
    pub(super) turned_away: u64,
    /// The first thing that was wrong.
    pub(super) wrong: Option<String>,
}

impl Books {
    /// Notes what is wrong, if it is the first.
    pub(super) fn wrong(&mut self, what: String) {
        let host = self.host;
        self.wrong
            .get_or_insert_with(|| format!("host {host}: {what}"));
    }

    /// Fails unless `holds`.
    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong(what());
        }
    }

    /// Forgets a connection whose last call has come, or that closed before it opened.
    pub(super) fn bury(&mut self, id: SocketId) -> Option<Conn> {
        self.dead.push(id);
        if self.dead.len() > 30 {
            self.dead.remove(0);
        }
        self.conns.remove(&id)
    }

    /// Notes a new name; whether it is new.
    pub(super) fn name(&mut self, id: SocketId) {
        let fresh = self.used.insert(id);
        self.check(fresh, || format!("the name {id:?} was used before"));
    }

    /// The connections that are open for the program.
    pub(super) fn open_count(&self) -> usize {
        let open = |conn: &&Conn| conn.state == State::Open;
        self.conns.values().filter(open).count()
    }

    /// Notes how many slots are free.
    pub(super) fn note_free(&mut self) {
        let free = self.capacity.saturating_sub(self.in_use());
        self.least_free = self.least_free.min(free);
    }

    /// Compares what the loop asked of its listeners with whose turn it was. With `free`, the last
    /// is the call that led here, and so many slots were free before it.
    pub(super) fn note_listeners(&mut self, calls: &[ListenerCall], free: Option<usize>) {
        if self.draining {
            return;
        }
        for (left, call) in (0..calls.len()).rev().zip(calls) {
            let known = |(id, _): &(&ListenerId, &Listening)| SocketId::from(**id) == call.listener;
            let Some((_, listening)) = self.listeners.iter().find(known) else {
                self.turns.forget(call.listener);
                continue;
            };
            let free = free.filter(|_| left == 0);
            if let Some(wrong) = self.turns.note(*call, listening.policy, free) {
                self.wrong(wrong);
            }
        }
    }

    /// The slots in use.
    pub(super) fn in_use(&self) -> usize {
        self.conns.len() + self.listeners.len() + self.timers.len()
    }
}

/// The byte at `offset` of one direction of a connection.
pub(super) fn byte(serial: u64, client: bool, offset: u64) -> u8 {
    // A word per eight bytes, so that no stretch repeats and a byte is cheap.
    let word = mix(serial << 1 ^ u64::from(client) ^ (offset >> 3) << 20);
    word.to_le_bytes()[(offset & 7) as usize]
}

/// The bytes from `offset` on.
pub(super) fn bytes(key: (u64, bool), offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64)
        .map(|at| byte(key.0, key.1, at))
        .collect()
}
