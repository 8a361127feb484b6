//! The client's side of the handshake (RFC 8446, section 4).

use crate::tls::alert::Alert;
use crate::tls::certificate::name::parse_dns;
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{Crypto, Group, HashAlgorithm, Hasher, Secret, Shared, Suite};
use crate::tls::handshake::auth::{self, Step, content, put_schemes};
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::exchange::{Exchange, Handshake};
use crate::tls::handshake::extension::{self, Extensions};
use crate::tls::handshake::hello::{ServerHello, TLS12, TLS13};
use crate::tls::handshake::session::{self, Session};
use crate::tls::handshake::ticket::make_binder;
use crate::tls::record::protection::{Content, Keys, PLAINTEXT_MAX};
use crate::tls::wire::{Output, Reader, numbers};

const CLIENT_HELLO: u8 = 1;
/// Resumption with a fresh key exchange (RFC 8446, section 4.2.9), the only kind we do.
const PSK_DHE_KE: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;

/// Writes the first hello. The exchange has the name that the server must prove to have.
pub(crate) fn start<C: Crypto>(
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    if exchange.name().is_empty() || setup.config.client.roots.is_empty() {
        return Err(Alert::INTERNAL_ERROR);
    }
    let group = C::GROUPS.first().ok_or(Alert::INTERNAL_ERROR)?;
    if let Some(peer) = &mut setup.peer {
        peer.clear();
    }
    setup.crypto.random(&mut exchange.random)?;
    let mut session_id = [0; 32];
    setup.crypto.random(&mut session_id)?;
    exchange.set_session_id(&session_id);
    exchange.transcript = C::Hasher::new(HashAlgorithm::Sha256);
    exchange.other_transcript = C::Hasher::new(HashAlgorithm::Sha384);
    let now = setup.crypto.unix_seconds();
    exchange.target.set_roots(setup.config.client.roots);
    let target = exchange.target;
    exchange.session = session::take(setup.sessions, exchange.name(), &target, now);
    if let Some(session) = exchange.session.get(setup.sessions) {
        (exchange.authenticated_at, exchange.not_after) = session.authentication();
    }
    make_share(setup.crypto, exchange, *group)?;
    put_hello(setup, exchange, None, out)
}

/// Makes a fresh share of `group`.
fn make_share<C: Crypto>(
    crypto: &mut C,
    exchange: &mut Exchange<C>,
    group: Group,
) -> Result<(), Alert> {
    exchange.share_len = crypto.offer(group, &mut exchange.private, &mut exchange.share)?;
    exchange.group = group.code();
    Ok(())
}

/// Adds a `ClientHello` with the share that has been made, in a record of its own.
fn put_hello<C: Crypto>(
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
    cookie: Option<&[u8]>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let group = known_group::<C>(exchange.group)?;
    let share = exchange.share.get(..exchange.share_len);
    let share = share.ok_or(Alert::INTERNAL_ERROR)?;
    // RFC 8446, section 5.1: the first record may say TLS 1.0, which old middleboxes want.
    let minor = if exchange.has_changed { 3 } else { 1 };
    out.put(&[Content::Handshake.code(), 3, minor])?;
    let start = out.len().saturating_add(2);
    let protocols = setup.config.client.protocols;
    let knows_tickets = !setup.sessions.is_empty();
    let now = setup.crypto.unix_seconds();
    let session = exchange.session.get(setup.sessions);
    out.vector16(|out| {
        out.u8(CLIENT_HELLO)?;
        out.vector24(|out| {
            out.u16(TLS12)?;
            out.put(&exchange.random)?;
            out.vector8(|out| out.put(exchange.session_id()))?;
            out.vector16(|out| {
                Suite::ALL
                    .iter()
                    .try_for_each(|suite| out.u16(suite.code()))
            })?;
            out.vector8(|out| out.u8(0))?;
            out.vector16(|out| {
                put_name(exchange.name(), out)?;
                put_extensions::<C>(protocols, group, share, out)?;
                if let Some(cookie) = cookie {
                    extension::put(out, extension::COOKIE, |out| {
                        out.vector16(|out| out.put(cookie))
                    })?;
                }
                if knows_tickets {
                    extension::put(out, extension::PSK_KEY_EXCHANGE_MODES, |out| {
                        out.vector8(|out| out.u8(PSK_DHE_KE))
                    })?;
                }
                match &session {
                    Some(session) => put_session(session, now, out),
                    None => Ok(()),
                }
            })
        })
    })?;
    exchange.offers_psk = session.is_some();
    if let Some(session) = session {
        exchange.psk = session.secret().clone();
        exchange.psk_hash = session.suite().hash();
        put_binder(exchange, start, out)?;
    }
    let message = out.written(start)?;
    exchange.transcript.update(message);
    exchange.other_transcript.update(message);
    Ok(())
}

/// Adds the ticket of an earlier connection, and zeros in the place of its binder (RFC 8446,
/// section 4.2.11). It has to be the last extension.
fn put_session(session: &Session, now: u64, out: &mut Output<'_>) -> Result<(), Alert> {
    let zeros = Secret::ZERO;
    extension::put(out, extension::PRE_SHARED_KEY, |out| {
        out.vector16(|out| {
            out.vector16(|out| out.put(session.ticket()))?;
            out.u32(session.obfuscated_age(now))
        })?;
        out.vector16(|out| out.vector8(|out| out.put(zeros.get(session.suite().hash()))))
    })
}

/// Writes the binder to the end of the hello that begins at `start`.
fn put_binder<C: Crypto>(
    exchange: &Exchange<C>,
    start: usize,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let hash = exchange.psk_hash;
    let len = hash.digest_len();
    let message = out.written(start)?;
    // The binders' list, with its length and the binder's.
    let list_len = len.saturating_add(3);
    let covered = message
        .len()
        .checked_sub(list_len)
        .and_then(|len| message.get(..len))
        .ok_or(Alert::INTERNAL_ERROR)?;
    let before = match exchange.has_changed {
        true => exchange.transcript.clone(),
        false => C::Hasher::new(hash),
    };
    let binder = make_binder::<C>(before, &exchange.psk, hash, covered);
    let at = out.len().saturating_sub(len);
    out.written_mut(at, len)?.copy_from_slice(binder.get(hash));
    Ok(())
}

/// Returns true if this name is sent to the server: not an IP address (RFC 6066, section 3).
fn sends_name(name: &[u8]) -> bool {
    parse_dns(name).is_some()
}

/// Adds the server's name, if it is to be sent.
fn put_name(name: &[u8], out: &mut Output<'_>) -> Result<(), Alert> {
    if !sends_name(name) {
        return Ok(());
    }
    // RFC 6066, section 3: without the trailing dot.
    let name = name.strip_suffix(b".").unwrap_or(name);
    extension::put(out, extension::SERVER_NAME, |out| {
        out.vector16(|out| {
            out.u8(0)?;
            out.vector16(|out| out.put(name))
        })
    })
}

fn put_extensions<C: Crypto>(
    protocols: &[&[u8]],
    group: Group,
    share: &[u8],
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    extension::put(out, extension::SUPPORTED_VERSIONS, |out| {
        out.vector8(|out| out.u16(TLS13))
    })?;
    extension::put(out, extension::SUPPORTED_GROUPS, |out| {
        out.vector16(|out| C::GROUPS.iter().try_for_each(|group| out.u16(group.code())))
    })?;
    put_schemes::<C>(out)?;
    extension::put(out, extension::KEY_SHARE, |out| {
        out.vector16(|out| {
            out.u16(group.code())?;
            out.vector16(|out| out.put(share))?;
            // A server that does not know the one can take the other without asking.
            let Some((half, len)) = group.half() else {
                return Ok(());
            };
            let end = share.len().checked_sub(len).and_then(|at| share.get(at..));
            let end = end.ok_or(Alert::INTERNAL_ERROR)?;
            out.u16(half.code())?;
            out.vector16(|out| out.put(end))
        })
    })?;
    extension::put(out, extension::RECORD_SIZE_LIMIT, |out| {
        let limit = u16::try_from(PLAINTEXT_MAX).unwrap_or(u16::MAX);
        out.u16(limit.saturating_add(1))
    })?;
    if protocols.is_empty() {
        return Ok(());
    }
    let known = protocols.iter().take(usize::from(u8::MAX));
    extension::put_protocols(out, known.copied())
}

impl Connection {
    /// Reads a `ServerHello` or a `HelloRetryRequest`.
    pub(crate) fn on_server_hello<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let hello = ServerHello::parse(content(message))?;
        let is_second = self.state == State::AwaitSecondServerHello;
        let suite = Suite::ALL
            .iter()
            .find(|suite| suite.code() == hello.suite)
            .copied()
            .ok_or(Alert::ILLEGAL_PARAMETER)?;
        if hello.session_id != exchange.session_id() || (is_second && suite != self.suite) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        self.suite = suite;
        if !is_second && suite.hash() == HashAlgorithm::Sha384 {
            core::mem::swap(&mut exchange.transcript, &mut exchange.other_transcript);
        }
        if hello.is_retry {
            if is_second {
                return Err(Alert::UNEXPECTED_MESSAGE);
            }
            return self.hello_again(setup, exchange, &hello, message, out);
        }
        let (group, share) = hello.share.ok_or(Alert::MISSING_EXTENSION)?;
        let group = known_group::<C>(group)?;
        if !has_offered::<C>(exchange, group) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if let Some(index) = hello.psk {
            // One was offered at most, and is good with its own hash function only.
            if !exchange.offers_psk || index != 0 || exchange.psk_hash != suite.hash() {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            exchange.is_resumed = true;
            self.is_resumed = true;
        }
        // Another connection may have taken the place meanwhile.
        if let Some(session) = exchange.session.get(setup.sessions) {
            session.clear();
        }
        exchange.group = group.code();
        exchange.transcript.update(message);
        let mut shared = Shared::EMPTY;
        setup
            .crypto
            .agree(group, &exchange.private, share, &mut shared)?;
        self.start_keys(setup.crypto, exchange, &shared);
        self.state = State::AwaitExtensions;
        Ok(Step::Next)
    }

    /// Answers a `HelloRetryRequest` with a second hello.
    fn hello_again<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        hello: &ServerHello<'_>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let asked = hello.share.map(|(group, _)| group);
        let group = known_group::<C>(asked.unwrap_or(exchange.group))?;
        // RFC 8446, section 4.1.4: it must change something, and only to what was offered.
        let changes = match asked {
            Some(_) => !has_offered::<C>(exchange, group),
            None => hello.cookie.is_some(),
        };
        if !changes {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        exchange.wrap_transcript(self.suite.hash());
        exchange.transcript.update(message);
        put_change(out)?;
        self.owes_change = false;
        exchange.has_changed = true;
        // A ticket of the other hash function cannot be taken any more.
        if let Some(session) = exchange.session.get(setup.sessions)
            && session.suite().hash() != self.suite.hash()
        {
            session.clear();
        }
        // RFC 8446, section 4.1.2: for a cookie alone nothing else may change.
        if asked.is_some() {
            make_share(setup.crypto, exchange, group)?;
        }
        put_hello(setup, exchange, hello.cookie, out)?;
        self.state = State::AwaitSecondServerHello;
        Ok(Step::Next)
    }

    /// Reads `EncryptedExtensions`.
    pub(crate) fn on_extensions<C: Crypto>(
        &mut self,
        setup: &Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        let protocols = setup.config.client.protocols;
        let mut extensions = Extensions::new(&mut Reader::new(content(message)))?;
        while let Some((number, mut content)) = extensions.next()? {
            match number {
                extension::APPLICATION_PROTOCOL if !protocols.is_empty() => {
                    let mut list = Reader::new(extension::protocols(&mut content)?);
                    let chosen = list.vector8()?;
                    list.end()?;
                    let mut known = protocols.iter().zip(1..=u8::MAX);
                    let found = known.find(|(protocol, _)| **protocol == chosen);
                    self.protocol = found.ok_or(Alert::ILLEGAL_PARAMETER)?.1;
                }
                extension::RECORD_SIZE_LIMIT => {
                    let limit = extension::record_size_limit(&mut content)?;
                    self.limit = limit.saturating_sub(1).min(self.limit);
                }
                extension::SERVER_NAME if sends_name(exchange.name()) => content.end()?,
                // Of use for later connections only (RFC 8446, section 4.2.7).
                extension::SUPPORTED_GROUPS => {
                    content.numbers16()?;
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        exchange.transcript.update(message);
        self.state = match exchange.is_resumed {
            true => State::AwaitFinished,
            false => State::AwaitRequest,
        };
        Ok(Step::Next)
    }

    /// Reads a `CertificateRequest`.
    pub(crate) fn on_request<C: Crypto>(
        &mut self,
        setup: &Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        let mut reader = Reader::new(content(message));
        if !reader.vector8()?.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let mut schemes = None;
        let mut extensions = Extensions::new(&mut reader)?;
        while let Some((number, mut content)) = extensions.next()? {
            if number == extension::SIGNATURE_ALGORITHMS {
                schemes = Some(content.numbers16()?);
            }
        }
        let schemes = schemes.ok_or(Alert::MISSING_EXTENSION)?;
        exchange.is_requested = true;
        exchange.is_scheme_known = setup.config.client.identity.is_some_and(|identity| {
            let own = identity.signer.scheme().code();
            numbers(schemes).any(|scheme| scheme == own)
        });
        exchange.transcript.update(message);
        self.state = State::AwaitCertificate;
        Ok(Step::Next)
    }

    /// Reads the server's `Finished` and takes the keys to receive data with.
    pub(crate) fn on_server_finished<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        // The order of states has seen to it; nothing else may ever open a connection.
        if !exchange.is_authenticated && !exchange.is_resumed {
            return Err(Alert::INTERNAL_ERROR);
        }
        self.check_finished(exchange, message)?;
        let [client, server] = self.data_secrets(setup.crypto, exchange);
        self.receive = Keys::new::<C>(self.suite, &server);
        exchange.client_secret = client;
        Ok(Step::Flight)
    }
}

/// Makes the client's flight before `Finished`: a `Certificate` if one is asked for.
pub(crate) fn answer<C: Crypto>(
    connection: &mut Connection,
    setup: &Setup<'_, C>,
    handshake: &mut Handshake<C>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let Handshake { message, exchange } = handshake;
    if connection.owes_change {
        put_change(out)?;
        connection.owes_change = false;
    }
    let mut flight = message.output();
    if exchange.is_requested {
        let identity = setup.config.client.identity;
        let identity = identity.filter(|_| exchange.is_scheme_known);
        auth::put_certificate(&mut flight, exchange, identity)?;
        if let Some(identity) = identity {
            let hash = connection.suite.hash();
            auth::put_verify(&mut flight, exchange, Role::Client, hash, identity.signer)?;
        }
    }
    let len = flight.len();
    message.set_unsent(len);
    Ok(())
}

/// Takes the keys that follow the client's flight: the connection is open.
pub(crate) fn follow<C: Crypto>(
    connection: &mut Connection,
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
) {
    connection.send = Keys::new::<C>(connection.suite, &exchange.client_secret);
    connection.state = State::Open;
    if let Some(peer) = &mut setup.peer {
        peer.set(connection, exchange);
    }
    if !setup.sessions.is_empty() {
        let master = exchange.derive(connection.suite.hash(), b"res master");
        let now = setup.crypto.unix_seconds();
        let suite = connection.suite;
        let (name, target) = (exchange.name(), &exchange.target);
        connection.session = session::reserve(setup.sessions, name, target, now);
        if let Some(session) = connection.session.get(setup.sessions) {
            let authentication = (exchange.authenticated_at, exchange.not_after);
            session.expect_ticket(suite, master, authentication);
        }
    }
}

/// Adds a change-cipher-spec record: we are in middlebox compatibility mode (RFC 8446, appendix
/// D.4).
pub(crate) fn put_change(out: &mut Output<'_>) -> Result<(), Alert> {
    out.put(&[Content::ChangeCipherSpec.code(), 3, 3, 0, 1, 1])
}

/// Returns whether a share of the group has been sent.
fn has_offered<C: Crypto>(exchange: &Exchange<C>, group: Group) -> bool {
    let sent = known_group::<C>(exchange.group).ok();
    let half = sent.and_then(Group::half).map(|(half, _)| half);
    sent == Some(group) || half == Some(group)
}

/// Returns the group with this number, which must be one that we offer.
fn known_group<C: Crypto>(code: u16) -> Result<Group, Alert> {
    C::GROUPS
        .iter()
        .find(|group| group.code() == code)
        .copied()
        .ok_or(Alert::ILLEGAL_PARAMETER)
}
