//! What a connection tells of itself to operators: numbers to look at, which change nothing.

use usockets::{Duration, Error};

use super::connection::{Connection, State};
use super::quiet::Quiet;

/// How a connection is doing ([`Connection::info`]). Octets are of sequence space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Its state.
    pub state: State,
    /// Why it broke; `None` when it has not.
    pub error: Option<Error>,
    /// SRTT, the smoothed round trip time (RFC 6298); `None` before the first measurement.
    pub round_trip: Option<Duration>,
    /// RTO, how long an acknowledgement is waited for (RFC 6298), back-off included.
    pub timeout: Duration,
    /// cwnd, the octets that congestion control lets be on their way (RFC 5681).
    pub congestion_window: u32,
    /// ssthresh, up to which the window grows fast (RFC 5681).
    pub threshold: u32,
    /// SND.WND, the octets that the peer has room for.
    pub send_window: u32,
    /// Octets that are sent and not acknowledged.
    pub in_flight: u32,
    /// Octets that the owner has sent and that wait to go.
    pub unsent: u32,
    /// Octets that wait for the owner to receive them.
    pub unread: u32,
    /// Segments with data or FIN that were sent again, tail loss probes included; wrapping.
    pub retransmissions: u32,
    /// Octets of the largest segment that may be sent (RFC 6691).
    pub segment_len: u16,
    /// Explicit congestion notification is in use (RFC 3168).
    #[cfg(feature = "ecn")]
    pub ecn: bool,
}

impl Connection {
    /// Returns how the connection is doing.
    #[must_use]
    pub fn info(&self) -> Info {
        let smoothed = u64::from(self.rtt.smoothed);
        Info {
            state: self.state(),
            error: self.error(),
            round_trip: (smoothed > 0).then(|| Duration::from_micros(smoothed)),
            timeout: Duration::from_micros(self.rtt.timeout().into()),
            congestion_window: self.congestion.window,
            threshold: self.congestion.threshold,
            send_window: self.send.wnd(),
            in_flight: self.flight(),
            unsent: self.unsent(),
            unread: self.receive_len(),
            retransmissions: self.retransmissions,
            segment_len: u16::try_from(self.segment_len()).unwrap_or(u16::MAX),
            #[cfg(feature = "ecn")]
            ecn: self.has_ecn(),
        }
    }
}

impl Quiet {
    /// Returns how the connection is doing, as [`Connection::info`].
    #[must_use]
    pub fn info(&self) -> Info {
        self.resume().info()
    }
}
