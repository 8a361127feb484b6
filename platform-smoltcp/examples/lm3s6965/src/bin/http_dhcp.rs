//! The same server as `http`, at an address that it gets by DHCP. What becomes of the address is
//! told on the terminal.
#![no_std]
#![no_main]

use usockets::Budget;

#[path = "server/clear.rs"]
mod clear;
#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod server;
#[path = "server/leased.rs"]
mod station;

use clear::{CONNECTIONS, IN, LISTENING, OUT, Platform, WINDOW, endpoint, layer, network};

/// Bytes that the image has for its statics (`layout/http_dhcp/memory.x`).
const STATICS_MAX: usize = 44 * 1024 - 4352;
/// What is beside the stack and the loop: datagrams.
const LAYER: Budget = station::MEMORY;
