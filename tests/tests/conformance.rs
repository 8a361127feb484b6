//! The conformance suite, on every platform that is here.

use usockets_tests::bed;

/// Makes the suite the tests of a platform.
macro_rules! hold {
    ($($(#[$when:meta])* $platform:ident,)*) => {$(
        $(#[$when])*
        mod $platform {
            use super::bed;

            usockets_conformance::conformance!(with bed::$platform);
        }
    )*};
}

hold!(
    on_sim,
    on_lent_sim,
    #[cfg(not(feature = "sim-only"))]
    on_user_space,
    #[cfg(not(feature = "sim-only"))]
    on_stock,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_linux,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_kqueue_model,
    #[cfg(all(windows, not(feature = "sim-only")))]
    on_windows,
    #[cfg(all(unix, not(feature = "sim-only")))]
    on_poll,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_proxied_sim,
    #[cfg(all(target_os = "linux", not(feature = "sim-only")))]
    on_proxied_linux,
    #[cfg(all(feature = "tls", not(feature = "sim-only")))]
    on_secured_sim,
    #[cfg(all(feature = "tls", not(feature = "sim-only")))]
    on_secured_user_space,
    #[cfg(all(feature = "tls", not(feature = "sim-only")))]
    on_secured_linux,
    #[cfg(all(feature = "tls", target_os = "linux", not(feature = "sim-only")))]
    on_secured_proxied,
);
