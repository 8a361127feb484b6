//! The program that hands an interface's frames to AF_XDP sockets: a map of sockets by queue, six
//! instructions, and what holds them on the interface (`bpf(2)`).

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::device::raw::{Attribute, bpf};

/// Commands (`enum bpf_cmd`).
const MAP_CREATE: usize = 0;
const MAP_UPDATE: usize = 2;
const PROGRAM_LOAD: usize = 5;
const LINK_CREATE: usize = 28;
/// `BPF_MAP_TYPE_XSKMAP`, `BPF_PROG_TYPE_XDP`, `BPF_XDP`.
const MAP_OF_SOCKETS: u32 = 17;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// `BPF_F_XDP_HAS_FRAGS`: frames may come in several parts.
const HAS_FRAGMENTS: u32 = 1 << 5;
/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE`.
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;
/// Most queues of a card.
pub(crate) const QUEUES_MAX: u32 = 64;

/// One instruction (`struct bpf_insn`).
const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> [u8; 8] {
    let registers = if cfg!(target_endian = "little") {
        to | from << 4
    } else {
        to << 4 | from
    };
    let [o0, o1] = offset.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    [code, registers, o0, o1, v0, v1, v2, v3]
}

/// What redirects a frame to the socket of its queue, and passes it on if there is none.
const fn program(map: i32) -> [[u8; 8]; 6] {
    [
        // r2 = ctx->rx_queue_index (`struct xdp_md`)
        instruction(0x61, 2, 1, 16, 0),
        // r1 = the map, a value of 64 bits in two instructions (`BPF_PSEUDO_MAP_FD`)
        instruction(0x18, 1, 1, 0, map),
        instruction(0, 0, 0, 0, 0),
        // r3 = XDP_PASS
        instruction(0xb7, 3, 0, 0, 2),
        // r0 = bpf_redirect_map(r1, r2, r3)
        instruction(0x85, 0, 0, 0, 51),
        // return r0
        instruction(0x95, 0, 0, 0, 0),
    ]
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

/// Makes the map of sockets.
pub(crate) fn make_map() -> Result<OwnedFd, Errno> {
    let mut attribute = Attribute::new();
    for (at, value) in [(0, MAP_OF_SOCKETS), (4, 4), (8, 4), (12, QUEUES_MAX)] {
        attribute.set(at, value);
    }
    attribute.open(MAP_CREATE)
}

/// Hands the frames of a queue to a socket, from now on.
pub(crate) fn set_socket(
    map: BorrowedFd<'_>,
    queue: u32,
    socket: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let (key, value) = (queue.to_ne_bytes(), number(socket).to_ne_bytes());
    let mut attribute = Attribute::new();
    attribute.set(0, number(map));
    attribute.set_bytes(8, &key);
    attribute.set_bytes(16, &value);
    bpf(MAP_UPDATE, &attribute).map(drop)
}

/// Loads the program that redirects by `map`.
pub(crate) fn load(map: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let instructions = program(map.as_raw_fd());
    let mut attribute = Attribute::new();
    for (at, value) in [
        (0, TYPE_XDP),
        (4, crate::number::count(instructions.len())),
        (44, HAS_FRAGMENTS),
        (68, ATTACH_XDP),
    ] {
        attribute.set(at, value);
    }
    attribute.set_bytes(8, instructions.as_flattened());
    // The program calls nothing that only the GPL may; MIT is a licence that the kernel knows.
    attribute.set_bytes(16, b"Dual MIT/GPL\0");
    attribute.open(PROGRAM_LOAD)
}

/// Puts the program on an interface for as long as what is returned, or a duplicate, is open.
pub(crate) fn attach(
    program: BorrowedFd<'_>,
    interface: u32,
    native: bool,
) -> Result<OwnedFd, Errno> {
    let mode = if native { NATIVE } else { GENERIC };
    let mut attribute = Attribute::new();
    for (at, value) in [
        (0, number(program)),
        (4, interface),
        (8, ATTACH_XDP),
        (12, mode),
    ] {
        attribute.set(at, value);
    }
    attribute.open(LINK_CREATE)
}
