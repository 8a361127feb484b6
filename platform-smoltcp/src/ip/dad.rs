//! Duplicate address detection (RFC 5227, section 2.1; RFC 4862, section 5.4): when which own
//! address is probed, may be used, and is announced.

use usockets::{Duration, Instant};

use crate::ip::route::ADDRESSES_MAX;
use crate::ip::{ANNOUNCE_INTERVAL, ANNOUNCEMENTS, NEVER};
use crate::random::Random;

/// Longest wait before the first probe: `PROBE_WAIT` (RFC 5227, section 1.1), and for IPv6
/// `MAX_RTR_SOLICITATION_DELAY` (RFC 4861, section 10), as RFC 4862, section 5.4.2, asks.
const PROBE_WAIT: u64 = 1_000_000;
/// Probes of an IPv4 address, and least and longest time between two: `PROBE_NUM`, `PROBE_MIN` and
/// `PROBE_MAX` (RFC 5227, section 1.1).
const PROBES_V4: u8 = 3;
const PROBE_MIN: u64 = 1_000_000;
const PROBE_MAX: u64 = 2_000_000;
/// From its last probe until it may be used: `ANNOUNCE_WAIT`.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// The same of an IPv6 address: `DupAddrDetectTransmits` (RFC 4862, section 5.1) and `RetransTimer`
/// (RFC 4861, section 10).
const PROBES_V6: u8 = 1;
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// Duplicates after which addresses are probed less often, and the least time between two starts
/// then: `MAX_CONFLICTS` and `RATE_LIMIT_INTERVAL` (RFC 5227, section 1.1).
const MAX_CONFLICTS: u8 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
/// Of all own addresses.
pub(crate) const NUMBERS: core::ops::Range<u8> = 0..8;

/// What is known of an own address, in the words of RFC 4862, section 2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AddressState {
    /// It is being probed. Until it is known that no other station has it, nothing is sent from it,
    /// nothing that comes to it is taken, and nobody who asks for it is answered.
    Tentative,
    /// It is in use.
    Preferred,
    /// Another station has it, or wants to have it. It is not used.
    Duplicated,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// There is none, or nothing is to be done for it.
    Idle,
    /// It is tentative, and so many probes were sent.
    Probing { sent: u8 },
    /// It is preferred, and was announced so many times.
    Announcing { sent: u8 },
    /// It is another station's.
    Duplicated,
}

/// What is due for an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// A probe.
    Probe,
    /// Its use: nobody has contradicted.
    Use,
    /// An announcement.
    Announcement,
}

/// The detection for all own addresses, by their numbers.
#[derive(Debug)]
pub(crate) struct Detection {
    random: Random,
    /// Each is due at the time beside it.
    steps: [(Step, Instant); ADDRESSES_MAX],
    /// Addresses become announced when they may be used.
    announces: bool,
    /// When all addresses are announced next that were not probed.
    pub(crate) announce_at: Instant,
    /// Whose state has changed since the program was told, a bit for each number.
    changed: u8,
    /// Addresses found to be others'.
    conflicts: u8,
    /// When the probing of an address began last, or will.
    began_at: Instant,
}

impl Detection {
    /// Makes one without addresses.
    pub(crate) const fn idle() -> Self {
        Self {
            random: Random::new(0),
            steps: [(Step::Idle, NEVER); ADDRESSES_MAX],
            announces: false,
            announce_at: NEVER,
            changed: 0,
            conflicts: 0,
            began_at: Instant::ZERO,
        }
    }

    /// Draws from `seed` from now on, and has addresses announced or not.
    pub(crate) const fn start(&mut self, seed: u64, announces: bool) {
        (self.random, self.announces) = (Random::new(seed), announces);
    }

    /// Begins to probe an address.
    pub(crate) fn begin(&mut self, number: u8, now: Instant) {
        let wait = Duration::from_micros(self.random.below(PROBE_WAIT));
        let mut at = now.saturating_add(wait);
        if self.conflicts >= MAX_CONFLICTS {
            at = at.max(self.began_at.saturating_add(RATE_LIMIT_INTERVAL));
        }
        self.began_at = at;
        self.set(number, Step::Probing { sent: 0 }, at);
    }

    /// Returns when something is due next.
    pub(crate) fn next(&self) -> Instant {
        let times = self.steps.iter().map(|(_, at)| *at);
        times.min().unwrap_or(NEVER)
    }

    /// Returns an address for which something is due, and what.
    pub(crate) fn due(&self, now: Instant, is_ipv4: impl Fn(u8) -> bool) -> Option<(u8, Due)> {
        let at = self.steps.iter().position(|(_, at)| *at <= now)?;
        let (step, _) = self.steps.get(at)?;
        let number = u8::try_from(at).ok()?;
        let probes = if is_ipv4(number) {
            PROBES_V4
        } else {
            PROBES_V6
        };
        let due = match step {
            Step::Probing { sent } if *sent < probes => Due::Probe,
            Step::Probing { .. } => Due::Use,
            _ => Due::Announcement,
        };
        Some((number, due))
    }

    /// Notes that an address was probed.
    pub(crate) fn on_probe(&mut self, number: u8, is_ipv4: bool, now: Instant) {
        let Some((Step::Probing { sent }, _)) = self.steps.get(usize::from(number)) else {
            return;
        };
        let sent = sent.saturating_add(1);
        let wait = match (is_ipv4, sent) {
            (false, _) => RETRANS_TIMER,
            (true, PROBES_V4..) => ANNOUNCE_WAIT,
            (true, _) => {
                let drawn = self.random.below(PROBE_MAX.saturating_sub(PROBE_MIN));
                Duration::from_micros(PROBE_MIN.saturating_add(drawn))
            }
        };
        self.set(number, Step::Probing { sent }, now.saturating_add(wait));
    }

    /// Notes that an address may be used, and is announced if that is wanted.
    pub(crate) fn on_use(&mut self, number: u8, announced_elsewhere: bool, now: Instant) {
        if self.announces && !announced_elsewhere {
            self.set(number, Step::Announcing { sent: 0 }, now);
        } else {
            self.set(number, Step::Idle, NEVER);
        }
        self.changed |= bit(number);
    }

    /// Notes that an address was announced.
    pub(crate) fn on_announcement(&mut self, number: u8, now: Instant) {
        let Some((Step::Announcing { sent }, _)) = self.steps.get(usize::from(number)) else {
            return;
        };
        let sent = sent.saturating_add(1);
        if sent < ANNOUNCEMENTS {
            let at = now.saturating_add(ANNOUNCE_INTERVAL);
            self.set(number, Step::Announcing { sent }, at);
        } else {
            self.set(number, Step::Idle, NEVER);
        }
    }

    /// Notes that an address is another station's.
    pub(crate) fn on_duplicate(&mut self, number: u8) {
        self.set(number, Step::Duplicated, NEVER);
        self.conflicts = self.conflicts.saturating_add(1);
        self.changed |= bit(number);
    }

    /// Does not before `at` what is due for an address.
    pub(crate) fn postpone(&mut self, number: u8, at: Instant) {
        if let Some((_, due)) = self.steps.get_mut(usize::from(number)) {
            *due = at;
        }
    }

    /// Forgets an address.
    pub(crate) fn forget_one(&mut self, number: u8) {
        self.forget(bit(number));
    }

    /// Forgets addresses, a bit for each number.
    pub(crate) fn forget(&mut self, numbers: u8) {
        for number in NUMBERS {
            if numbers & bit(number) != 0 {
                self.set(number, Step::Idle, NEVER);
            }
        }
        self.changed &= !numbers;
    }

    /// Returns the state of an address that may not be used.
    pub(crate) fn state(&self, number: u8) -> AddressState {
        match self.steps.get(usize::from(number)) {
            Some((Step::Duplicated, _)) => AddressState::Duplicated,
            _ => AddressState::Tentative,
        }
    }

    /// Returns an address whose state has changed since it was returned last.
    pub(crate) fn next_change(&mut self) -> Option<u8> {
        let number = u8::try_from(self.changed.trailing_zeros()).unwrap_or(0);
        let changed = self.changed & bit(number) != 0;
        self.changed &= !bit(number);
        changed.then_some(number)
    }

    fn set(&mut self, number: u8, step: Step, at: Instant) {
        if let Some(place) = self.steps.get_mut(usize::from(number)) {
            *place = (step, at);
        }
    }
}

/// Returns the bit of an address.
fn bit(number: u8) -> u8 {
    1_u8.rotate_left(number.into())
}

const _: () = assert!(ADDRESSES_MAX == 8);
