//! The client's side of resumption: tickets of servers (RFC 8446, section 4.6.1).

use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Crypto, Secret, Suite};
use crate::tls::handshake::extension::Extensions;
use crate::tls::handshake::hello::NAME_MAX;
use crate::tls::record::schedule::expand_label;
use crate::tls::wire::{Reader, copy};

/// Longest ticket that is kept. Those of other implementations have 100 to 300 bytes.
const TICKET_MAX: usize = 512;
/// Longest life of a ticket (RFC 8446, section 4.6.1): seven days.
const LIFETIME_MAX: u32 = 604_800;

/// A place for one server's ticket, with which a client can resume without certificates, once: a
/// ticket that has been offered is not offered again, whatever comes of it.
///
/// A ticket stands for the verification of the certificate that came before it: places are to be
/// [cleared](Self::clear) when authorities are no longer trusted. All zero bytes when empty; its
/// key is wiped when it is replaced.
pub struct Session {
    name: [u8; NAME_MAX],
    /// 0 if nothing is in the place.
    name_len: u8,
    ticket: [u8; TICKET_MAX],
    /// 0 while the connection waits for a ticket.
    ticket_len: u16,
    /// Tells what is in the place now from what was there before; 0 if there was nothing ever.
    serial: u16,
    /// The ticket's key or, while the connection waits for one, what it will be made of.
    secret: Secret,
    suite: Suite,
    age_add: u32,
    /// In seconds; 0 once the ticket has been offered.
    lifetime: u32,
    /// When the ticket or the wait for it began, in seconds since 1970.
    since: u64,
}

/// Where a session is, as long as it is there. All zero bytes if nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SessionAt {
    index: u16,
    serial: u16,
}

impl SessionAt {
    pub(crate) const NOWHERE: Self = Self {
        index: 0,
        serial: 0,
    };

    /// Returns the session, if it has not been replaced.
    pub(crate) fn get(self, sessions: &mut [Session]) -> Option<&mut Session> {
        let session = sessions.get_mut(usize::from(self.index))?;
        let is_there = session.serial == self.serial && !session.is_empty();
        is_there.then_some(session)
    }
}

impl Session {
    /// A place with nothing in it.
    pub const EMPTY: Self = Self {
        name: [0; NAME_MAX],
        name_len: 0,
        ticket: [0; TICKET_MAX],
        ticket_len: 0,
        serial: 0,
        secret: Secret::ZERO,
        suite: Suite::Aes128GcmSha256,
        age_add: 0,
        lifetime: 0,
        since: 0,
    };

    /// Forgets what is in the place.
    pub fn clear(&mut self) {
        let serial = self.serial;
        *self = Self::EMPTY;
        self.serial = serial;
    }

    const fn is_empty(&self) -> bool {
        self.name_len == 0
    }

    /// Returns the ticket; empty while there is none.
    pub(crate) fn ticket(&self) -> &[u8] {
        self.ticket
            .get(..usize::from(self.ticket_len))
            .unwrap_or_default()
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the ticket's age in milliseconds as it goes over the wire (RFC 8446, section
    /// 4.2.11.1).
    pub(crate) fn obfuscated_age(&self, now: u64) -> u32 {
        let seconds = now.saturating_sub(self.since).min(LIFETIME_MAX.into());
        let millis = u32::try_from(seconds.saturating_mul(1_000)).unwrap_or(u32::MAX);
        millis.wrapping_add(self.age_add)
    }

    fn is_for(&self, name: &[u8]) -> bool {
        let own = self.name.get(..usize::from(self.name_len));
        !self.is_empty() && own.is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    fn is_good(&self, now: u64) -> bool {
        let age = now.checked_sub(self.since);
        self.ticket_len != 0 && age.is_some_and(|age| age < u64::from(self.lifetime))
    }

    /// Takes a ticket: the content of a `NewSessionTicket`. Only the first of a connection is
    /// kept.
    ///
    /// # Errors
    /// `decode_error`, `illegal_parameter`: the message is malformed.
    pub(crate) fn take_ticket<C: Crypto>(&mut self, now: u64, content: &[u8]) -> Result<(), Alert> {
        let mut reader = Reader::new(content);
        let lifetime = reader.u32()?;
        let age_add = reader.u32()?;
        let nonce = reader.vector8()?;
        let ticket = reader.vector16()?;
        let mut extensions = Extensions::new(&mut reader)?;
        while extensions.next()?.is_some() {}
        if ticket.is_empty() {
            return Err(Alert::DECODE_ERROR);
        }
        let len = u16::try_from(ticket.len()).unwrap_or(u16::MAX);
        if self.ticket_len != 0 || lifetime == 0 || !copy(&mut self.ticket, ticket) {
            return Ok(());
        }
        let hash = self.suite.hash();
        let mut key = Secret::ZERO;
        let label = b"resumption";
        expand_label::<C::Hasher>(hash, &self.secret, label, nonce, key.get_mut(hash));
        self.secret = key;
        self.ticket_len = len;
        self.lifetime = lifetime.min(LIFETIME_MAX);
        self.age_add = age_add;
        self.since = now;
        Ok(())
    }
}

/// Takes a ticket that is good for the server `name`, to be offered. It is not found again.
pub(crate) fn take(sessions: &mut [Session], name: &[u8], now: u64) -> SessionAt {
    let good = |session: &Session| session.is_for(name) && session.is_good(now);
    let position = sessions.iter().position(good);
    position.map_or(SessionAt::NOWHERE, |position| {
        if let Some(session) = sessions.get_mut(position) {
            session.lifetime = 0;
        }
        at(sessions, position)
    })
}

/// Makes a place ready for the ticket that the server `name` may send, which will be made of
/// `master`: an empty one, or the server's, or the oldest.
pub(crate) fn expect(
    sessions: &mut [Session],
    name: &[u8],
    suite: Suite,
    master: Secret,
    now: u64,
) -> SessionAt {
    let rank = |session: &Session| {
        let is_empty = session.is_empty();
        (!is_empty, !session.is_for(name), session.since)
    };
    let lowest = sessions.iter().map(rank).min();
    let position = sessions
        .iter()
        .position(|session| Some(rank(session)) == lowest)
        .unwrap_or_default();
    let Some(session) = sessions.get_mut(position) else {
        return SessionAt::NOWHERE;
    };
    session.clear();
    if let Ok(len) = u8::try_from(name.len())
        && copy(&mut session.name, name)
    {
        session.name_len = len;
        session.serial = session.serial.wrapping_add(1).max(1);
        session.suite = suite;
        session.secret = master;
        session.since = now;
    }
    at(sessions, position)
}

fn at(sessions: &[Session], position: usize) -> SessionAt {
    match (u16::try_from(position), sessions.get(position)) {
        (Ok(index), Some(session)) => SessionAt {
            index,
            serial: session.serial,
        },
        _ => SessionAt::NOWHERE,
    }
}
