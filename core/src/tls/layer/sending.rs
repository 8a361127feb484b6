//! Data of an open connection on its way to the platform, and the end of it.

use crate::error::Error;
use crate::platform::{Platform, Progress};
use crate::tls::alert::Alert;
use crate::tls::connection::traffic::CONTROL_MAX;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::leases::leased;
use crate::tls::layer::platform::{Tls, count_taken};
use crate::tls::layer::pool::Index;
use crate::tls::layer::slab::{Parked, TAIL_MAX};
use crate::tls::layer::socket::TlsSocket;
use crate::tls::record::parts::Parts;
use crate::tls::wire::{Output, part_mut};

/// Most bytes of a record where the last output is in use, with new keys before it: what is left of
/// it can be parked, and an alert behind it.
const SMALL_RECORD: usize = TAIL_MAX - CONTROL_MAX;

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Protects and sends the bytes of `parts`, in order.
    pub(crate) fn transmit(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        if socket.flags.has(Flags::FINISHING) || !socket.connection.is_open() {
            return Err(Error::Invalid);
        }
        if !self.flush_output(socket)? || !self.lease_output(socket)? {
            return Ok(0);
        }
        let mut sum = 0_usize;
        let sent = self.transmit_records(socket, parts, &mut sum);
        self.keep_output(socket);
        match sent {
            Err(error) if sum == 0 => Err(error),
            _ => Ok(sum),
        }
    }

    /// Parks what is left in the output if that is the last one; releases it if it is empty.
    fn keep_output(&mut self, socket: &mut TlsSocket<P::Socket>) {
        if self.pools.outputs.is_last_leased() {
            self.park_output(socket);
        }
        let output = self.pools.outputs.record(socket.output);
        if output.is_none_or(|record| record.is_empty()) {
            self.release_output(socket);
        }
    }

    /// Sends record after record, small ones together, until the platform takes less than it is
    /// given; counts what was taken.
    ///
    /// Records of which it takes nothing are made again later, so that they take no memory. Those
    /// of which it takes a part have to be kept: where no other output is free, they are so short
    /// together that their ends can be parked.
    fn transmit_records(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        parts: &[&[u8]],
        sum: &mut usize,
    ) -> Result<(), Error> {
        let mut rest = Parts::new(parts);
        let is_last = self.pools.outputs.is_last_leased();
        while !rest.is_empty() {
            let Self {
                inner,
                crypto,
                pools,
                breaches,
                ..
            } = self;
            let mut record = leased(pools.outputs.record(socket.output))?;
            let is_lone = !socket.connection.updates_keys();
            let sequence = socket.connection.send.sequence();
            let mut spare = record.spare();
            if is_last {
                let len = SMALL_RECORD.min(spare.len());
                spare = part_mut(spare, ..len);
            }
            let mut out = Output::new(spare);
            let taken = socket.connection.send_parts(crypto, &mut rest, &mut out);
            let len = out.len();
            record.commit(len);
            let taken = taken.map_err(|alert| Error::AlertSent(alert.code()))?;
            let most = record.filled().len();
            let count = match inner.send(&mut socket.inner, record.filled()) {
                Ok(count) => count_taken(breaches, count, most),
                Err(error) => {
                    record.clear();
                    socket.flags.set(Flags::BROKEN);
                    return Err(error);
                }
            };
            if count == 0 && is_lone {
                record.clear();
                socket.connection.send.take_back(sequence);
                return Ok(());
            }
            record.consume(count);
            *sum = sum.saturating_add(taken);
            if !record.is_empty() || taken == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what the output or a parked one holds; true if nothing is left.
    pub(crate) fn flush_output(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<bool, Error> {
        if !self.flush_tail(socket)? {
            return Ok(false);
        }
        let Some(mut record) = self.pools.outputs.record(socket.output) else {
            return Ok(true);
        };
        if record.is_empty() {
            return Ok(true);
        }
        let most = record.filled().len();
        let count = match self.inner.send(&mut socket.inner, record.filled()) {
            Ok(count) => count_taken(&mut self.breaches, count, most),
            Err(error) => {
                record.clear();
                socket.flags.set(Flags::BROKEN);
                return Err(error);
            }
        };
        record.consume(count);
        let is_empty = record.is_empty();
        if count > 0 {
            self.pools.outputs.touch(socket.output);
        }
        Ok(is_empty)
    }

    /// Sends the parked end of a record; true if nothing is left of it.
    fn flush_tail(&mut self, socket: &mut TlsSocket<P::Socket>) -> Result<bool, Error> {
        let Self {
            inner,
            pools,
            breaches,
            ..
        } = self;
        let Some(Parked::Tail(tail)) = pools.parked.get(socket.parked(), socket.id) else {
            return Ok(true);
        };
        let most = tail.filled().len();
        let sent = inner.send(&mut socket.inner, tail.filled());
        if let Ok(count) = sent {
            tail.consume(count_taken(breaches, count, most));
            if !tail.filled().is_empty() {
                return Ok(false);
            }
        } else {
            socket.flags.set(Flags::BROKEN);
        }
        // With nothing to be flushed, whatever comes of it.
        self.release_parked(socket);
        sent.map(|_| true)
    }

    /// Sends what is buffered of an open connection here and below.
    pub(crate) fn flush_all(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<Progress, Error> {
        self.check_leases(socket)?;
        match self.inner.flush(&mut socket.inner)? {
            Progress::Done => self.flush_and_end(socket),
            waits => Ok(waits),
        }
    }

    /// Returns true if the connection is open and something that has come cannot be read yet.
    pub(crate) fn waits_to_receive(&self, socket: &TlsSocket<P::Socket>) -> bool {
        socket.connection.is_open() && self.waits_for_input(socket)
    }

    /// Sends what is buffered of an open connection, and our end if it is due.
    pub(crate) fn flush_and_end(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
    ) -> Result<Progress, Error> {
        if !self.flush_output(socket)? {
            return Ok(Progress::Pending);
        }
        if !socket.flags.has(Flags::FINISHING) {
            self.release_output(socket);
            return Ok(match self.waits_for_output(socket) {
                true => Progress::Pending,
                false => Progress::Done,
            });
        }
        if !socket.flags.has(Flags::NOTIFIED) {
            if !self.lease_output(socket)? {
                return Ok(Progress::Pending);
            }
            let mut record = leased(self.pools.outputs.record(socket.output))?;
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
                self.keep_output(socket);
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

    /// Sends what is buffered and `close_notify`, as far as that takes no waiting; returns true if
    /// something is still buffered. Nothing is received from now on.
    pub(crate) fn send_close_notify(&mut self, socket: &mut TlsSocket<P::Socket>) -> bool {
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

    /// Sends an alert behind what is buffered. What the platform does not take is buffered as well,
    /// or lost if all outputs are leased.
    fn send_alert(&mut self, socket: &mut TlsSocket<P::Socket>, alert: Alert) {
        let mut bytes = [0; CONTROL_MAX];
        let mut out = Output::new(&mut bytes);
        let written = socket
            .connection
            .send_alert(&mut self.crypto, alert, &mut out);
        if written.is_err() {
            return;
        }
        if let Some(tail) = self.tail(socket) {
            // There is room, as none of it is used for data.
            tail.push(out.filled());
            return;
        }
        let leased = self.pools.outputs.record(socket.output);
        let count = match leased.is_some_and(|record| !record.is_empty()) {
            true => 0,
            // An error tells that the connection is over, as it is in any case.
            false => match self.inner.send(&mut socket.inner, out.filled()) {
                Ok(count) => count_taken(&mut self.breaches, count, out.len()),
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
            let index = self.pools.outputs.lease_now(id, 0);
            socket.output = index.unwrap_or(Index::NONE);
        }
        if let Some(mut record) = self.pools.outputs.record(socket.output) {
            record.push(rest);
        }
        self.keep_output(socket);
    }
}
