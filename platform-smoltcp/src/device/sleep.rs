//! Waiting and waking on Linux, once for all devices that have a descriptor.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{Errno, read};
use rustix::time::{ClockId, clock_gettime};
use usockets::{Error, Instant, Notify, Waker};

/// A [`Waker`] that can be waited for, whatever it notifies through.
trait Wake {
    fn take(&self) -> bool;
    fn fd(&self) -> BorrowedFd<'_>;
}

impl<N: Notify + AsFd> Wake for Waker<N> {
    fn take(&self) -> bool {
        Self::take(self)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.notifier().as_fd()
    }
}

/// What a wait has seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// What the device's descriptor has.
    #[cfg_attr(
        not(feature = "packet"),
        expect(dead_code, reason = "a TAP asks later")
    )]
    pub(crate) device: PollFlags,
    /// There is something at the other descriptor.
    #[cfg_attr(
        not(feature = "afxdp"),
        expect(dead_code, reason = "others have no such")
    )]
    pub(crate) also: bool,
}

/// Sleeps until a device's descriptor or a waker's has something.
#[derive(Clone, Copy)]
pub(crate) struct Sleeper {
    waker: Option<&'static (dyn Wake + Sync)>,
}

impl Sleeper {
    /// A sleeper that nobody wakes from elsewhere.
    pub(crate) const fn new() -> Self {
        Self { waker: None }
    }

    /// Lets `waker` wake it, through an eventfd (`eventfd(2)`).
    pub(crate) fn set_waker<N: Notify + AsFd + Sync>(&mut self, waker: &'static Waker<N>) {
        self.waker = Some(waker);
    }

    /// Waits until `fd` has what `flags` ask for, there is something to read at `also`, the waker
    /// wakes, or `until` has come. May return early.
    pub(crate) fn sleep(
        &self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        also: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Seen {
        let left = until.map(|until| until.saturating_since(monotonic()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let waker = self.waker.map(|waker| waker.fd());
        // Each is asked once: a descriptor's answer may cost as much as a system call.
        let others = [waker, also];
        let asked = others.iter().flatten().count().saturating_add(1);
        let [first, second] = match others {
            [None, _] => [also, None],
            both => both,
        };
        let other = |other: Option<_>| PollFd::from_borrowed_fd(other.unwrap_or(fd), PollFlags::IN);
        let mut fds = [
            PollFd::from_borrowed_fd(fd, flags),
            other(first),
            other(second),
        ];
        // Whatever it says, the next turn looks.
        let _ = poll(fds.get_mut(..asked).unwrap_or_default(), timeout.as_ref());
        let [device, first, second] = fds.map(|fd| fd.revents());
        let [woken, news] = match waker {
            Some(_) => [first, second],
            None => [PollFlags::empty(), first],
        };
        if let Some(waker) = waker
            && woken.contains(PollFlags::IN)
        {
            // Its count is of no interest, only that it is zero again.
            let _ = read(waker, &mut [0_u8; 8]);
        }
        let also = also.is_some() && !news.is_empty();
        Seen { device, also }
    }

    /// Returns true if a wake-up came since the last call.
    pub(crate) fn woken(&self) -> bool {
        self.waker.is_some_and(|waker| waker.take())
    }
}

/// Returns the present on Linux's monotonic clock.
pub(crate) fn monotonic() -> Instant {
    let now = clock_gettime(ClockId::Monotonic);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    let micros = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
    Instant::from_micros(secs.wrapping_mul(1_000_000).wrapping_add(micros))
}

/// Translates an error number (`errno(3)`).
pub(crate) fn error(errno: Errno) -> Error {
    match errno {
        Errno::ACCESS | Errno::PERM => Error::Denied,
        Errno::BUSY => Error::AddressInUse,
        Errno::NAMETOOLONG | Errno::INVAL => Error::Invalid,
        Errno::NOENT | Errno::NXIO | Errno::NODEV => Error::Unsupported,
        Errno::AFNOSUPPORT | Errno::OPNOTSUPP => Error::Unsupported,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Error::Exhausted,
        other => Error::Platform(u16::try_from(other.raw_os_error()).unwrap_or(u16::MAX)),
    }
}
