//! The `Date` field (RFC 9110, section 6.6.1), computed once per second.

use usockets::{Duration, Instant};

use super::text::Text;

/// Length of a date, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7).
const LEN: usize = 29;
const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Tells the time of day: the time since 1970-01-01 00:00 UTC, or `None` as long as it is not
/// known. Asked about once per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock(pub(crate) fn() -> Option<Duration>);

impl WallClock {
    /// Returns the time of day. The example boards have no clock, which saves 1 KB of flash here.
    fn read(self) -> Option<Duration> {
        if cfg!(target_os = "none") {
            return None;
        }
        (self.0)()
    }
}

/// The current date in the form of HTTP.
#[derive(Debug)]
pub(crate) struct Date {
    clock: WallClock,
    text: [u8; LEN],
    known: bool,
    /// The text holds until then.
    until: Instant,
}

impl Date {
    /// Makes a date that goes by `clock`.
    pub(crate) const fn new(clock: WallClock) -> Self {
        Self {
            clock,
            text: [0; LEN],
            known: false,
            until: Instant::ZERO,
        }
    }

    /// Returns the time up to which the last date that was returned holds.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Returns the date; `None` without a clock, and then the field must be left out.
    pub(crate) fn text(&mut self, now: Instant) -> Option<&[u8; LEN]> {
        if now >= self.until {
            let wall = self.clock.read();
            let rest = wall.map_or(0, |wall| wall.subsec_nanos());
            let next = Duration::from_secs(1).saturating_sub(Duration::from_nanos(rest.into()));
            self.until = now.saturating_add(next);
            self.known = wall.is_some_and(|wall| write(&mut self.text, wall.as_secs()));
        }
        self.known.then_some(&self.text)
    }
}

/// Writes the date of a Unix time; whether it has one in this form (the year has four digits).
fn write(text: &mut [u8; LEN], unix: u64) -> bool {
    let (days, second) = (unix / 86_400, unix % 86_400);
    let Some((year, month, day)) = civil(days) else {
        return false;
    };
    let weekday = usize::try_from(days % 7).ok();
    let weekday = weekday.and_then(|weekday| DAYS.get(weekday));
    let (Some(weekday), Some(month)) = (weekday, MONTHS.get(month)) else {
        return false;
    };
    let mut text = Text::new(text);
    text.put(*weekday);
    text.put(b", ");
    put_two(&mut text, day);
    text.put(b" ");
    text.put(*month);
    text.put(b" ");
    put_two(&mut text, year / 100);
    put_two(&mut text, year % 100);
    for (before, part) in [
        (b" ", second / 3600),
        (b":", second / 60 % 60),
        (b":", second % 60),
    ] {
        text.put(before);
        put_two(&mut text, part);
    }
    text.put(b" GMT");
    text.fits() && text.len() == LEN
}

fn put_two(text: &mut Text<'_>, number: u64) {
    if number < 10 {
        text.put(b"0");
    }
    text.put_decimal(number);
}

/// Returns year, month (from 0) and day of the month (from 1) of a day since 1970-01-01; `None`
/// from the year 10000 on.
fn civil(mut days: u64) -> Option<(u64, usize, u64)> {
    // 400 years have 146,097 days; the years before 1970 of the first 400 are counted too, so
    // that the count starts in 1600.
    days = days.checked_add(135_140)?;
    let mut year = (days / 146_097).checked_mul(400)?.checked_add(1600)?;
    days %= 146_097;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        match days.checked_sub(length) {
            Some(rest) => days = rest,
            None => break,
        }
        year = year.checked_add(1)?;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (0_usize..).zip(lengths) {
        match days.checked_sub(length) {
            Some(rest) => days = rest,
            None => return (year < 10_000).then_some((year, month, days.checked_add(1)?)),
        }
    }
    None
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}
