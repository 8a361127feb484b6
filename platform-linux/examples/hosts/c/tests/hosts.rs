//! Each example as a program.

#[path = "../../tests/support/mod.rs"]
mod support;

support::on_every_host!(host_glib, host_libuv);
