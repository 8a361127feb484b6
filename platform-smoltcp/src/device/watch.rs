//! News of interfaces from the kernel (`rtnetlink(7)`), for devices that hear of none otherwise.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name_inlined, name_to_index};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::number::chunk;

/// `RTMGRP_LINK`.
const LINKS: u32 = 1;
/// `IFF_RUNNING`: it is up, and its other end as well.
const RUNNING: u32 = 0x40;
/// Most messages that one look reads.
const MESSAGES_MAX: usize = 256;

/// What an interface is at present.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkState {
    Up,
    Down,
    Gone,
}

/// A socket that tells what happens to one interface.
pub(crate) struct LinkWatch {
    fd: OwnedFd,
    interface: u32,
}

impl LinkWatch {
    /// Watches the interface `name`.
    pub(crate) fn open(name: &str) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&fd, &SocketAddrNetlink::new(0, LINKS))?;
        let interface = name_to_index(&fd, name)?;
        Ok(Self { fd, interface })
    }

    /// Returns the number of the interface.
    pub(crate) const fn interface(&self) -> u32 {
        self.interface
    }

    /// Returns what the latest news say of the interface; `None` if there are none.
    pub(crate) fn news(&self) -> Option<LinkState> {
        let mut state = None;
        for _ in 0..MESSAGES_MAX {
            // The header, and what of an interface's message is of interest.
            let mut message = [0_u8; 32];
            match recv(&self.fd, &mut message[..], RecvFlags::empty()) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                // Some news were lost: what was said of ours, nobody knows.
                Err(Errno::NOBUFS) => {
                    state = Some(LinkState::Up);
                    continue;
                }
                Err(_) => break,
            }
            // `struct nlmsghdr`, then `struct ifinfomsg`.
            let word = |at| chunk(&message, at).map(|bytes| u32::from_ne_bytes(*bytes));
            if word(20) == Some(self.interface) {
                let running = word(24).unwrap_or(0) & RUNNING != 0;
                state = Some(if running {
                    LinkState::Up
                } else {
                    LinkState::Down
                });
            }
        }
        let gone = state.is_some() && index_to_name_inlined(&self.fd, self.interface).is_err();
        if gone { Some(LinkState::Gone) } else { state }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
