//! The client's side of resumption: tickets of servers (RFC 8446, section 4.6.1).

use pki_types::TrustAnchor;

use crate::tls::alert::Alert;
use crate::tls::certificate::ocsp::OcspPolicy;
use crate::tls::certificate::revocation::RevocationList;
use crate::tls::crypto::provider::{Crypto, Secret, Suite};
use crate::tls::handshake::extension::Extensions;
use crate::tls::handshake::hello::NAME_MAX;
use crate::tls::record::schedule::expand;
use crate::tls::wire::{Reader, Sum, copy, fit, part};

/// Longest `NewSessionTicket` whose ticket is kept. Most tickets have 100 to 300 bytes; those that
/// have a client's certificates in them are longer.
const TICKET_MAX: usize = 1_536;
/// Longest life of a ticket (RFC 8446, section 4.6.1): seven days.
const LIFETIME_MAX: u32 = 604_800;
/// How long tickets may take the place of certificates, from one to the next: seven days after the
/// certificates were shown.
pub(crate) const RESUMPTION_MAX: u64 = 604_800;

/// A place for one server's ticket, with which a client can resume without certificates, once: a
/// ticket that has been offered is not offered again, whatever comes of it.
///
/// A ticket stands for the verification of the certificate that came before it. It is good as long
/// as that certificate, and for a week at most, however often it is replaced by a new one; and only
/// for the name, the port and the configuration that it came from, with the same authorities, lists
/// of revoked certificates and policy of OCSP. With such lists it is good until the next update of
/// those of the certificate's issuers, and with a response of OCSP until that is out of date. About
/// 2 KB. All zero bytes when empty; its key is wiped when
/// it is replaced.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub struct Session {
    name: [u8; NAME_MAX],
    /// 0 if nothing is in the place.
    name_len: u8,
    /// The content of the message that the ticket came in, and where in it the ticket is.
    message: [u8; TICKET_MAX],
    ticket_start: u16,
    /// 0 while the connection waits for a ticket.
    ticket_len: u16,
    /// Bytes of the message that have come; more than there is room for if it is too long.
    message_len: u16,
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
    authentication: Authentication,
    target: Target,
}

/// What a ticket is good for besides the server's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Target {
    pub(crate) port: u16,
    /// The index of the layer's configuration.
    pub(crate) config: u16,
    /// Tells from others whom the client trusted: authorities, and what revokes their certificates.
    pub(crate) trust: Sum,
}

impl Target {
    pub(crate) const ANY: Self = Self {
        port: 0,
        config: 0,
        trust: Sum::NONE,
    };

    /// Notes whom a client trusts.
    pub(crate) fn set_trust(
        &mut self,
        roots: &[TrustAnchor<'_>],
        ocsp: OcspPolicy,
        revoked: &[RevocationList<'_>],
    ) {
        let mut sum = Sum::NONE;
        for root in roots {
            // Of a key, the end is the number itself.
            let key = root.subject_public_key_info.as_ref();
            sum.add(part(key, key.len().saturating_sub(32)..));
        }
        sum.add(&[match ocsp {
            OcspPolicy::Off => 0,
            OcspPolicy::Requested => 1,
            OcspPolicy::Required => 2,
        }]);
        for list in revoked {
            sum.add(&list.sum().bytes());
        }
        self.trust = sum;
    }
}

/// When certificates were shown, and how long they may stand for who showed them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Authentication {
    /// In seconds since 1970, as the other.
    pub(crate) at: u64,
    /// Until when the certificates are good.
    pub(crate) not_after: u64,
}

/// Where a session is, as long as it is there. All zero bytes if nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
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
        message: [0; TICKET_MAX],
        ticket_start: 0,
        ticket_len: 0,
        message_len: 0,
        serial: 0,
        secret: Secret::ZERO,
        suite: Suite::Aes128GcmSha256,
        age_add: 0,
        lifetime: 0,
        since: 0,
        authentication: Authentication {
            at: 0,
            not_after: 0,
        },
        target: Target::ANY,
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
        let ticket = part(&self.message, usize::from(self.ticket_start)..);
        part(ticket, ..usize::from(self.ticket_len))
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

    fn is_for(&self, name: &[u8], target: &Target) -> bool {
        let own = self.name.get(..usize::from(self.name_len));
        let is_named = own.is_some_and(|own| own.eq_ignore_ascii_case(name));
        !self.is_empty() && is_named && self.target == *target
    }

    fn is_good(&self, now: u64) -> bool {
        let age = now.checked_sub(self.since);
        let is_young = age.is_some_and(|age| age < u64::from(self.lifetime));
        let since_shown = now.checked_sub(self.authentication.at);
        let is_proved = since_shown.is_some_and(|age| age < RESUMPTION_MAX);
        self.ticket_len != 0 && is_young && is_proved && now <= self.authentication.not_after
    }

    /// Returns how long the server's certificates stand for it.
    pub(crate) const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// Notes what the ticket that may come will be made of, the `master` secret of resumption, and
    /// how long it may stand in for certificates: see [`Self::authentication`].
    pub(crate) fn expect_ticket(
        &mut self,
        suite: Suite,
        master: Secret,
        authentication: Authentication,
    ) {
        self.suite = suite;
        self.secret = master;
        self.authentication = authentication;
    }

    /// Starts a `NewSessionTicket`. Only the first of a connection is kept.
    pub(crate) const fn begin_ticket(&mut self) {
        if self.ticket_len == 0 {
            self.message_len = 0;
        }
    }

    /// Adds a part of the message's content.
    pub(crate) fn add_ticket_part(&mut self, part: &[u8]) {
        if self.ticket_len != 0 {
            return;
        }
        let start = usize::from(self.message_len);
        let place = self.message.get_mut(start..).unwrap_or_default();
        let end = u16::try_from(start.saturating_add(part.len()));
        self.message_len = match end {
            Ok(end) if copy(place, part) => end,
            // Longer than there is room for, and so it stays.
            _ => u16::MAX,
        };
    }

    /// Takes the ticket when all of the message has come, unless it is too long.
    ///
    /// # Errors
    /// `decode_error`, `illegal_parameter`: the message is malformed.
    pub(crate) fn end_ticket<C: Crypto>(&mut self, now: u64) -> Result<(), Alert> {
        let len = usize::from(self.message_len);
        if self.ticket_len != 0 {
            return Ok(());
        }
        let Some(content) = self.message.get(..len) else {
            return Ok(());
        };
        let mut reader = Reader::new(content);
        let lifetime = reader.u32()?;
        let age_add = reader.u32()?;
        let nonce = reader.vector8()?;
        let ticket = reader.vector16()?;
        let end = len.saturating_sub(reader.len());
        let mut extensions = Extensions::new(&mut reader)?;
        while extensions.next()?.is_some() {}
        if ticket.is_empty() {
            return Err(Alert::DECODE_ERROR);
        }
        if lifetime == 0 {
            return Ok(());
        }
        let start = end.saturating_sub(ticket.len());
        let ticket_len = fit(ticket.len());
        let hash = self.suite.hash();
        self.secret = expand::<C::Hasher>(hash, &self.secret, b"resumption", nonce);
        self.ticket_start = fit(start);
        self.ticket_len = ticket_len;
        self.lifetime = lifetime.min(LIFETIME_MAX);
        self.age_add = age_add;
        self.since = now;
        Ok(())
    }
}

/// Takes a ticket that is good for the server `name`, to be offered. It is not found again.
pub(crate) fn take(sessions: &mut [Session], name: &[u8], target: &Target, now: u64) -> SessionAt {
    let good = |session: &Session| session.is_for(name, target) && session.is_good(now);
    let position = sessions.iter().position(good);
    position.map_or(SessionAt::NOWHERE, |position| {
        if let Some(session) = sessions.get_mut(position) {
            session.lifetime = 0;
        }
        at(sessions, position)
    })
}

/// Makes a place ready for the ticket that the server `name` may send: an empty one, or the
/// server's, or the oldest. [`Session::expect_ticket`] adds what the ticket will be made of.
pub(crate) fn reserve(
    sessions: &mut [Session],
    name: &[u8],
    target: &Target,
    now: u64,
) -> SessionAt {
    let rank = |session: &Session| {
        let is_empty = session.is_empty();
        (!is_empty, !session.is_for(name, target), session.since)
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
        session.since = now;
        session.target = *target;
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
