//! What an owner chooses for a connection before it opens.

use usockets::Duration;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
#[non_exhaustive]
pub enum Algorithm {
    /// CUBIC (RFC 9438): the default, for paths of any length. Reno without the feature `cubic`.
    #[default]
    Cubic,
    /// Reno (RFC 5681, RFC 6582): smaller code, slower on long and fast paths.
    Reno,
    /// BBR, by a model of the path's bandwidth and round trip: fast where frames are lost without
    /// congestion. It implies pacing. It does not go by marks of routers either, so what it sends
    /// is not ECT (RFC 3168) even where ECN is agreed on.
    ///
    /// **Experimental**: it is the first version of BBR, which losses do not slow down, so beside
    /// it others get less than their share. Where two flows share 20 Mbit/s and a round trip of
    /// 40 ms, CUBIC gets 8 % of it beside BBR's 87 % with a queue of 33 frames, 12 % beside 83 %
    /// with 66 frames, and half with 264 (`cargo test -p usockets-smoltcp --features bbr --test tcp
    /// starves -- --nocapture`).
    #[cfg(feature = "bbr")]
    Bbr,
}

impl Algorithm {
    /// Returns true if it goes by a model of the path.
    #[inline]
    pub(super) const fn is_model(self) -> bool {
        #[cfg(feature = "bbr")]
        return matches!(self, Self::Bbr);
        #[cfg(not(feature = "bbr"))]
        false
    }
}

/// Whether a connection uses explicit congestion notification (RFC 3168).
#[cfg(feature = "ecn")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ecn {
    /// It does not, whatever the peer asks for.
    Off,
    /// It does if the peer asks for it, the default.
    #[default]
    Accept,
    /// It asks for it, too, when it opens actively. Where nobody answers that, it asks no more.
    Request,
}

/// What is chosen for a connection when it opens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Octets of the largest segment that may come: the MTU less 40 for IPv4 or 60 for IPv6
    /// (RFC 9293, section 3.7.1). It is announced in our SYN and limits what is sent, too.
    pub mss: u16,
    /// The MSS of a peer that tells none (RFC 9293, section 3.7.1): 536, the default, for IPv4 and
    /// 1220 for IPv6.
    pub mss_default: u16,
    /// Hold small segments back while others are unacknowledged (Nagle's algorithm, RFC 9293,
    /// section 3.7.4). On by default.
    pub nagle: bool,
    /// Offer and accept timestamps (RFC 7323). On by default.
    pub timestamps: bool,
    /// Offer and accept selective acknowledgements (RFC 2018). On by default.
    pub sack: bool,
    /// Offer and accept window scaling (RFC 7323). On by default.
    pub window_scaling: bool,
    /// Which congestion control is used.
    pub algorithm: Algorithm,
    /// Let segments with data leave no faster than the congestion window in a round trip: twice as
    /// fast in slow start, and 1.2 times after it. Off by default. It costs short answers on long
    /// paths up to half a round trip, and saves small queues on the way from bursts.
    #[cfg(feature = "pacing")]
    pub pacing: bool,
    /// Whether it uses explicit congestion notification (RFC 3168): if the peer asks for it, by
    /// default.
    #[cfg(feature = "ecn")]
    pub ecn: Ecn,
    /// After how much silence a probe asks whether the peer is still there, in whole seconds up to
    /// 18 hours; `None`, the default, for never (RFC 9293, section 3.8.4).
    pub keepalive: Option<Duration>,
    /// How long something may stay unacknowledged before the connection is aborted (R2 of RFC 9293,
    /// section 3.8.3, and its user timeout), up to 68 minutes and kept to a 16th of a second. 120 s
    /// by default. A peer that keeps its
    /// window closed and says so is waited for without end.
    pub user_timeout: Duration,
    /// How long the handshake may take (R2 for SYN), up to 68 minutes and kept to a 16th of a
    /// second. 180 s by default.
    pub handshake_timeout: Duration,
    /// How long TIME-WAIT lasts: twice the MSL. 60 s by default, up to 18 hours in whole seconds.
    pub time_wait: Duration,
    /// Where the clock of our timestamps starts (RFC 7323, section 5.4): a number that only we know
    /// for each pair of addresses, such as a keyed hash. 0 by default.
    pub timestamps_offset: u32,
}

impl Settings {
    /// Makes the default settings for segments of `mss` octets.
    #[must_use]
    pub const fn new(mss: u16) -> Self {
        Self {
            mss,
            mss_default: 536,
            nagle: true,
            timestamps: true,
            sack: true,
            window_scaling: true,
            algorithm: Algorithm::Cubic,
            #[cfg(feature = "pacing")]
            pacing: false,
            #[cfg(feature = "ecn")]
            ecn: Ecn::Accept,
            keepalive: None,
            user_timeout: Duration::from_secs(120),
            handshake_timeout: Duration::from_secs(180),
            time_wait: Duration::from_secs(60),
            timestamps_offset: 0,
        }
    }

    /// Returns true if ECN is used when the peer asks for it.
    #[cfg_attr(
        not(feature = "ecn"),
        expect(clippy::unused_self, reason = "of the feature")
    )]
    pub(super) const fn accepts_ecn(&self) -> bool {
        #[cfg(feature = "ecn")]
        let accepts = !matches!(self.ecn, Ecn::Off);
        #[cfg(not(feature = "ecn"))]
        let accepts = false;
        accepts
    }

    /// Returns true if ECN is asked for.
    #[cfg_attr(
        not(feature = "ecn"),
        expect(clippy::unused_self, reason = "of the feature")
    )]
    pub(super) const fn requests_ecn(&self) -> bool {
        #[cfg(feature = "ecn")]
        let requests = matches!(self.ecn, Ecn::Request);
        #[cfg(not(feature = "ecn"))]
        let requests = false;
        requests
    }

    /// Sets [`Self::mss_default`].
    #[must_use]
    pub const fn mss_default(mut self, mss: u16) -> Self {
        self.mss_default = mss;
        self
    }

    /// Sets [`Self::nagle`].
    #[must_use]
    pub const fn nagle(mut self, on: bool) -> Self {
        self.nagle = on;
        self
    }

    /// Sets [`Self::timestamps`].
    #[must_use]
    pub const fn timestamps(mut self, on: bool) -> Self {
        self.timestamps = on;
        self
    }

    /// Sets [`Self::sack`].
    #[must_use]
    pub const fn sack(mut self, on: bool) -> Self {
        self.sack = on;
        self
    }

    /// Sets [`Self::window_scaling`].
    #[must_use]
    pub const fn window_scaling(mut self, on: bool) -> Self {
        self.window_scaling = on;
        self
    }

    /// Sets [`Self::algorithm`].
    #[must_use]
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets [`Self::pacing`].
    #[cfg(feature = "pacing")]
    #[must_use]
    pub const fn pacing(mut self, on: bool) -> Self {
        self.pacing = on;
        self
    }

    /// Sets [`Self::ecn`].
    #[cfg(feature = "ecn")]
    #[must_use]
    pub const fn ecn(mut self, ecn: Ecn) -> Self {
        self.ecn = ecn;
        self
    }

    /// Sets [`Self::keepalive`].
    #[must_use]
    pub const fn keepalive(mut self, interval: Option<Duration>) -> Self {
        self.keepalive = interval;
        self
    }

    /// Sets [`Self::user_timeout`].
    #[must_use]
    pub const fn user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// Sets [`Self::handshake_timeout`].
    #[must_use]
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets [`Self::time_wait`].
    #[must_use]
    pub const fn time_wait(mut self, duration: Duration) -> Self {
        self.time_wait = duration;
        self
    }

    /// Sets [`Self::timestamps_offset`].
    #[must_use]
    pub const fn timestamps_offset(mut self, offset: u32) -> Self {
        self.timestamps_offset = offset;
        self
    }
}
