//! The engine: one connection, records in and records out, without a transport.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `event` | what a record meant to the caller |
//! | `state` | the connection, and which message comes next |
//! | `receive` | how a record becomes messages, and messages steps |
//! | `unit` | how much has to come before memory is leased for it |
//! | `traffic` | after the handshake: data, alerts, new keys |
//!
//! May import everything but [`layer`](crate::tls::layer) and `embedded`.

pub(crate) mod event;
pub(crate) mod receive;
pub(crate) mod state;
pub(crate) mod traffic;
pub(crate) mod unit;
