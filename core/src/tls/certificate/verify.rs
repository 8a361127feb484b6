//! Verification of certificate chains, by rustls-webpki.

use core::time::Duration;

use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter};

use crate::tls::alert::Alert;
use crate::tls::certificate::name;
use crate::tls::crypto::provider::{Crypto, Scheme};
use crate::tls::crypto::signature::scheme_of;
use crate::tls::wire::Reader;

/// Most certificates of a chain besides the first.
const INTERMEDIATES_MAX: usize = 8;

/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1 (RFC 5280, section 4.2.1.12).
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2 (RFC 5280, section 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate that says what it is for must be for. Webpki's own check makes a list for
/// its error on the heap, wherever some other crate of the program turns that feature on.
struct Usage(&'static [u8]);

impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut says = false;
        for purpose in purposes {
            says = true;
            if purpose? == KeyPurposeId::new(self.0) {
                return Ok(());
            }
        }
        if says {
            // The error's successor cannot be made outside of webpki.
            #[expect(deprecated, reason = "see above")]
            return Err(webpki::Error::RequiredEkuNotFound);
        }
        Ok(())
    }
}

/// Whom a chain must prove the peer to be.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The server with this DNS name or IP address.
    Server(&'a [u8]),
    /// Any client.
    Client,
}

/// The certificates of a `Certificate` message (RFC 8446, section 4.4.2), the peer's own first.
pub(crate) struct Chain<'a> {
    list: Reader<'a>,
}

impl<'a> Chain<'a> {
    /// Reads the message's content, without its header. The chain may be empty.
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, Alert> {
        let mut reader = Reader::new(content);
        // Only after the handshake would a request have a context (RFC 8446, section 4.3.2).
        if !reader.vector8()?.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let list = Reader::new(reader.vector24()?);
        reader.end()?;
        let mut rest = list;
        while !rest.is_empty() {
            if rest.vector24()?.is_empty() {
                return Err(Alert::DECODE_ERROR);
            }
            // We ask for none of the extensions that may come with a certificate.
            if !rest.vector16()?.is_empty() {
                return Err(Alert::UNSUPPORTED_EXTENSION);
            }
        }
        Ok(Self { list })
    }

    /// Returns the chain of a list as [`Self::parse`] finds in a message.
    #[cfg(feature = "embedded-tls")]
    pub(crate) const fn of(list: &'a [u8]) -> Self {
        Self {
            list: Reader::new(list),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the next certificate.
    fn next(&mut self) -> Result<Option<CertificateDer<'a>>, Alert> {
        if self.list.is_empty() {
            return Ok(None);
        }
        let certificate = self.list.vector24()?;
        self.list.vector16()?;
        Ok(Some(CertificateDer::from(certificate)))
    }

    /// Checks that the chain leads from `subject` to one of `roots` and is valid now.
    pub(crate) fn verify<C: Crypto>(
        mut self,
        crypto: &C,
        roots: &[TrustAnchor<'_>],
        subject: Subject<'_>,
    ) -> Result<(), Alert> {
        let first = self.next()?.ok_or(Alert::BAD_CERTIFICATE)?;
        let mut intermediates = [const { CertificateDer::from_slice(&[]) }; INTERMEDIATES_MAX];
        let mut count = 0_usize;
        while let Some(certificate) = self.next()? {
            *intermediates.get_mut(count).ok_or(Alert::BAD_CERTIFICATE)? = certificate;
            count = count.saturating_add(1);
        }
        let now = UnixTime::since_unix_epoch(Duration::from_secs(crypto.unix_seconds()));
        let usage = Usage(match subject {
            Subject::Server(_) => SERVER_AUTH,
            Subject::Client => CLIENT_AUTH,
        });
        let peer = EndEntityCert::try_from(&first).map_err(alert_of)?;
        let verified = peer.verify_for_usage(
            C::ALGORITHMS,
            roots,
            intermediates.get(..count).unwrap_or_default(),
            now,
            usage,
            None,
            None,
        );
        // Not `map_err`, which would copy the path of 2 KB on the stack.
        if let Err(error) = verified {
            return Err(alert_of(error));
        }
        if let Subject::Server(name) = subject {
            let name = name::parse(name).ok_or(Alert::INTERNAL_ERROR)?;
            peer.verify_is_valid_for_subject_name(&name)
                .map_err(alert_of)?;
        }
        Ok(())
    }

    /// Checks that the owner of the first certificate signed `message`.
    pub(crate) fn verify_signature<C: Crypto>(
        mut self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Alert> {
        let first = self.next()?.ok_or(Alert::BAD_CERTIFICATE)?;
        let peer = EndEntityCert::try_from(&first).map_err(alert_of)?;
        let algorithm = C::ALGORITHMS
            .iter()
            .find(|algorithm| scheme_of(**algorithm) == Some(scheme))
            .filter(|_| scheme.signs_handshakes())
            .ok_or(Alert::ILLEGAL_PARAMETER)?;
        peer.verify_signature(*algorithm, message, signature)
            .map_err(|error| match error {
                webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                    Alert::ILLEGAL_PARAMETER
                }
                _ => Alert::DECRYPT_ERROR,
            })
    }
}

/// Returns the alert that tells the peer what is wrong with its chain (RFC 8446, section 6.2).
#[expect(deprecated, reason = "made by the check of usage")]
fn alert_of(error: webpki::Error) -> Alert {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } | E::CertNotValidYet { .. } => Alert::CERTIFICATE_EXPIRED,
        E::CertRevoked => Alert::CERTIFICATE_REVOKED,
        E::UnknownIssuer => Alert::UNKNOWN_CA,
        E::UnsupportedCertVersion
        | E::UnsupportedCriticalExtension
        | E::RequiredEkuNotFoundContext(_)
        | E::RequiredEkuNotFound
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Alert::UNSUPPORTED_CERTIFICATE,
        E::CertNotValidForName(_) => Alert::CERTIFICATE_UNKNOWN,
        _ => Alert::BAD_CERTIFICATE,
    }
}
