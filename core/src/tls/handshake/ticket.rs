//! Stateless session tickets (RFC 8446, section 4.6.1): the server's side of resumption.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::tls::alert::Alert;
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::{Crypto, HASH_MAX, HashAlgorithm, Hasher, Secret, Suite, TAG};
use crate::tls::handshake::config::{ClientAuth, Setup};
use crate::tls::handshake::exchange::{Answering, Common, Expected, TicketKey};
use crate::tls::handshake::hello::ClientHello;
use crate::tls::handshake::message::NEW_SESSION_TICKET;
use crate::tls::handshake::session::RESUMPTION_MAX;
use crate::tls::handshake::ticket_keys::TicketKeys;
use crate::tls::record::protection::Content;
use crate::tls::record::schedule::{Schedule, expand, finished};
use crate::tls::wire::{Output, Reader, copy, copy_whole};

/// Tickets of one hello that are tried.
const TRIES_MAX: usize = 4;
/// Content of a ticket: suite, time of issue, time of the handshake with certificates, hash of the
/// server's name, key.
const SEALED: usize = 2 + 8 + 8 + 32 + HASH_MAX;
/// Bytes of a ticket: period, nonce, content, tag.
const TICKET: usize = 8 + 12 + SEALED + TAG;
/// Room that a message with a ticket needs, even in the smallest records.
const ROOM: usize = 512;

/// A ticket of ours that a client resumes with.
pub(crate) struct Found {
    /// Its index in the hello.
    pub(crate) index: u16,
    pub(crate) key: Secret,
    /// When the server has shown its certificates, in seconds since 1970.
    pub(crate) authenticated_at: u64,
}

/// Looks for a ticket of ours that the client may resume with.
///
/// # Errors
/// `decrypt_error`: the client does not have the key that belongs to its ticket.
// Not inlined, as `ask_again`: 96 bytes of stack less while keys are exchanged (frames of a
// Cortex-M3).
#[inline(never)]
pub(crate) fn find<C: Crypto>(
    setup: &mut Setup<'_, C>,
    common: &Common<C>,
    identity: usize,
    hello: &ClientHello<'_>,
    message: &[u8],
    suite: Suite,
) -> Result<Option<Found>, Alert> {
    let (Some(offer), Some(keys)) = (&hello.psk, setup.config.server.tickets) else {
        return Ok(None);
    };
    if !hello.psk_with_exchange || !may_resume(setup, common, identity) {
        return Ok(None);
    }
    let mut identities = offer.identities;
    let mut binders = offer.binders;
    for index in (0_u16..).take(TRIES_MAX) {
        if identities.is_empty() {
            break;
        }
        let ticket = identities.vector16()?;
        let _age = identities.u32()?;
        let binder = binders.vector8()?;
        let opened = open(setup, common, keys, suite.hash(), ticket)?;
        let Some((key, authenticated_at)) = opened else {
            continue;
        };
        let covered = message
            .len()
            .checked_sub(offer.binders_len)
            .and_then(|len| message.get(..len))
            .ok_or(Alert::INTERNAL_ERROR)?;
        let before = common.transcript.hasher().clone();
        let expected = make_binder::<C>(before, &key, suite.hash(), covered);
        if !bool::from(expected.get(suite.hash()).ct_eq(binder)) {
            return Err(Alert::DECRYPT_ERROR);
        }
        return Ok(Some(Found {
            index,
            key,
            authenticated_at,
        }));
    }
    Ok(None)
}

/// Returns whether resumption may stand in for certificates: not where the client has to show
/// one, which is looked at anew every time.
fn may_resume<C: Crypto>(setup: &Setup<'_, C>, common: &Common<C>, identity: usize) -> bool {
    let server = &setup.config.server;
    let identity = server.identity(identity, common.name.get());
    identity.is_some_and(|identity| matches!(identity.client_auth, ClientAuth::Off))
}

/// Opens a ticket; returns its key, and when the server had shown its certificates. `None` if it is
/// not ours, too old, or for another name or hash function.
fn open<C: Crypto>(
    setup: &mut Setup<'_, C>,
    common: &Common<C>,
    keys: &TicketKeys,
    hash: HashAlgorithm,
    ticket: &[u8],
) -> Result<Option<(Secret, u64)>, Alert> {
    if ticket.len() != TICKET {
        return Ok(None);
    }
    let mut reader = Reader::new(ticket);
    let period = reader.u64()?;
    let nonce: &[u8; 12] = first_chunk(reader.take(12)?)?;
    let content = reader.take(SEALED)?;
    let mut sealed = Zeroizing::new([0; SEALED]);
    let tag: &[u8; TAG] = first_chunk(reader.take(TAG)?)?;
    let now = setup.crypto.unix_seconds();
    // Of the present period or the one before.
    if keys
        .period(now)
        .checked_sub(period)
        .is_none_or(|age| age > 1)
    {
        return Ok(None);
    }
    let suite = Suite::Aes256GcmSha384;
    let associated = period.to_be_bytes();
    let is_opened = [&keys.secret, &keys.previous].into_iter().any(|secret| {
        let key = TicketKeys::key::<C::Hasher>(secret, period);
        // What a wrong key has made of it is of no use.
        let _ = copy(sealed.as_mut_slice(), content);
        let opened = setup
            .crypto
            .open(suite, &key, nonce, &associated, sealed.as_mut_slice(), tag);
        opened.is_ok()
    });
    if !is_opened {
        return Ok(None);
    }
    let mut reader = Reader::new(sealed.as_slice());
    let code = reader.u16()?;
    let issued = reader.u64()?;
    let authenticated_at = reader.u64()?;
    let name = reader.take(32)?;
    let is_good = Suite::from_code(code).is_some_and(|suite| suite.hash() == hash)
        && now
            .checked_sub(issued)
            .is_some_and(|age| age <= u64::from(keys.lifetime_seconds))
        && now
            .checked_sub(authenticated_at)
            .is_some_and(|age| age < RESUMPTION_MAX)
        && name == hash_name(common);
    if !is_good {
        return Ok(None);
    }
    let mut key = Secret::ZERO;
    copy_whole(key.get_mut(hash), reader.take(hash.digest_len())?);
    Ok(Some((key, authenticated_at)))
}

/// Makes the binder of the key `psk` for the hello's front `covered`, which comes after the
/// messages that `before` has hashed (RFC 8446, section 4.2.11.2).
pub(crate) fn make_binder<C: Crypto>(
    before: C::Hasher,
    psk: &Secret,
    hash: HashAlgorithm,
    covered: &[u8],
) -> Secret {
    let schedule = Schedule::early::<C::Hasher>(hash, psk);
    let empty = C::Hasher::new(hash).finish();
    let base = schedule.derive::<C::Hasher>(hash, b"res binder", &empty);
    let mut transcript = before;
    transcript.update(covered);
    finished::<C::Hasher>(hash, &base, &transcript.finish())
}

/// Makes the key of the connection's ticket, if both sides care for one. The transcript ends with
/// the client's `Finished`.
pub(crate) fn prepare<C: Crypto>(
    hash: HashAlgorithm,
    setup: &Setup<'_, C>,
    common: &Common<C>,
    answering: &Answering,
) -> Option<TicketKey> {
    let is_wanted = answering.wants_ticket && setup.config.server.tickets.is_some();
    if !is_wanted || !may_resume(setup, common, answering.identity) {
        return None;
    }
    let master = common.derive(&answering.agreed.schedule, hash, b"res master");
    Some(TicketKey {
        secret: expand::<C::Hasher>(hash, &master, b"resumption", &[0]),
        name_hash: hash_name(common),
    })
}

/// Adds a ticket for the connection that has just opened, if [`prepare`] has made its key.
pub(crate) fn send<C: Crypto>(
    connection: &mut Connection,
    setup: &mut Setup<'_, C>,
    expected: &Expected,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let (Some(keys), Some(key)) = (setup.config.server.tickets, &expected.ticket) else {
        return Ok(());
    };
    if out.room() < ROOM {
        return Ok(());
    }
    let mut bytes = Zeroizing::new([0; TICKET]);
    seal(
        connection.suite,
        setup,
        key,
        expected.authenticated_at,
        keys,
        bytes.as_mut_slice(),
    )?;
    let mut age_add = [0; 4];
    setup.crypto.random(&mut age_add)?;
    let mut message = [0; TICKET + 32];
    let mut body = Output::new(&mut message);
    body.u8(NEW_SESSION_TICKET)?;
    body.vector24(|body| {
        body.u32(keys.lifetime_seconds)?;
        body.put(&age_add)?;
        // One ticket per connection, so one nonce.
        body.vector8(|body| body.u8(0))?;
        body.vector16(|body| body.put(bytes.as_slice()))?;
        body.vector16(|_| Ok(()))
    })?;
    connection.seal_all(setup.crypto, Content::Handshake, body.filled(), out)
}

/// Writes the ticket.
fn seal<C: Crypto>(
    suite: Suite,
    setup: &mut Setup<'_, C>,
    own: &TicketKey,
    authenticated_at: u64,
    keys: &TicketKeys,
    bytes: &mut [u8],
) -> Result<(), Alert> {
    let now = setup.crypto.unix_seconds();
    let period = keys.period(now);
    let mut nonce = [0; 12];
    setup.crypto.random(&mut nonce)?;
    let mut out = Output::new(bytes);
    out.u64(period)?;
    out.put(&nonce)?;
    let start = out.len();
    out.u16(suite.code())?;
    out.u64(now)?;
    out.u64(authenticated_at)?;
    out.put(&own.name_hash)?;
    out.put(&own.secret.0)?;
    let key = TicketKeys::key::<C::Hasher>(&keys.secret, period);
    let content = out.written_mut(start, SEALED)?;
    let associated = period.to_be_bytes();
    let cipher = Suite::Aes256GcmSha384;
    let tag = setup
        .crypto
        .seal(cipher, &key, &nonce, &associated, content)?;
    out.put(&tag)
}

/// Returns a hash of the name that the client asked for, so that a ticket is good for it only.
fn hash_name<C: Crypto>(common: &Common<C>) -> [u8; 32] {
    let mut hasher = C::Hasher::new(HashAlgorithm::Sha256);
    for byte in common.name.get() {
        hasher.update(&[byte.to_ascii_lowercase()]);
    }
    let digest = hasher.finish();
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest.get(HashAlgorithm::Sha256)) {
        *to = *from;
    }
    hash
}

fn first_chunk<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Alert> {
    bytes.first_chunk().ok_or(Alert::INTERNAL_ERROR)
}
