//! What can go wrong before frames flow.

use core::fmt;

use usockets::Error;

/// Why something of DPDK could not be started, opened or made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DpdkError {
    /// DPDK's environment (EAL) has been started in this process already, which can be done only
    /// once, even if it has ended since: start it at one place and share the [`Eal`](crate::Eal).
    AlreadyStarted,
    /// The environment did not start; DPDK has said on standard error what it lacks, and this is
    /// the number of errno(3). Without huge pages, give it `--no-huge` and `-m`.
    NotStarted(u16),
    /// An argument or a name is too long or has a zero in it, or there are too many of them.
    BadArgument,
    /// There is no port of this name: the card is not bound to a driver that DPDK can use, or the
    /// `--vdev` is missing.
    NoPort,
    /// The port is open.
    PortTaken,
    /// The queue has a device.
    QueueTaken,
    /// The port has no such queue, or not that many.
    NoQueue,
    /// As many pools are to be given as there are queues, or one for all.
    WrongPools,
    /// A frame of the MTU does not fit in the buffers of the pool ([`Pool::room_for`]).
    ///
    /// [`Pool::room_for`]: crate::Pool::room_for
    SmallRoom,
    /// The memory does not begin and end with a page, or has no room for a frame.
    BadMemory,
    /// DPDK or the driver of the port refused; this is the number of errno(3).
    Driver(u16),
}

impl fmt::Display for DpdkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted => f.write_str(
                "DPDK's environment can be started only once per process, and was: share its Eal",
            ),
            Self::NotStarted(errno) => write!(
                f,
                "DPDK's environment did not start (errno {errno}): see what it printed"
            ),
            Self::BadArgument => f.write_str("an argument is too long, or there are too many"),
            Self::NoPort => f.write_str("there is no port of this name"),
            Self::PortTaken => f.write_str("the port is open already"),
            Self::QueueTaken => f.write_str("the queue has a device already"),
            Self::NoQueue => f.write_str("the port does not have that many queues"),
            Self::WrongPools => f.write_str("give one pool for all queues, or one for each"),
            Self::SmallRoom => f.write_str("a frame does not fit in the pool's buffers"),
            Self::BadMemory => {
                f.write_str("the memory has to be whole pages, with room for a frame")
            }
            Self::Driver(errno) => write!(f, "DPDK refused (errno {errno})"),
        }
    }
}

impl core::error::Error for DpdkError {}

impl From<DpdkError> for Error {
    fn from(error: DpdkError) -> Self {
        match error {
            DpdkError::AlreadyStarted | DpdkError::PortTaken | DpdkError::QueueTaken => {
                Self::AddressInUse
            }
            DpdkError::NoPort => Self::AddressUnavailable,
            DpdkError::NotStarted(errno) | DpdkError::Driver(errno) => Self::Platform(errno),
            _ => Self::Invalid,
        }
    }
}
