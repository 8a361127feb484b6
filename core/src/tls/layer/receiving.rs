//! Data of an open connection on its way from the platform.
//!
//! # What is incomplete waits where it costs nobody
//!
//! A record of which a part has come is either read in part, into an input that it then keeps, or
//! the platform is looked into ([`Platform::peek`]): what is whole is taken, and what is not is
//! looked at again when more has come. That goes by the inputs in use, its own among them, and by
//! how the connection's last record came:
//!
//! | inputs in use | the last one came as a whole | it did not |
//! |---|---|---|
//! | at most half, or the only one | read in part | read in part |
//! | more than half | read in part | looked at |
//! | all, or the others are kept for who waits | looked at | looked at |
//!
//! If a part has been read already, or nothing more will come, the rest is read in part too. So the
//! last input is leased for the length of a call, and peers that never finish a record hold up
//! nobody.
//!
//! After the first look in vain the platform is told to report only when the rest is there
//! ([`Platform::set_low_water`]), so that who sends bytes one by one wakes nobody. Where it cannot,
//! every arrival has to be reported ([`Platform::REPORTS_ARRIVALS`]).
//!
//! A platform may have no room for the rest: Linux counts the memory that it keeps bytes in, which
//! may be ten times as much, most of all of those that come from the same machine in runs of 64
//! KiB. It then closes the window, and reports what is there in spite of the mark
//! (`tcp_epollin_ready` in `net/ipv4/tcp_input.c`). So what is still not whole when it is reported
//! is taken in part.
//!
//! # Calls of the platform
//!
//! | a record | without looks | with looks |
//! |---|---|---|
//! | as a whole | one receive | a look, one receive |
//! | in `n` parts | `n` receives, and `n - 1` that find nothing | five calls |
//!
//! The five are a look, the mark, a look, the receive, and the mark's removal. With a header in
//! parts they are seven: it has a mark and a look of its own.
//!
//! So a whole record costs one call more only of a connection that has shown none before, while few
//! inputs are free, or as long as none is. There it cannot be had for less of a system's sockets:
//! what is received cannot be given back, there is no memory for a part of it, and nothing but a
//! call tells how much has come.
//!
//! # Where that cannot be
//!
//! A platform that cannot be looked into, reports no arrival and sets no mark, or never holds a
//! whole record, has records taken in part whenever there is an input; then leases end when others
//! wait, see [`Pool`](crate::tls::layer::pool::Pool).

use crate::error::Error;
use crate::platform::{Platform, Recv};
use crate::tls::connection::event::Event;
use crate::tls::connection::unit::Unit;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::leases::leased;
use crate::tls::layer::platform::{Tls, count_taken};
use crate::tls::layer::socket::{TlsSocket, Wait};
use crate::tls::record::protection::OVERHEAD;
use crate::tls::wire::{Output, part_mut};

/// What a look into the platform has shown.
enum Looked {
    /// So many bytes are whole units, to be taken; and whether they are all there is.
    Whole { len: usize, is_all: bool },
    /// Nothing is to be taken now.
    Wait(Recv),
    /// Whatever there is has to be taken, in part too.
    Cannot,
}

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Receives plaintext.
    pub(crate) fn receive(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        buffer: &mut [u8],
    ) -> Result<Recv, Error> {
        self.note_ending(socket);
        if socket.connection.is_ended() {
            // Perhaps with what came behind the end.
            self.release_input(socket);
            return Ok(Recv::Finished);
        }
        self.check_leases(socket)?;
        if !self.lease_input(socket)? {
            return Ok(Recv::Pending);
        }
        let received = self.receive_records(socket, buffer);
        if let Ok(Recv::Data { .. }) = received {
            self.pools.inputs.touch(socket.input());
        }
        let is_idle = match (&received, self.pools.inputs.record(socket.input())) {
            (Ok(Recv::Finished) | Err(_), _) | (_, None) => true,
            (Ok(Recv::Data { .. }), Some(mut record)) if record.is_empty() => {
                record.set_wait(record.wait().after_record());
                true
            }
            (_, Some(record)) => record.is_empty(),
        };
        if is_idle {
            self.release_input(socket);
        }
        if received.is_err() {
            // What broke does not end in order.
            socket.flags.set(Flags::NOTIFIED);
        }
        received
    }

    /// Fills `buffer` from as many records as have come.
    fn receive_records(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        buffer: &mut [u8],
    ) -> Result<Recv, Error> {
        let mut len = 0_usize;
        let mut drained = false;
        loop {
            let rest = part_mut(buffer, len..);
            if rest.is_empty() {
                return Ok(and_more(len));
            }
            let (_, mut setup, pools) = self.parts(socket.config);
            let mut record = leased(pools.inputs.record(socket.input()))?;
            if record.has_plain() {
                len = len.saturating_add(record.deliver(rest));
                continue;
            }
            let mut nothing = Output::new(&mut []);
            let input = record.filled_mut();
            let received = socket
                .connection
                .receive(&mut setup, None, input, &mut nothing);
            let received = match received {
                Ok(received) => received,
                Err(alert) => {
                    let error = self.fail(socket, alert);
                    // As with `Event::Failed` below.
                    if len > 0 {
                        return Ok(and_more(len));
                    }
                    return Err(error);
                }
            };
            match received.event {
                Event::Data { start, len } => record.set_plain(start, len, received.consumed),
                Event::Incomplete { .. } if len > 0 => {
                    record.note_part();
                    return Ok(Recv::Data { len, drained });
                }
                // With nothing to deliver, whatever the platform says: the loop may have been told
                // of the peer's end, and would take this for the end of reading.
                Event::Incomplete { need } => {
                    record.note_part();
                    // No more than can be delivered at once, so that the input empties.
                    let most = need.max(rest.len().saturating_add(OVERHEAD));
                    match self.fill(socket, need, most)? {
                        Recv::Data { drained: now, .. } => drained = now,
                        waits @ (Recv::WouldBlock | Recv::Pending) => return Ok(waits),
                        // Sending has failed before, with a better reason.
                        Recv::Finished if socket.flags.has(Flags::BROKEN) => {
                            return Ok(Recv::WouldBlock);
                        }
                        // RFC 8446, section 6.1: an end without close_notify may be a forgery.
                        Recv::Finished => return Err(Error::Truncated),
                    }
                }
                Event::Finished if len > 0 => {
                    record.consume(received.consumed);
                    return Ok(and_more(len));
                }
                Event::Finished => return Ok(Recv::Finished),
                // What came before is delivered first; the next call says the same again.
                Event::Failed(_) if len > 0 => return Ok(and_more(len)),
                Event::Failed(alert) => return Err(Error::AlertReceived(alert.code())),
                Event::Nothing | Event::Open | Event::Signing => record.consume(received.consumed),
            }
        }
    }

    /// Reads from the platform into the socket's input, so that at most `most` bytes are in it;
    /// `need` make the unit whole that begins there.
    ///
    /// If few inputs are free, only whole units are taken, see the [module](self).
    pub(crate) fn fill(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        need: usize,
        most: usize,
    ) -> Result<Recv, Error> {
        let inputs = &self.pools.inputs;
        let mut most = match inputs.is_wanted() {
            true => need,
            false => most,
        };
        let mut takes_all = false;
        let (is_last, is_scarce) = (inputs.is_last_leased(), inputs.is_scarce());
        let is_whole = self.comes_whole(socket);
        if (is_last || is_scarce && !is_whole) && !socket.flags.has(Flags::ENDING) {
            most = match self.look(socket, most)? {
                Looked::Whole { len, is_all } => {
                    takes_all = is_all;
                    len
                }
                Looked::Wait(waits) => return Ok(waits),
                Looked::Cannot if is_last => need,
                Looked::Cannot => most,
            };
        }
        let record = self.pools.inputs.record(socket.input());
        let mut record = leased(record)?;
        let room = record.spare_up_to(most);
        let room_len = room.len();
        let mut received = self.inner.recv(&mut socket.inner, room)?;
        if let Recv::Data { len, drained } = &mut received {
            *len = count_taken(&mut self.breaches, *len, room_len);
            record.commit(*len);
            // What has come since is reported. This spares a receive that would find nothing.
            *drained |= takes_all && *len == most;
            // How this socket's records come, or the mark up to which the platform was to wait.
            let wait = record.wait();
            record.set_wait(wait.after_receive());
            if wait.mark().is_some() {
                self.inner.set_low_water(&mut socket.inner, 1)?;
            }
        }
        Ok(received)
    }

    /// Returns true if the socket's last record came as a whole.
    fn comes_whole(&mut self, socket: &TlsSocket<P::Socket>) -> bool {
        let record = self.pools.inputs.record(socket.input());
        record.is_some_and(|record| record.wait().is_whole())
    }

    /// Looks at what has come without taking it.
    fn look(&mut self, socket: &mut TlsSocket<P::Socket>, most: usize) -> Result<Looked, Error> {
        let record = self.pools.inputs.record(socket.input());
        let mut record = leased(record)?;
        if !record.is_empty() {
            // Some of it was taken while others were free.
            return Ok(Looked::Cannot);
        }
        let spare = record.spare();
        let room = spare.len();
        let seen = match self.inner.peek(&mut socket.inner, spare) {
            Ok(Recv::Data { len, .. }) => count_taken(&mut self.breaches, len, room),
            Ok(waits) => return Ok(Looked::Wait(waits)),
            Err(Error::Unsupported) => return Ok(Looked::Cannot),
            Err(error) => return Err(error),
        };
        let need = match socket.connection.unit(record.uncommitted(seen), most) {
            Unit::Whole(len) => {
                let is_all = P::REPORTS_ARRIVALS && len == seen && seen < room;
                return Ok(Looked::Whole { len, is_all });
            }
            Unit::Partial(need) => need,
        };
        // Reported before there is what the mark says: the platform has no room for it.
        let mark = record.wait().mark();
        if P::REPORTS_ARRIVALS && mark.is_some_and(|mark| seen < mark) {
            return Ok(Looked::Cannot);
        }
        // Set again if it is the same, for a report without a reason, so that the next comes.
        let reports = P::REPORTS_ARRIVALS && !socket.flags.has(Flags::NARROW);
        match self.inner.set_low_water(&mut socket.inner, need) {
            Ok(()) => {
                record.set_wait(Wait::with_mark(need));
                Ok(Looked::Wait(Recv::WouldBlock))
            }
            Err(Error::Unsupported) if reports => Ok(Looked::Wait(Recv::WouldBlock)),
            // It never holds as many, or would not report them.
            Err(_) => Ok(Looked::Cannot),
        }
    }
}

/// What was received while there may be more.
const fn and_more(len: usize) -> Recv {
    Recv::Data {
        len,
        drained: false,
    }
}
