//! The layer of TLS in a loop with a tiny pool, with one or two clients that shake hands, speak,
//! end and break off, searched through all that can happen: records that come in pieces, memory
//! that is leased to one while another waits, peers that take nothing, and a clock that moves on.
//! With cryptography that only adds up.
//!
//! `SEARCH=large` searches more, for `.ci/soak`; `CASE=alone` one configuration.

mod peer;
mod wire;

use std::env::var;
use std::hash::Hash;
use std::time::Instant;

use usockets::tls::{
    ClientConfig, Config, ExchangePlace, Identity, ParkingPlace, ServerConfig, Tls, TlsMemory,
    TlsSocket,
};
use usockets::{
    AllSockets, Closed, Error, Handler, ListenerId, Loop, Opened, Place, Slot, Socket, SocketId,
};
use usockets_sim::search::{Choices, Coverage, Explorer, Fingerprint, Found, Searched};
use usockets_tests_tls::{Authority, Kind, Null, NullKey};

use self::peer::Peer;
use self::wire::{Key, Stage, Wire};

/// The most steps of a way.
const DEPTH_MAX: usize = 500;
/// Iterations after which a loop of which nothing is asked must be quiet.
const POLLS_MAX: usize = 100;
/// How often everything is carried on until all must be over.
const ROUNDS_MAX: usize = 60;

/// Everything that bounds a search.
#[derive(Clone, Copy, Debug)]
struct Rules {
    clients: usize,
    /// Bytes that each client says, one at a time.
    says: u8,
    /// Handshakes, inputs and outputs that the layer has, each.
    leases: usize,
    /// Places to park.
    parking: usize,
    /// Bytes that a peer leaves room for.
    room: usize,
    /// The platform below can be looked into.
    peeks: bool,
    /// How often a client breaks off, the clock moves on, and the program closes by itself.
    resets: u8,
    times: u8,
    closes: u8,
    /// A client ends of itself.
    ends: bool,
}

const ALONE: Rules = Rules {
    clients: 1,
    says: 1,
    leases: 1,
    parking: 0,
    room: 700,
    peeks: false,
    resets: 0,
    times: 0,
    closes: 0,
    ends: true,
};

/// What the program keeps of a connection: what it owes, and what it was told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Talk {
    owed: [u8; 8],
    count: usize,
    ended: bool,
}

/// The program: it says again what it hears.
#[derive(Clone, Debug, Default)]
struct Echo {
    opened: u8,
    closed: u8,
    /// Those of all that opened; the loop knows which are stale.
    ids: Vec<SocketId>,
    wrong: Option<&'static str>,
    /// Why the last one closed.
    told: Option<Closed>,
}

impl Echo {
    fn pass_on(&mut self, socket: &mut Socket<'_, Layer, Self>, talk: &mut Talk) {
        let count = socket.write(&talk.owed[..talk.count]);
        talk.owed.copy_within(count.., 0);
        talk.count -= count;
        if talk.ended && talk.count == 0 {
            socket.finish();
        }
    }
}

type Layer = Tls<'static, Wire, Null>;

impl Handler<Layer> for Echo {
    type Ext = Talk;
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Layer, Self>, _: Opened<()>) -> Talk {
        self.opened += 1;
        self.ids.push(socket.id());
        Talk::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, Layer, Self>, talk: &mut Talk, data: &mut [u8]) {
        if talk.ended {
            self.wrong = Some("data after the end");
        }
        for byte in data {
            talk.owed[talk.count] = *byte;
            talk.count += 1;
        }
        self.pass_on(socket, talk);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, Layer, Self>, talk: &mut Talk) {
        self.pass_on(socket, talk);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, Layer, Self>, talk: &mut Talk) {
        if std::mem::replace(&mut talk.ended, true) {
            self.wrong = Some("a second end");
        }
        self.pass_on(socket, talk);
    }

    fn on_accept_error(
        &mut self,
        _: &mut AllSockets<'_, Layer, Self>,
        _: ListenerId,
        error: Error,
    ) {
        self.told = Some(Closed::Failed(error));
    }

    fn on_close(&mut self, _: &mut Socket<'_, Layer, Self>, _: &mut Talk, closed: Closed) {
        self.closed += 1;
        self.told = Some(closed);
        if self.closed > self.opened {
            self.wrong = Some("a close of what did not open");
        }
    }
}

/// One state.
struct World {
    lp: Loop<'static, Layer, Echo>,
    echo: Echo,
    config: &'static Config<'static>,
    peers: Vec<Peer>,
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
    Connect(usize),
    /// So many bytes of what a client has sent come.
    Come(usize, usize),
    /// The end of what a client has sent comes.
    EndComes(usize),
    /// A client takes what was sent to it.
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
fn layer(rules: Rules, wire: Wire, config: &'static Config<'static>) -> Layer {
    let layer = match rules.leases {
        1 => Tls::new(wire, Null::new(), config, memory::<1>()),
        _ => Tls::new(wire, Null::new(), config, memory::<2>()),
    };
    let places = (0..rules.parking).map(|_| ParkingPlace::EMPTY);
    let others = (0..rules.parking).map(|_| ExchangePlace::EMPTY);
    layer
        .with_parking(places.collect::<Vec<_>>().leak())
        .with_exchange_parking(others.collect::<Vec<_>>().leak())
}

fn memory<const N: usize>() -> &'static mut TlsMemory<Null, 3, N, N, N> {
    Box::leak(Box::new(TlsMemory::NEW))
}

impl World {
    fn new(rules: Rules, config: &'static Config<'static>, choices: &Choices) -> Self {
        let wire = Wire::new(choices, rules.room, rules.peeks);
        let closed = || Slot::free(<Layer as usockets::Platform>::CLOSED);
        let slots: Vec<Slot<TlsSocket<Key>, ()>> = (0..=rules.clients).map(|_| closed()).collect();
        let exts: Vec<Place<Talk>> = (0..=rules.clients).map(|_| Place::Vacant).collect();
        let platform = layer(rules, wire, config);
        let lp = Loop::with_slices(platform, slots.leak(), exts.leak(), vec![0; 4].leak());
        let mut lp = lp.expect("memory of some size");
        lp.net().listen(Wire::endpoint(), ()).expect("a listener");
        Self {
            lp,
            echo: Echo::default(),
            config,
            peers: (0..rules.clients)
                .map(|_| Peer::new(config, rules.says))
                .collect(),
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

    /// Returns what can happen to a client.
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
        if self.resets > 0 {
            steps.push(Step::Reset(number));
        }
    }

    /// Returns what can happen now. That the loop runs comes first.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Poll];
        for number in 0..self.rules.clients {
            self.steps_of(number, &mut steps);
        }
        if !self.rules.ends {
            steps.retain(|step| !matches!(step, Step::End(_)));
        }
        if self.times > 0 && self.next_time().is_some() {
            steps.push(Step::Time);
        }
        if self.closes > 0 && self.lp.stats().open > 0 {
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
            Step::Connect(number) => self.wire_mut().ask(number),
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

    /// A client takes what was sent to it, and the end of it.
    fn hear(&mut self, number: usize) -> Result<(), String> {
        let bytes = self.wire_mut().take(number);
        let peer = &mut self.peers[number];
        peer.hear(number, self.config, &bytes)?;
        let line = &self.lp.platform().inner().lines[number];
        if line.finished && !peer.finished {
            let is_known = self.recalls || line.aborted || line.reset || peer.failed.is_some();
            peer.finished = true;
            if !is_known {
                return Err(format!("the server cuts {number} off"));
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
            return Err(format!("an honest client is refused: {alert}"));
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
        for _ in 0..POLLS_MAX {
            self.poll();
            self.check()?;
            if self.is_quiet() {
                return Ok(());
            }
        }
        Err("the loop spins".to_owned())
    }

    /// Everybody takes, sends, says and ends all that there is.
    fn carry_on(&mut self) -> Result<(), String> {
        for number in 0..self.rules.clients {
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

impl Searched for World {
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
            let lines = &self.wire().lines[..self.rules.clients];
            if lines.iter().all(is_over) {
                break;
            }
            if let (true, Some(at)) = (self.recalls, self.next_time()) {
                self.wire_mut().now = at;
                self.calm_down()?;
            }
        }
        for (number, peer) in self.peers.iter().enumerate() {
            let line = &self.wire().lines[number];
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
        }
        let stats = self.lp.stats();
        if (stats.in_use, stats.open) != (1, 0) {
            return Err(format!("{} slots are kept", stats.in_use));
        }
        match self.lp.platform().leased() {
            0 => Ok(()),
            leased => Err(format!("{leased} leases are kept")),
        }
    }
}

/// What every search has to do with, for ever.
fn config() -> &'static Config<'static> {
    let authority = Authority::new(Kind::Ed25519);
    let roots = authority.anchors().leak();
    let leaf = Box::leak(Box::new(authority.issue(Kind::Ed25519, &["localhost"])));
    let slices = leaf.slices().leak();
    let identities = vec![Identity::new(slices, &NullKey)].leak();
    let server = ServerConfig::new(identities);
    Box::leak(Box::new(Config::new(server, ClientConfig::new(roots))))
}

fn search(rules: Rules) -> Result<Coverage, Box<Found>> {
    let config = config();
    let choices = Choices::default();
    let mut way: Vec<_> = (0..DEPTH_MAX)
        .map(|_| World::new(rules, config, &choices))
        .collect();
    let most = var("STATES").map_or(u64::MAX, |most| most.parse().expect("a number"));
    Explorer::new(&mut way, &choices).at_most(most).run()
}

/// Two clients, and memory for one handshake, record and answer at a time.
const TWO: Rules = Rules {
    clients: 2,
    ..ALONE
};

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
    times: 4,
    says: 3,
    ..ALONE
};

const CASES: [Case; 8] = [
    Case::new("alone", (ALONE_TIMED, 2_500), (ALONE_LONG, 20_000)),
    Case::new("two", (silent(TWO), 600), (TWO, 150_000)),
    Case::new("timed", (silent(TIMED), 5_000), (TIMED, 1_000_000)),
    Case::new("parked", (silent(PARKED), 1_500), (PARKED, 200_000)),
    Case::new("peeked", (silent(PEEKED), 7_000), (PEEKED, 1_000_000)),
    Case::new("narrow", (silent(NARROW), 500), (NARROW, 150_000)),
    Case::new("reset", (silent(RESET), 6_000), (RESET, 500_000)),
    Case::new("closing", (silent(CLOSING), 2_000), (CLOSING, 400_000)),
];

#[test]
fn nothing_can_happen_to_the_layer_that_is_wrong() {
    let large = usize::from(var("SEARCH").is_ok_and(|what| what == "large"));
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
