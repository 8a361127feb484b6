//! A caller that hands a connection another handshake than the one it began with: the connection
//! ends with `internal_error`, in every state, and is never open.

use usockets::tls::{Alert, ClientAuth, ClientConfig, Config, Handshake, ServerConfig};
use usockets_tests_tls::{Authority, Broken, Kind, Ours, settle};

/// Shakes hands with one record at a time, and mixes up one side's handshake before record `at`
/// that it reads; returns how that side ended, and false if there was no such record.
fn mix_up(config: &Config<'_>, is_client: bool, at: usize) -> (Ours, bool) {
    let mut client = Ours::client(1, config, "localhost");
    let mut server = Ours::server(2);
    let mut reads = 0;
    let mut is_mixed = false;
    loop {
        let to_server = core::mem::take(&mut client.output);
        let to_client = core::mem::take(&mut server.output);
        if to_server.is_empty() && to_client.is_empty() {
            break;
        }
        for (is_to_client, bytes) in [(false, to_server), (true, to_client)] {
            let mut rest = &bytes[..];
            while rest.len() >= 5 {
                let len = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
                let (record, after) = rest.split_at(len.min(rest.len()));
                rest = after;
                let ours = if is_to_client {
                    &mut client
                } else {
                    &mut server
                };
                if is_to_client == is_client && !ours.connection.is_open() {
                    if reads == at {
                        *ours.handshake = Handshake::EMPTY;
                        is_mixed = true;
                    }
                    reads += 1;
                }
                ours.feed(config, record);
            }
        }
    }
    (if is_client { client } else { server }, is_mixed)
}

#[test]
fn a_handshake_of_another_connection_ends_this_one() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let server = authority.issue(Kind::P256, &["localhost"]);
    let person = authority.issue(Kind::P256, &["person"]);
    let (server_slices, person_slices) = (server.slices(), person.slices());
    let person = person.identity(&person_slices);
    let mut endings = 0;
    for policy in [ClientAuth::Off, ClientAuth::Required(&roots)] {
        let identities = [server.identity(&server_slices).client_auth(policy)];
        let client = ClientConfig::new(&roots).identity(&person);
        let config = Config::new(ServerConfig::new(&identities), client);
        let mut whole = (Ours::client(1, &config, "localhost"), Ours::server(2));
        settle(&mut whole.0, &config, &mut whole.1, &config);
        assert!(whole.0.connection.is_open() && whole.1.connection.is_open());
        for is_client in [false, true] {
            for at in 0.. {
                let (ours, is_mixed) = mix_up(&config, is_client, at);
                if !is_mixed {
                    break;
                }
                let is_first = !is_client && at == 0;
                // Nothing has been put into a server's before its first record; and one for a
                // change-cipher-spec record, which means nothing, is not missed before the next.
                match is_first {
                    true => assert!(ours.connection.is_open()),
                    false => {
                        let internal = Some(Broken::Sent(Alert::INTERNAL_ERROR));
                        assert_eq!(ours.broken, internal, "client: {is_client}, record {at}");
                        endings += 1;
                    }
                }
            }
        }
    }
    assert!(endings >= 6, "{endings} endings");
}
