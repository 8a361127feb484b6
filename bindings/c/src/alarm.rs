//! A descriptor that ends waits at times that are not near, so that a loop whose sockets have
//! timeouts does not read the clock before each wait.

use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use usockets::{Duration, Instant};

/// What its report is marked with, which is the name of no slot.
const MARK: u64 = 0xffff_fffd_ffff_ffff;

/// When an alarm is due that is not set.
const NEVER: Instant = Instant::from_micros(u64::MAX);

/// Nearer times than this are waited for by the wait's own limit, which costs no system call.
const FAR: Duration = Duration::from_millis(50);

/// See the module. What is registered is edge-triggered and never read: setting the alarm anew
/// forgets what has been.
pub(crate) struct Alarm {
    fd: OwnedFd,
    /// When it ends a wait.
    due: Instant,
}

impl Alarm {
    /// Registers an alarm with an `epoll` instance.
    pub(crate) fn new(epoll: impl AsFd) -> Result<Self, Errno> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(epoll, &fd, EventData::new_u64(MARK), flags)?;
        Ok(Self { fd, due: NEVER })
    }

    /// Whether the alarm ends a wait that is not to go past `until`.
    #[inline]
    pub(crate) fn ends(&mut self, until: Instant, now: impl FnOnce() -> Instant) -> bool {
        until >= self.due || self.set(until, now)
    }

    /// Sets the alarm to a time if that is far; whether it ends the wait.
    #[cold]
    #[inline(never)]
    fn set(&mut self, until: Instant, now: impl FnOnce() -> Instant) -> bool {
        if until == Instant::ZERO || until < now().saturating_add(FAR) {
            return false;
        }
        let micros = until.as_micros();
        let (Ok(tv_sec), Ok(tv_nsec)) = (
            (micros / 1_000_000).try_into(),
            (micros % 1_000_000 * 1_000).try_into(),
        ) else {
            return false;
        };
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let time = Itimerspec {
            it_interval: never,
            it_value: Timespec { tv_sec, tv_nsec },
        };
        let is_set = timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &time).is_ok();
        if is_set {
            self.due = until;
        }
        is_set
    }

    /// Whether it is set, so that the time after a wait has to be [noted](Self::note).
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.due != NEVER
    }

    /// Notes the time after a wait: an alarm that was due by then is over.
    #[inline]
    pub(crate) fn note(&mut self, now: Instant) {
        if self.due <= now {
            self.due = NEVER;
        }
    }
}
