//! Signals as events of a loop, by a signalfd.
//!
//! A signal that is blocked waits in the kernel; a signalfd is readable while one of its set does
//! (`signalfd(2)`). It is watched beside the sockets, so that no code runs in a signal handler.

use linux_raw_sys::general as kernel;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::read;
use usockets::Error;
use usockets_posix::error;

use crate::linux::Linux;
use crate::raw;

/// The kernel's mark of the signalfd: the name of a slot beyond every pool, as the waker's.
pub(crate) const MARK: u64 = 0xffff_fffe_ffff_ffff;
/// Bytes of a `struct signalfd_siginfo` (`signalfd(2)`), which begins with the number.
const INFO: usize = 128;

/// A signal (`signal(7)`), by the number that it has on this processor.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Signal(u8);

/// The number as a `u8`, at compile time. All are from 1 to 64.
macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:ident;)*) => {
        $($(#[$doc])* pub const $name: Self = Self(kernel::$number.to_le_bytes()[0]);)*
    };
}

impl Signal {
    signals! {
        /// SIGHUP: by custom, read the configuration again.
        HANGUP = SIGHUP;
        /// SIGINT: somebody pressed Ctrl-C.
        INTERRUPT = SIGINT;
        /// SIGQUIT: somebody pressed Ctrl-\.
        QUIT = SIGQUIT;
        /// SIGTERM: stop in order. Service managers send it.
        TERMINATE = SIGTERM;
        /// SIGCHLD: a child process ended, or was stopped or continued.
        CHILD = SIGCHLD;
        /// SIGUSR1: what the program says it means.
        USER_1 = SIGUSR1;
        /// SIGUSR2: what the program says it means.
        USER_2 = SIGUSR2;
        /// SIGWINCH: the terminal changed its size.
        WINDOW = SIGWINCH;
        /// SIGALRM: a timer of `alarm(2)` is over.
        ALARM = SIGALRM;
    }

    /// Makes a signal of its number. `None` for one that cannot be waited for: no signal at all,
    /// SIGKILL and SIGSTOP, which cannot be blocked, and 32 and 33, which C libraries use.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok().filter(|&number| {
            (1..=Set::NUMBER_MAX).contains(&number) && !matches!(number, 32 | 33)
        })?;
        let is_free = ![kernel::SIGKILL, kernel::SIGSTOP].contains(&u32::from(number));
        is_free.then_some(Self(number))
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of signals, as the kernel has it: one bit each, from the lowest of the first word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Set(pub(crate) [usize; Self::WORDS]);

impl Set {
    const WORDS: usize = size_of::<kernel::kernel_sigset_t>() / size_of::<usize>();
    /// The highest number: one per bit.
    const NUMBER_MAX: u8 = match size_of::<kernel::kernel_sigset_t>() {
        8 => 64,
        // On MIPS.
        _ => 128,
    };

    fn of(signals: &[Signal]) -> Self {
        let mut set = Self::default();
        for &signal in signals {
            set.insert(signal);
        }
        set
    }

    /// Returns the word and the bit of a signal.
    fn place(&mut self, signal: Signal) -> Option<(&mut usize, usize)> {
        let index = u32::from(signal.0).checked_sub(1)?;
        let word = usize::try_from(index.checked_div(usize::BITS)?).ok()?;
        let bit = 1_usize.checked_shl(index.checked_rem(usize::BITS)?)?;
        Some((self.0.get_mut(word)?, bit))
    }

    fn insert(&mut self, signal: Signal) {
        if let Some((word, bit)) = self.place(signal) {
            *word |= bit;
        }
    }

    /// Takes out the signal with the lowest number.
    fn pop(&mut self) -> Option<Signal> {
        let (index, word) = self
            .0
            .iter_mut()
            .enumerate()
            .find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros();
        *word &= word.wrapping_sub(1);
        let words = u32::try_from(index).ok()?;
        let number = words
            .wrapping_mul(usize::BITS)
            .wrapping_add(bit)
            .wrapping_add(1);
        u8::try_from(number).ok().map(Signal)
    }
}

/// Blocks signals in the calling thread, and in every thread that it starts from now on, which
/// inherit its mask (`sigprocmask(2)`).
///
/// A program calls it **in its first thread, before it starts others**. A signal to a process goes
/// to any of its threads that does not block it: one such thread is enough to have the signal end
/// the process, as it does by default.
///
/// A program that is executed inherits the mask, too, unless what starts it sets it anew, as
/// [`std::process::Command`] does.
///
/// [`std::process::Command`]: https://doc.rust-lang.org/std/process/struct.Command.html
///
/// # Errors
/// None that a Linux kernel is known to give; a sandbox may forbid the call ([`Error::Denied`]).
pub fn block_signals(signals: &[Signal]) -> Result<(), Error> {
    raw::block_signals(&Set::of(signals)).map_err(error)
}

/// The signals of one loop.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    /// Read, and not handed out yet.
    read: Set,
    /// More may wait than what was read, which an edge-triggered outer loop is not told.
    pub(crate) has_more: bool,
}

impl Signals {
    /// Reads one signal; if there are more, they are reported again. Returns true if there was one:
    /// another loop may have been faster.
    #[cold]
    #[inline(never)]
    fn read(&mut self) -> bool {
        let mut info = [0; INFO];
        self.has_more = read(&self.fd, &mut info) == Ok(INFO);
        if self.has_more {
            // The number is a `u32`, of which the low byte is all.
            let [a, b, c, d, ..] = info;
            let [number, ..] = u32::from_ne_bytes([a, b, c, d]).to_le_bytes();
            self.read.insert(Signal(number));
        }
        self.has_more
    }
}

impl Linux {
    /// Has signals wake the loop: [`on_wake`] comes after each, and [`Self::next_signal`] says
    /// which it was. They are blocked in the calling thread, as by [`block_signals`], whose rule
    /// about threads applies.
    ///
    /// ```
    /// use usockets::{AllSockets, Error, Handler, Loop, Opened, Socket, Sockets};
    /// use usockets_linux::{Linux, Signal};
    ///
    /// struct Server {
    ///     hang_ups: u32,
    /// }
    ///
    /// impl Handler<Linux> for Server {
    ///     # type Ext = ();
    ///     # type Context = ();
    ///     # fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, _: Opened<()>) {}
    ///     # fn on_data(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), _: &mut [u8]) {}
    ///     fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
    ///         while let Some(signal) = sockets.net().platform_mut().next_signal() {
    ///             match signal {
    ///                 Signal::HANGUP => self.hang_ups += 1, // Reads its configuration again.
    ///                 _ => sockets.net().drain(usockets::Duration::from_secs(5)),
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let linux = Linux::new()?.with_signals(&[Signal::HANGUP, Signal::TERMINATE])?;
    /// let mut sockets = Sockets::<_, _, 16>::new();
    /// let mut buffer = [0; 4096];
    /// let mut server = Loop::new(linux, &mut sockets, &mut buffer);
    /// server.run(&mut Server { hang_ups: 0 })?; // It listens nowhere here.
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Each loop may have signals of its own. If several have the same, all wake and one of them
    /// gets it.
    ///
    /// [`on_wake`]: usockets::Handler::on_wake
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory,
    /// [`Error::Invalid`] when this instance has signals already.
    pub fn with_signals(mut self, signals: &[Signal]) -> Result<Self, Error> {
        if self.signals.is_some() {
            return Err(Error::Invalid);
        }
        let set = Set::of(signals);
        let fd = raw::signal_fd(&set).map_err(error)?;
        // Level-triggered: what a read leaves is reported again.
        let data = EventData::new_u64(MARK);
        epoll::add(&self.epoll, &fd, data, EventFlags::IN).map_err(error)?;
        raw::block_signals(&set).map_err(error)?;
        self.signals = Some(Signals {
            fd,
            read: Set::default(),
            has_more: false,
        });
        Ok(self)
    }

    /// Takes a signal that came, the lowest number first. One that came several times before it
    /// was taken is one, as it is in the kernel (`signal(7)`).
    pub fn next_signal(&mut self) -> Option<Signal> {
        self.signals.as_mut()?.read.pop()
    }

    /// Returns true if signals came with the last wait.
    #[inline]
    pub(crate) fn signalled(&mut self) -> bool {
        let Some(signals) = &mut self.signals else {
            return false;
        };
        signals.has_more = false;
        self.events.contains(MARK) && signals.read()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_lowest_first() {
        let mut set = Set::of(&[Signal::TERMINATE, Signal::HANGUP, Signal::TERMINATE]);
        assert_eq!(set.pop(), Some(Signal::HANGUP));
        assert_eq!(set.pop(), Some(Signal::TERMINATE));
        assert_eq!(set.pop(), None);
        let all: Vec<_> = (0..=300).filter_map(Signal::from_number).collect();
        let mut set = Set::of(&all);
        for signal in all {
            assert_eq!(set.pop(), Some(signal));
        }
        assert_eq!(set.pop(), None);
    }

    #[test]
    fn what_cannot_be_waited_for_is_no_signal() {
        for number in [
            0,
            32,
            33,
            kernel::SIGKILL,
            kernel::SIGSTOP,
            129,
            256,
            u32::MAX,
        ] {
            assert_eq!(Signal::from_number(number), None, "{number}");
        }
        assert_eq!(Signal::from_number(15), Some(Signal::TERMINATE));
    }
}
