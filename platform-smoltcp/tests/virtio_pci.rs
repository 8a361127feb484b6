//! A virtio network card on a PCI bus in software: where its registers are found, and what of a
//! configuration space is refused.
#![expect(
    unsafe_code,
    reason = "the registers are used by address, as those of a card"
)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a test may panic, and its numbers are small"
)]

use std::sync::atomic::{AtomicU8, Ordering};

use usockets_smoltcp::{PciConfig, Random, VirtioPci, VirtioTransport};

/// What virtio 1.2 says, section 4.1: kinds of registers, and where in the common ones is what.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const INTERRUPT: u8 = 3;
const DEVICE: u8 = 4;
const STATUS: usize = 20;
const QUEUE_LEN: usize = 24;
const QUEUE_DOOR: usize = 30;

/// Where the card here has them, and their lengths.
const PLACES: [(u8, u32, u32); 4] = [
    (COMMON, 0x100, 0x38),
    (NOTIFY, 0x200, 16),
    (INTERRUPT, 0x300, 1),
    (DEVICE, 0x400, 12),
];
const BAR: u8 = 4;
const REGISTERS_LEN: usize = 0x800;

/// Memory that stands for the card's.
#[repr(C, align(4096))]
struct Memory([AtomicU8; REGISTERS_LEN]);

impl Memory {
    fn new() -> &'static Self {
        Box::leak(Box::new(Self([const { AtomicU8::new(0) }; REGISTERS_LEN])))
    }

    fn set(&self, at: usize, bytes: &[u8]) {
        for (to, byte) in self.0[at..].iter().zip(bytes) {
            to.store(*byte, Ordering::Relaxed);
        }
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.0[at + index].load(Ordering::Relaxed))
    }
}

/// A configuration space.
#[derive(Clone)]
struct Space([u32; 64]);

impl PciConfig for Space {
    fn read(&mut self, at: u8) -> u32 {
        assert_eq!(at % 4, 0);
        self.0[usize::from(at / 4)]
    }

    fn write(&mut self, at: u8, value: u32) {
        assert_eq!(at % 4, 0);
        self.0[usize::from(at / 4)] = value;
    }
}

impl Space {
    /// That of a sound card whose registers are in `memory`.
    fn new(memory: &'static Memory) -> Self {
        let mut space = Self([0; 64]);
        space.0[0] = 0x1041_1af4;
        space.0[1] = 0x0010_0001;
        space.0[13] = 0x40;
        let address = std::ptr::from_ref(memory).expose_provenance() as u64;
        let [low, high] = [address & 0xffff_ffff, address >> 32].map(|half| half as u32);
        space.0[4 + usize::from(BAR)] = low | 0b1100;
        space.0[5 + usize::from(BAR)] = high;
        // Before them, one of another kind.
        space.0[16] = u32::from_le_bytes([5, 0x50, 0, 0]);
        for (index, (kind, offset, len)) in PLACES.into_iter().enumerate() {
            let at = 20 + index * 5;
            let next = if index == 3 { 0 } else { (at as u8 + 5) * 4 };
            space.0[at] = u32::from_le_bytes([9, next, 20, kind]);
            space.0[at + 1] = BAR.into();
            space.0[at + 2] = offset;
            space.0[at + 3] = len;
            space.0[at + 4] = 4;
        }
        space
    }

    fn card(&mut self) -> Option<VirtioPci> {
        // SAFETY: a configuration space of the test's, whose registers are not used unless they
        // are in the test's memory, which lives for ever.
        unsafe { VirtioPci::new(self) }
    }

    /// Whether a space that differs from a sound one is refused.
    fn is_refused(change: impl FnOnce(&mut [u32; 64])) -> bool {
        let mut space = Self::new(Memory::new());
        change(&mut space.0);
        space.card().is_none()
    }
}

#[test]
fn registers_are_used_where_the_list_says_that_they_are() {
    let memory = Memory::new();
    let mut space = Space::new(memory);
    let mut card = space.card().unwrap();
    assert_eq!(space.0[1], 0b111, "it may use memory; nothing is cleared");
    let common = 0x100;
    memory.set(common + 4, &[1, 2, 3, 4]);
    assert_eq!(card.features(), 0x0403_0201_0403_0201);
    assert_eq!(memory.get(common), [1, 0, 0, 0], "the upper half");
    card.set_features(5 << 32 | 6);
    assert_eq!(memory.get(common + 8), [1, 0, 0, 0, 5, 0, 0, 0]);
    memory.set(common + QUEUE_LEN, &[0, 1]);
    assert_eq!(card.queue_len_max(1), 256);
    assert_eq!(memory.get(common + QUEUE_LEN - 2), [1, 0]);
    card.set_status(15);
    assert_eq!(memory.get(common + STATUS), [15, 0]);
    assert_eq!(card.status(), 15);
    memory.set(common + QUEUE_DOOR, &[3, 0]);
    card.set_queue(1, 64, [0x1_0000_0002, 3, 4]);
    assert_eq!(memory.get(common + QUEUE_LEN), [64, 0, 0, 0, 1, 0]);
    let addresses = [2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4];
    assert_eq!(memory.get(common + 32), addresses);
    card.notify(1);
    assert_eq!(memory.get(0x200 + 3 * 4), [1, 0]);
    // One that there is no door for.
    memory.set(common + QUEUE_DOOR, &[4, 0]);
    card.set_queue(1, 64, [0; 3]);
    card.notify(1);
    assert_eq!(memory.get(0x200 + 4 * 4), [0, 0]);
    memory.set(0x300, &[2]);
    assert_eq!(card.take_interrupt(), 2);
    memory.set(0x400, &[1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((card.config(6), card.config(12)), (7, 0));
}

/// One that serves older drivers as well is a card too, and so is one with registers in 32 bits of
/// address.
#[test]
fn cards_of_both_names_and_widths_will_do() {
    assert!(!Space::is_refused(|space| space[0] = 0x1000_1af4));
    assert!(!Space::is_refused(|space| {
        space[4 + usize::from(BAR)] = 0xfe00_0000;
        space[5 + usize::from(BAR)] = 0x77;
    }));
}

#[test]
fn what_is_no_card_or_cannot_be_is_refused() {
    let bar = 4 + usize::from(BAR);
    type Change = fn(&mut [u32; 64]);
    let refused: [(&str, Change); 13] = [
        ("another vendor's", |space| space[0] = 0x1041_8086),
        ("another device", |space| space[0] = 0x1042_1af4),
        ("nothing there", |space| *space = [u32::MAX; 64]),
        ("no list", |space| space[1] = 0),
        ("an empty list", |space| space[13] = 0),
        ("a list in the header", |space| space[13] = 0x10),
        ("a list that goes round", |space| {
            space[16] = u32::from_le_bytes([5, 0x40, 0, 0]);
        }),
        ("a list that ends early", |space| space[20] &= 0xffff_00ff),
        ("registers of no kind", |space| {
            (20..40).step_by(5).for_each(|at| space[at] &= 0x00ff_ffff);
        }),
        ("too few", |space| space[23] = 0x37),
        ("in no place of the six", |space| space[21] = 6),
        ("in a place that is half of none", |space| {
            space[9] = 0b100;
            space[21] = 5;
        }),
        ("askew", |space| space[22] = 0x102),
    ];
    for (what, change) in refused {
        assert!(Space::is_refused(change), "{what}");
    }
    assert!(Space::is_refused(|space| space[bar] |= 1), "ports");
    assert!(
        Space::is_refused(|space| (space[bar], space[bar + 1]) = (0b100, 0)),
        "no address yet"
    );
    assert!(
        Space::is_refused(
            |space| (space[bar], space[bar + 1]) = (0xffff_fff0 & !0b11 | 0b100, u32::MAX)
        ),
        "past the end of memory"
    );
}

/// Whatever it says, a space ends the search. `SEED` chooses the first run.
#[test]
fn a_space_that_says_anything_is_survived() {
    let first = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SEED={first}");
    let memory = Memory::new();
    let mut random = Random::new(first);
    for _ in 0..20_000 {
        let mut space = Space::new(memory);
        for _ in 0..random.below(8) {
            let at = random.below(64) as usize;
            let value = random.next() as u32;
            space.0[at] = match random.below(3) {
                0 => value,
                1 => space.0[at] ^ 1 << random.below(32),
                _ => space.0[at] & value,
            };
        }
        let _ = space.card();
    }
}
