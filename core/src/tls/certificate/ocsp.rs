//! What OCSP says of a certificate (RFC 6960, section 4.2.1), as servers show it.

use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::fields::{Certificate, Extension};
use crate::tls::certificate::path::SignedDocument;
use crate::tls::crypto::der;
use crate::tls::wire::Reader;

/// The extension of hellos and certificates that it comes in (RFC 6066, section 8).
pub(crate) const STATUS_REQUEST: u16 = 5;
/// Its kind there.
pub(crate) const OCSP: u8 = 1;

/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1 (RFC 6960, section 4.2.1).
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9 (RFC 6960, section 4.2.2.2).
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
/// The states of a certificate (RFC 6960, section 4.2.1): the tags `[0]` and `[1]`.
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
/// Seconds for which a response without `nextUpdate` counts. RFC 6960 has none: such a server is to
/// be asked each time, which a client of stapled responses cannot.
const WITHOUT_NEXT: u64 = 86_400;

/// Whether a client asks servers to show that their certificate has not been revoked (RFC 6066,
/// section 8; RFC 8446, section 4.4.2.1).
///
/// What a server shows is verified: by the key of the certificate's issuer, or by that of a
/// responder whose certificate the issuer's key has signed for the purpose (RFC 6960, section
/// 4.2.2.2). It must be of the certificate's serial number, say that it is good, and be within its
/// time: from `thisUpdate` until `nextUpdate` or, without that, for a day, both to the second (RFC
/// 6960, section 4.2.2.1), as the lists of revoked certificates are. No extension of it may
/// be critical (RFC 6960, section 4.4). A revoked certificate is refused as
/// [`Revoked`](CertificateError::Revoked), for all else that is wrong as
/// [`Status`](CertificateError::Status). No responder is called from here.
///
/// A session that is resumed shows no certificate: what the first handshake was shown stands until
/// its time is over, or that of its responder's certificate, and for a week at most, under the same
/// policy. A client that must know sooner keeps no tickets.
///
/// The hashes of the issuer's name and key in the response are not compared, as most are SHA-1:
/// the signature shows the issuer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OcspPolicy {
    /// Not asked.
    #[default]
    Off,
    /// Asked; a server that shows nothing is accepted, one that shows something bad is not.
    Requested,
    /// Asked, and a server that shows nothing is refused.
    Required,
}

/// Reads the extensions of a certificate: what OCSP says of it (RFC 8446, section 4.4.2.1), or
/// nothing.
pub(crate) fn read_status(extensions: &[u8]) -> Result<Option<&[u8]>, Alert> {
    let mut reader = Reader::new(extensions);
    let mut status = None;
    while !reader.is_empty() {
        let number = reader.u16()?;
        let mut content = Reader::new(reader.vector16()?);
        if number != STATUS_REQUEST {
            return Err(Alert::UNSUPPORTED_EXTENSION);
        }
        if status.is_some() || content.u8()? != OCSP {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let response = content.vector24()?;
        content.end()?;
        if response.is_empty() {
            return Err(Alert::DECODE_ERROR);
        }
        status = Some(response);
    }
    Ok(status)
}

/// Returns true if a response may be shown with a certificate of our own: if it says something of
/// it that counts now. Its signature is not verified: its clients do that.
pub(crate) fn is_to_be_shown(response: &[u8], certificate: &[u8], now: u64) -> bool {
    let response = OcspResponse::parse(response);
    let (Some(response), Some(certificate)) = (response, Certificate::parse(certificate)) else {
        return false;
    };
    response.status(&certificate, now).is_ok()
}

/// A response of the basic kind, in the bytes that came.
#[derive(Debug)]
pub(crate) struct OcspResponse<'a> {
    pub(crate) signed: SignedDocument<'a>,
    /// The list of what is said of certificates.
    responses: &'a [u8],
    /// The responder's own certificate, if there is one.
    responder: Option<&'a [u8]>,
}

/// The state of a certificate (RFC 6960, section 4.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CertStatus {
    Good,
    Revoked,
    /// The responder does not know the certificate.
    Unknown,
}

/// What is said of one certificate.
struct Single<'a> {
    serial: &'a [u8],
    /// The tag of the state.
    status: u8,
    this_update: u64,
    next_update: Option<u64>,
}

impl<'a> OcspResponse<'a> {
    /// Reads an `OCSPResponse`; `None` if it is malformed, or of a failure.
    pub(crate) fn parse(document: &'a [u8]) -> Option<Self> {
        let (content, after) = der::element(document, der::SEQUENCE)?;
        let (status, rest) = der::element(content, der::ENUMERATED)?;
        let (bytes, end) = der::element(rest, der::context(0))?;
        let bytes = whole(bytes, der::SEQUENCE)?;
        let (kind, bytes) = der::element(bytes, der::OBJECT_IDENTIFIER)?;
        let basic = whole(bytes, der::OCTET_STRING)?;
        if status != [0] || kind != BASIC || !after.is_empty() || !end.is_empty() {
            return None;
        }
        let content = whole(basic, der::SEQUENCE)?;
        let (signed, after) = SignedDocument::split(content)?;
        let responder = match after.is_empty() {
            true => None,
            // The first of them; more would be its issuers, of which we want none.
            false => {
                let list = whole(after, der::context(0))?;
                let (list, _) = der::element(list, der::SEQUENCE)?;
                let (_, rest) = der::element(list, der::SEQUENCE)?;
                list.get(..list.len().checked_sub(rest.len())?)
            }
        };
        let (data, _) = der::element(signed.message, der::SEQUENCE)?;
        let rest = match der::element(data, der::context(0)) {
            Some((_version, rest)) => rest,
            None => data,
        };
        // By name or by key; the signature says more than either.
        let (_, rest) = match der::element(rest, der::context(1)) {
            Some(responder) => responder,
            None => der::element(rest, der::context(2))?,
        };
        let (_produced_at, rest) = der::time(rest)?;
        let (responses, rest) = der::element(rest, der::SEQUENCE)?;
        understands(rest)?;
        Some(Self {
            signed,
            responses,
            responder,
        })
    }

    /// Returns the state of a certificate as the response has it, which counts once its signature
    /// has been verified, and the last second in which it does.
    ///
    /// # Errors
    /// `Status`: it says nothing of the certificate, or nothing that counts now.
    pub(crate) fn status(
        &self,
        certificate: &Certificate<'_>,
        now: u64,
    ) -> Result<(CertStatus, u64), CertificateError> {
        let wrong = CertificateError::Status;
        let single = self.find(certificate.serial).ok_or(wrong)?;
        let end = single.next_update;
        let end = end.unwrap_or_else(|| single.this_update.saturating_add(WITHOUT_NEXT));
        if !(single.this_update..=end).contains(&now) {
            return Err(wrong);
        }
        let status = match single.status {
            GOOD => CertStatus::Good,
            REVOKED => CertStatus::Revoked,
            _ => CertStatus::Unknown,
        };
        Ok((status, end))
    }

    /// Returns the certificate of the responder that has signed in the issuer's place, which counts
    /// once its signature has been verified by the issuer's key; `None` if the issuer has signed.
    ///
    /// # Errors
    /// `Status`: the responder may not sign responses.
    pub(crate) fn responder(
        &self,
        certificate: &Certificate<'_>,
        issuer_key: &[u8],
        now: u64,
    ) -> Result<Option<Certificate<'a>>, CertificateError> {
        let Some(document) = self.responder else {
            return Ok(None);
        };
        let responder = Certificate::parse(document).ok_or(CertificateError::Status)?;
        if responder.key == issuer_key {
            return Ok(None);
        }
        let may_sign = responder.issuer == certificate.issuer
            && responder.says_for(OCSP_SIGNING)
            && responder.may_sign()
            && responder.is_valid_at(now);
        match may_sign {
            true => Ok(Some(responder)),
            false => Err(CertificateError::Status),
        }
    }

    /// Returns what is said of the certificate with a serial number.
    fn find(&self, serial: &[u8]) -> Option<Single<'a>> {
        let mut rest = self.responses;
        while !rest.is_empty() {
            let (content, after) = der::element(rest, der::SEQUENCE)?;
            let single = Single::parse(content)?;
            if single.serial == serial {
                return Some(single);
            }
            rest = after;
        }
        None
    }
}

/// Returns the content of an element that is all there is.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (content, rest) = der::element(bytes, tag)?;
    rest.is_empty().then_some(content)
}

/// Reads the extensions, `[1]`, of a response or of what it says of a certificate; `None` if they
/// are malformed, or one is critical: none is known here (RFC 6960, section 4.4).
fn understands(extensions: &[u8]) -> Option<()> {
    if extensions.is_empty() {
        return Some(());
    }
    let mut rest = whole(whole(extensions, der::context(1))?, der::SEQUENCE)?;
    while !rest.is_empty() {
        let (extension, after) = Extension::split(rest)?;
        if extension.is_critical {
            return None;
        }
        rest = after;
    }
    Some(())
}

impl<'a> Single<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
        let (id, rest) = der::element(content, der::SEQUENCE)?;
        let (_hash, id) = der::element(id, der::SEQUENCE)?;
        let (_issuer_name, id) = der::element(id, der::OCTET_STRING)?;
        let (_issuer_key, id) = der::element(id, der::OCTET_STRING)?;
        let (serial, _) = der::element(id, der::INTEGER)?;
        let status = *rest.first()?;
        let (_, rest) = der::element(rest, status)?;
        let (this_update, rest) = der::time(rest)?;
        let (next_update, rest) = match der::element(rest, der::context(0)) {
            Some((time, rest)) => (Some(der::time(time)?.0), rest),
            None => (None, rest),
        };
        understands(rest)?;
        Some(Self {
            serial,
            status,
            this_update,
            next_update,
        })
    }
}
