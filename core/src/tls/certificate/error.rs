//! Why a peer's certificates were refused.

use core::fmt;

use crate::tls::alert::Alert;

/// Why a peer's certificates were refused.
///
/// The peer learns the [alert](Self::alert) only, which does not tell all of these apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CertificateError {
    /// A certificate could not be read.
    Malformed,
    /// No authority that is trusted issued the certificate, or one between it and the
    /// authority was not sent.
    UnknownIssuer,
    /// The signature of a certificate is not its issuer's.
    Signature,
    /// A certificate has expired, by our clock.
    Expired,
    /// A certificate is not valid yet, by our clock.
    NotYetValid,
    /// The certificate is not for the name of the server that was asked for.
    Name,
    /// The certificate is an authority's, and not itself among those that are trusted.
    AuthorityAsPeer,
    /// A certificate was issued by one that is no authority's.
    NotAnAuthority,
    /// The certificate is for other purposes than to prove who a server or a client is (RFC 5280,
    /// section 4.2.1.12).
    Purpose,
    /// The key may not sign (RFC 5280, section 4.2.1.3): the peer's own handshakes, or an
    /// authority's certificates.
    KeyUsage,
    /// An authority has issued what it may not: too long a path, or another's names.
    Constraint,
    /// A signature or a key is of a kind that cannot be verified here.
    Algorithm,
    /// A certificate of another version than 3, or with a critical extension that is not known.
    Unsupported,
    /// A certificate has been revoked.
    Revoked,
    /// The peer showed no certificate, and one is required.
    Missing,
    /// What OCSP says of the certificate is wrong, out of date or not that it is good; or the
    /// server shows nothing, and it is required.
    Status,
    /// The list of the certificates that an issuer has revoked is out of date, on our side.
    StaleList,
    /// All that the peer shows is longer than there is room for here, see
    /// [`WithRoom`](crate::tls::WithRoom).
    TooLong,
}

impl CertificateError {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 18] = [
        Self::Malformed,
        Self::UnknownIssuer,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Name,
        Self::AuthorityAsPeer,
        Self::NotAnAuthority,
        Self::Purpose,
        Self::KeyUsage,
        Self::Constraint,
        Self::Algorithm,
        Self::Unsupported,
        Self::Revoked,
        Self::Missing,
        Self::Status,
        Self::StaleList,
        Self::TooLong,
    ];

    /// Returns the alert that tells the peer (RFC 8446, section 6.2).
    #[must_use]
    pub const fn alert(self) -> Alert {
        match self {
            Self::UnknownIssuer => Alert::UNKNOWN_CA,
            Self::Expired | Self::NotYetValid => Alert::CERTIFICATE_EXPIRED,
            Self::Name | Self::StaleList => Alert::CERTIFICATE_UNKNOWN,
            Self::Purpose | Self::KeyUsage | Self::Algorithm | Self::Unsupported => {
                Alert::UNSUPPORTED_CERTIFICATE
            }
            Self::Revoked => Alert::CERTIFICATE_REVOKED,
            Self::Missing => Alert::CERTIFICATE_REQUIRED,
            Self::TooLong => Alert::DECODE_ERROR,
            Self::Status => Alert::BAD_CERTIFICATE_STATUS_RESPONSE,
            Self::Malformed
            | Self::Signature
            | Self::AuthorityAsPeer
            | Self::NotAnAuthority
            | Self::Constraint => Alert::BAD_CERTIFICATE,
        }
    }

    /// Returns the error with the number, which is above 0.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let index = usize::from(number).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// Returns the error's number, above 0.
    pub(crate) fn number(self) -> u8 {
        let mut numbers = Self::ALL.iter().zip(1..=u8::MAX);
        let found = numbers.find(|(error, _)| **error == self);
        found.map_or(0, |(_, number)| number)
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a certificate is malformed",
            Self::UnknownIssuer => "no trusted authority issued the certificate",
            Self::Signature => "a certificate's signature is wrong",
            Self::Expired => "a certificate has expired",
            Self::NotYetValid => "a certificate is not valid yet",
            Self::Name => "the certificate is for another name",
            Self::AuthorityAsPeer => "the certificate is an authority's",
            Self::NotAnAuthority => "a certificate was issued by one that is no authority's",
            Self::Purpose => "the certificate is for another purpose",
            Self::KeyUsage => "a certificate's key is not for signing",
            Self::Constraint => "an authority issued a certificate that it may not",
            Self::Algorithm => "a certificate's key or signature is of an unknown kind",
            Self::Unsupported => "a certificate has an unknown version or critical extension",
            Self::Revoked => "a certificate has been revoked",
            Self::Missing => "a certificate is required",
            Self::Status => "nothing shows that the certificate has not been revoked",
            Self::TooLong => "the certificates are longer than there is room for",
            Self::StaleList => "the list of revoked certificates is out of date",
        })
    }
}

impl core::error::Error for CertificateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back() {
        for error in CertificateError::ALL {
            assert_eq!(CertificateError::from_number(error.number()), Some(error));
        }
        assert_eq!(CertificateError::from_number(0), None);
        assert_eq!(CertificateError::from_number(19), None);
    }
}
