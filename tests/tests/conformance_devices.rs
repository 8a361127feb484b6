//! The conformance suite on the stack in user space over each device of Linux: hosts on a
//! bridge, in real time.
#![cfg(all(target_os = "linux", not(feature = "sim-only")))]

use usockets_tests::bed;

/// Makes the suite the tests of a device.
macro_rules! hold {
    ($($device:ident),*) => {$(
        mod $device {
            use super::bed;

            usockets_conformance::conformance!(with bed::$device);
        }
    )*};
}

hold!(on_tap, on_packet, on_xdp, on_xdp_generic);
