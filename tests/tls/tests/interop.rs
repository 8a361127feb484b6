//! Handshakes and data with rustls, in both roles, over every combination both support.

use std::sync::Arc;

use rustls::{CipherSuite, NamedGroup};
use usockets::tls::{ClientAuth, ClientConfig, Config, ServerConfig};
use usockets_tests_tls::{Authority, Kind, Ours, Theirs, group, pump, suite};

const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];
/// With the second of each pair, our side's first choice has no share.
const GROUPS: [&[NamedGroup]; 5] = [
    &[NamedGroup::X25519],
    &[NamedGroup::secp256r1],
    &[NamedGroup::secp384r1],
    &[NamedGroup::secp521r1, NamedGroup::X25519],
    &[NamedGroup::secp521r1, NamedGroup::secp384r1],
];
const KINDS: [Kind; 2] = [Kind::P256, Kind::Ed25519];
const CHUNKS: [usize; 3] = [usize::MAX, 1, 61];

/// Sends data both ways, new keys, and the ends.
fn talk(ours: &mut Ours, config: &Config<'_>, theirs: &mut Theirs, chunk: usize) {
    let long: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    assert!(
        ours.connection.is_open(),
        "{:?} {:?}",
        ours.broken,
        theirs.error
    );
    assert!(theirs.is_open(), "{:?}", theirs.error);
    assert_eq!(ours.opened, 1);
    theirs.send(b"hello from them");
    ours.send(b"hello from us");
    pump(ours, config, theirs, chunk);
    assert_eq!(ours.data, b"hello from them");
    assert_eq!(theirs.data, b"hello from us");
    ours.data.clear();
    theirs.data.clear();

    ours.update_keys(true);
    theirs.connection.refresh_traffic_keys().unwrap();
    theirs.send(&long);
    ours.send(&long);
    pump(ours, config, theirs, chunk);
    assert_eq!(ours.data, long);
    assert_eq!(theirs.data, long);

    ours.finish();
    pump(ours, config, theirs, chunk);
    assert!(theirs.has_finished);
    theirs.send(b"after your end");
    theirs.connection.send_close_notify();
    pump(ours, config, theirs, chunk);
    assert!(ours.data.ends_with(b"after your end"));
    assert!(ours.has_finished);
    assert_eq!(ours.broken, None);
    assert_eq!(theirs.error, None);
}

#[test]
fn our_server_with_their_client() {
    let authority = Authority::new(Kind::P256);
    for kind in KINDS {
        let leaf = authority.issue(kind, &["localhost"]);
        let slices = leaf.slices();
        let roots = authority.anchors();
        let person = authority.issue(kind, &["client"]);
        for (suite_code, groups, chunk, policy) in combinations() {
            let policy = match policy {
                0 => ClientAuth::Off,
                1 => ClientAuth::Requested(&roots),
                _ => ClientAuth::Required(&roots),
            };
            let identities = [leaf.identity(&slices).client_auth(policy)];
            let config = Config::server(ServerConfig::new(&identities).protocols(&[b"h2", b"x"]));
            let groups: Vec<_> = groups.iter().map(|code| group(*code)).collect();
            let provider = Theirs::provider(&[suite(suite_code)], &groups);
            let builder = rustls::ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_root_certificates(authority.root_store());
            let mut client = if matches!(policy, ClientAuth::Required(_)) {
                builder
                    .with_client_auth_cert(person.rustls_chain(), person.rustls_key())
                    .unwrap()
            } else {
                builder.with_no_client_auth()
            };
            client.alpn_protocols = vec![b"y".to_vec(), b"x".to_vec()];
            let mut theirs = Theirs::client(Arc::new(client), "localhost");
            let mut ours = Ours::server(1);
            pump(&mut ours, &config, &mut theirs, chunk);
            assert_eq!(ours.connection.protocol(), Some(1));
            assert_eq!(theirs.connection.alpn_protocol(), Some(&b"x"[..]));
            assert_eq!(ours.connection.suite().code(), u16::from(suite_code));
            talk(&mut ours, &config, &mut theirs, chunk);
        }
    }
}

#[test]
fn our_client_with_their_server() {
    for (root_kind, kind) in [
        (Kind::P256, Kind::P256),
        (Kind::P384, Kind::Ed25519),
        (Kind::Ed25519, Kind::P256),
    ] {
        let authority = Authority::new(root_kind);
        let between = authority.issue_authority(root_kind, true);
        let leaf = between.issue(kind, &["localhost", "127.0.0.1"]);
        let roots = authority.anchors();
        let person = authority.issue(kind, &["client"]);
        let slices = person.slices();
        let identity = person.identity(&slices);
        for (suite_code, groups, chunk, policy) in combinations() {
            let mut client = ClientConfig::new(&roots).protocols(&[b"h2", b"x"]);
            if policy == 2 {
                client = client.identity(&identity);
            }
            let config = Config::client(client);
            let groups: Vec<_> = groups.iter().map(|code| group(*code)).collect();
            let provider = Theirs::provider(&[suite(suite_code)], &groups);
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(authority.root_store()),
                provider.clone(),
            );
            let builder = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap();
            let builder = match policy {
                0 => builder.with_no_client_auth(),
                1 => builder
                    .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap()),
                _ => builder.with_client_cert_verifier(verifier.build().unwrap()),
            };
            let mut server = builder
                .with_single_cert(leaf.rustls_chain(), leaf.rustls_key())
                .unwrap();
            server.alpn_protocols = vec![b"x".to_vec()];
            let mut theirs = Theirs::server(Arc::new(server));
            let name = if chunk == 1 { "127.0.0.1" } else { "LocalHost" };
            let mut ours = Ours::client(2, &config, name);
            pump(&mut ours, &config, &mut theirs, chunk);
            assert_eq!(ours.connection.protocol(), Some(1), "{:?}", ours.broken);
            assert_eq!(ours.connection.suite().code(), u16::from(suite_code));
            assert_eq!(theirs.connection.peer_certificates().is_some(), policy == 2);
            talk(&mut ours, &config, &mut theirs, chunk);
        }
    }
}

/// Every suite, group list, chunk size and client-certificate policy: 0 off, 1 requested and not
/// given, 2 required and given.
fn combinations() -> impl Iterator<Item = (CipherSuite, &'static [NamedGroup], usize, u8)> {
    SUITES.into_iter().flat_map(|suite| {
        GROUPS.into_iter().flat_map(move |groups| {
            CHUNKS
                .into_iter()
                .flat_map(move |chunk| (0..3).map(move |policy| (suite, groups, chunk, policy)))
        })
    })
}
