//! Where a conformance test runs: some hosts of one platform on one network.

#[cfg(target_os = "linux")]
mod kqueue;
mod lent;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod posix;
#[cfg(feature = "tls")]
mod secured;
mod simulated;
mod user_space;
#[cfg(windows)]
mod windows;

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Instant, Platform};

#[cfg(target_os = "linux")]
pub use self::kqueue::{KqueueModel, on_kqueue_model};
pub use self::lent::{LentBed, on_lent_sim};
/// The bed of the system that the tests run on, whose sockets std has too.
#[cfg(target_os = "linux")]
pub use self::linux::LinuxBed as SystemBed;
#[cfg(target_os = "linux")]
pub use self::linux::{LinuxBed, on_linux};
#[cfg(unix)]
pub use self::posix::{PosixBed, on_poll};
#[cfg(feature = "tls")]
pub use self::secured::{
    Secured, SecuredBed, on_secured_linux, on_secured_sim, on_secured_user_space,
};
pub use self::simulated::{SimBed, on_rough_sim, on_sim};
pub use self::user_space::{
    LinkBed, Port, StockBed, UserSpaceBed, Watched, on_stock, on_user_space,
};
/// The bed of the system that the tests run on, whose sockets std has too.
#[cfg(windows)]
pub use self::windows::WindowsBed as SystemBed;
#[cfg(windows)]
pub use self::windows::{WindowsBed, on_windows};

/// Some hosts of one platform on one network, and their time.
pub trait Bed {
    /// The platform under test.
    type P: Platform + 'static;

    /// Makes the platform of a further host. Hosts count from 0.
    fn platform(&mut self) -> Self::P;

    /// Returns an address to listen at on a host, IPv4 with port 0.
    fn addr(&self, host: usize) -> SocketAddr;

    /// Returns an IPv6 address of a host, with port 0.
    fn addr_v6(&self, host: usize) -> SocketAddr;

    /// Returns whether the loop of a host, which next has something to do by itself at
    /// `deadline`, may have something to do now.
    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool;

    /// Returns true if something came for a host from outside since the last call, as an
    /// edge-triggered watcher of its platform's wait handle is told. Where there is no such handle,
    /// true if there may be something.
    fn edge(&mut self, host: usize) -> bool;

    /// Returns until when a loop is to be polled, at most, while others also want their turn.
    fn patience(&self, platform: &Self::P) -> Option<Instant>;

    /// Lets the time go on, to the next thing that comes about but at most by `most`. Called when
    /// no host is due.
    fn pass(&mut self, most: Duration);

    /// Returns the time since some start.
    fn now(&self) -> Duration;

    /// Returns more bytes than one direction of a connection holds on its way, but no more than
    /// arrive soon.
    fn plenty(&self) -> usize;

    /// Returns how many iterations opening a connection and saying a word may take a loop that
    /// does not spin.
    fn opening_turns(&self) -> u64 {
        200
    }

    /// Returns a time long enough for anything that is to happen.
    fn long(&self) -> Duration {
        if self.is_virtual() {
            Duration::from_secs(40_000)
        } else {
            Duration::from_secs(60)
        }
    }

    /// Returns whether every report is true when it is given, and everything comes soon. (A false
    /// report of a listener may cost an eviction.)
    fn is_smooth(&self) -> bool {
        true
    }

    /// Returns whether a platform learns what its peers did without being polled, as one in an
    /// operating system does.
    fn learns_unasked(&self) -> bool {
        true
    }

    /// Returns true if listeners can share a port (`Endpoint::reuse_port`).
    fn shares_ports(&self) -> bool {
        true
    }

    /// Returns true if a listener whose queue is full leaves a SYN without answer, so that the peer
    /// tries again, and false if it refuses it.
    fn drops_surplus(&self) -> bool {
        true
    }

    /// Returns an address to which connects fail at once, where those to an own address that
    /// nobody listens at do not.
    fn nowhere(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns whether time is virtual, so that hours cost nothing.
    fn is_virtual(&self) -> bool;
}

/// Turns generic functions over a [`Bed`] into tests on every platform.
#[macro_export]
macro_rules! on_every_platform {
    ($($name:ident),* $(,)?) => {
        mod on_sim {
            $(#[test]
            fn $name() {
                $crate::bed::on_sim(|bed| super::$name(bed));
            })*
        }
        mod on_lent_sim {
            $(#[test]
            fn $name() {
                $crate::bed::on_lent_sim(|bed| super::$name(bed));
            })*
        }
        #[cfg(not(feature = "sim-only"))]
        mod on_user_space {
            $(#[test]
            fn $name() {
                $crate::bed::on_user_space(|bed| super::$name(bed));
            })*
        }
        #[cfg(not(feature = "sim-only"))]
        mod on_stock {
            $(#[test]
            fn $name() {
                $crate::bed::on_stock(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
        mod on_linux {
            $(#[test]
            fn $name() {
                $crate::bed::on_linux(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
        mod on_kqueue_model {
            $(#[test]
            fn $name() {
                $crate::bed::on_kqueue_model(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(windows, not(feature = "sim-only")))]
        mod on_windows {
            $(#[test]
            fn $name() {
                $crate::bed::on_windows(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(unix, not(feature = "sim-only")))]
        mod on_poll {
            $(#[test]
            fn $name() {
                $crate::bed::on_poll(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(feature = "tls", not(feature = "sim-only")))]
        mod on_secured_sim {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_sim(stringify!($name), |bed| super::$name(bed));
            })*
        }
        #[cfg(all(feature = "tls", not(feature = "sim-only")))]
        mod on_secured_user_space {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_user_space(stringify!($name), |bed| super::$name(bed));
            })*
        }
        #[cfg(all(feature = "tls", not(feature = "sim-only")))]
        mod on_secured_linux {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_linux(stringify!($name), |bed| super::$name(bed));
            })*
        }
    };
}
