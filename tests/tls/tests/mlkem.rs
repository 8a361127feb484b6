//! The post-quantum key exchange, with rustls and with ourselves. Feature `tls-mlkem`.
#![cfg(feature = "tls-mlkem")]

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use usockets::tls::{ClientConfig, Config, ServerConfig};
use usockets_tests_tls::{Authority, Kind, Ours, Theirs, pump, settle};

fn provider(groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    })
}

fn talk(ours: &mut Ours, config: &Config<'_>, theirs: &mut Theirs) {
    pump(ours, config, theirs, 100);
    assert!(
        ours.connection.is_open(),
        "{:?} {:?}",
        ours.broken,
        theirs.error
    );
    theirs.send(b"ping");
    ours.send(b"pong");
    pump(ours, config, theirs, 100);
    assert_eq!(
        (&ours.data[..], &theirs.data[..]),
        (&b"ping"[..], &b"pong"[..])
    );
}

#[test]
fn with_rustls() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    // What they can do, and what it comes to.
    let all: [(&[&'static dyn SupportedKxGroup], _); 5] = [
        (&[X25519MLKEM768], rustls::NamedGroup::X25519MLKEM768),
        (
            &[X25519MLKEM768, X25519],
            rustls::NamedGroup::X25519MLKEM768,
        ),
        (&[SECP384R1], rustls::NamedGroup::secp384r1),
        (&[X25519], rustls::NamedGroup::X25519),
        (&[SECP256R1], rustls::NamedGroup::secp256r1),
    ];
    for (groups, expected) in all {
        let client = Theirs::client_config(provider(groups), &authority);
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        talk(&mut Ours::server(1), &config, &mut theirs);
        let group = theirs.connection.negotiated_key_exchange_group();
        assert_eq!(group.unwrap().name(), expected);

        let server = Theirs::server_config(provider(groups), &leaf);
        let mut theirs = Theirs::server(Arc::new(server));
        talk(
            &mut Ours::client(1, &config, "localhost"),
            &config,
            &mut theirs,
        );
        let group = theirs.connection.negotiated_key_exchange_group();
        assert_eq!(group.unwrap().name(), expected);
    }
}

#[test]
fn a_bad_share_is_refused() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let mut client = Ours::client(1, &config, "localhost");
    // The share begins behind its group and its length.
    let group = [0x11, 0xec, 0x04, 0xc0];
    let hello = client.output.windows(4);
    let at = 4 + hello.clone().position(|four| four == group).unwrap();
    let mut bytes = client.output.clone();
    // Coefficients out of range.
    bytes[at..at + 6].fill(0xff);
    let mut server = Ours::server(1);
    server.feed(&config, &bytes);
    let broken = Some(usockets_tests_tls::Broken::Sent(
        usockets::tls::Alert::ILLEGAL_PARAMETER,
    ));
    assert_eq!(server.broken, broken);

    let mut server = Ours::server(1);
    settle(&mut client, &config, &mut server, &config);
    assert!(client.connection.is_open() && server.connection.is_open());
}
