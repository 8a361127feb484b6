//! `on_pre_open`: the program is asked about a connection that was just accepted.

use std::ffi::c_int;

use usockets::Address;

use crate::calls::ip_bytes;
use crate::handles::ListenRef;

/// Connections running that a program takes over by `on_pre_open` before others get their turn.
pub(crate) const TAKEN_MAX: u32 = 64;

/// Asks the program whether it leaves an accepted connection, of this descriptor, to the library.
/// If it throws instead, the core resets the connection in the next iteration.
pub(crate) fn leaves(listener: ListenRef, fd: c_int, peer: Address) -> bool {
    let context = listener.socket.context.get();
    let Some(callback) = context.on_pre_open.get() else {
        return true;
    };
    let mut ip = [0; 16];
    let length = peer.ip().map_or(0, |peer| ip_bytes(peer.ip(), &mut ip));
    // SAFETY: the program's callback, with what it expects. The core is in the middle of
    // accepting, where no call of this loop reaches it, so that they all do nothing.
    let answer = unsafe { callback(context, fd, ip.as_mut_ptr().cast(), length) };
    answer == fd
}
