//! RSA signatures: of chains, of handshakes, and bad ones.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature as by_ring;
use rustls::pki_types::{AlgorithmIdentifier, alg_id};
use usockets::tls::{Alert, ClientAuth, ClientConfig, Config, Crypto as _, ServerConfig};
use usockets_tests_tls::{Authority, Broken, Crypto, Kind, Ours, Theirs, pump, rsa, settle};

/// The names of what usockets verifies, with what makes it.
fn paddings() -> [(AlgorithmIdentifier, &'static dyn by_ring::RsaEncoding); 6] {
    [
        (alg_id::RSA_PKCS1_SHA256, &by_ring::RSA_PKCS1_SHA256),
        (alg_id::RSA_PKCS1_SHA384, &by_ring::RSA_PKCS1_SHA384),
        (alg_id::RSA_PKCS1_SHA512, &by_ring::RSA_PKCS1_SHA512),
        (alg_id::RSA_PSS_SHA256, &by_ring::RSA_PSS_SHA256),
        (alg_id::RSA_PSS_SHA384, &by_ring::RSA_PSS_SHA384),
        (alg_id::RSA_PSS_SHA512, &by_ring::RSA_PSS_SHA512),
    ]
}

/// Returns whether usockets takes the signature.
fn verifies(name: AlgorithmIdentifier, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut known = Crypto::ALGORITHMS.iter();
    let algorithm = known.find(|known| {
        known.signature_alg_id() == name && known.public_key_alg_id() == alg_id::RSA_ENCRYPTION
    });
    let algorithm = algorithm.expect("an algorithm of ours");
    algorithm.verify_signature(key, message, signature).is_ok()
}

#[test]
fn good_signatures_and_changed_ones() {
    for bits in [2_048, 3_072, 4_096] {
        let pair = rsa(bits, &rcgen::PKCS_RSA_SHA256);
        let pair = KeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
        let key = pair.public().as_ref();
        for (name, padding) in paddings() {
            let mut signature = vec![0; pair.public().modulus_len()];
            let random = SystemRandom::new();
            pair.sign(padding, &random, b"a message", &mut signature)
                .unwrap();
            assert!(verifies(name, key, b"a message", &signature));
            assert!(!verifies(name, key, b"A message", &signature));
            for place in [0, 1, 100, signature.len() / 2, signature.len() - 1] {
                for bit in [1, 0x80] {
                    signature[place] ^= bit;
                    assert!(!verifies(name, key, b"a message", &signature));
                    signature[place] ^= bit;
                }
            }
            let short = &signature[..signature.len() - 1];
            assert!(!verifies(name, key, b"a message", short));
            let long = [&signature[..], &[0]].concat();
            assert!(!verifies(name, key, b"a message", &long));
            let led = [&[0], &signature[..]].concat();
            assert!(!verifies(name, key, b"a message", &led));
            for (other, _) in paddings() {
                assert_eq!(
                    other == name,
                    verifies(other, key, b"a message", &signature)
                );
            }
        }
    }
}

/// Keys that are too short, too long or malformed verify nothing, and harm nothing.
#[test]
fn bad_keys() {
    let name = alg_id::RSA_PKCS1_SHA256;
    for bits in [1_024, 2_040, 4_104] {
        let (key, signature) = sign_by_openssl(bits, USUAL, &[]);
        assert!(!verifies(name, &key, b"a message", &signature), "{bits}");
    }
    let pair = rsa(2_048, &rcgen::PKCS_RSA_SHA256);
    let pair = KeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
    let key = pair.public().as_ref().to_vec();
    let mut signature = vec![0; 256];
    pair.sign(
        &by_ring::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        b"a message",
        &mut signature,
    )
    .unwrap();
    assert!(verifies(name, &key, b"a message", &signature));
    for len in 0..key.len() {
        assert!(!verifies(name, &key[..len], b"a message", &signature));
    }
    for place in 0..key.len() {
        for bit in [1, 0x80] {
            let mut changed = key.clone();
            changed[place] ^= bit;
            assert!(!verifies(name, &changed, b"a message", &signature));
        }
    }
    for signature in [vec![0; 256], vec![0xff; 256], vec![]] {
        assert!(!verifies(name, &key, b"a message", &signature));
    }
}

/// Moduli that do not fill their words, or whose top byte has one bit.
#[test]
fn odd_lengths() {
    const PSS: [&str; 4] = [
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:digest",
    ];
    for bits in [2_049, 2_050, 2_056, 3_079, 4_089] {
        let (key, signature) = sign_by_openssl(bits, USUAL, &[]);
        let name = alg_id::RSA_PKCS1_SHA256;
        assert!(verifies(name, &key, b"a message", &signature), "{bits}");
        let (key, signature) = sign_by_openssl(bits, USUAL, &PSS);
        let name = alg_id::RSA_PSS_SHA256;
        assert!(verifies(name, &key, b"a message", &signature), "{bits}");
        assert!(!verifies(name, &key, b"another", &signature), "{bits}");
    }
}

/// The exponent of nearly every key.
const USUAL: u64 = 65_537;

/// The least prime that is an exponent, the greatest of four bytes, which is accepted, and the
/// least of five.
#[test]
fn long_exponents() {
    let name = alg_id::RSA_PKCS1_SHA256;
    for (exponent, is_taken) in [(3, true), (0xffff_fffb, true), (0x1_0000_000f, false)] {
        let (key, signature) = sign_by_openssl(2_048, exponent, &[]);
        let exponent_bytes = exponent.to_be_bytes();
        assert!(key.ends_with(&exponent_bytes[8 - 1 - exponent.ilog2() as usize / 8..]));
        let taken = verifies(name, &key, b"a message", &signature);
        assert_eq!(taken, is_taken, "{exponent}");
        assert!(!verifies(name, &key, b"another", &signature), "{exponent}");
    }
}

/// Returns the `RSAPublicKey` of a fresh key, and its signature of "a message".
fn sign_by_openssl(bits: u32, exponent: u64, options: &[&str]) -> (Vec<u8>, Vec<u8>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("usockets-rsa-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let path_text = path.to_str().unwrap();
    let run = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let length = format!("rsa_keygen_bits:{bits}");
    let exponent = format!("rsa_keygen_pubexp:{exponent}");
    run(
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            &length,
            "-pkeyopt",
            &exponent,
            "-out",
            path_text,
        ],
        b"",
    );
    let public = run(
        &[
            "rsa",
            "-in",
            path_text,
            "-RSAPublicKey_out",
            "-outform",
            "DER",
        ],
        b"",
    );
    let mut sign = vec!["dgst", "-sha256", "-sign", path_text];
    sign.extend(options);
    let signature = run(&sign, b"a message");
    std::fs::remove_file(&path).unwrap();
    assert!(!public.is_empty() && !signature.is_empty());
    (public, signature)
}

/// Chains signed with each hash, from rustls and from ours, whose handshake is signed by RSA too.
#[test]
fn chains() {
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA384,
        &rcgen::PKCS_RSA_SHA512,
    ] {
        let root = Authority::with_key(rsa(2_048, algorithm));
        let between = root.issue_authority(Kind::Rsa(2_048), true);
        let leaf = between.issue(Kind::Rsa(3_072), &["localhost"]);
        let roots = root.anchors();
        let client_config = Config::client(ClientConfig::new(&roots));
        let mut client = Ours::client(1, &client_config, "localhost");
        let server = Theirs::server_config(Theirs::whole_provider(), &leaf);
        let mut theirs = Theirs::server(Arc::new(server));
        pump(&mut client, &client_config, &mut theirs, 1_000);
        assert_eq!(client.broken, None);
        assert!(theirs.is_open() && client.connection.is_open());

        // Of both sides.
        let chain = leaf.slices();
        let own = leaf.identity(&chain);
        let client_config = Config::client(ClientConfig::new(&roots).identity(&own));
        let identities = [own.client_auth(ClientAuth::Required(&roots))];
        let server_config = Config::server(ServerConfig::new(&identities));
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &server_config);
        assert!(client.connection.is_open() && server.connection.is_open());
    }
    let strange = Authority::new(Kind::Rsa(2_048));
    let leaf = Authority::new(Kind::Rsa(2_048)).issue(Kind::Rsa(2_048), &["localhost"]);
    let roots = strange.anchors();
    let client_config = Config::client(ClientConfig::new(&roots));
    let chain = leaf.slices();
    let identities = [leaf.identity(&chain)];
    let server_config = Config::server(ServerConfig::new(&identities));
    let mut client = Ours::client(1, &client_config, "localhost");
    let mut server = Ours::server(2);
    settle(&mut client, &client_config, &mut server, &server_config);
    assert_eq!(client.broken, Some(Broken::Sent(Alert::UNKNOWN_CA)));
}
