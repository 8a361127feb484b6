//! What lies between the hosts: time, and what is under way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;

use usockets::{Error, Readiness, Ready, SocketId};

use crate::bell::Bell;
use crate::datagrams::Datagram;
use crate::end::{End, Kind, Opening, Stream};
use crate::faults::Faults;
use crate::host::{Counts, ListenerCall};
use crate::pressure;
use crate::rng::{Rng, mix};

/// Time between two attempts to reach a listener whose backlog is full.
const SYN_RETRY: u64 = 1_000_000;
/// Attempts before a connect times out by itself.
const SYN_RETRIES_MAX: u8 = 60;

/// Something that comes about later.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Event {
    /// A connect reaches the other host.
    Syn { client: u32, attempt: u8 },
    /// The answer reaches the client.
    Opened { client: u32 },
    /// The refusal reaches the client.
    Failed { client: u32, error: u8 },
    /// Bytes, or the end, of this sender reach the other end.
    Arrival { from: u32 },
    /// A reset reaches this end.
    Reset { to: u32 },
    /// A report that was held up.
    Report { key: u32, id: u64, bits: u32 },
    /// Room to send is told of.
    Room { key: u32 },
    /// A layer is not busy with it any more.
    Done { key: u32 },
    /// A datagram of this sender reaches its hosts.
    Mail { from: u32, index: u32 },
    /// The network has taken bytes of this datagram socket.
    MailSent { key: u32, bytes: u32 },
    /// What can be read is told of, although it did not change.
    Retell { key: u32 },
    /// There is memory again for the bytes of a connection.
    Memory { key: u32 },
}

/// What a connect may be answered with, by [`Event::Failed`]'s number.
pub(super) const CONNECT_ERRORS: [Error; 5] = [
    Error::Refused,
    Error::Unreachable,
    Error::TimedOut,
    Error::Reset,
    Error::Platform(71),
];

/// One host's own state.
#[derive(Debug, Default)]
pub(super) struct HostState {
    pub(super) addresses: Vec<IpAddr>,
    /// How far its clock is ahead of the network's.
    pub(super) ahead: u64,
    /// It does nothing before this time.
    pub(super) stalled_until: u64,
    /// Keys with facts to report.
    pub(super) ready: VecDeque<u32>,
    /// Reports of names that are held no more, and invented ones.
    pub(super) extra: VecDeque<Ready>,
    /// What the present poll hands out.
    pub(super) batch: VecDeque<Ready>,
    /// Until when the last poll wanted to wait, by the host's clock.
    pub(super) deadline: Option<u64>,
    pub(super) polled: bool,
    pub(super) bell: Bell,
    pub(super) port: u16,
    pub(super) descriptors: usize,
    /// Packets to and from it are lost.
    pub(super) unplugged: bool,
    pub(super) counts: Counts,
    /// When its listeners were last reported for as long as someone waits.
    pub(super) repeated_at: u64,
    pub(super) broken: Option<Error>,
    /// Connections that a layer has and the program does not know of, or not any more.
    pub(super) hidden: usize,
    /// Connections whose layer was done, and was not asked for long.
    pub(super) neglected: usize,
    /// What the loop asked of its listeners, if somebody wants to know.
    pub(super) listener_calls: Option<Vec<ListenerCall>>,
}

/// The whole network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) pressure_rng: Rng,
    pub(super) faults: Faults,
    pub(super) hosts: Vec<HostState>,
    /// By key - 1; a key is not used twice.
    pub(super) ends: Vec<End>,
    /// Keys of connections by host and name.
    pub(super) names: HashMap<(usize, SocketId), u32>,
    /// Keys of what listens.
    pub(super) listeners: Vec<u32>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    pub(super) serials: u64,
    /// Datagrams under way, by number.
    pub(super) mail_under_way: Vec<Option<Datagram>>,
    pub(super) digest: u64,
    pub(super) trace: Option<Vec<String>>,
}

impl Network {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            // Hosts have been up for a while: a deadline of 0 is always over.
            now: 1_000_000 + mix(seed) % 5_000,
            rng: Rng::new(seed),
            pressure_rng: pressure::generator(seed),
            faults,
            hosts: Vec::new(),
            ends: Vec::new(),
            names: HashMap::new(),
            listeners: Vec::new(),
            events: BinaryHeap::new(),
            order: 0,
            serials: 0,
            mail_under_way: Vec::new(),
            digest: seed,
            trace: None,
        }
    }

    /// Notes what happened, for comparing two runs and for reading one.
    pub(super) fn note(&mut self, what: &str, a: u64, b: u64) {
        let name = what.bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        self.digest = mix(self.digest ^ mix(name ^ mix(a ^ mix(b ^ self.now))));
        if self.trace.is_none() {
            return;
        }
        let is_step = what.starts_with("step ") || what == "jump" || what == "stall";
        let key = u32::try_from(a).ok().filter(|_| !is_step);
        let host = key.and_then(|key| self.end(key)).map(|end| end.host);
        let host = host.map_or(String::new(), |host| format!("host {host}: "));
        let line = format!("{:>12} µs  {host}{what} {a} {b}", self.now);
        self.trace.get_or_insert_default().push(line);
    }

    pub(super) fn end(&mut self, key: u32) -> Option<&mut End> {
        self.ends.get_mut((key as usize).checked_sub(1)?)
    }

    pub(super) fn stream(&mut self, key: u32) -> Option<&mut Stream> {
        self.end(key)?.stream()
    }

    /// Adds an end and returns its key.
    pub(super) fn add(&mut self, end: End) -> u32 {
        self.ends.push(end);
        self.ends.len() as u32
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    pub(super) fn latency(&mut self) -> u64 {
        self.rng
            .between(self.faults.latency_min, self.faults.latency_max)
    }

    /// When something sent by this end arrives: after everything it sent before.
    pub(super) fn arrival(&mut self, from: u32) -> u64 {
        let at = self.now + self.latency();
        let Some(stream) = self.stream(from) else {
            return at;
        };
        stream.last_arrival = stream.last_arrival.max(at);
        stream.last_arrival
    }

    /// The time of the next event.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves the time to `to`, which is not earlier, and lets come about what is due.
    pub(super) fn move_to(&mut self, to: u64) {
        self.now = self.now.max(to);
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > self.now {
                return;
            }
            self.events.pop();
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Syn { client, attempt } => self.syn(client, attempt),
            Event::Opened { client } => self.opened(client),
            Event::Failed { client, error } => {
                let error = CONNECT_ERRORS[usize::from(error)];
                self.break_end(client, error);
            }
            Event::Arrival { from } => self.arrive(from),
            Event::Reset { to } => self.break_end(to, Error::Reset),
            Event::Report { key, id, bits } => self.late_report(key, id, bits),
            Event::Room { key } => self.tell_room(key),
            Event::Done { key } => self.mark(key, Readiness::WRITABLE),
            Event::Retell { key } => self.retell(key),
            Event::Memory { key } => self.end_pressure(key),
            Event::Mail { from, index } => self.deliver(from, index),
            Event::MailSent { key, bytes } => self.mail_sent(key, bytes),
        }
    }

    /// Reports everything that can be read once more: a receive denied it.
    fn retell(&mut self, key: u32) {
        let Some(end) = self.end(key).filter(|end| end.held) else {
            return;
        };
        let facts = end.facts();
        let last = Readiness::ENDED.union(Readiness::ERROR);
        let both = Readiness::READABLE.union(Readiness::ENDED);
        if facts.intersects(Readiness::ERROR) {
            self.mark(key, both.union(Readiness::ERROR));
        } else if facts.intersects(last) {
            self.mark(key, both);
        } else if facts.intersects(Readiness::READABLE) {
            self.mark(key, Readiness::READABLE);
        }
    }

    fn late_report(&mut self, key: u32, id: u64, bits: u32) {
        let readiness = Readiness::from_bits(bits);
        let Some(end) = self.end(key) else { return };
        if end.held {
            return self.queue(key, readiness);
        }
        // Its name is stale by now, which must do no harm.
        let host = end.host;
        if let Some(id) = SocketId::from_bits(id) {
            self.hosts[host].extra.push_back(Ready { id, readiness });
        }
    }

    /// Reports a fact that became true, now or a little later.
    pub(super) fn mark(&mut self, key: u32, readiness: Readiness) {
        let repeated = self.rng.chance(self.faults.repeated);
        let Some(end) = self.end(key) else { return };
        let Some(id) = end.id.filter(|_| end.held) else {
            return;
        };
        if end.listener().is_some_and(|listener| !listener.accepting) {
            return;
        }
        let latched = end.told && readiness == Readiness::READABLE;
        if latched && !repeated {
            return;
        }
        // Whatever ends the stream is read as well.
        end.told |= readiness != Readiness::WRITABLE;
        if self.rng.chance(self.faults.late_report) {
            let at = self.now + self.rng.below(5_000);
            let (id, bits) = (id.to_bits(), crate::host::bits(readiness));
            return self.schedule(at, Event::Report { key, id, bits });
        }
        self.queue(key, readiness);
    }

    pub(super) fn queue(&mut self, key: u32, readiness: Readiness) {
        let Some(end) = self.end(key) else { return };
        end.pending = end.pending.union(readiness);
        let host = end.host;
        if !end.queued {
            end.queued = true;
            self.hosts[host].ready.push_back(key);
        }
    }

    /// Tells a sender that there is room again, if it waits for it.
    pub(super) fn tell_room(&mut self, key: u32) {
        if self.is_under_pressure(key) {
            return;
        }
        let Some(stream) = self.stream(key) else {
            return self.tell_mail_room(key);
        };
        if stream.blocked && (stream.room() > 0 || stream.error.is_some()) {
            stream.blocked = false;
            self.mark(key, Readiness::WRITABLE);
        }
    }

    /// A connect reaches the other host.
    fn syn(&mut self, client: u32, attempt: u8) {
        let Some(end) = self.end(client).filter(|end| end.held) else {
            return;
        };
        let (from, local) = (end.host, end.local);
        let Some(stream) = end.stream() else { return };
        let remote = stream.remote;
        let Some(to) = self.host_at(from, remote.ip()) else {
            return self.fail(client, 1);
        };
        if self.hosts[to].unplugged || self.hosts[from].unplugged {
            return;
        }
        let Some(key) = self.listener_at(to, remote) else {
            return self.fail(client, 0);
        };
        let (sndbuf, rcvbuf, full) = match self.end(key).and_then(End::listener) {
            Some(listener) => (
                listener.send_buffer,
                listener.recv_buffer,
                listener.waiting.len() >= listener.backlog,
            ),
            None => return,
        };
        if full {
            return match attempt {
                SYN_RETRIES_MAX => self.fail(client, 2),
                _ => {
                    let attempt = attempt + 1;
                    self.schedule(self.now + SYN_RETRY, Event::Syn { client, attempt });
                }
            };
        }
        let serial = self.stream(client).map_or(0, |stream| stream.serial);
        let mut stream = Stream::new(local, serial, rcvbuf, sndbuf);
        stream.opening = Opening::Open;
        stream.peer = client;
        let server = self.add(End::new(to, remote, Kind::Stream(stream)));
        if let Some(stream) = self.stream(client) {
            stream.peer = server;
        }
        if let Some(listener) = self.end(key).and_then(End::listener) {
            listener.waiting.push_back(server);
        }
        self.note("waiting", u64::from(key), u64::from(server));
        self.mark(key, Readiness::READABLE);
        let at = self.arrival(server);
        self.schedule(at, Event::Opened { client });
    }

    /// Answers a connect with a failure.
    fn fail(&mut self, client: u32, error: u8) {
        let at = self.now + self.latency();
        self.schedule(at, Event::Failed { client, error });
    }

    fn opened(&mut self, client: u32) {
        let Some(end) = self.end(client) else { return };
        let held = end.held;
        let Some(stream) = end.stream() else { return };
        let server = stream.peer;
        if !held {
            // The program gave up: the other side learns it.
            let at = self.arrival(client);
            return self.schedule(at, Event::Reset { to: server });
        }
        if stream.error.is_none() {
            stream.opening = Opening::Open;
            self.note("opened", u64::from(client), u64::from(server));
            self.mark(client, Readiness::WRITABLE);
        }
    }
}
