//! Handshakes that failed, reported to the program and counted.

use core::fmt;

use crate::error::Error;
use crate::id::SocketId;
use crate::tls::certificate::error::CertificateError;

/// A handshake that failed, for a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HandshakeFailure {
    /// The socket, which is not open and never will be. It still has its addresses.
    pub id: SocketId,
    /// True if the connection was made from here, false if it was accepted.
    pub is_client: bool,
    /// Why: an alert that was sent or received, or what went wrong below TLS.
    pub error: Error,
    /// What was wrong with the peer's certificates, if that is why.
    pub certificate: Option<CertificateError>,
    /// True if a message of the peer's is longer than there is room for: of its certificates, if
    /// [`Self::certificate`] says so, or another. [`WithRoom`](crate::tls::WithRoom) gives more.
    pub lacks_room: bool,
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = if self.is_client { "server" } else { "client" };
        write!(f, "handshake with a {peer} failed: {}", self.error)?;
        match self.certificate {
            Some(error) => write!(f, ": {error}"),
            None if self.lacks_room => f.write_str(": a message is longer than there is room for"),
            None => Ok(()),
        }
    }
}

/// Observes handshakes that failed, which a handler of an accepted connection never sees.
pub trait ObserveHandshakes: Sync {
    /// Is called once for each handshake that failed, before its socket closes; not for those that
    /// run out of time, which are counted only.
    fn on_failure(&self, failure: &HandshakeFailure);
}

/// Numbers of handshakes since the layer was made; at their greatest value they stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HandshakeStats {
    /// Those that were done.
    pub opened: u64,
    /// … of them, by a pre-shared key of an earlier connection.
    pub resumed: u64,
    /// Those that ended with an alert of ours.
    pub alerts_sent: u64,
    /// … of them, for the peer's certificates.
    pub certificates: u64,
    /// Those that ended with an alert of the peer's.
    pub alerts_received: u64,
    /// Those that ended otherwise: out of time, closed here, or by an error below TLS.
    pub lost: u64,
}

impl HandshakeStats {
    pub(crate) const NONE: Self = Self {
        opened: 0,
        resumed: 0,
        alerts_sent: 0,
        certificates: 0,
        alerts_received: 0,
        lost: 0,
    };

    pub(crate) const fn count_opened(&mut self, is_resumed: bool) {
        self.opened = self.opened.saturating_add(1);
        if is_resumed {
            self.resumed = self.resumed.saturating_add(1);
        }
    }

    pub(crate) const fn count_failure(&mut self, failure: &HandshakeFailure) {
        match failure.error {
            Error::AlertSent(_) => {
                self.alerts_sent = self.alerts_sent.saturating_add(1);
                if failure.certificate.is_some() {
                    self.certificates = self.certificates.saturating_add(1);
                }
            }
            Error::AlertReceived(_) => {
                self.alerts_received = self.alerts_received.saturating_add(1);
            }
            _ => self.count_lost(),
        }
    }

    pub(crate) const fn count_lost(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }
}
