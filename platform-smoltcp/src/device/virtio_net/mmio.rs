//! virtio over memory-mapped registers (virtio 1.2, section 4.2), as on the `microvm` and `virt`
//! machines of QEMU, Firecracker and others.
#![expect(unsafe_code, reason = "registers are at addresses")]

use core::ptr::NonNull;

use crate::device::virtio_net::transport::VirtioTransport;
use crate::number::{high, low};

/// "virt", version 2, and the type of a network card.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
const NETWORK: u32 = 1;

/// Words of the registers before the configuration.
const WORDS: usize = 64;
/// Where the configuration is.
const CONFIG: usize = 0x100;
/// Bytes of a network card's configuration that there are at least.
const CONFIG_LEN: usize = 12;

/// The registers, by their place in words (table 4.1).
#[derive(Clone, Copy)]
enum Register {
    Magic = 0,
    Version = 1,
    Kind = 2,
    DeviceFeatures = 4,
    DeviceFeaturesChoice = 5,
    DriverFeatures = 8,
    DriverFeaturesChoice = 9,
    QueueChoice = 12,
    QueueLenMax = 13,
    QueueLen = 14,
    QueueReady = 17,
    QueueNotify = 20,
    InterruptStatus = 24,
    InterruptTaken = 25,
    Status = 28,
    QueueDescriptors = 32,
    QueueAvailable = 36,
    QueueUsed = 40,
}

/// The registers of a virtio network card in memory.
#[derive(Debug)]
pub struct VirtioMmio {
    base: NonNull<u32>,
}

// SAFETY: the registers are nobody else's, whatever the thread.
unsafe impl Send for VirtioMmio {}

impl VirtioMmio {
    /// Takes the registers at an address; `None` if they are not those of a network card of
    /// virtio 1.0 or later. QEMU makes older ones unless it is told
    /// `-global virtio-mmio.force-legacy=false`.
    ///
    /// # Safety
    /// `base` is aligned to four bytes, the 512 bytes there are the registers of a virtio device,
    /// or of none, as long as this is, and nobody else uses them. The device finds memory where
    /// the processor does.
    #[must_use]
    pub unsafe fn new(base: NonNull<u32>) -> Option<Self> {
        let this = Self { base };
        let is_card = this.read(Register::Magic) == MAGIC
            && this.read(Register::Version) == VERSION
            && this.read(Register::Kind) == NETWORK;
        is_card.then_some(this)
    }

    fn place(&self, register: Register, further: usize) -> *mut u32 {
        #[expect(clippy::as_conversions, reason = "the enum's numbers are places")]
        let word = (register as usize).saturating_add(further).min(WORDS);
        // SAFETY: within the registers, of which the caller of `new` has spoken.
        unsafe { self.base.as_ptr().add(word) }
    }

    fn read(&self, register: Register) -> u32 {
        // SAFETY: a register that is there, as the caller of `new` says.
        u32::from_le(unsafe { self.place(register, 0).read_volatile() })
    }

    fn write(&mut self, register: Register, further: usize, value: u32) {
        // SAFETY: as in `read`; what is written is what the specification has there.
        unsafe { self.place(register, further).write_volatile(value.to_le()) };
    }
}

impl VirtioTransport for VirtioMmio {
    fn features(&mut self) -> u64 {
        let half = |this: &mut Self, choice| {
            this.write(Register::DeviceFeaturesChoice, 0, choice);
            u64::from(this.read(Register::DeviceFeatures))
        };
        half(self, 0) | half(self, 1) << 32
    }

    fn set_features(&mut self, features: u64) {
        for (choice, half) in [(0, low(features)), (1, high(features))] {
            self.write(Register::DriverFeaturesChoice, 0, choice);
            self.write(Register::DriverFeatures, 0, half);
        }
    }

    fn status(&mut self) -> u8 {
        let [status, ..] = self.read(Register::Status).to_le_bytes();
        status
    }

    fn set_status(&mut self, status: u8) {
        self.write(Register::Status, 0, status.into());
    }

    fn queue_len_max(&mut self, queue: u16) -> u16 {
        self.write(Register::QueueChoice, 0, queue.into());
        u16::try_from(self.read(Register::QueueLenMax)).unwrap_or(u16::MAX)
    }

    fn set_queue(&mut self, queue: u16, len: u16, addresses: [u64; 3]) {
        self.write(Register::QueueChoice, 0, queue.into());
        self.write(Register::QueueLen, 0, len.into());
        let [descriptors, available, used] = addresses;
        for (register, address) in [
            (Register::QueueDescriptors, descriptors),
            (Register::QueueAvailable, available),
            (Register::QueueUsed, used),
        ] {
            self.write(register, 0, low(address));
            self.write(register, 1, high(address));
        }
        self.write(Register::QueueReady, 0, 1);
    }

    fn notify(&mut self, queue: u16) {
        self.write(Register::QueueNotify, 0, queue.into());
    }

    fn config(&mut self, at: usize) -> u8 {
        let at = CONFIG.saturating_add(at.min(CONFIG_LEN.saturating_sub(1)));
        // SAFETY: within the registers, as in `read`; the configuration is read in bytes.
        unsafe { self.base.as_ptr().cast::<u8>().add(at).read_volatile() }
    }

    fn take_interrupt(&mut self) -> u32 {
        let said = self.read(Register::InterruptStatus);
        if said != 0 {
            self.write(Register::InterruptTaken, 0, said);
        }
        said
    }
}
