//! TLS's own words for what went wrong.

use core::fmt;

use crate::error::alert_name;

/// An alert description (RFC 8446, section 6), the engine's one error type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Alert(u8);

impl Alert {
    /// The sender will send no more.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message came at the wrong time.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record did not authenticate.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record was longer than allowed.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// No acceptable set of parameters.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A certificate was corrupt or its signatures were wrong.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// A certificate was of a kind that is not supported.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// A certificate was revoked.
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    /// A certificate had expired or was not valid yet.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// A certificate was not acceptable for any other reason.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// A field was out of range or did not fit the others.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// No trusted authority issued the certificate.
    pub const UNKNOWN_CA: Self = Self(48);
    /// Certificate good, access refused.
    pub const ACCESS_DENIED: Self = Self(49);
    /// A message could not be parsed.
    pub const DECODE_ERROR: Self = Self(50);
    /// A handshake signature or `Finished` did not verify.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// The peer does not speak TLS 1.3.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// Something failed that has nothing to do with the peer.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// The sender's user gave up.
    pub const USER_CANCELED: Self = Self(90);
    /// A mandatory extension was absent.
    pub const MISSING_EXTENSION: Self = Self(109);
    /// An extension came that was not asked for or is not allowed there.
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    /// No server has the name that the client asked for.
    pub const UNRECOGNIZED_NAME: Self = Self(112);
    /// OCSP's word on a certificate was not good.
    pub const BAD_CERTIFICATE_STATUS_RESPONSE: Self = Self(113);
    /// A pre-shared key is not known.
    pub const UNKNOWN_PSK_IDENTITY: Self = Self(115);
    /// A client certificate is needed.
    pub const CERTIFICATE_REQUIRED: Self = Self(116);
    /// No common application protocol (RFC 7301, section 3.2).
    pub const NO_APPLICATION_PROTOCOL: Self = Self(120);

    /// Returns the alert with the number that is on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// Returns the number that is on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Returns the description's name (RFC 8446, section 6), or "unknown".
    #[must_use]
    pub const fn name(self) -> &'static str {
        alert_name(self.0)
    }

    /// Returns the alert level on the wire: 1 for the two closure alerts, else 2, fatal.
    pub(crate) const fn level(self) -> u8 {
        match self {
            Self::CLOSE_NOTIFY | Self::USER_CANCELED => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl core::error::Error for Alert {}
