//! Every socket of a loop, by name.

use core::net::SocketAddr;

use crate::event_loop::accept::{EVICT_IDLE, REFUSE};
use crate::injected_bug::injected_bug;

pub(crate) mod cork;
pub(crate) mod send;
pub(crate) mod socket;

use crate::address::Address;
use crate::closed::Closed;
use crate::endpoint::{Endpoint, WhenFull};
use crate::error::Error;
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::{Platform, Progress, SocketOption};
use crate::pool::flags::{Flags, Phase};
use crate::pool::{Lists, Place, Slot, at, name, named, own};
use crate::sockets::cork::Memory;
use crate::sockets::send::{failed, send_parts, sent, writable};
use crate::stats::Stats;
use crate::time::{Duration, Instant};

/// Time a connection has to become open, until the program sets another timeout.
pub(crate) const OPENING_MAX: Duration = Duration::from_secs(10);

/// Time a layer has to send what it still holds of a closed socket.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// Every socket of a loop, by name. Lent to each handler call and by
/// [`Loop::net`](crate::Loop::net).
///
/// A name that is stale, or of a socket in a state that makes the call meaningless, is answered
/// with 0, `None` or nothing; it never reaches another socket.
pub struct Net<'a, P: Platform, C> {
    pub(crate) platform: &'a mut P,
    pub(crate) slots: &'a mut [Slot<P::Socket, C>],
    pub(crate) lists: &'a mut Lists,
    pub(crate) cork: &'a mut (dyn Memory + 'a),
}

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Listens at `at`. Connections open with `context`.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free, else what [`Platform::listen`] says.
    pub fn listen(&mut self, at: Endpoint<'_>, context: C) -> Result<ListenerId, Error> {
        let id = self.lists.claim(self.slots).ok_or(Error::Full)?;
        let slot = named(self.slots, id).ok_or(Error::Full)?;
        if let Err(error) = self.platform.listen(&mut slot.socket, id, &at) {
            self.lists.unclaim(self.slots, id);
            return Err(error);
        }
        slot.set_phase(Phase::Listening);
        slot.context = Place::Occupied(context);
        slot.payload = match at.when_full {
            WhenFull::Pause => 0,
            WhenFull::Refuse => REFUSE,
            WhenFull::EvictIdle => EVICT_IDLE,
        };
        Ok(ListenerId(id))
    }

    /// Stops listening. Connections that were accepted stay; those that still wait are reset by
    /// the platform.
    pub fn stop_listening(&mut self, listener: ListenerId) {
        if named(self.slots, listener.0).is_some_and(|slot| slot.phase() == Phase::Listening) {
            self.release(listener.0);
        }
    }

    /// Connects to `to`. Ends in `on_open`, or in `on_connect_error`, with `context`.
    ///
    /// Whatever is wrong with the peer or the way to it comes as `on_connect_error`, even if it
    /// is known at once. It has 10 s, unless [`Self::set_timeout`] gives it another time. Closing
    /// it before it opens makes no call.
    ///
    /// # Errors
    /// What is wrong here: [`Error::Full`] when no slot is free, [`Error::Exhausted`] when the
    /// platform has no descriptor or memory, an address or option that cannot be used.
    pub fn connect(&mut self, to: Endpoint<'_>, context: C) -> Result<SocketId, Error> {
        let id = self.lists.claim(self.slots).ok_or(Error::Full)?;
        let slot = named(self.slots, id).ok_or(Error::Full)?;
        match self.platform.connect(&mut slot.socket, id, &to) {
            Ok(()) => {}
            Err(error) if error.is_remote() => slot.payload = error.to_bits(),
            Err(error) => {
                self.lists.unclaim(self.slots, id);
                return Err(error);
            }
        }
        slot.set_phase(Phase::Connecting);
        slot.context = Place::Occupied(context);
        if slot.payload == 0 {
            self.set_timeout(id, OPENING_MAX);
        } else {
            self.lists.enqueue(self.slots, id);
        }
        Ok(id)
    }

    /// Writes to an open socket and returns how many bytes were taken.
    ///
    /// Less than `data.len()` promises an `on_writable`, unless the socket is not open or our
    /// direction is finished. A failure shows as 0 here; `on_close` follows, with the reason,
    /// after what the peer sent before has been delivered.
    #[inline]
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write(&mut self, id: SocketId, data: &[u8]) -> usize {
        if named(self.slots, id).is_none() {
            return 0;
        }
        self.write_own(id, data)
    }

    /// Writes to the socket that the running call is about.
    #[inline]
    pub(crate) fn write_own(&mut self, id: SocketId, data: &[u8]) -> usize {
        let Some(slot) = own(self.slots, id) else {
            return 0;
        };
        if !slot.flags.are_usual() || data.is_empty() {
            return self.parts().write_rare(id, data);
        }
        match self.platform.send(&mut slot.socket, data) {
            Ok(count) => sent(slot, self.lists, count, data.len()),
            Err(error) => failed(slot, self.lists, id, error),
        }
    }

    /// Writes the bytes of `parts` in order, in one system call where the platform can. As
    /// [`Self::write`] otherwise.
    #[must_use = "bytes that were not taken are lost unless the caller keeps them"]
    pub fn write_vectored(&mut self, id: SocketId, parts: &[&[u8]]) -> usize {
        if self.lists.corked == Some(id) {
            return self.write_corked(parts);
        }
        send_parts(self.platform, self.slots, self.lists, id, parts)
    }

    /// The same again, made of its parts: handing it to a function that is not inlined keeps only
    /// the copy in memory, and the original in registers.
    #[inline]
    pub(crate) fn parts(&mut self) -> Net<'_, P, C> {
        Net {
            platform: self.platform,
            slots: self.slots,
            lists: self.lists,
            cork: self.cork,
        }
    }

    /// Writes to a socket of which there is more to say than that it is open.
    #[cold]
    #[inline(never)]
    fn write_rare(mut self, id: SocketId, data: &[u8]) -> usize {
        if self.lists.corked == Some(id) {
            return self.write_corked(&[data]);
        }
        match writable(self.slots, id) {
            Some(slot) if !data.is_empty() => match self.platform.send(&mut slot.socket, data) {
                Ok(count) => sent(slot, self.lists, count, data.len()),
                Err(error) => failed(slot, self.lists, id, error),
            },
            _ => 0,
        }
    }

    /// Ends our direction of the stream after everything taken so far; the peer may still send.
    /// The socket closes, with [`Closed::Finished`], when both directions have ended.
    pub fn finish(&mut self, id: SocketId) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        if slot.phase() != Phase::Open || slot.flags.any(Flags::FINISHED) {
            return;
        }
        slot.flags.set(Flags::FINISHED);
        if self.lists.corked == Some(id) && !self.uncorked(id) {
            if let Some(slot) = named(self.slots, id) {
                slot.flags.set(Flags::FINISHING);
            }
            return;
        }
        self.finish_now(id);
    }

    /// Hands our end to the platform.
    pub(crate) fn finish_now(&mut self, id: SocketId) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        if slot.phase() != Phase::Open {
            return;
        }
        let ended = slot.flags.any(Flags::ENDED);
        if ended && !P::HOLDS_OUTPUT {
            // Closing sends the FIN as well, in one call instead of two.
            return self.end(id, Closed::Finished);
        }
        match self.platform.finish(&mut slot.socket) {
            Ok(Progress::Done) if ended => self.end(id, Closed::Finished),
            Ok(Progress::Done) => slot.flags.clear(Flags::FINISHING),
            Ok(_) => slot.flags.set(Flags::FINISHING),
            Err(error) => self.fail(id, error),
        }
    }

    /// Closes a connection of any state. An open one gets its `on_close`, with
    /// [`Closed::Local`] 0, after the running call.
    ///
    /// What was taken for sending is still delivered as far as the platform can, but not what a
    /// cork still holds when the platform does not take it at once. A layer that holds some, such
    /// as TLS, keeps the slot for that, for at most 30 s. If received bytes were not
    /// read yet, the peer may get a reset that overtakes what was sent (RFC 2525, section 2.17);
    /// to end after everything, use [`Self::finish`].
    pub fn close(&mut self, id: SocketId) {
        self.close_with(id, 0);
    }

    /// Closes a connection as [`Self::close`] does, with [`Closed::Local`] and this code.
    pub fn close_with(&mut self, id: SocketId, code: u16) {
        if self.lists.corked == Some(id) {
            let _ = self.uncorked(id);
        }
        self.end(id, Closed::Local(code));
    }

    /// Resets a connection (RST; RFC 9293, section 3.10.5) and drops what was not sent. Otherwise
    /// as [`Self::close_with`].
    pub fn abort(&mut self, id: SocketId, code: u16) {
        if let Some(slot) = connection(self.slots, id) {
            self.platform.abort(&mut slot.socket);
            self.end(id, Closed::Local(code));
        }
    }

    /// Closes every listener and connection of `context`, with this code; calls that are under
    /// way may go on using their own. Sockets made by the `on_close` calls that follow stay.
    pub fn close_all(&mut self, context: C, code: u16) {
        for index in 0..self.lists.high_water {
            let Some(slot) = self.slots.get(at(index)) else {
                return;
            };
            if slot.context.as_ref() != Some(&context) {
                continue;
            }
            let (phase, Some(id)) = (slot.phase(), name(self.slots, index)) else {
                continue;
            };
            if phase == Phase::Listening {
                self.stop_listening(ListenerId(id));
            } else {
                self.close_with(id, code);
            }
        }
    }

    /// Stops reading from an open socket, so that its peer is held up. Costs nothing. The peer's
    /// end shows only after [`Self::resume`]; a reset that comes while it is paused closes the
    /// socket even so.
    pub fn pause(&mut self, id: SocketId) {
        if let Some(slot) = open(self.slots, id) {
            slot.flags.set(Flags::PAUSED);
        }
    }

    /// Reads from the socket again, in the next iteration at the earliest.
    pub fn resume(&mut self, id: SocketId) {
        let Some(slot) = open(self.slots, id) else {
            return;
        };
        if slot.flags.any(Flags::PAUSED) {
            slot.flags.clear(Flags::PAUSED);
            let lost = injected_bug!(LostWakeUp);
            if slot.flags.any(Flags::READABLE) && !lost {
                self.lists.enqueue(self.slots, id);
            }
        }
    }

    /// Replaces the timeout of a connection: `on_timeout` comes once, `after` from
    /// [`Self::now`], never earlier and at most one tick of 1.024 ms later, as long as the loop
    /// keeps up. Zero disarms.
    ///
    /// To put a timeout off costs one store. For a socket that connects, it is the time it has to
    /// open.
    #[inline]
    pub fn set_timeout(&mut self, id: SocketId, after: Duration) {
        let deadline = if after.is_zero() {
            0
        } else {
            self.now().saturating_add(after).as_micros()
        };
        if connection(self.slots, id).is_some() {
            self.lists.wheel.set(self.slots, id.index(), deadline);
        }
    }

    /// Starts a timer, which takes a slot: `on_timer` comes `after` from [`Self::now`], and then
    /// every `repeat`, in whole milliseconds from 1 to 2^32 - 1; zero means once.
    ///
    /// Never early, at most one tick of 1.024 ms late as long as the loop keeps up, and without
    /// drift.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free.
    pub fn start_timer(&mut self, after: Duration, repeat: Duration) -> Result<TimerId, Error> {
        let deadline = self.now().saturating_add(after).as_micros().max(1);
        let millis = repeat.as_nanos().div_ceil(1_000_000);
        let id = self.lists.claim(self.slots).ok_or(Error::Full)?;
        let slot = named(self.slots, id).ok_or(Error::Full)?;
        slot.set_phase(Phase::Timer);
        slot.payload = u32::try_from(millis).unwrap_or(u32::MAX);
        self.lists.wheel.set(self.slots, id.index(), deadline);
        Ok(TimerId(id))
    }

    /// Stops a timer and frees its slot. Allowed inside its own `on_timer`.
    pub fn stop_timer(&mut self, timer: TimerId) {
        if named(self.slots, timer.0).is_some_and(|slot| slot.phase() == Phase::Timer) {
            self.lists.retire(self.slots, timer.0);
        }
    }

    /// Moves a connection to another context. Its data, timeout and pending events stay.
    pub fn adopt(&mut self, id: SocketId, context: C) {
        if let Some(slot) = connection(self.slots, id) {
            slot.context = Place::Occupied(context);
        }
    }

    /// Returns the context of a connection.
    #[must_use]
    pub fn context(&mut self, id: SocketId) -> Option<C> {
        connection(self.slots, id)?.context.as_ref().copied()
    }

    /// Returns the local address of a connection; `None` when it has none. On Linux a system
    /// call.
    #[must_use]
    pub fn local_addr(&mut self, id: SocketId) -> Option<Address> {
        let slot = connection(self.slots, id)?;
        self.platform.local_addr(&slot.socket).ok()
    }

    /// Returns the peer's address of a connection; `None` when it is not connected. On Linux a
    /// system call.
    #[must_use]
    pub fn peer_addr(&mut self, id: SocketId) -> Option<Address> {
        let slot = connection(self.slots, id)?;
        self.platform.peer_addr(&slot.socket).ok()
    }

    /// Returns the name of the protocol above the transport that was agreed on with the peer
    /// (ALPN, RFC 7301), such as `h2`; empty if none.
    #[must_use]
    pub fn protocol(&mut self, id: SocketId) -> &[u8] {
        match connection(self.slots, id) {
            Some(slot) => self.platform.protocol(&slot.socket),
            None => &[],
        }
    }

    /// Returns the Internet address where a listener listens, with the port that the platform
    /// chose, if it did. `None` for a listener that has stopped or has another kind of address.
    #[must_use]
    pub fn listening_addr(&mut self, listener: ListenerId) -> Option<SocketAddr> {
        let slot = named(self.slots, listener.0)?;
        self.platform.local_addr(&slot.socket).ok()?.ip()
    }

    /// Changes an option of an open connection.
    ///
    /// # Errors
    /// What [`Platform::set_option`] says, and [`Error::Invalid`] for a socket that is not open.
    pub fn set_option(&mut self, id: SocketId, option: SocketOption) -> Result<(), Error> {
        let slot = open(self.slots, id).ok_or(Error::Invalid)?;
        self.platform.set_option(&mut slot.socket, option)
    }

    /// Returns the platform together with its own state of a connection, listener or what else has
    /// this id, for what only that platform can do.
    #[must_use]
    pub fn platform_socket(&mut self, id: SocketId) -> Option<(&mut P, &mut P::Socket)> {
        let slot = named(self.slots, id)?;
        match slot.phase() {
            Phase::Free | Phase::Timer | Phase::Closing => None,
            _ => Some((self.platform, &mut slot.socket)),
        }
    }

    /// Returns whether the socket is open: after its `on_open`, until it is closed.
    #[must_use]
    pub fn is_open(&mut self, id: SocketId) -> bool {
        open(self.slots, id).is_some()
    }

    /// Returns the time of the running iteration: the platform's clock is read when it is first
    /// asked for, and not again before the next wait.
    #[inline]
    #[must_use]
    pub fn now(&mut self) -> Instant {
        Instant::from_micros(self.lists.now_micros(self.platform))
    }

    /// Returns what the loop did so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.lists.stats
    }

    /// Returns the platform, for what only it can do.
    pub const fn platform_mut(&mut self) -> &mut P {
        self.platform
    }

    /// Ends a connection of any state, with a reason.
    pub(crate) fn end(&mut self, id: SocketId, closed: Closed) {
        let Some(slot) = connection(self.slots, id) else {
            return;
        };
        if self.lists.corked == Some(id) {
            self.lists.corked = None;
            self.lists.cork_len = 0;
            slot.flags.clear(Flags::CORKED);
        }
        if slot.is_open() {
            let in_order = matches!(closed, Closed::Local(_) | Closed::TimedOut);
            if P::HOLDS_OUTPUT && in_order && self.platform.linger(&mut slot.socket) {
                slot.flags.set(Flags::LINGERING);
            } else {
                self.platform.close(&mut slot.socket);
            }
            self.lists.stats.open = self.lists.stats.open.wrapping_sub(1);
            self.lists.close(self.slots, id, closed.to_bits());
        } else {
            self.release(id);
        }
    }

    /// Leaves a socket, whose `on_close` is over, to the layer that still sends; whether one does.
    pub(crate) fn linger(&mut self, id: SocketId) -> bool {
        let lingers = P::HOLDS_OUTPUT
            && named(self.slots, id).is_some_and(|slot| slot.flags.any(Flags::LINGERING));
        if lingers {
            let deadline = self.now().saturating_add(LINGER_MAX).as_micros();
            self.lists.wheel.set(self.slots, id.index(), deadline);
        }
        lingers
    }

    /// Releases a socket that gets no `on_close`.
    pub(crate) fn release(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            self.platform.close(&mut slot.socket);
            self.lists.retire(self.slots, id);
        }
    }

    /// Notes that the connection broke while sending.
    pub(crate) fn fail(&mut self, id: SocketId, error: Error) {
        if let Some(slot) = named(self.slots, id)
            && slot.phase() == Phase::Open
        {
            failed(slot, self.lists, id, error);
        }
    }

    /// Asks the platform why a connection broke that is not read, and closes it.
    pub(crate) fn fail_unread(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id)
            && let Some(error) = self.platform.take_error(&mut slot.socket)
        {
            self.end(id, Closed::Failed(error));
        }
    }
}

/// The slot of a connection, open or opening.
#[inline]
fn connection<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    named(slots, id).filter(|slot| {
        slot.is_open() || matches!(slot.phase(), Phase::Connecting | Phase::Accepting)
    })
}

#[inline]
fn open<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    named(slots, id).filter(|slot| slot.is_open())
}
