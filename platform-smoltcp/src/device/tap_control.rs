//! The three calls that make a descriptor a TAP, and whether there is one. All of this crate's
//! `unsafe` is here.
#![expect(
    unsafe_code,
    reason = "rustix has no safe form of the TUN driver's calls"
)]

use core::ffi::c_int;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Numbers of the calls (`linux/if_tun.h`).
const SET_INTERFACE: Opcode = 0x4004_54ca;
const SET_OFFLOAD: Opcode = 0x4004_54d0;
const SET_HEADER_LEN: Opcode = 0x4004_54d8;
/// `struct ifreq`.
const REQUEST_LEN: usize = 40;
/// Longest name, without its end.
pub(crate) const NAME_MAX: usize = 15;
/// Ethernet frames, without the driver's own header, with or without virtio's.
const PLAIN: u16 = 0x0002 | 0x1000;
const VIRTIO: u16 = 0x4000;
/// One of several queues of the same TAP.
const MULTI_QUEUE: u16 = 0x0100;
/// Checksums, and segments of TCP over IPv4 and IPv6.
const OFFLOADS: usize = 1 | 2 | 4;

/// Returns true if there is a network device `name`, of whatever kind, in the namespace of the
/// calling thread.
pub(crate) fn exists(name: &str) -> Result<bool, Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let any = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    match netdevice::name_to_index(any, name) {
        Ok(_) => Ok(true),
        Err(Errno::NODEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Attaches to the TAP `name`, making it if the caller may.
pub(crate) fn attach(
    fd: BorrowedFd<'_>,
    name: &str,
    virtio: bool,
    one_of_several: bool,
) -> Result<(), Errno> {
    let mut request = [0_u8; REQUEST_LEN];
    let Some(place) = request
        .get_mut(..name.len())
        .filter(|_| name.len() <= NAME_MAX)
    else {
        return Err(Errno::NAMETOOLONG);
    };
    place.copy_from_slice(name.as_bytes());
    let virtio = if virtio { VIRTIO } else { 0 };
    let queues = if one_of_several { MULTI_QUEUE } else { 0 };
    let flags = PLAIN | virtio | queues;
    crate::number::put(&mut request, 16, flags.to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which is 40 bytes on every 64-bit
    // Linux and 32 on others, and `request` lives until the call returns.
    unsafe { ioctl(fd, Updater::<SET_INTERFACE, _>::new(&mut request)) }
}

/// Makes frames begin with a virtio header of `header_len` bytes, and lets the kernel give and
/// take frames whose checksum or segmentation is still to be done.
pub(crate) fn offload(fd: BorrowedFd<'_>, header_len: c_int) -> Result<(), Errno> {
    // SAFETY: TUNSETVNETHDRSZ reads one `int`.
    unsafe { ioctl(fd, Setter::<SET_HEADER_LEN, c_int>::new(header_len)) }?;
    // SAFETY: TUNSETOFFLOAD takes flags instead of a pointer.
    unsafe { ioctl(fd, IntegerSetter::<SET_OFFLOAD>::new_usize(OFFLOADS)) }
}
