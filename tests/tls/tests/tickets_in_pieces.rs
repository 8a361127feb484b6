//! Tickets as servers send them: long ones, in pieces, and many at once.

use usockets::tls::{Alert, ClientConfig, Config, Session};
use usockets_tests_tls::puppet::{Keys, Puppet, certificate, message, vector16};
use usockets_tests_tls::{Authority, Broken, Kind, NOW, Ours};

/// A client with a place for a ticket that is open, and the server's keys.
fn with_open_client(test: impl Fn(&Config<'_>, Ours, Keys)) {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots));
    let sessions = vec![Session::EMPTY];
    let mut client = Ours::client_with(1, NOW, &config, "localhost", sessions);
    let hello = core::mem::take(&mut client.output);
    let (mut puppet, answer) = Puppet::server(&hello);
    client.feed(&config, &answer);
    let mut flight = message(8, &[0, 0]);
    puppet.note(&flight);
    let shown = certificate(&leaf.chain);
    puppet.note(&shown);
    flight.extend(shown);
    let verify = puppet.verify(leaf.signer.as_ref());
    puppet.note(&verify);
    flight.extend(verify);
    let finished = puppet.finished();
    puppet.note(&finished);
    flight.extend(finished);
    let sealed = puppet.seal(&flight);
    client.feed(&config, &sealed);
    assert!(client.connection.is_open(), "{:?}", client.broken);
    let (_, server) = puppet.data_keys();
    test(&config, client, server);
}

/// A `NewSessionTicket` with a ticket of `len` bytes.
fn ticket(len: usize) -> Vec<u8> {
    let ticket = vec![0x5a; len];
    let body = [
        &1_000_u32.to_be_bytes()[..],
        &[1, 2, 3, 4],
        &[2, 8, 9],
        &vector16(&ticket),
        &[0, 0],
    ];
    message(4, &body.concat())
}

fn seal(keys: &mut Keys, content: u8, bytes: &[u8]) -> Vec<u8> {
    keys.seal(&[bytes, &[content]].concat())
}

/// Returns the length of the ticket that a new client offers; 0 if it has none.
fn offered(config: &Config<'_>, sessions: Vec<Session>) -> usize {
    let client = Ours::client_with(2, NOW, config, "localhost", sessions);
    client.output.iter().filter(|byte| **byte == 0x5a).count()
}

#[test]
fn in_records_of_any_size() {
    for len in [1, 100, 512, 513, 1_200, 1_520] {
        for piece in [1, 2, 5, 100, 16_000] {
            with_open_client(|config, mut client, mut keys| {
                for part in ticket(len).chunks(piece) {
                    client.feed(config, &seal(&mut keys, 22, part));
                }
                client.feed(config, &seal(&mut keys, 23, b"data"));
                assert_eq!(client.broken, None);
                assert_eq!(client.data, b"data");
                // A random byte may be the same.
                let offered = offered(config, core::mem::take(&mut client.sessions));
                assert!((len..len + 8).contains(&offered), "{len}: {offered}");
            });
        }
    }
}

/// One that is too long to be kept harms nothing, and another may follow.
#[test]
fn too_long() {
    for len in [1_530, 5_000, 60_000] {
        with_open_client(|config, mut client, mut keys| {
            for part in ticket(len).chunks(3_000) {
                client.feed(config, &seal(&mut keys, 22, part));
            }
            client.feed(config, &seal(&mut keys, 22, &ticket(200)));
            client.feed(config, &seal(&mut keys, 23, b"data"));
            assert_eq!(client.data, b"data");
            let offered = offered(config, core::mem::take(&mut client.sessions));
            assert!((200..208).contains(&offered), "{offered}");
        });
    }
}

/// RFC 8446, section 4.6.1: a server may send as many as it likes.
#[test]
fn many_in_a_row() {
    with_open_client(|config, mut client, mut keys| {
        for _ in 0..20 {
            let ten = ticket(150).repeat(10);
            client.feed(config, &seal(&mut keys, 22, &ten));
        }
        client.feed(config, &seal(&mut keys, 23, b"data"));
        assert_eq!(client.broken, None);
        assert_eq!(client.data, b"data");
        let offered = offered(config, core::mem::take(&mut client.sessions));
        assert!((150..158).contains(&offered), "{offered}");
    });
}

/// A malformed one is refused, also when it comes in pieces.
#[test]
fn malformed() {
    let whole = ticket(100);
    for piece in [7, 1_000] {
        for place in [4 + 8, 4 + 11, 4 + 12] {
            with_open_client(|config, mut client, mut keys| {
                let mut changed = whole.clone();
                changed[place] ^= 0x7f;
                for part in changed.chunks(piece) {
                    client.feed(config, &seal(&mut keys, 22, part));
                    if client.broken.is_some() {
                        break;
                    }
                }
                assert!(
                    matches!(
                        client.broken,
                        Some(Broken::Sent(Alert::DECODE_ERROR | Alert::ILLEGAL_PARAMETER))
                    ),
                    "{place}: {:?}",
                    client.broken
                );
            });
        }
    }
}
