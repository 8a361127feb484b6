//! Pausing, and reading on demand.

use crate::closed::Closed;
use crate::error::Error;
use crate::id::SocketId;
use crate::injected_bug::injected_bug;
use crate::invariant::breach;
use crate::platform::{Platform, Recv};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{find_known, find_open};
use crate::sockets::Net;
use crate::stats::widen;

/// What [`Net::read`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "complete by definition of a byte stream"
)]
pub enum Read {
    /// This many bytes are at the front of the buffer, at least 1.
    Data(usize),
    /// Nothing to read now; `on_readable` follows when there is.
    WouldBlock,
    /// The peer ended its direction, and all its bytes have been read. Told as often as asked.
    End,
}

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Stops reading from an open socket, so that its peer is held up. Costs nothing.
    ///
    /// The peer's end shows only after [`Self::resume`]. A reset, or a write that fails, does not
    /// wait for it: what the peer sent before is delivered in the next iterations, although the
    /// socket is paused, and then it closes.
    pub fn pause(&mut self, id: SocketId) {
        if let Some(slot) = find_open(self.slots, id) {
            slot.flags.set(Flags::PAUSED);
        }
    }

    /// Reads from the socket again, in the next iteration at the earliest.
    pub fn resume(&mut self, id: SocketId) {
        let Some(slot) = find_open(self.slots, id) else {
            return;
        };
        if slot.flags.any(Flags::PAUSED) {
            slot.flags.clear(Flags::PAUSED);
            if slot.phase() == Phase::Open {
                // A report that is still to come in this iteration waits for the next.
                slot.set_received_at(self.state.iteration());
            }
            if slot.flags.any(Flags::READABLE) && !injected_bug!(LostWakeUp) {
                self.state.run_queue.push_slot(slot, id);
            }
        }
    }

    /// Has the program read the socket when it likes, by [`Self::read`] (true), or has the loop
    /// read it and call `on_data` (false, as at first).
    ///
    /// A socket that is read on demand gets `on_readable` in place of `on_data` and `on_end`:
    /// once, when there is something to read that no `read` since has told of. It may also be
    /// paused, and then gets neither.
    pub fn set_pull(&mut self, id: SocketId, on: bool) {
        let Some(slot) = find_open(self.slots, id) else {
            return;
        };
        if on == slot.flags.any(Flags::PULL) {
            return;
        }
        slot.flags.clear(Flags::READABLE_REPORTED);
        if on {
            slot.flags.set(Flags::PULL);
        } else {
            slot.flags.clear(Flags::PULL);
        }
        if slot.flags.any(Flags::READABLE) {
            self.state.run_queue.push_slot(slot, id);
        }
    }

    /// Reads from an open socket straight into the caller's memory, which is not empty. No handler
    /// call is made meanwhile.
    ///
    /// Bytes that came before the peer's end, a reset or another failure are read first. Under a
    /// layer such as TLS, [`Read::WouldBlock`] may also mean that it waits for memory. The socket
    /// need not be in the mode of [`Self::set_pull`]; if it is not, what is not read comes by
    /// `on_data`. An end that was read is not told again by `on_end`.
    ///
    /// # Errors
    /// Why the connection broke; the socket is closed then, and `on_close` follows the running
    /// call. [`Error::Invalid`] for a socket that is not open, or an empty buffer.
    pub fn read(&mut self, id: SocketId, buffer: &mut [u8]) -> Result<Read, Error> {
        let slot = find_open(self.slots, id).ok_or(Error::Invalid)?;
        if slot.flags.any(Flags::END_READ) {
            return Ok(Read::End);
        }
        if buffer.is_empty() {
            return Err(Error::Invalid);
        }
        let pulled = Flags::PULL.with(Flags::READABLE);
        if slot.flags.only(pulled, Flags::PULL) && slot.phase() == Phase::Open {
            // All that was reported has been read, and what comes next is reported: asking would
            // cost a system call for each message.
            return Ok(Read::WouldBlock);
        }
        let room = buffer.len();
        match self.platform.recv(&mut slot.socket, buffer) {
            Ok(Recv::Data { len, drained }) => {
                if len > room {
                    breach!(self.state.stats);
                }
                let len = len.min(room);
                let is_last = slot.flags.any(Flags::READ_TO_END);
                if drained && !is_last {
                    slot.flags
                        .clear(Flags::READABLE.with(Flags::READABLE_REPORTED));
                } else {
                    slot.flags.set(Flags::READABLE);
                }
                self.state.stats.received = self.state.stats.received.wrapping_add(widen(len));
                Ok(Read::Data(len))
            }
            Ok(Recv::Pending) => {
                slot.flags.clear(Flags::UNREAD);
                Ok(Read::WouldBlock)
            }
            Ok(Recv::WouldBlock) => {
                slot.flags.clear(Flags::UNREAD);
                self.read_all(id, false)
            }
            Ok(Recv::Finished) => self.read_all(id, true),
            Err(error) => {
                let error = slot.true_reason(error);
                self.end(id, Closed::Failed(error));
                Err(error)
            }
        }
    }

    /// Returns why nothing can be written any more to a connection that broke, while what came
    /// before is still to be read. `None` for a sound connection, and for one that is closed.
    #[must_use]
    pub fn failure(&mut self, id: SocketId) -> Option<Error> {
        let slot = find_open(self.slots, id)?;
        if slot.phase() != Phase::Broken {
            return None;
        }
        Some(slot.error().unwrap_or(Error::Reset))
    }

    /// Everything has been read, the peer's end too if `is_end`.
    fn read_all(&mut self, id: SocketId, is_end: bool) -> Result<Read, Error> {
        let Some(slot) = find_known(self.slots, id) else {
            return Err(Error::Invalid);
        };
        if slot.phase() == Phase::Broken {
            // A platform tells an error once, and may have told a send.
            let error = slot.error().unwrap_or(Error::Reset);
            if !is_end || error != Error::BrokenPipe || slot.flags.any(Flags::END_READ) {
                self.end(id, Closed::Failed(error));
                return Err(error);
            }
        }
        if !is_end {
            return Ok(Read::WouldBlock);
        }
        slot.flags.clear(Flags::UNREAD);
        slot.flags.set(Flags::END_READ);
        let finished = Flags::FINISHED.with(Flags::FINISHING);
        if slot.phase() == Phase::Broken {
            let error = slot.error().unwrap_or(Error::BrokenPipe);
            self.end(id, Closed::Failed(error));
        } else if slot.flags.only(finished, Flags::FINISHED) {
            self.end(id, Closed::Finished);
        }
        Ok(Read::End)
    }
}
