//! Data of an open connection through the layer.

use crate::error::Error;
use crate::platform::{Platform, Progress, Recv};
use crate::tls::alert::Alert;
use crate::tls::connection::event::Event;
use crate::tls::connection::traffic::CONTROL_MAX;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::lease::Index;
use crate::tls::layer::platform::{Tls, TlsSocket};
use crate::tls::record::parts::Parts;
use crate::tls::wire::Output;

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Receives plaintext.
    pub(crate) fn receive(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        buffer: &mut [u8],
    ) -> Result<Recv, Error> {
        if socket.connection.is_ended() {
            // Perhaps with what came behind the end.
            self.release_input(socket);
            return Ok(Recv::Finished);
        }
        self.check_loans(socket)?;
        if !self.has_input(socket)? {
            return Ok(Recv::Pending);
        }
        let received = self.receive_records(socket, buffer);
        if let Ok(Recv::Data { .. }) = received {
            self.lenders.inputs.touch(socket.input);
        }
        let is_idle = match (&received, self.lenders.inputs.get(socket.input)) {
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
            let (inner, mut setup, lenders) = self.parts();
            let is_wanted = lenders.inputs.is_wanted();
            let record = lenders.inputs.get(socket.input).ok_or(Error::Invalid)?;
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
                    // Where others wait, no more than the record, so that the input empties.
                    let most = if is_wanted { need } else { usize::MAX };
                    match inner.recv(&mut socket.inner, record.spare_up_to(most))? {
                        Recv::Data { len, drained: now } => {
                            record.commit(len);
                            drained = now;
                        }
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

    /// Protects and sends the bytes of `parts`, in order.
    pub(crate) fn transmit(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        if socket.flags.has(Flags::FINISHING) || !socket.connection.is_open() {
            return Err(Error::Invalid);
        }
        if !self.flush_output(socket)? || !self.has_output(socket)? {
            return Ok(0);
        }
        let mut sum = 0_usize;
        let sent = self.transmit_records(socket, parts, &mut sum);
        let is_idle = match self.lenders.outputs.get(socket.output) {
            Some(record) => record.is_empty(),
            None => true,
        };
        if is_idle {
            self.release_output(socket);
        }
        match sent {
            Err(error) if sum == 0 => Err(error),
            _ => Ok(sum),
        }
    }

    /// Sends record after record until the platform takes less than one; counts what was taken.
    fn transmit_records(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        parts: &[&[u8]],
        sum: &mut usize,
    ) -> Result<(), Error> {
        let mut rest = Parts::new(parts);
        while !rest.is_empty() {
            let (inner, setup, lenders) = self.parts();
            let record = lenders.outputs.get(socket.output).ok_or(Error::Invalid)?;
            let mut out = Output::new(record.spare());
            let taken = socket
                .connection
                .send_parts(setup.crypto, &mut rest, &mut out);
            let len = out.len();
            record.commit(len);
            let taken = taken.map_err(|alert| Error::AlertSent(alert.code()))?;
            match inner.send(&mut socket.inner, record.filled()) {
                Ok(count) => record.consume(count),
                Err(error) => {
                    record.clear();
                    socket.flags.set(Flags::BROKEN);
                    return Err(error);
                }
            }
            *sum = sum.saturating_add(taken);
            if !record.is_empty() || taken == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what is held; whether nothing is any more.
    pub(crate) fn flush_output(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<bool, Error> {
        let Some(record) = self.lenders.outputs.get(socket.output) else {
            return Ok(true);
        };
        if !record.is_empty() {
            let count = match self.inner.send(&mut socket.inner, record.filled()) {
                Ok(count) => count,
                Err(error) => {
                    record.clear();
                    socket.flags.set(Flags::BROKEN);
                    return Err(error);
                }
            };
            record.consume(count);
            let is_empty = record.is_empty();
            if count > 0 {
                self.lenders.outputs.touch(socket.output);
            }
            return Ok(is_empty);
        }
        Ok(true)
    }

    /// Sends what is held of an open connection here and below.
    pub(crate) fn flush_all(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<Progress, Error> {
        self.check_loans(socket)?;
        match self.inner.flush(&mut socket.inner)? {
            Progress::Done => self.drain(socket),
            waits => Ok(waits),
        }
    }

    /// Returns true if the connection is open and something that has come cannot be read yet.
    pub(crate) fn waits_to_receive(&self, socket: &TlsSocket<P::Socket>) -> bool {
        socket.connection.is_open() && self.waits_for_input(socket)
    }

    /// Sends what is held of an open connection, and our end if it is due.
    pub(crate) fn drain(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<Progress, Error> {
        if !self.flush_output(socket)? {
            return Ok(Progress::Pending);
        }
        if !socket.flags.has(Flags::FINISHING) {
            self.release_output(socket);
            let waits = socket.flags.has(Flags::WAITS_FOR_OUTPUT)
                && socket
                    .id()
                    .is_some_and(|id| self.lenders.outputs.is_waiting(id));
            return Ok(if waits {
                Progress::Pending
            } else {
                Progress::Done
            });
        }
        if !socket.flags.has(Flags::NOTIFIED) {
            if !self.has_output(socket)? {
                return Ok(Progress::Pending);
            }
            let record = self
                .lenders
                .outputs
                .get(socket.output)
                .ok_or(Error::Invalid)?;
            let mut out = Output::new(record.spare());
            let alert = Alert::CLOSE_NOTIFY;
            let written = socket
                .connection
                .send_alert(&mut self.crypto, alert, &mut out);
            let len = out.len();
            record.commit(len);
            written.map_err(|alert| Error::AlertSent(alert.code()))?;
            socket.flags.set(Flags::NOTIFIED);
            if !self.flush_output(socket)? {
                return Ok(Progress::Pending);
            }
        }
        self.release_output(socket);
        if socket.flags.has(Flags::FINISHED) {
            return Ok(Progress::Done);
        }
        let progress = self.inner.finish(&mut socket.inner)?;
        socket.flags.set(Flags::FINISHED);
        Ok(progress)
    }

    /// Sends what is held and `close_notify`, as far as that takes no waiting; whether something
    /// is held still. Nothing is received from now on.
    pub(crate) fn say_goodbye(&mut self, socket: &mut TlsSocket<P::Socket>) -> bool {
        if !socket.connection.is_open() || socket.flags.has(Flags::BROKEN) {
            return false;
        }
        self.release_input(socket);
        self.leave_queues(socket);
        if self.flush_output(socket).is_err() {
            return false;
        }
        if !socket.flags.has(Flags::NOTIFIED) {
            self.send_alert(socket, Alert::CLOSE_NOTIFY);
        }
        socket.flags.set(Flags::NOTIFIED);
        socket.flags.set(Flags::FINISHING);
        socket.flags.set(Flags::FINISHED);
        matches!(self.flush_output(socket), Ok(false))
    }

    /// Tells the peer why the connection ends, as far as that takes no waiting; returns the error
    /// for the program.
    pub(crate) fn fail(&mut self, socket: &mut TlsSocket<P::Socket>, alert: Alert) -> Error {
        if !socket.flags.has(Flags::NOTIFIED) && matches!(self.flush_output(socket), Ok(true)) {
            self.send_alert(socket, alert);
        }
        socket.flags.set(Flags::NOTIFIED);
        Error::AlertSent(alert.code())
    }

    /// Sends an alert behind what is held. What the platform does not take is held as well, or
    /// lost if all outputs are lent.
    fn send_alert(&mut self, socket: &mut TlsSocket<P::Socket>, alert: Alert) {
        let mut bytes = [0; CONTROL_MAX];
        let mut out = Output::new(&mut bytes);
        let written = socket
            .connection
            .send_alert(&mut self.crypto, alert, &mut out);
        if written.is_err() {
            return;
        }
        let held = self.lenders.outputs.get(socket.output);
        let count = match held.is_some_and(|record| !record.is_empty()) {
            true => 0,
            // An error tells that the connection is over, as it is in any case.
            false => match self.inner.send(&mut socket.inner, out.filled()) {
                Ok(count) => count,
                Err(_) => return,
            },
        };
        let rest = out.filled().get(count..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        if !socket.output.is_some()
            && let Some(id) = socket.id()
        {
            let index = self.lenders.outputs.take_now(id, 0);
            socket.output = index.unwrap_or(Index::NONE);
        }
        if let Some(record) = self.lenders.outputs.get(socket.output) {
            record.push(rest);
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
