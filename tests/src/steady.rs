//! What TLS needs to be the same in every run of a test: random bytes, a clock, one identity.

use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use usockets::tls::{
    ClientAuth, ClientConfig, Config, EcdsaP256Key, Identity, Machine, RustCrypto, ServerConfig,
};

/// Name of every server.
pub const NAME: &str = "localhost";

/// Random bytes that are the same in every run (SplitMix64), and a clock that stands.
#[derive(Clone, Copy, Debug)]
pub struct Steady(pub u64);

impl Machine for Steady {
    fn random(&mut self, out: &mut [u8]) -> bool {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = (word ^ (word >> 27)).to_le_bytes()[5];
        }
        true
    }

    fn unix_seconds(&self) -> u64 {
        1_800_000_000
    }
}

/// The cryptography of every host.
pub type Crypto = RustCrypto<Steady>;

/// Makes one identity, for all servers, that all clients trust.
pub fn config() -> &'static Config<'static> {
    static CONFIG: OnceLock<Config<'static>> = OnceLock::new();
    CONFIG.get_or_init(|| make(false))
}

/// Makes a configuration with which clients must show a certificate, and do.
pub fn asking_config() -> &'static Config<'static> {
    static CONFIG: OnceLock<Config<'static>> = OnceLock::new();
    CONFIG.get_or_init(|| make(true))
}

/// Makes a configuration with which clients must show a certificate, under an authority of P-384,
/// and one of a client that shows a chain of 3 KB instead: it takes as long to refuse as may be.
pub fn costly_configs() -> &'static [Config<'static>; 2] {
    static CONFIGS: OnceLock<[Config<'static>; 2]> = OnceLock::new();
    CONFIGS.get_or_init(make_costly)
}

fn make_costly() -> [Config<'static>; 2] {
    let authority = || {
        let mut params = CertificateParams::new([]).expect("no name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        (params, key)
    };
    let (mut params, key) = authority();
    let name = rcgen::DnType::CommonName;
    params.distinguished_name.push(name.clone(), "root");
    let root = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let (mut params, key) = authority();
    params.distinguished_name.push(name, "intermediate");
    let between = params.signed_by(&key, &issuer).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_string()]).expect("a name");
    let leaf = params.signed_by(&key, &issuer).expect("a certificate");
    let [root, between, leaf] = [root, between, leaf].map(|made| &*made.der().to_vec().leak());
    // The intermediate's, whose signature is another.
    let mut forged = between.to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let forged: &[u8] = forged.leak();
    let signer = EcdsaP256Key::from_der(&key.serialize_der()).expect("a key");
    let signer: &'static _ = Box::leak(Box::new(signer));
    let anchor = webpki::anchor_from_trusted_cert(Box::leak(Box::new(root.into())));
    let roots: &'static [_] = Box::leak(Box::new([anchor.expect("a certificate")]));
    let liar = vec![leaf, forged, forged, forged, forged, forged];
    let [honest, liar] = [vec![leaf, between], liar].map(|chain| {
        let auth = ClientAuth::Required(roots);
        &*vec![Identity::new(chain.leak(), signer).client_auth(auth)].leak()
    });
    [honest, liar].map(|own| {
        let client = ClientConfig::new(roots).identity(&own[0]);
        Config::new(ServerConfig::new(honest), client)
    })
}

fn make(asks: bool) -> Config<'static> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_string()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let certificate: &'static [u8] = Box::leak(certificate.der().to_vec().into_boxed_slice());
    let signer = EcdsaP256Key::from_der(&key.serialize_der()).expect("a key");
    let chain: &'static [&'static [u8]] = Box::leak(Box::new([certificate]));
    let anchor = webpki::anchor_from_trusted_cert(Box::leak(Box::new(certificate.into())));
    let roots: &'static [_] = Box::leak(Box::new([anchor.expect("a certificate")]));
    let mut identity = Identity::new(chain, Box::leak(Box::new(signer)));
    if asks {
        identity = identity.client_auth(ClientAuth::Required(roots));
    }
    let identities: &'static [_] = Box::leak(Box::new([identity]));
    let client = ClientConfig::new(roots).identity(&identities[0]);
    Config::new(ServerConfig::new(identities), client)
}
