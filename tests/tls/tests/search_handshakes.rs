//! Handshakes between two of the TLS engine, searched through all that can happen to them: records
//! that come in pieces, a second hello, a ticket, certificates of both sides, and any one byte of
//! what they say altered on the way. With cryptography that only adds up, and with the real one.
//!
//! `SEARCH=large` searches more, for `.ci/soak`. With the feature `injected-bugs` only this: it
//! finds the bugs that handshakes know how to have.
#![cfg_attr(
    feature = "injected-bugs",
    allow(dead_code, unused_imports, reason = "those bugs are looked for alone")
)]

use std::hash::Hash;
use std::time::Instant;

use usockets::tls::{
    ClientAuth, ClientConfig, Config, Crypto as Provider, Event, Identity, Scheme, ServerConfig,
    Signer, TicketKeys,
};
use usockets_sim::search::{Choices, Coverage, Explorer, Fingerprint, Found, Searched};
use usockets_tests_tls::{
    Authority, Crypto, Engine, Kind, Machine, Null, NullKey, is_large, make_ticket,
};

/// The most steps of a way.
const DEPTH_MAX: usize = 1_500;
/// Bytes of a record's header, and of the tag at its end.
const HEADER: usize = 5;
const TAG_LEN: usize = 16;
/// What a record has that says nothing, and those that are protected.
const CHANGE: u8 = 20;
const PROTECTED: u8 = 23;

/// Everything that bounds a search.
#[derive(Clone, Copy)]
struct Rules {
    /// How often a byte is altered.
    altered: u8,
    pieces: Pieces,
    /// The server asks for a certificate.
    asks: bool,
    /// The server does not have its certificate's key.
    forged: bool,
    /// The client has a ticket.
    resumes: bool,
}

/// In which pieces bytes come.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Pieces {
    /// A record, or all.
    Records,
    /// Also a byte, and a byte less than a record.
    Bytes,
    /// Anything up to this many bytes, or all.
    Any(usize),
}

const PLAIN: Rules = Rules {
    altered: 0,
    pieces: Pieces::Bytes,
    asks: false,
    forged: false,
    resumes: false,
};

#[derive(Clone, Copy, Debug)]
enum Action {
    /// So many bytes of what a side has sent come.
    Deliver(usize, usize),
    /// A byte of what a side has sent is altered.
    Alter(usize),
}

/// What a side has sent that has not come, and what it has of a record that is not whole.
#[derive(Clone, Default, Hash)]
struct Side {
    wire: Vec<u8>,
    /// Bytes of the front record of `wire` that are still to come; 0 at a border.
    front: usize,
    input: Vec<u8>,
    opened: bool,
    failed: bool,
    /// Something that came to it was altered.
    misled: bool,
}

struct World<A: Provider, B: Provider> {
    rules: Rules,
    config: &'static Config<'static>,
    choices: Choices,
    client: Engine<A>,
    server: Engine<B>,
    /// The client's, and the server's.
    sides: [Side; 2],
    altered: u8,
    actions: Vec<Action>,
}

impl<A, B> Searched for World<A, B>
where
    A: Provider + Clone + Hash,
    B: Provider + Clone + Hash,
    A::Room: Clone,
    B::Room: Clone,
{
    fn copy_from(&mut self, other: &Self) {
        self.client.copy_from(&other.client);
        self.server.copy_from(&other.server);
        self.sides.clone_from(&other.sides);
        self.altered = other.altered;
    }

    fn step(&mut self) -> Result<bool, String> {
        self.list();
        let Some(action) = self.choices.choose(&self.actions) else {
            return Ok(false);
        };
        self.act(action)?;
        Ok(true)
    }

    fn fingerprint(&self, into: &mut Fingerprint) {
        (&self.client, &self.server, &self.sides, self.altered).hash(into);
    }

    /// Everything comes.
    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..8 {
            for from in 0..2 {
                let all = self.sides[from].wire.len();
                self.act(Action::Deliver(from, all))?;
            }
        }
        let are_open = self.sides.iter().all(|side| side.opened);
        if self.is_sound() && !are_open {
            return Err("a handshake comes to no end".into());
        }
        if !are_open {
            return Ok(());
        }
        let made = [self.client.export(b"search"), self.server.export(b"search")];
        if made[0].is_none() || made[0] != made[1] {
            return Err("both are open and do not agree".into());
        }
        let resumed = [&self.client.connection, &self.server.connection];
        let resumed = resumed.map(|connection| connection.is_resumed());
        if resumed != [self.rules.resumes; 2] && (self.is_sound() || resumed[0] != resumed[1]) {
            return Err(format!("resumed: {resumed:?}"));
        }
        Ok(())
    }
}

impl<A: Provider, B: Provider> World<A, B> {
    /// Returns true if nobody has lied yet.
    const fn is_sound(&self) -> bool {
        self.altered == self.rules.altered && !self.rules.forged
    }

    fn list(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        for from in 0..2 {
            let side = &self.sides[from];
            let rest = side.rest_of_record();
            let all = side.wire.len();
            let mut pieces = match self.rules.pieces {
                Pieces::Records => vec![rest, all],
                Pieces::Bytes => vec![1, rest.saturating_sub(1), rest, all],
                Pieces::Any(most) => (1..=most).chain([all]).collect(),
            };
            pieces.retain(|len| (1..=all).contains(len));
            pieces.sort_unstable();
            pieces.dedup();
            actions.extend(pieces.iter().map(|len| Action::Deliver(from, *len)));
            // At borders only: what is altered later could have been before. Tickets come after
            // what is agreed on here.
            let matters = side.front == 0 && !self.sides[1 - from].opened;
            if self.altered > 0 && matters && side.places().next().is_some() {
                actions.push(Action::Alter(from));
            }
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Deliver(from, len) => self.deliver(from, len),
            Action::Alter(from) => {
                let places: Vec<usize> = self.sides[from].places().collect();
                // There are more than a choice has options.
                let some: Vec<_> = places.chunks(200).collect();
                let some = some[self.choices.pick(some.len())];
                let at = some[self.choices.pick(some.len())];
                self.choices.note(|| format!("byte {at}"));
                self.altered -= 1;
                self.sides[from].wire[at] ^= 1;
                self.sides[1 - from].misled = true;
                Ok(())
            }
        }
    }

    /// Bytes of `from` come to the other, which takes the records that are whole.
    fn deliver(&mut self, from: usize, len: usize) -> Result<(), String> {
        let piece = self.sides[from].send(len);
        let side = &mut self.sides[1 - from];
        if side.failed {
            return Ok(());
        }
        side.input.extend_from_slice(&piece);
        while !side.input.is_empty() {
            let received = match from {
                0 => self
                    .server
                    .receive(self.config, &mut side.input, &mut side.wire),
                _ => self
                    .client
                    .receive(self.config, &mut side.input, &mut side.wire),
            };
            let received = match received {
                Ok(received) => received,
                Err(alert) => {
                    side.failed = true;
                    return match self.is_sound() {
                        true => Err(format!("an honest peer is refused: {alert}")),
                        false => Ok(()),
                    };
                }
            };
            match received.event {
                Event::Incomplete { need } if need > side.input.len() => return Ok(()),
                Event::Nothing => {}
                Event::Open => side.opened = true,
                other => return Err(format!("{other:?}")),
            }
            if side.opened && (side.misled || self.rules.forged && from == 1) {
                return Err(format!("side {} believes what is not so", 1 - from));
            }
            if received.consumed == 0 {
                return Err("a record that is whole is not taken".into());
            }
            side.input.drain(..received.consumed);
        }
        Ok(())
    }
}

/// Returns how long the record is whose header this is.
fn record_len(header: &[u8]) -> usize {
    HEADER + usize::from(header[3]) * 256 + usize::from(header[4])
}

impl Side {
    fn rest_of_record(&self) -> usize {
        match (self.front, self.wire.get(..HEADER)) {
            (0, Some(header)) => record_len(header),
            (left, _) => left,
        }
    }

    fn send(&mut self, len: usize) -> Vec<u8> {
        let mut at = 0;
        while at < len {
            let rest = match self.front {
                0 => record_len(&self.wire[at..]),
                left => left,
            };
            let now = rest.min(len - at);
            (self.front, at) = (rest - now, at + now);
        }
        self.wire.drain(..len).collect()
    }

    /// Returns the places of all bytes that say something: no headers, and no record that means
    /// nothing; of those that are protected not the tag, which some cryptography does not compare.
    fn places(&self) -> impl Iterator<Item = usize> {
        let (mut at, mut places) = (0, Vec::new());
        while at < self.wire.len() {
            let (kind, end) = (self.wire[at], at + record_len(&self.wire[at..]));
            match kind {
                CHANGE => {}
                PROTECTED => places.extend(at + HEADER..end - TAG_LEN),
                _ => places.extend(at + HEADER..end),
            }
            at = end;
        }
        places.into_iter()
    }
}

/// A key that is not its certificate's.
#[derive(Debug)]
struct Forger;

impl Signer for Forger {
    fn scheme(&self) -> Scheme {
        NullKey.scheme()
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        let len = NullKey.sign(message, signature)?;
        signature[0] ^= 1;
        Some(len)
    }
}

/// Makes a configuration, for ever. Without a key each side signs by its certificate's own.
fn config(rules: Rules, key: Option<&'static (dyn Signer + Send)>) -> &'static Config<'static> {
    let authority = Authority::new(Kind::Ed25519);
    let roots = &*authority.anchors().leak();
    let leaf = Box::leak(Box::new(authority.issue(Kind::Ed25519, &["localhost"])));
    let slices = &*leaf.slices().leak();
    let key = match key {
        Some(key) => key,
        None => leaf.signer.as_ref(),
    };
    let own = &*Box::leak(Box::new(Identity::new(slices, key)));
    let mut identity = *own;
    let mut client = ClientConfig::new(roots);
    if rules.asks {
        identity.client_auth = ClientAuth::Required(roots);
        client.identity = Some(own);
    }
    let mut server = ServerConfig::new(vec![identity].leak());
    if rules.resumes {
        server = server.tickets(Box::leak(Box::new(TicketKeys::new([4; 32], 1_000))));
    }
    Box::leak(Box::new(Config::new(server, client)))
}

/// Goes through all that can happen, with the cryptography of a client and of a server.
fn explore<A, B>(
    rules: Rules,
    config: &'static Config<'static>,
    crypto: impl Fn() -> (A, B),
) -> Result<Coverage, Box<Found>>
where
    A: Provider + Clone + Hash,
    B: Provider + Clone + Hash,
    A::Room: Clone,
    B::Room: Clone,
{
    let choices = Choices::default();
    let (client, server) = crypto();
    let sessions = match rules.resumes {
        true => make_ticket(config, client, server),
        false => Vec::new(),
    };
    let world = || {
        let (client, server) = crypto();
        let (client, wire) = Engine::client(client, config, sessions.clone());
        let side = Side {
            wire,
            ..Side::default()
        };
        World {
            rules,
            config,
            choices: choices.clone(),
            client,
            server: Engine::server(server),
            sides: [side, Side::default()],
            altered: rules.altered,
            actions: Vec::new(),
        }
    };
    let mut way: Vec<_> = (0..DEPTH_MAX).map(|_| world()).collect();
    Explorer::new(&mut way, &choices).run()
}

/// Searches with cryptography of a kind, whose states are at least `least`.
#[cfg(not(feature = "injected-bugs"))]
fn search<A, B>(
    name: &str,
    rules: Rules,
    least: u64,
    config: &'static Config<'static>,
    crypto: impl Fn() -> (A, B),
) where
    A: Provider + Clone + Hash,
    B: Provider + Clone + Hash,
    A::Room: Clone,
    B::Room: Clone,
{
    let since = Instant::now();
    let searched = explore(rules, config, crypto);
    let coverage = searched.unwrap_or_else(|found| panic!("{name}: {found}"));
    println!("{name}: {coverage}, {:.1?}", since.elapsed());
    assert_eq!(coverage.frontier, 0, "{name}");
    assert!(coverage.states >= least, "{name}: not {least} states");
}

fn null() -> (Null, Null) {
    (Null::new(), Null::new())
}

/// The server asks for another hello.
fn retried() -> (Null, Null<true>) {
    (Null::new(), Null::asking_again())
}

fn believing() -> (Null, Null) {
    (Null::new().believing(), Null::new().believing())
}

#[cfg(not(feature = "injected-bugs"))]
mod sound {
    use super::*;

    fn real() -> (Crypto, Crypto) {
        (Crypto::new(Machine::new(7)), Crypto::new(Machine::new(8)))
    }

    const RESUMED: Rules = Rules {
        resumes: true,
        ..PLAIN
    };

    #[test]
    fn nothing_can_happen_to_handshakes_that_is_wrong() {
        for asks in [false, true] {
            let rules = Rules { asks, ..PLAIN };
            let with_null = config(rules, Some(&NullKey));
            search("null", rules, 700, with_null, null);
            search("null, retried", rules, 2_000, with_null, retried);
            search("real", rules, 700, config(rules, None), real);
        }
    }

    #[test]
    fn nothing_can_happen_to_resumed_handshakes_that_is_wrong() {
        let with_null = config(RESUMED, Some(&NullKey));
        search("resumed", RESUMED, 800, with_null, null);
        search("resumed, retried", RESUMED, 3_000, with_null, retried);
        search("resumed, real", RESUMED, 400, config(RESUMED, None), real);
    }

    #[test]
    fn nothing_can_happen_to_pieces_of_handshakes_that_is_wrong() {
        for resumes in [false, true] {
            let rules = Rules {
                pieces: Pieces::Any(if is_large() { 200 } else { 8 }),
                asks: is_large() && !resumes,
                resumes,
                ..PLAIN
            };
            let config = config(rules, Some(&NullKey));
            search("pieces", rules, 700, config, null);
            search("pieces, retried", rules, 2_000, config, retried);
        }
    }

    /// With the tags of records compared, and without: then the handshake itself must notice.
    #[test]
    fn no_byte_that_is_altered_is_believed() {
        for (asks, resumes) in [(false, false), (true, false), (false, true)] {
            let rules = Rules {
                altered: 1,
                asks,
                resumes,
                pieces: match is_large() {
                    true => Pieces::Bytes,
                    false => Pieces::Records,
                },
                ..PLAIN
            };
            let config = config(rules, Some(&NullKey));
            search("altered", rules, 1_800, config, null);
            search("altered, believed", rules, 1_800, config, believing);
            let retried = || {
                let (client, server) = retried();
                (client.believing(), server.believing())
            };
            search("altered, retried", rules, 2_000, config, retried);
        }
    }

    #[test]
    fn a_server_without_the_key_is_not_believed() {
        let rules = Rules {
            forged: true,
            ..PLAIN
        };
        let config = config(rules, Some(&Forger));
        search("forged", rules, 700, config, null);
        search("forged, retried", rules, 2_000, config, retried);
    }
}

/// The search is able to fail: it finds the bugs that handshakes know how to have.
#[test]
#[cfg(feature = "injected-bugs")]
fn injected_bugs_are_found() {
    use usockets::{InjectedBug, inject};

    let altered = Rules {
        altered: 1,
        pieces: Pieces::Records,
        ..PLAIN
    };
    // A client that takes a certificate for enough does not know what to do with the proof.
    for (bug, rules, what) in [
        (InjectedBug::UncheckedFinished, altered, "believes"),
        (InjectedBug::UnprovedKey, PLAIN, "refused"),
    ] {
        let config = config(rules, Some(&NullKey));
        inject(Some(bug));
        let found = explore(rules, config, believing).expect_err("it is found");
        inject(None);
        println!("{bug:?}: {} steps: {}", found.script.len(), found.what);
        assert!(found.what.contains(what), "{found}");
        explore(rules, config, believing).expect("nothing is wrong without it");
    }
}
