//! The core's calls, passed on to the program's callbacks.
//!
//! A callback may close, adopt or free what it likes, so nothing that was read before it is
//! trusted after: what is needed then is looked up again by the socket's name.

use std::ffi::c_int;
use std::net::IpAddr;
use std::ptr::null_mut;

use usockets::{
    Address, AllSockets, Closed, Error, Handler, Instant, Opened, Socket, SocketId, TimerId,
};

use crate::handles::{Flags, LoopRef, Origin, SocketRef};
use crate::{Stack, connect, socket, udp};

/// Passes the core's calls on.
pub(crate) struct Calls {
    pub(crate) lp: LoopRef,
}

type Own<'a, 'b> = &'a mut Socket<'b, Stack, Calls>;
type All<'a, 'b> = &'a mut AllSockets<'b, Stack, Calls>;

/// Writes the bytes of an address to `out` and returns how many.
pub(crate) fn ip_bytes(ip: IpAddr, out: &mut [u8; 16]) -> c_int {
    match ip {
        IpAddr::V4(ip) => {
            if let Some(front) = out.first_chunk_mut() {
                *front = ip.octets();
            }
            4
        }
        IpAddr::V6(ip) => {
            *out = ip.octets();
            16
        }
    }
}

/// Resets a connection whose `on_open` threw: it never was the program's.
struct Opening<'a, 'b, 'c> {
    socket: Own<'b, 'c>,
    block: SocketRef,
    lp: &'a LoopRef,
    opened: bool,
}

impl Drop for Opening<'_, '_, '_> {
    fn drop(&mut self) {
        if !self.opened {
            if !self.block.any(Flags::CLOSED) {
                self.lp.detach(self.block);
            }
            self.socket.abort(0);
        }
    }
}

impl Calls {
    /// Opens what a listener accepted.
    fn accepted(&self, socket: Own<'_, '_>, origin: Option<Origin>, peer: Address) {
        let (lp, id) = (self.lp, socket.id());
        let Some(Origin {
            context: Some(context),
            ext,
            ..
        }) = origin
        else {
            // The context was freed while TLS shook hands.
            return socket.abort(0);
        };
        let Some(block) = lp.make_socket(context, id, ext, Flags::NONE) else {
            return socket.abort(0);
        };
        let mut ip = [0; 16];
        let length = peer.ip().map_or(0, |peer| ip_bytes(peer.ip(), &mut ip));
        if let Some(callback) = context.on_open.get() {
            let mut opening = Opening {
                socket,
                block,
                lp: &lp,
                opened: false,
            };
            lp.reach.during(opening.socket.net(), || {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(block, 0, ip.as_mut_ptr().cast(), length) };
            });
            opening.opened = true;
        }
    }

    /// Opens what the program connected.
    fn connected(&self, socket: Own<'_, '_>, block: SocketRef) {
        let (lp, id) = (self.lp, socket.id());
        if block.any(Flags::ADOPTED) {
            return self.adopted(socket, block);
        }
        block.clear(Flags::CONNECTING);
        if block.any(Flags::RETRIES) {
            connect::forget(block);
        }
        if block.any(Flags::PAUSED) {
            socket.pause();
        }
        let side = lp.side(id);
        // Both were for the time that it took to connect.
        side.short.set(0);
        side.long.set(0);
        if let Some(callback) = block.context.get().on_open.get() {
            let mut opening = Opening {
                socket,
                block,
                lp: &lp,
                opened: false,
            };
            lp.reach.during(opening.socket.net(), || {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(block, 1, null_mut(), 0) };
            });
            opening.opened = true;
        }
    }

    /// The program had its `on_open`; what it did since is made up for.
    fn adopted(&self, socket: Own<'_, '_>, block: SocketRef) {
        let (lp, id) = (self.lp, socket.id());
        let was_short = block.any(Flags::SHORT);
        block.clear(Flags::ADOPTED.with(Flags::SHORT));
        if block.any(Flags::SHUT) {
            socket.finish();
        }
        if block.any(Flags::PAUSED) {
            socket.pause();
        }
        lp.reach.during(socket.net(), || {
            socket::arm(lp, id);
            if was_short && let Some(callback) = block.context.get().on_writable.get() {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(block) };
            }
        });
    }

    /// Calls `on_timeout` and `on_long_timeout`, whichever is due, and arms what is left.
    fn timed_out(&self, id: SocketId, now: Instant) {
        let lp = self.lp;
        let _armed = Armed(lp, id);
        let side = lp.side(id);
        if socket::take_due(&side.short, now)
            && let Some(block) = lp.socket(id)
            && let Some(callback) = block.context.get().on_timeout.get()
        {
            // SAFETY: the program's callback, with what it expects.
            unsafe { callback(block) };
        }
        if socket::take_due(&side.long, now)
            && let Some(block) = lp.socket(id)
            && let Some(callback) = block.context.get().on_long_timeout.get()
        {
            // SAFETY: the program's callback, with what it expects.
            unsafe { callback(block) };
        }
    }
}

/// Arms what is left of a socket's timeouts when one was told of, also when its callback threw.
struct Armed(LoopRef, SocketId);

impl Drop for Armed {
    fn drop(&mut self) {
        let Self(lp, id) = *self;
        if lp.socket(id).is_some() {
            socket::arm(lp, id);
        }
    }
}

impl Handler<Stack> for Calls {
    type Ext = ();
    /// What tells sockets apart is in their blocks.
    type Context = ();

    fn on_open(&mut self, socket: Own<'_, '_>, opened: Opened<()>) {
        let side = self.lp.side(socket.id()).socket.get();
        match opened {
            Opened::Accepted { peer, .. } => {
                let origin = self.lp.origins.borrow().get(side.addr() >> 1).copied();
                self.lp.side(socket.id()).socket.set(null_mut());
                self.accepted(socket, origin, peer);
            }
            // The program has it already.
            Opened::Bound { .. } => {}
            _ => match SocketRef::from_ptr(side) {
                Some(block) => self.connected(socket, block),
                None => socket.close(),
            },
        }
    }

    #[inline]
    fn on_data(&mut self, socket: Own<'_, '_>, (): &mut (), data: &mut [u8]) {
        let Some(block) = self.lp.socket(socket.id()) else {
            return;
        };
        let callback = block.context.get().on_data.get();
        // The bytes are in memory with margins, not in the core's; see `margins`.
        let bytes = self.lp.received.as_ptr();
        // At most the length of the buffer.
        let length = data.len() as c_int;
        self.lp.reach.during(socket.net(), || {
            // SAFETY: the program's callback, with what it expects.
            unsafe { callback(block, bytes.cast(), length) };
        });
    }

    fn on_readable(&mut self, socket: Own<'_, '_>, (): &mut ()) {
        if let Some(block) = self.lp.socket(socket.id()) {
            self.lp.reach.during(socket.net(), || udp::readable(block));
        }
    }

    fn on_writable(&mut self, socket: Own<'_, '_>, (): &mut ()) {
        let Some(block) = self.lp.socket(socket.id()) else {
            return;
        };
        block.clear(Flags::SHORT);
        if block.any(Flags::DATAGRAMS) {
            self.lp.reach.during(socket.net(), || udp::drained(block));
        } else if let Some(callback) = block.context.get().on_writable.get() {
            self.lp.reach.during(socket.net(), || {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(block) };
            });
        }
    }

    fn on_end(&mut self, socket: Own<'_, '_>, (): &mut ()) {
        let Some(block) = self.lp.socket(socket.id()) else {
            return;
        };
        let context = block.context.get();
        // As µSockets: both directions have ended, or TLS, which knows no half-close there.
        let is_over = block.any(Flags::SHUT) || context.secure;
        self.lp
            .reach
            .during(socket.net(), || match context.on_end.get() {
                // SAFETY: the program's callback, with what it expects.
                Some(callback) if !is_over => unsafe {
                    callback(block);
                },
                _ => {
                    self.lp.reason.set(socket::reason(Closed::Finished));
                    socket::close(block, 0, null_mut());
                }
            });
    }

    fn on_timeout(&mut self, socket: Own<'_, '_>, (): &mut ()) {
        let id = socket.id();
        let now = socket.net().now();
        if self.lp.socket(id).is_some() {
            self.lp
                .reach
                .during(socket.net(), || self.timed_out(id, now));
        }
    }

    fn on_close(&mut self, socket: Own<'_, '_>, (): &mut (), closed: Closed) {
        // Nobody, if the program closed it: it had its call then.
        let Some(block) = self.lp.socket(socket.id()) else {
            return;
        };
        self.lp.detach(block);
        self.lp.reason.set(socket::reason(closed));
        self.lp.reach.during(socket.net(), || {
            if let Some(callback) = block.context.get().on_close.get() {
                // SAFETY: the program's callback, with what it expects. A program may take the
                // code for a length, so it is 0, as in µSockets.
                unsafe { callback(block, 0, null_mut()) };
            }
        });
        self.lp.reason.set(0);
    }

    fn on_connect_error(&mut self, socket: Own<'_, '_>, (): (), error: Error) {
        let id = socket.id();
        let Some(block) = self.lp.socket(id) else {
            return;
        };
        let now = socket.net().now();
        let side = self.lp.side(id);
        // The program's time is over, not the kernel's.
        let is_over = socket::is_due(&side.short, now) || socket::is_due(&side.long, now);
        let reach = &self.lp.reach;
        if block.any(Flags::RETRIES)
            && !is_over
            && reach.during(socket.net(), || connect::try_next(block, id, error))
        {
            return;
        }
        let was_adopted = block.any(Flags::ADOPTED);
        self.lp.reason.set(socket::reason(Closed::Failed(error)));
        self.lp.reach.during(socket.net(), || {
            let context = block.context.get();
            if was_adopted {
                self.lp.detach(block);
                if let Some(callback) = context.on_close.get() {
                    // SAFETY: the program's callback, with what it expects.
                    unsafe { callback(block, 0, null_mut()) };
                }
                return;
            }
            let _end = Failed(block);
            if error == Error::TimedOut {
                if socket::take_due(&side.short, now)
                    && let Some(callback) = context.on_timeout.get()
                {
                    // SAFETY: the program's callback, with what it expects.
                    unsafe { callback(block) };
                } else if socket::take_due(&side.long, now)
                    && let Some(callback) = context.on_long_timeout.get()
                {
                    // SAFETY: the program's callback, with what it expects.
                    unsafe { callback(block) };
                }
            }
            if !block.any(Flags::CLOSED)
                && let Some(callback) = context.on_connect_error.get()
            {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(block, 0) };
            }
        });
        self.lp.reason.set(0);
    }

    fn on_timer(&mut self, _: All<'_, '_>, _: TimerId, _: u32) {
        // The library's timers take no slot; see `timer`.
    }

    fn on_wake(&mut self, all: All<'_, '_>) {
        if let Some(callback) = self.lp.on_wake {
            self.lp.reach.during(all.net(), || {
                // SAFETY: the program's callback, with what it expects.
                unsafe { callback(self.lp) };
            });
        }
    }
}

/// Takes a socket that did not connect out of its place, also when a callback threw.
struct Failed(SocketRef);

impl Drop for Failed {
    fn drop(&mut self) {
        if !self.0.any(Flags::CLOSED) {
            self.0.lp().detach(self.0);
        }
    }
}
