//! virtio over PCI (virtio 1.2, section 4.1), as on the `q35` machine of QEMU and in most clouds:
//! where a card's registers are, its list of capabilities says.
#![expect(unsafe_code, reason = "registers are at addresses")]

use core::ptr::{NonNull, with_exposed_provenance_mut};

use crate::device::virtio_net::transport::VirtioTransport;
use crate::number::{high, low};

/// A PCI function's configuration space (PCI Local Bus 3.0, section 6.1): 4 KiB of memory on PCI
/// Express (ECAM), two ports of a PC before.
pub trait PciConfig {
    /// Returns the word at `at`, a multiple of four below 256.
    fn read(&mut self, at: u8) -> u32;

    /// Sets the word at `at`, a multiple of four below 256.
    fn write(&mut self, at: u8, value: u32);
}

/// Vendor and type of a network card: of virtio 1.0, and one that serves older drivers too.
const CARD: u32 = 0x1041_1af4;
const CARD_WITH_PAST: u32 = 0x1000_1af4;
/// Where the configuration space has what.
const NAME_AT: u8 = 0;
const COMMAND_AT: u8 = 4;
const BARS_AT: u8 = 0x10;
const BARS: u8 = 6;
const LIST_AT: u8 = 0x34;
/// It answers at its addresses in memory, and reads and writes memory itself; in the upper half, it
/// has a list of capabilities.
const COMMAND: u32 = 0b110;
const HAS_LIST: u32 = 1 << 20;
/// Most capabilities of 256 bytes.
const CAPABILITIES_MAX: usize = 48;
/// A capability that the vendor has defined.
const OF_VENDOR: u8 = 9;
/// Kinds of what virtio has there (`cfg_type`), and the bytes of each that are used here.
const COMMON: u8 = 1;
const COMMON_LEN: u32 = 0x38;
const NOTIFY: u8 = 2;
const DOOR_LEN: u32 = 2;
const INTERRUPT: u8 = 3;
const INTERRUPT_LEN: u32 = 1;
const DEVICE: u8 = 4;
const DEVICE_LEN: u32 = 12;

/// Registers of all virtio devices, by their place in bytes (`struct virtio_pci_common_cfg`).
const DEVICE_FEATURES_CHOICE: usize = 0;
const DEVICE_FEATURES: usize = 4;
const DRIVER_FEATURES_CHOICE: usize = 8;
const DRIVER_FEATURES: usize = 12;
const STATUS: usize = 20;
const QUEUE_CHOICE: usize = 22;
const QUEUE_LEN: usize = 24;
const QUEUE_READY: usize = 28;
const QUEUE_DOOR: usize = 30;
const QUEUE_DESCRIPTORS: usize = 32;
const QUEUE_AVAILABLE: usize = 40;
const QUEUE_USED: usize = 48;

/// Some registers in memory.
#[derive(Clone, Copy, Debug)]
struct Registers {
    base: NonNull<u8>,
    len: u32,
}

/// A number that registers have, little-endian on the bus.
trait Number: Copy {
    fn swap(self) -> Self;
}

impl Number for u8 {
    fn swap(self) -> Self {
        self
    }
}

impl Number for u16 {
    fn swap(self) -> Self {
        self.to_le()
    }
}

impl Number for u32 {
    fn swap(self) -> Self {
        self.to_le()
    }
}

impl Registers {
    /// Returns where a register is; `None` if there is none that lies there as it should.
    fn place<T: Number>(&self, at: usize) -> Option<*mut T> {
        let end = at.checked_add(size_of::<T>())?;
        let fits = u32::try_from(end).is_ok_and(|end| end <= self.len);
        if !fits || !at.is_multiple_of(size_of::<T>()) {
            return None;
        }
        // SAFETY: within the registers, of which the caller of `VirtioPci::new` has spoken.
        Some(unsafe { self.base.as_ptr().add(at) }.cast())
    }

    fn read<T: Number + Default>(&self, at: usize) -> T {
        let place = self.place::<T>(at);
        // SAFETY: a register that is there, as aligned as it has to be, since the base is aligned
        // to four bytes: `VirtioPci::find` has made sure.
        place.map_or_else(T::default, |place| unsafe { place.read_volatile() }.swap())
    }

    fn write<T: Number>(&mut self, at: usize, value: T) {
        if let Some(place) = self.place::<T>(at) {
            // SAFETY: as in `read`; what is written is what the specification has there.
            unsafe { place.write_volatile(value.swap()) };
        }
    }
}

/// The registers of a virtio network card on a PCI bus.
#[derive(Debug)]
pub struct VirtioPci {
    common: Registers,
    notify: Registers,
    interrupt: Registers,
    device: Registers,
    /// Bytes between the doorbells of queues, and where those of both are.
    door_step: u32,
    doors: [usize; 2],
}

// SAFETY: the registers are nobody else's, whatever the thread.
unsafe impl Send for VirtioPci {}

impl VirtioPci {
    /// Takes the registers of a PCI function, and has it answer and reach memory; `None` if it is
    /// no network card of virtio 1.0 or later, or has registers without an address, as before
    /// firmware has given it one.
    ///
    /// It interrupts by its pin (INTx): MSI-X is left as it is, which is off after a reset.
    ///
    /// # Safety
    /// `config` is the configuration space of one function, which nobody else uses as long as this
    /// is. What its base address registers say is where the processor finds its memory, past the
    /// caches. The device finds memory where the processor does.
    #[must_use]
    pub unsafe fn new(config: &mut impl PciConfig) -> Option<Self> {
        let name = config.read(NAME_AT);
        let command = config.read(COMMAND_AT);
        if (name != CARD && name != CARD_WITH_PAST) || command & HAS_LIST == 0 {
            return None;
        }
        let (common, _) = Self::find(config, COMMON, COMMON_LEN)?;
        let (notify, at) = Self::find(config, NOTIFY, DOOR_LEN)?;
        let this = Self {
            common,
            notify,
            interrupt: Self::find(config, INTERRUPT, INTERRUPT_LEN)?.0,
            device: Self::find(config, DEVICE, DEVICE_LEN)?.0,
            door_step: config.read(at.checked_add(16)?),
            doors: [0; 2],
        };
        // The upper half has bits that are cleared by writing them.
        config.write(COMMAND_AT, command & 0xffff | COMMAND);
        Some(this)
    }

    /// Finds the first registers of a kind that have `len` bytes at least, and where their
    /// capability is (`struct virtio_pci_cap`).
    fn find(config: &mut impl PciConfig, kind: u8, len: u32) -> Option<(Registers, u8)> {
        let [mut at, ..] = config.read(LIST_AT).to_le_bytes();
        for _ in 0..CAPABILITIES_MAX {
            // Where the list ends; the lower two bits mean nothing.
            at &= !3;
            if at < 0x40 {
                return None;
            }
            let [capability, next, _, found] = config.read(at).to_le_bytes();
            let [bar, ..] = config.read(at.checked_add(4)?).to_le_bytes();
            if capability == OF_VENDOR && found == kind && bar < BARS {
                let offset = config.read(at.checked_add(8)?);
                let said = config.read(at.checked_add(12)?);
                if said >= len {
                    return Some((Self::registers(config, bar, offset, said)?, at));
                }
            }
            at = next;
        }
        None
    }

    /// Returns the registers that are `offset` behind what a base address register says.
    fn registers(config: &mut impl PciConfig, bar: u8, offset: u32, len: u32) -> Option<Registers> {
        let at = BARS_AT.checked_add(bar.checked_mul(4)?)?;
        let said = config.read(at);
        // In memory, in 64 bits or in 32.
        let upper = match said & 0b111 {
            0b000 => 0,
            0b100 if bar < BARS.saturating_sub(1) => config.read(at.checked_add(4)?),
            _ => return None,
        };
        let base = u64::from(said & !0xf) | u64::from(upper) << 32;
        if base == 0 || !offset.is_multiple_of(4) {
            return None;
        }
        let start = base.checked_add(offset.into())?;
        let end = usize::try_from(start.checked_add(len.into())?);
        end.ok()?;
        let address = usize::try_from(start).ok()?;
        let base = NonNull::new(with_exposed_provenance_mut(address))?;
        Some(Registers { base, len })
    }
}

impl VirtioTransport for VirtioPci {
    fn features(&mut self) -> u64 {
        let half = |this: &mut Self, choice: u32| {
            this.common.write(DEVICE_FEATURES_CHOICE, choice);
            u64::from(this.common.read::<u32>(DEVICE_FEATURES))
        };
        half(self, 0) | half(self, 1) << 32
    }

    fn set_features(&mut self, features: u64) {
        for (choice, half) in [(0_u32, low(features)), (1, high(features))] {
            self.common.write(DRIVER_FEATURES_CHOICE, choice);
            self.common.write(DRIVER_FEATURES, half);
        }
    }

    fn status(&mut self) -> u8 {
        self.common.read(STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.common.write(STATUS, status);
    }

    fn queue_len_max(&mut self, queue: u16) -> u16 {
        self.common.write(QUEUE_CHOICE, queue);
        self.common.read(QUEUE_LEN)
    }

    fn set_queue(&mut self, queue: u16, len: u16, addresses: [u64; 3]) {
        self.common.write(QUEUE_CHOICE, queue);
        self.common.write(QUEUE_LEN, len);
        let [descriptors, available, used] = addresses;
        for (register, address) in [
            (QUEUE_DESCRIPTORS, descriptors),
            (QUEUE_AVAILABLE, available),
            (QUEUE_USED, used),
        ] {
            self.common.write(register, low(address));
            self.common.write(register.saturating_add(4), high(address));
        }
        let door = u32::from(self.common.read::<u16>(QUEUE_DOOR)).saturating_mul(self.door_step);
        if let Some(place) = self.doors.get_mut(usize::from(queue)) {
            *place = usize::try_from(door).unwrap_or(usize::MAX);
        }
        self.common.write(QUEUE_READY, 1_u16);
    }

    fn notify(&mut self, queue: u16) {
        if let Some(door) = self.doors.get(usize::from(queue)) {
            self.notify.write(*door, queue);
        }
    }

    fn config(&mut self, at: usize) -> u8 {
        self.device.read(at)
    }

    fn take_interrupt(&mut self) -> u32 {
        // To read it clears it.
        self.interrupt.read::<u8>(0).into()
    }
}
