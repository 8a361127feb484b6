//! DPDK's environment abstraction layer (EAL): memory and ports, once per process.
#![expect(unsafe_code, reason = "functions of C")]

use core::sync::atomic::{AtomicBool, Ordering};

use crate::control::Control;
use crate::error::DpdkError;
use crate::ffi::{self, Name, Text, check};

/// Most arguments.
const ARGUMENTS_MAX: usize = 127;
/// `EALREADY`, which DPDK itself says when it has been started by other code.
const ALREADY: u16 = 114;
/// `E2BIG`, which the shim says of arguments that are too long.
const TOO_LONG: u16 = 7;

static STARTED: AtomicBool = AtomicBool::new(false);

/// DPDK's environment: it has been started, and is ended when this is dropped.
///
/// It can be started **once per process**, whoever does it, and not again after its end; a second
/// start is [`DpdkError::AlreadyStarted`]. So a program starts it in `main`, or a library is handed
/// a reference to it; everything else borrows it. Tests share one in a `OnceLock`.
///
/// What DPDK allocates, and its threads (one for interrupts, one for each further processor of
/// `-l`), are its own: nothing is promised of them here. Say `-l 0`, or another single processor,
/// to have no thread that does nothing; loops run on threads of the program.
///
/// # Example
/// ```no_run
/// use usockets_dpdk::Eal;
///
/// let eal = Eal::start(&["server", "-l", "0", "--no-huge", "-m", "256", "--vdev=net_tap0"])?;
/// # drop(eal);
/// # Ok::<(), usockets_dpdk::DpdkError>(())
/// ```
#[derive(Debug)]
pub struct Eal(());

impl Eal {
    /// Starts the environment with the arguments that DPDK's programs take, the first of which is
    /// the name of the program. The thread stays on the processors that it may run on.
    ///
    /// # Errors
    /// [`DpdkError::AlreadyStarted`] after any start that came far enough,
    /// [`DpdkError::BadArgument`] for more than 127 arguments or 4 KiB,
    /// [`DpdkError::NotStarted`] when DPDK refuses.
    pub fn start(arguments: &[&str]) -> Result<Self, DpdkError> {
        let mut texts = [Text::EMPTY; ARGUMENTS_MAX];
        let given = texts
            .get_mut(..arguments.len())
            .ok_or(DpdkError::BadArgument)?;
        for (text, argument) in given.iter_mut().zip(arguments) {
            if argument.bytes().any(|byte| byte == 0) {
                return Err(DpdkError::BadArgument);
            }
            *text = Text::new(argument);
        }
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(DpdkError::AlreadyStarted);
        }
        // SAFETY: the texts are valid for the call, which copies them, and nobody else is in it.
        let said = check(unsafe { ffi::us_dpdk_start(given.as_ptr(), given.len()) });
        let error = match said {
            Ok(_) => return Ok(Self(())),
            Err(DpdkError::Driver(ALREADY)) => return Err(DpdkError::AlreadyStarted),
            Err(DpdkError::Driver(TOO_LONG)) => DpdkError::BadArgument,
            Err(DpdkError::Driver(errno)) => DpdkError::NotStarted(errno),
            Err(other) => other,
        };
        // It may be tried with other arguments, if DPDK lets it.
        STARTED.store(false, Ordering::Release);
        Err(error)
    }

    /// Makes one more port at run time, as the arguments `--vdev` and `-a` do at the start:
    /// `"net_tap0,iface=us0"`, or a card's address. Its name is what comes before the first comma.
    ///
    /// # Errors
    /// [`DpdkError::BadArgument`] for more than 255 bytes, else [`DpdkError::Driver`].
    pub fn attach(&self, device: &str) -> Result<(), DpdkError> {
        let device = Name::<256>::new(device).ok_or(DpdkError::BadArgument)?;
        let _control = Control::lock();
        // SAFETY: the environment has been started, and the name is valid for the call.
        check(unsafe { ffi::us_dpdk_attach(device.as_ptr()) }).map(drop)
    }

    /// Makes two ports that are each other's other end, with as many queues each: a cable of rings
    /// in memory, for two stacks in one process, and for tests. They are `net_ring_` and `name`,
    /// with `a` and `b` behind it. At most 16 queues, and one frame fewer than `frames`, a power of
    /// two, at a time each way and queue.
    ///
    /// # Errors
    /// [`DpdkError::NoQueue`] for more queues, [`DpdkError::BadArgument`] for a name of more than
    /// 18 bytes, else [`DpdkError::Driver`].
    #[cfg(feature = "ring")]
    pub fn ring_pair(&self, name: &str, queues: u16, frames: u32) -> Result<(), DpdkError> {
        if queues == 0 || queues > 16 {
            return Err(DpdkError::NoQueue);
        }
        let name = Name::<19>::new(name).ok_or(DpdkError::BadArgument)?;
        let mut ports = [0; 2];
        let _control = Control::lock();
        // SAFETY: the environment has been started, the name is valid for the call, and there is
        // room for two numbers.
        let said =
            unsafe { ffi::us_dpdk_ring_pair(name.as_ptr(), queues, frames, ports.as_mut_ptr()) };
        check(said).map(drop)
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        // SAFETY: it has been started, and pools and ports borrow this value, so there are none.
        let _ = unsafe { ffi::us_dpdk_stop() };
    }
}
