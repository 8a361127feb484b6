//! The layer of TLS in a loop with a tiny pool, with one or two peers that shake hands, speak, end
//! and break off, searched through all that can happen: records that come in pieces, memory that is
//! leased to one while another waits, peers that take nothing, and a clock that moves on. The peers
//! are clients, or servers that the program calls; they are asked for a second hello, or ask for
//! one; they resume by a ticket. With cryptography that only adds up.
//!
//! `SEARCH=large` searches more, for `.ci/soak`; `CASE=alone` one configuration.

mod peer;
mod program;
mod wire;

use std::env::var;
use std::hash::Hash;
use std::time::Instant;

use usockets::tls::{
    ClientConfig, Config, ExchangePlace, Identity, ParkingPlace, ServerConfig, Session, TicketKeys,
    Tls, TlsMemory, TlsSocket,
};
use usockets::{Error, Loop, Place, Platform, Slot};
use usockets_sim::search::{Choices, Coverage, Explorer, Fingerprint, Found, Searched, calm_down};
use usockets_tests_tls::{Authority, Kind, Null, NullKey, is_large, make_ticket};

use self::peer::Peer;
use self::program::{Echo, Talk};
use self::wire::{Key, Stage, Wire};

/// The most steps of a way.
const DEPTH_MAX: usize = 500;
/// How often everything is carried on until all must be over.
const ROUNDS_MAX: usize = 60;

/// Everything that bounds a search.
#[derive(Clone, Copy, Debug)]
struct Rules {
    peers: usize,
    /// Bytes that each peer says, one at a time.
    says: u8,
    /// Handshakes, inputs and outputs that the layer has, each.
    leases: usize,
    /// Places to park.
    parking: usize,
    /// Bytes that a peer leaves room for.
    room: usize,
    /// The platform below can be looked into.
    peeks: bool,
    /// How often a peer breaks off, the clock moves on, and the program closes by itself.
    resets: u8,
    times: u8,
    closes: u8,
    /// A peer ends of itself.
    ends: bool,
    /// The peers are servers, which the program calls.
    calls: bool,
    /// Servers ask for a second hello.
    retries: bool,
    /// Clients have a ticket.
    resumes: bool,
}

const ALONE: Rules = Rules {
    peers: 1,
    says: 1,
    leases: 1,
    parking: 0,
    room: 700,
    peeks: false,
    resets: 0,
    times: 0,
    closes: 0,
    ends: true,
    calls: false,
    retries: false,
    resumes: false,
};

type Layer<const P256: bool> = Tls<'static, Wire, Null<P256>>;

/// One state, with the cryptography of the layer and of its peers.
struct World<const OURS: bool, const THEIRS: bool> {
    lp: Loop<'static, Layer<OURS>, Echo>,
    echo: Echo,
    config: &'static Config<'static>,
    peers: Vec<Peer<THEIRS>>,
    choices: Choices,
    rules: Rules,
    resets: u8,
    times: u8,
    closes: u8,
    /// A lease may have ended because time went by.
    recalls: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll,
    /// A peer connects, or the program to it.
    Connect(usize),
    /// A peer that was called answers.
    Answer(usize),
    /// So many bytes of what a peer has sent come.
    Come(usize, usize),
    /// The end of what a peer has sent comes.
    EndComes(usize),
    /// A peer takes what was sent to it.
    Take(usize),
    Say(usize),
    End(usize),
    Reset(usize),
    /// The clock moves to the loop's next deadline.
    Time,
    /// The program closes all that is open.
    CloseAll,
}

/// Makes a layer's memory, for ever: its length is part of its type.
fn layer<const P256: bool>(rules: Rules, wire: Wire, setting: &Setting) -> Layer<P256> {
    let config = match rules.calls {
        // Nothing is kept for clients of its own.
        true => Box::leak(Box::new(Config::client(setting.config.client))),
        false => setting.config,
    };
    let crypto = Null::default();
    let layer = match rules.leases {
        1 => Tls::new(wire, crypto, config, memory::<1, P256>()),
        _ => Tls::new(wire, crypto, config, memory::<2, P256>()),
    };
    let places = (0..rules.parking).map(|_| ParkingPlace::EMPTY);
    let others = (0..rules.parking).map(|_| ExchangePlace::EMPTY);
    layer
        .with_parking(places.collect::<Vec<_>>().leak())
        .with_exchange_parking(others.collect::<Vec<_>>().leak())
        .with_sessions(setting.sessions.clone().leak())
}

fn memory<const N: usize, const P256: bool>() -> &'static mut TlsMemory<Null<P256>, 3, N, N, N> {
    Box::leak(Box::new(TlsMemory::NEW))
}

impl<const OURS: bool, const THEIRS: bool> World<OURS, THEIRS> {
    fn new(rules: Rules, setting: &Setting, choices: &Choices) -> Self {
        let wire = Wire::new(choices, rules.room, rules.peeks);
        let closed = || Slot::free(<Layer<OURS> as Platform>::CLOSED);
        let slots: Vec<Slot<TlsSocket<Key>, ()>> = (0..=rules.peers).map(|_| closed()).collect();
        let exts: Vec<Place<Talk>> = (0..=rules.peers).map(|_| Place::Vacant).collect();
        let platform = layer(rules, wire, setting);
        let lp = Loop::with_slices(platform, slots.leak(), exts.leak(), vec![0; 4].leak());
        let mut lp = lp.expect("memory of some size");
        if !rules.calls {
            lp.net().listen(Wire::endpoint(), ()).expect("a listener");
        }
        let (config, crypto) = (setting.config, Null::default());
        let peer = || match rules.calls {
            true => Peer::server(crypto.clone(), rules.says),
            false => Peer::client(crypto.clone(), config, setting.sessions.clone(), rules.says),
        };
        Self {
            lp,
            echo: Echo::default(),
            config,
            peers: (0..rules.peers).map(|_| peer()).collect(),
            choices: choices.clone(),
            rules,
            resets: rules.resets,
            times: rules.times,
            closes: rules.closes,
            recalls: false,
        }
    }

    fn wire(&self) -> &Wire {
        self.lp.platform().inner()
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.lp.platform_mut().inner_mut()
    }

    /// Returns what can happen to a peer.
    fn steps_of(&self, number: usize, steps: &mut Vec<Step>) {
        let (line, peer) = (&self.wire().lines[number], &self.peers[number]);
        if line.stage == Stage::Unused {
            if number == 0 || self.wire().lines[number - 1].stage != Stage::Unused {
                steps.push(Step::Connect(number));
            }
            return;
        }
        if !line.outgoing.is_empty() || (line.finished && !peer.finished && peer.failed.is_none()) {
            steps.push(Step::Take(number));
        }
        if line.reset || line.stage == Stage::Gone {
            return;
        }
        if self.resets > 0 {
            steps.push(Step::Reset(number));
        }
        if line.opening {
            steps.push(Step::Answer(number));
            return;
        }
        let pieces = peer.pieces().into_iter();
        steps.extend(pieces.map(|len| Step::Come(number, len)));
        if peer.ended && peer.wire.is_empty() && !peer.end_came {
            steps.push(Step::EndComes(number));
        }
        if peer.opened && !peer.ended && peer.failed.is_none() {
            if peer.left > 0 {
                steps.push(Step::Say(number));
            }
            steps.push(Step::End(number));
        }
    }

    /// Returns what can happen now. That the loop runs comes first.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Poll];
        for number in 0..self.rules.peers {
            self.steps_of(number, &mut steps);
        }
        if !self.rules.ends {
            steps.retain(|step| !matches!(step, Step::End(_)));
        }
        if self.times > 0 && self.next_time().is_some() {
            steps.push(Step::Time);
        }
        let stats = self.lp.stats();
        let can_close = stats.open > 0 || (self.rules.calls && stats.in_use > 0);
        if self.closes > 0 && can_close {
            steps.push(Step::CloseAll);
        }
        steps
    }

    /// Returns when the loop next has something to do by itself, if not now.
    fn next_time(&self) -> Option<u64> {
        let at = self.lp.next_deadline()?.as_micros();
        (at > self.wire().now).then_some(at)
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        self.choices.note(|| format!("{step:?}"));
        match step {
            Step::Poll => self.poll(),
            Step::Connect(_) if self.rules.calls => return self.call(),
            Step::Connect(number) => self.wire_mut().ask(number),
            Step::Answer(number) => self.wire_mut().answer(number),
            Step::Come(number, len) => {
                let piece = self.peers[number].send(len);
                self.wire_mut().come(number, &piece);
            }
            Step::EndComes(number) => {
                self.peers[number].end_came = true;
                self.wire_mut().end(number);
            }
            Step::Take(number) => return self.hear(number),
            Step::Say(number) => return self.peers[number].say(number),
            Step::End(number) => return self.peers[number].end(),
            Step::Reset(number) => {
                self.resets -= 1;
                self.peers[number].wire.clear();
                self.wire_mut().reset(number);
            }
            Step::Time => {
                self.times -= 1;
                self.recalls = true;
                let at = self.next_time().unwrap_or_default();
                self.wire_mut().now = at;
            }
            Step::CloseAll => {
                self.closes -= 1;
                for id in &self.echo.ids {
                    self.lp.net().close(*id);
                }
            }
        }
        Ok(())
    }

    /// The program calls a peer, if there is memory for it.
    fn call(&mut self) -> Result<(), String> {
        let is_free = self.lp.platform().leased() == 0;
        match self.lp.net().connect(Wire::peer(), ()) {
            Ok(id) => self.echo.ids.push(id),
            Err(Error::Exhausted) if !is_free => {}
            Err(error) => return Err(format!("a call fails: {error}")),
        }
        Ok(())
    }

    /// A peer takes what was sent to it, and the end of it.
    fn hear(&mut self, number: usize) -> Result<(), String> {
        let bytes = self.wire_mut().take(number);
        let peer = &mut self.peers[number];
        peer.hear(number, self.config, &bytes)?;
        let line = &self.lp.platform().inner().lines[number];
        if line.finished && !peer.finished {
            let is_known = self.recalls || line.aborted || line.reset || peer.failed.is_some();
            peer.finished = true;
            if !is_known {
                return Err(format!("{number} is cut off"));
            }
        }
        Ok(())
    }

    fn poll(&mut self) {
        let polled = self.lp.poll(&mut self.echo, Some(usockets::Instant::ZERO));
        assert_eq!(polled, Ok(()), "the network does not fail");
    }

    /// Checks what must hold in every state.
    fn check(&self) -> Result<(), String> {
        let wrong = self.echo.wrong.or(self.wire().wrong);
        if let Some(wrong) = wrong {
            return Err(wrong.into());
        }
        let breaches = self.lp.stats().breaches + self.lp.platform().breaches();
        if breaches > 0 {
            return Err("the contract is broken".into());
        }
        let failed = self.peers.iter().find_map(|peer| peer.failed);
        if let (Some(alert), false) = (failed, self.recalls) {
            return Err(format!("an honest peer is refused: {alert}"));
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        let now = self.wire().now;
        let next = self.lp.next_deadline();
        next.is_none_or(|at| at.as_micros() > now) && !self.wire().is_pending()
    }

    /// Runs the loop until it is quiet.
    fn calm_down(&mut self) -> Result<(), String> {
        calm_down(|| {
            self.poll();
            self.check()?;
            Ok(self.is_quiet())
        })
    }

    /// Checks what has become of a peer when everything is over.
    fn check_end(&self, number: usize) -> Result<(), String> {
        let (line, peer) = (&self.wire().lines[number], &self.peers[number]);
        if line.stage != Stage::Gone {
            return Err(format!("{number} comes to no end: {:?}", line.stage));
        }
        let is_cut = self.recalls || line.reset || self.closes < self.rules.closes;
        if !is_cut && (!peer.finished || peer.heard != peer.said) {
            let (heard, told) = (peer.heard, self.echo.told);
            return Err(format!(
                "{number} has heard {heard} bytes, closed: {told:?}"
            ));
        }
        // Who is called second may find the ticket offered already.
        let has_ticket = self.rules.resumes && (!self.rules.calls || self.rules.peers == 1);
        if peer.opened && (peer.is_resumed() != has_ticket) && (has_ticket || !self.rules.resumes) {
            return Err(format!("{number} is resumed: {}", peer.is_resumed()));
        }
        Ok(())
    }

    /// Everybody takes, sends, says and ends all that there is.
    fn carry_on(&mut self) -> Result<(), String> {
        for number in 0..self.rules.peers {
            let mut steps = Vec::new();
            self.steps_of(number, &mut steps);
            let all = self.peers[number].wire.len();
            steps.retain(|step| match step {
                Step::Come(_, len) => *len == all,
                Step::End(_) => {
                    let peer = &self.peers[number];
                    peer.left == 0 && peer.heard == peer.said
                }
                Step::Reset(_) => false,
                _ => true,
            });
            for step in steps {
                self.take(step)?;
                self.calm_down()?;
            }
        }
        self.check()
    }
}

impl<const OURS: bool, const THEIRS: bool> Searched for World<OURS, THEIRS> {
    fn copy_from(&mut self, other: &Self) {
        self.lp.copy_from(&other.lp).expect("pools of one length");
        self.echo.clone_from(&other.echo);
        for (peer, from) in self.peers.iter_mut().zip(&other.peers) {
            peer.copy_from(from);
        }
        (self.resets, self.times) = (other.resets, other.times);
        (self.closes, self.recalls) = (other.closes, other.recalls);
    }

    fn step(&mut self) -> Result<bool, String> {
        let steps = self.steps();
        self.take(steps[self.choices.pick(steps.len())])?;
        self.check()?;
        Ok(true)
    }

    fn fingerprint(&self, into: &mut Fingerprint) {
        self.lp.fingerprint(into);
        (self.echo.opened, self.echo.closed).hash(into);
        self.peers.hash(into);
        (self.resets, self.times, self.closes, self.recalls).hash(into);
    }

    /// Everything goes on until all have said and heard what they would, and are gone.
    fn finish(&mut self) -> Result<(), String> {
        self.calm_down()?;
        for _ in 0..ROUNDS_MAX {
            self.carry_on()?;
            let is_over = |line: &wire::Line| line.stage == Stage::Gone && line.outgoing.is_empty();
            let lines = &self.wire().lines[..self.rules.peers];
            if lines.iter().all(is_over) {
                break;
            }
            if let (true, Some(at)) = (self.recalls, self.next_time()) {
                self.wire_mut().now = at;
                self.calm_down()?;
            }
        }
        for number in 0..self.rules.peers {
            self.check_end(number)?;
        }
        let stats = self.lp.stats();
        let listeners = u32::from(!self.rules.calls);
        if (stats.in_use, stats.open) != (listeners, 0) {
            return Err(format!("{} slots are kept", stats.in_use));
        }
        match self.lp.platform().leased() {
            0 => Ok(()),
            leased => Err(format!("{leased} leases are kept")),
        }
    }
}
/// What every state of a search has to do with, for ever.
struct Setting {
    config: &'static Config<'static>,
    /// A client's tickets.
    sessions: Vec<Session>,
}

impl Setting {
    fn new(rules: Rules) -> Self {
        let authority = Authority::new(Kind::Ed25519);
        let roots = authority.anchors().leak();
        let leaf = Box::leak(Box::new(authority.issue(Kind::Ed25519, &["localhost"])));
        let slices = leaf.slices().leak();
        let identities = vec![Identity::new(slices, &NullKey)].leak();
        let mut server = ServerConfig::new(identities);
        if rules.resumes {
            server = server.tickets(Box::leak(Box::new(TicketKeys::new([4; 32], 1_000))));
        }
        let config = &*Box::leak(Box::new(Config::new(server, ClientConfig::new(roots))));
        let sessions = match rules.resumes {
            true => make_ticket(config, Null::new(), Null::new()),
            false => Vec::new(),
        };
        Self { config, sessions }
    }
}

fn search(rules: Rules) -> Result<Coverage, Box<Found>> {
    match (rules.retries, rules.calls) {
        (false, _) => search_with::<false, false>(rules),
        (true, false) => search_with::<true, false>(rules),
        (true, true) => search_with::<false, true>(rules),
    }
}

/// Searches with servers that know one group only, which is not the one that clients guess, or with
/// any.
fn search_with<const OURS: bool, const THEIRS: bool>(rules: Rules) -> Result<Coverage, Box<Found>> {
    let setting = Setting::new(rules);
    let choices = Choices::default();
    let mut way: Vec<_> = (0..DEPTH_MAX)
        .map(|_| World::<OURS, THEIRS>::new(rules, &setting, &choices))
        .collect();
    let most = var("STATES").map_or(u64::MAX, |most| most.parse().expect("a number"));
    Explorer::new(&mut way, &choices).at_most(most).run()
}

/// Two peers, and memory for one handshake, record and answer at a time.
const TWO: Rules = Rules { peers: 2, ..ALONE };

/// A configuration.
struct Case {
    name: &'static str,
    /// In each run and in soak.
    rules: [Rules; 2],
    /// How many states it has at least.
    least: [u64; 2],
}

impl Case {
    const fn new(name: &'static str, small: (Rules, u64), large: (Rules, u64)) -> Self {
        Self {
            name,
            rules: [small.0, large.0],
            least: [small.1, large.1],
        }
    }
}

const TIMED: Rules = Rules { times: 1, ..TWO };
const PARKED: Rules = Rules { parking: 1, ..TWO };
const NARROW: Rules = Rules { room: 300, ..TWO };
const PEEKED: Rules = Rules {
    leases: 2,
    peeks: true,
    ..PARKED
};
const RESET: Rules = Rules {
    resets: 1,
    ..PARKED
};
const CLOSING: Rules = Rules {
    closes: 1,
    ..PARKED
};

/// The same without what is said.
const fn silent(rules: Rules) -> Rules {
    Rules {
        says: 0,
        ends: false,
        ..rules
    }
}

const ALONE_TIMED: Rules = Rules { times: 2, ..ALONE };
const ALONE_LONG: Rules = Rules {
    times: 6,
    says: 8,
    resets: 1,
    closes: 2,
    parking: 1,
    ..ALONE
};

/// Peers that the program calls, both at once.
const CALLED: Rules = Rules {
    calls: true,
    leases: 2,
    ..TWO
};
const CALLED_RETRIED: Rules = Rules {
    retries: true,
    ..CALLED
};
const CALLED_RESUMED: Rules = Rules {
    resumes: true,
    ..CALLED
};
const RETRIED: Rules = Rules {
    retries: true,
    ..PARKED
};
const RESUMED: Rules = Rules {
    resumes: true,
    ..PARKED
};

/// The same with memory for one of them at a time.
const fn one_by_one(rules: Rules) -> Rules {
    Rules { leases: 1, ..rules }
}

/// The same in which more is said.
const fn talking(rules: Rules) -> Rules {
    Rules { says: 2, ..rules }
}

const CASES: [Case; 13] = [
    Case::new("alone", (ALONE_TIMED, 2_500), (ALONE_LONG, 500_000)),
    Case::new("two", (silent(TWO), 600), (talking(TWO), 1_500_000)),
    Case::new("timed", (silent(TIMED), 5_000), (TIMED, 1_000_000)),
    Case::new(
        "parked",
        (silent(PARKED), 1_500),
        (talking(PARKED), 2_000_000),
    ),
    Case::new("peeked", (silent(PEEKED), 7_000), (PEEKED, 1_000_000)),
    Case::new(
        "narrow",
        (silent(NARROW), 500),
        (talking(NARROW), 2_000_000),
    ),
    Case::new("reset", (silent(RESET), 6_000), (RESET, 500_000)),
    Case::new(
        "closing",
        (silent(CLOSING), 2_000),
        (talking(CLOSING), 3_000_000),
    ),
    Case::new("retried", (silent(RETRIED), 2_000), (RETRIED, 150_000)),
    Case::new("resumed", (silent(RESUMED), 2_000), (RESUMED, 500_000)),
    Case::new("called", (silent(CALLED), 3_000), (CALLED, 300_000)),
    Case::new(
        "called_retried",
        (silent(CALLED_RETRIED), 8_000),
        (CALLED_RETRIED, 300_000),
    ),
    Case::new(
        "called_resumed",
        (silent(CALLED_RESUMED), 20_000),
        (one_by_one(CALLED_RESUMED), 200_000),
    ),
];

#[test]
fn nothing_can_happen_to_the_layer_that_is_wrong() {
    let large = usize::from(is_large());
    let only = var("CASE").ok();
    for Case { name, rules, least } in CASES {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let since = Instant::now();
        let coverage = search(rules[large]).unwrap_or_else(|found| panic!("{name}: {found}"));
        println!("{name}: {coverage}, {:.1?}", since.elapsed());
        if var("STATES").is_err() {
            assert_eq!(coverage.frontier, 0, "{name}");
            assert!(coverage.states >= least[large], "{name}");
        }
    }
}
