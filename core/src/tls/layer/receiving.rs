//! Data of an open connection on its way from the platform.
//!
//! # What is incomplete waits where it costs nobody
//!
//! A record that has come in part stays in the input it was read into only while other inputs are
//! free. When the last one is leased, it is looked at without taking it ([`Platform::peek`]): what
//! is whole is taken, and of what is not the platform reports the rest
//! ([`Platform::set_low_water`]). So the last input is leased for the length of a call, and peers
//! that never finish a record hold up nobody.
//!
//! In calls of the platform: a record costs none more than without TLS while inputs are free.
//! Else one more if it comes whole, and four if it does not: two looks, a mark, and its removal.
//!
//! A platform that cannot be looked into, or never holds a whole record, has records taken in part
//! whenever there is an input; then leases end when others wait, see
//! [`Pool`](crate::tls::layer::pool::Pool).

use crate::error::Error;
use crate::platform::{Platform, Recv};
use crate::tls::connection::event::Event;
use crate::tls::connection::unit::Unit;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::platform::Tls;
use crate::tls::layer::socket::TlsSocket;
use crate::tls::record::protection::OVERHEAD;
use crate::tls::wire::Output;

/// What a look into the platform has shown.
enum Looked {
    /// So many bytes are whole units, to be taken.
    Whole(usize),
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
        let is_idle = match (&received, self.pools.inputs.get(socket.input())) {
            (Ok(Recv::Finished) | Err(_), _) | (_, None) => true,
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
            let rest = buffer.get_mut(len..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(and_more(len));
            }
            let (_, mut setup, pools) = self.parts();
            let record = pools.inputs.get(socket.input()).ok_or(Error::Invalid)?;
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
                Event::Incomplete { .. } if len > 0 => return Ok(Recv::Data { len, drained }),
                // With nothing to deliver, whatever the platform says: the loop may have been told
                // of the peer's end, and would take this for the end of reading.
                Event::Incomplete { need } => {
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
    /// If no other input is free, only whole units are taken.
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
        if inputs.is_short() && !socket.flags.has(Flags::ENDING) {
            most = match self.look(socket, most)? {
                Looked::Whole(len) => len,
                Looked::Wait(waits) => return Ok(waits),
                Looked::Cannot => need,
            };
        }
        let record = self.pools.inputs.get(socket.input());
        let record = record.ok_or(Error::Invalid)?;
        let received = self
            .inner
            .recv(&mut socket.inner, record.spare_up_to(most))?;
        if let Recv::Data { len, .. } = received {
            record.commit(len);
            if record.low_water() > 0 {
                record.set_low_water(0);
                self.inner.set_low_water(&mut socket.inner, 1)?;
            }
        }
        Ok(received)
    }

    /// Looks at what has come without taking it.
    fn look(&mut self, socket: &mut TlsSocket<P::Socket>, most: usize) -> Result<Looked, Error> {
        let record = self.pools.inputs.get(socket.input());
        let record = record.ok_or(Error::Invalid)?;
        if !record.is_empty() {
            // Some of it was taken while others were free.
            return Ok(Looked::Cannot);
        }
        let len = match self.inner.peek(&mut socket.inner, record.spare()) {
            Ok(Recv::Data { len, .. }) => len,
            Ok(waits) => return Ok(Looked::Wait(waits)),
            Err(Error::Unsupported) => return Ok(Looked::Cannot),
            Err(error) => return Err(error),
        };
        match socket.connection.unit(record.uncommitted(len), most) {
            Unit::Whole(len) => Ok(Looked::Whole(len)),
            // Set again if it is the same, for a report without a reason, so that the next comes.
            Unit::Partial(need) => match self.inner.set_low_water(&mut socket.inner, need) {
                Ok(()) => {
                    record.set_low_water(u16::try_from(need).unwrap_or(u16::MAX));
                    Ok(Looked::Wait(Recv::WouldBlock))
                }
                // Reported with every byte instead.
                Err(Error::Unsupported) => Ok(Looked::Wait(Recv::WouldBlock)),
                // It never holds as many.
                Err(_) => Ok(Looked::Cannot),
            },
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
