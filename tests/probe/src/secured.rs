//! The TLS layer over cryptography that answers anything.

use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, TrustAnchor, alg_id,
};
use usockets::Sockets;
use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, Crypto, Group, HashAlgorithm, Hasher, Identity,
    Private, SHARE_MAX, Scheme, Secret, ServerConfig, Shared, Signer, Suite, TAG, TicketKeys, Tls,
    TlsMemory,
};

use crate::anything::{self, Anything};
use crate::outside::{Outside, len, long, word, yes};

type Secured = Tls<'static, Outside<false>, Unknown>;

static mut SOCKETS: Sockets<Secured, Anything, 64> = Sockets::new();
static mut MEMORY: TlsMemory<Unknown, 64, 4, 4, 4> = TlsMemory::NEW;
static mut RECEIVE: [u8; 2_048] = [0; 2_048];
static mut CORK: [u8; 1_024] = [0; 1_024];

static TICKETS: TicketKeys = TicketKeys::new([1; 32], 3_600);
static ROOTS: [TrustAnchor<'static>; 0] = [];
static CHAIN: [&[u8]; 1] = [&[0x30, 0x03, 0x02, 0x01, 0x05]];
static IDENTITIES: [Identity<'static>; 1] = [Identity::new(&CHAIN, &Unknown)
    .names(&["one.example", "*.example"])
    .client_auth(ClientAuth::Required(&ROOTS))];
static CONFIG: Config<'static> = Config::new(
    ServerConfig::new(&IDENTITIES)
        .protocols(&[b"h2", b"http/1.1"])
        .tickets(&TICKETS),
    ClientConfig::new(&ROOTS)
        .protocols(&[b"h2"])
        .identity(&IDENTITIES[0]),
);

/// Runs a loop with any calls over TLS.
pub fn run() {
    // SAFETY: the only place that names the statics, and it is entered once.
    let (sockets, memory, receive, cork) = unsafe {
        (
            &mut *&raw mut SOCKETS,
            &mut *&raw mut MEMORY,
            &mut *&raw mut RECEIVE,
            &mut *&raw mut CORK,
        )
    };
    let tls = Tls::new(Outside, Unknown, &CONFIG, memory);
    let _ = anything::run(tls, sockets, receive, cork);
}

/// Cryptography that may answer anything.
#[derive(Debug)]
struct Unknown;

fn or_alert<T>(value: T) -> Result<T, Alert> {
    if yes() {
        Ok(value)
    } else {
        Err(Alert::INTERNAL_ERROR)
    }
}

fn fill(out: &mut [u8]) {
    for byte in out {
        *byte = word() as u8;
    }
}

impl Crypto for Unknown {
    type Hasher = Digest;

    const GROUPS: &'static [Group] = &[Group::X25519, Group::P256];
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[&Self];

    fn random(&mut self, out: &mut [u8]) -> Result<(), Alert> {
        fill(out);
        or_alert(())
    }

    fn unix_seconds(&self) -> u64 {
        long()
    }

    fn seal(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        fill(data);
        or_alert([word() as u8; TAG])
    }

    fn open(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        data: &mut [u8],
        _: &[u8; TAG],
    ) -> Result<(), Alert> {
        fill(data);
        or_alert(())
    }

    fn offer(
        &mut self,
        _: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        fill(&mut private.0);
        fill(share);
        or_alert(len())
    }

    fn answer(
        &mut self,
        _: Group,
        _: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        fill(share);
        shared.set(share);
        or_alert(len())
    }

    fn agree(
        &mut self,
        _: Group,
        _: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert> {
        shared.set(theirs);
        or_alert(())
    }
}

/// A hash that may be anything.
#[derive(Clone)]
struct Digest;

impl Hasher for Digest {
    const EMPTY: Self = Self;

    fn new(_: HashAlgorithm) -> Self {
        word();
        Self
    }

    fn update(&mut self, _: &[u8]) {
        word();
    }

    fn digest(&self) -> Secret {
        let mut secret = Secret::ZERO;
        fill(secret.get_mut(HashAlgorithm::Sha384));
        secret
    }
}

impl Signer for Unknown {
    fn scheme(&self) -> Scheme {
        Scheme::from_code(word() as u16)
    }

    fn sign(&self, _: &[u8], signature: &mut [u8]) -> Option<usize> {
        fill(signature);
        yes().then(len)
    }
}

impl SignatureVerificationAlgorithm for Unknown {
    fn verify_signature(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), InvalidSignature> {
        if yes() { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}
