//! The system's form of addresses, as programs give and get them.

use std::ffi::{c_int, c_void};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

#[cfg(unix)]
use libc as system;
#[cfg(windows)]
use windows as system;

/// Room for an address of any family.
pub(crate) type Storage = system::sockaddr_storage;

/// Makes the kernel's form of an address.
pub(crate) fn storage(addr: SocketAddr) -> Storage {
    // SAFETY: all zero bytes are an address of no family.
    let mut all: Storage = unsafe { mem::zeroed() };
    match addr {
        SocketAddr::V4(addr) => {
            // SAFETY: any of the kernel's forms fits.
            let place = unsafe { &mut *(&raw mut all).cast::<system::sockaddr_in>() };
            #[cfg(not(any(target_os = "linux", windows)))]
            {
                place.sin_len = size_of::<system::sockaddr_in>() as u8;
            }
            place.sin_family = system::AF_INET as system::sa_family_t;
            place.sin_port = addr.port().to_be();
            place.sin_addr.s_addr = u32::from_ne_bytes(addr.ip().octets());
        }
        SocketAddr::V6(addr) => {
            // SAFETY: any of the kernel's forms fits.
            let place = unsafe { &mut *(&raw mut all).cast::<system::sockaddr_in6>() };
            #[cfg(not(any(target_os = "linux", windows)))]
            {
                place.sin6_len = size_of::<system::sockaddr_in6>() as u8;
            }
            place.sin6_family = system::AF_INET6 as system::sa_family_t;
            place.sin6_port = addr.port().to_be();
            place.sin6_flowinfo = addr.flowinfo().to_be();
            place.sin6_addr.s6_addr = addr.ip().octets();
            place.sin6_scope_id = addr.scope_id();
        }
    }
    all
}

/// Reads the kernel's form of an address, of which as many bytes are there as its family has.
///
/// # Safety
/// They are.
pub(crate) unsafe fn address(at: *const c_void) -> Option<SocketAddr> {
    // SAFETY: the caller's promise; every form has its family where this one has.
    unsafe {
        let family = &raw const (*at.cast::<system::sockaddr>()).sa_family;
        match c_int::from(family.read_unaligned()) {
            system::AF_INET => {
                let place = at.cast::<system::sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(place.sin_addr.s_addr.to_ne_bytes());
                let port = u16::from_be(place.sin_port);
                Some(SocketAddrV4::new(ip, port).into())
            }
            system::AF_INET6 => {
                let place = at.cast::<system::sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(place.sin6_addr.s6_addr);
                let (port, flow) = (u16::from_be(place.sin6_port), place.sin6_flowinfo);
                let flow = u32::from_be(flow);
                Some(SocketAddrV6::new(ip, port, flow, place.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// As `winsock2.h` and `ws2tcpip.h` have it, without their unions.
#[cfg(windows)]
mod windows {
    use std::ffi::c_int;

    pub(super) type sa_family_t = u16;
    pub(super) const AF_INET: c_int = 2;
    pub(super) const AF_INET6: c_int = 23;

    #[repr(C)]
    pub(super) struct sockaddr {
        pub(super) sa_family: sa_family_t,
        rest: [u8; 14],
    }

    #[repr(C)]
    pub(super) struct in_addr {
        pub(super) s_addr: u32,
    }

    #[repr(C)]
    pub(super) struct sockaddr_in {
        pub(super) sin_family: sa_family_t,
        pub(super) sin_port: u16,
        pub(super) sin_addr: in_addr,
        rest: [u8; 8],
    }

    #[repr(C)]
    pub(super) struct in6_addr {
        pub(super) s6_addr: [u8; 16],
    }

    #[repr(C)]
    pub(super) struct sockaddr_in6 {
        pub(super) sin6_family: sa_family_t,
        pub(super) sin6_port: u16,
        pub(super) sin6_flowinfo: u32,
        pub(super) sin6_addr: in6_addr,
        pub(super) sin6_scope_id: u32,
    }

    #[derive(Clone, Copy)]
    #[repr(C, align(8))]
    pub(crate) struct sockaddr_storage {
        rest: [u8; 128],
    }
}
