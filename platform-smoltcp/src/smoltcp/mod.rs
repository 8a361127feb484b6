//! The stack over smoltcp's TCP sockets.
//!
//! [`stack`] is the platform that a loop calls, [`engine`] its state without the device. A frame
//! comes in through [`ingress`] and goes out through [`egress`]; [`accept`], [`connect`] and
//! [`close`] are what owners and peers do to connections. [`slab`], [`list`], [`table`] and
//! [`wheel`] hold the slots; [`recovery`], [`loss`], [`congestion`] and [`sent`] do what smoltcp's
//! sockets do not.

pub(crate) mod accept;
pub(crate) mod clock;
pub(crate) mod close;
pub(crate) mod congestion;
pub(crate) mod connect;
pub(crate) mod cookie;
pub(crate) mod egress;
pub(crate) mod engine;
pub(crate) mod frame;
pub(crate) mod ingress;
pub(crate) mod isn;
pub(crate) mod list;
pub(crate) mod listener;
pub(crate) mod loss;
pub(crate) mod port;
pub(crate) mod recovery;
pub(crate) mod sent;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod stack;
pub(crate) mod table;
pub(crate) mod wheel;
