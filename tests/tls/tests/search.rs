//! Two open connections of the TLS engine that face each other, searched through all that can
//! happen to them: records that come in pieces of any kind, new keys, ends, and one byte altered on
//! the way. With cryptography that only adds up, and with the real one.
//!
//! `SEARCH=large` searches more, for `.ci/soak`. With the feature `injected-bugs` only this: it
//! finds the bug that open connections know how to have.
#![cfg_attr(
    feature = "injected-bugs",
    allow(dead_code, unused_imports, reason = "that bug is looked for alone")
)]

use std::hash::Hash;
use std::time::Instant;

use usockets::tls::{Alert, ClientConfig, Config, Crypto as Provider, Event, ServerConfig};
use usockets_sim::search::{Choices, Coverage, Explorer, Fingerprint, Found, Searched};
use usockets_tests_tls::{Authority, Crypto, Engine, Kind, Machine, Null, Ours, is_large};

/// The most steps of a way.
const DEPTH_MAX: usize = 400;
/// Bytes of a record's header, and of the tag at its end.
const HEADER: usize = 5;
const TAG_LEN: usize = 16;

/// Everything that bounds a search.
#[derive(Clone, Copy)]
struct Rules {
    /// Bytes that each side can send, one or two at a time, and how often it takes new keys.
    writes: [u8; 2],
    updates: [u8; 2],
    /// How often a byte is altered.
    altered: u8,
    /// Pieces begin and end anywhere, not only near the borders of records.
    any_piece: bool,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Send(usize, u8),
    Update(usize, bool),
    End(usize),
    /// So many bytes of what a side has sent come.
    Deliver(usize, usize),
    /// The last byte of text of what a side has sent is altered.
    Alter(usize),
}

/// One side, what it has sent that has not come, and what it has of a record that is not whole.
struct Side<C: Provider> {
    engine: Engine<C>,
    wire: Vec<u8>,
    input: Vec<u8>,
    /// Counted in bytes of data.
    sent: u8,
    got: u8,
    left: u8,
    updates: u8,
    ended: bool,
    /// The peer's end was told.
    finished: bool,
    failed: Option<Alert>,
}

struct World<'a, C: Provider> {
    rules: Rules,
    config: &'a Config<'a>,
    choices: Choices,
    sides: [Side<C>; 2],
    altered: u8,
    actions: Vec<Action>,
}

/// The byte at `index` of the stream of side `from`.
const fn byte(from: usize, index: u8) -> u8 {
    index.wrapping_mul(29) ^ (from as u8) << 7
}

impl<C: Provider + Clone + Hash> Searched for World<'_, C>
where
    C::Room: Clone,
{
    fn copy_from(&mut self, other: &Self) {
        for (side, from) in self.sides.iter_mut().zip(&other.sides) {
            side.engine.copy_from(&from.engine);
            side.wire.clone_from(&from.wire);
            side.input.clone_from(&from.input);
            (side.sent, side.got, side.left) = (from.sent, from.got, from.left);
            (side.updates, side.ended) = (from.updates, from.ended);
            (side.finished, side.failed) = (from.finished, from.failed);
        }
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
                engine,
                wire,
                input,
                sent,
                got,
                left,
                updates,
                ended,
                finished,
                failed,
            } = side;
            (engine, wire, input, sent, got, left).hash(into);
            (updates, ended, finished, failed).hash(into);
        }
        self.altered.hash(into);
    }

    /// Both end, and everything comes.
    fn finish(&mut self) -> Result<(), String> {
        for from in 0..2 {
            if !self.sides[from].ended && self.sides[from].failed.is_none() {
                self.act(Action::End(from))?;
            }
        }
        for _ in 0..8 {
            for from in 0..2 {
                let all = self.sides[from].wire.len();
                self.act(Action::Deliver(from, all))?;
            }
        }
        for (number, side) in self.sides.iter().enumerate() {
            let peer = &self.sides[1 - number];
            if !side.wire.is_empty() || (!side.input.is_empty() && side.failed.is_none()) {
                return Err(format!("{number} has bytes left"));
            }
            if self.altered == self.rules.altered && (!side.finished || side.got != peer.sent) {
                return Err(format!("{number} has {} of {} bytes", side.got, peer.sent));
            }
        }
        Ok(())
    }
}

impl<C: Provider> World<'_, C> {
    fn list(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        for from in 0..2 {
            self.list_pieces(from, &mut actions);
            let side = &self.sides[from];
            if side.ended || side.failed.is_some() {
                continue;
            }
            let sizes = 1..=side.left.min(2);
            actions.extend(sizes.map(|size| Action::Send(from, size)));
            if side.updates > 0 {
                actions.extend([false, true].map(|request| Action::Update(from, request)));
            }
            actions.push(Action::End(from));
        }
        for from in 0..2 {
            if self.altered > 0 && self.sides[from].wire.len() > HEADER + TAG_LEN {
                actions.push(Action::Alter(from));
            }
        }
        self.actions = actions;
    }

    /// The pieces that may come: a byte, up to a border within the record that is under way, and
    /// all that there is.
    fn list_pieces(&self, from: usize, actions: &mut Vec<Action>) {
        let (wire, input) = (&self.sides[from].wire, &self.sides[1 - from].input);
        if self.rules.any_piece {
            actions.extend((1..=wire.len()).map(|len| Action::Deliver(from, len)));
            return;
        }
        let mut header = input.iter().chain(wire).skip(3);
        let len = header.next().zip(header.next());
        let whole = len.map_or(0, |(high, low)| usize::from(*high) << 8 | usize::from(*low));
        let record = HEADER + whole;
        let borders = [
            input.len() + 1,
            HEADER,
            record - 1,
            record,
            record + HEADER,
            input.len() + wire.len(),
        ];
        let mut pieces: Vec<usize> = borders
            .iter()
            .filter_map(|border| border.checked_sub(input.len()))
            .filter(|len| (1..=wire.len()).contains(len))
            .collect();
        pieces.sort_unstable();
        pieces.dedup();
        actions.extend(pieces.iter().map(|len| Action::Deliver(from, *len)));
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Deliver(from, len) => self.deliver(from, len),
            Action::Alter(from) => {
                self.altered -= 1;
                let text = self.sides[from].wire.iter_mut().rev().nth(TAG_LEN + 1);
                *text.ok_or("nothing to alter")? ^= 1;
                Ok(())
            }
            Action::Send(from, len) => {
                let side = &mut self.sides[from];
                let data: Vec<u8> = (side.sent..side.sent + len)
                    .map(|index| byte(from, index))
                    .collect();
                let taken = side.engine.send(&data, &mut side.wire);
                if taken != Ok(data.len()) {
                    return Err(format!("{taken:?} of {len} bytes are sent"));
                }
                (side.sent, side.left) = (side.sent + len, side.left - len);
                if side.engine.connection.owes_update() {
                    return Err("data goes before the new keys that the peer asked for".into());
                }
                Ok(())
            }
            Action::Update(from, request) => {
                let side = &mut self.sides[from];
                side.updates -= 1;
                let updated = side.engine.update_keys(request, &mut side.wire);
                updated.map_err(|alert| format!("no new keys: {alert}"))
            }
            Action::End(from) => {
                let side = &mut self.sides[from];
                side.ended = true;
                let ended = side.engine.send_alert(Alert::CLOSE_NOTIFY, &mut side.wire);
                ended.map_err(|alert| format!("no end: {alert}"))
            }
        }
    }

    /// Bytes of `from` come to the other, which takes the records that are whole.
    fn deliver(&mut self, from: usize, len: usize) -> Result<(), String> {
        let piece: Vec<u8> = self.sides[from].wire.drain(..len).collect();
        let (sent, ended) = (self.sides[from].sent, self.sides[from].ended);
        let altered = self.altered < self.rules.altered;
        let side = &mut self.sides[1 - from];
        if side.failed.is_some() {
            return Ok(());
        }
        side.input.extend_from_slice(&piece);
        while !side.input.is_empty() {
            let received = side
                .engine
                .receive(self.config, &mut side.input, &mut side.wire);
            let received = match received {
                Ok(received) => received,
                Err(alert) => return self.fail(1 - from, alert),
            };
            match received.event {
                Event::Incomplete { need } if need > side.input.len() => return Ok(()),
                Event::Data { start, len } => {
                    for byte_of in &side.input[start..start + len] {
                        if side.finished || *byte_of != byte(from, side.got) {
                            return Err(format!("byte {} that came is another", side.got));
                        }
                        side.got += 1;
                    }
                    if side.got > sent {
                        return Err("more comes than was sent".into());
                    }
                }
                Event::Finished => {
                    if side.finished || !ended || side.got != sent {
                        return Err(format!("an end after {} of {sent} bytes", side.got));
                    }
                    side.finished = true;
                }
                Event::Failed(alert) if altered => {
                    side.failed = Some(alert);
                    return Ok(());
                }
                Event::Nothing => {}
                other => return Err(format!("{other:?}")),
            }
            if received.consumed == 0 {
                return Err("a record that is whole is not taken".into());
            }
            side.input.drain(..received.consumed);
        }
        Ok(())
    }

    /// A side refuses a record, and says so.
    fn fail(&mut self, number: usize, alert: Alert) -> Result<(), String> {
        let side = &mut self.sides[number];
        side.failed = Some(alert);
        if self.altered == self.rules.altered {
            return Err(format!("a record is refused: {alert}"));
        }
        if alert != Alert::BAD_RECORD_MAC {
            return Err(format!("an altered record is refused by {alert}"));
        }
        let told = side.engine.send_alert(alert, &mut side.wire);
        told.map_err(|alert| format!("no alert: {alert}"))
    }
}

/// Searches with cryptography of a kind, whose states are at least `least`.
fn search<C: Provider + Clone + Hash>(name: &str, rules: Rules, least: u64, crypto: impl Fn() -> C)
where
    C::Room: Clone,
{
    let since = Instant::now();
    let searched = search_all(rules, crypto);
    let coverage = searched.unwrap_or_else(|found| panic!("{name}: {found}"));
    println!("{name}: {coverage}, {:.1?}", since.elapsed());
    assert_eq!(coverage.frontier, 0, "{name}");
    assert!(coverage.states >= least, "{name}: not {least} states");
}

fn search_all<C: Provider + Clone + Hash>(
    rules: Rules,
    crypto: impl Fn() -> C,
) -> Result<Coverage, Box<Found>>
where
    C::Room: Clone,
{
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let mut server = Ours::server(3);
    let mut client = Ours::client(1, &config, "localhost");
    for _ in 0..3 {
        server.feed(&config, &std::mem::take(&mut client.output));
        client.feed(&config, &std::mem::take(&mut server.output));
    }
    assert!(server.connection.is_open() && client.connection.is_open());
    let choices = Choices::default();
    let world = || World {
        rules,
        config: &config,
        choices: choices.clone(),
        sides: [&client, &server].map(|ours| Side {
            engine: Engine::open(ours.connection.clone(), crypto()),
            wire: Vec::new(),
            input: Vec::new(),
            sent: 0,
            got: 0,
            left: 0,
            updates: 0,
            ended: false,
            finished: false,
            failed: None,
        }),
        altered: rules.altered,
        actions: Vec::new(),
    };
    let mut way: Vec<_> = (0..DEPTH_MAX).map(|_| world()).collect();
    for (number, side) in way[0].sides.iter_mut().enumerate() {
        (side.left, side.updates) = (rules.writes[number], rules.updates[number]);
    }
    Explorer::new(&mut way, &choices).at_most(MOST).run()
}

/// More states than any search has.
const MOST: u64 = 20_000_000;

/// What each run searches: one asks for new keys, and the other answers with the next data.
const SMALL: Rules = Rules {
    writes: [0, 1],
    updates: [1, 0],
    altered: 0,
    any_piece: false,
};

fn real() -> Crypto {
    Crypto::new(Machine::new(7))
}

#[test]
#[cfg(not(feature = "injected-bugs"))]
fn nothing_can_happen_to_records_that_is_wrong() {
    let (rules, least) = if is_large() {
        let rules = Rules {
            writes: [2, 1],
            ..SMALL
        };
        (rules, 100_000)
    } else {
        (SMALL, 2_000)
    };
    search("null", rules, least, Null::new);
    search("real", rules, least, real);
}

#[test]
#[cfg(not(feature = "injected-bugs"))]
fn nothing_can_happen_to_altered_records_that_is_wrong() {
    let altered = Rules {
        altered: 1,
        writes: [1, u8::from(is_large())],
        updates: [0, 0],
        ..SMALL
    };
    search("null, altered", altered, 1_000, Null::new);
    search("real, altered", altered, 1_000, real);
}

#[test]
#[cfg(not(feature = "injected-bugs"))]
fn nothing_can_happen_to_pieces_that_is_wrong() {
    let pieces = Rules {
        any_piece: true,
        writes: [1, u8::from(is_large())],
        updates: [0, 0],
        ..SMALL
    };
    search("null, any piece", pieces, 500, Null::new);
    search("real, any piece", pieces, 500, real);
}

/// The search is able to fail: it finds cryptography that believes whatever comes.
#[test]
#[cfg(not(feature = "injected-bugs"))]
fn a_tag_that_is_not_compared_is_found() {
    let altered = Rules {
        altered: 1,
        ..SMALL
    };
    let found = search_all(altered, || Null::new().believing());
    let found = found.expect_err("an altered byte is believed");
    assert!(found.what.contains("is another"), "{found}");
    assert!(found.script.len() < 6, "{found}");
}

/// … and a side that stays with its old keys.
#[test]
#[cfg(feature = "injected-bugs")]
fn the_injected_bug_is_found() {
    use usockets::{InjectedBug, inject};

    inject(Some(InjectedBug::StaleKeys));
    let found = search_all(SMALL, Null::new).expect_err("it is found");
    inject(None);
    println!("StaleKeys: {} steps: {}", found.script.len(), found.what);
    search_all(SMALL, Null::new).expect("nothing is wrong without it");
}
