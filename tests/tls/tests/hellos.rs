//! Hellos that are not as they should be, one fault at a time, and the alert for each (RFC 8446,
//! sections 4.1 and 4.2).

use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::{Digest as _, Sha256};
use usockets::tls::{
    Alert, ClientConfig, Config, Connection, Group, Handshake, Output, RECORD_MAX, ServerConfig,
    Setup,
};
use usockets_tests_tls::hello::Hello;
use usockets_tests_tls::puppet::{Puppet, extension, message, vector16};
use usockets_tests_tls::{Authority, Broken, Crypto, Kind, Machine, Ours};

const NAMES: u16 = 0;
const GROUPS: u16 = 10;
const SCHEMES: u16 = 13;
const PROTOCOLS: u16 = 16;
const RECORD_SIZE: u16 = 28;
const KEYS: u16 = 41;
const EARLY: u16 = 42;
const VERSIONS: u16 = 43;
const COOKIE: u16 = 44;
const MODES: u16 = 45;
const SHARES: u16 = 51;
/// Nobody's.
const UNKNOWN: u16 = 0x5a5a;

/// What is changed, how, and the alert that it gives.
type Fault = (&'static str, fn(&mut Hello), Option<Alert>);

const CLIENT_FAULTS: [Fault; 47] = [
    ("nothing", |_| {}, None),
    // Section 4.1.2 and appendix D: the versions.
    (
        "legacy_version of TLS 1.0",
        |hello| hello.version = [3, 1],
        None,
    ),
    (
        "legacy_version of SSL 3.0",
        |hello| hello.version = [3, 0],
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "no versions",
        |hello| hello.remove(VERSIONS),
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "TLS 1.2 only",
        |hello| *hello.get(VERSIONS) = vec![2, 3, 3],
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "versions to come",
        |hello| *hello.get(VERSIONS) = vec![4, 3, 9, 3, 4],
        None,
    ),
    (
        "half a version",
        |hello| *hello.get(VERSIONS) = vec![3, 3, 4, 3],
        Some(Alert::DECODE_ERROR),
    ),
    // Section 4.1.2: the other fields.
    (
        "two compressions",
        |hello| hello.compressions = vec![0, 1],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "another compression",
        |hello| hello.compressions = vec![1],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "no compression",
        |hello| hello.compressions.clear(),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a long session id",
        |hello| hello.session_id = vec![1; 33],
        Some(Alert::DECODE_ERROR),
    ),
    ("no session id", |hello| hello.session_id.clear(), None),
    (
        "half a suite",
        |hello| hello.suites.push(0x13),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "strange suites first",
        |hello| hello.suites.splice(..0, [0x5a, 0x5a]).for_each(drop),
        None,
    ),
    (
        "strange suites only",
        |hello| hello.suites = vec![0x5a, 0x5a, 0xc0, 0x2b],
        Some(Alert::HANDSHAKE_FAILURE),
    ),
    (
        "bytes behind",
        |hello| hello.after = vec![0],
        Some(Alert::DECODE_ERROR),
    ),
    // Section 4.2: extensions.
    (
        "an unknown extension",
        |hello| hello.add(UNKNOWN, b"content"),
        None,
    ),
    (
        "one twice",
        |hello| hello.add(VERSIONS, &[2, 3, 4]),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "an unknown one twice",
        |hello| {
            hello.add(UNKNOWN, &[]);
            hello.add(UNKNOWN, &[]);
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    ("any order", |hello| hello.extensions.reverse(), None),
    // Section 9.2: what is mandatory.
    (
        "no groups",
        |hello| hello.remove(GROUPS),
        Some(Alert::MISSING_EXTENSION),
    ),
    (
        "no shares",
        |hello| hello.remove(SHARES),
        Some(Alert::MISSING_EXTENSION),
    ),
    (
        "no schemes",
        |hello| hello.remove(SCHEMES),
        Some(Alert::MISSING_EXTENSION),
    ),
    // Section 4.2.3: what nobody of us has.
    (
        "other schemes",
        |hello| *hello.get(SCHEMES) = vec![0, 2, 8, 8],
        Some(Alert::HANDSHAKE_FAILURE),
    ),
    (
        "half a scheme",
        |hello| *hello.get(SCHEMES) = vec![0, 3, 4, 3, 8],
        Some(Alert::DECODE_ERROR),
    ),
    // Sections 4.2.7 and 4.2.8: groups and shares.
    (
        "other groups",
        |hello| *hello.get(GROUPS) = vec![0, 2, 0, 0x1e],
        Some(Alert::HANDSHAKE_FAILURE),
    ),
    (
        "an unknown group first",
        |hello| {
            hello.get(GROUPS).splice(2..2, [0x5a, 0x5a]);
            let len = hello.get(GROUPS).len() - 2;
            hello.get(GROUPS)[1] = u8::try_from(len).unwrap();
        },
        None,
    ),
    (
        "an empty share",
        |hello| *hello.get(SHARES) = vec![0, 4, 0, 0x1d, 0, 0],
        Some(Alert::DECODE_ERROR),
    ),
    (
        "a share twice",
        |hello| {
            let share = hello.get(SHARES)[2..].to_vec();
            *hello.get(SHARES) = vector16(&[&share[..], &share].concat());
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a short share",
        |hello| *hello.get(SHARES) = vec![0, 5, 0, 0x1d, 0, 1, 7],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a share of zeros",
        |hello| hello.get(SHARES)[6..].fill(0),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a share that is cut",
        |hello| hello.get(SHARES).truncate(20),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "a point off the curve",
        |hello| {
            *hello.get(SHARES) = vector16(&[&[0, 0x17, 0, 65, 4][..], &[5; 64]].concat());
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    // Sections 4.2.9 and 4.2.11: keys agreed on before.
    (
        "keys without modes",
        |hello| {
            hello.remove(MODES);
            hello.add(KEYS, &keys());
        },
        Some(Alert::MISSING_EXTENSION),
    ),
    (
        "keys that are not last",
        |hello| {
            hello.remove(MODES);
            hello.add(MODES, &[1, 1]);
            hello.add(KEYS, &keys());
            hello.add(UNKNOWN, &[]);
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "more keys than binders",
        |hello| {
            hello.remove(MODES);
            hello.add(MODES, &[1, 1]);
            let key = [0, 1, 7, 0, 0, 0, 0];
            hello.add(
                KEYS,
                &[&vector16(&[key, key].concat())[..], &keys()[9..]].concat(),
            );
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "keys without binders",
        |hello| {
            hello.remove(MODES);
            hello.add(MODES, &[1, 1]);
            hello.add(KEYS, &[&keys()[..9], &[0, 0]].concat());
        },
        Some(Alert::DECODE_ERROR),
    ),
    (
        "binders without keys",
        |hello| {
            hello.remove(MODES);
            hello.add(MODES, &[1, 1]);
            hello.add(KEYS, &[&[0, 0], &keys()[9..]].concat());
        },
        Some(Alert::DECODE_ERROR),
    ),
    (
        "an unknown key",
        |hello| {
            hello.remove(MODES);
            hello.add(MODES, &[1, 1]);
            hello.add(KEYS, &keys());
        },
        None,
    ),
    // RFC 6066, section 3; RFC 7301, section 3.1; RFC 8449, section 4.
    (
        "an empty name",
        |hello| *hello.get(NAMES) = vec![0, 3, 0, 0, 0],
        Some(Alert::DECODE_ERROR),
    ),
    (
        "the longest name",
        |hello| *hello.get(NAMES) = name(255),
        None,
    ),
    (
        "a longer name",
        |hello| *hello.get(NAMES) = name(256),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "no protocol",
        |hello| *hello.get(PROTOCOLS) = vec![0, 0],
        Some(Alert::DECODE_ERROR),
    ),
    (
        "an empty protocol",
        |hello| *hello.get(PROTOCOLS) = vec![0, 3, 1, b'x', 0],
        Some(Alert::DECODE_ERROR),
    ),
    (
        "other protocols",
        |hello| *hello.get(PROTOCOLS) = vec![0, 2, 1, b'q'],
        Some(Alert::NO_APPLICATION_PROTOCOL),
    ),
    (
        "tiny records",
        |hello| *hello.get(RECORD_SIZE) = vec![0, 63],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "early data with content",
        |hello| hello.add(EARLY, &[0]),
        Some(Alert::DECODE_ERROR),
    ),
];

/// An extension's content: a name of so many bytes.
fn name(len: usize) -> Vec<u8> {
    vector16(&[&[0][..], &vector16(&vec![b'a'; len])].concat())
}

/// An extension's content: one key, and a binder.
fn keys() -> Vec<u8> {
    let key = [0, 1, 7, 0, 0, 0, 0];
    [vector16(&key), vector16(&[&[32][..], &[9; 32]].concat())].concat()
}

fn with_config(test: impl FnOnce(&Config<'_>)) {
    with_protocols(&[b"x"], test);
}

/// With a server that speaks `x`, and a client that speaks these.
fn with_protocols(protocols: &[&[u8]], test: impl FnOnce(&Config<'_>)) {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    test(&Config::new(
        ServerConfig::new(&identities).protocols(&[b"x"]),
        ClientConfig::new(&roots).protocols(protocols),
    ));
}

#[test]
fn a_client_s_first() {
    with_config(|config| {
        for (what, change, expected) in CLIENT_FAULTS {
            let mut client = Ours::client(1, config, "localhost");
            let mut hello = Hello::parse(&core::mem::take(&mut client.output));
            change(&mut hello);
            let mut server = Ours::server(2);
            server.feed(config, &hello.record());
            assert_eq!(server.broken, expected.map(Broken::Sent), "{what}");
            assert!(!server.output.is_empty(), "{what}");
        }
    });
}

const SECOND_FAULTS: [Fault; 9] = [
    ("nothing", |_| {}, None),
    (
        "the same share",
        |hello| {
            *hello.get(GROUPS) = vec![0, 4, 0, 0x17, 0, 0x1d];
            *hello.get(SHARES) = vec![0, 5, 0, 0x1d, 0, 1, 7];
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "no share",
        |hello| *hello.get(SHARES) = vec![0, 0],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "two shares",
        |hello| {
            let mut shares = hello.get(SHARES)[2..].to_vec();
            shares.extend_from_slice(&[0x5a, 0x5a, 0, 1, 7]);
            *hello.get(SHARES) = vector16(&shares);
        },
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "another suite",
        |hello| hello.suites = vec![0x13, 2],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "another session id",
        |hello| hello.session_id = vec![1; 32],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "another name",
        |hello| *hello.get(NAMES) = vec![0, 4, 0, 0, 1, b'a'],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "early data",
        |hello| hello.extensions.insert(0, (EARLY, Vec::new())),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "no versions",
        |hello| hello.remove(VERSIONS),
        Some(Alert::PROTOCOL_VERSION),
    ),
];

/// Second hellos, after a `HelloRetryRequest` for P-256 (section 4.1.2).
#[test]
fn a_client_s_second() {
    with_config(|config| {
        for (what, change, expected) in SECOND_FAULTS {
            let mut client = Ours::client(1, config, "localhost");
            let mut first = Hello::parse(&core::mem::take(&mut client.output));
            first.suites = vec![0x13, 1];
            *first.get(SHARES) = vec![0, 0];
            *first.get(GROUPS) = vec![0, 2, 0, 0x17];
            let mut server = Ours::server(2);
            server.feed(config, &first.record());
            assert_eq!(server.broken, None, "{what}");
            server.output.clear();
            let mut second = first.clone();
            let key = p256::SecretKey::from_slice(&[7; 32]).unwrap();
            let point = key.public_key().to_sec1_point(false);
            *second.get(SHARES) = vector16(&[&[0, 0x17, 0, 65], point.as_bytes()].concat());
            change(&mut second);
            server.feed(config, &second.record());
            assert_eq!(server.broken, expected.map(Broken::Sent), "{what}");
        }
    });
}

const SERVER_FAULTS: [Fault; 20] = [
    ("nothing", |_| {}, None),
    (
        "a version of TLS 1.1",
        |hello| hello.version = [3, 2],
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "no version",
        |hello| hello.remove(VERSIONS),
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "TLS 1.2 said in the extension",
        |hello| *hello.get(VERSIONS) = vec![3, 3],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "another session id",
        |hello| hello.session_id[0] ^= 1,
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "no session id",
        |hello| hello.session_id.clear(),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a suite not offered",
        |hello| hello.suites = vec![0x13, 4],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a suite of TLS 1.2",
        |hello| hello.suites = vec![0xc0, 0x2b],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a compression",
        |hello| hello.compressions = vec![1],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "bytes behind",
        |hello| hello.after = vec![0],
        Some(Alert::DECODE_ERROR),
    ),
    (
        "no share",
        |hello| hello.remove(SHARES),
        Some(Alert::MISSING_EXTENSION),
    ),
    (
        "a group not offered",
        |hello| hello.get(SHARES)[1] = 0x1e,
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a group without a share of ours",
        |hello| hello.get(SHARES)[1] = 0x17,
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a share of zeros",
        |hello| hello.get(SHARES)[4..].fill(0),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a share that is cut",
        |hello| hello.get(SHARES).truncate(20),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "an unknown extension",
        |hello| hello.add(UNKNOWN, &[]),
        Some(Alert::UNSUPPORTED_EXTENSION),
    ),
    (
        "one twice",
        |hello| hello.add(VERSIONS, &[3, 4]),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a key not offered",
        |hello| hello.add(KEYS, &[0, 0]),
        Some(Alert::UNSUPPORTED_EXTENSION),
    ),
    (
        "one of another message",
        |hello| hello.add(PROTOCOLS, &[0, 2, 1, b'x']),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a cookie",
        |hello| hello.add(COOKIE, &[0, 1, 7]),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
];

#[test]
fn a_server_s() {
    with_config(|config| {
        for (what, change, expected) in SERVER_FAULTS {
            let mut client = Ours::client(1, config, "localhost");
            let (_, answer) = Puppet::server(&core::mem::take(&mut client.output));
            let mut hello = Hello::parse(&answer);
            change(&mut hello);
            client.feed(config, &hello.record());
            assert_eq!(client.broken, expected.map(Broken::Sent), "{what}");
        }
    });
}

const RETRY_FAULTS: [Fault; 9] = [
    ("P-256", |_| {}, None),
    (
        "the group of the share",
        |hello| *hello.get(SHARES) = vec![0, 0x1d],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a group not offered",
        |hello| *hello.get(SHARES) = vec![0, 0x1e],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "nothing at all",
        |hello| hello.remove(SHARES),
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "a share",
        |hello| hello.get(SHARES).extend_from_slice(&[0, 1, 7]),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "an empty cookie",
        |hello| hello.add(COOKIE, &[0, 0]),
        Some(Alert::DECODE_ERROR),
    ),
    (
        "a suite not offered",
        |hello| hello.suites = vec![0x13, 5],
        Some(Alert::ILLEGAL_PARAMETER),
    ),
    (
        "no version",
        |hello| hello.remove(VERSIONS),
        Some(Alert::PROTOCOL_VERSION),
    ),
    (
        "an unknown extension",
        |hello| hello.add(UNKNOWN, &[]),
        Some(Alert::UNSUPPORTED_EXTENSION),
    ),
];

/// `HelloRetryRequest`s (section 4.1.4).
#[test]
fn a_server_s_wish_for_another() {
    with_config(|config| {
        for (what, change, expected) in RETRY_FAULTS {
            let mut client = Ours::client(1, config, "localhost");
            let (_, answer) = Puppet::server(&core::mem::take(&mut client.output));
            let mut hello = Hello::parse(&answer);
            hello.random = Sha256::digest(b"HelloRetryRequest").to_vec();
            *hello.get(SHARES) = vec![0, 0x17];
            change(&mut hello);
            client.feed(config, &hello.record());
            assert_eq!(client.broken, expected.map(Broken::Sent), "{what}");
            if expected.is_some() {
                continue;
            }
            // Once is enough; and what follows is of the group and the suite asked for.
            let mut again = hello.clone();
            *again.get(SHARES) = vec![0, 0x18];
            let mut other_suite = Hello::parse(&answer);
            other_suite.suites = vec![0x13, 3];
            let mut other_group = Hello::parse(&answer);
            other_group.get(SHARES)[1] = 0x1d;
            for (hello, alert) in [
                (again, Alert::UNEXPECTED_MESSAGE),
                (other_suite, Alert::ILLEGAL_PARAMETER),
                (other_group, Alert::ILLEGAL_PARAMETER),
            ] {
                let mut client = Ours::client(1, config, "localhost");
                let (_, answer) = Puppet::server(&core::mem::take(&mut client.output));
                let mut first = Hello::parse(&answer);
                first.random = Sha256::digest(b"HelloRetryRequest").to_vec();
                *first.get(SHARES) = vec![0, 0x17];
                client.feed(config, &first.record());
                assert_eq!(client.broken, None);
                client.feed(config, &hello.record());
                assert_eq!(client.broken, Some(Broken::Sent(alert)));
            }
        }
    });
}

/// Shows a client `EncryptedExtensions` and perhaps a `CertificateRequest`; returns the alert.
fn behind(extensions: &[u8], asked: Option<&[u8]>) -> Option<Alert> {
    behind_hello_for(&[b"x"], extensions, asked)
}

/// The same of a client that speaks these protocols.
fn behind_hello_for(protocols: &[&[u8]], extensions: &[u8], asked: Option<&[u8]>) -> Option<Alert> {
    let mut alert = None;
    with_protocols(protocols, |config| {
        let mut client = Ours::client(1, config, "localhost");
        let (mut puppet, answer) = Puppet::server(&core::mem::take(&mut client.output));
        client.feed(config, &answer);
        client.feed(config, &puppet.seal(&message(8, &vector16(extensions))));
        if let Some(asked) = asked {
            client.feed(config, &puppet.seal(&message(13, asked)));
        }
        alert = client.broken.map(|broken| match broken {
            Broken::Sent(alert) => alert,
            Broken::Received(alert) => panic!("{alert}"),
        });
    });
    alert
}

/// `EncryptedExtensions` (section 4.3.1): what has no place there, and what was not asked for.
#[test]
fn what_a_server_says_behind_it() {
    let illegal = Some(Alert::ILLEGAL_PARAMETER);
    let unsupported = Some(Alert::UNSUPPORTED_EXTENSION);
    for (what, number, content, expected) in [
        ("groups", GROUPS, &[0, 2, 0, 0x1d][..], None),
        ("a share", SHARES, &[0, 0x1d], illegal),
        ("a version", VERSIONS, &[3, 4], illegal),
        ("schemes", SCHEMES, &[0, 2, 4, 3], illegal),
        ("an unknown one", UNKNOWN, &[], unsupported),
        ("early data", EARLY, &[], unsupported),
        ("the protocol", PROTOCOLS, &[0, 2, 1, b'x'], None),
        ("another protocol", PROTOCOLS, &[0, 2, 1, b'y'], illegal),
        (
            "two protocols",
            PROTOCOLS,
            &[0, 4, 1, b'x', 1, b'y'],
            Some(Alert::DECODE_ERROR),
        ),
    ] {
        assert_eq!(
            behind(&extension(number, content), None),
            expected,
            "{what}"
        );
    }
    assert_eq!(behind(&[], None), None);
    // Of a client that has asked for none, any is one too many.
    let protocol = extension(PROTOCOLS, &[0, 2, 1, b'x']);
    assert_eq!(behind_hello_for(&[], &protocol, None), unsupported);
}

/// `CertificateRequest` (section 4.3.2).
#[test]
fn what_a_server_asks_for() {
    let request = |context: &[u8], extensions: &[u8]| [context, &vector16(extensions)].concat();
    let schemes = extension(SCHEMES, &[0, 2, 4, 3]);
    let and = |number, content: &[u8]| [&schemes[..], &extension(number, content)].concat();
    let illegal = Some(Alert::ILLEGAL_PARAMETER);
    for (what, asked, expected) in [
        ("schemes", request(&[0], &schemes), None),
        ("more", request(&[0], &and(UNKNOWN, &[1])), None),
        (
            "nothing",
            request(&[0], &[]),
            Some(Alert::MISSING_EXTENSION),
        ),
        ("a share", request(&[0], &and(SHARES, &[0, 0x1d])), illegal),
        ("a context", request(&[1, 7], &schemes), illegal),
    ] {
        assert_eq!(behind(&[], Some(&asked)), expected, "{what}");
    }
}

/// Groups have the numbers of section 4.2.7, and others are nobody's.
#[test]
fn groups_have_numbers() {
    for (group, code) in [
        (Group::P256, 0x17),
        (Group::P384, 0x18),
        (Group::X25519, 0x1d),
        (Group::X25519MlKem768, 0x11ec),
    ] {
        assert_eq!(group.code(), code);
        assert_eq!(Group::from_code(code), Some(group));
    }
    assert_eq!(Group::from_code(0x1e), None);
}

/// Who trusts nobody, or calls nobody by name, says nothing.
#[test]
fn a_client_trusts_somebody() {
    let roots = Authority::new(Kind::P256).anchors();
    for (roots, name, is_started) in [
        (&roots[..], "localhost", true),
        (&[], "localhost", false),
        (&roots, "", false),
    ] {
        let mut buffer = [0; RECORD_MAX];
        let mut out = Output::new(&mut buffer);
        let mut setup = Setup {
            crypto: &mut Crypto::new(Machine::new(1)),
            config: &Config::client(ClientConfig::new(roots)),
            sessions: &mut [],
            peer: None,
        };
        let mut handshake = Box::new(Handshake::EMPTY);
        let started = Connection::client(&mut setup, &mut handshake, name, &mut out);
        let refused = (!is_started).then_some(Alert::INTERNAL_ERROR);
        assert_eq!((started.err(), out.is_empty()), (refused, !is_started));
    }
}
