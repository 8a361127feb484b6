//! The client's side of the handshake (RFC 8446, section 4).

use crate::tls::alert::Alert;
use crate::tls::certificate::name::parse_dns;
use crate::tls::certificate::ocsp::{OCSP, OcspPolicy, STATUS_REQUEST};
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{
    Crypto, Group, Hasher, Private, SHARE_MAX, Secret, Shared, Suite,
};
use crate::tls::handshake::auth::{self, Shown, Step, put_schemes};
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::exchange::{
    Agreed, CertificateRequest, ClientStage, Common, Exchange, Offer, OfferedKey, Proof, SessionId,
};
use crate::tls::handshake::extension::{self, Extensions};
use crate::tls::handshake::hello::{ServerHello, TLS12, TLS13};
use crate::tls::handshake::message::{self, CLIENT_HELLO, content};
use crate::tls::handshake::session::{self, Session};
use crate::tls::handshake::ticket::make_binder;
use crate::tls::handshake::transcript::Transcript;
use crate::tls::record::protection::{HEADER, Keys};
use crate::tls::wire::{Output, Reader, copy_whole};

/// Resumption with a fresh key exchange (RFC 8446, section 4.2.9), the only kind we do.
const PSK_DHE_KE: u8 = 1;

/// Returns true if the cryptography can verify who a server is. Without, nobody can be a client,
/// and nothing of one is to be in the program.
const fn knows_servers<C: Crypto>() -> bool {
    !C::ALGORITHMS.is_empty()
}

/// Writes the first hello. The exchange knows the server that is called.
pub(crate) fn start<C: Crypto>(
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    if !knows_servers::<C>() {
        return Err(Alert::INTERNAL_ERROR);
    }
    let (common, client) = exchange.client()?;
    if common.name.get().is_empty() || setup.config.client.roots.is_empty() {
        return Err(Alert::INTERNAL_ERROR);
    }
    let group = C::GROUPS.first().ok_or(Alert::INTERNAL_ERROR)?;
    if let Some(peer) = &mut setup.peer {
        peer.clear();
    }
    setup.crypto.random(&mut common.random)?;
    let mut session_id = [0; 32];
    setup.crypto.random(&mut session_id)?;
    common.transcript = Transcript::both();
    let now = setup.crypto.unix_seconds();
    let trust = &setup.config.client;
    client
        .target
        .set_trust(trust.roots, trust.ocsp, trust.revoked);
    client.stage = ClientStage::Offered(Offer {
        session_id: SessionId::new(session_id),
        group: *group,
        private: Private::ZERO,
        share: [0; SHARE_MAX],
        share_len: 0,
        session: session::take(setup.sessions, common.name.get(), &client.target, now),
        key: None,
    });
    let offer = client.offer()?;
    make_share(setup.crypto, offer, *group)?;
    put_hello(setup, common, offer, None, out)
}

/// Makes a fresh share of `group`.
fn make_share<C: Crypto>(crypto: &mut C, offer: &mut Offer, group: Group) -> Result<(), Alert> {
    offer.share_len = crypto.offer(group, &mut offer.private, &mut offer.share)?;
    offer.group = group;
    Ok(())
}

/// Adds a `ClientHello` with the share that has been made; the second if it answers a `retry`.
fn put_hello<C: Crypto>(
    setup: &mut Setup<'_, C>,
    common: &mut Common<C>,
    offer: &mut Offer,
    retry: Option<&ServerHello<'_>>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let share = offer.share.get(..offer.share_len);
    let share = share.ok_or(Alert::INTERNAL_ERROR)?;
    // RFC 8446, section 5.1: the first record may say TLS 1.0, which old middleboxes want.
    let minor = if retry.is_some() { 3 } else { 1 };
    // Behind the record's header.
    let start = out.len().saturating_add(HEADER);
    let protocols = setup.config.client.protocols;
    let asks_status = setup.config.client.ocsp != OcspPolicy::Off;
    let knows_tickets = !setup.sessions.is_empty();
    let now = setup.crypto.unix_seconds();
    let session = offer.session.get(setup.sessions);
    message::put_hello(out, minor, |out| {
        out.u8(CLIENT_HELLO)?;
        out.vector24(|out| {
            out.u16(TLS12)?;
            out.put(&common.random)?;
            out.vector8(|out| out.put(offer.session_id.get()))?;
            out.vector16(|out| {
                Suite::ALL
                    .iter()
                    .try_for_each(|suite| out.u16(suite.code()))
            })?;
            out.vector8(|out| out.u8(0))?;
            out.vector16(|out| {
                put_name(common.name.get(), out)?;
                put_extensions::<C>(protocols, offer.group, share, out)?;
                if asks_status {
                    // RFC 6066, section 8: of any responder, with no extensions.
                    extension::put(out, STATUS_REQUEST, |out| out.put(&[OCSP, 0, 0, 0, 0]))?;
                }
                if let Some(cookie) = retry.and_then(|retry| retry.cookie) {
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
    offer.key = session.map(|session| OfferedKey {
        secret: session.secret().clone(),
        hash: session.suite().hash(),
        authentication: session.authentication(),
    });
    if let Some(key) = &offer.key {
        let before = match retry {
            Some(_) => common.transcript.hasher().clone(),
            None => C::Hasher::new(key.hash),
        };
        put_binder::<C>(before, key, start, out)?;
    }
    common.transcript.update(out.written(start)?);
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

/// Writes the binder to the end of the hello that begins at `start`, after the messages that
/// `before` has hashed.
fn put_binder<C: Crypto>(
    before: C::Hasher,
    key: &OfferedKey,
    start: usize,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let len = key.hash.digest_len();
    let message = out.written(start)?;
    // The binders' list, with its length and the binder's.
    let list_len = len.saturating_add(3);
    let covered = message
        .len()
        .checked_sub(list_len)
        .and_then(|len| message.get(..len))
        .ok_or(Alert::INTERNAL_ERROR)?;
    let binder = make_binder::<C>(before, &key.secret, key.hash, covered);
    let at = out.len().saturating_sub(len);
    copy_whole(out.written_mut(at, len)?, binder.get(key.hash));
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
    extension::put_record_size_limit(out)?;
    if protocols.is_empty() {
        return Ok(());
    }
    let known = protocols.iter().take(usize::from(u8::MAX));
    extension::put_protocols(out, known.copied())
}

impl Connection {
    /// Reads a `ServerHello` or a `HelloRetryRequest`.
    #[inline(never)]
    pub(crate) fn on_server_hello<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        if !knows_servers::<C>() {
            return Err(Alert::INTERNAL_ERROR);
        }
        let hello = ServerHello::parse(content(message))?;
        let (common, client) = exchange.client()?;
        let offer = client.offer()?;
        let is_second = self.state == State::AwaitSecondServerHello;
        let suite = Suite::from_code(hello.suite).ok_or(Alert::ILLEGAL_PARAMETER)?;
        if hello.session_id != offer.session_id.get() || (is_second && suite != self.suite) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        self.suite = suite;
        common.transcript.choose(suite.hash());
        if hello.is_retry {
            if is_second {
                return Err(Alert::UNEXPECTED_MESSAGE);
            }
            return self.hello_again(setup, common, offer, &hello, message, out);
        }
        let (group, share) = hello.share.ok_or(Alert::MISSING_EXTENSION)?;
        let group = known_group::<C>(group)?;
        if !has_offered(offer, group) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let key = match (hello.psk, &offer.key) {
            (None, _) => None,
            (Some(_), None) => return Err(Alert::UNSUPPORTED_EXTENSION),
            // One was offered at most, and is good with its own hash function only.
            (Some(0), Some(key)) if key.hash == suite.hash() => Some(key.clone()),
            (Some(_), _) => return Err(Alert::ILLEGAL_PARAMETER),
        };
        self.is_resumed = key.is_some();
        // Another connection may have taken the place meanwhile.
        if let Some(session) = offer.session.get(setup.sessions) {
            session.clear();
        }
        common.transcript.update(message);
        let mut shared = Shared::EMPTY;
        setup
            .crypto
            .agree(group, &offer.private, share, &mut shared)?;
        let psk = key.as_ref().map(|key| &key.secret);
        let agreed = Agreed {
            schedule: self.start_keys(setup.crypto, common, psk, &shared),
            group,
            proof: key.map_or(Proof::None, |key| Proof::Resumed(key.authentication)),
        };
        client.stage = ClientStage::Agreed {
            agreed,
            request: CertificateRequest::None,
        };
        self.state = State::AwaitExtensions;
        Ok(Step::Next)
    }

    /// Answers a `HelloRetryRequest` with a second hello.
    fn hello_again<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        common: &mut Common<C>,
        offer: &mut Offer,
        hello: &ServerHello<'_>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let asked = match hello.share {
            Some((group, _)) => Some(known_group::<C>(group)?),
            None => None,
        };
        // RFC 8446, section 4.1.4: it must change something, and only to what was offered.
        let changes = match asked {
            Some(group) => !has_offered(offer, group),
            None => hello.cookie.is_some(),
        };
        if !changes {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        common.transcript.wrap(self.suite.hash());
        common.transcript.update(message);
        message::put_change(out)?;
        self.owes_change = false;
        // A ticket of the other hash function cannot be taken any more.
        if let Some(session) = offer.session.get(setup.sessions)
            && session.suite().hash() != self.suite.hash()
        {
            session.clear();
        }
        // RFC 8446, section 4.1.2: for a cookie alone nothing else may change.
        if let Some(group) = asked {
            make_share(setup.crypto, offer, group)?;
        }
        put_hello(setup, common, offer, Some(hello), out)?;
        self.state = State::AwaitSecondServerHello;
        Ok(Step::Next)
    }

    /// Reads `EncryptedExtensions`.
    #[inline(never)]
    pub(crate) fn on_extensions<C: Crypto>(
        &mut self,
        setup: &Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        if !knows_servers::<C>() {
            return Err(Alert::INTERNAL_ERROR);
        }
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
                    self.limit_records(extension::record_size_limit(&mut content)?);
                }
                extension::SERVER_NAME if sends_name(exchange.common.name.get()) => {
                    content.end()?
                }
                // Of use for later connections only (RFC 8446, section 4.2.7).
                extension::SUPPORTED_GROUPS => {
                    content.numbers16()?;
                }
                // Those that were not sent, beside what is for other messages.
                extension::SERVER_NAME | extension::APPLICATION_PROTOCOL => {
                    return Err(Alert::UNSUPPORTED_EXTENSION);
                }
                other => return Err(extension::misplaced(other)),
            }
        }
        exchange.common.transcript.update(message);
        self.state = match self.is_resumed {
            true => State::AwaitFinished,
            false => State::AwaitRequest,
        };
        Ok(Step::Next)
    }

    /// Reads a `CertificateRequest`.
    #[inline(never)]
    pub(crate) fn on_request<C: Crypto>(
        &mut self,
        setup: &Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        if !knows_servers::<C>() {
            return Err(Alert::INTERNAL_ERROR);
        }
        let mut reader = Reader::new(content(message));
        if !reader.vector8()?.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let mut schemes = None;
        let mut extensions = Extensions::new(&mut reader)?;
        while let Some((number, mut content)) = extensions.next()? {
            match number {
                extension::SIGNATURE_ALGORITHMS => schemes = Some(content.numbers16()?),
                // Others are ignored, but for those that we know from elsewhere.
                other if extension::misplaced(other) == Alert::ILLEGAL_PARAMETER => {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                _ => {}
            }
        }
        let schemes = schemes.ok_or(Alert::MISSING_EXTENSION)?;
        let identity = setup.config.client.identity;
        let scheme = identity.and_then(|identity| auth::choose_scheme(identity.signer, schemes));
        let (common, client) = exchange.client()?;
        let ClientStage::Agreed { request, .. } = &mut client.stage else {
            return Err(Alert::INTERNAL_ERROR);
        };
        *request = scheme.map_or(CertificateRequest::Unsuitable, CertificateRequest::Suitable);
        common.transcript.update(message);
        self.state = State::AwaitCertificate;
        Ok(Step::Next)
    }

    /// Reads the server's `Finished` and takes the keys to receive data with.
    #[inline(never)]
    pub(crate) fn on_server_finished<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        if !knows_servers::<C>() {
            return Err(Alert::INTERNAL_ERROR);
        }
        let (common, client) = exchange.client()?;
        let ClientStage::Agreed { agreed, request } = &client.stage else {
            return Err(Alert::INTERNAL_ERROR);
        };
        // The order of states has seen to it; nothing else may ever open a connection.
        if !matches!(agreed.proof, Proof::Certificate(_) | Proof::Resumed(_)) {
            return Err(Alert::INTERNAL_ERROR);
        }
        let expected = self.peer_finished::<C>(&common.transcript.digest());
        self.check_finished(&expected, message)?;
        common.transcript.update(message);
        let digest = common.transcript.digest();
        let secrets = self.data_secrets(setup.crypto, common, agreed, &digest);
        self.receive = Keys::new::<C>(self.suite, &secrets.server);
        client.stage = ClientStage::Finishing {
            agreed: agreed.clone(),
            request: *request,
            secret: secrets.client,
            exporter: secrets.exporter,
        };
        Ok(Step::Flight)
    }
}

/// Makes the client's flight before `Finished`: a `Certificate` if one is asked for.
pub(crate) fn put_flight<C: Crypto>(
    connection: &Connection,
    setup: &Setup<'_, C>,
    exchange: &mut Exchange<C>,
    flight: &mut Output<'_>,
) -> Result<(), Alert> {
    if !knows_servers::<C>() {
        return Err(Alert::INTERNAL_ERROR);
    }
    let (common, client) = exchange.client()?;
    let ClientStage::Finishing { request, .. } = &client.stage else {
        return Err(Alert::INTERNAL_ERROR);
    };
    let shown = match *request {
        CertificateRequest::None => return Ok(()),
        CertificateRequest::Suitable(scheme) => {
            setup.config.client.identity.map(|identity| Shown {
                identity,
                scheme,
                ocsp: None,
            })
        }
        CertificateRequest::Unsuitable => None,
    };
    let hash = connection.suite.hash();
    auth::put_proof(flight, common, Role::Client, hash, shown.as_ref())
}

/// Takes the keys that follow the client's flight: the connection is open.
pub(crate) fn follow<C: Crypto>(
    connection: &mut Connection,
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
) -> Result<(), Alert> {
    if !knows_servers::<C>() {
        return Err(Alert::INTERNAL_ERROR);
    }
    let (common, client) = exchange.client()?;
    let ClientStage::Finishing {
        agreed,
        secret,
        exporter,
        ..
    } = &client.stage
    else {
        return Err(Alert::INTERNAL_ERROR);
    };
    connection.send = Keys::new::<C>(connection.suite, secret);
    connection.state = State::Open;
    let name = common.name.get();
    if let Some(peer) = &mut setup.peer {
        peer.set(connection, name, agreed, exporter);
    }
    if !setup.sessions.is_empty()
        && let Proof::Certificate(authentication) | Proof::Resumed(authentication) = agreed.proof
    {
        let suite = connection.suite;
        let master = common.derive(&agreed.schedule, suite.hash(), b"res master");
        let now = setup.crypto.unix_seconds();
        connection.session = session::reserve(setup.sessions, name, &client.target, now);
        if let Some(session) = connection.session.get(setup.sessions) {
            session.expect_ticket(suite, master, authentication);
        }
    }
    let exporter = exporter.clone();
    client.stage = ClientStage::Open { exporter };
    Ok(())
}

/// Returns whether a share of the group has been sent.
fn has_offered(offer: &Offer, group: Group) -> bool {
    let half = offer.group.half().map(|(half, _)| half);
    offer.group == group || half == Some(group)
}

/// Returns the group with this number, which must be one that we offer.
fn known_group<C: Crypto>(code: u16) -> Result<Group, Alert> {
    C::GROUPS
        .iter()
        .find(|group| group.code() == code)
        .copied()
        .ok_or(Alert::ILLEGAL_PARAMETER)
}
