//! Peers that hold the keys and keep no rules: messages left out, doubled, out of order, cut and
//! altered. No such handshake ever opens.

use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, OVERHEAD, OcspPolicy, Output, RECORD_MAX,
    ServerConfig, TicketKeys,
};
use usockets_tests_tls::puppet::{DATA, Puppet, certificate, extension, message, record, vector16};
use usockets_tests_tls::{Authority, Broken, Kind, Leaf, Ours};

struct Cast {
    authority: Authority,
    server: Leaf,
    person: Leaf,
}

impl Cast {
    fn new() -> Self {
        let authority = Authority::new(Kind::P256);
        Self {
            server: authority.issue(Kind::P256, &["localhost"]),
            person: authority.issue(Kind::P256, &["person"]),
            authority,
        }
    }

    fn with(&self, f: impl FnOnce(&Config<'_>, &Self)) {
        let roots = self.authority.anchors();
        let slices = self.server.slices();
        let needs = ClientAuth::Required(&roots);
        let identities = [
            self.server.identity(&slices).names(&["localhost"]),
            self.server
                .identity(&slices)
                .names(&["private"])
                .client_auth(needs),
        ];
        let keys = TicketKeys::new([4; 32], 1_000);
        let server = ServerConfig::new(&identities).tickets(&keys);
        let config = Config::new(server, ClientConfig::new(&roots));
        f(&config, self);
    }
}

/// A client of ours, and a puppet that has sent its `ServerHello`.
fn client_and_puppet(config: &Config<'_>) -> (Ours, Puppet) {
    let mut client = Ours::client(1, config, "localhost");
    let hello = core::mem::take(&mut client.output);
    let (puppet, answer) = Puppet::server(&hello);
    client.feed(config, &answer);
    assert_eq!(client.broken, None);
    (client, puppet)
}

/// A message of the server's flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Extensions,
    Request,
    Certificate,
    Verify,
    Finished,
}

const FLIGHT: [Part; 4] = [
    Part::Extensions,
    Part::Certificate,
    Part::Verify,
    Part::Finished,
];

/// Makes one message and hashes it as `change` leaves it.
fn make(
    puppet: &mut Puppet,
    part: Part,
    leaf: &Leaf,
    change: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut made = match part {
        Part::Extensions => message(8, &[0, 0]),
        Part::Request => {
            let schemes = extension(13, &[0, 2, 4, 3]);
            let len = u8::try_from(schemes.len()).unwrap();
            message(13, &[&[0, 0, len], &schemes[..]].concat())
        }
        Part::Certificate => certificate(&leaf.chain),
        Part::Verify => puppet.verify(leaf.signer.as_ref()),
        Part::Finished => puppet.finished(),
    };
    change(&mut made);
    puppet.note(&made);
    made
}

/// Sends the parts to a client, each in a record of its own.
fn play(config: &Config<'_>, leaf: &Leaf, parts: &[Part]) -> Ours {
    let (mut client, mut puppet) = client_and_puppet(config);
    for part in parts {
        let made = make(&mut puppet, *part, leaf, |_| {});
        let sealed = puppet.seal(&made);
        client.feed(config, &sealed);
    }
    client
}

#[test]
fn the_puppet_can_do_it_right() {
    Cast::new().with(|config, cast| {
        let client = play(config, &cast.server, &FLIGHT);
        assert!(client.connection.is_open());
        let with_request = [
            Part::Extensions,
            Part::Request,
            Part::Certificate,
            Part::Verify,
            Part::Finished,
        ];
        assert!(
            play(config, &cast.server, &with_request)
                .connection
                .is_open()
        );
    });
}

#[test]
fn every_other_order_is_refused() {
    Cast::new().with(|config, cast| {
        let all = [
            Part::Extensions,
            Part::Request,
            Part::Certificate,
            Part::Verify,
            Part::Finished,
        ];
        // Every sequence of one to four messages, and of five without the request.
        let mut tried = 0;
        for len in 1..=5_u32 {
            let kinds: &[Part] = if len == 5 { &FLIGHT } else { &all };
            for number in 0..kinds.len().pow(len) {
                let mut rest = number;
                let parts: Vec<Part> = (0..len)
                    .map(|_| {
                        let part = kinds[rest % kinds.len()];
                        rest /= kinds.len();
                        part
                    })
                    .collect();
                // What comes after the right ones is for a test further down.
                if parts.starts_with(&FLIGHT) {
                    continue;
                }
                let client = play(config, &cast.server, &parts);
                assert!(!client.connection.is_open(), "{parts:?}");
                assert_eq!(client.opened, 0, "{parts:?}");
                tried += 1;
            }
        }
        assert_eq!(tried, 5 + 25 + 125 + 625 + 1024 - 1 - 4);
    });
}

#[test]
fn a_server_without_proof_is_refused() {
    Cast::new().with(|config, cast| {
        let unexpected = Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE));
        for parts in [
            &[Part::Extensions, Part::Finished][..],
            &[Part::Extensions, Part::Certificate, Part::Finished],
            &[Part::Extensions, Part::Verify, Part::Finished],
            &[Part::Extensions, Part::Request, Part::Finished],
            &[Part::Finished],
        ] {
            assert_eq!(play(config, &cast.server, parts).broken, unexpected);
        }
    });
}

#[test]
fn every_message_altered_or_cut_is_refused() {
    Cast::new().with(|config, cast| {
        for bad in FLIGHT {
            let mut at = 0;
            loop {
                let (mut client, mut puppet) = client_and_puppet(config);
                let mut len = 0;
                // Even rounds flip a bit; odd ones cut there, the length made to fit.
                for part in FLIGHT {
                    let made = make(&mut puppet, part, &cast.server, |made| {
                        if part != bad {
                            return;
                        }
                        len = made.len();
                        if at % 2 == 0 {
                            made[at / 2] ^= 1 << (at / 2 % 8);
                        } else {
                            made.truncate(at / 2);
                            let body = made.len().saturating_sub(4);
                            if made.len() >= 4 {
                                let fit = u32::try_from(body).unwrap().to_be_bytes();
                                made[1..4].copy_from_slice(&fit[1..]);
                            }
                        }
                    });
                    let sealed = puppet.seal(&made);
                    client.feed(config, &sealed);
                }
                assert!(!client.connection.is_open(), "{bad:?}, round {at}");
                assert_eq!(client.opened, 0, "{bad:?}, round {at}");
                at += 1;
                if at >= 2 * len {
                    break;
                }
            }
        }
    });
}

#[test]
fn messages_in_records_of_any_size() {
    Cast::new().with(|config, cast| {
        for size in [1, 2, 3, 5, 100, 10_000] {
            let (mut client, mut puppet) = client_and_puppet(config);
            let flight: Vec<u8> = FLIGHT
                .iter()
                .flat_map(|part| make(&mut puppet, *part, &cast.server, |_| {}))
                .collect();
            for piece in flight.chunks(size) {
                let sealed = puppet.seal(piece);
                client.feed(config, &sealed);
            }
            assert!(client.connection.is_open(), "{size}");
        }
    });
}

#[test]
fn nothing_may_follow_in_the_last_record() {
    Cast::new().with(|config, cast| {
        let (mut client, mut puppet) = client_and_puppet(config);
        let mut flight: Vec<u8> = FLIGHT
            .iter()
            .flat_map(|part| make(&mut puppet, *part, &cast.server, |_| {}))
            .collect();
        flight.extend_from_slice(&message(4, &[0; 20]));
        let sealed = puppet.seal(&flight);
        client.feed(config, &sealed);
        assert_eq!(client.broken, Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE)));
        assert_eq!(client.opened, 0);
    });
}

#[test]
fn records_that_have_no_place() {
    Cast::new().with(|config, cast| {
        let unexpected = Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE));
        // Data before the end of the handshake, an empty message, nothing but padding, a
        // protected change-cipher-spec, an unknown kind; then a message in the clear.
        for (content, body) in [
            (DATA, &b"early"[..]),
            (22, &[]),
            (0, &[0, 0, 0]),
            (21, &[]),
            (20, &[1]),
            (99, &[1]),
        ] {
            let (mut client, mut puppet) = client_and_puppet(config);
            let sealed = puppet.seal_as(content, body);
            client.feed(config, &sealed);
            assert_eq!(client.broken, unexpected, "{content}");
        }
        let (mut client, _) = client_and_puppet(config);
        client.feed(config, &record(22, &message(8, &[0, 0])));
        assert_eq!(client.broken, unexpected);

        // Another record between the pieces of a message.
        let (mut client, mut puppet) = client_and_puppet(config);
        let made = make(&mut puppet, Part::Extensions, &cast.server, |_| {});
        let first = puppet.seal(&made[..3]);
        let alert = puppet.seal_as(21, &[1, 90]);
        client.feed(config, &first);
        client.feed(config, &alert);
        assert_eq!(client.broken, unexpected);
    });
}

#[test]
fn after_the_handshake_a_server_may_not_ask() {
    Cast::new().with(|config, cast| {
        for (kind, body, expected) in [
            (13, &[0, 0, 0][..], Some(Alert::UNEXPECTED_MESSAGE)),
            (11, &[0, 0, 0, 0], Some(Alert::UNEXPECTED_MESSAGE)),
            (20, &[0; 32], Some(Alert::UNEXPECTED_MESSAGE)),
            (0, &[], Some(Alert::UNEXPECTED_MESSAGE)),
            (24, &[2], Some(Alert::ILLEGAL_PARAMETER)),
            (24, &[0, 0], Some(Alert::DECODE_ERROR)),
            (24, &[0], None),
            (4, &[0; 40], None),
        ] {
            let (mut client, mut puppet) = client_and_puppet(config);
            for part in FLIGHT {
                let made = make(&mut puppet, part, &cast.server, |_| {});
                let sealed = puppet.seal(&made);
                client.feed(config, &sealed);
            }
            puppet.take(puppet.data_keys());
            let sealed = puppet.seal(&message(kind, body));
            client.feed(config, &sealed);
            assert_eq!(client.broken, expected.map(Broken::Sent), "{kind}");
        }
    });
}

/// A server of ours that has answered a puppet's hello, and the puppet that has read it.
fn server_and_puppet(config: &Config<'_>, name: &str, more: &[Vec<u8>]) -> (Ours, Puppet) {
    let (mut puppet, hello) = Puppet::client(name, more);
    let mut server = Ours::server(3);
    server.feed(config, &hello);
    assert_eq!(server.broken, None);
    puppet.read_flight(&core::mem::take(&mut server.output));
    (server, puppet)
}

#[test]
fn a_client_must_prove_who_it_is_where_it_has_to() {
    Cast::new().with(|config, cast| {
        for (parts, opens) in [
            (&[Part::Certificate, Part::Verify, Part::Finished][..], true),
            (&[Part::Finished], false),
            (&[Part::Certificate, Part::Finished], false),
            (&[Part::Verify, Part::Finished], false),
            (
                &[
                    Part::Certificate,
                    Part::Certificate,
                    Part::Verify,
                    Part::Finished,
                ],
                false,
            ),
            (
                &[
                    Part::Certificate,
                    Part::Verify,
                    Part::Verify,
                    Part::Finished,
                ],
                false,
            ),
            (
                &[
                    Part::Certificate,
                    Part::Verify,
                    Part::Finished,
                    Part::Finished,
                ],
                false,
            ),
        ] {
            let (mut server, mut puppet) = server_and_puppet(config, "private", &[]);
            let data_keys = puppet.data_keys();
            for part in parts {
                let made = make(&mut puppet, *part, &cast.person, |_| {});
                let sealed = puppet.seal(&made);
                server.feed(config, &sealed);
            }
            assert_eq!(server.connection.is_open(), opens, "{parts:?}");
            if opens {
                puppet.take(data_keys);
                let sealed = puppet.seal_as(DATA, b"data");
                server.feed(config, &sealed);
                assert_eq!(server.data, b"data");
            }
        }
        // And where it has not, it may not.
        let (mut server, mut puppet) = server_and_puppet(config, "localhost", &[]);
        let made = make(&mut puppet, Part::Certificate, &cast.person, |_| {});
        let sealed = puppet.seal(&made);
        server.feed(config, &sealed);
        assert_eq!(server.broken, Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE)));
    });
}

#[test]
fn a_wrong_finished_is_refused() {
    Cast::new().with(|config, cast| {
        for at in 0..36 {
            let (mut server, mut puppet) = server_and_puppet(config, "localhost", &[]);
            let made = make(&mut puppet, Part::Finished, &cast.person, |made| {
                made[at] ^= 0x80
            });
            let sealed = puppet.seal(&made);
            server.feed(config, &sealed);
            assert!(!server.connection.is_open());
            if at >= 4 {
                assert_eq!(server.broken, Some(Broken::Sent(Alert::DECRYPT_ERROR)));
            }
        }
    });
}

#[test]
fn early_data_is_skipped_and_no_more_than_that() {
    Cast::new().with(|config, cast| {
        let (mut server, mut puppet) =
            server_and_puppet(config, "localhost", &[extension(42, &[])]);
        for len in [17, 1_000, 16_000] {
            server.feed(config, &record(DATA, &vec![0x55; len]));
        }
        assert_eq!(server.broken, None);
        let made = make(&mut puppet, Part::Finished, &cast.person, |_| {});
        let sealed = puppet.seal(&made);
        server.feed(config, &sealed);
        assert!(server.connection.is_open());
        assert_eq!(server.data, b"");

        let (mut server, _) = server_and_puppet(config, "localhost", &[extension(42, &[])]);
        for _ in 0..3 {
            server.feed(config, &record(DATA, &[0x55; 16_000]));
        }
        assert_eq!(server.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));

        // Where there is none, not even a record with nothing in it.
        for len in [100, 0] {
            let (mut server, _) = server_and_puppet(config, "localhost", &[]);
            server.feed(config, &record(DATA, &vec![0x55; len]));
            assert_eq!(server.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));
        }
        // Where there is some, not for ever.
        let (mut server, _) = server_and_puppet(config, "localhost", &[extension(42, &[])]);
        let many = record(DATA, &[]).repeat(100);
        let fed = (0..1_000).take_while(|_| {
            server.feed(config, &many);
            server.broken.is_none()
        });
        assert_eq!(fed.count(), 327);
        assert_eq!(server.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));
    });
}

/// What is sent at once is as much as there is room for, in records of any length.
fn small_records_share_calls(server: &mut Ours, limit: usize) {
    let mut buffer = [0; RECORD_MAX];
    let mut out = Output::new(&mut buffer);
    let taken = server
        .connection
        .send(&mut server.crypto, &[0x44; 40_000], &mut out)
        .unwrap();
    assert_eq!(taken % limit, 0);
    assert_eq!(out.len(), taken / limit * (limit + OVERHEAD));
    assert!(out.len() + limit + OVERHEAD > RECORD_MAX, "{limit}");
}

#[test]
fn records_are_as_long_as_the_client_wants() {
    Cast::new().with(|config, cast| {
        let wishes = [
            (extension(28, &[0, 64]), 63),
            (extension(28, &[2, 1]), 512),
            (extension(1, &[1]), 512),
            (extension(1, &[4]), 4_096),
            (extension(99, &[]), 16_384),
        ];
        for (wish, limit) in wishes {
            let (mut puppet, hello) = Puppet::client("localhost", &[wish]);
            let mut server = Ours::server(3);
            server.feed(config, &hello);
            let flight = core::mem::take(&mut server.output);
            puppet.read_flight(&flight);
            let data_keys = puppet.data_keys();
            let made = make(&mut puppet, Part::Finished, &cast.person, |_| {});
            let sealed = puppet.seal(&made);
            server.feed(config, &sealed);
            puppet.take(data_keys);
            server.send(&[0x33; 40_000]);
            let longest = |bytes: &[u8]| {
                let mut rest = bytes;
                let mut longest = 0;
                while !rest.is_empty() {
                    let len = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
                    if rest[0] == DATA {
                        longest = longest.max(len - 17);
                    }
                    rest = &rest[5 + len..];
                }
                longest
            };
            assert_eq!(longest(&server.output), limit);
            assert!(longest(&flight) <= limit);
            small_records_share_calls(&mut server, limit);
        }
    });
}

/// What tells of a message that goes on behind a change of keys comes in a way that the peer can
/// read: under the keys from before.
#[test]
fn a_peer_can_read_why_nothing_may_follow() {
    Cast::new().with(|config, cast| {
        let in_the_clear = [21, 3, 3, 0, 2, 2, Alert::UNEXPECTED_MESSAGE.code()];
        let behind = |record: &[u8]| {
            let mut record = [record, &[0]].concat();
            let len = u16::try_from(record.len() - 5).unwrap();
            record[3..5].copy_from_slice(&len.to_be_bytes());
            record
        };
        let (_, hello) = Puppet::client("localhost", &[]);
        let mut server = Ours::server(3);
        server.feed(config, &behind(&hello));
        assert_eq!(server.output, in_the_clear);

        let mut client = Ours::client(1, config, "localhost");
        let (_, answer) = Puppet::server(&core::mem::take(&mut client.output));
        client.feed(config, &behind(&answer));
        assert_eq!(client.output, in_the_clear);

        // A server has taken the keys of data already, and sends no ticket under them.
        let modes = extension(45, &[1, 1]);
        let (mut server, mut puppet) = server_and_puppet(config, "localhost", &[modes]);
        let data_keys = puppet.data_keys();
        let made = make(&mut puppet, Part::Finished, &cast.person, |_| {});
        let sealed = puppet.seal(&[&made[..], &[0]].concat());
        server.feed(config, &sealed);
        puppet.take(data_keys);
        let (alert, content) = puppet.receive.open(&server.output);
        assert_eq!((alert, content), (vec![2, 10], 21));
    });
}

/// A server says nothing of the name of one that sent it none, as an address is no name.
#[test]
fn a_name_is_acknowledged_only_if_it_was_sent() {
    Cast::new().with(|config, _| {
        let refused = Some(Broken::Sent(Alert::UNSUPPORTED_EXTENSION));
        for (name, broken) in [("localhost", None), ("127.0.0.1", refused)] {
            let mut client = Ours::client(1, config, name);
            let (mut puppet, answer) = Puppet::server(&core::mem::take(&mut client.output));
            client.feed(config, &answer);
            let extensions = vector16(&extension(0, &[]));
            let sealed = puppet.seal(&message(8, &extensions));
            client.feed(config, &sealed);
            assert_eq!(client.broken, broken, "{name}");
        }
    });
}

/// A client that has agreed on small fragments keeps to them, or is told so; without such an
/// agreement, or with a record size limit, which is ours to have, it may send large ones.
#[test]
fn fragments_from_the_client_are_as_small_as_agreed() {
    Cast::new().with(|config, cast| {
        let fragment = |code| extension(1, &[code]);
        let limit = extension(28, &[0, 64]);
        for (wishes, max) in [
            (vec![fragment(1)], 512),
            (vec![fragment(2)], 1_024),
            (vec![fragment(4)], 4_096),
            (vec![], 16_384),
            (vec![limit.clone()], 16_384),
            (vec![fragment(1), limit], 16_384),
        ] {
            for (len, is_good) in [(max, true), (max + 1, false)] {
                let (mut server, mut puppet) = server_and_puppet(config, "localhost", &wishes);
                let data_keys = puppet.data_keys();
                let made = make(&mut puppet, Part::Finished, &cast.person, |_| {});
                let sealed = puppet.seal(&made);
                server.feed(config, &sealed);
                puppet.take(data_keys);
                let sealed = puppet.seal_as(DATA, &vec![7; len]);
                server.feed(config, &sealed);
                let alert = (!is_good).then_some(Broken::Sent(Alert::RECORD_OVERFLOW));
                assert_eq!(server.broken, alert, "{len} of {max}");
                assert_eq!(server.data.len(), if is_good { len } else { 0 });
            }
        }
    });
}

/// A `Certificate` of one with nothing but OCSP's word, as far as that is looked into before the
/// certificate is.
fn certificate_with_status(chain: &[Vec<u8>]) -> Vec<u8> {
    let plain = certificate(&chain[..1]);
    let status = extension(5, &[1, 0, 0, 1, 0]);
    // The empty list of extensions at the end is replaced.
    let entry = [&plain[8..plain.len() - 2], &vector16(&status)].concat();
    let len = u32::try_from(entry.len()).unwrap().to_be_bytes();
    message(11, &[&[0], &len[1..], &entry].concat())
}

/// OCSP's word comes only with the certificate of a server that was asked for it (RFC 8446, section
/// 4.4.2).
#[test]
fn what_ocsp_says_comes_only_where_it_was_asked_for() {
    let unasked = Some(Broken::Sent(Alert::UNSUPPORTED_EXTENSION));
    for policy in [OcspPolicy::Off, OcspPolicy::Requested] {
        Cast::new().with(|config, cast| {
            let asks = policy != OcspPolicy::Off;
            let mut config = *config;
            config.client = config.client.ocsp(policy);
            let (mut client, mut puppet) = client_and_puppet(&config);
            client.feed(&config, &puppet.seal(&message(8, &[0, 0])));
            client.feed(
                &config,
                &puppet.seal(&certificate_with_status(&cast.server.chain)),
            );
            // What is no response says nothing good.
            let refused = Alert::BAD_CERTIFICATE_STATUS_RESPONSE;
            let broken = if asks {
                Some(Broken::Sent(refused))
            } else {
                unasked
            };
            assert_eq!(client.broken, broken);
            let (mut server, mut puppet) = server_and_puppet(&config, "private", &[]);
            server.feed(
                &config,
                &puppet.seal(&certificate_with_status(&cast.person.chain)),
            );
            assert_eq!(server.broken, unasked, "a client's, {policy:?}");
        });
    }
}

/// A server has to show a certificate (RFC 8446, section 4.4.2.4); of a client that has to, its
/// own alert tells.
#[test]
fn an_empty_certificate_is_refused() {
    Cast::new().with(|config, _| {
        let empty = certificate(&[]);
        let (mut client, mut puppet) = client_and_puppet(config);
        client.feed(config, &puppet.seal(&message(8, &[0, 0])));
        client.feed(config, &puppet.seal(&empty));
        assert_eq!(client.broken, Some(Broken::Sent(Alert::DECODE_ERROR)));
        let (mut server, mut puppet) = server_and_puppet(config, "private", &[]);
        server.feed(config, &puppet.seal(&empty));
        assert_eq!(
            server.broken,
            Some(Broken::Sent(Alert::CERTIFICATE_REQUIRED))
        );
    });
}

/// What is known of the peer is shown when the handshake is done, and no sooner.
#[test]
fn a_peer_is_known_when_the_handshake_is_done() {
    Cast::new().with(|config, cast| {
        let (mut client, mut puppet) = client_and_puppet(config);
        for part in FLIGHT {
            assert!(!client.peer.is_known());
            let made = make(&mut puppet, part, &cast.server, |_| {});
            client.feed(config, &puppet.seal(&made));
        }
        assert!(client.peer.is_known());
        let subject = client.peer.subject().unwrap();
        // A sequence of sets (RFC 5280, section 4.1.2.4), in the certificate.
        assert_eq!(subject[0], 0x31);
        let mut places = cast.server.chain[0].windows(subject.len());
        assert!(places.any(|place| place == subject));
        let (mut server, mut puppet) = server_and_puppet(config, "localhost", &[]);
        assert!(!server.peer.is_known());
        assert_eq!(server.handshake.server_name(), b"localhost");
        let made = make(&mut puppet, Part::Finished, &cast.person, |_| {});
        server.feed(config, &puppet.seal(&made));
        assert!(server.peer.is_known());
    });
}
