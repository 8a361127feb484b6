//! A socket as a poll: its descriptor, and pausing.

use std::ffi::{c_int, c_void};

use usockets::SocketId;

use crate::handles::{Descriptor, Flags, LoopRef, NO_DESCRIPTOR, SocketRef, us_listen_socket_t};

/// `LIBUS_SOCKET_READABLE`.
const READABLE: c_int = 1;
/// `LIBUS_SOCKET_WRITABLE`.
const WRITABLE: c_int = 4;

/// Returns the descriptor; -1 if the socket is closed, or there is none in the kernel.
pub(crate) fn descriptor(block: SocketRef) -> Descriptor {
    if block.any(Flags::LISTEN) {
        return block.cast::<us_listen_socket_t>().fd.get();
    }
    match block.id() {
        Some(id) if !block.any(Flags::CLOSED) => descriptor_of(block.lp(), id),
        _ => NO_DESCRIPTOR,
    }
}

/// Returns the descriptor of a connection or listener, or -1.
pub(crate) fn descriptor_of(lp: LoopRef, id: SocketId) -> Descriptor {
    let fd = lp.with(|net| {
        net.platform_socket(id)
            .map(|(_, socket)| crate::raw(socket))
    });
    fd.unwrap_or(NO_DESCRIPTOR)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_poll_events(block: SocketRef) -> c_int {
    let readable = if block.any(Flags::PAUSED) {
        0
    } else {
        READABLE
    };
    let is_open = !block.any(Flags::CLOSED.with(Flags::LISTEN));
    let is_blocked = match block.id() {
        Some(id) if is_open => block.lp().with(|net| net.is_blocked(id)),
        _ => false,
    };
    let is_writable = is_blocked || block.any(Flags::SHORT);
    readable | if is_writable { WRITABLE } else { 0 }
}

/// Pauses or resumes reading. When to report room is known without being told.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_poll_change(block: SocketRef, lp: LoopRef, events: c_int) {
    let (false, Some(id)) = (block.any(Flags::CLOSED.with(Flags::LISTEN)), block.id()) else {
        return;
    };
    if events & READABLE == 0 {
        block.set(Flags::PAUSED);
        lp.with(|net| net.pause(id));
    } else {
        block.clear(Flags::PAUSED);
        lp.with(|net| net.resume(id));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_poll_fd(block: SocketRef) -> Descriptor {
    descriptor(block)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_poll_ext(block: SocketRef) -> *mut c_void {
    block.ext()
}
