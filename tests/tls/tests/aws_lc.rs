//! The cryptography by aws-lc-rs: handshakes with rustls and with the portable cryptography, in
//! both roles, over every suite, group and kind of key.
#![cfg(feature = "aws-lc-rs")]

use std::sync::Arc;

use rustls::{CipherSuite, NamedGroup};
use usockets::tls::{
    Alert, ClientConfig, Config, Crypto as _, Identity, KeyError, Scheme, ServerConfig,
    Signer as _, Suite,
};
use usockets_linux::{AwsLc, AwsLcKey};
use usockets_tests_tls::{
    Authority, Crypto, Kind, Leaf, Machine, Ours, Theirs, group, pump, pump_pair, suite,
};

type Fast = AwsLc<Machine>;

const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];
const GROUPS: [NamedGroup; 3] = [
    NamedGroup::X25519,
    NamedGroup::secp256r1,
    NamedGroup::secp384r1,
];

/// Tries each kind of key that aws-lc-rs signs with: what both roles go by, and its certificate.
fn with_each_key(authority: &Authority, test: impl Fn(&Config<'_>, &Leaf)) {
    let roots = authority.anchors();
    for kind in [Kind::P256, Kind::P384, Kind::Rsa(2_048)] {
        let leaf = authority.issue(kind, &["localhost"]);
        let key = AwsLcKey::from_der(&leaf.document).unwrap();
        assert_eq!(key.scheme(), leaf.signer.scheme());
        let slices = leaf.slices();
        let identities = [Identity::new(&slices, &key)];
        let server = ServerConfig::new(&identities);
        test(&Config::new(server, ClientConfig::new(&roots)), &leaf);
    }
}

fn talk(ours: &mut Ours<Fast>, config: &Config<'_>, theirs: &mut Theirs) {
    let long = [7; 40_000];
    pump(ours, config, theirs, usize::MAX);
    assert!(
        ours.connection.is_open(),
        "{:?} {:?}",
        ours.broken,
        theirs.error
    );
    theirs.send(&long);
    ours.send(&long);
    pump(ours, config, theirs, usize::MAX);
    assert_eq!(ours.data, long);
    assert_eq!(theirs.data, long);
}

#[test]
fn with_rustls() {
    let authority = Authority::new(Kind::P256);
    with_each_key(&authority, |config, leaf| {
        for suite_code in SUITES {
            for group_code in GROUPS {
                let provider = Theirs::provider(&[suite(suite_code)], &[group(group_code)]);
                let client = Theirs::client_config(provider.clone(), &authority);
                let mut theirs = Theirs::client(Arc::new(client), "localhost");
                let mut ours = Ours::server_with(Fast::new(Machine::new(1)));
                talk(&mut ours, config, &mut theirs);

                let server = Theirs::server_config(provider, leaf);
                let mut theirs = Theirs::server(Arc::new(server));
                let crypto = Fast::new(Machine::new(2));
                let mut ours = Ours::client_of(crypto, config, "localhost", Vec::new());
                talk(&mut ours, config, &mut theirs);
            }
        }
    });
}

/// From one place to another, as the portable cryptography does it in place; and not where there is
/// too little room for the tag.
#[test]
fn records_from_elsewhere() {
    let (mut fast, mut portable) = (Fast::new(Machine::new(1)), Crypto::new(Machine::new(1)));
    let (key, nonce, data) = ([7; 32], [8; 12], [9; 1_000]);
    for suite in Suite::ALL {
        for len in [0, 1, 15, 16, 17, 1_000] {
            let parts = [&data[..len], &[23]];
            let mut sealed = [vec![0; len + 17], vec![0; len + 17]];
            let [one, other] = &mut sealed;
            let made = fast.seal_into(*suite, &key, &nonce, b"header", parts, one);
            assert_eq!(made, Ok(()));
            let made = portable.seal_into(*suite, &key, &nonce, b"header", parts, other);
            assert_eq!(made, Ok(()));
            assert_eq!(one, other, "{suite:?}, {len} bytes");
            let (opened, tag) = one.split_last_chunk_mut().unwrap();
            let is_opened = fast.open(*suite, &key, &nonce, b"header", opened, tag);
            assert_eq!((is_opened, &*opened), (Ok(()), &*parts.concat()));
            let short = &mut other[..len + 16];
            let made = fast.seal_into(*suite, &key, &nonce, b"header", parts, short);
            assert_eq!(made, Err(Alert::INTERNAL_ERROR));
        }
    }
}

#[test]
fn with_the_portable_cryptography() {
    let authority = Authority::new(Kind::Ed25519);
    with_each_key(&authority, |config, _| {
        let portable = Crypto::new(Machine::new(3));
        let mut client = Ours::client_of(portable, config, "localhost", Vec::new());
        let mut server = Ours::server_with(Fast::new(Machine::new(4)));
        pump_pair(&mut client, config, &mut server, config, 61);
        assert!(client.connection.is_open() && server.connection.is_open());
        client.send(b"up");
        server.send(b"down");
        pump_pair(&mut client, config, &mut server, config, 61);
        assert_eq!(
            (&client.data[..], &server.data[..]),
            (&b"down"[..], &b"up"[..])
        );
    });
}

/// A key signs by the schemes that it affirms, and by no other.
#[test]
fn schemes_of_other_keys() {
    const SCHEMES: [Scheme; 9] = [
        Scheme::ECDSA_P256_SHA256,
        Scheme::ECDSA_P384_SHA384,
        Scheme::ED25519,
        Scheme::RSA_PSS_RSAE_SHA256,
        Scheme::RSA_PSS_RSAE_SHA384,
        Scheme::RSA_PSS_RSAE_SHA512,
        Scheme::RSA_PKCS1_SHA256,
        Scheme::RSA_PKCS1_SHA384,
        Scheme::RSA_PKCS1_SHA512,
    ];
    let authority = Authority::new(Kind::P256);
    for (kind, affirmed) in [
        (Kind::P256, &SCHEMES[..1]),
        (Kind::P384, &SCHEMES[1..2]),
        (Kind::Rsa(2_048), &SCHEMES[3..6]),
    ] {
        let leaf = authority.issue(kind, &["localhost"]);
        let key = AwsLcKey::from_der(&leaf.document).unwrap();
        for scheme in SCHEMES {
            let signs = affirmed.contains(&scheme);
            assert_eq!(key.signs_by(scheme), signs, "{kind:?}, {scheme:?}");
            let signed = key.sign_by(scheme, b"a message", &mut [0; 256]);
            assert_eq!(signed.is_some(), signs, "{kind:?}, {scheme:?}");
        }
    }
}

/// A key of another kind, and no key at all.
#[test]
fn keys_that_are_none() {
    let authority = Authority::new(Kind::P256);
    let other = authority.issue(Kind::Ed25519, &["localhost"]);
    let error = AwsLcKey::from_der(&other.document).unwrap_err();
    assert_eq!(error, KeyError::OtherKind);
    assert!(AwsLcKey::from_der(b"no key").is_err());
}
