//! SYN cookies: handshakes that cost no memory until they are complete (RFC 4987, section 3.6).
//!
//! The SYN|ACK's sequence number carries when, the peer's MSS and two keyed hashes. If the peer
//! uses timestamps, the low bits of ours, which it echoes, carry the window scale, whether it
//! takes selective acknowledgements and, with the feature `ecn`, whether it asked for ECN; so a
//! flood costs nobody with timestamps any of them.
//!
//! ```text
//!   31      27 26   24 23                                4 3            0
//!  +----------+-------+-----------------------------------+--------------+
//!  |  period  |  MSS  |   hash of the ends, these, and    | hash without |
//!  |          |       | the peer's initial sequence no.   | that number  |
//!  +----------+-------+-----------------------------------+--------------+
//! ```
//!
//! The second hash is for a segment that has overtaken the one that completes the handshake: the
//! peer's initial sequence number cannot be told from it. It opens nothing, but it answers a cookie
//! of ours and so is dropped, not reset. Four bits are enough for that, since a stranger's segment
//! that is dropped by mistake, one in 256, only learns later that there is no connection. The other
//! hash must not take such a segment for the first one, and has what is left.

use core::net::SocketAddr;

use usockets::{Duration, Instant};

use super::connection::{Connection, Marks, State};
use super::memory::{Buffers, capacity};
use super::segment::{Events, Flags, Options, Segment, Timestamps, Transmit};
use super::seq::Seq;
use super::settings::Settings;
use super::timers::millis;
use crate::hash::Secret;
use crate::number::low;

/// The segment sizes that three bits can tell, ascending: those of common links and tunnels.
const SIZES: [u16; 8] = [216, 536, 1_220, 1_340, 1_400, 1_440, 1_460, 8_940];
/// Bits of a timestamp that carry options: four of scale, one of SACK, one of ECN.
const OPTION_BITS: u32 = if cfg!(feature = "ecn") { 6 } else { 5 };
/// The one of ECN.
const ECN: u32 = 1 << 5;
/// The scale that says that the peer does not scale windows.
const NO_SCALE: u32 = 15;

/// Log2 of the microseconds of a period: 67 s.
const PERIOD_SHIFT: u32 = 26;
/// Periods in which a cookie is taken: its own, and the next.
const PERIODS: u64 = 2;
/// Longest time that a cookie is valid.
pub const VALID: Duration = Duration::from_micros(PERIODS << PERIOD_SHIFT);

/// The two ends of a connection: ours and the peer's.
type Pair = (SocketAddr, SocketAddr);

/// Bits of a cookie for the hash that the peer's initial sequence number has no part in.
const ENDS_BITS: u32 = 4;

/// What a cookie has told of the handshake that it stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cookie {
    /// Our initial sequence number.
    iss: Seq,
    /// The SYN as it was: what of its flags and options the cookie could carry.
    flags: Flags,
    options: Options,
}

/// What a segment is that acknowledges a cookie of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "it completes the handshake or does not"
)]
pub enum Answer {
    /// It completes the handshake ([`Connection::accept_cookie`]).
    Complete(Cookie),
    /// It is not the first of the peer's segments, and what it has overtaken is needed: the peer's
    /// initial sequence number can be told from nothing else. Drop it; the peer sends it again.
    Overtaking,
}

/// Answers a SYN with a cookie: returns the SYN|ACK to send. Nothing needs to be remembered.
///
/// `settings` are those of the listener, with the timestamps' offset for this pair; `capacity` is
/// the length of the receive buffer that the connection will have.
#[must_use]
pub fn answer(
    secret: Secret,
    pair: Pair,
    now: Instant,
    syn: &Segment<'_>,
    settings: &Settings,
    capacity: u32,
) -> Transmit {
    let mss = syn.options.mss.unwrap_or(settings.mss_default);
    let size = u32::try_from(fitting(mss)).unwrap_or(0);
    let period = period(now);
    let iss = iss(secret, pair, syn.seq, (period << 3) | size);
    let mut options = Options {
        mss: Some(settings.mss),
        ..Options::NONE
    };
    let mut flags = Flags::SYN | Flags::ACK;
    if let Some(timestamps) = syn.options.timestamps
        && settings.timestamps
    {
        let scale = syn.options.window_scale.filter(|_| settings.window_scaling);
        let sack = syn.options.sack_permitted && settings.sack;
        options.window_scale = scale.map(|_| super::connection::scale_for(capacity));
        options.sack_permitted = sack;
        let mut bits = bits_of(scale, sack);
        if settings.accepts_ecn() && super::ecn::is_setup(syn.flags) {
            flags = flags | Flags::ECE;
            bits |= ECN;
        }
        options.timestamps = Some(Timestamps {
            value: carry(clock(now, settings), bits),
            echo: timestamps.value,
        });
    }
    Transmit {
        seq: iss,
        ack: syn.seq.plus(1),
        window: u16::try_from(capacity).unwrap_or(u16::MAX),
        flags,
        options,
        ..Transmit::default()
    }
}

/// Returns what a segment without a connection answers, if that is a cookie of ours from this
/// period of 67 seconds or the last.
#[must_use]
pub fn check(
    secret: Secret,
    pair: Pair,
    now: Instant,
    segment: &Segment<'_>,
    settings: &Settings,
) -> Option<Answer> {
    let opens = segment.flags.has(Flags::ACK)
        && !segment.flags.has(Flags::SYN)
        && !segment.flags.has(Flags::RST);
    if !opens {
        return None;
    }
    let told = segment.ack.minus(1);
    let (head, size) = (told.get() >> 24, (told.get() >> 24) & 7);
    let age = period(now).wrapping_sub(head >> 3) & 31;
    if u64::from(age) >= PERIODS {
        return None;
    }
    let ours = iss(secret, pair, segment.seq.minus(1), head);
    if ours != told {
        // The period and MSS were taken from it.
        let known = (ours.get() ^ told.get()) & ((1 << ENDS_BITS) - 1) == 0;
        return known.then_some(Answer::Overtaking);
    }
    let mss = SIZES.get(usize::try_from(size).ok()?).copied();
    let mut options = Options {
        mss,
        ..Options::NONE
    };
    let mut flags = Flags::SYN;
    if let Some(timestamps) = segment.options.timestamps
        && settings.timestamps
    {
        let bits = timestamps.echo & ((1 << OPTION_BITS) - 1);
        if bits & ECN != 0 {
            flags = flags | Flags::ECE | Flags::CWR;
        }
        let scale = u8::try_from((bits >> 1) & 15).ok();
        options.window_scale = scale.filter(|scale| u32::from(*scale) != NO_SCALE);
        options.sack_permitted = bits & 1 != 0;
        options.timestamps = Some(timestamps);
    }
    let iss = told;
    Some(Answer::Complete(Cookie {
        iss,
        flags,
        options,
    }))
}

impl Connection {
    /// Opens the connection whose handshake a cookie stood for, by the acknowledgement that
    /// completes it. Whatever the block held before is forgotten.
    pub fn accept_cookie(
        &mut self,
        now: Instant,
        settings: &Settings,
        cookie: &Cookie,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        let capacity = capacity(buffers.receive);
        self.prepare_cookie(now, settings, cookie, segment, buffers);
        self.complete_cookie(now, segment, capacity, buffers)
    }

    /// Goes to where the connection would be whose SYN a cookie stands for.
    pub(super) fn prepare_cookie(
        &mut self,
        now: Instant,
        settings: &Settings,
        cookie: &Cookie,
        segment: &Segment<'_>,
        buffers: &mut Buffers<'_>,
    ) {
        let syn = Segment {
            seq: segment.seq.minus(1),
            ack: Seq::new(0),
            window: 0,
            flags: cookie.flags,
            options: cookie.options,
            payload: &[],
        };
        self.accept(now, settings, cookie.iss, &syn, buffers);
        self.marks.clear(Marks::SYN_DUE);
    }

    /// Completes its handshake. The SYN|ACK has told of a receive buffer of `capacity` octets.
    pub(super) fn complete_cookie(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        capacity: u32,
        buffers: &mut Buffers<'_>,
    ) -> Events {
        self.receive.advertise(capacity, true);
        self.state = State::SynReceived;
        self.on_segment(now, segment, buffers)
    }
}

/// Returns our clock for timestamps as the connection will have it.
fn clock(now: Instant, settings: &Settings) -> u32 {
    millis(now.as_micros()).wrapping_add(settings.timestamps_offset)
}

/// Returns the bits that tell of options.
fn bits_of(scale: Option<u8>, sack: bool) -> u32 {
    let scale = scale.map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
    (scale << 1) | u32::from(sack)
}

/// Returns a timestamp whose low bits carry `bits`, and which is not later than the clock.
fn carry(clock: u32, bits: u32) -> u32 {
    let whole = clock & !((1 << OPTION_BITS) - 1);
    let value = whole | bits;
    if value.wrapping_sub(clock) != 0 && value.wrapping_sub(clock) <= i32::MAX.cast_unsigned() {
        value.wrapping_sub(1 << OPTION_BITS)
    } else {
        value
    }
}

/// Returns the place in [`SIZES`] of the largest that is not above `mss`, or of the smallest.
fn fitting(mss: u16) -> usize {
    let fits = SIZES.iter().take_while(|size| **size <= mss).count();
    fits.saturating_sub(1)
}

fn period(now: Instant) -> u32 {
    low(now.as_micros() >> PERIOD_SHIFT) & 31
}

/// Returns the cookie whose upper eight bits, period and size, are `head`, for a SYN with the
/// sequence number `theirs`.
fn iss(secret: Secret, (local, remote): Pair, theirs: Seq, head: u32) -> Seq {
    let hash = |extra: u64| secret.hash_pair32(&local, &remote, extra);
    let head = u64::from(head);
    // The bit keeps the two hashes apart whatever the number is.
    let whole = hash((u64::from(theirs.get()) << 32) | (1 << 31) | head) & 0xf_ffff;
    let ends = hash(head) & ((1 << ENDS_BITS) - 1);
    Seq::new((low(head) << 24) | (whole << ENDS_BITS) | ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timestamp with options is no later than the clock, and hardly earlier.
    #[test]
    fn a_timestamp_with_options_is_near_the_clock() {
        let room = 1 << OPTION_BITS;
        for clock in [0, 1, 31, 32, 63, 64, 1_000_031, u32::MAX] {
            for bits in 0..room {
                let value = carry(clock, bits);
                assert_eq!(value & (room - 1), bits);
                assert!(clock.wrapping_sub(value) < room, "{bits} at {clock}");
            }
        }
    }

    /// Only an acknowledgement of a cookie that was sent for the same numbers opens.
    #[test]
    fn cookies_are_of_one_number_and_come_with_an_acknowledgement() {
        let secret = Secret::new([9; 16]);
        let pair = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 40_000).into());
        let (now, settings) = (Instant::from_micros(987_654_321_000), Settings::new(1_460));
        let syn = Segment {
            seq: Seq::new(70),
            ack: Seq::new(0),
            window: 9,
            flags: Flags::SYN,
            options: Options::NONE,
            payload: &[],
        };
        let told = answer(secret, pair, now, &syn, &settings, 65_535).seq;
        let checked = |flags, seq| {
            let (seq, ack) = (Seq::new(seq), told.plus(1));
            let ack = Segment {
                seq,
                ack,
                flags,
                ..syn
            };
            check(secret, pair, now, &ack, &settings)
        };
        let opens = |flags, seq| matches!(checked(flags, seq), Some(Answer::Complete(_)));
        assert!(opens(Flags::ACK, 71) && opens(Flags::ACK | Flags::FIN, 71));
        for seq in [0, 70, 72, 71 ^ (1 << 31)] {
            assert!(matches!(checked(Flags::ACK, seq), Some(Answer::Overtaking)));
        }
        for other in [Flags::SYN, Flags::RST, Flags::SYN | Flags::RST] {
            assert_eq!(checked(Flags::ACK | other, 71), None);
            assert_eq!(checked(other, 71), None);
        }
        assert_eq!(checked(Flags::FIN, 71), None);
    }

    /// The two hashes of a cookie are the same for no number of the peer's, or one would tell of
    /// the other.
    #[test]
    fn the_hashes_of_a_cookie_are_not_the_same() {
        let secret = Secret::new([9; 16]);
        let same = |theirs: u32| {
            (1..=64).all(|port| {
                let pair = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], port).into());
                let cookie = iss(secret, pair, Seq::new(theirs), 9).get();
                (cookie >> ENDS_BITS ^ cookie) & ((1 << ENDS_BITS) - 1) == 0
            })
        };
        assert!([0, 1, 9, 1 << 31].into_iter().all(|theirs| !same(theirs)));
    }

    /// What a SYN offers is known again from the answer to the cookie, if the settings have it.
    #[test]
    fn cookies_keep_what_was_offered() {
        let secret = Secret::new([9; 16]);
        let pair = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 40_000).into());
        let now = Instant::from_micros(987_654_321_000);
        let told = |scale: Option<u8>, sack: bool, ecn: bool, settings: &Settings| {
            let signs = if ecn {
                Flags::ECE | Flags::CWR
            } else {
                Flags::NONE
            };
            let stamps = Timestamps { value: 5, echo: 0 };
            let syn = Segment {
                seq: Seq::new(70),
                ack: Seq::new(0),
                window: 9,
                flags: Flags::SYN | signs,
                options: Options {
                    mss: Some(1_400),
                    window_scale: scale,
                    sack_permitted: sack,
                    timestamps: Some(stamps),
                    ..Options::NONE
                },
                payload: &[],
            };
            let answer = answer(secret, pair, now, &syn, settings, 65_535);
            let echo = answer.options.timestamps.map_or(0, |stamps| stamps.value);
            let ack = Segment {
                seq: Seq::new(71),
                ack: answer.seq.plus(1),
                flags: Flags::ACK,
                options: Options {
                    timestamps: Some(Timestamps { value: 6, echo }),
                    ..Options::NONE
                },
                ..syn
            };
            match check(secret, pair, now, &ack, settings) {
                Some(Answer::Complete(cookie)) => (cookie.options, cookie.flags),
                _ => (Options::NONE, Flags::NONE),
            }
        };
        let settings = Settings::new(1_460);
        for scale in [None, Some(0), Some(1), Some(8), Some(14)] {
            for (sack, ecn) in [(true, true), (true, false), (false, true), (false, false)] {
                let (options, flags) = told(scale, sack, ecn, &settings);
                assert_eq!(options.mss, Some(1_400));
                assert_eq!(
                    (options.window_scale, options.sack_permitted),
                    (scale, sack)
                );
                let is_asked = ecn && settings.accepts_ecn();
                assert_eq!(flags.has(Flags::ECE | Flags::CWR), is_asked, "{ecn}");
                assert_eq!(flags.has_any(Flags::ECE | Flags::CWR), is_asked);
            }
        }
        let (options, _) = told(Some(15), true, false, &settings);
        assert_eq!(options.window_scale, Some(14), "no larger");
        let plain = settings.window_scaling(false).sack(false);
        let (options, _) = told(Some(3), true, false, &plain);
        assert_eq!(
            (options.window_scale, options.sack_permitted),
            (None, false)
        );
        let (options, _) = told(Some(3), true, true, &settings.timestamps(false));
        assert_eq!(options.timestamps, None);
    }
}
