//! A connection after the handshake: data, alerts, new keys.

use crate::injected_bug::injected_bug;
use crate::tls::alert::Alert;
use crate::tls::connection::event::Event;
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Failure, Role, State};
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::message::{self, NEW_SESSION_TICKET};
use crate::tls::record::parts::Parts;
use crate::tls::record::protection::{Content, HEADER, OVERHEAD, put_header};
use crate::tls::wire::{Output, split};

const KEY_UPDATE: u8 = 24;
/// Bytes of a `KeyUpdate` message.
const KEY_UPDATE_LEN: usize = 5;
/// Most empty records and warnings in a row.
const IDLE_MAX: u8 = 32;
/// Most new keys in a row. Tickets are not counted: a server may send any number (RFC 8446, section
/// 4.6.1), and they cost little.
const UPDATES_MAX: u8 = 32;

/// Bytes of a change-cipher-spec record.
const CHANGE_LEN: usize = HEADER + 1;
/// Bytes of an alert.
const ALERT_LEN: usize = 2;

/// Bytes of output that an alert or a `KeyUpdate` needs at most.
pub const CONTROL_MAX: usize = {
    let alert = CHANGE_LEN + OVERHEAD + ALERT_LEN;
    let update = OVERHEAD + KEY_UPDATE_LEN;
    if alert > update { alert } else { update }
};

impl Connection {
    /// Adds a record to `out` with as much of `data` as fits it and the room, and as many more as
    /// there is room for as a whole, where the peer wants small ones; returns how much of `data`
    /// that was. New keys, when they are due, come first, in a record of their own.
    ///
    /// 0 when the room is less than [`OVERHEAD`], [`CONTROL_MAX`] and one byte together, or
    /// `data` is empty.
    ///
    /// # Errors
    /// `internal_error`: the connection is not open, or the cryptography failed.
    pub fn send<C: Crypto>(
        &mut self,
        crypto: &mut C,
        data: &[u8],
        out: &mut Output<'_>,
    ) -> Result<usize, Alert> {
        self.send_parts(crypto, &mut Parts::new(&[data]), out)
    }

    /// As [`Self::send`], with data that lies in several places.
    pub(crate) fn send_parts<C: Crypto>(
        &mut self,
        crypto: &mut C,
        data: &mut Parts<'_>,
        out: &mut Output<'_>,
    ) -> Result<usize, Alert> {
        if self.state != State::Open {
            return Err(Alert::INTERNAL_ERROR);
        }
        let least = OVERHEAD.saturating_add(CONTROL_MAX);
        if data.is_empty() || out.room() <= least {
            return Ok(0);
        }
        if self.updates_keys() {
            self.update_keys(crypto, false, out)?;
        }
        let limit = usize::from(self.limit);
        let mut sum = 0_usize;
        loop {
            let sealed = self
                .send
                .seal(crypto, self.suite, Content::Data, data, limit, out);
            sum = sum.wrapping_add(sealed?);
            // One that does not fit goes with the next call: it would be cut for no reason.
            let fits = out.room() >= OVERHEAD.saturating_add(limit);
            if data.is_empty() || !fits || self.updates_keys() {
                return Ok(sum);
            }
        }
    }

    /// Returns true if the next data goes under new keys.
    pub(crate) const fn updates_keys(&self) -> bool {
        self.owes_update || self.send.is_worn()
    }

    /// Adds a `KeyUpdate` and takes new keys for sending (RFC 8446, section 4.6.3). With
    /// `request` the peer is to do the same. Needs [`CONTROL_MAX`] bytes of room.
    ///
    /// # Errors
    /// `internal_error`: the connection is not open, or there is too little room.
    pub fn update_keys<C: Crypto>(
        &mut self,
        crypto: &mut C,
        request: bool,
        out: &mut Output<'_>,
    ) -> Result<(), Alert> {
        if self.state != State::Open || out.room() < CONTROL_MAX {
            return Err(Alert::INTERNAL_ERROR);
        }
        let message = [KEY_UPDATE, 0, 0, 1, u8::from(request)];
        self.seal_all(crypto, Content::Handshake, &message, out)?;
        self.send.update::<C>(self.suite);
        self.owes_update = false;
        Ok(())
    }

    /// Returns whether the peer asked for new keys and [`Self::update_keys`] or
    /// [`Self::send`] has not answered yet.
    #[must_use]
    pub const fn owes_update(&self) -> bool {
        self.owes_update
    }

    /// Adds an alert: `close_notify` ends our direction, any other the connection. Needs
    /// [`CONTROL_MAX`] bytes of room.
    ///
    /// # Errors
    /// `internal_error`: there is too little room, or the cryptography failed.
    pub fn send_alert<C: Crypto>(
        &mut self,
        crypto: &mut C,
        alert: Alert,
        out: &mut Output<'_>,
    ) -> Result<(), Alert> {
        let content = [alert.level(), alert.code()];
        if self.can_seal {
            // RFC 8446, appendix D.4: before the first protected record, whatever that is.
            if core::mem::take(&mut self.owes_change) {
                message::put_change(out)?;
            }
            self.seal_all(crypto, Content::Alert, &content, out)
        } else {
            put_header(out, Content::Alert, content.len())?;
            out.put(&content)
        }
    }

    /// Protects all of `bytes` in as many records as the peer's limit demands.
    pub(crate) fn seal_all<C: Crypto>(
        &mut self,
        crypto: &mut C,
        content: Content,
        bytes: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), Alert> {
        let limit = usize::from(self.limit);
        let parts = [bytes];
        let mut rest = Parts::new(&parts);
        while !rest.is_empty() {
            let taken = self
                .send
                .seal(crypto, self.suite, content, &mut rest, limit, out)?;
            if taken == 0 {
                return Err(Alert::INTERNAL_ERROR);
            }
        }
        Ok(())
    }

    /// Takes application data that was opened in place behind a record's header.
    pub(crate) fn on_data(&mut self, data: &[u8]) -> Result<Event, Alert> {
        if data.is_empty() {
            return self.count_idle();
        }
        self.idle = 0;
        self.updates = 0;
        Ok(Event::Data {
            start: HEADER,
            len: data.len(),
        })
    }

    /// Takes an alert (RFC 8446, section 6).
    pub(crate) fn on_alert(&mut self, content: &[u8]) -> Result<Event, Alert> {
        // RFC 8446, section 5.1: a record of an alert is one whole alert.
        let [_level, code] = content else {
            return Err(match content.is_empty() {
                true => Alert::UNEXPECTED_MESSAGE,
                false => Alert::DECODE_ERROR,
            });
        };
        match Alert::from_code(*code) {
            Alert::CLOSE_NOTIFY if self.state == State::Open => {
                self.is_ended = true;
                Ok(Event::Finished)
            }
            Alert::USER_CANCELED => self.count_idle(),
            // Whatever its level says, any other is fatal; so is an end before the beginning.
            alert => {
                self.state = State::Failed;
                self.failure = Failure::Received(alert);
                Ok(Event::Failed(alert))
            }
        }
    }

    /// Counts a record that brings nothing, so that a peer cannot send them for ever.
    fn count_idle(&mut self) -> Result<Event, Alert> {
        if self.idle >= IDLE_MAX {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        self.idle = self.idle.saturating_add(1);
        Ok(Event::Nothing)
    }

    /// Takes messages that come after the handshake: `KeyUpdate`, and a client's tickets.
    pub(crate) fn on_later_messages<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        bytes: &[u8],
    ) -> Result<Event, Alert> {
        if bytes.is_empty() {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.skip > 0 {
                rest = self.on_ticket_part(setup, rest)?;
                continue;
            }
            rest = after;
            if let Some(slot) = self.header.get_mut(usize::from(self.header_len)) {
                *slot = *byte;
                self.header_len = self.header_len.saturating_add(1);
                self.check_header()?;
                if self.skip > 0
                    && let Some(session) = self.session.get(setup.sessions)
                {
                    session.begin_ticket();
                }
            } else {
                self.on_key_update::<C>(*byte)?;
                if !rest.is_empty() {
                    return Err(Alert::UNEXPECTED_MESSAGE);
                }
            }
        }
        Ok(Event::Nothing)
    }

    /// Checks what is known of a message's header, and starts skipping a ticket.
    fn check_header(&mut self) -> Result<(), Alert> {
        let [kind, high, middle, low] = self.header;
        let is_ticket = kind == NEW_SESSION_TICKET && self.role == Role::Client;
        if kind != KEY_UPDATE && !is_ticket {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        if self.header_len < 4 {
            return Ok(());
        }
        let len = u32::from_be_bytes([0, high, middle, low]);
        if is_ticket {
            if len == 0 {
                return Err(Alert::DECODE_ERROR);
            }
            self.skip = len;
            return Ok(());
        }
        if self.updates >= UPDATES_MAX {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        self.updates = self.updates.saturating_add(1);
        match len {
            1 => Ok(()),
            _ => Err(Alert::DECODE_ERROR),
        }
    }

    /// Takes what is there of a ticket, keeps it if there is a place for it, and returns the bytes
    /// after it.
    fn on_ticket_part<'a, C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], Alert> {
        let left = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let count = left.min(bytes.len());
        let (part, rest) = split(bytes, count);
        self.skip = self
            .skip
            .saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        let now = setup.crypto.unix_seconds();
        let session = self.session.get(setup.sessions);
        if self.skip == 0 {
            self.header_len = 0;
        }
        if let Some(session) = session {
            session.add_ticket_part(part);
            if self.skip == 0 {
                session.end_ticket::<C>(now)?;
            }
        }
        Ok(rest)
    }

    fn on_key_update<C: Crypto>(&mut self, request: u8) -> Result<(), Alert> {
        if request > 1 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        self.header_len = 0;
        if !injected_bug!(StaleKeys) {
            self.receive.update::<C>(self.suite);
        }
        self.owes_update |= request == 1;
        Ok(())
    }
}
