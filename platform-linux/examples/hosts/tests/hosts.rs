//! Each example as a program.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

mod support;

support::on_every_host!(host_async_io, host_calloop, host_mio, host_tokio);

/// What the helper of the crate saves: 6.4 and 5.3 calls without it.
#[test]
fn an_echo_takes_at_most_five_system_calls_in_tokio_and_mio() {
    for name in ["host_tokio", "host_mio"] {
        if let Some(calls) = support::calls_per_echo(name) {
            println!("{name}: {calls:.2} system calls for an echo");
            assert!(calls <= 5.0, "{name}: {calls}");
        }
    }
}
