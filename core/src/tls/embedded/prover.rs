//! What embedded-tls asks while it shakes hands: random bytes, who the server is, and who we are.

use digest_of_embedded::Digest as _;
use embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef,
    CryptoProvider, CryptoRng, CryptoRngCore, Sha256, SignatureScheme, TlsError, TlsVerifier,
};
use rand_core_of_embedded::{Error, RngCore};
use signature_of_embedded::SignerMut;

use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::ocsp::OcspPolicy;
use crate::tls::certificate::path::Progress;
use crate::tls::certificate::verify::{Chain, Subject, Trust};
use crate::tls::connection::state::Role;
use crate::tls::crypto::provider::{Crypto, Scheme, Signer};
use crate::tls::handshake::auth::Signed;
use crate::tls::handshake::config::ClientConfig;
use crate::tls::wire::{Output, part};

/// Most bytes of the certificates of a chain, and of what is kept of the first.
const CHAIN_MAX: usize = 6_144;
const LEAF_MAX: usize = 2_048 + 5;
/// Longest signature that the crate has room for.
const SIGNATURE_MAX: usize = 104;

/// Checks the server's certificate and signature, and remembers that both have come.
pub(crate) struct Prover<'a, C> {
    crypto: &'a mut C,
    config: &'a ClientConfig<'a>,
    name: &'a str,
    /// The server's own certificate, as it stands in a message.
    leaf: [u8; LEAF_MAX],
    leaf_len: usize,
    /// The transcript up to the certificate.
    transcript: Option<Sha256>,
    has_proof: bool,
    refusal: Option<Alert>,
}

impl<'a, C: Crypto> Prover<'a, C> {
    pub(crate) const fn new(
        crypto: &'a mut C,
        config: &'a ClientConfig<'a>,
        name: &'a str,
    ) -> Self {
        Self {
            crypto,
            config,
            name,
            leaf: [0; LEAF_MAX],
            leaf_len: 0,
            transcript: None,
            has_proof: false,
            refusal: None,
        }
    }

    /// Returns whether the server has shown a good certificate, and signed with its key.
    pub(crate) const fn has_proof(&self) -> bool {
        self.has_proof
    }

    /// Returns what was wrong.
    pub(crate) const fn refusal(&self) -> Option<Alert> {
        self.refusal
    }

    /// Returns our certificate and key, and what the crate calls its scheme; `None` if there is
    /// none that the crate can use.
    fn own(&self) -> Option<(&'a [u8], &'a dyn Signer, SignatureScheme)> {
        let identity = self.config.identity?;
        let scheme = match identity.signer.scheme() {
            Scheme::ECDSA_P256_SHA256 => SignatureScheme::EcdsaSecp256r1Sha256,
            Scheme::ECDSA_P384_SHA384 => SignatureScheme::EcdsaSecp384r1Sha384,
            Scheme::ED25519 => SignatureScheme::Ed25519,
            _ => return None,
        };
        Some((*identity.chain.first()?, identity.signer, scheme))
    }

    /// Takes the chain: the certificates of `entries`, the server's own first.
    fn take_chain(&mut self, entries: &[CertificateEntryRef<'_>]) -> Result<(), Alert> {
        // Once only, and nothing after the proof.
        if self.leaf_len > 0 || self.has_proof {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let mut bytes = [0; CHAIN_MAX];
        let mut list = Output::new(&mut bytes);
        let mut leaf_len = 0;
        for entry in entries {
            let CertificateEntryRef::X509(certificate) = entry else {
                return Err(Alert::UNSUPPORTED_CERTIFICATE);
            };
            list.vector24(|list| list.put(certificate))?;
            list.u16(0)?;
            if leaf_len == 0 {
                leaf_len = list.len();
            }
        }
        let leaf = part(list.filled(), ..leaf_len);
        let kept = self.leaf.get_mut(..leaf_len);
        kept.ok_or(Alert::BAD_CERTIFICATE)?.copy_from_slice(leaf);
        let subject = Subject::Server(self.name.as_bytes());
        let chain = Chain::of(list.filled());
        // The crate asks nobody for OCSP's word.
        let trust = Trust {
            roots: self.config.roots,
            revoked: self.config.revoked,
            ocsp: OcspPolicy::Off,
        };
        let mut progress = Progress::NONE;
        chain
            .verify(self.crypto, &trust, subject, &mut progress, || true)
            .map_err(CertificateError::alert)?;
        self.leaf_len = leaf_len;
        Ok(())
    }

    /// Checks the signature of the handshake.
    fn take_signature(&mut self, scheme: u16, signature: &[u8]) -> Result<(), Alert> {
        let transcript = self.transcript.take().ok_or(Alert::UNEXPECTED_MESSAGE)?;
        let digest: [u8; 32] = transcript.finalize().into();
        let signed = Signed::new(Role::Server, &digest);
        let leaf = part(&self.leaf, ..self.leaf_len);
        let scheme = Scheme::from_code(scheme);
        Chain::of(leaf).verify_signature::<C>(scheme, signed.get(), signature)?;
        self.has_proof = true;
        Ok(())
    }

    /// Notes an alert for the program; the crate has errors of its own.
    fn note_alert(&mut self, result: Result<(), Alert>) -> Result<(), TlsError> {
        result.map_err(|alert| {
            self.refusal = self.refusal.or(Some(alert));
            TlsError::InvalidCertificate
        })
    }
}

impl<C: Crypto> TlsVerifier<Aes128GcmSha256> for Prover<'_, C> {
    fn set_hostname_verification(&mut self, name: &str) -> Result<(), TlsError> {
        match name == self.name {
            true => Ok(()),
            false => self.note_alert(Err(Alert::INTERNAL_ERROR)),
        }
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        certificate: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        let taken = self.take_chain(&certificate.entries);
        self.note_alert(taken)?;
        self.transcript = Some(transcript.clone());
        Ok(())
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        let taken = self.take_signature(verify.signature_scheme.as_u16(), verify.signature);
        self.note_alert(taken)
    }
}

impl<C: Crypto> CryptoProvider for Prover<'_, C> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = Signature;

    fn rng(&mut self) -> impl CryptoRngCore {
        Draws(self)
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(self)
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        let (certificate, ..) = self.own()?;
        Some(Certificate::X509(certificate))
    }

    fn signer(&mut self) -> Result<(impl SignerMut<Signature>, SignatureScheme), TlsError> {
        let (_, signer, scheme) = self.own().ok_or(TlsError::InvalidPrivateKey)?;
        let refusal = &mut self.refusal;
        Ok((Signs { signer, refusal }, scheme))
    }
}

/// A signature, as far as it is filled.
pub(crate) struct Signature {
    bytes: [u8; SIGNATURE_MAX],
    len: usize,
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A key that signs as embedded-tls wants it. If it cannot, the session does not open.
struct Signs<'p, 'a> {
    signer: &'a dyn Signer,
    refusal: &'p mut Option<Alert>,
}

impl SignerMut<Signature> for Signs<'_, '_> {
    // The provided one panics when there is no signature.
    fn sign(&mut self, message: &[u8]) -> Signature {
        let mut bytes = [0; SIGNATURE_MAX];
        let len = self.signer.sign(message, &mut bytes).unwrap_or_default();
        if len == 0 || len > SIGNATURE_MAX {
            *self.refusal = Some(Alert::INTERNAL_ERROR);
        }
        Signature { bytes, len }
    }

    fn try_sign(&mut self, message: &[u8]) -> Result<Signature, signature_of_embedded::Error> {
        Ok(self.sign(message))
    }
}

/// Random bytes as embedded-tls wants them. If there are none, the session does not open.
struct Draws<'p, 'a, C>(&'p mut Prover<'a, C>);

impl<C: Crypto> RngCore for Draws<'_, '_, C> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        if let Err(alert) = self.0.crypto.random(out) {
            self.0.refusal = Some(alert);
            // Keys are drawn until they are good: zeros never would be.
            out.fill(1);
        }
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl<C: Crypto> CryptoRng for Draws<'_, '_, C> {}
