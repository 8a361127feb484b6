//! Where the network card's registers are.

#[cfg(not(feature = "pci"))]
mod mmio;
#[cfg(feature = "pci")]
mod pci;

#[cfg(not(feature = "pci"))]
pub(crate) use mmio::{Registers, find};
#[cfg(feature = "pci")]
pub(crate) use pci::{Registers, find};
