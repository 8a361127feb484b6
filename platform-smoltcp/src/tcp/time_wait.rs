//! TIME-WAIT: what is left of a connection until its last segments have died out.
//!
//! A connection in TIME-WAIT is one as before, or a [`TimeWait`] of 16 octets, which answers all
//! that comes and needs neither control block nor buffers. Both read segments by the same rules,
//! [`Kind`].

use usockets::Instant;

use super::connection::{Broken, Connection, Marks, State};
use super::injected_bug::injected_bug;
use super::input::CHALLENGES_MAX;
use super::quiet::Quiet;
use super::segment::{Events, Flags, Options, Segment, Timestamps, Transmit};
use super::seq::Seq;
use super::timers::{millis, seconds};

/// What a segment is to a connection in TIME-WAIT (RFC 9293, section 3.10.7.4; RFC 1337).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Nothing answers it.
    Nothing,
    /// The peer's FIN again: our acknowledgement of it was lost.
    FinAgain,
    /// It is not of the connection, or of its past: an acknowledgement answers it.
    Strange,
    /// A SYN that cannot be of the old connection.
    NewSyn,
}

/// What TIME-WAIT knows of the peer's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PeerClock {
    /// TS.Recent.
    At(u32),
    /// TS.Recent is too old to compare with (RFC 7323, section 5.5).
    Outdated,
    /// Only we would have used timestamps.
    Silent,
    /// We have not offered timestamps.
    Unused,
}

impl Kind {
    /// Returns what a segment is where RCV.NXT is `nxt`.
    fn of(segment: &Segment<'_>, nxt: Seq, clock: PeerClock, acceptable: bool) -> Self {
        // A reset would let old segments in (RFC 1337, section 3, fix F1).
        if segment.flags.has(Flags::RST) {
            return Self::Nothing;
        }
        if segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK) {
            return if is_newer(segment, nxt, clock) {
                Self::NewSyn
            } else {
                Self::Strange
            };
        }
        if segment.flags.has(Flags::FIN) && segment.seq.plus(segment.len()) == nxt {
            Self::FinAgain
        } else if acceptable {
            Self::Nothing
        } else {
            Self::Strange
        }
    }
}

/// Returns true if a SYN cannot be of the old connection: its timestamp is later, only it has one
/// (RFC 6191, section 2), or its sequence number is later (RFC 1122, section 4.2.2.13).
fn is_newer(syn: &Segment<'_>, nxt: Seq, clock: PeerClock) -> bool {
    let after = syn.seq.is_after(nxt);
    let Some(timestamps) = syn.options.timestamps else {
        return after;
    };
    match clock {
        PeerClock::At(recent) => {
            let ahead = timestamps.value.wrapping_sub(recent);
            let later = ahead != 0 && ahead <= i32::MAX.cast_unsigned();
            later || (ahead == 0 && after)
        }
        PeerClock::Outdated | PeerClock::Silent => true,
        PeerClock::Unused => after,
    }
}

impl Connection {
    /// Goes to TIME-WAIT for twice the MSL (RFC 9293, section 3.6, MUST-13).
    pub(super) fn enter_time_wait(&mut self, now: u64) {
        self.state = State::TimeWait;
        self.timers.start_time_wait(now);
    }

    /// Takes a segment in TIME-WAIT.
    pub(super) fn on_time_wait(&mut self, now: u64, segment: &Segment<'_>) -> Events {
        if injected_bug!(Assassination) && segment.flags.has(Flags::RST) {
            self.finish(Broken::Not);
            return Events::CLOSED;
        }
        let clock = match self.peer_clock() {
            PeerClock::At(_) if self.is_recent_outdated(now) => PeerClock::Outdated,
            clock => clock,
        };
        let acceptable = self.receive.is_acceptable(segment.seq, segment.len());
        match Kind::of(segment, self.receive.nxt, clock, acceptable) {
            Kind::Nothing => {}
            Kind::FinAgain => {
                self.timers.start_time_wait(now);
                self.marks.set(Marks::ACK_DUE);
            }
            Kind::Strange => self.challenge(now),
            Kind::NewSyn => return Events::NEW_SYN,
        }
        Events::NONE
    }

    const fn peer_clock(&self) -> PeerClock {
        if self.marks.has(Marks::TIMESTAMPS) {
            PeerClock::At(self.clock.recent)
        } else if self.marks.has(Marks::TIMESTAMPS_OFFERED) {
            PeerClock::Silent
        } else {
            PeerClock::Unused
        }
    }

    /// Returns SND.NXT: a connection that follows this one on the same ends starts behind it (RFC
    /// 1122, section 4.2.2.13).
    #[must_use]
    pub const fn send_next(&self) -> Seq {
        self.send.nxt
    }

    /// Returns what answers for the connection from now on; `None` unless it is in TIME-WAIT and
    /// has nothing to send. What has not been received is not kept.
    #[must_use]
    pub fn time_wait(&self) -> Option<TimeWait> {
        if self.state != State::TimeWait || self.marks.has(Marks::DUE) {
            return None;
        }
        let shift = u32::from(self.receive.shift);
        let window = self.receive.window().wrapping_shr(shift);
        let (recent, marks) = match self.peer_clock() {
            PeerClock::At(recent) => (recent, TimeWait::TIMESTAMPS),
            PeerClock::Silent => (0, TimeWait::OFFERED),
            PeerClock::Outdated | PeerClock::Unused => (0, 0),
        };
        Some(TimeWait {
            send_next: self.send.nxt,
            receive_next: self.receive.nxt,
            recent,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            second: self.challenge_second,
            marks: marks | (self.challenges & TimeWait::CHALLENGES),
        })
    }
}

impl Quiet {
    /// Returns what answers for the connection from now on, as [`Connection::time_wait`].
    #[must_use]
    pub fn time_wait(&self) -> Option<TimeWait> {
        self.resume().time_wait()
    }
}

/// A connection in TIME-WAIT that has nothing to send, in 16 octets.
///
/// The shell keeps the time, from [`Connection::deadline`] on, and the offset of our clock for
/// timestamps ([`Settings::timestamps_offset`](super::Settings::timestamps_offset)). Nothing can
/// follow the peer's FIN, so RCV.WND counts as closed: what lies behind it is acknowledged like
/// what lies before. The window that is told stays as it was.
///
/// # Example
/// The peer's FIN comes again, since our acknowledgement was lost:
///
/// ```
/// use usockets::Instant;
/// use usockets_smoltcp::tcp::{Flags, Segment, Seq, TimeWait, TimeWaitAnswer};
///
/// fn answer(old: &mut TimeWait, again: &Segment<'_>) -> bool {
///     matches!(old.on_segment(Instant::ZERO, again, 0), TimeWaitAnswer::Restart(ack)
///         if ack.flags == Flags::ACK && ack.ack == again.seq.plus(again.len()))
/// }
/// # let mut old = TimeWait::EMPTY;
/// # let again = Segment {
/// #     seq: Seq::new(u32::MAX),
/// #     ack: Seq::new(0),
/// #     window: 0,
/// #     flags: Flags::FIN | Flags::ACK,
/// #     options: Default::default(),
/// #     payload: &[],
/// # };
/// # assert!(answer(&mut old, &again));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// SND.NXT.
    send_next: Seq,
    /// RCV.NXT, behind the peer's FIN.
    receive_next: Seq,
    /// TS.Recent. It cannot grow too old: TIME-WAIT is over long before.
    recent: u32,
    /// The window as it was told last.
    window: u16,
    /// The second in which challenge acknowledgements are counted, wrapping.
    second: u8,
    /// [`Self::TIMESTAMPS`], [`Self::OFFERED`], and below how many of those were sent.
    marks: u8,
}

const _: () = assert!(size_of::<TimeWait>() <= 16);
const _: () = assert!(CHALLENGES_MAX <= TimeWait::CHALLENGES);

/// What a connection in TIME-WAIT answers ([`TimeWait::on_segment`]).
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a shell does one of these")]
pub enum TimeWaitAnswer {
    /// Nothing.
    Nothing,
    /// This acknowledgement.
    Acknowledge(Transmit),
    /// This acknowledgement, and TIME-WAIT starts anew: it was the peer's FIN.
    Restart(Transmit),
    /// A new connection may begin with the SYN (RFC 6191). Its initial sequence number lies behind
    /// this SND.NXT (RFC 1122, section 4.2.2.13).
    NewSyn(Seq),
}

impl TimeWait {
    /// Of no connection: what a table is filled with.
    pub const EMPTY: Self = Self {
        send_next: Seq::new(0),
        receive_next: Seq::new(0),
        recent: 0,
        window: 0,
        second: 0,
        marks: 0,
    };
    /// Timestamps are in use.
    const TIMESTAMPS: u8 = 1 << 7;
    /// They are not, since the peer has not offered them.
    const OFFERED: u8 = 1 << 6;
    /// Challenge acknowledgements sent in the second.
    const CHALLENGES: u8 = 15;

    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Takes a segment for the connection, whose checksum is right. `offset` is that of our clock
    /// for timestamps.
    pub fn on_segment(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        offset: u32,
    ) -> TimeWaitAnswer {
        let now = now.as_micros();
        if self.is_old(segment) {
            return self.challenge(now, offset);
        }
        let clock = if self.has(Self::TIMESTAMPS) {
            PeerClock::At(self.recent)
        } else if self.has(Self::OFFERED) {
            PeerClock::Silent
        } else {
            PeerClock::Unused
        };
        let acceptable = segment.is_empty() && segment.seq == self.receive_next;
        match Kind::of(segment, self.receive_next, clock, acceptable) {
            Kind::Nothing => TimeWaitAnswer::Nothing,
            Kind::FinAgain => TimeWaitAnswer::Restart(self.acknowledge(now, offset)),
            Kind::Strange => self.challenge(now, offset),
            Kind::NewSyn => TimeWaitAnswer::NewSyn(self.send_next),
        }
    }

    /// Returns true if a segment is old by its timestamp (PAWS, RFC 7323, section 5.3).
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        let Some(timestamps) = segment.options.timestamps else {
            return false;
        };
        let behind = self.recent.wrapping_sub(timestamps.value);
        self.has(Self::TIMESTAMPS)
            && !segment.flags.has(Flags::RST)
            && !segment.flags.has(Flags::SYN)
            && behind != 0
            && behind <= i32::MAX.cast_unsigned()
    }

    /// Acknowledges what may be forged, a few times a second (RFC 5961, section 7).
    fn challenge(&mut self, now: u64, offset: u32) -> TimeWaitAnswer {
        let [second, ..] = seconds(now).to_le_bytes();
        if self.second != second {
            self.second = second;
            self.marks &= !Self::CHALLENGES;
        }
        if self.marks & Self::CHALLENGES >= CHALLENGES_MAX {
            return TimeWaitAnswer::Nothing;
        }
        self.marks = self.marks.saturating_add(1);
        TimeWaitAnswer::Acknowledge(self.acknowledge(now, offset))
    }

    fn acknowledge(&self, now: u64, offset: u32) -> Transmit {
        let timestamps = self.has(Self::TIMESTAMPS).then(|| Timestamps {
            value: millis(now).wrapping_add(offset),
            echo: self.recent,
        });
        Transmit {
            seq: self.send_next,
            ack: self.receive_next,
            window: self.window,
            flags: Flags::ACK,
            options: Options {
                timestamps,
                ..Options::NONE
            },
            ..Transmit::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: u32 = i32::MAX.cast_unsigned();

    fn segment(flags: Flags, seq: u32, time: Option<u32>) -> Segment<'static> {
        let timestamps = time.map(|value| Timestamps { value, echo: 0 });
        Segment {
            seq: Seq::new(seq),
            ack: Seq::new(0),
            window: 0,
            flags,
            options: Options {
                timestamps,
                ..Options::NONE
            },
            payload: &[],
        }
    }

    /// RFC 6191, section 2, and RFC 1122, section 4.2.2.13: a SYN is new by its timestamp, and by
    /// its number where timestamps do not tell.
    #[test]
    fn a_new_syn_is_told_by_its_timestamp_or_its_number() {
        let is_new =
            |clock, seq, time| is_newer(&segment(Flags::SYN, seq, time), Seq::new(50), clock);
        for clock in [
            PeerClock::At(9),
            PeerClock::Outdated,
            PeerClock::Silent,
            PeerClock::Unused,
        ] {
            assert!(is_new(clock, 51, None) && !is_new(clock, 50, None));
        }
        let at = PeerClock::At(9);
        assert!(is_new(at, 49, Some(10)) && is_new(at, 49, Some(9 + LATEST)));
        assert!(!is_new(at, 51, Some(8)) && !is_new(at, 51, Some(10 + LATEST)));
        assert!(
            is_new(at, 51, Some(9)) && !is_new(at, 50, Some(9)),
            "the same time"
        );
        assert!(is_new(PeerClock::Outdated, 49, Some(8)) && is_new(PeerClock::Silent, 49, Some(8)));
        assert!(is_new(PeerClock::Unused, 51, Some(8)) && !is_new(PeerClock::Unused, 50, Some(8)));
    }

    /// RFC 9293, section 3.10.7.4, and RFC 1337.
    #[test]
    fn each_kind_of_segment_is_told() {
        let kind = |flags, seq, acceptable| {
            Kind::of(
                &segment(flags, seq, None),
                Seq::new(50),
                PeerClock::Unused,
                acceptable,
            )
        };
        assert_eq!(kind(Flags::RST, 50, true), Kind::Nothing);
        assert_eq!(kind(Flags::RST | Flags::SYN, 60, false), Kind::Nothing);
        assert_eq!(kind(Flags::SYN, 60, true), Kind::NewSyn);
        assert_eq!(kind(Flags::SYN, 40, true), Kind::Strange);
        assert_eq!(kind(Flags::SYN | Flags::ACK, 60, true), Kind::Nothing);
        assert_eq!(kind(Flags::SYN | Flags::ACK, 60, false), Kind::Strange);
        assert_eq!(kind(Flags::FIN | Flags::ACK, 49, false), Kind::FinAgain);
        assert_eq!(kind(Flags::FIN | Flags::ACK, 50, false), Kind::Strange);
        assert_eq!(kind(Flags::ACK, 50, false), Kind::Strange);
        assert_eq!(kind(Flags::ACK, 50, true), Kind::Nothing);
    }

    fn old(marks: u8) -> TimeWait {
        TimeWait {
            send_next: Seq::new(7),
            receive_next: Seq::new(50),
            recent: 9,
            window: 3,
            ..TimeWait {
                marks,
                ..TimeWait::EMPTY
            }
        }
    }

    fn acknowledges(old: &mut TimeWait, segment: &Segment<'_>) -> bool {
        match old.on_segment(Instant::ZERO, segment, 1_000) {
            TimeWaitAnswer::Acknowledge(ack) => {
                assert_eq!((ack.seq.get(), ack.ack.get(), ack.window), (7, 50, 3));
                assert_eq!(ack.flags, Flags::ACK);
                true
            }
            _ => false,
        }
    }

    /// PAWS (RFC 7323, section 5.3): what is old by its timestamp is acknowledged, FIN or not; a
    /// reset and a SYN are not old.
    #[test]
    fn what_is_old_by_its_timestamp_is_acknowledged() {
        let of = |flags, time| {
            acknowledges(
                &mut old(TimeWait::TIMESTAMPS),
                &segment(flags, 50, Some(time)),
            )
        };
        assert!(of(Flags::ACK, 8) && of(Flags::ACK, 9_u32.wrapping_sub(LATEST)));
        assert!(!of(Flags::ACK, 9) && !of(Flags::ACK, 8_u32.wrapping_sub(LATEST)));
        assert!(!of(Flags::RST, 8));
        let syn = old(TimeWait::TIMESTAMPS).on_segment(
            Instant::ZERO,
            &segment(Flags::SYN, 60, Some(10)),
            0,
        );
        assert!(matches!(syn, TimeWaitAnswer::NewSyn(next) if next.get() == 7));
        let again = segment(Flags::FIN, 49, Some(8));
        assert!(
            acknowledges(&mut old(TimeWait::TIMESTAMPS), &again),
            "TIME-WAIT does not start anew"
        );
        let restart = old(0).on_segment(Instant::ZERO, &again, 0);
        assert!(
            matches!(restart, TimeWaitAnswer::Restart(ack) if ack.options.timestamps.is_none())
        );
        let again = segment(Flags::FIN, 49, Some(9));
        let restart =
            old(TimeWait::TIMESTAMPS).on_segment(Instant::from_micros(5_000), &again, 1_000);
        let stamps = Timestamps {
            value: 1_005,
            echo: 9,
        };
        let told = match restart {
            TimeWaitAnswer::Restart(ack) => ack.options.timestamps,
            _ => None,
        };
        assert_eq!(told, Some(stamps));
    }

    /// What is a SYN to a peer of which only we would have used timestamps, or nobody.
    #[test]
    fn it_is_kept_whose_timestamps_there_were() {
        let syn = segment(Flags::SYN, 40, Some(1));
        let is_new = |marks| {
            matches!(
                old(marks).on_segment(Instant::ZERO, &syn, 0),
                TimeWaitAnswer::NewSyn(_)
            )
        };
        assert!(is_new(TimeWait::OFFERED) && !is_new(0) && !is_new(TimeWait::TIMESTAMPS));
        assert!(acknowledges(&mut old(0), &segment(Flags::ACK, 51, None)));
        assert!(
            !acknowledges(&mut old(0), &segment(Flags::ACK, 50, None)),
            "nothing to answer"
        );
    }

    /// RFC 5961, section 7.
    #[test]
    fn strange_segments_are_answered_ten_times_a_second() {
        let mut old = old(TimeWait::OFFERED);
        let strange = segment(Flags::ACK, 51, None);
        for second in [0, 1, 300] {
            let now = Instant::from_micros(second * 1_000_000 + 999_999);
            let answers = (0..40)
                .filter(|_| {
                    matches!(
                        old.on_segment(now, &strange, 0),
                        TimeWaitAnswer::Acknowledge(_)
                    )
                })
                .count();
            assert_eq!(answers, usize::from(CHALLENGES_MAX));
            assert!(old.has(TimeWait::OFFERED) && !old.has(TimeWait::TIMESTAMPS));
        }
    }
}
