//! The conformance suite, on every platform that is here.

use usockets_tests::bed;

/// Makes the suite the tests of a platform; `with datagrams`, those of datagrams too.
macro_rules! hold {
    (@datagrams $platform:ident datagrams) => {
        usockets_conformance::conformance_of_datagrams!(with bed::$platform);
    };
    ($($(#[$when:meta])* $platform:ident $(with $datagrams:ident)?,)*) => {$(
        $(#[$when])*
        mod $platform {
            use super::bed;

            usockets_conformance::conformance!(with bed::$platform);
            $(hold! { @datagrams $platform $datagrams })?
        }
    )*};
}

// What needs no system is held on the others already, and would take longer to build than Windows.
hold!(
    #[cfg(not(windows))]
    on_sim with datagrams,
    #[cfg(not(windows))]
    on_lent_sim,
    #[cfg(not(any(windows, feature = "sim-only")))]
    on_user_space with datagrams,
    #[cfg(not(any(windows, feature = "sim-only")))]
    on_stock,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_linux with datagrams,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_kqueue_model with datagrams,
    #[cfg(all(windows, not(feature = "sim-only")))]
    on_windows,
    #[cfg(all(unix, not(feature = "sim-only")))]
    on_poll with datagrams,
    #[cfg(target_os = "linux")]
    on_proxied_sim,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_proxied_linux,
    #[cfg(feature = "tls")]
    on_secured_sim with datagrams,
    #[cfg(all(feature = "tls", not(feature = "sim-only")))]
    on_secured_user_space with datagrams,
    #[cfg(all(feature = "tls", not(feature = "sim-only")))]
    on_secured_linux with datagrams,
    #[cfg(all(feature = "tls", target_os = "linux", not(feature = "sim-only")))]
    on_secured_proxied,
);
