//! The control block: what a connection remembers.

use usockets::{Error, Instant};

use super::congestion::{Congestion, MODEL_LEN};
use super::injected_bug::injected_bug;
use super::loss::rack::Rack;
use super::loss::recovery::{Phase, Recovery};
use super::loss::rtt::Rtt;
use super::loss::scoreboard::Scoreboard;
use super::memory::{Buffers, advance, capacity, read_ring};
use super::reassembly::Receive;
use super::segment::Transmit;
use super::seq::Seq;
use super::settings::{Algorithm, Settings};
use super::timers::Timers;

/// Largest shift of a window (RFC 7323, section 2.3).
pub(super) const SHIFT_MAX: u8 = 14;

/// The states of RFC 9293, section 3.3.2. LISTEN is the shell's: a listener has no control block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
#[non_exhaustive]
pub enum State {
    /// No connection.
    Closed,
    /// Our SYN is sent, the peer's is awaited.
    SynSent,
    /// Both SYNs are there, the acknowledgement of ours is awaited.
    SynReceived,
    /// Open in both directions.
    Established,
    /// We ended our direction before the peer. Our FIN is not acknowledged, and may still wait
    /// behind octets to be sent.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer's FIN has come; we may still send.
    CloseWait,
    /// As FIN-WAIT-1, and the peer's FIN has come.
    Closing,
    /// Our FIN is sent after the peer's, its acknowledgement is awaited.
    LastAck,
    /// Both FINs are acknowledged; what is still in the network dies out.
    TimeWait,
}

impl State {
    /// Returns true while the handshake is not complete.
    #[must_use]
    pub const fn is_opening(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// Returns true if the peer's FIN has been received.
    #[must_use]
    pub const fn has_peer_fin(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }
}

/// Why a connection broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(super) enum Broken {
    /// It has not, or ended as both sides wanted.
    Not,
    /// The peer has not answered.
    TimedOut,
    /// Nor has it, and ICMP has said why.
    Unreachable,
    /// The peer refused it.
    Refused,
    /// The peer has reset it.
    Reset,
    /// The peer has reset it after its end, while ours was to come.
    AfterEnd,
}

/// Yes-or-no facts about a connection, one bit each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(super) struct Marks(u32);

impl Marks {
    /// An acknowledgement goes out with the next chance.
    pub(super) const ACK_DUE: u32 = 1;
    /// Our SYN, or SYN|ACK, is to be sent.
    pub(super) const SYN_DUE: u32 = 1 << 1;
    /// A reset is to be sent; the connection is CLOSED already.
    pub(super) const RESET_DUE: u32 = 1 << 2;
    /// The owner has ended our direction.
    pub(super) const FIN_WANTED: u32 = 1 << 3;
    /// Our FIN has been sent; SND.NXT counts it.
    pub(super) const FIN_SENT: u32 = 1 << 4;
    /// The owner receives no more: what comes is discarded.
    pub(super) const RECEIVE_CLOSED: u32 = 1 << 5;
    /// The last send was cut short: room is worth an event.
    pub(super) const SEND_SHORT: u32 = 1 << 6;
    /// Nagle's algorithm is on.
    pub(super) const NAGLE: u32 = 1 << 7;
    /// Timestamps are in use (RFC 7323); before the handshake, may be.
    pub(super) const TIMESTAMPS: u32 = 1 << 8;
    /// Selective acknowledgements are in use (RFC 2018); before the handshake, may be.
    pub(super) const SACK: u32 = 1 << 9;
    /// Windows are scaled (RFC 7323); before the handshake, may be.
    pub(super) const SCALING: u32 = 1 << 10;
    /// The connection was opened by a SYN to a listener.
    pub(super) const PASSIVE: u32 = 1 << 11;
    /// A tail loss probe is to be sent (RFC 8985, section 7.3).
    pub(super) const TAIL_PROBE_DUE: u32 = 1 << 12;
    /// A tail loss probe has been sent and its end is not acknowledged.
    pub(super) const TAIL_PROBE_OUT: u32 = 1 << 13;
    /// That probe was a retransmission.
    pub(super) const TAIL_PROBE_AGAIN: u32 = 1 << 14;
    /// A zero-window probe, or a segment too small for its turn, is to be sent.
    pub(super) const WINDOW_PROBE_DUE: u32 = 1 << 15;
    /// The octet at SND.NXT has been sent as a zero-window probe and is not counted by SND.NXT.
    pub(super) const WINDOW_PROBE_OUT: u32 = 1 << 16;
    /// A keep-alive probe is to be sent.
    pub(super) const KEEPALIVE_DUE: u32 = 1 << 17;
    /// The first outstanding segment is to be sent again whatever the windows say.
    pub(super) const FIRST_AGAIN: u32 = 1 << 18;
    /// The peer's FIN lies at [`Receive::fin`].
    pub(super) const PEER_FIN_KNOWN: u32 = 1 << 19;
    /// A SYN of ours was sent more than once.
    pub(super) const SYN_AGAIN: u32 = 1 << 20;
    /// What is sent is limited by the congestion window.
    pub(super) const WINDOW_USED: u32 = 1 << 21;
    /// ICMP has said, not finally, that the peer is unreachable (RFC 1122, section 4.2.3.9).
    pub(super) const SOFT_ERROR: u32 = 1 << 22;
    /// The repair in progress may yet turn out not to have been needed.
    pub(super) const MAY_UNDO: u32 = 1 << 24;
    /// A partial acknowledgement has come in the repair in progress, without SACK.
    pub(super) const PARTIAL: u32 = 1 << 25;
    /// We have offered timestamps.
    pub(super) const TIMESTAMPS_OFFERED: u32 = 1 << 26;
    /// New segments go before what is taken to be lost since a timeout, which the next
    /// acknowledgement tells to have been needed or not (F-RTO, RFC 5682).
    /// It is the same bit as [`Self::PARTIAL`], and is this one in `Phase::Timeout` only.
    pub(super) const FORWARD: u32 = Self::PARTIAL;
    /// Segments with text wait for their time, as the deadline says (feature `pacing`).
    pub(super) const PACE_WAITS: u32 = 1 << 30;
    /// The connection is paced.
    pub(super) const PACED: u32 = 1 << 31;
    /// ECN is in use (RFC 3168); before the handshake, may be. Without the feature these are no
    /// bits, so nothing has or sets them.
    pub(super) const ECN: u32 = if cfg!(feature = "ecn") { 1 << 27 } else { 0 };
    /// Acknowledgements echo that text met congestion.
    pub(super) const ECE_DUE: u32 = Self::ECN << 1;
    /// The next new text tells that the window was reduced.
    pub(super) const CWR_DUE: u32 = Self::ECN << 2;

    /// None.
    pub(super) const NONE: Self = Self(0);
    /// Something is to be sent.
    pub(super) const DUE: u32 = Self::ACK_DUE
        | Self::SYN_DUE
        | Self::RESET_DUE
        | Self::TAIL_PROBE_DUE
        | Self::WINDOW_PROBE_DUE
        | Self::KEEPALIVE_DUE
        | Self::FIRST_AGAIN;
    /// What means nothing once everything is acknowledged.
    pub(super) const OF_FLIGHT: u32 = Self::TAIL_PROBE_OUT
        | Self::TAIL_PROBE_AGAIN
        | Self::WINDOW_PROBE_OUT
        | Self::WINDOW_USED
        | Self::MAY_UNDO
        | Self::PARTIAL
        | Self::FORWARD;

    #[inline]
    pub(super) const fn has(self, mark: u32) -> bool {
        self.0 & mark != 0
    }

    #[inline]
    pub(super) const fn set(&mut self, mark: u32) {
        self.0 |= mark;
    }

    #[inline]
    pub(super) const fn clear(&mut self, mark: u32) {
        self.0 &= !mark;
    }

    /// Sets or clears a mark.
    pub(super) const fn assign(&mut self, mark: u32, on: bool) {
        if on {
            self.set(mark);
        } else {
            self.clear(mark);
        }
    }
}

/// The send sequence space (RFC 9293, section 3.3.1) and the send buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Send {
    /// SND.UNA; ISS until the handshake is complete.
    pub(super) una: Seq,
    /// SND.NXT: never goes back.
    pub(super) nxt: Seq,
    /// SND.WL1. SND.WL2 is none: it is never after SND.UNA, and what acknowledges less than that
    /// says nothing of the window.
    pub(super) wl1: Seq,
    /// Place in the send buffer of the first octet that is not acknowledged.
    pub(super) head: u32,
    /// Octets in the send buffer.
    pub(super) queued: u32,
    /// SND.WND as it stands in the header: shifted right by [`Self::shift`].
    pub(super) window: u16,
    /// Max(SND.WND), the largest window that the peer has offered, in the same unit.
    pub(super) window_max: u16,
    /// Eff.snd.MSS and options: the least of what we may send, the peer's MSS and the path's.
    pub(super) mss: u16,
    /// Snd.Wind.Shift.
    pub(super) shift: u8,
    /// Which of the sizes that `plpmtud` probes is the largest that may yet fit; 0 if none is.
    pub(super) probe_max: u8,
}

impl Send {
    /// Returns SND.WND in octets.
    #[inline]
    pub(super) fn wnd(&self) -> u32 {
        if injected_bug!(UnscaledWindow) {
            return u32::from(self.window);
        }
        u32::from(self.window).wrapping_shl(self.shift.into())
    }

    /// Returns Max(SND.WND) in octets.
    pub(super) fn wnd_max(&self) -> u32 {
        u32::from(self.window_max).wrapping_shl(self.shift.into())
    }

    /// Sets SND.WND to the field of a segment with SYN, which is not scaled. What is lost in the
    /// unit comes with the next segment.
    pub(super) fn set_syn_window(&mut self, window: u16) {
        let scaled = window.checked_shr(u32::from(self.shift)).unwrap_or(0);
        self.window = scaled.max(window.min(1));
        self.window_max = self.window;
    }
}

/// Timestamps (RFC 7323, section 4.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// TS.Recent.
    pub(super) recent: u32,
    /// When TS.Recent was noted, in units of 256 seconds, wrapping.
    pub(super) recent_at: u16,
    /// RetransmitTS (RFC 3522, section 3.2): the low bits of our clock when the first segment of
    /// the repair in progress was sent again.
    pub(super) again_at: u16,
    /// What is added to our clock.
    pub(super) offset: u32,
}

impl Clock {
    /// Of no connection.
    pub(super) const NONE: Self = Self {
        recent: 0,
        recent_at: 0,
        again_at: 0,
        offset: 0,
    };
}

/// Returns the error that an owner learns of.
pub(super) const fn error_of(broken: Broken) -> Option<Error> {
    match broken {
        Broken::Not => None,
        Broken::TimedOut => Some(Error::TimedOut),
        Broken::Unreachable => Some(Error::Unreachable),
        Broken::Refused => Some(Error::Refused),
        Broken::Reset => Some(Error::Reset),
        Broken::AfterEnd => Some(Error::BrokenPipe),
    }
}

/// One connection's control block: plain numbers, without any reference.
///
/// # Example
/// A connection whose segments go nowhere gives up in time:
///
/// ```
/// use usockets::{Duration, Error, Instant};
/// use usockets_smoltcp::tcp::{Block, Buffers, Connection, Outstanding, Seq, Settings, State};
///
/// let (mut send, mut receive) = ([0; 1024], [0; 1024]);
/// let (mut outstanding, mut ranges) = ([Outstanding::EMPTY; 8], [Block::EMPTY; 4]);
/// let mut buffers = Buffers {
///     send: &mut send,
///     receive: &mut receive,
///     outstanding: &mut outstanding,
///     ranges: &mut ranges,
/// };
/// let settings = Settings::new(1460).handshake_timeout(Duration::from_secs(10));
/// let mut connection = Connection::CLOSED;
/// connection.connect(Instant::ZERO, &settings, Seq::new(7), &mut buffers);
/// let mut syns = 0;
/// let mut now = Instant::ZERO;
/// while connection.state() != State::Closed {
///     while connection.poll_transmit(now, 0, &mut buffers).is_some() {
///         syns += 1;
///     }
///     now = connection.deadline().ok_or(Error::Invalid)?;
///     connection.on_timer(now, &mut buffers);
/// }
/// assert_eq!(connection.error(), Some(Error::TimedOut));
/// assert_eq!((syns, now), (4, Instant::from_micros(10_000_000)), "at 0, 1, 3 and 7 s");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub(super) timers: Timers,
    pub(super) send: Send,
    pub(super) receive: Receive,
    pub(super) rtt: Rtt,
    pub(super) congestion: Congestion,
    pub(super) board: Scoreboard,
    pub(super) rack: Rack,
    pub(super) recovery: Recovery,
    pub(super) clock: Clock,
    pub(super) marks: Marks,
    /// Where a tail loss probe ends (TLP.end_seq).
    pub(super) probe_end: Seq,
    /// MSS of a peer that tells none.
    pub(super) mss_default: u16,
    /// Segments sent again in the repair in progress that the peer has not reported as duplicates.
    pub(super) resent_unreported: u16,
    /// Duplicate acknowledgements in a row, without SACK.
    pub(super) duplicates: u8,
    /// Challenge acknowledgements sent in the current second (RFC 5961, section 7).
    pub(super) challenges: u8,
    /// Which second that is, wrapping.
    pub(super) challenge_second: u8,
    pub(super) algorithm: Algorithm,
    /// What is done about losses; the phase of its slot is the stack's (`stack::slot`).
    pub(super) phase: Phase,
    pub(super) state: State,
    pub(super) broken: Broken,
    /// Segments with data or FIN that were sent again, wrapping.
    #[cfg(feature = "connections")]
    pub(super) retransmissions: u32,
}

/// What a connection takes beside its buffers and tables.
pub const CONNECTION_LEN: usize = size_of::<Connection>();
const _: () = assert!(
    CONNECTION_LEN <= 256 + super::pacing::PACE_LEN + MODEL_LEN || cfg!(feature = "connections")
);

impl Connection {
    /// No connection: state CLOSED.
    pub const CLOSED: Self = Self {
        timers: Timers::NONE,
        send: Send {
            una: Seq::new(0),
            nxt: Seq::new(0),
            wl1: Seq::new(0),
            head: 0,
            queued: 0,
            window: 0,
            window_max: 0,
            mss: 0,
            shift: 0,
            probe_max: 0,
        },
        receive: Receive::NEW,
        rtt: Rtt::NEW,
        congestion: Congestion::unused(),
        board: Scoreboard::EMPTY,
        rack: Rack::new(Seq::new(0)),
        recovery: Recovery::new(Seq::new(0)),
        clock: Clock::NONE,
        marks: Marks::NONE,
        probe_end: Seq::new(0),
        mss_default: 0,
        resent_unreported: 0,
        duplicates: 0,
        challenges: 0,
        challenge_second: 0,
        algorithm: Algorithm::Cubic,
        phase: Phase::Open,
        state: State::Closed,
        broken: Broken::Not,
        #[cfg(feature = "connections")]
        retransmissions: 0,
    };

    /// Makes a control block with the settings of a connection that is about to open.
    pub(super) fn fresh(now: u64, settings: &Settings, iss: Seq, buffers: &Buffers<'_>) -> Self {
        let mut fresh = Self::CLOSED;
        let send = &mut fresh.send;
        (send.una, send.nxt) = (iss, iss);
        send.mss = settings.mss.max(super::path::MSS_MIN);
        fresh.rack = Rack::new(iss);
        fresh.recovery = Recovery::new(iss);
        let scale = settings.window_scaling;
        fresh.receive.shift = if scale {
            scale_for(capacity(buffers.receive))
        } else {
            0
        };
        fresh.receive.mss = send.mss;
        fresh.clock.offset = settings.timestamps_offset;
        fresh.algorithm = settings.algorithm;
        fresh.marks.assign(Marks::NAGLE, settings.nagle);
        #[cfg(feature = "pacing")]
        fresh.marks.assign(
            Marks::PACED,
            settings.pacing || settings.algorithm.is_model(),
        );
        let timestamps = Marks::TIMESTAMPS | Marks::TIMESTAMPS_OFFERED;
        fresh.marks.assign(timestamps, settings.timestamps);
        fresh.marks.assign(Marks::SACK, settings.sack);
        fresh.marks.assign(Marks::SCALING, scale);
        fresh.mss_default = settings.mss_default;
        fresh.timers.configure(settings, now);
        fresh
    }

    /// Opens actively: sends a SYN with the initial sequence number `iss` (RFC 6528 says how to
    /// choose it) and goes to SYN-SENT. Whatever the block held before is forgotten.
    pub fn connect(
        &mut self,
        now: Instant,
        settings: &Settings,
        iss: Seq,
        buffers: &mut Buffers<'_>,
    ) {
        *self = Self::fresh(now.as_micros(), settings, iss, buffers);
        self.state = State::SynSent;
        self.send.nxt = iss.plus(1);
        self.marks.set(Marks::SYN_DUE);
        self.marks.assign(Marks::ECN, settings.requests_ecn());
    }

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns why the connection broke; `None` when it has not, or ended as both sides wanted.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        error_of(self.broken)
    }

    /// Goes to CLOSED for a reason that only the shell knows, such as that there is no way to the
    /// peer, which is not told. What can be received stays. Any reason but [`Error::Unreachable`],
    /// [`Error::Refused`] and [`Error::Reset`] is [`Error::TimedOut`].
    pub fn give_up(&mut self, error: Error) {
        let broken = match error {
            Error::Unreachable => Broken::Unreachable,
            Error::Refused => Broken::Refused,
            Error::Reset => Broken::Reset,
            _ => Broken::TimedOut,
        };
        self.finish(broken);
    }

    /// Goes to CLOSED. What can be received stays.
    #[inline(never)]
    pub(super) fn finish(&mut self, broken: Broken) {
        self.state = State::Closed;
        self.broken = broken;
        self.timers = Timers::NONE;
        self.board = Scoreboard::EMPTY;
        self.send.queued = 0;
        self.marks = Marks(0);
    }

    /// Returns where the payload of what [`Self::poll_transmit`] just returned lies in the send
    /// buffer: in two parts where the buffer wraps.
    #[must_use]
    pub fn payload<'b>(&self, transmit: &Transmit, buffers: &'b Buffers<'_>) -> [&'b [u8]; 2] {
        let offset = transmit.seq.since(self.first_octet());
        let at = advance(buffers.send, self.send.head, offset);
        read_ring(buffers.send, at, transmit.payload_len)
    }

    /// Returns the sequence number of the first octet in the send buffer.
    pub(super) fn first_octet(&self) -> Seq {
        if self.state.is_opening() {
            self.send.una.plus(1)
        } else {
            self.send.una
        }
    }

    /// Returns how many octets of sequence space are sent and not acknowledged cumulatively.
    pub(super) const fn flight(&self) -> u32 {
        self.send.nxt.since(self.send.una)
    }

    /// Returns how many octets of the send buffer have not been sent.
    pub(super) fn unsent(&self) -> u32 {
        let fin = u32::from(self.marks.has(Marks::FIN_SENT));
        let sent = self.send.nxt.since(self.first_octet()).saturating_sub(fin);
        self.send.queued.saturating_sub(sent)
    }

    /// Returns how many octets are taken to be in the network (RFC 6675, section 3: pipe).
    pub(super) fn pipe(&self) -> u32 {
        let left = self.board.sacked.saturating_add(self.board.lost);
        // Without SACK each duplicate says that one segment has left the network.
        let duplicates = u32::from(self.duplicates).saturating_mul(self.segment_len());
        self.flight()
            .saturating_sub(left.saturating_add(duplicates))
    }

    /// Returns the octets of payload of a full segment (RFC 6691).
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn segment_len(&self) -> u32 {
        self.segment_len_of(self.send.mss)
    }

    /// Returns what those would be for another MSS.
    pub(super) fn segment_len_of(&self, mss: u16) -> u32 {
        let options = if self.marks.has(Marks::TIMESTAMPS) {
            super::segment::TIMESTAMPS_LEN
        } else {
            0
        };
        u32::from(mss.saturating_sub(options).max(1))
    }
}

/// Returns the shift with which a receive buffer's whole length can be told (RFC 7323, section
/// 2.3).
pub(super) fn scale_for(capacity: u32) -> u8 {
    let mut shift = 0_u8;
    while shift < SHIFT_MAX && capacity >> shift > u32::from(u16::MAX) {
        shift = shift.saturating_add(1);
    }
    shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_as_small_as_a_buffer_allows() {
        for (capacity, shift) in [
            (65_535, 0),
            (65_536, 1),
            (131_071, 1),
            (131_072, 2),
            (1 << 30, SHIFT_MAX),
            (u32::MAX, SHIFT_MAX),
        ] {
            assert_eq!(scale_for(capacity), shift, "{capacity}");
        }
    }
}
