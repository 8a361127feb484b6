//! Every message of every kind of handshake left out, doubled, out of order, cut and altered, to
//! both roles: the right alert or a clean wait, and never an open connection.
//!
//! The records are in the clear ([`Clear`]), so each message can be got at. Peers that make a right
//! `Finished` over wrong messages are in `hostile.rs`; who is refused for a certificate in
//! `refusals.rs`.

use usockets::tls::{Alert, ClientAuth, ClientConfig, Config, ServerConfig, Session, TicketKeys};
use usockets_tests_tls::clear::{Clear, ClearRecord};
use usockets_tests_tls::puppet::HANDSHAKE;
use usockets_tests_tls::{Authority, Broken, Leaf, Ours, settle};

/// A kind of handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    Plain,
    /// Both show certificates.
    Mutual,
    /// With `HelloRetryRequest`.
    Retried,
    RetriedMutual,
    Resumed,
}

const SHAPES: [Shape; 5] = [
    Shape::Plain,
    Shape::Mutual,
    Shape::Retried,
    Shape::RetriedMutual,
    Shape::Resumed,
];

/// Whom the changed messages are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reader {
    Client,
    Server,
}

const READERS: [Reader; 2] = [Reader::Client, Reader::Server];

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const REQUEST: u8 = 13;
const VERIFY: u8 = 15;
const FINISHED: u8 = 20;

/// One handshake message in a record of its own.
type Message = ClearRecord;

/// How a handshake went.
#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    is_open: bool,
    /// Has been open, if only for a moment.
    was_open: bool,
    alert: Option<Alert>,
    /// The sender of the changed messages took the answer amiss.
    gave_up: bool,
    /// What the sender of the changed messages was told.
    told: Option<Alert>,
}

struct Stage {
    authority: Authority,
    server: Leaf,
    person: Leaf,
    tickets: TicketKeys,
}

impl Stage {
    fn new() -> Self {
        let authority = Authority::fixed();
        Self {
            server: authority.issue_fixed(2, &["localhost"]),
            person: authority.issue_fixed(3, &["person"]),
            authority,
            tickets: TicketKeys::new([4; 32], 1_000),
        }
    }

    /// Shakes hands. `change` gets every message for the reader with its number, and returns what
    /// is delivered in its place.
    fn shake(
        &self,
        shape: Shape,
        reader: Reader,
        change: &mut dyn FnMut(usize, Message) -> Vec<Message>,
    ) -> Outcome {
        let roots = self.authority.anchors();
        let slices = self.server.slices();
        let policy = match shape {
            Shape::Mutual | Shape::RetriedMutual => ClientAuth::Required(&roots),
            _ => ClientAuth::Off,
        };
        let identities = [self.server.identity(&slices).client_auth(policy)];
        let server = ServerConfig::new(&identities)
            .protocols(&[b"x"])
            .tickets(&self.tickets);
        let slices = self.person.slices();
        let person = self.person.identity(&slices);
        let client = ClientConfig::new(&roots)
            .protocols(&[b"x"])
            .identity(&person);
        let config = Config::new(server, client);
        let mut sessions = Vec::new();
        if shape == Shape::Resumed {
            sessions.push(Session::EMPTY);
            let crypto = Clear::<false>::new(5);
            let mut client = Ours::client_of(crypto, &config, "localhost", sessions);
            let mut server = Ours::server_with(Clear::<false>::new(6));
            settle(&mut client, &config, &mut server, &config);
            sessions = client.sessions;
        }
        let crypto = Clear::<false>::new(1);
        let client = &mut Ours::client_of(crypto, &config, "localhost", sessions);
        match shape {
            Shape::Retried | Shape::RetriedMutual => {
                let server = &mut Ours::server_with(Clear::<true>::new(2));
                match reader {
                    Reader::Server => pass(&config, client, server, change),
                    Reader::Client => pass(&config, server, client, change),
                }
            }
            _ => {
                let server = &mut Ours::server_with(Clear::<false>::new(2));
                match reader {
                    Reader::Server => pass(&config, client, server, change),
                    Reader::Client => pass(&config, server, client, change),
                }
            }
        }
    }

    /// Returns the messages that the reader gets in an undisturbed handshake.
    fn messages(&self, shape: Shape, reader: Reader) -> Vec<Message> {
        let mut messages = Vec::new();
        let outcome = self.shake(shape, reader, &mut |_, message| {
            messages.push(message.clone());
            vec![message]
        });
        assert!(outcome.is_open && outcome.alert.is_none(), "{outcome:?}");
        messages
    }
}

fn pass<A: usockets::tls::Crypto, B: usockets::tls::Crypto>(
    config: &Config<'_>,
    sender: &mut Ours<A>,
    reader: &mut Ours<B>,
    change: &mut dyn FnMut(usize, Message) -> Vec<Message>,
) -> Outcome {
    let mut count = 0;
    loop {
        let was_quiet = sender.output.is_empty();
        let mut bytes = core::mem::take(&mut sender.output);
        while let Some(record) = ClearRecord::take(&mut bytes) {
            // Tickets come after the handshake.
            let is_done = reader.opened > 0 && reader.broken.is_none() && sender.opened > 0;
            if record.content != HANDSHAKE || is_done {
                reader.feed(config, &record.to_bytes().unwrap());
                continue;
            }
            for message in split(&record) {
                for changed in change(count, message) {
                    reader.feed(config, &changed.to_bytes().unwrap());
                }
                count += 1;
            }
        }
        let answer = core::mem::take(&mut reader.output);
        if was_quiet && answer.is_empty() {
            break;
        }
        sender.feed(config, &answer);
    }
    Outcome {
        is_open: reader.connection.is_open(),
        was_open: reader.opened > 0,
        alert: match reader.broken {
            Some(Broken::Sent(alert)) => Some(alert),
            _ => None,
        },
        gave_up: matches!(reader.broken, Some(Broken::Received(_))),
        told: match sender.broken {
            Some(Broken::Received(alert)) => Some(alert),
            _ => None,
        },
    }
}

/// Puts each message of a record into a record of its own.
fn split(record: &ClearRecord) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = &record.body[..];
    while !rest.is_empty() {
        let len = 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (message, after) = rest.split_at(len);
        messages.push(Message {
            body: message.to_vec(),
            ..record.clone()
        });
        rest = after;
    }
    messages
}

/// Shakes hands with one message replaced.
fn with_one(
    stage: &Stage,
    shape: Shape,
    reader: Reader,
    number: usize,
    make: impl Fn(&Message) -> Vec<Message>,
) -> Outcome {
    stage.shake(shape, reader, &mut |at, message| {
        if at == number {
            make(&message)
        } else {
            vec![message]
        }
    })
}

/// Calls `f` with every message of every shape, for both readers.
fn every_message(mut f: impl FnMut(&Stage, Shape, Reader, usize, &[Message])) {
    let stage = Stage::new();
    let mut count = 0;
    for shape in SHAPES {
        for reader in READERS {
            let messages = stage.messages(shape, reader);
            for number in 0..messages.len() {
                f(&stage, shape, reader, number, &messages);
                count += 1;
            }
        }
    }
    // 5 + 2, 6 + 4, 6 + 3, 7 + 5, 3 + 2.
    assert_eq!(count, 43);
}

/// The client goes on to data as soon as it has answered, and hears of it later that the server
/// took something amiss.
fn refused(outcome: &Outcome, place: &str) {
    assert!(!outcome.is_open, "{place}: {outcome:?}");
    assert!(!outcome.was_open, "{place}: {outcome:?}");
    assert!(!outcome.gave_up, "{place}: {outcome:?}");
    assert_ne!(outcome.alert, Some(Alert::INTERNAL_ERROR), "{place}");
    if outcome.alert.is_some() {
        assert_eq!(outcome.told, outcome.alert, "{place}: the peer is not told");
    }
}

#[test]
fn a_message_left_out() {
    every_message(|stage, shape, reader, number, messages| {
        let kind = messages[number].body[0];
        let outcome = with_one(stage, shape, reader, number, |_| Vec::new());
        let place = format!("{shape:?} {reader:?} {number}");
        refused(&outcome, &place);
        // After a hello that was lost nothing comes, nor after the last message.
        let is_last = number + 1 == messages.len();
        let waits = is_last || kind == CLIENT_HELLO || messages[number + 1].body[0] == SERVER_HELLO;
        let expected = match kind {
            _ if waits => None,
            // It may be left out, but the server signed that it was not.
            REQUEST => Some(Alert::DECRYPT_ERROR),
            _ => Some(Alert::UNEXPECTED_MESSAGE),
        };
        assert_eq!(outcome.alert, expected, "{place}");
    });
}

#[test]
fn a_message_doubled() {
    every_message(|stage, shape, reader, number, messages| {
        let twice = |message: &Message| vec![message.clone(), message.clone()];
        let outcome = with_one(stage, shape, reader, number, twice);
        let place = format!("{shape:?} {reader:?} {number}");
        let is_last = number + 1 == messages.len();
        // What comes after the last message finds an open connection, and ends it.
        assert_eq!(outcome.was_open, is_last, "{place}: {outcome:?}");
        assert!(!outcome.is_open, "{place}");
        let is_retried = matches!(shape, Shape::Retried | Shape::RetriedMutual);
        let expected = match messages[number].body[0] {
            // The second hello has to bring what the server asked for.
            CLIENT_HELLO if is_retried && number == 0 => Alert::ILLEGAL_PARAMETER,
            _ => Alert::UNEXPECTED_MESSAGE,
        };
        assert_eq!(outcome.alert, Some(expected), "{place}");
    });
}

#[test]
fn two_messages_in_the_other_order() {
    every_message(|stage, shape, reader, number, messages| {
        let Some(next) = messages.get(number + 1) else {
            return;
        };
        // A hello is awaited alone: what follows is not sent before its answer.
        let is_hello = |message: &Message| [CLIENT_HELLO, SERVER_HELLO].contains(&message.body[0]);
        if is_hello(&messages[number]) && (reader == Reader::Server || is_hello(next)) {
            return;
        }
        let mut held = None;
        let outcome = stage.shake(shape, reader, &mut |at, message| {
            if at == number {
                held = Some(message);
                return Vec::new();
            }
            match held.take() {
                Some(first) => vec![message, first],
                None => vec![message],
            }
        });
        let place = format!("{shape:?} {reader:?} {number}");
        refused(&outcome, &place);
        assert_eq!(outcome.alert, Some(Alert::UNEXPECTED_MESSAGE), "{place}");
    });
}

/// Cuts a message and makes its length fit, if it has one.
fn cut(message: &Message, len: usize) -> Vec<Message> {
    let mut cut = message.clone();
    cut.body.truncate(len);
    if let Some(body) = len.checked_sub(4) {
        let body = u32::try_from(body).unwrap().to_be_bytes();
        cut.body[1..4].copy_from_slice(&body[1..]);
    }
    vec![cut]
}

#[test]
fn a_message_cut_at_every_byte() {
    every_message(|stage, shape, reader, number, messages| {
        let kind = messages[number].body[0];
        for len in 1..messages[number].body.len() {
            let outcome = with_one(stage, shape, reader, number, |message| cut(message, len));
            let place = format!("{shape:?} {reader:?} {number} cut to {len}");
            refused(&outcome, &place);
            if len < 4 {
                // The next message is taken for the rest of this one, if one comes.
                continue;
            }
            let alert = outcome.alert.unwrap_or_else(|| panic!("{place} waits"));
            let expected: &[Alert] = match kind {
                // Without extensions it is an older version's.
                CLIENT_HELLO | SERVER_HELLO => &[Alert::DECODE_ERROR, Alert::PROTOCOL_VERSION],
                EXTENSIONS | CERTIFICATE | REQUEST | VERIFY | FINISHED => &[Alert::DECODE_ERROR],
                kind => panic!("a message of kind {kind}"),
            };
            assert!(expected.contains(&alert), "{place}: {alert}");
        }
    });
}

#[test]
fn a_message_that_ends_early() {
    every_message(|stage, shape, reader, number, messages| {
        for len in 1..messages[number].body.len() {
            // Its length promises more.
            let outcome = with_one(stage, shape, reader, number, |message| {
                let mut cut = message.clone();
                cut.body.truncate(len);
                vec![cut]
            });
            refused(
                &outcome,
                &format!("{shape:?} {reader:?} {number} ends at {len}"),
            );
        }
    });
}

#[test]
fn a_message_with_a_flipped_bit() {
    every_message(|stage, shape, reader, number, messages| {
        // What both have in common is tried once.
        let kind = messages[number].body[0];
        if matches!(shape, Shape::Retried | Shape::RetriedMutual) && kind > SERVER_HELLO {
            return;
        }
        let is_hello = kind == CLIENT_HELLO || kind == SERVER_HELLO;
        for at in 0..messages[number].body.len() {
            for bit in 0..8 {
                let outcome = with_one(stage, shape, reader, number, |message| {
                    let mut changed = message.clone();
                    changed.body[at] ^= 1 << bit;
                    vec![changed]
                });
                let place = format!("{shape:?} {reader:?} {number} bit {bit} of byte {at}");
                assert!(!outcome.was_open, "{place}: {outcome:?}");
                assert_ne!(outcome.alert, Some(Alert::INTERNAL_ERROR), "{place}");
                assert!(is_hello || !outcome.gave_up, "{place}: {outcome:?}");
                let is_content = at >= 4;
                match kind {
                    FINISHED if is_content => {
                        assert_eq!(outcome.alert, Some(Alert::DECRYPT_ERROR), "{place}");
                    }
                    _ if at == 0 => {
                        assert_eq!(outcome.alert, Some(Alert::UNEXPECTED_MESSAGE), "{place}");
                    }
                    // It may read as well as the right one; who made it will not agree.
                    _ if is_hello => {}
                    _ if is_content => assert!(outcome.alert.is_some(), "{place} waits"),
                    _ => {}
                }
            }
        }
    });
}
