//! The one error type of every platform.

use core::fmt;

/// Why an operation or a connection failed, in the same words on every platform.
///
/// Waiting is not an error: an operation that would block says so in its return value.
/// Four bytes, so that a slot can keep one until its `on_close`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Another socket already holds the local address.
    AddressInUse,
    /// No interface has the local address.
    AddressUnavailable,
    /// The operating system forbids the operation.
    Denied,
    /// The pool has no free slot.
    Full,
    /// The platform is out of descriptors, buffers or memory; later it may have some again.
    Exhausted,
    /// An argument or the state of the socket makes the call meaningless. The calling program is
    /// at fault, never the peer.
    Invalid,
    /// No route leads to the peer.
    Unreachable,
    /// The peer refused the connection (RFC 9293, section 3.5.2: RST in answer to SYN).
    Refused,
    /// The peer reset the connection.
    Reset,
    /// The peer ended its direction, and then reset the connection when we went on sending.
    BrokenPipe,
    /// The peer did not answer in time.
    TimedOut,
    /// The stream ended without the protocol's own end: a FIN without TLS's `close_notify`
    /// (RFC 8446, section 6.1). Or a packet was longer than the memory to receive it.
    Truncated,
    /// The peer sent a fatal TLS alert (RFC 8446, section 6).
    AlertReceived(u8),
    /// The peer broke TLS, and this alert (RFC 8446, section 6) was sent to say so.
    AlertSent(u8),
    /// The peer broke a layer's protocol; the number is the layer's.
    Protocol(u16),
    /// The platform cannot do this at all, for example TLS without a TLS layer.
    Unsupported,
    /// Any other failure, with the platform's own number (`errno` on Linux). For logs, not for
    /// decisions.
    Platform(u16),
}

impl Error {
    /// Whether the failure is about the peer or the way to it, not about the local side.
    ///
    /// [`Net::connect`](crate::Net::connect) reports such a failure through `on_connect_error`
    /// even when the platform knows it at once.
    #[must_use]
    pub const fn is_remote(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::Refused
                | Self::Reset
                | Self::BrokenPipe
                | Self::TimedOut
                | Self::Truncated
                | Self::AlertReceived(_)
                | Self::AlertSent(_)
                | Self::Protocol(_)
        )
    }

    /// Packs the error into 24 bits, so that zero never comes out.
    pub(crate) const fn to_bits(self) -> u32 {
        let [low, high] = match self {
            Self::AlertReceived(alert) | Self::AlertSent(alert) => [alert, 0],
            Self::Protocol(number) | Self::Platform(number) => number.to_le_bytes(),
            _ => [0, 0],
        };
        let kind = match self {
            Self::AddressInUse => 1,
            Self::AddressUnavailable => 2,
            Self::Denied => 3,
            Self::Full => 4,
            Self::Exhausted => 5,
            Self::Invalid => 6,
            Self::Unreachable => 7,
            Self::Refused => 8,
            Self::Reset => 9,
            Self::TimedOut => 10,
            Self::Truncated => 11,
            Self::AlertReceived(_) => 12,
            Self::AlertSent(_) => 13,
            Self::Protocol(_) => 14,
            Self::Unsupported => 15,
            Self::Platform(_) => 16,
            Self::BrokenPipe => 17,
        };
        u32::from_le_bytes([kind, low, high, 0])
    }

    /// Unpacks what [`Self::to_bits`] packed.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        let [kind, low, high, _] = bits.to_le_bytes();
        let number = u16::from_le_bytes([low, high]);
        match kind {
            1 => Self::AddressInUse,
            2 => Self::AddressUnavailable,
            3 => Self::Denied,
            4 => Self::Full,
            5 => Self::Exhausted,
            6 => Self::Invalid,
            7 => Self::Unreachable,
            8 => Self::Refused,
            9 => Self::Reset,
            10 => Self::TimedOut,
            11 => Self::Truncated,
            12 => Self::AlertReceived(low),
            13 => Self::AlertSent(low),
            14 => Self::Protocol(number),
            15 => Self::Unsupported,
            17 => Self::BrokenPipe,
            _ => Self::Platform(number),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AddressInUse => "address in use",
            Self::AddressUnavailable => "address unavailable",
            Self::Denied => "denied by the operating system",
            Self::Full => "the socket pool is full",
            Self::Exhausted => "the platform is out of descriptors or memory",
            Self::Invalid => "invalid argument or state",
            Self::Unreachable => "unreachable",
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::BrokenPipe => "connection reset after the peer's end",
            Self::TimedOut => "timed out",
            Self::Truncated => "stream truncated",
            Self::AlertReceived(alert) => {
                return write!(f, "TLS alert {} ({alert}) received", alert_name(*alert));
            }
            Self::AlertSent(alert) => {
                return write!(f, "TLS alert {} ({alert}) sent", alert_name(*alert));
            }
            Self::Protocol(number) => return write!(f, "protocol error {number}"),
            Self::Unsupported => "unsupported",
            Self::Platform(number) => return write!(f, "platform error {number}"),
        };
        f.write_str(text)
    }
}

impl core::error::Error for Error {}

/// Returns the name of a TLS alert (RFC 8446, section 6, and the registry that it began), or
/// "unknown".
pub(crate) const fn alert_name(alert: u8) -> &'static str {
    match alert {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "unknown",
    }
}
