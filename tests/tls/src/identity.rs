//! Certificate authorities and the identities that they issue.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SerialNumber, SigningKey as _, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use usockets::tls::{EcdsaP256Key, Ed25519Key, Identity, Pem, Scheme, Signer, TrustAnchor};

/// A kind of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    P256,
    P384,
    Ed25519,
    /// RSA, whose certificates are signed with PKCS #1 v1.5 padding and SHA-256.
    Rsa(u32),
}

impl Kind {
    fn generate(self) -> KeyPair {
        KeyPair::generate_for(match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::Rsa(bits) => return rsa(bits, &rcgen::PKCS_RSA_SHA256),
        })
        .unwrap()
    }
}

/// The same Ed25519 key every time, so that what fails fails again.
pub(crate) fn fixed_key(seed: u8) -> KeyPair {
    // RFC 8410, section 7.
    const PREFIX: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let document = [&PREFIX[..], &[seed; 32]].concat();
    KeyPair::try_from(document).unwrap()
}

/// Makes an RSA key, by `openssl`, for certificates that are signed with `algorithm`.
pub fn rsa(bits: u32, algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt"])
        .arg(format!("rsa_keygen_bits:{bits}"))
        .stderr(Stdio::null())
        .output()
        .expect("openssl");
    let mut memory = [0; 4_096];
    let document = Pem::new(&made.stdout)
        .next("PRIVATE KEY", &mut memory)
        .unwrap();
    let document = PrivatePkcs8KeyDer::from(&*document.expect("a key"));
    KeyPair::from_pkcs8_der_and_sign_algo(&document, algorithm).unwrap()
}

/// An RSA key that signs handshakes with RSA-PSS, by ring.
struct RsaKey(ring::rsa::KeyPair);

impl RsaKey {
    fn new(document: &[u8]) -> Self {
        Self(ring::rsa::KeyPair::from_pkcs8(document).unwrap())
    }
}

impl Signer for RsaKey {
    fn scheme(&self) -> Scheme {
        Scheme::RSA_PSS_RSAE_SHA256
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        self.sign_by(self.scheme(), message, signature)
    }

    fn signs_by(&self, scheme: Scheme) -> bool {
        padding(scheme).is_some()
    }

    fn sign_by(&self, scheme: Scheme, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        let len = self.0.public().modulus_len();
        let random = ring::rand::SystemRandom::new();
        let target = signature.get_mut(..len)?;
        self.0
            .sign(padding(scheme)?, &random, message, target)
            .ok()?;
        Some(len)
    }
}

/// A P-384 key that signs by ring.
struct P384Key(ring::signature::EcdsaKeyPair);

impl P384Key {
    fn new(document: &[u8]) -> Self {
        let algorithm = &ring::signature::ECDSA_P384_SHA384_ASN1_SIGNING;
        let random = ring::rand::SystemRandom::new();
        Self(ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, document, &random).unwrap())
    }
}

impl Signer for P384Key {
    fn scheme(&self) -> Scheme {
        Scheme::ECDSA_P384_SHA384
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        let made = self
            .0
            .sign(&ring::rand::SystemRandom::new(), message)
            .ok()?;
        let made = made.as_ref();
        signature.get_mut(..made.len())?.copy_from_slice(made);
        Some(made.len())
    }
}

fn padding(scheme: Scheme) -> Option<&'static dyn ring::signature::RsaEncoding> {
    match scheme {
        Scheme::RSA_PSS_RSAE_SHA256 => Some(&ring::signature::RSA_PSS_SHA256),
        Scheme::RSA_PSS_RSAE_SHA384 => Some(&ring::signature::RSA_PSS_SHA384),
        Scheme::RSA_PSS_RSAE_SHA512 => Some(&ring::signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// One that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The private key in PKCS #8.
    document: Vec<u8>,
    /// Certificates between this one and the root, this one's first; empty for a root.
    chain: Vec<Vec<u8>>,
    root: Vec<u8>,
}

impl Authority {
    pub fn new(kind: Kind) -> Self {
        Self::with_key(kind.generate())
    }

    /// Makes one that signs with `key`.
    pub fn with_key(key: KeyPair) -> Self {
        Self::with_params(key, Self::params("root"))
    }

    /// The same authority every time, with an Ed25519 key.
    pub fn fixed() -> Self {
        let mut params = Self::named("fixed root".to_string());
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        Self::with_params(fixed_key(1), params)
    }

    fn with_params(key: KeyPair, params: CertificateParams) -> Self {
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            document: key.serialize_der(),
            issuer: Issuer::new(params, key),
            chain: Vec::new(),
            root,
        }
    }

    /// Issues another authority, or what claims to be one if `is_ca` is false.
    pub fn issue_authority(&self, kind: Kind, is_ca: bool) -> Self {
        let key = kind.generate();
        let mut params = Self::params("intermediate");
        if !is_ca {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages.clear();
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().to_vec()];
        chain.extend(self.chain.iter().cloned());
        Self {
            document: key.serialize_der(),
            issuer: Issuer::new(params, key),
            chain,
            root: self.root.clone(),
        }
    }

    fn params(name: &str) -> CertificateParams {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("{name} {number}"))
    }

    fn named(name: String) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    pub fn issue(&self, kind: Kind, names: &[&str]) -> Leaf {
        self.issue_with(kind, names, |_| {})
    }

    /// Issues the same certificate every time for one `seed`, with an Ed25519 key.
    pub fn issue_fixed(&self, seed: u8, names: &[&str]) -> Leaf {
        self.issue_key(Kind::Ed25519, &fixed_key(seed), names, |params| {
            params.serial_number = Some(SerialNumber::from(vec![1]));
        })
    }

    /// Issues a certificate whose parameters `change` may change.
    pub fn issue_with(
        &self,
        kind: Kind,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        self.issue_key(kind, &kind.generate(), names, change)
    }

    fn issue_key(
        &self,
        kind: Kind,
        key: &KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().to_vec()];
        chain.extend(self.chain.iter().cloned());
        let document = key.serialize_der();
        let signer: Box<dyn Signer + Send> = match kind {
            Kind::P256 => Box::new(EcdsaP256Key::from_der(&document).unwrap()),
            Kind::Ed25519 => Box::new(Ed25519Key::from_der(&document).unwrap()),
            Kind::Rsa(_) => Box::new(RsaKey::new(&document)),
            Kind::P384 => Box::new(P384Key::new(&document)),
        };
        Leaf {
            chain,
            document,
            signer,
        }
    }

    /// Makes one that may issue lists of revoked certificates, too.
    pub fn with_lists(kind: Kind) -> Self {
        let mut params = Self::params("root with lists");
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        Self::with_params(kind.generate(), params)
    }

    /// Signs what is no certificate.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = KeyPair::try_from(&self.document[..]).unwrap();
        key.sign(message).unwrap()
    }

    /// Issues a list of the revoked certificates with these serial numbers, in DER.
    pub fn issue_list(
        &self,
        revoked: &[u8],
        change: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> Vec<u8> {
        let entry = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from(vec![*serial]),
            revocation_time: date_time_ymd(2_027, 1, 2),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let mut params = CertificateRevocationListParams {
            this_update: date_time_ymd(2_027, 1, 10),
            next_update: date_time_ymd(2_027, 1, 20),
            crl_number: SerialNumber::from(vec![1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    pub fn root(&self) -> &[u8] {
        &self.root
    }

    pub fn anchors(&self) -> Vec<TrustAnchor<'static>> {
        let der = CertificateDer::from(self.root.as_slice());
        vec![webpki::anchor_from_trusted_cert(&der).unwrap().to_owned()]
    }

    pub fn root_store(&self) -> rustls::RootCertStore {
        let mut store = rustls::RootCertStore::empty();
        store.add(CertificateDer::from(self.root.clone())).unwrap();
        store
    }
}

/// A certificate with its chain and its key.
pub struct Leaf {
    pub chain: Vec<Vec<u8>>,
    pub document: Vec<u8>,
    pub signer: Box<dyn Signer + Send>,
}

impl Leaf {
    pub fn slices(&self) -> Vec<&[u8]> {
        self.chain.iter().map(Vec::as_slice).collect()
    }

    pub fn identity<'a>(&'a self, slices: &'a [&'a [u8]]) -> Identity<'a> {
        Identity::new(slices, self.signer.as_ref())
    }

    pub fn rustls_chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain
            .iter()
            .cloned()
            .map(CertificateDer::from)
            .collect()
    }

    pub fn rustls_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.document.clone()).into()
    }
}
