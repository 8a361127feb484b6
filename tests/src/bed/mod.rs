//! Where a conformance test runs: some hosts of one platform on one network.

#[cfg(target_os = "linux")]
mod devices;
#[cfg(target_os = "linux")]
mod kqueue;
mod lent;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod posix;
#[cfg(target_os = "linux")]
mod proxied;
#[cfg(feature = "tls")]
mod secured;
mod simulated;
mod user_space;
#[cfg(windows)]
mod windows;

/// What all of them implement.
pub use usockets_conformance::Bed;

#[cfg(target_os = "linux")]
pub use self::devices::{DeviceBed, on_packet, on_tap, on_xdp, on_xdp_generic};
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
#[cfg(target_os = "linux")]
pub(crate) use self::proxied::rough as rough_before_proxies;
#[cfg(target_os = "linux")]
pub use self::proxied::{ProxiedBed, on_proxied_linux, on_proxied_sim};
#[cfg(all(feature = "tls", target_os = "linux"))]
pub use self::secured::on_secured_proxied;
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

/// Turns generic functions over a [`Bed`] into tests on every platform, of what is above it. What
/// a platform itself must do is in `usockets_conformance`.
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
        #[cfg(target_os = "linux")]
        mod on_proxied_sim {
            $(#[test]
            fn $name() {
                $crate::bed::on_proxied_sim(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
        mod on_proxied_linux {
            $(#[test]
            fn $name() {
                $crate::bed::on_proxied_linux(|bed| super::$name(bed));
            })*
        }
        #[cfg(feature = "tls")]
        mod on_secured_sim {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_sim(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(feature = "tls", not(feature = "sim-only")))]
        mod on_secured_user_space {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_user_space(|bed| super::$name(bed));
            })*
        }
        #[cfg(all(feature = "tls", not(feature = "sim-only")))]
        mod on_secured_linux {
            $(#[test]
            fn $name() {
                $crate::bed::on_secured_linux(|bed| super::$name(bed));
            })*
        }
    };
}
