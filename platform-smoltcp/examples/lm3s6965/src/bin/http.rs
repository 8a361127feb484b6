//! The HTTP server of the Linux examples on a microcontroller: `/`, `/echo` (POST), `/bytes/N`,
//! `/stats` and `/status`, at 10.0.2.15 port 80, where QEMU's user networking expects it.
#![no_std]
#![no_main]

use usockets::Budget;

#[path = "server/clear.rs"]
mod clear;
#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod server;
#[path = "server/fixed.rs"]
mod station;

use clear::{CONNECTIONS, IN, LISTENING, OUT, Platform, WINDOW, endpoint, layer, network};

/// Bytes that the image has for its statics (`layout/http/memory.x`).
const STATICS_MAX: usize = 40 * 1024 - 3584;
/// What is between the stack and the loop: nothing.
const LAYER: Budget = Budget::NONE;
