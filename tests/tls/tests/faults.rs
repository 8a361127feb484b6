//! Everything that can happen to a handshake's bytes on the way: a connection is opened by the
//! right ones only, and nothing panics.

use usockets::tls::{ClientAuth, ClientConfig, Config, ServerConfig};
use usockets_tests_tls::{Authority, Broken, Kind, Leaf, Ours};

/// Identities for both sides.
struct Cast {
    authority: Authority,
    server: Leaf,
    person: Leaf,
}

impl Cast {
    fn new() -> Self {
        let authority = Authority::new(Kind::P256);
        let server = authority.issue(Kind::Ed25519, &["localhost"]);
        let person = authority.issue(Kind::Ed25519, &["person"]);
        Self {
            authority,
            server,
            person,
        }
    }

    /// Calls `f` with a configuration where the client has to show a certificate.
    fn with(&self, f: impl FnOnce(&Config<'_>)) {
        let roots = self.authority.anchors();
        let slices = self.server.slices();
        let policy = ClientAuth::Required(&roots);
        let identities = [self.server.identity(&slices).client_auth(policy)];
        let slices = self.person.slices();
        let person = self.person.identity(&slices);
        let client = ClientConfig::new(&roots).identity(&person);
        f(&Config::new(ServerConfig::new(&identities), client));
    }
}

/// The three flights of the handshake that the seeds 1 and 2 give.
fn flights(config: &Config<'_>) -> [Vec<u8>; 3] {
    let mut client = Ours::client(1, config, "localhost");
    let mut server = Ours::server(2);
    let hello = core::mem::take(&mut client.output);
    server.feed(config, &hello);
    let answer = core::mem::take(&mut server.output);
    client.feed(config, &answer);
    let last = core::mem::take(&mut client.output);
    server.feed(config, &last);
    assert!(client.connection.is_open() && server.connection.is_open());
    [hello, answer, last]
}

/// Gives `bytes` in the place of one flight to whom it is for, who stands where it came.
fn replay(config: &Config<'_>, flights: &[Vec<u8>; 3], flight: usize, bytes: &[u8]) -> Ours {
    let mut reader = if flight == 1 {
        let mut client = Ours::client(1, config, "localhost");
        assert_eq!(client.output, flights[0]);
        client.output.clear();
        client
    } else {
        let mut server = Ours::server(2);
        if flight == 2 {
            server.feed(config, &flights[0]);
            assert_eq!(server.output, flights[1]);
            server.output.clear();
        }
        server
    };
    reader.feed(config, bytes);
    reader
}

/// Splits a flight into its records.
fn records(flight: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    let mut rest = flight;
    while !rest.is_empty() {
        let len = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        let (record, after) = rest.split_at(len);
        records.push(record);
        rest = after;
    }
    records
}

/// Whether the byte is the low one of the version in the header of a record that is not protected,
/// which means nothing (RFC 8446, section 5.1).
fn means_nothing(flight: &[u8], position: usize) -> bool {
    let mut start = 0;
    for record in records(flight) {
        if position == start + 2 {
            return record[0] != 23;
        }
        start += record.len();
    }
    false
}

/// Whether the reader went on as if nothing were wrong: a server that answered the hello, or an
/// open connection.
fn went_on(reader: &Ours, flight: usize) -> bool {
    match flight {
        0 => reader.broken.is_none() && !reader.output.is_empty(),
        _ => reader.connection.is_open(),
    }
}

#[test]
fn every_flight_cut_at_every_byte_waits() {
    Cast::new().with(|config| {
        let flights = flights(config);
        for flight in 0..3 {
            for len in 0..flights[flight].len() {
                let reader = replay(config, &flights, flight, &flights[flight][..len]);
                assert!(!went_on(&reader, flight), "flight {flight}, {len} bytes");
                assert_eq!(reader.broken, None, "flight {flight}, {len} bytes");
            }
            let reader = replay(config, &flights, flight, &flights[flight]);
            assert!(went_on(&reader, flight));
        }
    });
}

#[test]
fn every_flipped_bit_is_noticed() {
    Cast::new().with(|config| {
        let flights = flights(config);
        for flight in 1..3 {
            for position in 0..flights[flight].len() {
                let mut bytes = flights[flight].clone();
                bytes[position] ^= 1 << (position % 8);
                let reader = replay(config, &flights, flight, &bytes);
                let expected = means_nothing(&flights[flight], position);
                let place = format!("flight {flight}, byte {position}");
                assert_eq!(went_on(&reader, flight), expected, "{place}");
            }
        }
    });
}

#[test]
fn a_flipped_bit_in_the_hello_opens_nothing() {
    Cast::new().with(|config| {
        let flights = flights(config);
        for position in 0..flights[0].len() {
            let mut bytes = flights[0].clone();
            bytes[position] ^= 1 << (position % 8);
            let server = replay(config, &flights, 0, &bytes);
            if means_nothing(&flights[0], position) || server.broken.is_some() {
                continue;
            }
            // The server cannot know; the client must.
            let mut client = replay(config, &flights, 1, &server.output);
            assert!(!client.connection.is_open(), "byte {position}");
            client.feed(config, &server.output);
            assert!(!client.connection.is_open(), "byte {position}");
        }
    });
}

#[test]
fn every_record_lost_or_twice_or_too_late_is_noticed() {
    Cast::new().with(|config| {
        let flights = flights(config);
        for flight in 0..3 {
            let whole = records(&flights[flight]);
            for at in 0..whole.len() {
                // What means nothing may come often.
                let is_change = whole[at][0] == 20;
                let mut without = whole.clone();
                without.remove(at);
                let mut twice = whole.clone();
                twice.insert(at, whole[at]);
                let mut late = whole.clone();
                late.remove(at);
                late.insert((at + 1).min(late.len()), whole[at]);
                for (kind, changed) in [("lost", without), ("twice", twice), ("late", late)] {
                    let bytes = changed.concat();
                    if bytes == flights[flight] {
                        continue;
                    }
                    let reader = replay(config, &flights, flight, &bytes);
                    let place = format!("flight {flight}, record {at} {kind}");
                    if is_change || (flight == 1 && at == 0 && kind == "late") {
                        continue;
                    }
                    let open = reader.connection.is_open() && reader.broken.is_none();
                    if kind == "twice" && at + 1 == whole.len() {
                        // The last record's copy comes when all is done.
                        assert!(reader.broken.is_some(), "{place}");
                        continue;
                    }
                    assert!(!open, "{place}");
                }
            }
        }
    });
}

#[test]
fn messages_may_be_cut_into_records_of_any_size() {
    Cast::new().with(|config| {
        let flights = flights(config);
        let message = &records(&flights[0])[0][5..];
        for size in 1..message.len() {
            let mut bytes = Vec::new();
            for piece in message.chunks(size) {
                bytes.extend_from_slice(&[22, 3, 1]);
                bytes.extend_from_slice(&u16::try_from(piece.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(piece);
            }
            let server = replay(config, &flights, 0, &bytes);
            assert_eq!(server.output, flights[1], "pieces of {size} bytes");
        }
    });
}

#[test]
fn garbage_is_refused() {
    Cast::new().with(|config| {
        let flights = flights(config);
        let mut state = 1_u64;
        for round in 0..2_000 {
            let mut bytes = Vec::new();
            for _ in 0..(round % 600) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                bytes.push(state.to_le_bytes()[7]);
            }
            for flight in 0..3 {
                // As it is, and behind the header of a handshake record.
                let reader = replay(config, &flights, flight, &bytes);
                assert!(!went_on(&reader, flight));
                let mut framed = vec![22, 3, 3];
                framed.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
                framed.extend_from_slice(&bytes);
                let reader = replay(config, &flights, flight, &framed);
                assert!(!went_on(&reader, flight));
            }
        }
    });
}

#[test]
fn floods_are_refused() {
    Cast::new().with(|config| {
        let flights = flights(config);
        let change = [20, 3, 3, 0, 1, 1];
        let server = replay(config, &flights, 0, &change);
        assert!(matches!(server.broken, Some(Broken::Sent(_))));
        let mut bytes = flights[0].clone();
        for _ in 0..100 {
            bytes.extend_from_slice(&change);
        }
        let server = replay(config, &flights, 0, &bytes);
        assert!(matches!(server.broken, Some(Broken::Sent(_))));

        // A hello that claims to be longer than we take.
        let server = replay(config, &flights, 0, &[22, 3, 1, 0, 4, 1, 1, 0, 0]);
        assert_eq!(server.broken.map(code), Some(50));
        // Records without content.
        let server = replay(config, &flights, 0, &[22, 3, 1, 0, 0]);
        assert_eq!(server.broken.map(code), Some(10));
        // Records longer than allowed, as soon as the header is there.
        let server = replay(config, &flights, 0, &[22, 3, 1, 0x40, 1]);
        assert_eq!(server.broken.map(code), Some(22));
    });
}

#[test]
fn new_keys_without_end_are_refused() {
    Cast::new().with(|config| {
        let mut client = Ours::client(1, config, "localhost");
        let mut server = Ours::server(2);
        usockets_tests_tls::settle(&mut client, config, &mut server, config);
        for _ in 0..20 {
            client.update_keys(true);
        }
        client.send(b"data in between");
        for _ in 0..20 {
            client.update_keys(false);
        }
        usockets_tests_tls::settle(&mut client, config, &mut server, config);
        assert_eq!(server.broken, None);
        assert_eq!(server.data, b"data in between");
        // One answer, however often it was asked.
        assert!(server.connection.owes_update());
        server.send(b"answer");
        usockets_tests_tls::settle(&mut client, config, &mut server, config);
        assert_eq!(client.data, b"answer");
        assert!(!server.connection.owes_update());
        for _ in 0..40 {
            client.update_keys(false);
        }
        usockets_tests_tls::settle(&mut client, config, &mut server, config);
        assert_eq!(server.broken.map(code), Some(10));
        assert_eq!(client.broken.map(code), Some(10));
    });
}

fn code(broken: Broken) -> u8 {
    match broken {
        Broken::Sent(alert) | Broken::Received(alert) => alert.code(),
    }
}
