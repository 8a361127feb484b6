//! Datagram sockets, on platforms that have them.

use crate::address::Address;
use crate::error::Error;
use crate::handler::Handler;
use crate::id::SocketId;
use crate::invariant::breach;
use crate::platform::{Arrival, DatagramError, DatagramOption, Datagrams, Departure};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, Slot, find, find_known};
use crate::sockets::Net;
use crate::sockets::socket::Socket;
use crate::stats::widen;

/// Errors that [`Net::recv_batch`] drops in one go, if the program did not take them. What is
/// beyond is dropped by the next: a platform holds no more than its buffers do.
const DROPPED_MAX: u32 = 64;

/// What [`Net::send_batch`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "datagrams that were not taken are lost unless the caller keeps them"]
#[non_exhaustive]
pub struct Sent {
    /// Datagrams, or runs of them, that were taken, from the first.
    pub count: usize,
    /// Why the one behind those cannot be sent at all: leave it out and go on with the next.
    /// `None` if all were taken, or it would block; `on_writable` follows then, once.
    pub error: Option<Error>,
}

impl<P: Datagrams, C: Copy + PartialEq> Net<'_, P, C> {
    /// What holds while the platform is to report room.
    const ROOM: Flags = Flags::BLOCKED.with(Flags::ROOM_AWAITED);

    /// Opens a datagram socket at `at`: UDP at an Internet address, a Unix socket at
    /// [`Address::Local`], where the platform has those. Port 0 lets the platform choose one, which
    /// [`Self::local_addr`] tells. It can be used at once. `on_open` follows, with
    /// [`Opened::Bound`](crate::Opened::Bound), before any other call, and `on_close` when it is
    /// closed; no error of a datagram closes it.
    ///
    /// `on_readable` tells that something came. One [`Self::recv_batch`] a call is fair to the
    /// other sockets: if it did not take everything, `on_readable` comes again in the next
    /// iteration. Timeouts, contexts and closing are those of connections; writing, pausing and
    /// finishing are of streams only, and do nothing here.
    ///
    /// ```
    /// use usockets::{
    ///     Arrival, Datagrams, Departure, Error, Handler, Loop, Opened, Socket, Sockets,
    /// };
    /// use usockets_linux::Linux;
    ///
    /// /// Sends one datagram to itself.
    /// #[derive(Default)]
    /// struct Echo {
    ///     received: usize,
    /// }
    ///
    /// impl<P: Datagrams> Handler<P> for Echo {
    ///     type Ext = ();
    ///     type Context = ();
    ///
    ///     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
    ///         let to = socket.local_addr().unwrap_or_default();
    ///         let hello = Departure { len: 5, to, ..Departure::default() };
    ///         assert_eq!(socket.send_batch(b"hello", &[hello]).count, 1);
    ///     }
    ///
    ///     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
    ///
    ///     fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
    ///         let (mut memory, mut arrivals) = ([0; 4 * 1500], [Arrival::default(); 4]);
    ///         if let Ok(count) = socket.recv_batch(&mut memory, &mut arrivals) {
    ///             self.received += arrivals[..count].iter().map(|one| one.len).sum::<usize>();
    ///             socket.close();
    ///         }
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// let mut sockets = Sockets::<_, _, 1>::new();
    /// let mut buffer = [0; 1]; // For streams, of which there are none.
    /// let mut net = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
    /// let at = core::net::SocketAddr::from(([127, 0, 0, 1], 0));
    /// net.net().bind(at.into(), ())?;
    /// let mut echo = Echo::default();
    /// net.run(&mut echo)?;
    /// assert_eq!(echo.received, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free, else what [`Datagrams::bind`] says.
    pub fn bind(&mut self, at: Address, context: C) -> Result<SocketId, Error> {
        let id = self.claim_by(|platform, socket, id| platform.bind(socket, id, at))?;
        self.start_datagrams(id, context);
        Ok(id)
    }

    /// Makes the slot of a datagram socket that the platform has just opened one.
    pub(crate) fn start_datagrams(&mut self, id: SocketId, context: C) {
        if let Some(slot) = find_known(self.slots, id) {
            slot.context = Place::Occupied(context);
            slot.enter(Phase::Bound, 0);
            slot.flags.set(Flags::PULL);
            self.state.run_queue.push_slot(slot, id);
        }
    }

    /// Fixes the peer of a datagram socket: only its datagrams are received, and
    /// [`Departure::to`] may be left out.
    ///
    /// # Errors
    /// What [`Datagrams::set_peer`] says, and [`Error::Invalid`] if the id is of no datagram
    /// socket.
    pub fn set_peer(&mut self, id: SocketId, peer: Address) -> Result<(), Error> {
        let slot = find_datagrams(self.slots, id).ok_or(Error::Invalid)?;
        self.platform.set_peer(&mut slot.socket, peer)
    }

    /// Receives a batch of datagrams, and returns how many of `arrivals` it filled; 0 if there is
    /// nothing, of which `on_readable` tells when that changes. `memory` is cut into
    /// `arrivals.len()` equal parts; the datagram, or run of them, that `arrivals[i]` describes
    /// lies at the front of part `i`. A part of 65,535 bytes truncates nothing.
    ///
    /// Errors that came back for datagrams sent earlier and were not taken by
    /// [`Self::next_datagram_error`] before are dropped, so that they cannot pile up.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id is of no datagram socket, or there are fewer bytes than
    /// `arrivals`; else the platform broke.
    pub fn recv_batch(
        &mut self,
        id: SocketId,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<usize, Error> {
        let slot = find_datagrams(self.slots, id).ok_or(Error::Invalid)?;
        if memory.len() < arrivals.len() {
            return Err(Error::Invalid);
        }
        if slot.flags.any(Flags::FAILED) {
            drop_errors(self.platform, slot);
        }
        if arrivals.is_empty() || !slot.flags.any(Flags::READABLE) {
            // All that was reported has been received, and what comes next is reported: asking
            // would cost a system call for each batch.
            return Ok(0);
        }
        let received = self
            .platform
            .recv_batch(&mut slot.socket, memory, arrivals)?;
        slot.flags.clear(Flags::READABLE_REPORTED);
        if received.drained {
            slot.flags.clear(Flags::READABLE.with(Flags::READ_TO_END));
        } else {
            self.state.run_queue.push_slot(slot, id);
        }
        if received.count > arrivals.len() {
            breach!(self.state.stats);
        }
        let count = received.count.min(arrivals.len());
        let part = memory.len().checked_div(arrivals.len()).unwrap_or_default();
        for arrival in arrivals.iter_mut().take(count) {
            if arrival.len > part {
                breach!(self.state.stats);
                arrival.len = part;
            }
            let sum = self.state.stats.received.wrapping_add(widen(arrival.len));
            self.state.stats.received = sum;
        }
        Ok(count)
    }

    /// Sends a batch of datagrams out of `memory`, in order. The bytes are the caller's again when
    /// it returns. A departure that lies outside `memory`, or whose run has more than 64 datagrams,
    /// is [`Error::Invalid`].
    pub fn send_batch(&mut self, id: SocketId, memory: &[u8], departures: &[Departure]) -> Sent {
        self.send_by(id, memory, departures, |platform, socket, batch| {
            platform.send_batch(socket, memory, batch)
        })
    }

    /// Sends datagrams by a call of the platform that says how many of a batch it took.
    pub(crate) fn send_by(
        &mut self,
        id: SocketId,
        memory: &[u8],
        departures: &[Departure],
        mut send: impl FnMut(&mut P, &mut P::Socket, &[Departure]) -> Result<usize, Error>,
    ) -> Sent {
        let mut sent = Sent {
            count: 0,
            error: None,
        };
        let Some(slot) = find_datagrams(self.slots, id) else {
            sent.error = Some(Error::Invalid);
            return sent;
        };
        if slot.flags.only(Self::ROOM, Flags::ROOM_AWAITED) {
            slot.flags.clear(Flags::ROOM_AWAITED);
            self.platform.await_room(&mut slot.socket, id, false);
        }
        while let Some(rest) = departures.get(sent.count..).filter(|rest| !rest.is_empty()) {
            let valid = rest.iter().take_while(|one| is_valid(one, memory)).count();
            if valid == 0 {
                sent.error = Some(Error::Invalid);
                break;
            }
            let batch = rest.get(..valid).unwrap_or_default();
            match send(self.platform, &mut slot.socket, batch) {
                Ok(0) => {
                    slot.flags.set(Self::ROOM);
                    self.platform.await_room(&mut slot.socket, id, true);
                    break;
                }
                // Fewer than given: the next call tells whether it would block or cannot be sent.
                Ok(count) => {
                    if count > valid {
                        breach!(self.state.stats);
                    }
                    for one in batch.iter().take(count) {
                        let sum = self.state.stats.sent.wrapping_add(widen(one.len));
                        self.state.stats.sent = sum;
                    }
                    sent.count = sent.count.saturating_add(count.min(valid));
                }
                Err(error) => {
                    sent.error = Some(error);
                    break;
                }
            }
        }
        sent
    }

    /// Takes the next error that came back for a datagram sent earlier (ICMP), or `None` when there
    /// are no more. `on_readable` tells that there are some. Take them before [`Self::recv_batch`],
    /// which drops them.
    pub fn next_datagram_error(&mut self, id: SocketId) -> Option<DatagramError> {
        let slot = find_datagrams(self.slots, id).filter(|slot| slot.flags.any(Flags::FAILED))?;
        let error = self.platform.next_error(&mut slot.socket);
        if error.is_none() {
            // The next is told, also to a program that receives nothing.
            slot.flags
                .clear(Flags::FAILED.with(Flags::READABLE_REPORTED));
        }
        error
    }

    /// Changes an option of a datagram socket.
    ///
    /// # Errors
    /// What [`Datagrams::set_datagram_option`] says, and [`Error::Invalid`] if the id is of no
    /// datagram socket.
    pub fn set_datagram_option(
        &mut self,
        id: SocketId,
        option: DatagramOption,
    ) -> Result<(), Error> {
        let slot = find_datagrams(self.slots, id).ok_or(Error::Invalid)?;
        self.platform.set_datagram_option(&mut slot.socket, option)
    }
}

impl<P: Datagrams, H: Handler<P>> Socket<'_, P, H> {
    /// Receives a batch of datagrams. See [`Net::recv_batch`].
    ///
    /// # Errors
    /// As [`Net::recv_batch`].
    pub fn recv_batch(
        &mut self,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<usize, Error> {
        self.all.net.recv_batch(self.id, memory, arrivals)
    }

    /// Sends a batch of datagrams. See [`Net::send_batch`].
    pub fn send_batch(&mut self, memory: &[u8], departures: &[Departure]) -> Sent {
        self.all.net.send_batch(self.id, memory, departures)
    }

    /// Takes the next error that came back for a datagram. See [`Net::next_datagram_error`].
    pub fn next_datagram_error(&mut self) -> Option<DatagramError> {
        self.all.net.next_datagram_error(self.id)
    }
}

/// Returns the slot of a datagram socket.
fn find_datagrams<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    find(slots, id).filter(|slot| is_of_datagrams(slot))
}

/// Returns true if a slot is that of a datagram socket.
pub(crate) fn is_of_datagrams<S, C>(slot: &Slot<S, C>) -> bool {
    matches!(slot.phase(), Phase::Bound | Phase::Datagrams)
}

/// Drops errors that the program did not take.
fn drop_errors<P: Datagrams, C>(platform: &mut P, slot: &mut Slot<P::Socket, C>) {
    for _ in 0..DROPPED_MAX {
        if platform.next_error(&mut slot.socket).is_none() {
            slot.flags.clear(Flags::FAILED);
            return;
        }
    }
}

/// Datagrams of one run that every platform with segmentation offload takes (`UDP_MAX_SEGMENTS` of
/// Linux before 6.9).
const RUN_MAX: usize = 64;

/// Returns true if a departure lies inside the memory, and is no longer run than platforms take.
fn is_valid(departure: &Departure, memory: &[u8]) -> bool {
    let end = departure.start.checked_add(departure.len);
    let fits = end.is_some_and(|end| end <= memory.len());
    let segment = usize::from(departure.segment);
    fits && (segment == 0 || departure.len <= segment.saturating_mul(RUN_MAX))
}
