//! The key exchange on P-384 (secp384r1).

use std::sync::Arc;

use rustls::NamedGroup::{X25519, secp256r1, secp384r1};
use usockets::tls::{
    Alert, ClientConfig, Config, Crypto as _, Group, Private, SHARE_MAX, ServerConfig, Shared,
};
use usockets_tests_tls::{Authority, Crypto, Kind, Machine, Ours, Theirs, group, pump};

/// Peers that know no other group, and one that has a share of both it and of a preferred one.
#[test]
fn peers_with_it() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    for (groups, as_client, as_server) in [
        (&[secp384r1][..], secp384r1, secp384r1),
        (&[secp384r1, secp256r1], secp256r1, secp384r1),
        (&[X25519, secp384r1], X25519, X25519),
    ] {
        let known: Vec<_> = groups.iter().map(|code| group(*code)).collect();
        let suites = [usockets_tests_tls::suite(
            rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
        )];
        let provider = Theirs::provider(&suites, &known);
        let client = Theirs::client_config(provider.clone(), &authority);
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        let mut ours = Ours::server(1);
        pump(&mut ours, &config, &mut theirs, 100);
        assert!(theirs.is_open() && ours.connection.is_open());
        let chosen = theirs.connection.negotiated_key_exchange_group().unwrap();
        assert_eq!(chosen.name(), as_server, "{groups:?}");
        assert_eq!(ours.peer.group().unwrap().code(), u16::from(as_server));

        let server = Theirs::server_config(provider, &leaf);
        let mut theirs = Theirs::server(Arc::new(server));
        let mut ours = Ours::client(1, &config, "localhost");
        pump(&mut ours, &config, &mut theirs, 100);
        assert!(
            theirs.is_open() && ours.connection.is_open(),
            "{:?}",
            ours.broken
        );
        let chosen = theirs.connection.negotiated_key_exchange_group().unwrap();
        if as_client != secp256r1 {
            assert_eq!(chosen.name(), as_client, "{groups:?}");
        }
    }
}

/// Shares that are too short or too long, compressed, or no points of the curve (RFC 8446, section
/// 4.2.8.2).
#[test]
fn bad_shares() {
    let mut crypto = Crypto::new(Machine::new(3));
    let mut private = Private::ZERO;
    let mut share = [0; SHARE_MAX];
    let len = crypto.offer(Group::P384, &mut private, &mut share).unwrap();
    assert_eq!(len, 97);
    let mut other = Private::ZERO;
    let mut theirs = [0; SHARE_MAX];
    crypto.offer(Group::P384, &mut other, &mut theirs).unwrap();
    let good = theirs[..97].to_vec();
    let mut shared = Shared::EMPTY;
    let mut agree = |theirs: &[u8]| {
        let agreed = crypto.agree(Group::P384, &private, theirs, &mut shared);
        agreed.map(|()| shared.get().to_vec())
    };
    assert_eq!(agree(&good).map(|secret| secret.len()), Ok(48));
    let compressed = [&[2], &good[1..49]].concat();
    let mut off = good.clone();
    off[96] ^= 1;
    let long = [&good[..], &[0]].concat();
    let infinity = [0];
    for bad in [&good[..96], &long, &compressed, &off, &infinity, &[]] {
        assert_eq!(agree(bad), Err(Alert::ILLEGAL_PARAMETER));
    }
}
