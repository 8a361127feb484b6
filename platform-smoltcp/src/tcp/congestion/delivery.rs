//! How fast the peer takes octets (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! The draft remembers with each segment what had been delivered when it was sent. Here it is
//! remembered with a few segments of a round trip only ([`Sent`]), as many as tell the rate of
//! each part of it, so that the table of outstanding segments stays as it is.

/// Segments that are remembered at a time.
const SENT_MAX: usize = 4;

/// What was known when a segment was sent.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
struct Sent {
    /// P.sent_time, the low bits of the clock in microseconds, as all times here.
    at: u32,
    /// P.delivered.
    delivered: u32,
    /// P.delivered_time.
    delivered_at: u32,
    /// P.first_sent_time.
    first_at: u32,
    /// P.is_app_limited.
    limited: bool,
}

impl Sent {
    const NONE: Self = Self {
        at: 0,
        delivered: 0,
        delivered_at: 0,
        first_at: 0,
        limited: false,
    };
}

/// What has been delivered, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// C.delivered: octets, wrapping.
    pub(super) octets: u32,
    /// C.delivered_time.
    at: u32,
    /// C.first_sent_time: when the segment was sent that was delivered last.
    first_at: u32,
    /// C.app_limited: how many octets have been delivered once the sender's pause is; meaningful
    /// with [`Self::limited`].
    limited_until: u32,
    limited: bool,
    /// Entries of [`Self::sent`] in use.
    count: u8,
    /// In the order in which they were sent.
    sent: [Sent; SENT_MAX],
}

/// The rate at which something was delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sample {
    /// Octets a second.
    pub(super) rate: u32,
    /// What had been delivered when the segment was sent that tells it.
    pub(super) prior: u32,
    /// There was less to send than could have been.
    pub(super) limited: bool,
}

/// Returns true if `one` is not after `other` on a number that wraps.
pub(super) const fn is_reached(one: u32, other: u32) -> bool {
    other.wrapping_sub(one) <= i32::MAX.cast_unsigned()
}

impl Delivery {
    /// Nothing has been delivered.
    pub(super) const NEW: Self = Self {
        octets: 0,
        at: 0,
        first_at: 0,
        limited_until: 0,
        limited: false,
        count: 0,
        sent: [Sent::NONE; SENT_MAX],
    };

    /// Returns true while what is delivered does not tell what the path could carry.
    pub(super) const fn is_limited(&self) -> bool {
        self.limited
    }

    /// Notes that a segment is sent at `now`. `first`: nothing else is on its way. It is remembered
    /// if it is the first for `apart` microseconds.
    pub(super) fn on_sent(&mut self, now: u32, first: bool, apart: u32) {
        if first {
            (self.at, self.first_at, self.count) = (now, now, 0);
        }
        let count = usize::from(self.count);
        let last = count.checked_sub(1).and_then(|last| self.sent.get(last));
        if last.is_some_and(|last| now.wrapping_sub(last.at) < apart.max(1)) {
            return;
        }
        if let Some(place) = self.sent.get_mut(count) {
            *place = Sent {
                at: now,
                delivered: self.octets,
                delivered_at: self.at,
                first_at: self.first_at,
                limited: self.limited,
            };
            self.count = self.count.saturating_add(1);
        }
    }

    /// Notes that there is nothing more to send for now, with `pipe` octets on their way.
    pub(super) const fn on_limited(&mut self, pipe: u32) {
        self.limited = true;
        self.limited_until = self.octets.wrapping_add(pipe);
    }

    /// Notes that `octets` more have been delivered, the latest of which was sent at `sent_at`.
    /// Returns at which rate, if that can be told; `least` is the least round trip.
    pub(super) fn on_delivered(
        &mut self,
        now: u32,
        octets: u32,
        sent_at: u32,
        least: u32,
    ) -> Option<Sample> {
        self.octets = self.octets.wrapping_add(octets);
        self.at = now;
        if self.limited && self.octets != self.limited_until {
            self.limited = is_reached(self.octets, self.limited_until);
        }
        let sent = self.take(sent_at);
        self.first_at = sent_at;
        let sent = sent?;
        let acked = now.wrapping_sub(sent.delivered_at);
        let interval = acked.max(sent_at.wrapping_sub(sent.first_at));
        if interval < least {
            // What arrived cannot have taken less (section 3.3.2: acknowledgements in one).
            return None;
        }
        let octets = u64::from(self.octets.wrapping_sub(sent.delivered));
        let rate = octets
            .saturating_mul(1_000_000)
            .checked_div(u64::from(interval))?;
        Some(Sample {
            rate: u32::try_from(rate).unwrap_or(u32::MAX),
            prior: sent.delivered,
            limited: sent.limited,
        })
    }

    /// Forgets all that was sent by `sent_at`, and returns the last of it.
    fn take(&mut self, sent_at: u32) -> Option<Sent> {
        let all = self.sent.get(..usize::from(self.count)).unwrap_or_default();
        let gone = all.iter().take_while(|sent| is_reached(sent.at, sent_at));
        let gone = gone.count();
        let last = gone.checked_sub(1).and_then(|last| all.get(last)).copied();
        self.sent.rotate_left(gone.min(SENT_MAX));
        self.count = self.count.saturating_sub(u8::try_from(gone).unwrap_or(0));
        last
    }
}

#[cfg(feature = "search")]
impl Delivery {
    /// Hashes what is remembered, counted from now and from what has been delivered.
    pub(super) fn fingerprint(&self, now: u32, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            octets,
            at,
            first_at,
            limited_until,
            limited,
            count,
            sent,
        } = self;
        (now.wrapping_sub(*at), now.wrapping_sub(*first_at), count).hash(into);
        let left = limited_until.wrapping_sub(*octets);
        limited.then_some(left).hash(into);
        for one in sent.iter().take(usize::from(*count)) {
            (now.wrapping_sub(one.at), octets.wrapping_sub(one.delivered)).hash(into);
            now.wrapping_sub(one.delivered_at).hash(into);
            (now.wrapping_sub(one.first_at), one.limited).hash(into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of 1,000 octets, one each millisecond, come after 10 ms: a million octets a second.
    #[test]
    fn a_steady_stream_tells_its_rate() {
        let mut delivery = Delivery::NEW;
        let mut samples = 0;
        for ms in 0..100_u32 {
            let now = ms * 1_000;
            if ms >= 10 {
                let sample = delivery.on_delivered(now, 1_000, now - 10_000, 10_000);
                if let Some(sample) = sample {
                    samples += 1;
                    // The first were sent before anything was delivered.
                    let low = if ms < 20 { 90_000 } else { 990_000 };
                    assert!((low..=1_000_000).contains(&sample.rate), "{ms}: {sample:?}");
                }
            }
            delivery.on_sent(now, ms == 0, 2_500);
        }
        assert!((30..=36).contains(&samples), "{samples} samples");
    }

    /// Acknowledgements that come at once tell no more than how fast was sent.
    #[test]
    fn acknowledgements_in_one_do_not_tell_a_higher_rate() {
        let mut delivery = Delivery::NEW;
        for ms in 0..10_u32 {
            delivery.on_sent(ms * 1_000, ms == 0, 1_000);
        }
        let sample = delivery.on_delivered(60_000, 10_000, 9_000, 10_000);
        assert_eq!(sample.map(|sample| sample.rate), Some(10_000_000 / 60));
    }

    #[test]
    fn what_was_limited_by_the_sender_says_so() {
        let mut delivery = Delivery::NEW;
        delivery.on_sent(0, true, 1_000);
        delivery.on_limited(1_000);
        delivery.on_sent(5_000, false, 1_000);
        let first = delivery.on_delivered(20_000, 1_000, 0, 10_000);
        assert_eq!(first.map(|sample| sample.limited), Some(false));
        assert!(delivery.is_limited(), "until more than that is delivered");
        let second = delivery.on_delivered(25_000, 1_000, 5_000, 10_000);
        assert_eq!(second.map(|sample| sample.limited), Some(true));
        assert!(!delivery.is_limited());
    }
}
