//! smoltcp's clock, which runs four times as fast as ours.
//!
//! smoltcp 0.14 waits at least a second before it retransmits (RFC 6298, section 2.4), whatever the
//! round trip takes, and nothing sets it. Where round trips take a millisecond, a lost
//! retransmission then costs a thousand of them. On a faster clock the least is 250 ms, about that
//! of Linux, which leaves time for peers that delay their acknowledgements; round trips are
//! measured on the same clock, so that on long paths nothing changes. Handshakes and TIME-WAIT,
//! for which the standards name times, are looked after in ours ([`kept`]).

use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration as Span, Instant as Stamp};
use usockets::{Duration, Instant};

/// log2 of how much faster.
const SHIFT: u32 = 2;

/// Ticks of the wheel that pass at least before anything is sent again: 250 ms, rounded up as a
/// deadline is.
pub(crate) const RESEND_MIN: u32 = 246;

/// Returns an instant on smoltcp's clock.
#[inline]
pub(crate) fn stamp(at: Instant) -> Stamp {
    // Half of the range, so that no sum with a timeout runs over.
    let micros = at.as_micros().min(u64::MAX >> 2 >> SHIFT) << SHIFT;
    Stamp::from_micros(micros.cast_signed())
}

/// Returns a duration on smoltcp's clock.
pub(crate) fn span(duration: Duration) -> Span {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Span::from_micros(micros.min(1 << 40) << SHIFT)
}

/// Returns an instant on smoltcp's clock that is `span` after another.
pub(crate) fn stamp_after(at: Stamp, span: Span) -> Stamp {
    let micros = i64::try_from(span.total_micros()).unwrap_or(i64::MAX);
    Stamp::from_micros(at.total_micros().saturating_add(micros))
}

/// Returns our instant of one on smoltcp's clock; never before it.
#[inline]
pub(crate) fn instant(at: Stamp) -> Instant {
    let micros = u64::try_from(at.total_micros()).unwrap_or(0);
    Instant::from_micros(micros.div_ceil(1 << SHIFT))
}

/// Returns when to look after a connection in `state` for what smoltcp has due at `due`: then, or
/// in as long on our clock as it is from `now` on smoltcp's.
#[inline]
pub(crate) fn kept(state: State, due: Instant, now: Instant) -> Instant {
    match state {
        State::SynSent | State::SynReceived | State::TimeWait => {
            now.saturating_add(due.saturating_since(now).saturating_mul(1 << SHIFT))
        }
        _ => due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_instants_come_back_and_theirs_never_too_early() {
        for micros in [0, 1, 999, 1 << 40, u64::MAX >> 5] {
            let at = Instant::from_micros(micros);
            assert_eq!(instant(stamp(at)), at);
            for ahead in 1..9 {
                let theirs = Stamp::from_micros(stamp(at).total_micros() + ahead);
                assert!(stamp(instant(theirs)) >= theirs);
            }
        }
        assert!(stamp(Instant::from_micros(u64::MAX)).total_micros() > 0);
    }

    #[test]
    fn handshakes_keep_their_second() {
        let now = Instant::from_micros(5_000_000);
        let due = now.saturating_add(Duration::from_millis(250));
        let second = now.saturating_add(Duration::from_secs(1));
        assert_eq!(kept(State::SynSent, due, now), second);
        assert_eq!(kept(State::Established, due, now), due);
        assert_eq!(kept(State::SynSent, Instant::ZERO, now), now);
    }
}
