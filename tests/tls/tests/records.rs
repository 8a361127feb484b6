//! Records of an open connection, in both roles: what may be in them, and the alert for what may
//! not (RFC 8446, sections 5 and 6).

use usockets::tls::{Alert, CONTROL_MAX, ClientConfig, Config, OVERHEAD, Output, ServerConfig};
use usockets_tests_tls::puppet::{DATA, HANDSHAKE, Puppet, certificate, message, record};
use usockets_tests_tls::{Authority, Broken, Kind, Leaf, Ours};

const CHANGE: u8 = 20;
const ALERT: u8 = 21;
/// Most bytes of plaintext (section 5.1).
const PLAINTEXT_MAX: usize = 16_384;

/// A server of ours that is open, and the client.
fn open_server(config: &Config<'_>) -> (Ours, Puppet) {
    let (mut puppet, hello) = Puppet::client("localhost", &[]);
    let mut server = Ours::server(3);
    server.feed(config, &hello);
    puppet.read_flight(&core::mem::take(&mut server.output));
    let finished = puppet.finished();
    server.feed(config, &puppet.seal(&finished));
    puppet.take(puppet.data_keys());
    (server, puppet)
}

/// A client of ours that is open, and the server.
fn open_client(config: &Config<'_>, leaf: &Leaf) -> (Ours, Puppet) {
    let mut client = Ours::client(1, config, "localhost");
    let (mut puppet, answer) = Puppet::server(&core::mem::take(&mut client.output));
    client.feed(config, &answer);
    let mut send = |puppet: &mut Puppet, message: &[u8]| {
        puppet.note(message);
        client.feed(config, &puppet.seal(message));
    };
    send(&mut puppet, &message(8, &[0, 0]));
    send(&mut puppet, &certificate(&leaf.chain));
    let verify = puppet.verify(leaf.signer.as_ref());
    send(&mut puppet, &verify);
    let finished = puppet.finished();
    send(&mut puppet, &finished);
    puppet.take(puppet.data_keys());
    (client, puppet)
}

/// Calls `test` with a server and with a client of ours, each open, and their peers.
fn in_both_roles(test: impl Fn(&Config<'_>, Ours, Puppet)) {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    for (mut ours, puppet) in [open_server(&config), open_client(&config, &leaf)] {
        assert!(ours.connection.is_open(), "{:?}", ours.broken);
        ours.output.clear();
        test(&config, ours, puppet);
    }
}

/// A protected record's content: of a kind, with padding.
fn inner(content: u8, body: &[u8], padding: usize) -> Vec<u8> {
    [body, &[content], &vec![0; padding]].concat()
}

#[test]
fn what_may_be_in_them() {
    let long = vec![7; PLAINTEXT_MAX];
    for (content, body, padding) in [
        (DATA, &b"data"[..], 0),
        (DATA, &[], 0),
        (DATA, &[], 100),
        (DATA, b"data", 1),
        (DATA, b"data", PLAINTEXT_MAX - 4),
        (DATA, &long, 0),
        // `user_canceled`, of either level, which only announces `close_notify`.
        (ALERT, &[1, 90], 0),
    ] {
        in_both_roles(|config, mut ours, mut puppet| {
            ours.feed(config, &puppet.send.seal(&inner(content, body, padding)));
            assert_eq!(ours.broken, None, "{content} {padding}");
            let data = if content == DATA { body } else { &[] };
            assert_eq!(ours.data, data);
            ours.feed(config, &puppet.seal_as(DATA, b" and more"));
            assert!(ours.data.ends_with(b" and more"));
        });
    }
}

#[test]
fn what_may_not() {
    let long = vec![7; PLAINTEXT_MAX + 1];
    let unexpected = Alert::UNEXPECTED_MESSAGE;
    for (content, body, padding, expected) in [
        // Too long, be it by padding (section 5.4).
        (DATA, &long[..], 0, Alert::RECORD_OVERFLOW),
        (DATA, b"x", PLAINTEXT_MAX, Alert::RECORD_OVERFLOW),
        // No content, or of a kind that has no place (section 5).
        (0, &[], 10, unexpected),
        (99, b"x", 0, unexpected),
        (CHANGE, &[1], 0, unexpected),
        (24, b"x", 0, unexpected),
        (HANDSHAKE, &[], 0, unexpected),
        // Messages of the handshake (section 4).
        (HANDSHAKE, &[1, 0, 0, 0], 0, unexpected),
        (HANDSHAKE, &[2, 0, 0, 0], 0, unexpected),
        (HANDSHAKE, &[5, 0, 0, 0], 0, unexpected),
        (HANDSHAKE, &[15, 0, 0, 0], 0, unexpected),
        // New keys, asked for wrongly, or not at the end of the record (section 4.6.3).
        (HANDSHAKE, &[24, 0, 0, 1, 2], 0, Alert::ILLEGAL_PARAMETER),
        (HANDSHAKE, &[24, 0, 0, 2, 0, 0], 0, Alert::DECODE_ERROR),
        (HANDSHAKE, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], 0, unexpected),
    ] {
        in_both_roles(|config, mut ours, mut puppet| {
            ours.feed(config, &puppet.send.seal(&inner(content, body, padding)));
            assert_eq!(
                ours.broken,
                Some(Broken::Sent(expected)),
                "{content} {body:?}"
            );
            assert!(ours.data.is_empty());
        });
    }
}

/// All alerts but two end the connection, whatever their level (section 6).
#[test]
fn alerts() {
    for (level, code) in [(2, 40), (1, 40), (2, 255), (1, 200), (2, 80)] {
        in_both_roles(|config, mut ours, mut puppet| {
            ours.feed(config, &puppet.seal_as(ALERT, &[level, code]));
            let alert = Alert::from_code(code);
            assert_eq!(ours.broken, Some(Broken::Received(alert)), "{level}");
            // Nothing is said to that.
            assert!(ours.output.is_empty());
        });
    }
    // Cut, empty, or two in one record (section 5.1).
    for body in [&[][..], &[2], &[1, 90, 1]] {
        in_both_roles(|config, mut ours, mut puppet| {
            ours.feed(config, &puppet.seal_as(ALERT, body));
            assert!(matches!(ours.broken, Some(Broken::Sent(_))), "{body:?}");
        });
    }
    // The end of the peer's stream is not that of ours (section 6.1).
    in_both_roles(|config, mut ours, mut puppet| {
        ours.feed(config, &puppet.seal_as(ALERT, &[1, 0]));
        assert_eq!((ours.broken, ours.has_finished), (None, true));
        ours.send(b"still here");
        assert!(!ours.output.is_empty());
        // Whatever follows is ignored.
        ours.feed(config, &puppet.seal_as(DATA, b"late"));
        assert_eq!((ours.broken, ours.data.len()), (None, 0));
    });
}

/// Records that are not protected, or do not authenticate (sections 5 and 5.2).
#[test]
fn what_is_not_protected() {
    for (content, body) in [
        (CHANGE, &[1][..]),
        (ALERT, &[2, 40]),
        (HANDSHAKE, &[24, 0, 0, 1, 0]),
    ] {
        in_both_roles(|config, mut ours, _| {
            ours.feed(config, &record(content, body));
            let alert = Alert::UNEXPECTED_MESSAGE;
            assert_eq!(ours.broken, Some(Broken::Sent(alert)), "{content}");
        });
    }
    in_both_roles(|config, mut ours, mut puppet| {
        let mut bad = puppet.seal_as(DATA, b"data");
        let last = bad.len() - 1;
        bad[last] ^= 1;
        ours.feed(config, &bad);
        assert_eq!(ours.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));
        assert!(ours.data.is_empty());
    });
    // Longer than a record may be, as soon as its header is there (section 5.2).
    in_both_roles(|config, mut ours, _| {
        ours.feed(config, &[DATA, 3, 3, 0x41, 1]);
        assert_eq!(ours.broken, Some(Broken::Sent(Alert::RECORD_OVERFLOW)));
    });
    // Shorter than a tag and a content type.
    in_both_roles(|config, mut ours, _| {
        ours.feed(config, &record(DATA, &[7; 16]));
        assert!(matches!(ours.broken, Some(Broken::Sent(_))));
    });
}

/// New keys are taken after the message that says so, and are answered if that is asked for
/// (section 4.6.3).
#[test]
fn new_keys() {
    in_both_roles(|config, mut ours, mut puppet| {
        ours.feed(config, &puppet.seal(&[24, 0, 0, 1, 1]));
        assert_eq!(ours.broken, None);
        assert!(ours.connection.owes_update());
        // Under the old keys nothing is read any more.
        ours.feed(config, &puppet.seal_as(DATA, b"old keys"));
        assert_eq!(ours.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));
    });
}

/// An alert in the clear is one until the peer has sent something protected (section 6: a
/// protected connection is not ended by what anybody could send).
#[test]
fn alerts_in_the_clear() {
    let roots = Authority::new(Kind::P256).anchors();
    let config = &Config::client(ClientConfig::new(&roots));
    for is_protected in [false, true] {
        let mut client = Ours::client(1, config, "localhost");
        let (mut puppet, answer) = Puppet::server(&core::mem::take(&mut client.output));
        client.feed(config, &answer);
        if is_protected {
            client.feed(config, &puppet.seal(&message(8, &[0, 0])));
        }
        client.feed(config, &record(ALERT, &[2, 40]));
        let broken = match is_protected {
            false => Broken::Received(Alert::HANDSHAKE_FAILURE),
            true => Broken::Sent(Alert::UNEXPECTED_MESSAGE),
        };
        assert_eq!(client.broken, Some(broken));
    }
    // Before the handshake is done, an end is a failure.
    let mut client = Ours::client(1, config, "localhost");
    client.feed(config, &record(ALERT, &[1, 0]));
    assert_eq!(client.broken, Some(Broken::Received(Alert::CLOSE_NOTIFY)));
    assert!(!client.has_finished);
}

/// Sends data into so much room; returns what was taken and how much was written.
fn send_into(ours: &mut Ours, data: &[u8], room: usize) -> (Result<usize, Alert>, usize) {
    let mut buffer = vec![0; room];
    let mut out = Output::new(&mut buffer);
    let connection = &mut ours.connection;
    let taken = connection.send(&mut ours.crypto, data, &mut out);
    assert_eq!(out.is_empty(), out.filled().is_empty());
    (taken, out.len())
}

/// Nothing is not sent, and what has no room waits, be it with new keys in front of it; with room
/// for one byte more, that is sent.
#[test]
fn data_in_very_little_room() {
    let least = CONTROL_MAX + OVERHEAD;
    for updates in [false, true] {
        in_both_roles(|config, mut ours, mut puppet| {
            if updates {
                ours.feed(config, &puppet.seal(&[24, 0, 0, 1, 1]));
            }
            assert_eq!(send_into(&mut ours, &[], 1_000), (Ok(0), 0));
            for room in 0..=least {
                assert_eq!(send_into(&mut ours, b"data", room), (Ok(0), 0), "{room}");
            }
            let mut buffer = [0; CONTROL_MAX - 1];
            let mut out = Output::new(&mut buffer);
            let updated = ours
                .connection
                .update_keys(&mut ours.crypto, false, &mut out);
            assert_eq!((updated, out.len()), (Err(Alert::INTERNAL_ERROR), 0));
            let (taken, len) = send_into(&mut ours, b"data", least + 1);
            assert!(taken.unwrap() > 0 && len <= least + 1);
            assert!(!ours.connection.owes_update());
        });
    }
}

/// Alerts have the names of section 6, for people to read.
#[test]
fn names_of_alerts() {
    for (code, name) in [
        (0, "close_notify"),
        (40, "handshake_failure"),
        (255, "unknown"),
    ] {
        let alert = Alert::from_code(code);
        assert_eq!(alert.name(), name);
        assert_eq!(alert.to_string(), format!("{name} ({code})"));
    }
}
