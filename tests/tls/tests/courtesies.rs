//! What a peer or a middlebox expects to see, though nothing depends on it.

use usockets::tls::{Alert, ClientConfig, Config, ServerConfig};
use usockets_tests_tls::puppet::{DATA, Puppet, extension, message, record, vector16};
use usockets_tests_tls::{Authority, Broken, Kind, Ours};

/// RFC 8446, appendix D.4: a client sends a change-cipher-spec record before its first protected
/// one, also if that is an alert.
#[test]
fn a_change_cipher_spec_comes_before_a_clients_alert() {
    let roots = Authority::new(Kind::P256).anchors();
    let config = Config::client(ClientConfig::new(&roots));
    let mut client = Ours::client(1, &config, "localhost");
    let hello = core::mem::take(&mut client.output);
    let (mut puppet, answer) = Puppet::server(&hello);
    client.feed(&config, &answer);
    assert!(client.output.is_empty());
    // No message that may come now.
    client.feed(&config, &puppet.seal(&message(11, &[0, 0, 0, 0])));
    assert_eq!(client.broken, Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE)));
    assert_eq!(client.output[..6], [20, 3, 3, 0, 1, 1]);
    assert_eq!(client.output[6], DATA);
    assert_eq!(client.output.len(), 6 + 5 + 2 + 1 + 16);
    // Once only.
    client.output.clear();
    client.alert(Alert::CLOSE_NOTIFY);
    assert_eq!(client.output[0], DATA);

    // An alert in the clear needs none.
    let mut client = Ours::client(1, &config, "localhost");
    client.output.clear();
    client.feed(&config, &record(22, &message(8, &[0, 0])));
    assert_eq!(client.output[0], 21);
}

/// RFC 6066, section 3: a server whose certificate was chosen by the name says so.
#[test]
fn a_name_that_was_used_is_acknowledged() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost", "other"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices).names(&["localhost", "*.example"])];
    let config = Config::server(ServerConfig::new(&identities));
    let roots = authority.anchors();
    let client_config = Config::client(ClientConfig::new(&roots));
    for (name, is_known) in [("localhost", true), ("a.example", true), ("other", false)] {
        let (mut puppet, hello) = Puppet::client(name, &[]);
        let mut server = Ours::server(1);
        server.feed(&config, &hello);
        let flight = puppet.read_flight(&core::mem::take(&mut server.output));
        let extensions: &[u8] = match is_known {
            true => &[8, 0, 0, 6, 0, 4, 0, 0, 0, 0],
            false => &[8, 0, 0, 2, 0, 0],
        };
        assert!(flight.starts_with(extensions), "{name}");
    }
    // Ours take it.
    let mut client = Ours::client(1, &client_config, "localhost");
    let mut server = Ours::server(2);
    usockets_tests_tls::settle(&mut client, &client_config, &mut server, &config);
    assert!(client.connection.is_open() && server.connection.is_open());
}

/// RFC 8446, appendix D.4: a server sends a change-cipher-spec record behind its first message, be
/// it a wish for another hello, to a client with a session ID, and to no other.
#[test]
fn a_change_cipher_spec_comes_behind_a_servers_first_message() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    for id in [&[][..], &[5; 32]] {
        for is_retried in [false, true] {
            let [first, second] = two_hellos(id);
            let mut server = Ours::server(1);
            if is_retried {
                server.feed(&config, &first);
                let sent = core::mem::take(&mut server.output);
                let kinds: &[u8] = if id.is_empty() { &[22] } else { &[22, 20] };
                assert_eq!(contents(&sent), kinds);
                server.feed(&config, &second);
            } else {
                // Without early data.
                let (_, hello) = Puppet::client("localhost", &[]);
                let at = 5 + 4 + 2 + 32;
                let len = u8::try_from(id.len()).unwrap();
                let body = [&hello[9..at], &[len], id, &hello[at + 1..]].concat();
                server.feed(&config, &record(22, &message(1, &body)));
            }
            assert_eq!(server.broken, None);
            let kinds = contents(&server.output);
            let is_changed = !id.is_empty() && !is_retried;
            assert_eq!(kinds[..2], [22, if is_changed { 20 } else { DATA }]);
            assert!(kinds[2..].iter().all(|kind| *kind == DATA), "{kinds:?}");
        }
    }
}

/// Returns the kinds of records.
fn contents(mut records: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [kind, 3, 3, high, low, rest @ ..] = records {
        kinds.push(*kind);
        records = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    assert!(records.is_empty());
    kinds
}

/// A hello that offers early data and no share, so that the server asks for one; and the second.
fn two_hellos(id: &[u8]) -> [Vec<u8>; 2] {
    let id = [&[u8::try_from(id.len()).unwrap()], id].concat();
    let hello = |shares: &[u8], more: &[u8]| {
        let extensions = [
            &extension(43, &[2, 3, 4])[..],
            &extension(10, &[0, 2, 0, 0x1d]),
            &extension(13, &[0, 4, 4, 3, 8, 7]),
            &extension(51, &vector16(shares)),
            more,
        ];
        let body = [
            &[3, 3][..],
            &[9; 32],
            &id,
            &[0, 2, 0x13, 1],
            &[1, 0],
            &vector16(&extensions.concat()),
        ];
        record(22, &message(1, &body.concat()))
    };
    // Any point but those of a small order.
    let share = [&[0, 0x1d, 0, 32][..], &[9; 32]].concat();
    [hello(&[], &extension(42, &[])), hello(&share, &[])]
}

/// RFC 8446, section 4.1.2: a client that was asked for a second hello may send no early data after
/// it; before, it may have been on its way.
#[test]
fn early_data_ends_with_the_second_hello() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    let [first, second] = two_hellos(&[]);
    let early = record(DATA, &[0x55; 1_000]);
    let mut server = Ours::server(1);
    server.feed(&config, &first);
    server.feed(&config, &early);
    server.feed(&config, &second);
    assert_eq!(server.broken, None);
    server.feed(&config, &early);
    assert_eq!(server.broken, Some(Broken::Sent(Alert::UNEXPECTED_MESSAGE)));
}

/// RFC 8446, section 4.2.10: what counts is the plaintext, not the tags around it.
#[test]
fn early_data_is_counted_as_plaintext() {
    const EARLY_MAX: usize = 32_768;
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    for len in [1, 100, 16_384] {
        let (_, hello) = Puppet::client("localhost", &[extension(42, &[])]);
        let mut server = Ours::server(1);
        server.feed(&config, &hello);
        let many = record(DATA, &vec![0x55; len + 17]).repeat(EARLY_MAX / len);
        server.feed(&config, &many);
        assert_eq!(server.broken, None, "{len}");
        server.feed(&config, &record(DATA, &vec![0x55; 18.max(len)]));
        assert_eq!(server.broken, Some(Broken::Sent(Alert::BAD_RECORD_MAC)));
    }
}
