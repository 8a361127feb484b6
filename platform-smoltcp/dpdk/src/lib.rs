//! A queue of a DPDK port as the device of [`usockets_smoltcp`]'s TCP stack.
//!
//! [`Eal`] starts DPDK, once per process; a [`Pool`] is memory for frames; a [`Port`] is a card, or
//! what stands for one; and a [`Dpdk`] is one of its queues, on which a
//! [`Stack`](usockets_smoltcp::Stack) runs.
//!
//! ```no_run
//! use usockets_dpdk::{DpdkError, Eal, Pool, Port, PortOptions};
//!
//! let eal = Eal::start(&["server", "-l", "0", "--no-huge", "-m", "256", "--vdev=net_tap0"])?;
//! let pool = Pool::new(&eal, 4_096, Pool::ROOM)?;
//! let port = Port::open(&eal, "net_tap0", &[&pool], &PortOptions::DEFAULT)?;
//! let device = port.device(0)?; // For `Stack::new`, with `port.mac()` in its configuration.
//! # drop(device);
//! # Ok::<(), DpdkError>(())
//! ```
//!
//! Read the modules in this order: `error`, `eal`, `pool` and `options` for what a program makes;
//! `port`, with `gate`, by which it is stopped while devices use it, and `control`, by which ports
//! are opened one at a time; `device`, and `frames`, out of which it lends. `ffi` has the functions
//! of `shim.c`, which are DPDK's inline ones.
//!
//! # What is promised
//!
//! Nothing is allocated here, at any time. DPDK allocates for itself, when it starts and when pools
//! and ports are made, and its drivers may do so whenever they like; it also has threads of its
//! own. The stack's promises end where DPDK begins.
#![no_std]

mod control;
mod device;
mod eal;
mod error;
mod ffi;
mod frames;
mod gate;
mod options;
mod pool;
mod port;

pub use device::{Dpdk, WakeFlag};
pub use eal::Eal;
pub use error::DpdkError;
pub use options::{Idle, PortOptions};
pub use pool::Pool;
pub use port::{Port, PortStatistics};
