//! Handshakes between two of the TLS engine, searched through all that can happen to them: records
//! that come in pieces, a second hello, certificates of both sides, and any one byte of what they
//! say altered on the way. With cryptography that only adds up, and with the real one.
//!
//! `SEARCH=large` searches more, for `.ci/soak`. With the feature `injected-bugs` only this: it
//! finds the bugs that handshakes know how to have.
#![cfg_attr(
    feature = "injected-bugs",
    allow(dead_code, unused_imports, reason = "those bugs are looked for alone")
)]

use std::env::var;
use std::hash::Hash;
use std::time::Instant;

use usockets::tls::{
    ClientAuth, ClientConfig, Config, Connection, Crypto as Provider, Event, Handshake, Identity,
    Output, RECORD_MAX, Scheme, ServerConfig, Setup, Signer,
};
use usockets_sim::search::{Choices, Coverage, Explorer, Fingerprint, Found, Searched};
use usockets_tests_tls::{Authority, Crypto, Kind, Machine, Null, NullKey};

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
};

#[derive(Clone, Copy, Debug)]
enum Action {
    /// So many bytes of what a side has sent come.
    Deliver(usize, usize),
    /// A byte of what a side has sent is altered.
    Alter(usize),
}

/// One side, what it has sent that has not come, and what it has of a record that is not whole.
struct Side<C: Provider> {
    connection: Connection,
    handshake: Box<Handshake<C>>,
    wire: Vec<u8>,
    /// Bytes of the front record of `wire` that are still to come; 0 at a border.
    front: usize,
    input: Vec<u8>,
    opened: bool,
    failed: bool,
    /// Something that came to it was altered.
    misled: bool,
}

struct World<C: Provider> {
    rules: Rules,
    config: &'static Config<'static>,
    choices: Choices,
    /// Of both sides, one after the other: what they draw is part of a state.
    crypto: C,
    sides: [Side<C>; 2],
    altered: u8,
    actions: Vec<Action>,
}

impl<C: Provider + Clone + Hash> Searched for World<C>
where
    C::Room: Clone,
{
    fn copy_from(&mut self, other: &Self) {
        for (side, from) in self.sides.iter_mut().zip(&other.sides) {
            side.connection = from.connection.clone();
            side.handshake.clone_from(&from.handshake);
            side.wire.clone_from(&from.wire);
            side.input.clone_from(&from.input);
            (side.front, side.opened) = (from.front, from.opened);
            (side.failed, side.misled) = (from.failed, from.misled);
        }
        self.crypto.clone_from(&other.crypto);
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
        for side in &self.sides {
            let Side {
                connection,
                handshake,
                wire,
                front,
                input,
                opened,
                failed,
                misled,
            } = side;
            (connection, handshake, wire, front).hash(into);
            (input, opened, failed, misled).hash(into);
        }
        (&self.crypto, self.altered).hash(into);
    }

    /// Everything comes.
    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..8 {
            for from in 0..2 {
                let all = self.sides[from].wire.len();
                self.act(Action::Deliver(from, all))?;
            }
        }
        let is_sound = self.altered == self.rules.altered && !self.rules.forged;
        if is_sound && !self.sides.iter().all(|side| side.opened) {
            return Err("a handshake comes to no end".into());
        }
        let [client, server] = &self.sides;
        if client.opened && server.opened {
            let made = [client, server].map(|side| {
                let mut made = [0; 32];
                let connection = &side.connection;
                let is_made = side.handshake.export(connection, b"search", &[], &mut made);
                is_made.then_some(made)
            });
            if made[0].is_none() || made[0] != made[1] {
                return Err("both are open and do not agree".into());
            }
        }
        Ok(())
    }
}

impl<C: Provider> World<C> {
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
            // At borders only: what is altered later could have been before.
            if self.altered > 0 && side.front == 0 && side.places().next().is_some() {
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
            let mut room = vec![0; RECORD_MAX];
            let mut out = Output::new(&mut room);
            let mut setup = Setup {
                crypto: &mut self.crypto,
                config: self.config,
                sessions: &mut [],
                peer: None,
            };
            let handshake = (!side.opened).then_some(&mut *side.handshake);
            let received =
                side.connection
                    .receive(&mut setup, handshake, &mut side.input, &mut out);
            side.wire.extend_from_slice(out.filled());
            let received = match received {
                Ok(received) => received,
                Err(alert) => {
                    side.failed = true;
                    let is_honest = self.altered == self.rules.altered && !self.rules.forged;
                    return match is_honest {
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

impl<C: Provider> Side<C> {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            handshake: Box::new(Handshake::EMPTY),
            wire: Vec::new(),
            front: 0,
            input: Vec::new(),
            opened: false,
            failed: false,
            misled: false,
        }
    }

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
    let server = ServerConfig::new(vec![identity].leak());
    Box::leak(Box::new(Config::new(server, client)))
}

fn explorer<T>(
    rules: Rules,
    config: &'static Config<'static>,
    crypto: impl Fn() -> T,
    run: impl FnOnce(&mut Explorer<'_, World<T>>) -> Result<Coverage, Box<Found>>,
) -> Result<Coverage, Box<Found>>
where
    T: Provider + Clone + Hash,
    T::Room: Clone,
{
    let choices = Choices::default();
    let world = || {
        let mut client = Side::new(Connection::CLOSED);
        let mut crypto = crypto();
        let mut setup = Setup {
            crypto: &mut crypto,
            config,
            sessions: &mut [],
            peer: None,
        };
        let mut room = vec![0; RECORD_MAX];
        let mut out = Output::new(&mut room);
        let made = Connection::client(&mut setup, &mut client.handshake, "localhost", &mut out);
        client.connection = made.expect("a client");
        client.wire.extend_from_slice(out.filled());
        World {
            rules,
            config,
            choices: choices.clone(),
            crypto,
            sides: [client, Side::new(Connection::server())],
            altered: rules.altered,
            actions: Vec::new(),
        }
    };
    let mut way: Vec<_> = (0..DEPTH_MAX).map(|_| world()).collect();
    run(&mut Explorer::new(&mut way, &choices))
}

/// Searches with cryptography of a kind, whose states are at least `least`.
#[cfg(not(feature = "injected-bugs"))]
fn search<T>(
    name: &str,
    rules: Rules,
    least: u64,
    config: &'static Config<'static>,
    crypto: impl Fn() -> T,
) where
    T: Provider + Clone + Hash,
    T::Room: Clone,
{
    let since = Instant::now();
    let searched = explorer(rules, config, crypto, |explorer| explorer.run());
    let coverage = searched.unwrap_or_else(|found| panic!("{name}: {found}"));
    println!("{name}: {coverage}, {:.1?}", since.elapsed());
    assert_eq!(coverage.frontier, 0, "{name}");
    assert!(coverage.states >= least, "{name}: not {least} states");
}

#[cfg(not(feature = "injected-bugs"))]
mod sound {
    use super::*;

    fn is_large() -> bool {
        var("SEARCH").is_ok_and(|what| what == "large")
    }

    fn real() -> Crypto {
        Crypto::new(Machine::new(7))
    }

    #[test]
    fn nothing_can_happen_to_handshakes_that_is_wrong() {
        for asks in [false, true] {
            let rules = Rules { asks, ..PLAIN };
            search("null", rules, 700, config(rules, Some(&NullKey)), Null::new);
            search("real", rules, 700, config(rules, None), real);
        }
    }

    #[test]
    fn nothing_can_happen_to_pieces_of_handshakes_that_is_wrong() {
        let rules = Rules {
            pieces: Pieces::Any(if is_large() { 200 } else { 8 }),
            asks: is_large(),
            ..PLAIN
        };
        search(
            "pieces",
            rules,
            700,
            config(rules, Some(&NullKey)),
            Null::new,
        );
    }

    /// With the tags of records compared, and without: then the handshake itself must notice.
    #[test]
    fn no_byte_that_is_altered_is_believed() {
        for asks in [false, true] {
            let rules = Rules {
                altered: 1,
                asks,
                pieces: match is_large() {
                    true => Pieces::Bytes,
                    false => Pieces::Records,
                },
                ..PLAIN
            };
            let config = config(rules, Some(&NullKey));
            search("altered", rules, 2_500, config, Null::new);
            let believing = || Null::new().believing();
            search("altered, believed", rules, 2_500, config, believing);
        }
    }

    #[test]
    fn a_server_without_the_key_is_not_believed() {
        let rules = Rules {
            forged: true,
            ..PLAIN
        };
        search(
            "forged",
            rules,
            700,
            config(rules, Some(&Forger)),
            Null::new,
        );
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
        let find = || {
            let believing = || Null::new().believing();
            explorer(rules, config, believing, |explorer| explorer.run())
        };
        inject(Some(bug));
        let found = find().expect_err("it is found");
        inject(None);
        println!("{bug:?}: {} steps: {}", found.script.len(), found.what);
        assert!(found.what.contains(what), "{found}");
        find().expect("nothing is wrong without it");
    }
}
