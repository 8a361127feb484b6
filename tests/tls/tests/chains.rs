//! Certificates as peers send them: in any order, more than are needed, and made to cost much.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use usockets::tls::{
    Alert, CertificateError, ClientAuth, ClientConfig, Config, EcdsaP256Key, Identity,
    ServerConfig, TrustAnchor,
};
use usockets_tests_tls::{
    Authority, Broken, Counting, Kind, Leaf, NOW, Ours, settle, verifications,
};

/// What came of a handshake in which a client verifies a server, or a server a client.
struct Outcome {
    error: Option<Broken>,
    reason: Option<CertificateError>,
    /// Signatures that the verifying side verified.
    verified: usize,
}

/// The side that verifies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verifier {
    Client,
    Server,
}

const BOTH: [Verifier; 2] = [Verifier::Client, Verifier::Server];

/// Shakes hands; the one with `identity` shows `chain`.
fn show(verifier: Verifier, leaf: &Leaf, chain: &[&[u8]], roots: &[TrustAnchor<'_>]) -> Outcome {
    let shown = [Identity::new(chain, leaf.signer.as_ref())];
    let other_authority = Authority::new(Kind::Ed25519);
    let other = other_authority.issue(Kind::Ed25519, &["localhost"]);
    let other_slices = other.slices();
    let other_roots = other_authority.anchors();
    match verifier {
        Verifier::Client => {
            let client_config = Config::client(ClientConfig::new(roots));
            let server_config = Config::server(ServerConfig::new(&shown));
            let crypto = Counting::new(1);
            let mut client = Ours::client_of(crypto, &client_config, "localhost", Vec::new());
            let mut server = Ours::server(2);
            let before = verifications();
            settle(&mut client, &client_config, &mut server, &server_config);
            outcome(&client, before)
        }
        Verifier::Server => {
            let policy = ClientAuth::Required(roots);
            let identities = [other.identity(&other_slices).client_auth(policy)];
            let client = ClientConfig::new(&other_roots).identity(&shown[0]);
            let client_config = Config::client(client);
            let server_config = Config::server(ServerConfig::new(&identities));
            let mut client = Ours::client(1, &client_config, "localhost");
            let mut server = Ours::server_with(Counting::new(2));
            let before = verifications();
            settle(&mut client, &client_config, &mut server, &server_config);
            outcome(&server, before)
        }
    }
}

fn outcome(ours: &Ours<Counting>, before: usize) -> Outcome {
    assert_eq!(ours.broken.is_none(), ours.connection.is_open());
    Outcome {
        error: ours.broken,
        reason: ours.connection.certificate_error(),
        verified: verifications() - before,
    }
}

fn accepted(verifier: Verifier, leaf: &Leaf, chain: &[&[u8]], roots: &[TrustAnchor<'_>]) -> usize {
    let outcome = show(verifier, leaf, chain, roots);
    assert_eq!(outcome.error, None, "{verifier:?}: {:?}", outcome.reason);
    assert_eq!(outcome.reason, None);
    outcome.verified
}

fn refused(
    verifier: Verifier,
    leaf: &Leaf,
    chain: &[&[u8]],
    roots: &[TrustAnchor<'_>],
    reason: CertificateError,
) -> usize {
    let outcome = show(verifier, leaf, chain, roots);
    assert_eq!(outcome.reason, Some(reason), "{verifier:?}");
    assert_eq!(outcome.error, Some(Broken::Sent(reason.alert())));
    outcome.verified
}

/// Parameters of an authority named `name`.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf_params() -> CertificateParams {
    CertificateParams::new(vec!["localhost".to_string()]).unwrap()
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn key384() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()
}

fn anchor(der: &[u8]) -> TrustAnchor<'static> {
    let der = CertificateDer::from(der);
    webpki::anchor_from_trusted_cert(&der).unwrap().to_owned()
}

/// A leaf with this key, whose chain is given apart.
fn leaf(key: &KeyPair) -> Leaf {
    let document = key.serialize_der();
    Leaf {
        chain: Vec::new(),
        signer: Box::new(EcdsaP256Key::from_der(&document).unwrap()),
        document,
    }
}

/// A root and an authority under it that issued a leaf: their certificates, the leaf first.
struct Honest {
    root: CertificateParams,
    root_key: KeyPair,
    root_der: Vec<u8>,
    middle_der: Vec<u8>,
    leaf_der: Vec<u8>,
    leaf: Leaf,
}

impl Honest {
    fn new(kind: fn() -> KeyPair, method: fn() -> Option<KeyIdMethod>) -> Self {
        let (root_key, middle_key, leaf_key) = (kind(), kind(), key());
        let set = |mut params: CertificateParams| {
            if let Some(method) = method() {
                params.key_identifier_method = method;
                params.use_authority_key_identifier_extension = true;
            }
            params
        };
        let root = set(authority("the root"));
        let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::from_params(&root, &root_key);
        let middle = set(authority("the intermediate"));
        let middle_der = middle.signed_by(&middle_key, &root_issuer).unwrap();
        let middle_der = middle_der.der().to_vec();
        let middle_issuer = Issuer::from_params(&middle, &middle_key);
        let leaf_der = set(leaf_params()).signed_by(&leaf_key, &middle_issuer);
        Self {
            root_der,
            middle_der,
            leaf_der: leaf_der.unwrap().der().to_vec(),
            leaf: leaf(&leaf_key),
            root,
            root_key,
        }
    }

    fn roots(&self) -> [TrustAnchor<'static>; 1] {
        [anchor(&self.root_der)]
    }

    /// Certificates with the name of the intermediate, by another root of the same name.
    fn impostors(&self, kind: fn() -> KeyPair, count: usize) -> Vec<Vec<u8>> {
        let false_key = kind();
        let mut false_root = authority("the root");
        false_root.key_identifier_method = KeyIdMethod::Sha256;
        let issuer = Issuer::from_params(&false_root, &false_key);
        let made = (0..count).map(|_| {
            let mut params = authority("the intermediate");
            params.use_authority_key_identifier_extension = false;
            let made = params.signed_by(&kind(), &issuer).unwrap();
            made.der().to_vec()
        });
        made.collect()
    }
}

/// Anybody can make certificates that carry the name of an authority's intermediate. They cost one
/// signature more than an honest chain at most, however many they are and however they are chained.
#[test]
fn impostors_cost_no_more_than_an_honest_chain() {
    let honest = Honest::new(key384, || None);
    let roots = honest.roots();
    let chain: [&[u8]; 2] = [&honest.leaf_der, &honest.middle_der];
    for verifier in BOTH {
        // Two of the chain, and that of the handshake.
        assert_eq!(accepted(verifier, &honest.leaf, &chain, &roots), 3);
    }

    let impostors = honest.impostors(key384, 7);
    let mut chain: Vec<&[u8]> = vec![&honest.leaf_der];
    chain.extend(impostors.iter().map(Vec::as_slice));
    for verifier in BOTH {
        let count = refused(
            verifier,
            &honest.leaf,
            &chain,
            &roots,
            CertificateError::Signature,
        );
        assert!((1..=3).contains(&count), "{verifier:?}: {count}");
    }
}

/// The same, each of them issued by the next, and the last by one that has the root's name.
#[test]
fn a_long_chain_of_impostors_costs_as_little() {
    let honest = Honest::new(key384, || None);
    let roots = honest.roots();
    let mut issuer_key = key384();
    let mut issuer_params = authority("the root");
    let mut chain = Vec::new();
    for number in 0..6 {
        let params = authority(&format!("link {number}"));
        let key = key384();
        let issuer = Issuer::from_params(&issuer_params, &issuer_key);
        let made = params.signed_by(&key, &issuer).unwrap();
        chain.push(made.der().to_vec());
        (issuer_key, issuer_params) = (key, params);
    }
    let leaf_key = key();
    let issuer = Issuer::from_params(&issuer_params, &issuer_key);
    let made = leaf_params().signed_by(&leaf_key, &issuer).unwrap();
    chain.push(made.der().to_vec());
    chain.reverse();
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    for verifier in BOTH {
        let leaf = leaf(&leaf_key);
        let count = refused(verifier, &leaf, &chain, &roots, CertificateError::Signature);
        // All of them are good but the last one's, which is looked at first.
        assert_eq!(count, 1, "{verifier:?}");
    }
}

/// Where the certificates say whose key it is, nothing is tried in vain.
#[test]
fn key_identifiers_come_first() {
    let honest = Honest::new(key, || Some(KeyIdMethod::Sha256));
    let roots = honest.roots();
    let impostors = honest.impostors(key, 7);
    let mut chain: Vec<&[u8]> = vec![&honest.leaf_der];
    chain.extend(impostors.iter().map(Vec::as_slice));
    chain.push(&honest.middle_der);
    for verifier in BOTH {
        assert_eq!(accepted(verifier, &honest.leaf, &chain, &roots), 3);
    }
}

/// Where they say nothing, one wrong guess is allowed.
#[test]
fn one_namesake_is_tried_in_vain() {
    let honest = Honest::new(key, || None);
    let roots = honest.roots();
    let impostors = honest.impostors(key, 2);
    for count in 0..3 {
        let mut chain: Vec<&[u8]> = vec![&honest.leaf_der];
        chain.extend(impostors.iter().take(count).map(Vec::as_slice));
        chain.push(&honest.middle_der);
        for verifier in BOTH {
            if count < 2 {
                let verified = accepted(verifier, &honest.leaf, &chain, &roots);
                assert_eq!(verified, 3 + count);
            } else {
                let error = CertificateError::Signature;
                let verified = refused(verifier, &honest.leaf, &chain, &roots, error);
                assert_eq!(verified, 2);
            }
        }
    }
}

/// RFC 8446, section 4.4.2: in any order, and with others among them.
#[test]
fn any_order_and_extras() {
    let root = Authority::new(Kind::P384);
    let one = root.issue_authority(Kind::P256, true);
    let two = one.issue_authority(Kind::P384, true);
    let three = two.issue_authority(Kind::P256, true);
    let leaf = three.issue(Kind::P256, &["localhost"]);
    let stranger = Authority::new(Kind::P256).issue(Kind::P256, &["a stranger"]);
    let roots = root.anchors();
    let [own, c, b, a] = leaf.slices()[..] else {
        panic!("four certificates")
    };
    let garbage: &[u8] = &[0x30, 0x03, 1, 2, 3];
    let orders: [&[&[u8]]; 7] = [
        &[own, c, b, a],
        &[own, a, b, c],
        &[own, b, a, c],
        &[own, root.root(), a, b, c],
        &[own, own, a, a, b, b, c, c],
        &[own, stranger.slices()[0], a, garbage, b, c],
        &[
            own,
            garbage,
            a,
            b,
            garbage,
            c,
            stranger.slices()[0],
            root.root(),
        ],
    ];
    for order in orders {
        for verifier in BOTH {
            assert_eq!(accepted(verifier, &leaf, order, &roots), 5);
        }
    }
    // One is missing, among others.
    for order in [&[own, b, a][..], &[own, c, a, stranger.slices()[0]]] {
        for verifier in BOTH {
            let error = CertificateError::UnknownIssuer;
            assert_eq!(refused(verifier, &leaf, order, &roots, error), 0);
        }
    }
}

/// Two certificates of one authority, by two roots: the one that leads to ours is taken.
#[test]
fn cross_signed() {
    let honest = Honest::new(key, || None);
    let other_key = key();
    let other = authority("another root");
    let other_der = other.self_signed(&other_key).unwrap().der().to_vec();
    // The root's own key and name, certified by the other.
    let issuer = Issuer::from_params(&other, &other_key);
    let crossed = honest.root.signed_by(&honest.root_key, &issuer).unwrap();
    let chain: [&[u8]; 3] = [&honest.leaf_der, &honest.middle_der, crossed.der()];
    let leaf = &honest.leaf;
    for verifier in BOTH {
        assert_eq!(accepted(verifier, leaf, &chain, &honest.roots()), 3);
        assert_eq!(accepted(verifier, leaf, &chain, &[anchor(&other_der)]), 4);
        let both = [anchor(&other_der), anchor(&honest.root_der)];
        assert_eq!(accepted(verifier, leaf, &chain, &both), 3);
        // The intermediate may itself be trusted.
        assert_eq!(
            accepted(verifier, leaf, &chain, &[anchor(&honest.middle_der)]),
            2
        );
    }
}

/// Two roots of one name, of which one has been replaced by the other.
#[test]
fn roots_of_one_name() {
    let honest = Honest::new(key, || None);
    let old = authority("the root").self_signed(&key()).unwrap();
    let other_kind = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let older = authority("the root").self_signed(&other_kind).unwrap();
    // A key of another kind is not tried.
    let roots = [
        anchor(older.der()),
        anchor(old.der()),
        anchor(&honest.root_der),
    ];
    let chain: [&[u8]; 2] = [&honest.leaf_der, &honest.middle_der];
    for verifier in BOTH {
        assert_eq!(accepted(verifier, &honest.leaf, &chain, &roots), 4);
    }
}

/// An authority's certificate that has expired is passed over for one that has not.
#[test]
fn an_expired_twin() {
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let root = authority("the root");
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let root_issuer = Issuer::from_params(&root, &root_key);
    let middle = authority("the intermediate");
    let mut expired = authority("the intermediate");
    expired.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let good = middle.signed_by(&middle_key, &root_issuer).unwrap();
    let expired = expired.signed_by(&middle_key, &root_issuer).unwrap();
    let issuer = Issuer::from_params(&middle, &middle_key);
    let made = leaf_params().signed_by(&leaf_key, &issuer).unwrap();
    let roots = [anchor(&root_der)];
    for verifier in BOTH {
        let leaf = leaf(&leaf_key);
        let chain: [&[u8]; 3] = [made.der(), expired.der(), good.der()];
        assert_eq!(accepted(verifier, &leaf, &chain, &roots), 3);
        // Alone it tells why.
        let error = CertificateError::Expired;
        refused(verifier, &leaf, &chain[..2], &roots, error);
    }
}

/// A path has seven certificates at most, and a message may have more.
#[test]
fn the_longest_path() {
    let mut authorities = vec![Authority::new(Kind::P256)];
    for _ in 0..7 {
        let next = authorities
            .last()
            .unwrap()
            .issue_authority(Kind::P256, true);
        authorities.push(next);
    }
    let roots = authorities[0].anchors();
    for verifier in BOTH {
        let leaf = authorities[6].issue(Kind::P256, &["localhost"]);
        assert_eq!(accepted(verifier, &leaf, &leaf.slices(), &roots), 8);
        let leaf = authorities[7].issue(Kind::P256, &["localhost"]);
        let error = CertificateError::UnknownIssuer;
        refused(verifier, &leaf, &leaf.slices(), &roots, error);
    }
}

/// RFC 8446, section 4.4.2.2: the key must be for signatures, where the certificate says what for.
#[test]
fn key_usage() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let of = |usages: &[KeyUsagePurpose]| {
        authority.issue_with(Kind::P256, &["localhost"], |params| {
            params.key_usages = usages.to_vec();
        })
    };
    use KeyUsagePurpose as Usage;
    for verifier in BOTH {
        for good in [
            &[][..],
            &[Usage::DigitalSignature],
            &[Usage::KeyEncipherment, Usage::DigitalSignature],
        ] {
            let leaf = of(good);
            accepted(verifier, &leaf, &leaf.slices(), &roots);
        }
        for bad in [
            &[Usage::KeyAgreement][..],
            &[Usage::KeyEncipherment, Usage::KeyCertSign],
        ] {
            let leaf = of(bad);
            let error = CertificateError::KeyUsage;
            refused(verifier, &leaf, &leaf.slices(), &roots, error);
        }
    }
}

/// RFC 5280, section 4.2.1.3: an authority whose key may not sign certificates has issued none.
#[test]
fn key_usage_of_an_authority() {
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let root = authority("the root");
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let mut middle = authority("the intermediate");
    middle.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::from_params(&root, &root_key);
    let middle_der = middle.signed_by(&middle_key, &issuer).unwrap();
    let issuer = Issuer::from_params(&middle, &middle_key);
    let made = leaf_params().signed_by(&leaf_key, &issuer).unwrap();
    for verifier in BOTH {
        let chain: [&[u8]; 2] = [made.der(), middle_der.der()];
        let error = CertificateError::KeyUsage;
        let roots = [anchor(&root_der)];
        refused(verifier, &leaf(&leaf_key), &chain, &roots, error);
    }
}

/// What people make for themselves: a certificate that is its own authority, and says that it is
/// one.
#[test]
fn self_signed_authorities_that_are_trusted() {
    let own_key = key();
    let mut params = leaf_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let own = params.self_signed(&own_key).unwrap();
    let leaf = leaf(&own_key);
    let roots = [anchor(own.der())];
    for verifier in BOTH {
        let chain: [&[u8]; 1] = [own.der()];
        accepted(verifier, &leaf, &chain, &roots);
        let stranger = Authority::new(Kind::P256).anchors();
        let error = CertificateError::UnknownIssuer;
        refused(verifier, &leaf, &chain, &stranger, error);
    }
    // The same key and name in another certificate of its owner's, past its time or not yet good.
    for (year, error) in [
        (2_026, CertificateError::Expired),
        (2_028, CertificateError::NotYetValid),
    ] {
        let mut params = params.clone();
        if year == 2_026 {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        } else {
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
        }
        let other = params.self_signed(&own_key).unwrap();
        for verifier in BOTH {
            refused(verifier, &leaf, &[other.der()], &roots, error);
        }
    }
    // Both ends of its time belong to it (RFC 5280, section 4.1.2.5), here the same second.
    let mut brief = params.clone();
    let now = rcgen::date_time_ymd(2027, 1, 15) + Duration::from_secs(NOW % 86_400);
    (brief.not_before, brief.not_after) = (now, now);
    let other = brief.self_signed(&own_key).unwrap();
    for verifier in BOTH {
        accepted(verifier, &leaf, &[other.der()], &roots);
    }
    let mut for_others = params.clone();
    for_others.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    let other = for_others.self_signed(&own_key).unwrap();
    for verifier in BOTH {
        let error = CertificateError::Purpose;
        refused(verifier, &leaf, &[other.der()], &roots, error);
    }
    // Its name is checked all the same.
    let elsewhere = CertificateParams::new(vec!["elsewhere".to_string()]).unwrap();
    let mut elsewhere_params = elsewhere;
    elsewhere_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let other = elsewhere_params.self_signed(&own_key).unwrap();
    let error = CertificateError::Name;
    refused(Verifier::Client, &leaf, &[other.der()], &roots, error);
}

/// An authority's certificate proves nothing else for its owner, nor for who has it signed only.
#[test]
fn authorities_under_another_are_no_peers() {
    let (root_key, own_key) = (key(), key());
    let root = authority("the root");
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let mut params = leaf_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::from_params(&root, &root_key);
    let own = params.signed_by(&own_key, &issuer).unwrap();
    for verifier in BOTH {
        let error = CertificateError::AuthorityAsPeer;
        let roots = [anchor(&root_der)];
        refused(verifier, &leaf(&own_key), &[own.der()], &roots, error);
    }
    assert_eq!(
        CertificateError::AuthorityAsPeer.alert(),
        Alert::BAD_CERTIFICATE
    );
}

/// Keys of one length sign with the hash of another, as some public authorities do.
#[test]
fn hashes_of_another_length() {
    for (kind, is_long) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, false),
        (&rcgen::PKCS_ECDSA_P384_SHA384, true),
    ] {
        let root_key = KeyPair::generate_for(kind).unwrap();
        let root = authority("the root");
        let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
        let leaf_key = key();
        let made = leaf_params();
        let signer = OtherHash::new(&root_key, is_long);
        let issuer = Issuer::from_params(&root, &signer);
        let made = made.signed_by(&leaf_key, &issuer).unwrap();
        let mut changed = made.der().to_vec();
        *changed.last_mut().unwrap() ^= 1;
        for verifier in BOTH {
            let roots = [anchor(&root_der)];
            accepted(verifier, &leaf(&leaf_key), &[made.der()], &roots);
            let error = CertificateError::Signature;
            refused(verifier, &leaf(&leaf_key), &[&changed], &roots, error);
        }
    }
}

/// A P-256 key that signs with SHA-384, or one of P-384 that signs with SHA-256: ring has neither
/// name in rcgen, so the key signs by `openssl`.
struct OtherHash {
    public: Vec<u8>,
    document: Vec<u8>,
    is_long: bool,
}

impl OtherHash {
    fn new(key: &KeyPair, is_long: bool) -> Self {
        use rcgen::PublicKeyData as _;
        Self {
            public: key.der_bytes().to_vec(),
            document: key.serialize_der(),
            is_long,
        }
    }
}

impl rcgen::PublicKeyData for OtherHash {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        // The name of the signature in the certificate.
        match self.is_long {
            true => &rcgen::PKCS_ECDSA_P256_SHA256,
            false => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl rcgen::SigningKey for OtherHash {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let folder = std::env::temp_dir().join(format!("usockets-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(if self.is_long {
            "long.der"
        } else {
            "short.der"
        });
        std::fs::write(&path, &self.document).unwrap();
        let hash = if self.is_long { "-sha256" } else { "-sha384" };
        let mut child = Command::new("openssl")
            .args(["dgst", hash, "-keyform", "DER", "-sign"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl");
        child.stdin.take().unwrap().write_all(message).unwrap();
        let signed = child.wait_with_output().unwrap();
        assert!(signed.status.success());
        Ok(signed.stdout)
    }
}

/// One who may not issue, and has the root's name, makes nobody the root's: that the name is right
/// shows no signature.
#[test]
fn a_namesake_of_the_root() {
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let root = authority("the root");
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let root_issuer = Issuer::from_params(&root, &root_key);
    let roots = [anchor(&root_der)];
    for is_ca in [true, false] {
        let mut middle = authority("the root");
        if !is_ca {
            middle.is_ca = IsCa::ExplicitNoCa;
        }
        let made = middle.signed_by(&middle_key, &root_issuer).unwrap();
        let issuer = Issuer::from_params(&middle, &middle_key);
        let leaf_der = leaf_params().signed_by(&leaf_key, &issuer).unwrap();
        let chain: [&[u8]; 2] = [leaf_der.der(), made.der()];
        for verifier in BOTH {
            let leaf = leaf(&leaf_key);
            match is_ca {
                true => drop(accepted(verifier, &leaf, &chain, &roots)),
                false => drop(refused(
                    verifier,
                    &leaf,
                    &chain,
                    &roots,
                    CertificateError::Signature,
                )),
            }
        }
    }
}
