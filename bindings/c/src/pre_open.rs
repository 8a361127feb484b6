//! `on_pre_open`: the program is asked about a connection that was just accepted.

use std::ffi::c_int;

use usockets::{Address, Platform};

use crate::calls::ip_bytes;
use crate::handles::{ListenRef, LoopRef};

/// Connections running that a program takes over by `on_pre_open` before others get their turn.
pub(crate) const TAKEN_MAX: u32 = 64;

/// Asks the program whether it leaves an accepted connection, of this descriptor, to the library.
pub(crate) fn leaves<P: Platform>(
    lp: LoopRef,
    listener: ListenRef,
    socket: &mut P::Socket,
    fd: c_int,
    peer: Address,
) -> bool {
    let context = listener.socket.context.get();
    let Some(callback) = context.on_pre_open.get() else {
        return true;
    };
    let mut ip = [0; 16];
    let length = peer.ip().map_or(0, |peer| ip_bytes(peer.ip(), &mut ip));
    let mut asked = Asked::<P> {
        lp,
        socket,
        answered: false,
    };
    // SAFETY: the program's callback, with what it expects. The core is in the middle of
    // accepting, where no call of this loop reaches it, so that they all do nothing.
    let answer = unsafe { callback(context, fd, ip.as_mut_ptr().cast(), length) };
    asked.answered = true;
    answer == fd
}

/// Closes a connection about which the program threw. Its slot stays taken.
struct Asked<'a, P: Platform> {
    lp: LoopRef,
    socket: &'a mut P::Socket,
    answered: bool,
}

impl<P: Platform> Drop for Asked<'_, P> {
    fn drop(&mut self) {
        if !self.answered {
            *self.socket = P::CLOSED;
            self.lp.leaked.set(self.lp.leaked.get() + 1);
        }
    }
}
