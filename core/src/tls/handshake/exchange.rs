//! What a connection needs only while it shakes hands.

use zeroize::Zeroize;

use crate::tls::alert::Alert;
use crate::tls::certificate::name;
use crate::tls::certificate::path::Progress;
use crate::tls::connection::event::Event;
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::{
    Crypto, HashAlgorithm, Hasher, Private, SHARE_MAX, Scheme, Secret, SignatureId, TAG,
};
use crate::tls::handshake::hello::NAME_MAX;
use crate::tls::handshake::pace::Pace;
use crate::tls::handshake::session::{SessionAt, Target};
use crate::tls::record::schedule::{Schedule, export};
use crate::tls::wire::{Output, Reader, copy};

/// Most bytes of one handshake message, and of all we send in one flight.
///
/// Certificate chains are the longest. A peer's longer message is answered with
/// `decode_error`.
pub const MESSAGE_MAX: usize = 8_192;
/// Bytes of a handshake message's header.
pub(crate) const MESSAGE_HEADER: usize = 4;

/// What a connection borrows from a pool until it is open. It may hold secrets until
/// [`Self::reset`] or drop.
pub struct Handshake<C: Crypto> {
    pub(crate) message: Message,
    pub(crate) exchange: Exchange<C>,
}

impl<C: Crypto> Handshake<C> {
    /// A handshake that has not begun, all zero bytes.
    pub const EMPTY: Self = Self {
        message: Message {
            bytes: [0; MESSAGE_MAX],
            len: 0,
            start: 0,
        },
        exchange: Exchange::EMPTY,
    };

    /// Makes it ready for another connection and wipes every secret.
    pub fn reset(&mut self) {
        self.message.clear();
        self.exchange = Exchange::EMPTY;
    }

    /// Notes the name that a server must prove to have; `false` if it is neither a DNS name nor
    /// an IP address.
    #[must_use]
    pub(crate) fn expect_name(&mut self, name: &str) -> bool {
        name::parse(name.as_bytes()).is_some() && self.exchange.set_name(name.as_bytes())
    }

    /// Makes key material for another protocol (RFC 8446, section 7.5) of an open connection,
    /// `out.len()` bytes of it. Returns false, and writes nothing, if the connection is not open,
    /// `label` is empty or longer than 249 bytes, or `out` is longer than 255 hashes of the suite.
    ///
    /// To be called between [`Event::Open`](crate::tls::Event::Open) and [`Self::reset`].
    #[must_use]
    pub fn export(
        &self,
        connection: &Connection,
        label: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> bool {
        let hash = connection.suite().hash();
        connection.is_open()
            && export::<C::Hasher>(hash, &self.exchange.exporter, label, context, out)
    }

    /// Returns whether it waits for a signature that comes later.
    pub(crate) fn awaits_signature(&self) -> bool {
        self.exchange.signing != SignatureId::NONE
    }

    /// Moves out all that a server still needs of a handshake that waits for the client's
    /// `Finished`, and no certificate before it; `None`, and nothing has changed, if more is
    /// needed. The handshake is to be [reset](Self::reset) then.
    pub(crate) fn park(&self) -> Option<ParkedHandshake> {
        let exchange = &self.exchange;
        let is_bare = exchange.is_finished_known && self.message.is_empty();
        is_bare.then(|| ParkedHandshake {
            verify_data: exchange.verify_data.clone(),
            ticket: exchange.psk.clone(),
            name_hash: exchange.name_hash,
            early_left: u16::try_from(exchange.early_left).unwrap_or(u16::MAX),
            changes: exchange.changes,
            wants_tickets: exchange.wants_tickets,
            is_past_early: exchange.is_past_early,
            authenticated_at: exchange.authenticated_at,
        })
    }

    /// Takes back what [`Self::park`] moved out, into a handshake that is fresh.
    pub(crate) fn unpark(&mut self, parked: &ParkedHandshake) {
        let exchange = &mut self.exchange;
        exchange.verify_data = parked.verify_data.clone();
        exchange.is_finished_known = true;
        exchange.was_parked = true;
        exchange.psk = parked.ticket.clone();
        exchange.name_hash = parked.name_hash;
        exchange.early_left = usize::from(parked.early_left);
        exchange.changes = parked.changes;
        exchange.wants_tickets = parked.wants_tickets;
        exchange.is_past_early = parked.is_past_early;
        exchange.authenticated_at = parked.authenticated_at;
    }

    /// Returns the name that the client asked for, or that a client expects; empty if none.
    #[must_use]
    pub fn server_name(&self) -> &[u8] {
        self.exchange.name()
    }
}

/// What is left of a server's handshake once its flight is out and only the client's `Finished` is
/// to come: two hundred bytes instead of nine thousand, so that clients that never send it take no
/// handshake from the others. Wiped when dropped.
pub(crate) struct ParkedHandshake {
    verify_data: Secret,
    ticket: Secret,
    name_hash: [u8; 32],
    early_left: u16,
    changes: u8,
    wants_tickets: bool,
    is_past_early: bool,
    authenticated_at: u64,
}

/// Handshake messages put together from records, and the next flight before it is protected.
pub(crate) struct Message {
    bytes: [u8; MESSAGE_MAX],
    len: usize,
    /// Where the current message starts: behind an earlier one that it refers to, or, in a flight
    /// of ours, behind what has been sent.
    start: usize,
}

impl Message {
    /// Adds the front of `bytes`, as much as there is room for, and returns how much.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let spare = self.bytes.get_mut(self.len..).unwrap_or_default();
        let count = bytes.len().min(spare.len());
        if !copy(spare, bytes.get(..count).unwrap_or_default()) {
            return 0;
        }
        self.len = self.len.saturating_add(count);
        count
    }

    /// Returns the length of the current message, header included, once it is complete. Its kind
    /// is checked by `expects` as soon as it is known, its length as soon as that is.
    pub(crate) fn complete(
        &self,
        expects: impl FnOnce(u8) -> bool,
    ) -> Result<Option<usize>, Alert> {
        let mut reader = Reader::new(self.bytes.get(self.start..self.len).unwrap_or_default());
        if reader.is_empty() {
            return Ok(None);
        }
        if !expects(reader.u8()?) {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let Ok(len) = reader.u24() else {
            return Ok(None);
        };
        let total = len.saturating_add(MESSAGE_HEADER);
        if total > MESSAGE_MAX.saturating_sub(self.start) {
            return Err(Alert::DECODE_ERROR);
        }
        Ok((reader.len() >= len).then_some(total))
    }

    /// Returns the message kept in front and the current one, which is `total` bytes long.
    pub(crate) fn current(&self, total: usize) -> (&[u8], &[u8]) {
        let (kept, rest) = self.bytes.split_at_checked(self.start).unwrap_or_default();
        (kept, rest.get(..total).unwrap_or_default())
    }

    /// Returns whether nothing is behind the current message, which is `total` bytes long.
    pub(crate) const fn ends_with(&self, total: usize) -> bool {
        self.start.saturating_add(total) == self.len
    }

    /// Drops the current message, `total` bytes long, and the one kept in front.
    pub(crate) fn consume(&mut self, total: usize) {
        let end = self.start.saturating_add(total).min(self.len);
        if end <= self.len && self.len <= MESSAGE_MAX {
            self.bytes.copy_within(end..self.len, 0);
        }
        self.len = self.len.saturating_sub(end);
        self.start = 0;
    }

    /// Keeps the current message, `total` bytes long, in front of the next.
    pub(crate) fn keep(&mut self, total: usize) {
        self.start = total.min(self.len);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether a message has begun and is not complete.
    pub(crate) const fn is_partial(&self) -> bool {
        self.len > self.start
    }

    /// Returns the buffer as an output for our next flight. No message may be in it.
    pub(crate) fn output(&mut self) -> Output<'_> {
        debug_assert!(self.is_empty(), "a flight is made when all was read");
        Output::new(&mut self.bytes)
    }

    /// Returns the buffer as an output that goes on behind [`Self::unsent`].
    pub(crate) const fn flight_output(&mut self) -> Output<'_> {
        Output::behind(&mut self.bytes, self.len)
    }

    /// Returns the first `len` bytes of what [`Self::output`] wrote.
    pub(crate) fn flight(&self, len: usize) -> &[u8] {
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Keeps the first `len` bytes of what [`Self::output`] wrote until they are sent.
    pub(crate) const fn set_unsent(&mut self, len: usize) {
        self.len = len;
        self.start = 0;
    }

    /// Returns what is left of them.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.start..self.len).unwrap_or_default()
    }

    /// Counts `count` bytes that were sent; whether nothing is left.
    pub(crate) const fn sent(&mut self, count: usize) -> bool {
        self.start = self.start.saturating_add(count);
        if self.start >= self.len {
            self.clear();
        }
        self.is_empty()
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
        self.start = 0;
    }
}

/// The handshake's own state. Wiped when dropped.
pub(crate) struct Exchange<C: Crypto> {
    pub(crate) transcript: C::Hasher,
    /// A client's transcript with the other hash function, until the server has chosen.
    pub(crate) other_transcript: C::Hasher,
    pub(crate) schedule: Schedule,
    /// The secret of the client's data, until it is in the keys' place: at a client with its
    /// `Finished`, at a server with the client's, or before that if [`Self::is_finished_known`].
    pub(crate) client_secret: Secret,
    /// The client's `Finished` as a server expects it, computed with its own flight unless the
    /// client is asked for a certificate. [`Self::is_finished_known`] tells.
    pub(crate) verify_data: Secret,
    pub(crate) is_finished_known: bool,
    /// It was parked: what is of no use for the client's `Finished` is gone.
    pub(crate) was_parked: bool,
    /// The secret that keys for other protocols are made of.
    pub(crate) exporter: Secret,
    /// A pre-shared key that a client offers or both have agreed on; then, of a server, the key
    /// of the ticket that it will send.
    pub(crate) psk: Secret,
    /// A hash of the name for which that ticket will be good.
    pub(crate) name_hash: [u8; 32],
    /// The hash function of the key that a client offers. Beside [`Self::offers_psk`], since a
    /// `None` would not be all zeros, and memory that is stays out of an image.
    pub(crate) psk_hash: HashAlgorithm,
    /// The session that a client offers to resume.
    pub(crate) session: SessionAt,
    /// A client's private key.
    pub(crate) private: Private,
    /// The share that goes with it, and its length.
    pub(crate) share: [u8; SHARE_MAX],
    pub(crate) share_len: usize,
    /// The client's random.
    pub(crate) random: [u8; 32],
    session_id: [u8; 32],
    session_id_len: u8,
    name: [u8; NAME_MAX],
    name_len: u8,
    /// The group agreed on or asked for; 0 if none is yet.
    pub(crate) group: u16,
    /// The signature that comes later.
    pub(crate) signing: SignatureId,
    pub(crate) scheme: Scheme,
    /// The signer gave up.
    pub(crate) is_unsigned: bool,
    /// Index of the server's identity.
    pub(crate) identity: usize,
    /// Bytes of early data that may still be skipped.
    pub(crate) early_left: usize,
    /// Early data would have been skipped, before a second hello.
    pub(crate) is_past_early: bool,
    /// Change-cipher-spec records seen.
    pub(crate) changes: u8,
    /// The client has sent its change-cipher-spec record.
    pub(crate) has_changed: bool,
    /// The client's last hello offers the pre-shared key.
    pub(crate) offers_psk: bool,
    /// The pre-shared key is in use, so nobody shows a certificate.
    pub(crate) is_resumed: bool,
    /// The server asks the client for a certificate.
    pub(crate) is_requested: bool,
    /// The client's signature scheme suits the server.
    pub(crate) is_scheme_known: bool,
    /// The peer has proved who it is.
    pub(crate) is_authenticated: bool,
    /// The client offers `psk_dhe_ke`, so a ticket is of use to it.
    pub(crate) wants_tickets: bool,
    /// The server's identity was chosen by the name.
    pub(crate) uses_name: bool,
    /// When certificates were last shown, in seconds since 1970, and until when those are good: in
    /// this handshake or, if it is resumed, in an earlier one.
    pub(crate) authenticated_at: u64,
    pub(crate) not_after: u64,
    /// What a client's tickets are good for besides the name.
    pub(crate) target: Target,
    /// The client limits the size of records.
    pub(crate) record_size_limit: bool,
    /// Which signatures of the peer's certificates have been verified, and how many may be.
    path: Progress,
    pub(crate) pace: Pace,
}

impl<C: Crypto> Exchange<C> {
    pub(crate) const EMPTY: Self = Self {
        transcript: C::Hasher::EMPTY,
        other_transcript: C::Hasher::EMPTY,
        schedule: Schedule::EMPTY,
        client_secret: Secret::ZERO,
        verify_data: Secret::ZERO,
        is_finished_known: false,
        was_parked: false,
        exporter: Secret::ZERO,
        psk: Secret::ZERO,
        name_hash: [0; 32],
        psk_hash: HashAlgorithm::Sha256,
        session: SessionAt::NOWHERE,
        private: Private::ZERO,
        share: [0; SHARE_MAX],
        share_len: 0,
        random: [0; 32],
        session_id: [0; 32],
        session_id_len: 0,
        name: [0; NAME_MAX],
        name_len: 0,
        group: 0,
        signing: SignatureId::NONE,
        scheme: Scheme::from_code(0),
        is_unsigned: false,
        identity: 0,
        early_left: 0,
        is_past_early: false,
        changes: 0,
        has_changed: false,
        offers_psk: false,
        is_resumed: false,
        is_requested: false,
        is_scheme_known: false,
        is_authenticated: false,
        wants_tickets: false,
        uses_name: false,
        authenticated_at: 0,
        not_after: 0,
        target: Target::ANY,
        record_size_limit: false,
        path: Progress::NONE,
        pace: Pace::FREE,
    };

    /// Derives a secret of the present stage over the messages so far.
    pub(crate) fn derive(&self, hash: HashAlgorithm, label: &[u8]) -> Secret {
        let transcript = self.transcript.digest();
        self.schedule.derive::<C::Hasher>(hash, label, &transcript)
    }

    /// Replaces the transcript by a hash of itself, as a `HelloRetryRequest` demands (RFC 8446,
    /// section 4.4.1).
    pub(crate) fn wrap_transcript(&mut self, algorithm: HashAlgorithm) {
        let digest = self.transcript.digest();
        let digest = digest.get(algorithm);
        self.transcript = C::Hasher::new(algorithm);
        let len = u8::try_from(digest.len()).unwrap_or_default();
        self.transcript.update(&[254, 0, 0, len]);
        self.transcript.update(digest);
    }

    /// Skips a record of early data, which we never accept, as far as a client may send it. `len`
    /// is that of the protected record; what counts is the plaintext in it (RFC 8446, section
    /// 4.2.10), and an empty one as a byte.
    pub(crate) fn skip_early(&mut self, len: usize) -> Result<Event, Alert> {
        let plaintext = len.saturating_sub(TAG).saturating_sub(1);
        match self.early_left.checked_sub(plaintext.max(1)) {
            Some(left) => {
                self.early_left = left;
                Ok(Event::Nothing)
            }
            // It knows by now that none may come (RFC 8446, section 4.1.2).
            None if self.is_past_early => Err(Alert::UNEXPECTED_MESSAGE),
            None => Err(Alert::BAD_RECORD_MAC),
        }
    }

    /// Notes that no more early data may come, since a second hello has.
    pub(crate) const fn end_early(&mut self) {
        self.is_past_early = self.early_left > 0;
        self.early_left = 0;
    }

    pub(crate) fn session_id(&self) -> &[u8] {
        self.session_id
            .get(..usize::from(self.session_id_len))
            .unwrap_or_default()
    }

    /// Sets the client's random, 32 bytes.
    pub(crate) fn set_random(&mut self, random: &[u8]) {
        // A copy of slices would check their lengths, and could panic.
        for (to, from) in self.random.iter_mut().zip(random) {
            *to = *from;
        }
    }

    /// Sets the session id, at most 32 bytes.
    pub(crate) fn set_session_id(&mut self, id: &[u8]) {
        self.session_id_len = match u8::try_from(id.len()) {
            Ok(len) if copy(&mut self.session_id, id) => len,
            _ => 0,
        };
    }

    /// Returns the server's name and what counts the verification of the peer's certificates.
    pub(crate) fn verification(&mut self) -> (&[u8], &mut Progress, &mut Pace) {
        let name = self.name.get(..usize::from(self.name_len));
        (name.unwrap_or_default(), &mut self.path, &mut self.pace)
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.name
            .get(..usize::from(self.name_len))
            .unwrap_or_default()
    }

    /// Sets the server's name; `false` if it is too long.
    #[must_use]
    pub(crate) fn set_name(&mut self, name: &[u8]) -> bool {
        match u8::try_from(name.len()) {
            Ok(len) if copy(&mut self.name, name) => {
                self.name_len = len;
                true
            }
            _ => false,
        }
    }
}

impl<C: Crypto> Drop for Exchange<C> {
    fn drop(&mut self) {
        // The secrets wipe themselves; this is what identifies the connection.
        self.random.zeroize();
    }
}
