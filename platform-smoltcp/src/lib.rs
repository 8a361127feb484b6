//! A user-space TCP stack for usockets: smoltcp's state machine over any packet device.
#![no_std]

mod accept;
mod checksum;
mod close;
mod config;
mod connect;
mod cookie;
mod counters;
mod device;
mod egress;
mod engine;
mod frame;
mod hash;
mod ingress;
mod isn;
mod list;
mod listener;
mod neighbour;
mod number;
mod pcap;
#[cfg(feature = "phy")]
mod phy;
mod port;
mod random;
mod resolve;
mod route;
mod sent;
mod slab;
mod slot;
mod stack;
mod table;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod tap;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod tap_control;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod virtio;
mod wheel;
mod wire;

pub use config::{CLASSES_MAX, Config, Limits, Memory, RECV_MAX, SizeClass};
pub use counters::Counters;
pub use device::{Capabilities, Medium, PollDevice};
pub use hash::Secret;
pub use listener::Listener;
pub use neighbour::Neighbour;
pub use pcap::Pcap;
#[cfg(feature = "phy")]
pub use phy::{FromPhy, Received, Room, ToPhy};
pub use random::Random;
pub use route::{ADDRESSES_MAX, Address};
pub use slot::Slot;
pub use stack::{FRAMES_MAX, Socket, Stack};
#[cfg(all(feature = "tap", target_os = "linux"))]
pub use tap::Tap;
pub use wire::{End, Faults, Flight, Wire};

/// smoltcp's part of one slot, lent by the caller as `SocketStorage::EMPTY`.
pub use smoltcp::iface::SocketStorage;
