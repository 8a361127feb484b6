//! Keys that sign by several schemes: an RSA key, by whichever the peer verifies. And P-384 keys.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use usockets::tls::{Alert, ClientAuth, ClientConfig, Config, Identity, ServerConfig};
use usockets_tests_tls::{Authority, Broken, Kind, Ours, Theirs, pump, settle};

/// A rustls that verifies handshakes by `scheme` only, and certificates by any.
fn only(scheme: SignatureScheme) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let all = provider.signature_verification_algorithms;
    let mapping = all.mapping.iter().filter(|(known, _)| *known == scheme);
    let mapping: Vec<_> = mapping.copied().collect();
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: all.all,
        mapping: mapping.leak(),
    };
    Arc::new(provider)
}

const SCHEMES: [SignatureScheme; 3] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

#[test]
fn an_rsa_server_signs_by_what_the_client_verifies() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::Rsa(2_048), &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities));
    for scheme in SCHEMES {
        let client = Theirs::client_config(only(scheme), &authority);
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        let mut ours = Ours::server(1);
        pump(&mut ours, &config, &mut theirs, 1_000);
        assert!(theirs.is_open() && ours.connection.is_open(), "{scheme:?}");
    }
    // None that it has: PKCS #1 is for certificates only (RFC 8446, section 4.2.3).
    for scheme in [
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::RSA_PKCS1_SHA256,
    ] {
        let client = Theirs::client_config(only(scheme), &authority);
        let mut theirs = Theirs::client(Arc::new(client), "localhost");
        let mut ours = Ours::server(1);
        pump(&mut ours, &config, &mut theirs, 1_000);
        assert_eq!(ours.broken, Some(Broken::Sent(Alert::HANDSHAKE_FAILURE)));
    }
}

#[test]
fn an_rsa_client_signs_by_what_the_server_verifies() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let person = authority.issue(Kind::Rsa(2_048), &["person"]);
    let slices = person.slices();
    let identity = person.identity(&slices);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots).identity(&identity));
    for scheme in SCHEMES {
        let provider = only(scheme);
        let roots = Arc::new(authority.root_store());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(leaf.rustls_chain(), leaf.rustls_key())
            .unwrap();
        let mut theirs = Theirs::server(Arc::new(server));
        let mut ours = Ours::client(1, &config, "localhost");
        pump(&mut ours, &config, &mut theirs, 1_000);
        assert!(theirs.is_open() && ours.connection.is_open(), "{scheme:?}");
        assert!(theirs.connection.peer_certificates().is_some());
    }
}

/// What is signed with P-384 is verified, of a server by our client, and of a client by our server.
#[test]
fn what_a_p384_key_signs_is_verified() {
    let authority = Authority::new(Kind::P384);
    let leaf = authority.issue(Kind::P384, &["localhost"]);
    let person = authority.issue(Kind::P384, &["person"]);
    let roots = authority.anchors();
    let provider = Theirs::whole_provider();
    let server = Theirs::server_config(provider.clone(), &leaf);
    let config = Config::client(ClientConfig::new(&roots));
    let mut theirs = Theirs::server(Arc::new(server));
    let mut ours = Ours::client(1, &config, "localhost");
    pump(&mut ours, &config, &mut theirs, 1_000);
    assert!(theirs.is_open() && ours.connection.is_open());

    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(authority.root_store())
        .with_client_auth_cert(person.rustls_chain(), person.rustls_key())
        .unwrap();
    let slices = leaf.slices();
    let identities = [leaf
        .identity(&slices)
        .client_auth(ClientAuth::Required(&roots))];
    let config = Config::server(ServerConfig::new(&identities));
    let mut theirs = Theirs::client(Arc::new(client), "localhost");
    let mut ours = Ours::server(1);
    pump(&mut ours, &config, &mut theirs, 1_000);
    assert!(theirs.is_open() && ours.connection.is_open());

    // Another key than the certificate's.
    let other = authority.issue(Kind::P384, &["localhost"]);
    let identities = [Identity::new(&slices, other.signer.as_ref())];
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let (mut client, mut server) = (Ours::client(1, &config, "localhost"), Ours::server(2));
    settle(&mut client, &config, &mut server, &config);
    assert_eq!(client.broken, Some(Broken::Sent(Alert::DECRYPT_ERROR)));
}
