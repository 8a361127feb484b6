//! An HTTP/1.1 server (RFC 9110, RFC 9112) for any platform: no `std`, no allocation.
//!
//! One connection costs a hundred bytes and up to `IN + OUT` bytes of memory, which is touched
//! only when a request comes in pieces or a client does not take its response at once. `IN` is
//! split in two: half of it bounds a request's head, and the other half is what the loop's receive
//! buffer may bring at once ([`memory::Memory::RECEIVE_MAX`]). `Server<1024, 1024>` still serves
//! everything, with heads of up to 512 bytes.
//!
//! Nothing is read from a connection whose responses do not fit: its peer is held up by its own
//! window.

mod chunked;
pub(crate) mod connection;
pub(crate) mod date;
mod exchange;
mod fields;
pub(crate) mod head;
pub(crate) mod memory;
mod outgoing;
mod page;
pub(crate) mod pattern;
pub(crate) mod reply;
pub(crate) mod routes;
pub(crate) mod server;
pub(crate) mod service;
mod text;
