//! Bodies for fuzzers. Each takes any bytes and panics only if something is wrong.

use std::sync::OnceLock;

use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, Crypto as Provider, ServerConfig, Session, TicketKeys,
    TrustAnchor,
};

use crate::clear::{Clear, ClearRecord};
use crate::puppet::{DATA, HANDSHAKE, Puppet, certificate, message};
use crate::{Authority, Broken, Leaf, Ours, pump_pair};

/// Identities, the same every time, so that what fails fails again.
struct Cast {
    roots: Vec<TrustAnchor<'static>>,
    server: Leaf,
    person: Leaf,
    tickets: TicketKeys,
}

fn with_config(f: impl FnOnce(&Config<'_>, &Cast)) {
    static CAST: OnceLock<Cast> = OnceLock::new();
    let cast = CAST.get_or_init(|| {
        let authority = Authority::fixed();
        Cast {
            roots: authority.anchors(),
            server: authority.issue_fixed(2, &["localhost", "open", "private"]),
            person: authority.issue_fixed(3, &["person"]),
            tickets: TicketKeys::new([4; 32], 1_000),
        }
    });
    let slices = cast.server.slices();
    let requested = ClientAuth::Requested(&cast.roots);
    let required = ClientAuth::Required(&cast.roots);
    let identities = [
        cast.server.identity(&slices).client_auth(requested),
        cast.server.identity(&slices).names(&["open"]),
        cast.server
            .identity(&slices)
            .names(&["private"])
            .client_auth(required),
    ];
    let server = ServerConfig::new(&identities)
        .protocols(&[b"h2", b"x"])
        .tickets(&cast.tickets);
    let person_slices = cast.person.slices();
    let person = cast.person.identity(&person_slices);
    let client = ClientConfig::new(&cast.roots)
        .protocols(&[b"x"])
        .identity(&person);
    f(&Config::new(server, client), cast);
}

/// No peer can make it a fault of ours.
fn check_alert(broken: Option<Broken>) {
    assert_ne!(broken, Some(Broken::Sent(Alert::INTERNAL_ERROR)));
}

/// Attacks a server. The first byte chooses how: bytes in the place of the hello, or of what
/// follows the server's flight; a live handshake changed on the way; or messages from one that has
/// the keys but no certificate.
pub fn fuzz_tls_server(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    match mode % 4 {
        2 => fuzz_live(bytes, Side::Server),
        3 => fuzz_server_messages(bytes),
        start => with_config(|config, _| {
            let mut server = Ours::server(u64::from(*mode));
            if start == 1 {
                let (_, hello) = Puppet::client("localhost", &[]);
                server.feed(config, &hello);
                assert_eq!(server.broken, None);
            }
            server.feed(config, bytes);
            // It takes keys that nobody gave to the bytes to open it.
            assert_eq!(server.opened, 0);
            check_alert(server.broken);
        }),
    }
}

/// Attacks a client, likewise: bytes in the place of the server's hello, a live handshake changed
/// on the way, or messages from one that has the keys but no certificate.
pub fn fuzz_tls_client(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    match mode % 4 {
        2 => fuzz_live(bytes, Side::Client),
        3 => fuzz_client_messages(bytes),
        _ => with_config(|config, _| {
            let mut client = Ours::client(1, config, "localhost");
            client.feed(config, bytes);
            assert_eq!(client.opened, 0);
            check_alert(client.broken);
        }),
    }
}

/// Feeds a client with messages; see [`play`].
fn fuzz_client_messages(bytes: &[u8]) {
    with_config(|config, cast| {
        let mut client = Ours::client(1, config, "localhost");
        let hello = core::mem::take(&mut client.output);
        let (puppet, answer) = Puppet::server(&hello);
        client.feed(config, &answer);
        play(&mut client, puppet, config, &cast.server, bytes);
    });
}

/// Feeds a server that wants a certificate with messages; see [`play`].
fn fuzz_server_messages(bytes: &[u8]) {
    with_config(|config, cast| {
        let (mut puppet, hello) = Puppet::client("private", &[]);
        let mut server = Ours::server(1);
        server.feed(config, &hello);
        puppet.read_flight(&core::mem::take(&mut server.output));
        play(&mut server, puppet, config, &cast.person, bytes);
    });
}

/// Sends messages of one that has the keys, and the certificate of `leaf` without its private
/// key: each byte below 128 is the length of a message that follows, 128 and 129 are messages
/// made as they should be, any other ends a record.
fn play(ours: &mut Ours, mut puppet: Puppet, config: &Config<'_>, leaf: &Leaf, bytes: &[u8]) {
    let mut rest = bytes;
    let mut record = Vec::new();
    while let Some((len, after)) = rest.split_first() {
        let (made, after) = match len {
            0..=127 => {
                let (body, after) = after.split_at(after.len().min(usize::from(*len)));
                let (kind, body) = body.split_first().unwrap_or((&0, &[]));
                (message(*kind, body), after)
            }
            128 => (certificate(&leaf.chain), after),
            129 => (puppet.finished(), after),
            _ => {
                let content = if *len <= 200 { HANDSHAKE } else { len ^ DATA };
                if record.len() <= 16_384 {
                    ours.feed(config, &puppet.seal_as(content, &record));
                }
                record.clear();
                (Vec::new(), after)
            }
        };
        puppet.note(&made);
        record.extend_from_slice(&made);
        rest = after;
    }
    record.truncate(16_384);
    ours.feed(config, &puppet.seal_as(HANDSHAKE, &record));
    assert_eq!(ours.opened, 0, "without a signature");
    check_alert(ours.broken);
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Client,
    Server,
}

/// What is done to the records on their way.
struct Script<'a> {
    rest: &'a [u8],
    /// Anything has been changed, or may have been.
    has_changed: bool,
    held: Option<ClearRecord>,
    /// Handshake messages as they were sent.
    sent: Vec<u8>,
    /// Handshake messages as they were delivered.
    given: Vec<u8>,
}

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *byte
    }

    /// Takes a number below `end`, or 0.
    fn place(&mut self, end: usize) -> usize {
        let number = u16::from_be_bytes([self.byte(), self.byte()]);
        usize::from(number).checked_rem(end).unwrap_or(0)
    }

    fn some(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte() % 32).min(self.rest.len());
        let (some, rest) = self.rest.split_at(len);
        self.rest = rest;
        some.to_vec()
    }

    /// Returns what is delivered when `record` is sent.
    fn apply(&mut self, mut record: ClearRecord) -> Vec<ClearRecord> {
        let op = self.byte() % 16;
        self.has_changed |= op != 0;
        let len = record.body.len();
        let mut before = Vec::new();
        let mut after: Vec<_> = self.held.take().into_iter().collect();
        match op {
            1 if len > 0 => {
                let place = self.place(len);
                record.body[place] ^= 1 << (self.byte() % 8);
            }
            2 => return after,
            3 => after.insert(0, record.clone()),
            4 => {
                self.held = Some(record);
                return after;
            }
            5 => record.body.truncate(self.place(len)),
            6 => {
                record.body.truncate(self.place(len));
                fit(&mut record.body);
            }
            7 | 8 => {
                let place = self.place(len);
                let some = self.some();
                record.body.splice(place..place, some);
                if op == 8 {
                    fit(&mut record.body);
                }
            }
            9 => record.content = self.byte(),
            10 => {
                let rest = record.body.split_off(self.place(len));
                let second = ClearRecord {
                    body: rest,
                    ..record.clone()
                };
                after.insert(0, second);
            }
            11 => record.is_protected ^= true,
            12..=14 => {
                let content = [self.byte(), 20, 21][usize::from(op - 12)];
                let mut body = self.some();
                if op == 13 && body.is_empty() {
                    body.push(1);
                }
                before.push(ClearRecord {
                    is_protected: self.byte() % 2 == 1,
                    content,
                    body,
                });
            }
            15 if len > 0 => record.body[0] = self.byte(),
            _ => {}
        }
        before.push(record);
        before.append(&mut after);
        before
    }
}

/// Makes the length of the first message in a record what is there.
fn fit(body: &mut [u8]) {
    if let Some(len) = body.len().checked_sub(4) {
        let len = u32::try_from(len).unwrap_or(0).to_be_bytes();
        body[1..4].copy_from_slice(&len[1..]);
    }
}

/// A handshake of two of ours whose records are in the clear; what one side sends is changed as
/// the bytes say. The other opens only if it has read the messages as they were sent.
fn fuzz_live(bytes: &[u8], target: Side) {
    let Some((options, rest)) = bytes.split_first() else {
        return;
    };
    // With `HelloRetryRequest`, or without.
    match options & 16 {
        0 => fuzz_live_with::<false>(*options, rest, target),
        _ => fuzz_live_with::<true>(*options, rest, target),
    }
}

fn fuzz_live_with<const RETRY: bool>(options: u8, rest: &[u8], target: Side) {
    with_config(|config, _| {
        let name = ["localhost", "open", "private", "open"][usize::from(options % 4)];
        let mut sessions = Vec::new();
        if options & 4 != 0 {
            sessions.push(Session::EMPTY);
        }
        if options & 8 != 0 {
            // Resumed, where the name allows it.
            let mut first = Ours::client_of(Clear::<false>::new(5), config, name, sessions);
            let mut server = Ours::server_with(Clear::<RETRY>::new(6));
            pump_pair(&mut first, config, &mut server, config, usize::MAX);
            assert!(first.connection.is_open());
            sessions = first.sessions;
        }
        let mut client = Ours::client_of(Clear::<false>::new(1), config, name, sessions);
        let mut server = Ours::server_with(Clear::<RETRY>::new(2));
        let script = Script {
            rest,
            has_changed: false,
            held: None,
            sent: Vec::new(),
            given: Vec::new(),
        };
        match target {
            Side::Server => live(config, &mut client, &mut server, script),
            Side::Client => live(config, &mut server, &mut client, script),
        }
    });
}

fn live<A: Provider, B: Provider>(
    config: &Config<'_>,
    sender: &mut Ours<A>,
    reader: &mut Ours<B>,
    mut script: Script<'_>,
) {
    pass(config, sender, reader, &mut script);
    check_alert(reader.broken);
    if !script.has_changed {
        assert_eq!((sender.opened, reader.opened), (1, 1));
        assert_eq!(reader.broken, None);
    }
    // What follows the handshake: no claim on data, but nothing may panic.
    for round in 0..4 {
        if !sender.connection.is_open() {
            break;
        }
        sender.send(&[round; 40]);
        sender.update_keys(round == 0);
        pass(config, sender, reader, &mut script);
        check_alert(reader.broken);
    }
}

/// Passes records both ways until both are quiet, those to `reader` as the script says.
fn pass<A: Provider, B: Provider>(
    config: &Config<'_>,
    sender: &mut Ours<A>,
    reader: &mut Ours<B>,
    script: &mut Script<'_>,
) {
    loop {
        let was_quiet = sender.output.is_empty();
        let mut bytes = core::mem::take(&mut sender.output);
        while let Some(record) = ClearRecord::take(&mut bytes) {
            if record.content == HANDSHAKE {
                script.sent.extend_from_slice(&record.body);
            }
            for record in script.apply(record) {
                let Some(bytes) = record.to_bytes() else {
                    continue;
                };
                let read = record.as_read();
                if read.content == HANDSHAKE {
                    script.given.extend_from_slice(&read.body);
                }
                let before = reader.opened;
                reader.feed(config, &bytes);
                if reader.opened > before {
                    let is_same = script.sent.starts_with(&script.given);
                    assert!(is_same, "opened by other messages");
                }
            }
        }
        let answer = core::mem::take(&mut reader.output);
        if was_quiet && answer.is_empty() {
            return;
        }
        sender.feed(config, &answer);
    }
}

/// Runs two of ours over pipes that deliver as the bytes say, next to a model of the streams. A
/// pipe may become faulty, and then nothing wrong may come out of it.
pub fn fuzz_tls_pair(bytes: &[u8]) {
    with_config(|config, _| {
        let mut ends = [Ours::client(1, config, "localhost"), Ours::server(2)];
        let mut pair = Pair::default();
        for step in bytes.chunks(2) {
            let &[op, size] = step else { break };
            pair.step(config, &mut ends, op, size);
            for (pipe, end) in pair.pipes.iter_mut().zip(&mut ends) {
                pipe.append(&mut end.output);
            }
        }
        // Whatever came first, everything arrives in the end.
        for _ in 0..8 {
            for side in 0..2 {
                let mut bytes = core::mem::take(&mut pair.pipes[side]);
                bytes.append(&mut ends[side].output);
                ends[1 - side].feed(config, &bytes);
            }
        }
        for (side, end) in ends.iter().enumerate() {
            let stream = &pair.sent[1 - side];
            check_alert(end.broken);
            if pair.is_faulty {
                assert!(stream.starts_with(&end.data), "the stream differs");
                continue;
            }
            assert_eq!(end.broken, None::<Broken>);
            assert_eq!(end.opened, 1);
            assert!(end.data == *stream, "the stream differs");
            assert_eq!(end.has_finished, pair.has_finished[1 - side]);
        }
    });
}

/// What each side has sent, and what is on its way; the client's first.
#[derive(Default)]
struct Pair {
    sent: [Vec<u8>; 2],
    pipes: [Vec<u8>; 2],
    /// Changes of keys since the last data.
    updates: [usize; 2],
    has_finished: [bool; 2],
    is_faulty: bool,
}

impl Pair {
    fn step(&mut self, config: &Config<'_>, ends: &mut [Ours; 2], op: u8, size: u8) {
        let size = usize::from(size);
        let side = usize::from(op & 1);
        let may_send = ends[side].connection.is_open() && !self.has_finished[side];
        match op >> 1 & 7 {
            0..=3 => {
                let pipe = &mut self.pipes[side];
                let count = pipe.len().min(size * size / 4 + 1);
                let piece: Vec<u8> = pipe.drain(..count).collect();
                ends[1 - side].feed(config, &piece);
            }
            4..=5 if may_send => {
                let data: Vec<u8> = (0..size * size).map(|n| (n ^ size) as u8).collect();
                ends[side].send(&data);
                self.sent[side].extend_from_slice(&data);
                if !data.is_empty() {
                    self.updates[side] = 0;
                }
            }
            // More in a row, data apart, are a flood.
            6 if may_send && self.updates[side] < 24 => {
                ends[side].update_keys(size % 2 == 0);
                self.updates[side] += 1;
            }
            7 if op >> 4 == 15 && may_send => {
                ends[side].finish();
                self.has_finished[side] = true;
            }
            7 if op >> 4 == 14 && !self.pipes[side].is_empty() => {
                let len = self.pipes[side].len();
                self.pipes[side][size % len] ^= 1 << (size % 8);
                self.is_faulty = true;
            }
            _ => {}
        }
    }
}
